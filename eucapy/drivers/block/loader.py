"""Chooses the block driver by its name in the configuration."""

from __future__ import annotations

from pathlib import Path

from eucapy.drivers.block.base import BadRequest, BlockDriver
from eucapy.drivers.block.exporter import Remote
from eucapy.drivers.block.fake import FakeDriver
from eucapy.drivers.block.files import FilesDriver
from eucapy.folders import NoSuchGroup, NoSuchUser, group_id, owner

NAMES = ("files", "fake")


def load(
    name: str,
    folder: Path,
    run_folder: Path,
    *,
    export_group: str = "",
    export_user: str = "",
    reserve_gib: int = 0,
    remote: Remote | None = None,
) -> BlockDriver:
    """The driver called `name` over the pool in `folder`; `remote`: how other hosts reach its volumes. Raises BadRequest
    for an unknown name, group or user."""
    if name == "fake":
        return FakeDriver(folder)
    if name == "files":
        try:
            group = group_id(export_group)
            user = owner(export_user, group)
        except (NoSuchGroup, NoSuchUser) as error:
            raise BadRequest(str(error)) from error
        return FilesDriver(
            folder, run_folder, export_group_id=group, reserve_gib=reserve_gib, remote=remote, owner=user
        )
    raise BadRequest(f"unknown block driver {name!r}: one of {', '.join(NAMES)}")
