"""What the cloud changes of the host outside its own folder, and how that is put back: two users, IP forwarding.

Guests' QEMU processes are one user; the storage daemons that serve volumes are another, in the same group, so that a guest
that breaks out of QEMU reads neither volumes' files nor the storage's certificate.

Noted in the installation's record before it is changed, so that `clean` takes back what this cloud changed and nothing that
was so before. What others may rely on by now stays: a user that runs programs or that a package looks after, forwarding on a
host with bridges or network namespaces.
"""

from __future__ import annotations

import pwd
from pathlib import Path

from eucapy.cli.installation import Installation, Record
from eucapy.drivers.hypervisor import libvirtd
from eucapy.run import run_now

STORAGE_USER = "eucapy-storage"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_LINKS = Path("/sys/class/net")
_NAMESPACES = Path("/run/netns")
_PROCESSES = Path("/proc")
_OWNER = Path("/var/lib/dpkg/info/libvirt-daemon-system.list")
"""There when the package that makes the user by itself is installed."""


def note_and_prepare(installation: Installation, record: Record) -> None:
    """Before the programs start: note what they will change, and make the user and group that they look for."""
    if not record.made_qemu_user and not _has_user(libvirtd.QEMU_USER):
        record.made_qemu_user = True
        installation.save(record)
    if not record.turned_forwarding_on and FORWARDING.read_text().strip() == "0":
        record.turned_forwarding_on = True
        installation.save(record)
    libvirtd.ensure_qemu_user()
    if not _has_user(STORAGE_USER):
        record.made_storage_user = True
        installation.save(record)
        nologin = ("--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
        run_now("useradd", "--system", "--gid", libvirtd.QEMU_USER, *nologin, STORAGE_USER)


def put_back(record: Record) -> list[str]:
    """After the programs and guests have ended: what was put back, in words."""
    done = []
    if record.turned_forwarding_on and not _others_may_forward() and FORWARDING.read_text().strip() != "0":
        FORWARDING.write_text("0\n")
        done.append("IP forwarding is off again")
    if record.made_storage_user and _has_user(STORAGE_USER) and not _runs_programs(STORAGE_USER):
        run_now("userdel", STORAGE_USER)
        done.append(f"the user {STORAGE_USER} is gone")
    alone = not _has_user(STORAGE_USER) and not _OWNER.exists()
    if record.made_qemu_user and alone and _has_user(libvirtd.QEMU_USER) and not _runs_programs(libvirtd.QEMU_USER):
        run_now("userdel", libvirtd.QEMU_USER)  # and its group, which is nobody else's
        done.append(f"the user {libvirtd.QEMU_USER} is gone")
    return done


def _has_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _runs_programs(name: str) -> bool:
    uid = pwd.getpwnam(name).pw_uid
    for entry in _PROCESSES.iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                return True
        except FileNotFoundError:
            continue
    return False


def _others_may_forward() -> bool:
    bridges = any((link / "bridge").exists() for link in _LINKS.iterdir())
    return bridges or (_NAMESPACES.is_dir() and any(_NAMESPACES.iterdir()))
