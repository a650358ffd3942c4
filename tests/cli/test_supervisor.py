"""The supervisor keeps programs running, takes over what an earlier one left, and ends what is its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eucapy.cli.faststart import supervisor
from eucapy.cli.faststart.programs import Program
from eucapy.cli.faststart.supervisor import Keeper, Running, Supervisor, on_record, start_ticks
from eucapy.run import spawn
from tests.harness.waiting import until

SLEEPER = "import signal, time; print('up', flush=True); time.sleep(600)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


def program(folder: Path, code: str = SLEEPER, name: str = "p", stop_timeout_s: float = 10.0) -> Program:
    return Program(
        name=name,
        description="a test's program",
        argv=[sys.executable, "-c", code],
        log=str(folder / f"{name}.log"),
        stop_timeout_s=stop_timeout_s,
    )


@contextlib.asynccontextmanager
async def supervising(folder: Path, *programs: Program) -> AsyncIterator[Supervisor]:
    keeper = Supervisor(programs, folder)
    task = asyncio.create_task(keeper.run())
    try:
        yield keeper
    finally:
        keeper.stop()
        await task


def up(folder: Path, name: str = "p") -> Running | None:
    """The program on record, once it has said that it is up."""
    log = folder / f"{name}.log"
    return on_record(folder, name) if log.exists() and "up" in log.read_text() else None


async def test_a_program_that_is_killed_is_started_again(tmp_path: Path) -> None:
    async with supervising(tmp_path, program(tmp_path)):
        await until(lambda: up(tmp_path))
        first = on_record(tmp_path, "p")
        assert first is not None
        os.kill(first.pid, signal.SIGKILL)
        await until(lambda: (now := on_record(tmp_path, "p")) is not None and now.pid != first.pid)


async def test_stopping_ends_every_program_and_leaves_no_record(tmp_path: Path) -> None:
    programs = [program(tmp_path, name=name) for name in ("a", "b")]
    async with supervising(tmp_path, *programs):
        await until(lambda: up(tmp_path, "a") and up(tmp_path, "b"))
        pids = [running.pid for name in ("a", "b") if (running := on_record(tmp_path, name))]
    assert [start_ticks(pid) for pid in pids] == [None, None]
    assert list(tmp_path.glob("*.json")) == []


async def test_a_program_that_ignores_the_request_to_end_is_ended_all_the_same(tmp_path: Path) -> None:
    async with supervising(tmp_path, program(tmp_path, STUBBORN, stop_timeout_s=0.2)):
        await until(lambda: up(tmp_path))
        running = on_record(tmp_path, "p")
    assert running is not None
    assert start_ticks(running.pid) is None


async def test_a_new_supervisor_takes_over_what_still_runs(tmp_path: Path) -> None:
    child = spawn(program(tmp_path).argv)
    try:
        record = Running(child.pid, start_ticks(child.pid) or 0, [])
        supervisor.write_file(tmp_path / "p.json", supervisor.msgspec.json.encode(record))
        async with supervising(tmp_path, program(tmp_path)):
            await asyncio.sleep(0)
            assert on_record(tmp_path, "p") == record
        assert child.wait(10) == -signal.SIGTERM
        assert not (tmp_path / "p.log").exists(), "nothing was started a second time"
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


async def test_a_record_of_a_process_that_is_another_by_now_is_not_believed(tmp_path: Path) -> None:
    ours = Running(os.getpid(), (start_ticks(os.getpid()) or 0) + 1, [])
    supervisor.write_file(tmp_path / "p.json", supervisor.msgspec.json.encode(ours))
    assert on_record(tmp_path, "p") is None


async def test_a_program_that_keeps_ending_is_started_ever_more_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    async def pause(limit_s: float) -> None:
        waits.append(limit_s)
        if len(waits) == 8:
            keeper.stop()

    keeper = Keeper(program(tmp_path, "pass"), tmp_path)
    monkeypatch.setattr(keeper, "_pause", pause)
    await keeper.keep()
    assert waits == [0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]


async def test_a_program_that_cannot_be_started_is_tried_again(tmp_path: Path) -> None:
    missing = Program(name="p", description="", argv=[str(tmp_path / "later")], log=str(tmp_path / "p.log"))
    async with supervising(tmp_path, missing):
        await asyncio.sleep(0)
        (tmp_path / "later").write_text(f"#!{sys.executable}\n{SLEEPER}\n")
        (tmp_path / "later").chmod(0o755)
        await until(lambda: up(tmp_path))


def test_a_large_log_is_turned_over_and_old_ones_are_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "LARGEST_LOG_BYTES", 10)
    keeper = Keeper(program(tmp_path), tmp_path)
    log = tmp_path / "p.log"
    for number in range(supervisor.LOGS_KEPT + 2):
        log.write_text(f"lines of run {number}\n")
        keeper.turn_log()
        assert log.read_text() == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.log", *(f"p.log.{n}" for n in range(1, 6))]
    assert (tmp_path / "p.log.1").read_text() == "lines of run 6\n"


def test_only_one_supervisor_keeps_a_cloud(tmp_path: Path) -> None:
    held = supervisor.lock(tmp_path)
    assert held is not None
    with held:
        assert supervisor.lock(tmp_path) is None
    assert supervisor.supervisor_pid(tmp_path) is None
