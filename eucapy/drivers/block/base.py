"""Block storage as the storage controller needs it: the interface of the driver family, its states and its errors.

A driver holds volumes and snapshots of one pool and makes volumes reachable over NBD. It knows nothing of accounts, specs
or the database. Every verb is idempotent: called again, with the same arguments, after any crash, it ends in the same
state. A verb returns when its effect is durable.

    volume      absent ──ensure_volume──► there ──ensure_export──► exported ──remove_export──► there ──remove_volume──► absent
    snapshot    absent ──ensure_snapshot | copy_snapshot | import_snapshot──► there ──remove_snapshot──► absent
                absent ──put_block──► draft ──seal_snapshot──► there

* A snapshot is the volume at one moment between the call and its return, crash-consistent, whether or not the volume is
  exported and written meanwhile. It never changes afterwards.
* Volumes and snapshots are independent once made: removing one never harms another, whatever shares its blocks.
* A volume has one writer: it is exported for one attachment on one node at a time.
* A snapshot can be read by blocks of 512 KiB, and one that is not made yet written by them: a draft, which becomes a snapshot
  by `seal_snapshot` and goes with `remove_snapshot`.
* An export outlives the process that made it. One whose server died is observed without an address; `ensure_export`
  brings it back with everything that was flushed.

Implementations: `files.py` (qcow2 chains, the embedded default), `fake.py`. Chosen by `loader.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from eucapy.pace import UNLIMITED, Pace

GIB = 1 << 30
BLOCK_BYTES = 512 << 10
"""What snapshots are read and written by. Source: EBS direct APIs, "Concepts"."""

_ID = re.compile(r"[a-z][a-z0-9-]{1,24}")


class BlockError(Exception):
    """A verb could not be done. `code` is stable; `final` says that the same call will never succeed."""

    code = "StorageFailure"
    final = False


class BadRequest(BlockError):
    """An id, a size or a format that no driver takes."""

    code = "InvalidRequest"
    final = True


class NoSuchVolume(BlockError):
    code = "VolumeNotFound"


class NoSuchSnapshot(BlockError):
    code = "SnapshotNotFound"


class InUse(BlockError):
    """The volume is exported, or exported for another attachment."""

    code = "VolumeInUse"


class NoSpace(BlockError):
    """The pool has no room; it may have later."""

    code = "InsufficientVolumeCapacity"


class TooManySnapshots(BlockError):
    """The volume has as many snapshots as the driver can keep."""

    code = "SnapshotLimitExceeded"


class UnusableImage(BlockError):
    """What shall be imported is not an image that can be read."""

    code = "InvalidImage"
    final = True


class NotADraft(BlockError):
    """The snapshot is made: no block can be put into it."""

    code = "SnapshotSealed"
    final = True


class WrittenOtherwise(BlockError):
    """What was put into a draft is not what its writer says."""

    code = "ChecksumMismatch"
    final = True


class Unrelated(BlockError):
    """Two snapshots that have no volume or snapshot in common that both come from."""

    code = "UnrelatedSnapshots"
    final = True


class PoolLost(BlockError):
    """The pool is not the one that was opened: its file system is not mounted, or it is damaged."""

    code = "PoolLost"


@dataclass(frozen=True)
class Capabilities:
    """What a driver can do. `grows_exported`: `grow` also works on an exported volume."""

    name: str
    grows_exported: bool
    largest_gib: int


@dataclass(frozen=True)
class ExportSeen:
    """An export. `address`: where it is reachable ("": its server is not running). `node`: the node of another host that
    it is for; "" when it is on this host's socket."""

    address: str
    node: str = ""


@dataclass(frozen=True)
class VolumeSeen:
    """A volume that exists, with its exports by attachment."""

    volume_id: str
    size_gib: int
    snapshot_id: str = ""
    exports: Mapping[str, ExportSeen] = field(default_factory=dict)
    pace: Pace = UNLIMITED


@dataclass(frozen=True)
class SnapshotSeen:
    """A snapshot that exists. `volume_id` is "" for one that was copied or imported."""

    snapshot_id: str
    size_gib: int
    volume_id: str = ""


@dataclass(frozen=True)
class HeldBlocks:
    """Blocks in their order, by index. Of a comparison, `before` are those of them that the older snapshot holds. `next`: from
    which block on to ask again; None at the end."""

    indexes: tuple[int, ...]
    before: frozenset[int] = frozenset()
    next: int | None = None


@dataclass(frozen=True)
class PoolSeen:
    """Everything in a pool. `pool_id` tells this pool from an empty folder that took its place. `drafts`: snapshots that are
    being written by blocks."""

    pool_id: str
    volumes: Mapping[str, VolumeSeen]
    snapshots: Mapping[str, SnapshotSeen]
    total_gib: int = 0
    free_gib: int = 0
    drafts: frozenset[str] = frozenset()


class BlockDriver(Protocol):
    """The verbs. Each may raise BlockError; the classes above say what for."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def open(self, on_change: Callable[[], None]) -> None:
        """Take the pool over after whatever happened before: finish what was half done, collect leftovers, find the
        exports that still run. `on_change` is called when an export's server dies. Raises PoolLost."""
        ...

    async def close(self) -> None:
        """Let go of the pool. Exports go on."""
        ...

    async def observe(self) -> PoolSeen: ...

    async def ensure_volume(self, volume_id: str, size_gib: int, snapshot_id: str = "") -> None:
        """A volume of at least `size_gib`: empty, or with a snapshot's content (and never smaller than it).

        One that exists is left as it is. Raises NoSuchSnapshot, NoSpace, BadRequest."""
        ...

    async def grow(self, volume_id: str, size_gib: int) -> None:
        """Of an exported volume, its clients see the new size when they connect again, which they are made to. Raises
        NoSuchVolume, InUse (see `Capabilities.grows_exported`), BadRequest when it would shrink."""
        ...

    async def set_pace(self, volume_id: str, pace: Pace) -> None:
        """How fast the volume may be from now on, whether or not it is exported; a new one is not limited. Raises
        NoSuchVolume."""
        ...

    async def remove_volume(self, volume_id: str) -> None:
        """Removing what is not there succeeds. Raises InUse while it is exported."""
        ...

    async def ensure_snapshot(self, snapshot_id: str, volume_id: str) -> None:
        """Raises NoSuchVolume. A snapshot that exists is left as it is."""
        ...

    async def copy_snapshot(self, snapshot_id: str, source_id: str) -> None:
        """A snapshot with the content of another, which may be removed afterwards. One that exists is left as it is. Raises
        NoSuchSnapshot."""
        ...

    async def import_snapshot(self, snapshot_id: str, image: Path, image_format: str, size_gib: int) -> None:
        """Make a snapshot of a local file (`raw` or `qcow2`), at least `size_gib` large. The file is only read.

        Raises UnusableImage, NoSpace."""
        ...

    async def held_blocks(self, snapshot_id: str, first: int, most: int, than: str = "") -> HeldBlocks:
        """The blocks from `first` on that were ever written, at most `most`; with `than`, a snapshot with which this one shares
        its beginnings, those that may differ between the two. Raises NoSuchSnapshot, Unrelated."""
        ...

    async def read_block(self, snapshot_id: str, index: int) -> bytes:
        """`BLOCK_BYTES`: zeros where nothing was written, and past the end. Raises NoSuchSnapshot."""
        ...

    async def put_block(self, snapshot_id: str, index: int, content: bytes) -> None:
        """Put a block of a snapshot that is still to be made; the last one put at an index counts. Raises NotADraft, NoSpace,
        BadRequest."""
        ...

    async def seal_snapshot(
        self, snapshot_id: str, size_gib: int, parent_id: str = "", blocks: int | None = None, checksum: str = ""
    ) -> None:
        """Make a snapshot of what was put, which may be nothing, over the content of `parent_id`. `blocks`: how many of them
        there must be; `checksum` the linear aggregate of their SHA-256 ("": whatever it is). A snapshot that exists is left
        as it is. Raises WrittenOtherwise, NoSuchSnapshot, BadRequest (also when the parent is larger)."""
        ...

    async def write_out(self, snapshot_id: str, image: Path) -> None:
        """Write the snapshot's content to a new local file, raw, as large as the snapshot, with holes where it has none.

        Raises NoSuchSnapshot, NoSpace."""
        ...

    async def remove_snapshot(self, snapshot_id: str) -> None:
        """Removing what is not there succeeds; a draft goes too. Volumes made from it, and older and newer snapshots, stay
        whole."""
        ...

    async def ensure_export(self, volume_id: str, attachment_id: str, node: str = "") -> str:
        """Make the volume reachable and return its NBD address.

        On this host: `nbd+unix:///<volume id>?socket=<absolute path>`. To the node `node` of another host, and to it alone:
        `nbds://<host>:<port>/<volume id>`, with TLS. It keeps its address while it lasts. Raises NoSuchVolume, InUse
        (also when it is exported for the same attachment to another node), and BadRequest where no certificate allows
        exports to other hosts."""
        ...

    async def remove_export(self, volume_id: str, attachment_id: str) -> None:
        """End the export; what its client wrote is in the volume. Ending what is not there succeeds."""
        ...


def check_id(identifier: str) -> str:
    """An id that is safe as a file name, an NBD export's name and a QEMU node's name. Raises BadRequest."""
    if not _ID.fullmatch(identifier):
        raise BadRequest(f"not an id of a volume or snapshot: {identifier!r}")
    return identifier


def check_block(index: int, content: bytes) -> None:
    """Raises BadRequest."""
    if not 0 <= index < 1 << 32 or len(content) != BLOCK_BYTES:
        raise BadRequest(f"block {index} of {len(content)} bytes: a block has {BLOCK_BYTES}")


def check_written(snapshot_id: str, has: int, aggregate: str, blocks: int | None, checksum: str) -> None:
    """Whether a draft is what its writer says. Raises WrittenOtherwise."""
    if blocks is not None and blocks != has:
        raise WrittenOtherwise(f"{has} blocks of {snapshot_id} were written, and not {blocks}")
    if checksum and checksum != aggregate:
        raise WrittenOtherwise(f"the checksum of {snapshot_id} is {aggregate}, and not {checksum}")


def check_size(size_gib: int, capabilities: Capabilities) -> int:
    """Raises BadRequest."""
    if not 1 <= size_gib <= capabilities.largest_gib:
        raise BadRequest(f"a size of {size_gib} GiB: from 1 to {capabilities.largest_gib} is possible")
    return size_gib


def whole_gib(size_bytes: int) -> int:
    """Bytes as GiB, rounded up."""
    return -(-size_bytes // GIB)
