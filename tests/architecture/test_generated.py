"""What is generated is current, and every list is complete."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from eucapy.cli.configuration import struct_of
from eucapy.cli.programs import DAEMONS
from tests.architecture.source import ROOT, modules, within

HANDLER_FOLDERS = ("eucapy/clc/ec2", "eucapy/clc/iam", "eucapy/clc/sts", "eucapy/walrus/s3")


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_documents_and_sample_configurations_are_current() -> None:
    assert generator().stale() == [], "make docs"


@pytest.mark.parametrize("daemon", DAEMONS)
def test_every_option_of_a_daemon_has_a_default_and_says_what_it_means(daemon: str) -> None:
    from eucapy.config import describe

    silent = [name for name, _default, about in describe(struct_of(daemon)) if not about.endswith(".")]
    assert silent == []


@pytest.mark.parametrize("daemon", DAEMONS)
def test_every_daemon_has_a_composition_root_of_at_most_100_lines_and_a_unit(daemon: str) -> None:
    root = ROOT / "services" / daemon / "main.py"
    assert root.read_text().count("\n") <= 100
    unit = (ROOT / "services" / daemon / f"{daemon}.service").read_text()
    assert unit.count("\nExecStart=") == 1
    assert f"eucapy_services.{daemon}.main" in unit


@pytest.mark.parametrize("folder", HANDLER_FOLDERS)
def test_every_module_with_handlers_stands_in_its_services_explicit_list(folder: str) -> None:
    registry = next(path for name in ("registry.py", "__init__.py") if (path := ROOT / folder / name).exists())
    listed = {
        name
        for node in ast.walk(ast.parse(registry.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.ImportFrom)
            else [str(node.value)]
            if isinstance(node, ast.Constant)
            else []
        )
    }
    with_handlers = {
        module.path.stem
        for module in modules("eucapy")
        if module.path.parent == Path(folder) and _registers_handlers(module.tree)
    }
    assert with_handlers - listed - {"__init__"} == set(), "handlers that nobody would import"


def test_a_state_is_moved_by_advance_alone() -> None:
    """No assignment to `.state` and no UPDATE that sets the column, except in `advance` itself."""
    writers: list[str] = []
    for module in modules("eucapy"):
        if not within(module.path, "eucapy/clc") or module.path == Path("eucapy/clc/store/advance.py"):
            continue
        for node in ast.walk(module.tree):
            targets = (
                node.targets
                if isinstance(node, ast.Assign)
                else [node.target]
                if isinstance(node, ast.AugAssign)
                else []
            )
            if any(isinstance(target, ast.Attribute) and target.attr == "state" for target in targets):
                writers.append(f"{module.path}:{getattr(node, 'lineno', 0)}")
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "values":
                sets_state = any(keyword.arg == "state" for keyword in node.keywords)
                if sets_state and "update(" in ast.unparse(node.func):
                    writers.append(f"{module.path}:{node.lineno}")
    assert writers == []


def _registers_handlers(tree: ast.Module) -> bool:
    return any(
        isinstance(decorator, ast.Call)
        and isinstance(decorator.func, ast.Attribute)
        and decorator.func.attr in ("action", "raw")
        for node in tree.body
        if isinstance(node, ast.AsyncFunctionDef)
        for decorator in node.decorator_list
    )
