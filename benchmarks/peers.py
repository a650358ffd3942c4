"""The other implementations: Python packages in a virtual environment of their own, never in the product's.

The environment is made at the first run and kept in a cache folder. A peer that cannot be installed (no package index)
is left out of the run, and the report says so.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from eucapy.run import RunError, run_now

PACKAGES = {"moto": "moto[server]", "ministack": "ministack"}
PROGRAMS = {"moto": "moto_server", "ministack": "ministack"}
INSTALL_S = 900.0


def default_cache() -> Path:
    """Where the environment is kept: `$XDG_CACHE_HOME/eucapy-benchmarks`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eucapy-benchmarks"


def ensure(name: str, cache: Path) -> Path:
    """The peer's program, installed when it is missing. Raises RunError."""
    program = cache / "venv" / "bin" / PROGRAMS[name]
    if program.exists():
        return program
    python = cache / "venv" / "bin" / "python"
    if not python.exists():
        cache.mkdir(parents=True, exist_ok=True)
        run_now(sys.executable, "-m", "venv", str(cache / "venv"), timeout_s=120)
    print(f"installing {PACKAGES[name]} into {cache}", file=sys.stderr)
    run_now(str(python), "-m", "pip", "install", "--quiet", PACKAGES[name], timeout_s=INSTALL_S)
    if not program.exists():
        raise RunError([str(program)], 127, "the package has no such program")
    return program


def versions(cache: Path, names: list[str]) -> dict[str, str]:
    """Peer → version, of those that are installed."""
    found: dict[str, str] = {}
    python = cache / "venv" / "bin" / "python"
    for name in names:
        if name in PACKAGES and python.exists():
            ask = f"import importlib.metadata as m; print(m.version({name!r}))"
            found[name] = run_now(str(python), "-c", ask, check=False).stdout.strip()
    return found
