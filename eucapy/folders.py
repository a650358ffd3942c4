"""Folders that belong to root, and which one group may pass through.

Guests' QEMU processes run as a user of their own (`drivers/hypervisor/libvirtd.py`) and open disks and sockets that lie
in the programs' folders. They may pass through those folders (mode 0710) but neither list nor change them; what they may
open is decided file by file. Without a group a folder is closed to all but its owner.
"""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass
from pathlib import Path


class NoSuchGroup(LookupError):
    """The configuration names a group that this host has not."""


class NoSuchUser(LookupError):
    """The configuration names a user that this host has not."""


@dataclass(frozen=True)
class Owner:
    """An unprivileged user that programs run as, and the group that they and their files belong to."""

    user_id: int
    group_id: int


def owner(name: str, through: int | None) -> Owner | None:
    """The user, in the group `through` or else in its own; None for "", nobody but ourselves. Raises NoSuchUser."""
    if not name:
        return None
    try:
        found = pwd.getpwnam(name)
    except KeyError as error:
        raise NoSuchUser(f"there is no user {name}") from error
    return Owner(found.pw_uid, found.pw_gid if through is None else through)


def group_id(name: str) -> int | None:
    """The group's number; None for "", no group. Raises NoSuchGroup."""
    if not name:
        return None
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError as error:
        raise NoSuchGroup(f"there is no group {name}") from error


def ensure_folder(folder: Path, through: int | None = None) -> None:
    """Make the folder, and let members of the group `through` pass it, nobody else. Safe to repeat."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if through is None:
        folder.chmod(0o700)
        return
    os.chown(folder, -1, through)
    folder.chmod(0o710)
