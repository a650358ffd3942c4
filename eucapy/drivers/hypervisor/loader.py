"""Which hypervisor driver a configuration names."""

from __future__ import annotations

from pathlib import Path

from eucapy.drivers.hypervisor.base import HypervisorDriver


def load(name: str, *, uri: str = "", folder: Path | None = None, acceleration: str = "auto") -> HypervisorDriver:
    """The driver called `name`: "libvirt" over the connection `uri`, or "fake" over `folder`.

    `acceleration` is `auto`, `kvm` or `emulation` (see `acceleration.py`). Raises ValueError for any other name.
    """
    if name == "libvirt":
        from eucapy.drivers.hypervisor.libvirt import LibvirtDriver

        return LibvirtDriver(uri or "qemu:///system", acceleration=acceleration)
    if name == "fake":
        from eucapy.drivers.hypervisor.fake import FakeHypervisor

        if folder is None:
            raise ValueError("the fake hypervisor needs a folder")
        return FakeHypervisor(folder)
    raise ValueError(f"no hypervisor driver is called {name!r}: libvirt, fake")
