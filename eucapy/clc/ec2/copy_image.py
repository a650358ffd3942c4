"""CopyImage: an image of one's own with the content of another that one may read.

Its snapshots are copied (which takes no room: `snapshot_copies.py`), and it is `pending` until they are there; the loop
`images` sees to that. An image in a bucket is copied as another image of the same object. Launch permissions and
deprecation do not come along, tags on request. Source: EC2 User Guide, "Copy an AMI".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.context import Call
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import InvalidAMIIDUnavailable, InvalidRequest, UnsupportedOperation
from eucapy.clc.ec2.images import ALIAS, OPERATOR, described, free_name
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import images, snapshots
from eucapy.clc.store import tags as tag_rows
from eucapy.database import Row
from eucapy.lifecycle import image as life
from eucapy.lifecycle import snapshot as snapshot_life

_TAKEN_OVER = (
    "architecture", "virtualization", "platform", "root_device", "root_kind", "root_size_gib", "ena", "sriov", "boot_mode",
    "tpm", "imds",
)  # fmt: skip
_MAPPED = (
    "device", "virtual_name", "snapshot_id", "size_gib", "volume_type", "delete_on_termination", "iops", "throughput",
    "encrypted",
)  # fmt: skip


@ec2.action("CopyImage", unchecked=("Name",))
async def copy_image(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    _refuse_unsupported(call, p)
    tags = tagging.from_specifications(p, "image", "snapshot")
    snapshot_tags = tagging.from_specifications(p, "snapshot", "image")
    source = await _source(call, p["SourceImageId"])
    name = await free_name(call, p["Name"])
    devices = (await images.devices_of(call.tx, [source.id])).get(source.id, [])
    held = await _readable(call, source, devices)
    if p.get("CopyImageTags") and source.account == call.account:
        own = (await tag_rows.of(call.tx, [source.id])).get(source.id, ())
        tags = {**{tag["Key"]: tag["Value"] for tag in own if not tag["Key"].startswith("aws:")}, **tags}
    row = await images.insert(
        call.tx,
        account=call.account,
        now=call.now,
        name=name,
        owner_alias=ALIAS if call.principal.account_name == OPERATOR else "",
        description=described(p["Description"]) if p.get("Description") is not None else source.description,
        location=source.location if source.root_kind == images.INSTANCE_STORE else f"{call.account}/{name}",
        source=source.source,
        source_image_id=source.id,
        **{column: getattr(source, column) for column in _TAKEN_OVER},
    )
    made = {one.id: await _copied(call, row, source, one, snapshot_tags) for one in held.values()}
    if source.source["kind"] == "snapshot":
        root = made[source.source["snapshot_id"]]
        await images.set_values(call.tx, row.id, source={"kind": "snapshot", "snapshot_id": root})
    mappings = [{column: getattr(device, column) for column in _MAPPED} for device in devices]
    for mapping in mappings:
        mapping["snapshot_id"] = made.get(mapping["snapshot_id"], "")
    await images.insert_devices(call.tx, row.id, mappings)
    await tagging.put(call, "image", row.id, tags)
    for loop in ("storage_sync", "images"):
        call.wake(loop)
    return {"ImageId": row.id}


def _refuse_unsupported(call: Call, p: Mapping[str, Any]) -> None:
    if p.get("DestinationOutpostArn"):
        raise UnsupportedOperation("Outposts are not supported.")
    if p.get("DestinationAvailabilityZone") or p.get("DestinationAvailabilityZoneId"):
        raise UnsupportedOperation("Local zones are not supported.")
    if p.get("Encrypted") or p.get("KmsKeyId"):
        raise UnsupportedOperation("Encrypted copies of images are not supported.")
    if p["SourceRegion"] != call.region:
        raise InvalidRequest("The storage for the ami is not available in the source Region.")


async def _source(call: Call, image_id: str) -> Row:
    row = await images.visible(call.tx, call.account, ids.check("ami", image_id, "aki", "ari"))
    if row is None:
        raise ids.missing("ami", [image_id])
    if row.state != life.AVAILABLE:
        raise InvalidAMIIDUnavailable(image=image_id)
    return row


async def _readable(call: Call, source: Row, devices: list[Row]) -> dict[str, Row]:
    """The image's snapshots by id. Launch permission is not enough to copy: what lies behind the image must be readable."""
    held: dict[str, Row] = {}
    for snapshot_id in dict.fromkeys(device.snapshot_id for device in devices if device.snapshot_id):
        snapshot = await snapshots.visible(call.tx, call.account, snapshot_id)
        if snapshot is None or snapshot.state != snapshot_life.COMPLETED:
            raise InvalidRequest("You do not have permission to access the storage of this ami")
        held[snapshot_id] = snapshot
    if source.source["kind"] == "object" and source.account != call.account:
        raise InvalidRequest("You do not have permission to access the storage of this ami")
    return held


async def _copied(call: Call, image: Row, source: Row, snapshot: Row, tags: Mapping[str, str]) -> str:
    """The id of a copy of the snapshot, made for the image."""
    told = f"Copied for DestinationAmi {image.id} from SourceAmi {source.id} for SourceSnapshot {snapshot.id}."
    row = await snapshots.copy(call.tx, snapshot, account=call.account, description=told, now=call.now, tags=tags)
    await snapshots.set_values(call.tx, row.id, capture=image.id)
    return str(row.id)
