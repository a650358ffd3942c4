"""Where the outside may be touched: programs, the hypervisor's and the kernel's libraries, the database, drivers."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from tests.architecture.source import Module, modules, within

PRODUCT = ("eucapy", "services")
STARTS_PROGRAMS = {
    "asyncio.create_subprocess_exec",
    "asyncio.create_subprocess_shell",
    "os.system",
    "os.popen",
    "os.posix_spawn",
    "os.posix_spawnp",
    *(f"os.exec{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
    *(f"os.spawn{kind}" for kind in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
}
PROGRAMS = ("clc", "cc", "sc", "walrus", "nc", "eucanetd", "console", "cli")


def importers(names: set[str], among: Iterable[Module]) -> dict[Path, list[int]]:
    """Which modules import one of `names` (or something below it), and at which lines."""
    found: dict[Path, list[int]] = {}
    for module in among:
        lines = [line for line, name in module.imports() if name.split(".")[0] in names]
        if lines:
            found[module.path] = sorted(set(lines))
    return found


def test_programs_are_started_in_run_and_nowhere_else() -> None:
    elsewhere = [module for module in modules(*PRODUCT) if module.path != Path("eucapy/run.py")]
    assert importers({"subprocess", "multiprocessing", "pty"}, elsewhere) == {}
    starts = [
        f"{module.path}:{line}: {name}"
        for module in elsewhere
        for line, name, _ in module.calls()
        if name in STARTS_PROGRAMS
    ]
    assert starts == []


def test_no_program_is_started_through_a_shell() -> None:
    shells = [
        f"{module.path}:{line}"
        for module in modules(*PRODUCT)
        for line, _, call in module.calls()
        for keyword in call.keywords
        if keyword.arg == "shell" and not (isinstance(keyword.value, ast.Constant) and keyword.value.value is False)
    ]
    assert shells == []


def test_the_hypervisor_and_the_kernel_are_reached_from_drivers_only() -> None:
    outside = [module for module in modules(*PRODUCT) if not within(module.path, "eucapy/drivers")]
    assert importers({"libvirt", "pyroute2", "rados", "rbd", "nftables"}, outside) == {}


def test_the_database_is_reached_from_the_stores_only() -> None:
    outside = [
        module
        for module in modules(*PRODUCT)
        if not within(
            module.path, "eucapy/clc/store", "eucapy/walrus/store", "eucapy/database.py", "eucapy/migrating.py"
        )
    ]
    assert importers({"sqlalchemy", "alembic", "aiosqlite", "sqlite3", "asyncpg"}, outside) == {}


def test_programs_know_the_bases_of_the_drivers_alone() -> None:
    """Which implementation runs is chosen in `services/` through the family's loader."""
    implementations = {"fake", "memory", "files", "libvirt", "libvirt_xml", "libvirt_events", "linux", "lvm", "rbd"}
    known = [
        f"{module.path}:{line}: {name}"
        for module in modules("eucapy")
        if any(within(module.path, f"eucapy/{program}") for program in PROGRAMS)
        for line, name in module.imports()
        if name.startswith("eucapy.drivers.") and implementations & set(name.split(".")[3:])
    ]
    assert known == []


def test_a_broad_handler_never_swallows_in_silence() -> None:
    silent = [
        f"{module.path}:{node.lineno}"
        for module in modules(*PRODUCT)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ExceptHandler)
        and (node.type is None or ast.unparse(node.type) in {"Exception", "BaseException"})
        and all(isinstance(statement, ast.Pass | ast.Continue) for statement in node.body)
    ]
    assert silent == []


def test_time_limits_never_swallow_a_cancellation() -> None:
    """Python 3.11's `asyncio.wait_for` returns the answer when cancelled in the moment it comes; `asyncio.timeout` obeys."""
    swallowing = [
        f"{module.path}:{line}"
        for module in modules(*PRODUCT, "tests")
        for line, name, _ in module.calls()
        if name == "asyncio.wait_for"
    ]
    assert swallowing == []
