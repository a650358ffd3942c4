"""Starting and stopping the programs of a cloud, under systemd or under our own supervisor, and how they are.

`stop` ends the cloud's programs alone. Guests go on running, with their disks and their network, as they do when any of
the programs is upgraded or crashes; `start` finds them again. After a reboot of the host `start` (systemd: the boot
itself) brings back everything.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from pathlib import Path

from eucapy.cli.faststart import supervisor
from eucapy.cli.faststart.programs import Program, programs_of
from eucapy.cli.faststart.systemd import Units
from eucapy.cli.installation import CliError, Installation, Record
from eucapy.run import spawn

STARTED_WITHIN_S = 20.0


def has_systemd() -> bool:
    return Path("/run/systemd/system").is_dir()


def start_programs(installation: Installation, record: Record) -> None:
    """Have every program run, and keep running. Raises CliError, RunError."""
    if has_systemd():
        units = Units.of(installation, record)
        units.install()
        units.start()
        record.supervised_by = "systemd"
    else:
        _start_supervisor(installation)
        record.supervised_by = "own"
    installation.save(record)


def stop_programs(installation: Installation, record: Record) -> bool:
    """End every program; whether anything ran. Raises CliError."""
    programs = programs_of(installation)
    if record.supervised_by == "systemd":
        units = Units.of(installation, record)
        ran = any(units.state(program) == "active" for program in programs)
        units.stop()
        return ran
    run = installation.folder("run")
    pid = supervisor.supervisor_pid(run)
    ran = pid is not None or any(supervisor.on_record(run, program.name) for program in programs)
    if pid is None and ran:
        # Its supervisor died and left them: a new one takes them over and ends them in order.
        _start_supervisor(installation)
        pid = supervisor.supervisor_pid(run)
    if pid is not None:
        _end_supervisor(pid, sum(program.stop_timeout_s for program in programs))
    return ran


def states(installation: Installation, record: Record) -> list[tuple[Program, str]]:
    """Every program and how it is: `running (process N)`, `not running`, or systemd's word."""
    programs = programs_of(installation)
    if record.supervised_by == "systemd":
        units = Units.of(installation, record)
        return [(program, units.state(program)) for program in programs]
    run = installation.folder("run")
    found = [(program, supervisor.on_record(run, program.name)) for program in programs]
    return [(program, f"running (process {at.pid})" if at else "not running") for program, at in found]


def where_logged(installation: Installation, name: str) -> str:
    """Where the program's log is read: a file, or the command that shows it."""
    record = installation.record()
    found = next(program for program in programs_of(installation) if program.name == name)
    if record.supervised_by == "systemd":
        return f"journalctl -u {Units.of(installation, record).name(found).removesuffix('.service')}"
    return found.log


def is_running(installation: Installation, record: Record) -> bool:
    """Whether the cloud's programs are kept running right now."""
    if record.supervised_by == "systemd":
        return any(state in ("active", "activating") for _program, state in states(installation, record))
    return supervisor.supervisor_pid(installation.folder("run")) is not None


def restart_programs(installation: Installation, record: Record) -> None:
    """Stop and start them, for new code or configuration."""
    stop_programs(installation, record)
    start_programs(installation, record)


def _start_supervisor(installation: Installation) -> None:
    run = installation.folder("run")
    if supervisor.supervisor_pid(run) is not None:
        return
    log = installation.folder("log") / "supervisor.log"
    with log.open("ab") as output:
        child = spawn([sys.executable, "-m", "eucapy.cli.faststart.supervisor", str(installation.data)], output=output)
    deadline = time.monotonic() + STARTED_WITHIN_S
    while supervisor.supervisor_pid(run) != child.pid:
        if child.poll() is not None or time.monotonic() > deadline:
            raise CliError(f"the supervisor does not start: see {log}")
        time.sleep(0.05)
    child.returncode = 0  # it lives on by itself; nobody here waits for its end


def _end_supervisor(pid: int, limit_s: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + limit_s
    while supervisor.start_ticks(pid) is not None:
        if time.monotonic() > deadline:
            raise CliError(f"the supervisor (process {pid}) has not ended its programs in {limit_s:.0f} s")
        time.sleep(0.05)
