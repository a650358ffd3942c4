"""What a file may be: its length, its name, its first lines, and what never stands in one."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from eucapy.run import run_now
from tests.architecture.source import ROOT, files, modules, text, within

LONGEST_FILE = 600
SOURCE_SUFFIXES = {".py", ".sh", ".js", ".css", ".html", ".toml", ".service", ""}
FORBIDDEN_STEMS = {"utils", "util", "helpers", "helper", "common", "manager", "misc", "types"}
WORK_LEFT = re.compile(
    r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "XX" + "X", "HA" + "CK"]) + r")\b|NotImplemented" + "Error"
)
MACHINE_PATHS = re.compile(
    r"(?<![\w.-])/(" + "|".join(["work", "farm", "opt/py" + "pi", "opt/wh" + "eels"]) + r")/|/root/\.(?!ssh)\w"
)


def test_no_source_file_is_past_600_lines() -> None:
    long = {
        str(path): count
        for path in files()
        if path.suffix in SOURCE_SUFFIXES and (content := text(path)) and (count := content.count("\n")) > LONGEST_FILE
    }
    assert long == {}


def test_no_file_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in files() if path.suffix == ".py" and path.stem in FORBIDDEN_STEMS] == []


def test_every_module_of_the_product_says_first_what_it_owns() -> None:
    silent = [
        str(module.path)
        for module in modules("eucapy", "services", "tests", "benchmarks")
        if module.tree.body and not ast.get_docstring(module.tree)
    ]
    assert silent == []


def test_no_work_is_left_for_later_in_the_product() -> None:
    left = [
        f"{path}:{number}: {line.strip()}"
        for path in files()
        if path.parts[0] in {"eucapy", "services", "faststart", "etc"} and (content := text(path))
        for number, line in enumerate(content.splitlines(), 1)
        if WORK_LEFT.search(line)
    ]
    assert left == []


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    named = [
        f"{path}:{number}: {line.strip()}"
        for path in files()
        if (content := text(path))
        for number, line in enumerate(content.splitlines(), 1)
        if MACHINE_PATHS.search(line)
    ]
    assert named == []


def test_a_test_waits_for_a_condition_and_never_for_luck() -> None:
    """`tests/harness/waiting.py` holds the only waits that sleep between two looks."""
    sleeps = [
        f"{module.path}:{line}"
        for module in modules("tests")
        if not within(module.path, "tests/harness")
        for line, name, _ in module.calls()
        if name == "time.sleep"
    ]
    assert sleeps == []


def test_every_shell_script_is_one() -> None:
    scripts = [path for path in files() if (text(path) or "").startswith("#!/usr/bin/env bash\n")]
    assert Path("faststart") in scripts
    for path in scripts:
        run_now("bash", "-n", str(ROOT / path))
        assert (ROOT / path).stat().st_mode & 0o111, f"{path} is not executable"
        assert re.search(r"(?m)^set -e?uo pipefail$", text(path) or ""), f"{path} goes on after a failure"
