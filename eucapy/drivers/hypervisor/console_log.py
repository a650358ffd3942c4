"""The file behind a guest's serial console: its newest bytes, and a bound on the disk space it takes.

The hypervisor appends to the file for as long as the guest lives, and a guest can write without end. Space is given
back by punching a hole over the old part: the writer keeps its place, and nothing new is ever lost or moved.
"""

from __future__ import annotations

from pathlib import Path

from eucapy.drivers.hypervisor.base import HypervisorError
from eucapy.run import RunError, run

_BLOCK = 4096


def tail(path: Path, max_bytes: int) -> bytes:
    """The newest `max_bytes`; reaches into the rotated `<path>.0` where a log daemon keeps one. No file: empty."""
    newest = _tail(path, max_bytes)
    if len(newest) < max_bytes:
        newest = _tail(path.with_name(path.name + ".0"), max_bytes - len(newest)) + newest
    return newest


async def trim(path: Path, keep_bytes: int) -> None:
    """Free what lies before the newest `keep_bytes`, once it is more than that again. Raises HypervisorError."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return
    old = (found.st_size - keep_bytes) // _BLOCK * _BLOCK
    if old <= 0 or found.st_blocks * 512 <= 2 * keep_bytes:
        return
    try:
        await run("fallocate", "--punch-hole", "--offset", "0", "--length", str(old), str(path))
    except RunError as error:
        raise HypervisorError(f"cannot trim the console log: {error}") from error


def _tail(path: Path, max_bytes: int) -> bytes:
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, 2)
            stream.seek(max(0, size - max_bytes))
            return stream.read(max_bytes).lstrip(b"\0")
    except FileNotFoundError:
        return b""
