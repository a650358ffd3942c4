"""Layers: the qcow2 files that volumes and snapshots are made of, and which of them anybody still needs.

    snap-1 ─────────────► vol-a.0   (frozen)
                             ▲
    snap-2 ──► vol-a.1 ──────┤      (frozen; backed by vol-a.0)
                  ▲          │
    vol-a ──► vol-a.2     vol-b.0 ◄── vol-b, made from snap-1

A layer is written by at most one storage daemon while it is a volume's head, and never again once a snapshot froze it.
It is made under a temporary name, synced and renamed, so that a name always stands for a whole file; its own header
names the layer beneath it, so that there is no second truth about chains. A layer that no record reaches is garbage:
`collect` removes it. Who reaches what: `records.py`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

from eucapy import ledger
from eucapy.drivers.block.base import GIB, NoSpace, PoolLost, UnusableImage
from eucapy.folders import Owner, ensure_folder
from eucapy.run import RunError, run

log = logging.getLogger(__name__)

SUFFIX = ".qcow2"
NEW = ".new"
FULL = "the pool is full"
IMPORT_MEMORY_BYTES = 2 << 30
IMPORT_CPU_S = 1800
IMPORT_LIMIT_S = 3600.0
REBASE_LIMIT_S = WRITE_LIMIT_S = 6 * 3600.0


class Layers:
    """The folder of layers of one pool."""

    def __init__(self, folder: Path, owner: Owner | None = None) -> None:
        """Layers belong to `owner`, who serves them; the folder stays ours."""
        self.folder = folder
        self._owner = owner
        self.damaged: set[str] = set()
        """Layers whose header cannot be read: chains over them fail, the rest of the pool goes on."""
        self._parents: dict[str, str] = {}

    def open(self) -> None:
        """Learn what is there; remove what was not finished."""
        ensure_folder(self.folder, self._owner.group_id if self._owner is not None else None)
        self._parents.clear()
        self.damaged.clear()
        for path in self.folder.iterdir():
            if path.name.endswith(NEW):
                path.unlink()
            elif path.name.endswith(SUFFIX):
                self._hand_over(path)
                layer = path.name.removesuffix(SUFFIX)
                try:
                    self._parents[layer] = _parent_in_header(path)
                except (PoolLost, ValueError, struct.error) as error:
                    log.error("damaged layer", extra={"data": {"item": layer, "reason": str(error)}})
                    self.damaged.add(layer)

    def __contains__(self, layer: str) -> bool:
        return layer in self._parents

    def path(self, layer: str) -> Path:
        return self.folder / (layer + SUFFIX)

    async def ensure(self, layer: str, size_gib: int, parent: str = "") -> None:
        """An empty layer over `parent` (or over nothing). One that exists is left as it is."""
        if layer in self._parents:
            return
        new = self._new(layer)
        backing = ["-F", "qcow2", "-u", "-b", parent + SUFFIX] if parent else []
        with _none_left(new):
            await _make("qemu-img", "create", "-q", "-f", "qcow2", *backing, str(new), str(size_gib * GIB))
            self._publish(new, layer, parent)

    async def convert(self, layer: str, image: Path, image_format: str, size_gib: int) -> None:
        """A layer that stands alone, with the content of `image`, which is hostile until it has been read.

        The caller has inspected its header (`eucapy.diskimage`): nothing outside is named there. What QEMU may use while it
        reads the rest is limited. Raises UnusableImage, NoSpace."""
        new = self._new(layer)
        limits = ["prlimit", f"--as={IMPORT_MEMORY_BYTES}", f"--cpu={IMPORT_CPU_S}", "--core=0", "--nofile=64", "--"]
        convert = ["qemu-img", "convert", "-q", "-f", image_format, "-O", "qcow2", str(image), str(new)]
        with _none_left(new):
            try:
                await run(*limits, *convert, timeout_s=IMPORT_LIMIT_S)
            except RunError as error:
                if "No space left" in error.stderr:
                    raise NoSpace(FULL) from error
                raise UnusableImage(f"the image cannot be read: {error.stderr.strip()[-300:]}") from error
            await _make("qemu-img", "resize", "-q", "-f", "qcow2", str(new), str(size_gib * GIB))
            self._publish(new, layer, "")

    def adopt(self, layer: str, image: Path, parent: str) -> None:
        """Make a qcow2 file that stands on `parent`, and lies on the same file system, a layer too. One that exists is left as
        it is."""
        if layer in self._parents:
            return
        new = self._new(layer)
        os.link(image, new)
        self._publish(new, layer, parent)

    async def write_out(self, layer: str, image: Path, size_gib: int) -> None:
        """What a frozen layer shows, as a raw file with holes. Raises NoSpace."""
        with _none_left(image):
            try:
                source = str(self.path(layer))
                await run(
                    "qemu-img", "convert", "-q", "-f", "qcow2", "-O", "raw", source, str(image), timeout_s=WRITE_LIMIT_S
                )
                os.truncate(image, size_gib * GIB)
            except RunError as error:
                if "No space left" in error.stderr:
                    raise NoSpace(FULL) from error
                raise

    async def grow(self, layer: str, size_gib: int) -> None:
        """Make a layer that nobody has open at least this large."""
        if _virtual_bytes(self.path(layer)) < size_gib * GIB:
            await _make("qemu-img", "resize", "-q", "-f", "qcow2", str(self.path(layer)), str(size_gib * GIB))

    async def rebase(self, layer: str, parent: str) -> None:
        """Let a layer that nobody has open stand on `parent` ("" for nothing), taking over what lay between."""
        argv = ["qemu-img", "rebase", "-q", "-f", "qcow2", "-F", "qcow2", "-b", parent + SUFFIX, str(self.path(layer))]
        if not parent:
            argv = ["qemu-img", "rebase", "-q", "-f", "qcow2", "-b", "", str(self.path(layer))]
        await run(*argv, timeout_s=REBASE_LIMIT_S)

    def reparented(self, layer: str, parent: str) -> None:
        """Note that the layer stands on `parent` now; its header must say so. Raises PoolLost."""
        if _parent_in_header(self.path(layer)) != parent:
            raise PoolLost(f"the layer {layer} does not stand on {parent or 'nothing'}")
        self._parents[layer] = parent

    def parent(self, layer: str) -> str:
        return self._parents[layer]

    def children(self, layer: str) -> list[str]:
        return [name for name, parent in self._parents.items() if parent == layer]

    def stored_bytes(self, layer: str) -> int:
        """What the layer takes on disk."""
        return self.path(layer).stat().st_blocks * 512

    def collect(self, roots: Iterable[str]) -> list[str]:
        """Remove every layer that no root stands on. Returns their names. While a layer is damaged nothing is removed,
        because what it stands on is not known."""
        if self.damaged:
            return []
        needed: set[str] = set()
        for root in roots:
            layer = root
            while layer and layer not in needed:
                needed.add(layer)
                layer = self._parents.get(layer, "")
        garbage = sorted(set(self._parents) - needed)
        for layer in garbage:
            self.path(layer).unlink(missing_ok=True)
            del self._parents[layer]
        if garbage:
            ledger.sync_folder(self.folder)
        return garbage

    def chain(self, layer: str) -> list[str]:
        """The layer and all beneath it, top first. Raises PoolLost when one is missing."""
        chain: list[str] = []
        while layer:
            if layer not in self._parents:
                raise PoolLost(f"the layer {layer} is missing")
            chain.append(layer)
            layer = self._parents[layer]
        return chain

    def stands_on(self, layer: str, beneath: str) -> bool:
        """Whether `beneath` is in the layer's chain, as far as that is there."""
        while layer in self._parents and layer != beneath:
            layer = self._parents[layer]
        return layer == beneath

    def _new(self, layer: str) -> Path:
        new = self.folder / f".{layer}{NEW}"
        new.unlink(missing_ok=True)
        return new

    def _hand_over(self, path: Path) -> None:
        owner = self._owner
        if owner is not None and path.stat().st_uid != owner.user_id:
            os.chown(path, owner.user_id, owner.group_id)

    def _publish(self, new: Path, layer: str, parent: str) -> None:
        new.chmod(0o600)
        self._hand_over(new)
        ledger.sync_file(new)
        new.replace(self.path(layer))
        ledger.sync_folder(self.folder)
        self._parents[layer] = parent


@contextlib.contextmanager
def _none_left(new: Path) -> Iterator[None]:
    """A layer that is not finished goes at once: a full pool has no room for it."""
    try:
        yield
    except BaseException:
        new.unlink(missing_ok=True)
        raise


async def _make(*argv: str) -> None:
    try:
        await run(*argv, timeout_s=60.0)
    except RunError as error:
        if "No space left" in error.stderr:
            raise NoSpace(FULL) from error
        raise


def _header(path: Path) -> bytes:
    with path.open("rb") as file:
        head = file.read(2048)
    if head[:4] != b"QFI\xfb":
        raise PoolLost(f"{path} is not a layer")
    return head


def _parent_in_header(path: Path) -> str:
    head = _header(path)
    offset, length = struct.unpack_from(">QI", head, 8)
    if not offset:
        return ""
    return head[offset : offset + length].decode().removesuffix(SUFFIX)


def _virtual_bytes(path: Path) -> int:
    return int(struct.unpack_from(">Q", _header(path), 24)[0])
