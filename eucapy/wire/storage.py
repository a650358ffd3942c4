"""The storage controller's messages: the volumes and snapshots of one zone, and to whom they are reachable."""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from eucapy.pace import UNLIMITED, Pace
from eucapy.wire.blocks import BlockAccess
from eucapy.wire.contract import Agent, Fault, Message, Spec, Status
from eucapy.wire.node import NodeSource, ObjectSource


class ExportSpec(Message, frozen=True, kw_only=True):
    """A volume made reachable to one node for one attachment."""

    attachment_id: str
    instance_id: str
    node: str
    node_address: str
    """The node's underlay address. When it is the storage's own host, a unix socket leads to the volume; else TCP with
    TLS, which lets in the node's certificate alone."""


class VolumeSpec(Message, frozen=True, kw_only=True):
    """A volume. `snapshot_id` is what it starts from ("": empty). `made`: it was reported ready once, so that it is lost where
    it is not there. `gone` is the tombstone."""

    volume_id: str
    size_gib: int
    volume_type: str = "gp2"
    snapshot_id: str = ""
    exports: tuple[ExportSpec, ...] = ()
    pace: Pace = UNLIMITED
    made: bool = False
    gone: bool = False


class WrittenSpec(Message, frozen=True, kw_only=True):
    """A snapshot that is written block by block (`blocks.py`), over the content of `parent` ("": of nothing). Once it is
    `sealed` it is made of what was written: `blocks` blocks, with the linear aggregate `checksum` ("": whatever it is).
    `abandoned`: what was written may go."""

    parent: str = ""
    sealed: bool = False
    blocks: int | None = None
    checksum: str = ""
    abandoned: bool = False


class ArchiveSource(Message, frozen=True, kw_only=True):
    """Another zone's archive, which has the snapshot once it is `ready`."""

    zone: str
    ready: bool = False


class SnapshotSpec(Message, frozen=True, kw_only=True):
    """A snapshot, taken of `volume_id` once, or a copy of another one of the same storage (`copy_of`), or made from an
    object of the store (a disk image in whatever format) or from what a node captured, or written by somebody, or of another
    zone and brought here from its `archive` for as long as it is needed. `taken_at`, in seconds since the epoch, orders those
    of a volume; `made` as of a volume. `gone` is the tombstone."""

    snapshot_id: str
    volume_id: str = ""
    copy_of: str = ""
    size_gib: int = 0
    source: ObjectSource | NodeSource | None = None
    written: WrittenSpec | None = None
    archive: ArchiveSource | None = None
    taken_at: float = 0.0
    made: bool = False
    gone: bool = False


class UploadSpec(Message, frozen=True, kw_only=True):
    """A snapshot written as a disk image in `format`, put as parts into an upload of the object store that the cloud controller
    began and will complete. With `description`, an OVF file, what is put is an OVA of that and the disk, which goes by
    `disk_name` in it. `gone` is the tombstone: nothing of it is to be kept."""

    task_id: str
    snapshot_id: str
    format: str
    bucket: str
    key: str
    upload_id: str
    description: str = ""
    disk_name: str = ""
    first_part: int = 1
    """The number of its first part: what comes before has been put already."""
    most_parts: int = 5000
    padded: bool = False
    """Zeros are added until the last part is as large as one that others follow."""
    gone: bool = False


class StorageSpec(Spec, frozen=True, kw_only=True):
    """The whole desired state of a zone's storage."""

    zone: str
    volumes: dict[str, VolumeSpec] = {}
    snapshots: dict[str, SnapshotSpec] = {}
    uploads: dict[str, UploadSpec] = {}


class Presence(StrEnum):
    """What a volume or a snapshot is, as observed."""

    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"
    GONE = "gone"


class ExportStatus(Message, frozen=True, kw_only=True):
    """`address` is the NBD address at which `node` reaches the volume (`nbd+unix:///name?socket=/path` on the same host,
    `nbds://host:port/name` from another); "" while it is not reachable. `node` is "" for an export that no spec names."""

    attachment_id: str
    node: str = ""
    address: str = ""
    fault: Fault | None = None


class VolumeStatus(Message, frozen=True, kw_only=True):
    """One volume as the storage controller sees it."""

    volume_id: str
    presence: Presence
    size_gib: int = 0
    exports: dict[str, ExportStatus] = {}
    pace: Pace = UNLIMITED
    fault: Fault | None = None


class SnapshotStatus(Message, frozen=True, kw_only=True):
    """One snapshot; `progress` in percent, `stage` what is being done: `downloading`, `converting`, `updating`, `storing`;
    empty where there are no stages. `archived`: how much of it is in the archive, in percent; None where there is none;
    `archive_fault`: why that does not go on."""

    snapshot_id: str
    presence: Presence
    progress: int = 0
    stage: str = ""
    archived: int | None = None
    archive_fault: Fault | None = None
    size_gib: int = 0
    fault: Fault | None = None


class UploadStatus(Message, frozen=True, kw_only=True):
    """One upload; `parts` are the ETags of its parts once it is ready, `size_bytes` what they hold. Progress and stage
    (`converting`, `uploading`) as of a snapshot."""

    task_id: str
    presence: Presence
    progress: int = 0
    stage: str = ""
    parts: tuple[str, ...] = ()
    size_bytes: int = 0
    fault: Fault | None = None


class Capacity(Message, frozen=True, kw_only=True):
    """Of the pool that the volumes lie in."""

    total_gib: int
    free_gib: int


class StorageStatus(Status, frozen=True, kw_only=True):
    """The whole observed state of a zone's storage."""

    zone: str
    volumes: dict[str, VolumeStatus] = {}
    snapshots: dict[str, SnapshotStatus] = {}
    uploads: dict[str, UploadStatus] = {}
    archives: bool = False
    """Whether it keeps its snapshots in an archive."""
    strangers: tuple[str, ...] = ()
    capacity: Capacity | None = None
    fault: Fault | None = None


class StorageAgent(Agent[StorageSpec, StorageStatus], BlockAccess, Protocol):
    """A storage controller: the agent's verbs, and its snapshots by blocks."""
