"""The programs as systemd units, where systemd runs.

Each daemon's unit file stands beside its composition root (`services/<name>/<name>.service`); here it gets this
cloud's command line. A target (`eucapy.target`, or `eucapyNNN.target` for a second cloud) holds them together: it is
started at boot, and stopping it stops them all. Removing the files and the link is all that there is to take away.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from eucapy.cli.faststart.programs import HYPERVISOR, Program, programs_of
from eucapy.cli.installation import Installation, Record
from eucapy.run import Result, run_now

FOLDER = Path("/etc/systemd/system")
_TARGET_TEXT = """[Unit]
Description=eucapy, the cloud in {data}
Wants={units}
After=network-online.target
Wants=network-online.target

[Install]
WantedBy=multi-user.target
"""


class Units:
    """The units of one cloud."""

    def __init__(self, programs: Sequence[Program], data: Path, base: str = "eucapy", folder: Path = FOLDER) -> None:
        """`base` is what all their names begin with."""
        self._programs, self._data, self._base, self._folder = programs, data, base, folder

    @classmethod
    def of(cls, installation: Installation, record: Record) -> Units:
        """Named after the prefix of the cloud's networks, which tells clouds on one host apart."""
        base = "eucapy" + record.prefix.removeprefix("euca").rstrip("-")
        return cls(programs_of(installation), installation.data, base)

    @property
    def target(self) -> str:
        return f"{self._base}.target"

    def name(self, program: Program) -> str:
        return f"{self._base}-{program.name}.service"

    def text(self, program: Program) -> str:
        """The unit file of a program: as it was written for it, with this cloud's command line."""
        if program.name == HYPERVISOR:
            template = files("eucapy.cli.faststart").joinpath("libvirtd.service").read_text()
        else:
            template = files(f"eucapy_services.{program.name}").joinpath(f"{program.name}.service").read_text()
        line = "ExecStart=" + " ".join(map(_quoted, program.argv))
        text, count = re.subn(r"(?m)^ExecStart=.*$", line.replace("\\", r"\\"), template)
        assert count == 1, f"{program.name}.service has {count} ExecStart lines"
        # The interpreter may live below a home folder; all that a program keeps is in the data folder, wherever that is.
        text = re.sub(r"(?m)^(?:(?:State|Runtime)Directory|ReadWritePaths).*\n", "", text).replace(
            "ProtectHome=yes", "ProtectHome=read-only"
        )
        text = re.sub(r"(?m)^WantedBy=.*$", f"WantedBy={self.target}", text)
        if "ProtectSystem=" in text:  # elsewhere this line would make a mount namespace, which some units must not have
            text = text.replace("[Service]\n", f"[Service]\nReadWritePaths={_quoted(str(self._data))}\n", 1)
        return text.replace("[Unit]\n", f"[Unit]\nPartOf={self.target}\n", 1)

    def install(self) -> list[Path]:
        """Write the unit files and have them started at boot; the paths that were written."""
        texts = {self._folder / self.name(program): self.text(program) for program in self._programs}
        names = " ".join(self.name(program) for program in self._programs)
        texts[self._folder / self.target] = _TARGET_TEXT.format(data=self._data, units=names)
        for path, text in texts.items():
            path.write_text(text)
        _systemctl("daemon-reload")
        _systemctl("enable", "--quiet", self.target)
        return list(texts)

    def start(self) -> None:
        """Raises RunError."""
        _systemctl("start", self.target, timeout_s=120.0)

    def stop(self) -> None:
        """Stop the programs, last started first. Raises RunError."""
        for program in reversed(self._programs):
            _systemctl("stop", self.name(program), timeout_s=program.stop_timeout_s + 70.0)
        _systemctl("stop", self.target)

    def state(self, program: Program) -> str:
        """`active`, `inactive`, `failed` … as systemd has it."""
        return _systemctl("is-active", self.name(program), check=False).stdout.strip() or "unknown"

    def remove(self) -> None:
        """Stop, disable and remove the units."""
        self.stop()
        _systemctl("disable", "--quiet", self.target, check=False)
        for path in [*(self._folder / self.name(program) for program in self._programs), self._folder / self.target]:
            path.unlink(missing_ok=True)
        _systemctl("daemon-reload")


def _systemctl(*arguments: str, timeout_s: float = 60.0, check: bool = True) -> Result:
    return run_now("systemctl", *arguments, timeout_s=timeout_s, check=check)


def _quoted(word: str) -> str:
    """A word of an ExecStart line: `%` and `$` mean something to systemd, blanks need quotes."""
    escaped = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if re.search(r"[\s\"';]", escaped) else escaped
