"""The image that a new local cloud begins with, so that there is something to launch.

It is put there as anybody would do it, through the cloud's own endpoint with the admin's key: a volume, a snapshot of it,
RegisterImage, a launch permission for all. Its root is a volume, as those of nearly all images of AWS, so that what reads or
overrides the root device's mapping works. That it was done is kept in the data folder: an image that somebody deregisters
does not come back. Requests are signed by botocore, but sent without its clients, whose making would take longer than all
else at start.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlencode

import aiohttp
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from eucapy import ledger
from eucapy.clc.store import images
from eucapy.lifecycle.image import DEREGISTERED
from eucapy.reconcile.loop import Loop

from .cloud import DevCloud

NAME = "eucapy-starter"
DESCRIPTION = "An empty disk: nothing boots in a local cloud"
ROOT_DEVICE = "/dev/sda1"
SIZE_GIB = 8
VERSION = "2016-11-15"

Settle = Callable[[], Awaitable[int]]


class Starter(msgspec.Struct):
    """The image, kept in the data folder."""

    image_id: str


class NotSeeded(Exception):
    """The cloud refused a request that makes the image; the text is its answer."""


class Client:
    """Signed EC2 requests to a cloud."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, region: str, key: tuple[str, str]) -> None:
        self._session, self._endpoint = session, endpoint
        self._auth = SigV4Auth(Credentials(*key), "ec2", region)

    async def call(self, action: str, **parameters: str) -> str:
        """The answer's XML. Raises NotSeeded."""
        url = f"{self._endpoint}/"
        body = urlencode({"Action": action, "Version": VERSION, **parameters}).encode()
        request = AWSRequest("POST", url, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, body)
        self._auth.add_auth(request)
        async with self._session.post(url, data=body, headers=dict(request.headers.items())) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise NotSeeded(text)
            return text


async def ensure(cloud: DevCloud, key: tuple[str, str]) -> str:
    """The starter image's id, "" once somebody deregistered it; it is made when this data folder has never had one.

    Before the cloud's loops run: `settle` does at once what is asked for. Raises NotSeeded."""
    kept = ledger.Ledger(cloud.data / "starter.json", Starter)
    held = kept.read()
    if held is not None:
        row = await cloud.database.read(lambda tx: images.by_id(tx, held.image_id))
        return held.image_id if row is not None and row.state != DEREGISTERED else ""
    async with aiohttp.ClientSession() as session:
        client = Client(session, cloud.endpoint, cloud.config.region, key)
        image_id = await _make(client, partial(cloud.settle, loops=_loops_of_storage(cloud)))
    kept.write(Starter(image_id))
    return image_id


def _loops_of_storage(cloud: DevCloud) -> list[Loop]:
    """Those that volumes, snapshots and images need: a start has no time for the others."""
    of_clc = [loop for loop in cloud.clc.loops.all() if loop.name in ("storage_sync", "images")]
    return [*of_clc, *(zone.storage.loop for zone in cloud.zones.values())]


async def _make(client: Client, settle: Settle) -> str:
    """An image that is there already, from a start that was ended in the middle, is taken as it is."""
    found = await client.call(
        "DescribeImages", **{"Owner.1": "self", "Filter.1.Name": "name", "Filter.1.Value.1": NAME}
    )
    image_id = _item(found, "imageId") or await _register(client, settle)
    await client.call("ModifyImageAttribute", **{"ImageId": image_id, "LaunchPermission.Add.1.Group": "all"})
    await settle()
    return image_id


async def _register(client: Client, settle: Settle) -> str:
    zone = _item(await client.call("DescribeAvailabilityZones"), "zoneName")
    volume_id = _item(await client.call("CreateVolume", AvailabilityZone=zone, Size=str(SIZE_GIB)), "volumeId")
    await settle()
    snapshot_id = _item(await client.call("CreateSnapshot", VolumeId=volume_id, Description=DESCRIPTION), "snapshotId")
    await settle()
    await client.call("DeleteVolume", VolumeId=volume_id)
    mapping = {"DeviceName": ROOT_DEVICE, "Ebs.SnapshotId": snapshot_id, "Ebs.DeleteOnTermination": "true"}
    made = await client.call(
        "RegisterImage",
        Name=NAME,
        Description=DESCRIPTION,
        Architecture="x86_64",
        VirtualizationType="hvm",
        RootDeviceName=ROOT_DEVICE,
        EnaSupport="true",
        **{f"BlockDeviceMapping.1.{name}": value for name, value in mapping.items()},
    )
    return _item(made, "imageId")


def _item(xml: str, name: str) -> str:
    """The first element of that name, or ""."""
    match = re.search(f"<{name}>([^<]+)</{name}>", xml)
    return match[1] if match else ""
