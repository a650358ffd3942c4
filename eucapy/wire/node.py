"""The node controller's messages: what a node shall run, and what it runs.

Sizes are in MiB or GiB as their names say; times are seconds since the epoch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Protocol

from eucapy.wire.contract import Agent, Fault, Message, Spec, Status


class ObjectSource(Message, frozen=True, kw_only=True, tag="object"):
    """An image held by the object store, fetched by the component's own certificate from the store's internal port."""

    bucket: str
    key: str
    etag: str
    size_bytes: int
    format: str
    """`raw` or `qcow2`: what the bytes are, as found at registration. For storage also `vmdk`, `vhd`, `vhdx`: as its owner
    says."""
    start: int = 0
    """Where the disk begins in the object, in bytes: it may be a member of an archive."""
    length_bytes: int = 0
    """Of the disk in the object; 0: all that follows `start`."""

    adapt: bool = False
    """For storage: the machine on the disk is made able to run here before it is stored."""

    @property
    def fetched_bytes(self) -> int:
        """How much of the object is wanted."""
        return self.length_bytes or self.size_bytes - self.start


class NodeSource(Message, frozen=True, kw_only=True, tag="node"):
    """A capture of an instance's root disk, held by the instance's node until the storage has it: a qcow2 file that stands
    alone, fetched from the node's own port."""

    node: str
    url: str
    """Of the node controller."""
    instance_id: str
    snapshot_id: str
    size_bytes: int


class ImageRoot(Message, frozen=True, kw_only=True, tag="image"):
    """A root disk that lives on the node: a copy-on-write overlay over the cached image."""

    image_id: str
    source: ObjectSource
    size_gib: int
    """At least this; never smaller than the image itself. 0: as large as the image."""


class VolumeRoot(Message, frozen=True, kw_only=True, tag="volume"):
    """The root disk is the volume in `InstanceSpec.disks` with this id."""

    volume_id: str


class DiskSpec(Message, frozen=True, kw_only=True):
    """A volume as a disk of the guest. `export` is where the storage controller made it reachable for this node."""

    volume_id: str
    attachment_id: str
    device: str
    """The name that EC2 shows, for example `/dev/sdf`."""
    export: str
    """An NBD address: `nbd+unix:///<export name>?socket=<path>`, or `nbds://<host>:<port>/<export name>` of another host."""
    size_gib: int = 0
    """The volume's size as its storage reported it; a guest that runs is told when it grows. 0: not known."""


class EphemeralSpec(Message, frozen=True, kw_only=True):
    """An instance-store disk of its own, empty at first start and gone with the instance."""

    name: str
    device: str
    size_gib: int


class NicSpec(Message, frozen=True, kw_only=True):
    """A network interface of the guest. Its packets are eucanetd's; nc only plugs the tap `tap` into the domain."""

    interface_id: str
    device_index: int
    mac: str
    tap: str
    vpc_id: str
    vpc_cidrs: tuple[str, ...]
    """The VPC's blocks, its first one first."""
    subnet_id: str
    subnet_cidr: str
    private_ips: tuple[str, ...]
    ipv6s: tuple[str, ...] = ()
    vpc_cidrs6: tuple[str, ...] = ()
    subnet_cidr6: str = ""
    attachment_id: str = ""
    gone: bool = False
    """The tombstone: the guest shall let go of it. It is kept until the status says `released`."""
    public_ip: str = ""
    private_dns: str = ""
    public_dns: str = ""
    owner_id: str = ""
    group_ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()


class MetadataOptions(Message, frozen=True, kw_only=True):
    """EC2's InstanceMetadataOptions, as the service on the node obeys them."""

    enabled: bool = True
    tokens_required: bool = False
    hop_limit: int = 1
    tags: bool = False


class RoleCredentials(Message, frozen=True, kw_only=True):
    """Credentials of the role that an instance's profile has, for the guest alone: `sealed` opens with the node's key
    (`HostFacts.sealing_key`, about the instance's id) and is msgspec JSON of `RoleSecrets`, so that no ledger and no log on the
    way holds them."""

    role: str
    sealed: str
    issued_at: int
    expires_at: int


class RoleSecrets(Message, frozen=True, kw_only=True):
    """What is in the box."""

    access_key_id: str
    secret: str
    token: str

    def __repr__(self) -> str:
        return f"RoleSecrets({self.access_key_id})"


class MetadataSpec(Message, frozen=True, kw_only=True):
    """What the metadata service answers for an instance, beside what the other parts of its spec say."""

    account_id: str
    region: str
    zone: str
    zone_id: str = ""
    """AWS's id of the zone, such as `use1-az6`; "" for a zone that the cloud does not have any more."""
    image_id: str
    instance_type: str
    reservation_id: str
    launch_index: int = 0
    launched_at: float = 0.0
    architecture: str = "x86_64"
    hostname: str = ""
    public_keys: tuple[tuple[str, str], ...] = ()
    """(key pair name, OpenSSH public key)."""
    user_data: str | None = None
    """Base64; None when there is none (404), "" when it is empty."""
    block_devices: tuple[tuple[str, str], ...] = ()
    """(`ami`, `/dev/sda1`), (`ebs1`, `/dev/sdf`) and so on."""
    tags: tuple[tuple[str, str], ...] = ()
    instance_profile_arn: str = ""
    instance_profile_id: str = ""
    instance_profile_at: int = 0
    """When it was associated."""
    credentials: RoleCredentials | None = None
    options: MetadataOptions = MetadataOptions()


class InstanceSpec(Message, frozen=True, kw_only=True):
    """One instance's incarnation on this node.

    `run` says whether it shall be powered; `starts` and `reboots` are counters: the agent starts a guest that ended by
    itself only when `starts` has grown past the one it ended under, and reboots while `reboots` is ahead of its own.
    `gone` is the tombstone: power off, remove everything of it, report it `gone` until the item disappears.
    """

    instance_id: str
    uuid: str
    vcpus: int
    memory_mib: int
    root: ImageRoot | VolumeRoot
    root_device: str
    nics: tuple[NicSpec, ...]
    metadata: MetadataSpec
    run: bool = True
    starts: int = 1
    reboots: int = 0
    gone: bool = False
    force_stop: bool = False
    disks: tuple[DiskSpec, ...] = ()
    ephemerals: tuple[EphemeralSpec, ...] = ()
    architecture: str = "x86_64"
    boot_mode: str = "legacy-bios"
    rest: str = ""
    """Not "": the guest shall be down for a moment, whatever `run` says, because its disks are being copied; why, so that
    one reason is told from the next. It is started again when this is over."""
    captures: tuple[str, ...] = ()
    """Snapshot ids: for each, a copy of the root disk as it was at one moment, kept until it is named no more."""


class NodeSpec(Spec, frozen=True, kw_only=True):
    """The whole desired state of a node."""

    node: str
    instances: dict[str, InstanceSpec] = {}


class Power(StrEnum):
    """What a guest is, as observed."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    OFF = "off"
    GONE = "gone"


class End(StrEnum):
    """Why a guest is off."""

    NONE = ""
    ASKED = "asked"
    GUEST = "guest"
    CRASHED = "crashed"


class CaptureStatus(Message, frozen=True, kw_only=True):
    """A copy of a root disk that is ready (`size_bytes`), or that the node has given up (`fault`)."""

    size_bytes: int = 0
    fault: Fault | None = None


class InstanceStatus(Message, frozen=True, kw_only=True):
    """One instance as the node sees it. `starts` and `reboots` are the counters it has caught up with."""

    instance_id: str
    power: Power
    end: End = End.NONE
    starts: int = 0
    reboots: int = 0
    disks: tuple[str, ...] = ()
    """Attachment ids of the volumes that are in the domain now."""
    disk_gib: dict[str, int] = {}
    """By attachment id: how large the guest knows these to be."""
    nics: tuple[str, ...] = ()
    """Attachment ids of the network interfaces that are in the running domain now, of those that shall be."""
    released: tuple[str, ...] = ()
    """Attachment ids of network interfaces with a tombstone that the domain has no more."""
    resting: str = ""
    """The `rest` of the spec, once the guest is down for it."""
    captures: dict[str, CaptureStatus] = {}
    """Those of the spec's captures that came to an end, good or bad."""
    started_at: float = 0.0
    responsive: bool = True
    """False while the hypervisor says paused or blocked: the instance's status check fails."""
    phase: str = ""
    """What the node is doing for it (`fetching image 40%`), for people."""
    fault: Fault | None = None


class HostFacts(Message, frozen=True, kw_only=True):
    """What the node has, and what of it is taken by the operating system's reserve."""

    cpus: int
    memory_mib: int
    disk_gib: int
    disk_free_gib: int
    architecture: str = "x86_64"
    accelerated: bool = False
    """True: KVM. False: QEMU's emulation."""
    cpu_model: str = ""
    sealing_key: str = ""
    """The public key that secrets for this node are sealed with (`eucapy/box.py`)."""


class NodeStatus(Status, frozen=True, kw_only=True):
    """The whole observed state of a node."""

    node: str
    host: HostFacts | None = None
    instances: dict[str, InstanceStatus] = {}
    strangers: tuple[str, ...] = ()
    cached_images: tuple[str, ...] = ()
    fault: Fault | None = None
    """The node as a whole cannot work (hypervisor away, disk full)."""


class Console(Message, frozen=True, kw_only=True):
    """The newest bytes of a guest's serial console, base64, and when they were read."""

    content: str
    read_at: float


class Screenshot(Message, frozen=True, kw_only=True):
    """A picture of the guest's screen, base64 of `media_type`."""

    content: str
    media_type: str


class Sensors(Message, frozen=True, kw_only=True):
    """Counters of one guest since its start, as the hypervisor gives them (nanoseconds, bytes, operations)."""

    values: dict[str, float]


class NodeReads(Protocol):
    """The plain calls: they read, and may fail freely (Unreachable, or LookupError for an unknown instance)."""

    async def console(self, instance_id: str, max_bytes: int) -> Console: ...

    async def screenshot(self, instance_id: str) -> Screenshot: ...

    async def sensors(self, instance_id: str) -> Sensors: ...


class NodeAgent(Agent[NodeSpec, NodeStatus], NodeReads, Protocol):
    """A node controller: the agent's verbs and the plain reads."""
