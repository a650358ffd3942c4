"""A guest under plain QEMU, on a network of its own that reaches nothing but a metadata service on the loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from eucapy.run import Result, run, spawn

MAC = "52:54:00:aa:00:01"
UUID = "ec2aaaaa-0000-4000-8000-000000000001"


class Machine:
    """A running guest. `console` is its serial port; ssh reaches it through a loopback port."""

    def __init__(self, folder: Path, key: Path) -> None:
        self.console = folder / "console.log"
        self._monitor = folder / "qmp.sock"
        self._key = key
        self._known = folder / "known_hosts"
        self.ssh_port = _free_port()

    def argv(self, disk: Path, metadata_port: int, memory_mib: int, cpus: int) -> list[str]:
        """QEMU's command line: what the driver's machines have, with user networking in place of a tap."""
        forward = f"guestfwd=tcp:169.254.169.254:80-cmd:busybox nc 127.0.0.1 {metadata_port}"
        network = f"user,id=n,net=169.254.0.0/16,restrict=on,hostfwd=tcp:127.0.0.1:{self.ssh_port}-:22,{forward}"
        return [
            *("qemu-system-x86_64", "-machine", "pc", "-accel", "tcg,thread=multi", "-cpu", "Nehalem"),
            *("-m", str(memory_mib), "-smp", str(cpus), "-nodefaults", "-display", "none", "-vga", "none"),
            *("-uuid", UUID, "-smbios", f"type=1,manufacturer=Amazon EC2,serial={UUID},uuid={UUID}"),
            *("-chardev", f"file,id=c,path={self.console},append=on", "-serial", "chardev:c"),
            *("-qmp", f"unix:{self._monitor},server=on,wait=off"),
            *("-drive", f"file={disk},if=none,id=d,format=qcow2,cache=unsafe"),
            *("-device", "virtio-blk-pci,drive=d,serial=root", "-device", "virtio-rng-pci"),
            *("-netdev", network, "-device", f"virtio-net-pci,netdev=n,mac={MAC},romfile="),
        ]

    def said(self) -> str:
        """Everything on the console so far."""
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    async def until(self, text: str, times: int = 1, limit_s: float = 240.0) -> None:
        """Wait until the console has shown `text` that often."""
        deadline = time.monotonic() + limit_s
        while self.said().count(text) < times:
            assert time.monotonic() < deadline, f"never said {text!r}:\n{self.said()[-3000:]}"
            await asyncio.sleep(0.1)

    async def ssh(self, command: str, user: str = "root", check: bool = True) -> Result:
        """Run a command in the guest, with its host key remembered from the first time."""
        return await run(
            *("ssh", "-i", str(self._key), "-p", str(self.ssh_port), "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
            *("-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={self._known}"),
            *(f"{user}@127.0.0.1", command),
            timeout_s=90,
            check=check,
        )

    def host_key(self) -> str:
        """The guest's key, as ssh saw it."""
        return " ".join(self._known.read_text().split()[1:3])

    async def power_button(self) -> None:
        """Press it."""
        await self._order("system_powerdown")

    async def plug_cable(self, plugged: bool) -> None:
        """Connect the network card, or disconnect it."""
        await self._order("set_link", name="n", up=plugged)

    async def _order(self, command: str, **arguments: object) -> None:
        deadline = time.monotonic() + 30
        while not self._monitor.exists():
            assert time.monotonic() < deadline, "QEMU does not start"
            await asyncio.sleep(0.02)
        reader, writer = await asyncio.open_unix_connection(str(self._monitor))
        await reader.readline()
        for order in ({"execute": "qmp_capabilities"}, {"execute": command, "arguments": arguments}):
            writer.write(json.dumps(order).encode() + b"\n")
            await writer.drain()
            answer = json.loads(await reader.readline())
            assert "error" not in answer, answer
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def running(
    folder: Path, disk: Path, key: Path, metadata_port: int, *, memory_mib: int = 192, cpus: int = 1
) -> AsyncIterator[Machine]:
    """A guest on `disk` (qcow2); its power is cut at the end if it still runs."""
    folder.mkdir(exist_ok=True)
    machine = Machine(folder, key)
    with (folder / "qemu.log").open("wb") as log:
        process = spawn(machine.argv(disk, metadata_port, memory_mib, cpus), output=log)
    try:
        yield machine
    finally:
        process.kill()
        await asyncio.to_thread(process.wait)


async def overlay(image: Path, path: Path, size: str) -> Path:
    """A copy-on-write disk of `size` over `image`."""
    await run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", "qcow2", str(path), size)
    return path


async def key_pair(folder: Path, name: str = "key") -> tuple[Path, str]:
    """A new ssh key pair: the private key's path and the public key."""
    path = folder / name
    await run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(path))
    return path, path.with_suffix(".pub").read_text().strip()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
