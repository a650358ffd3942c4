"""Files on an ext2, ext3 or ext4 file system inside a disk image, read and written without mounting it.

    files = ExtFiles(disk, start)
    await files.check()                                  # as at a boot: the journal is replayed
    text = await files.read("/etc/fstab")                # None: there is no such file
    await files.apply([Write("/etc/x", b"...", 0o644), Link("/etc/y", "/etc/x")])

debugfs and e2fsck do it, confined (`confinement.py`): no kernel ever sees the hostile file system, and no loop device, no
device-mapper and no mount are needed. Symbolic links are followed within the file system only, all but the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from eucapy.drivers.imaging.confinement import Limits, confined, hand_over
from eucapy.drivers.imaging.headers import Unusable
from eucapy.run import Result, RunError, run

LIMIT_S = 600.0
LARGEST_FILE = 256 << 20
_SAFE = re.compile(r"/[A-Za-z0-9._@+~/-]*")
_FULL = re.compile("Could not allocate|No space|while writing|while expanding")
_REPAIRED = (0, 1, 2, 3)
"""Exit statuses of e2fsck with which the file system is whole."""


@dataclass(frozen=True)
class Write:
    """A file of root's, in the place of what is there; folders on the way are made."""

    path: str
    content: bytes
    mode: int = 0o644


@dataclass(frozen=True)
class Link:
    """A symbolic link, in the place of what is there."""

    path: str
    target: str


Change = Write | Link


class ExtFiles:
    """One file system, `start` bytes into the raw disk. `name`: what the kernel calls the partition, for messages."""

    def __init__(self, disk: Path, start: int) -> None:
        self._disk, self._start = disk, start

    async def check(self) -> None:
        """Replay the journal and mend what a boot would mend. Raises Unusable."""
        with self._disk.open("r+b") as stream:
            done = await self._run(["e2fsck", "-fp", self._place(stream.fileno())], (stream.fileno(),))
        if done.status not in _REPAIRED:
            raise Unusable(f"The file system is damaged: {(done.stdout + done.stderr).strip()[-200:]}")

    async def names(self, folder: str) -> list[str]:
        """Names in a folder; none where there is no such folder."""
        said = await self._ask(f"ls -p {_checked(folder)}")
        lines = (line.split("/") for line in said.splitlines() if line.startswith("/"))
        found = [parts[5] for parts in lines if len(parts) > 5 and parts[1] != "0"]
        return sorted(name for name in found if name not in (".", "..") and _SAFE.fullmatch("/" + name))

    async def kind(self, path: str) -> str:
        """`file`, `folder`, `link`, or "" where there is nothing."""
        said = await self._ask(f"stat {_checked(path)}")
        found = re.search(r"Type: (\w+)", said)
        return {"regular": "file", "directory": "folder", "symlink": "link"}.get(found[1], "other") if found else ""

    async def read(self, path: str, most: int = LARGEST_FILE) -> bytes | None:
        """A plain file's content, None where there is none. Raises Unusable when it is larger than `most`."""
        if await self.kind(path) != "file":
            return None
        with tempfile.TemporaryFile(dir=self._disk.parent) as made, self._disk.open("rb") as stream:
            hand_over(made.fileno())
            request = f"dump {_checked(path)} /proc/self/fd/{made.fileno()}"
            argv = ["debugfs", "-R", request, self._place(stream.fileno())]
            await self._run(argv, (stream.fileno(), made.fileno()), most)
            if os.fstat(made.fileno()).st_size >= most:
                raise Unusable(f"The file {path} of the guest is too large")
            return await asyncio.to_thread(lambda: (made.seek(0), made.read())[1])

    async def text(self, path: str) -> str:
        """A small text file's content, "" where there is none."""
        content = await self.read(path, 1 << 20)
        return content.decode(errors="replace") if content is not None else ""

    async def apply(self, changes: Sequence[Change]) -> None:
        """Make the changes, in their order. Raises Unusable when one did not take."""
        with contextlib.ExitStack() as stack:
            stream = stack.enter_context(self._disk.open("r+b"))
            fds, commands = [stream.fileno()], list[str]()
            for folder in dict.fromkeys(parent for one in changes for parent in _parents(one.path)):
                commands.append(f"mkdir {folder}")
            for one in changes:
                commands.append(f"rm {_checked(one.path)}")
                if isinstance(one, Link):
                    commands.append(f"symlink {one.path} {_checked(one.target)}")
                    continue
                held = stack.enter_context(_held(self._disk.parent, one.content))
                fds.append(held)
                commands.append(f"write /proc/self/fd/{held} {one.path}")
                commands += [f"sif {one.path} {field} {value}" for field, value in
                             (("mode", f"0{0o100000 | one.mode:o}"), ("uid", "0"), ("gid", "0"))]  # fmt: skip
            script = stack.enter_context(_held(self._disk.parent, "\n".join([*commands, ""]).encode()))
            argv = ["debugfs", "-w", "-f", f"/proc/self/fd/{script}", self._place(stream.fileno())]
            done = await self._run(argv, (*fds, script))
        if _FULL.search(done.stderr):
            raise Unusable("The file system of the guest is full")
        for one in changes:
            said = await self._ask(f"stat {one.path}")
            wanted = "symlink" if isinstance(one, Link) else "regular"
            size = len(one.target if isinstance(one, Link) else one.content)
            if not re.search(rf"Type: {wanted}\b.*Size: {size}\b", said, re.S):
                raise Unusable(f"{one.path} could not be written into the guest")

    async def _ask(self, request: str) -> str:
        with self._disk.open("rb") as stream:
            return (
                await self._run(["debugfs", "-R", request, self._place(stream.fileno())], (stream.fileno(),))
            ).stdout

    def _place(self, fd: int) -> str:
        return f"/proc/self/fd/{fd}?offset={self._start}"

    async def _run(self, argv: list[str], fds: tuple[int, ...], most: int = LARGEST_FILE) -> Result:
        size = self._disk.stat().st_size
        hand_over(fds[0])
        limits = Limits(LIMIT_S, file_bytes=max(size, most), processor_s=int(LIMIT_S))
        try:
            return await run(*confined(argv, limits), timeout_s=limits.time_s, check=False, pass_fds=fds)
        except RunError as error:
            raise Unusable("The guest's file system could not be read in time") from error


@contextlib.contextmanager
def _held(folder: Path, content: bytes) -> Iterator[int]:
    """The content as a file without a name that the confined program may open."""
    with tempfile.TemporaryFile(dir=folder) as stream:
        stream.write(content)
        stream.flush()
        hand_over(stream.fileno())
        yield stream.fileno()


def _parents(path: str) -> list[str]:
    return [str(one) for one in reversed(PurePosixPath(path).parents) if str(one) != "/"]


def _checked(path: str) -> str:
    """A path that means itself in debugfs's language."""
    if not _SAFE.fullmatch(path):
        raise Unusable(f"The guest has a file whose name is not supported: {path[:80]!r}")
    return path
