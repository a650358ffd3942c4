"""How QEMU's user comes to the host's devices: through the group that a device belongs to."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from eucapy.drivers.hypervisor import libvirtd
from eucapy.drivers.hypervisor.libvirtd import QEMU_USER

UNNAMED = next(gid for gid in range(54321, 60000) if gid not in {group.gr_gid for group in grp.getgrall()})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    """The commands that would have been run."""
    commands: list[tuple[str, ...]] = []
    monkeypatch.setattr(libvirtd, "run_now", lambda *argv: commands.append(argv))
    monkeypatch.setattr(libvirtd.pwd, "getpwnam", lambda _name: SimpleNamespace(pw_gid=999))
    monkeypatch.setattr(os, "getgrouplist", lambda _name, own: [own])
    return commands


def device(mode: int, group_id: int) -> Path:
    found = SimpleNamespace(st_mode=stat.S_IFCHR | mode, st_gid=group_id)
    return cast(Path, SimpleNamespace(stat=lambda: found))


def test_it_joins_the_group_of_a_device(asked: list[tuple[str, ...]]) -> None:
    group = next(group for group in grp.getgrall() if group.gr_gid != 0)
    libvirtd._let_use(device(0o660, group.gr_gid), 999)
    assert asked == [("usermod", "--append", "--groups", group.gr_name, QEMU_USER)]


def test_a_group_without_a_name_is_given_one(asked: list[tuple[str, ...]]) -> None:
    """A container that was handed the host's /dev/kvm does not know the host's groups."""
    libvirtd._let_use(device(0o660, UNNAMED), 999)
    name = f"device{UNNAMED}"
    assert asked == [
        ("groupadd", "--system", "--gid", str(UNNAMED), name),
        ("usermod", "--append", "--groups", name, QEMU_USER),
    ]


def test_what_everybody_may_use_needs_nothing(asked: list[tuple[str, ...]]) -> None:
    libvirtd._let_use(device(0o666, UNNAMED), 999)
    assert asked == []
