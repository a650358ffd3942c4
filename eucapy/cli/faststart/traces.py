"""What the cloud changes of the host outside its own folder, and how that is put back: two users, IP forwarding, an address.

Guests' QEMU processes are one user; the storage daemons that serve volumes are another, in the same group, so that a guest
that breaks out of QEMU reads neither volumes' files nor the storage's certificate.

A host that has no address but loopback's could not talk with its guests: it gets one that means nothing to anybody.

Noted in the installation's record before it is changed, so that `clean` takes back what this cloud changed and nothing that
was so before. What others may rely on by now stays: a user that runs programs or that a package looks after, forwarding on a
host with bridges or network namespaces.
"""

from __future__ import annotations

import json
import pwd
from pathlib import Path

from eucapy.cli.installation import Installation, Record
from eucapy.drivers.hypervisor import libvirtd
from eucapy.run import run_now

STORAGE_USER = "eucapy-storage"
OWN_ADDRESS = "192.0.0.8/32"
"""IPv4's dummy address (RFC 7600): good for a source, and nobody's."""
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
    if not _addresses():
        record.made_address = True
        installation.save(record)
        run_now("ip", "address", "add", OWN_ADDRESS, "dev", "lo")
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
    if record.made_address and OWN_ADDRESS in _addresses():
        run_now("ip", "address", "delete", OWN_ADDRESS, "dev", "lo")
        done.append(f"{OWN_ADDRESS} is gone")
    if record.made_storage_user and _has_user(STORAGE_USER) and not _runs_programs(STORAGE_USER):
        run_now("userdel", STORAGE_USER)
        done.append(f"the user {STORAGE_USER} is gone")
    alone = not _has_user(STORAGE_USER) and not _OWNER.exists()
    if record.made_qemu_user and alone and _has_user(libvirtd.QEMU_USER) and not _runs_programs(libvirtd.QEMU_USER):
        run_now("userdel", libvirtd.QEMU_USER)  # and its group, which is nobody else's
        done.append(f"the user {libvirtd.QEMU_USER} is gone")
    return done


def _addresses() -> set[str]:
    """The IPv4 addresses of this host that are good for more than itself, each with the length of its prefix."""
    links = json.loads(run_now("ip", "-json", "-4", "address", "show", "scope", "global").stdout or "[]")
    found = [held for link in links for held in link.get("addr_info", ())]
    return {f"{held['local']}/{held['prefixlen']}" for held in found if "local" in held}


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
