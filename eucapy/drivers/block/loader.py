"""Chooses the block driver by its name in the configuration."""

from __future__ import annotations

import grp
from pathlib import Path

from eucapy.drivers.block.base import BadRequest, BlockDriver
from eucapy.drivers.block.fake import FakeDriver
from eucapy.drivers.block.files import FilesDriver

NAMES = ("files", "fake")


def load(name: str, folder: Path, run_folder: Path, *, export_group: str = "", reserve_gib: int = 0) -> BlockDriver:
    """The driver called `name` over the pool in `folder`. Raises BadRequest for an unknown name or group."""
    if name == "fake":
        return FakeDriver(folder)
    if name == "files":
        group_id = None
        if export_group:
            try:
                group_id = grp.getgrnam(export_group).gr_gid
            except KeyError as error:
                raise BadRequest(f"there is no group {export_group}") from error
        return FilesDriver(folder, run_folder, export_group_id=group_id, reserve_gib=reserve_gib)
    raise BadRequest(f"unknown block driver {name!r}: one of {', '.join(NAMES)}")
