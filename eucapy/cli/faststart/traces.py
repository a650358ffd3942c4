"""What the cloud changes of the host outside its own folder, and how that is put back: QEMU's user, IP forwarding.

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

FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
_LINKS = Path("/sys/class/net")
_NAMESPACES = Path("/run/netns")
_PROCESSES = Path("/proc")
_OWNER = Path("/var/lib/dpkg/info/libvirt-daemon-system.list")
"""There when the package that makes the user by itself is installed."""


def note_and_prepare(installation: Installation, record: Record) -> None:
    """Before the programs start: note what they will change, and make the user and group that they look for."""
    if not record.made_qemu_user and not _has_user():
        record.made_qemu_user = True
        installation.save(record)
    if not record.turned_forwarding_on and FORWARDING.read_text().strip() == "0":
        record.turned_forwarding_on = True
        installation.save(record)
    libvirtd.ensure_qemu_user()


def put_back(record: Record) -> list[str]:
    """After the programs and guests have ended: what was put back, in words."""
    done = []
    if record.turned_forwarding_on and not _others_may_forward() and FORWARDING.read_text().strip() != "0":
        FORWARDING.write_text("0\n")
        done.append("IP forwarding is off again")
    if record.made_qemu_user and _has_user() and not _OWNER.exists() and not _runs_programs():
        run_now("userdel", libvirtd.QEMU_USER)  # and its group, which is nobody else's
        done.append(f"the user {libvirtd.QEMU_USER} is gone")
    return done


def _has_user() -> bool:
    try:
        pwd.getpwnam(libvirtd.QEMU_USER)
    except KeyError:
        return False
    return True


def _runs_programs() -> bool:
    uid = pwd.getpwnam(libvirtd.QEMU_USER).pw_uid
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
