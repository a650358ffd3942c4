"""The six programs as six processes on loopback, each with its real certificate, as an installation runs them.

    with ProcessCloud(tmp_path) as cloud:
        cloud.client("ec2").describe_regions()
        cloud.kill("clc")                    # SIGKILL
        cloud.run("clc")

Configuration, certificates and registration are the installer's own (`eucapy/cli/faststart`), so that a test of this
cloud tests them too. `drivers="fake"` needs no root and no QEMU; `drivers="real"` is the real thing with libvirt.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from eucapy import config
from eucapy.cli import images
from eucapy.cli.faststart import clean, layout, readiness
from eucapy.cli.faststart.programs import HYPERVISOR, Program, programs_of
from eucapy.cli.installation import Installation, Ports, Record
from eucapy.run import Child, StillRunning, spawn

FAKES = {
    "nc": {"hypervisor": "fake", "metadata_port": 0, "qemu_group": "", "proxy_user": ""},
    "eucanetd": {"driver": "fake"},
    "sc": {"driver": "fake", "export_group": "", "export_user": ""},
}
"""Without guests there need be no group of theirs and no user of their storage: the installation makes them."""


def free_ports(count: int) -> list[int]:
    """TCP ports of loopback that nobody uses right now, all different."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class ProcessCloud:
    """One cloud in a folder. Its programs are this test's children and end with it."""

    def __init__(self, data: Path, *, drivers: Literal["fake", "real"] = "fake", **settings: dict[str, Any]) -> None:
        """`settings`: options per daemon that differ from the installer's, such as `clc={"keep_terminated_s": 1}`."""
        self.installation = Installation(data)
        self._children: dict[str, Child] = {}
        names = tuple(Ports.__struct_fields__)
        ports = Ports(**dict(zip(names, free_ports(len(names)), strict=True)))
        self.record = Record(
            ports=ports,
            public_range="198.51.100.10-198.51.100.60",
            prefix=layout.prefix_for(data, Path()),
            supervised_by="own",
        )
        overrides: dict[str, dict[str, Any]] = dict(FAKES) if drivers == "fake" else {}
        for daemon, options in settings.items():
            overrides[daemon] = {**overrides.get(daemon, {}), **options}
        layout.ensure_folders(self.installation)
        self.installation.save(self.record)
        layout.ensure_certificates(self.installation, self.record)
        layout.ensure_configuration(self.installation, self.record)
        for daemon, options in overrides.items():
            path = self.installation.folder("etc") / f"{daemon}.toml"
            path.write_text(config.dump({**self.installation.settings(daemon), **options}))
        self.programs: dict[str, Program] = {
            program.name: program
            for program in programs_of(self.installation)
            if drivers == "real" or program.name != HYPERVISOR
        }

    def __enter__(self) -> ProcessCloud:
        try:
            for name in self.programs:
                self.run(name)
            self.bring_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def run(self, name: str) -> None:
        """Start a program that does not run."""
        program = self.programs[name]
        with Path(program.log).open("ab") as output:
            self._children[name] = spawn(program.argv, output=output)

    def kill(self, name: str, how: signal.Signals = signal.SIGKILL) -> int:
        """End a program and wait for its end; its exit status (negative: the signal)."""
        child = self._children.pop(name)
        child.send_signal(how)
        return child.wait(30)

    def kill_all(self) -> None:
        """End every program at once, as a power cut would."""
        children, self._children = self._children, {}
        for child in children.values():
            child.kill()
        for child in children.values():
            child.wait(30)

    def bring_up(self) -> None:
        """Until every component answers; makes the first account and registers the agents, if that was not done."""
        operator = readiness.wait_for_operator(self.installation)
        readiness.register_components(operator, self.installation)
        readiness.ensure_admin(operator, self.installation)
        readiness.wait_for_components(operator, self.installation, lambda line: None)

    def client(self, service: str) -> Any:
        """A boto3 client with the operator's keys."""
        return images.client(self.installation, service)

    def log(self, name: str) -> str:
        """What a program has said so far."""
        return Path(self.programs[name].log).read_text(errors="replace")

    def close(self) -> None:
        """End the programs, then what they leave running on purpose (guests, exports, networks)."""
        for name in reversed(list(self._children)):
            with contextlib.suppress(ProcessLookupError):
                self._children[name].terminate()
        for child in self._children.values():
            with contextlib.suppress(StillRunning):
                child.wait(10)
            if child.poll() is None:
                child.kill()
                child.wait(10)
        self._children = {}
        if os.geteuid() == 0:
            clean.end_processes(self.installation.data)
            clean.remove_network(self.record)
