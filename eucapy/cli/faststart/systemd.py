"""The programs as systemd units, where systemd runs.

Each daemon's unit file stands beside its composition root (`services/<name>/<name>.service`); here it gets this
cloud's command line. `eucapy.target` holds them together: it is started at boot, and stopping it stops them all.
Removing a unit's file and its link is all that there is to take away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from eucapy.cli.faststart.programs import HYPERVISOR, Program
from eucapy.run import Result, run_now

UNITS = Path("/etc/systemd/system")
TARGET = "eucapy.target"
_TARGET_TEXT = """[Unit]
Description=eucapy, the cloud on this machine
Wants={units}
After=network-online.target
Wants=network-online.target

[Install]
WantedBy=multi-user.target
"""


def unit_name(program: Program) -> str:
    return f"eucapy-{program.name}.service"


def unit_text(program: Program, data: Path) -> str:
    """The unit file of a program: as it was written for it, with this cloud's command line."""
    if program.name == HYPERVISOR:
        template = files("eucapy.cli.faststart").joinpath("libvirtd.service").read_text()
    else:
        template = files(f"eucapy_services.{program.name}").joinpath(f"{program.name}.service").read_text()
    line = "ExecStart=" + " ".join(map(_quoted, program.argv))
    text, count = re.subn(r"(?m)^ExecStart=.*$", line.replace("\\", r"\\"), template)
    assert count == 1, f"{program.name}.service has {count} ExecStart lines"
    # The interpreter may live below a home folder, and the data folder is wherever it was asked for.
    text = re.sub(r"(?m)^StateDirectory.*\n", "", text).replace("ProtectHome=yes", "ProtectHome=read-only")
    if "ProtectSystem=" in text:  # elsewhere this line would make a mount namespace, which some units must not have
        text = text.replace("[Service]\n", f"[Service]\nReadWritePaths={_quoted(str(data))}\n", 1)
    if "PartOf=" not in text:
        text = text.replace("[Unit]\n", f"[Unit]\nPartOf={TARGET}\n", 1)
    return text


def install(programs: Sequence[Program], data: Path, units: Path = UNITS) -> list[Path]:
    """Write the unit files and have them started at boot; the paths that were written."""
    written: list[Path] = []
    for program in programs:
        path = units / unit_name(program)
        path.write_text(unit_text(program, data))
        written.append(path)
    target = units / TARGET
    target.write_text(_TARGET_TEXT.format(units=" ".join(unit_name(program) for program in programs)))
    written.append(target)
    _systemctl("daemon-reload")
    _systemctl("enable", "--quiet", TARGET)
    return written


def start() -> None:
    """Raises RunError."""
    _systemctl("start", TARGET, timeout_s=120.0)


def stop(programs: Sequence[Program]) -> None:
    """Stop the programs, last started first. Raises RunError."""
    for program in reversed(programs):
        _systemctl("stop", unit_name(program), timeout_s=program.stop_timeout_s + 70.0)
    _systemctl("stop", TARGET)


def state(program: Program) -> str:
    """`active`, `inactive`, `failed` … as systemd has it."""
    return _systemctl("is-active", unit_name(program), check=False).stdout.strip() or "unknown"


def remove(programs: Sequence[Program], units: Path = UNITS) -> None:
    """Stop, disable and remove the units."""
    stop(programs)
    _systemctl("disable", "--quiet", TARGET, check=False)
    for path in [*(units / unit_name(program) for program in programs), units / TARGET]:
        path.unlink(missing_ok=True)
    _systemctl("daemon-reload")


def _systemctl(*arguments: str, timeout_s: float = 60.0, check: bool = True) -> Result:
    return run_now("systemctl", *arguments, timeout_s=timeout_s, check=check)


def _quoted(word: str) -> str:
    """A word of an ExecStart line: `%` and `$` mean something to systemd, blanks need quotes."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[\s\"';]", escaped) else escaped
