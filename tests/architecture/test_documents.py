"""Documents: what they link to is there, and what they tell to type exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from eucapy.cli.main import COMMANDS
from tests.architecture.source import ROOT, files, text

DOCUMENTS = [path for path in files() if path.suffix == ".md"]
ACTIONS = {"start", "stop", "status", "clean"}


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_link_leads_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", text(path) or "")
    local = [target for target in targets if "://" not in target]
    assert [target for target in local if not (ROOT / path.parent / target).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_command_that_is_told_exists(path: Path) -> None:
    content = text(path) or ""
    commands = re.findall(r"(?:^|[`(\s])eucapy (?:--data \S+ )?([a-z]+)(?=[\s`\")])", content)
    assert [name for name in commands if name not in COMMANDS and f"`eucapy {name}" in content] == []
    actions = re.findall(r"\./faststart ([a-z]+)", content)
    assert set(actions) <= ACTIONS


def test_every_make_target_that_is_told_exists() -> None:
    targets = set(re.findall(r"(?m)^([a-z]+):", (ROOT / "Makefile").read_text()))
    for path in DOCUMENTS:
        told = set(re.findall(r"`make ([a-z]+)[` ]|(?m:^(?:sudo )?make ([a-z]+))", text(path) or ""))
        assert {name for pair in told for name in pair if name} <= targets, path
