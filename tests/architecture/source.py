"""The checkout as the architecture tests see it: tracked and new files, parsed modules, and where a rule is broken."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from eucapy.run import run_now

ROOT = Path(__file__).resolve().parents[2]


@functools.cache
def files() -> tuple[Path, ...]:
    """Every file that is, or would be, committed: paths relative to the checkout."""
    listed = run_now("git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    return tuple(Path(name) for name in sorted(set(listed.split("\0"))) if name and (ROOT / name).is_file())


def text(path: Path) -> str | None:
    """The content of a file of the checkout; None when it is not text."""
    try:
        return (ROOT / path).read_text()
    except UnicodeDecodeError:
        return None


@dataclass(frozen=True)
class Module:
    """A Python file and its syntax tree."""

    path: Path
    tree: ast.Module

    def imports(self) -> Iterator[tuple[int, str]]:
        """(line, dotted name) of everything that it imports, wherever the import stands."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node.lineno, alias.name
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                yield node.lineno, node.module
                for alias in node.names:
                    yield node.lineno, f"{node.module}.{alias.name}"

    def calls(self) -> Iterator[tuple[int, str, ast.Call]]:
        """(line, dotted name as written, node) of every call."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield node.lineno, ast.unparse(node.func), node


@functools.cache
def _module(path: Path) -> Module:
    return Module(path, ast.parse((ROOT / path).read_text(), str(path)))


def modules(*folders: str) -> tuple[Module, ...]:
    """The Python modules below `folders`; each is parsed once a run."""
    return tuple(_module(path) for path in files() if path.suffix == ".py" and path.parts[0] in folders)


def within(path: Path, *places: str) -> bool:
    """Whether `path` is one of `places`, or below one."""
    return any(path == Path(place) or Path(place) in path.parents for place in places)
