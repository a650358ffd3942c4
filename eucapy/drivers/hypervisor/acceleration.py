"""Whether guests can run under KVM here; found out by trying, never by the presence of /dev/kvm.

Some hosts offer a /dev/kvm that no guest can use (a hypervisor below that does not nest, or one that imitates KVM), and
libvirt believes them. So three things are asked, cheapest first: the processor's flags, the device, and a real machine,
whose boot sector says "alive" through QEMU's exit device and which has two seconds to do so with the same processor
model that guests get.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from eucapy.run import RunError, run

MODES = ("auto", "kvm", "emulation")
_PROBE_LIMIT_S = 2.0
_ALIVE = 33
# mov dx,0x501; mov al,0x10; out dx,al; hlt: QEMU's isa-debug-exit turns the 0x10 into exit status 0x10*2+1.
_BOOT_SECTOR = bytes.fromhex("ba0105b010eef4").ljust(510, b"\0") + b"\x55\xaa"


@dataclass(frozen=True)
class Acceleration:
    """The verdict and its reason, which is meant for people."""

    kvm: bool
    reason: str


async def detect(mode: str = "auto", *, qemu: str = "qemu-system-x86_64", proc: Path = Path("/proc")) -> Acceleration:
    """What guests will run on. `mode` other than `auto` is believed. Raises ValueError for an unknown mode."""
    if mode not in MODES:
        raise ValueError(f"acceleration {mode!r} is none of {', '.join(MODES)}")
    if mode != "auto":
        return Acceleration(mode == "kvm", "set by the configuration")
    if not processor_flags(proc) & {"vmx", "svm"}:
        return Acceleration(False, "the processor shows neither vmx nor svm")
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Acceleration(False, "/dev/kvm is not there or not ours to open")
    return await _try(qemu)


def processor_flags(proc: Path = Path("/proc")) -> set[str]:
    """The flags of the first processor in cpuinfo."""
    for line in (proc / "cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "flags":
            return set(value.split())
    return set()


async def _try(qemu: str, accelerator: str = "kvm", cpu: str = "host", limit_s: float = _PROBE_LIMIT_S) -> Acceleration:
    with tempfile.NamedTemporaryFile(suffix=".img") as sector:
        sector.write(_BOOT_SECTOR)
        sector.flush()
        try:
            ended = await run(
                *(qemu, "-accel", accelerator, "-cpu", cpu, "-machine", "pc", "-m", "16"),
                *("-nodefaults", "-display", "none"),
                *("-drive", f"file={sector.name},format=raw,if=ide,snapshot=on"),
                *("-device", "isa-debug-exit,iobase=0x501,iosize=1"),
                timeout_s=limit_s,
                check=False,
            )
        except RunError as error:
            return Acceleration(False, f"a trial machine under {accelerator} failed: {error}")
    if ended.status != _ALIVE:
        return Acceleration(False, f"a trial machine under {accelerator} failed: {ended.stderr.strip()[-300:]}")
    return Acceleration(True, "a trial machine ran under KVM")
