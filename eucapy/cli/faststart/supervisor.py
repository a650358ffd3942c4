"""Our own supervisor, for machines without systemd: `python -m eucapy.cli.faststart.supervisor DIR`.

It keeps the programs of one cloud running: a program that ends is started again, at once the first time and ever later
while it keeps ending (at most half a minute), until it has run for a minute. It outlives the terminal, and its children
outlive it: what it started is on record (`run/<name>.json`: process id and start time), and the next supervisor takes
over what still runs instead of starting it twice. It ends its own programs only, never by name.

A program writes straight into its log file; the supervisor turns a large one over (`clc.log` → `clc.log.1` …).
SIGTERM: end every program, last started first, and leave. One supervisor a cloud: `run/supervisor.pid` is locked.

```
  start ─► running ──ends──► waiting (0, 1, 2, 4 … 30 s) ─► start
              │ stop
              └──► SIGTERM ──(stop_timeout_s)──► SIGKILL ─► gone
```
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import msgspec

from eucapy import logs
from eucapy.cli.faststart.programs import Program, programs_of
from eucapy.cli.installation import Installation
from eucapy.ledger import write_file
from eucapy.run import Child, spawn

logger = logging.getLogger(__name__)

LONGEST_WAIT_S = 30.0
GOOD_RUN_S = 60.0
LARGEST_LOG_BYTES = 32 * 1024 * 1024
LOGS_KEPT = 5
HOUSEKEEPING_S = 30.0


class Running(msgspec.Struct, frozen=True):
    """A process on record. `started` (kernel ticks since boot) tells it from a later one with the same id."""

    pid: int
    started: int
    argv: list[str]


def start_ticks(pid: int) -> int | None:
    """When the process started, in ticks since the host's boot; None when there is none (or only its shell, a zombie)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def on_record(run: Path, name: str) -> Running | None:
    """The process of that name, if it is on record and still runs."""
    try:
        found = msgspec.json.decode((run / f"{name}.json").read_bytes(), type=Running)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None
    return found if start_ticks(found.pid) == found.started else None


class Keeper:
    """Keeps one program running until told to stop."""

    def __init__(self, program: Program, run: Path) -> None:
        self.program = program
        self._run = run
        self._stopping = asyncio.Event()
        self._child: Child | None = None
        self.restarts = 0

    async def keep(self) -> None:
        """Returns when the program is stopped."""
        wait_s = 0.0
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                running = on_record(self._run, self.program.name) or self._start()
            except OSError as error:
                logger.error("cannot start %s: %s", self.program.name, error)
            else:
                await self._watch(running)
            if self._stopping.is_set():
                return
            ran_s = time.monotonic() - started
            wait_s = 0.0 if ran_s >= GOOD_RUN_S else min(LONGEST_WAIT_S, max(1.0, wait_s * 2) if self.restarts else 0.0)
            self.restarts += 1
            logger.warning("%s ended after %.0f s; it is started again in %.0f s", self.program.name, ran_s, wait_s)
            await self._pause(wait_s)

    async def _pause(self, limit_s: float) -> None:
        """That long, or until told to stop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                await self._stopping.wait()

    def stop(self) -> None:
        """Ask the program to end; `keep` returns when it has."""
        self._stopping.set()

    def _start(self) -> Running:
        Path(self.program.log).parent.mkdir(parents=True, exist_ok=True)
        with Path(self.program.log).open("ab") as output:
            self._child = process = spawn(self.program.argv, output=output)
        running = Running(process.pid, start_ticks(process.pid) or 0, self.program.argv)
        write_file(self._run / f"{self.program.name}.json", msgspec.json.encode(running), mode=0o644)
        logger.info("started %s as process %d", self.program.name, process.pid)
        return running

    async def _watch(self, running: Running) -> None:
        """Wait for the process's end, our child or not; when stopping, make it end."""
        ended, stopping = asyncio.ensure_future(_end_of(running.pid)), asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if not ended.done():
                _signal(running, signal.SIGTERM)
                await asyncio.wait({ended}, timeout=self.program.stop_timeout_s)
            if not ended.done():
                logger.warning("%s did not end by itself in %.0f s", self.program.name, self.program.stop_timeout_s)
                _signal(running, signal.SIGKILL)
                await ended
        finally:
            for waiting in (ended, stopping):
                waiting.cancel()
        if self._child is not None and self._child.pid == running.pid:
            self._child.wait()
            self._child = None
        (self._run / f"{self.program.name}.json").unlink(missing_ok=True)

    def turn_log(self) -> None:
        """Keep the log from growing without end. The program's file stays open: it is copied, then emptied."""
        log = Path(self.program.log)
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size < LARGEST_LOG_BYTES:
                return
            for number in range(LOGS_KEPT - 1, 0, -1):
                older = Path(f"{log}.{number}")
                if older.exists():
                    older.replace(f"{log}.{number + 1}")
            shutil.copyfile(log, f"{log}.1")
            os.truncate(log, 0)


class Supervisor:
    """Keeps all programs; `run` ends when `stop` was called and every program is gone."""

    def __init__(self, programs: Sequence[Program], run: Path) -> None:
        self._keepers = [Keeper(program, run) for program in programs]
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        self._stopped.set()

    async def run(self) -> None:
        keeping = [asyncio.create_task(keeper.keep(), name=keeper.program.name) for keeper in self._keepers]
        housekeeping = asyncio.create_task(self._housekeeping())
        try:
            await self._stopped.wait()
            for keeper, task in reversed(list(zip(self._keepers, keeping, strict=True))):
                keeper.stop()
                await task
        finally:
            housekeeping.cancel()

    async def _housekeeping(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            for keeper in self._keepers:
                try:
                    keeper.turn_log()
                except OSError as error:
                    logger.error("cannot turn the log of %s over: %s", keeper.program.name, error)


async def _end_of(pid: int) -> None:
    """Returns when the process has ended, our child or not."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(handle, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(handle)
        os.close(handle)


def _signal(running: Running, number: signal.Signals) -> None:
    if start_ticks(running.pid) == running.started:
        with contextlib.suppress(ProcessLookupError):
            os.kill(running.pid, number)


def lock(run: Path) -> IO[str] | None:
    """The supervisor's pid file, locked for as long as it stays open; None when another supervisor has it."""
    run.mkdir(parents=True, exist_ok=True)
    file = (run / "supervisor.pid").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def supervisor_pid(run: Path) -> int | None:
    """The process id of the supervisor at work, if one is."""
    held = lock(run) if run.is_dir() else None
    if held is not None:
        held.close()
        return None
    try:
        return int((run / "supervisor.pid").read_text())
    except (FileNotFoundError, ValueError):
        return None


async def _main(installation: Installation) -> int:
    run = installation.folder("run")
    held = lock(run)
    if held is None:
        logger.error("another supervisor is at work in %s", run)
        return 1
    with held:
        held.seek(0)
        held.truncate()
        held.write(f"{os.getpid()}\n")
        held.flush()
        supervisor = Supervisor(programs_of(installation), run)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, supervisor.stop)
        loop.add_signal_handler(signal.SIGHUP, lambda: None)
        await supervisor.run()
    return 0


if __name__ == "__main__":
    logs.setup("supervisor")
    sys.exit(asyncio.run(_main(Installation(Path(sys.argv[1])))))
