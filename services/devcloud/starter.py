"""The image that a new local cloud begins with, so that there is something to launch.

It is put there as anybody would do it, through the cloud's own endpoint with the admin's key: a bucket, an object,
RegisterImage, a launch permission for all. That it was done is kept in the data folder: an image that somebody deregisters
does not come back. Requests are signed by botocore, but sent without its clients, whose making would take longer than all
else at start.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

import aiohttp
import msgspec
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from eucapy import ledger

NAME = "eucapy-starter"
DESCRIPTION = "An empty disk: nothing boots in a local cloud"
BUCKET, KEY = "eucapy-images", "eucapy-starter.raw"
DISK = bytes(1 << 20)
ROOT_DEVICE = "/dev/sda1"
VERSION = "2016-11-15"
AVAILABLE_WITHIN_S = 30.0
_LOOK_EVERY_S = 0.02


class Starter(msgspec.Struct):
    """The image, kept in the data folder."""

    image_id: str


class NotSeeded(Exception):
    """The cloud refused a request that makes the image; the text is its answer."""


class Client:
    """Signed requests to a cloud: the few that are needed here."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: str, region: str, key: tuple[str, str]) -> None:
        self._session, self._endpoint, self._region = session, endpoint, region
        self._credentials = Credentials(*key)

    async def ec2(self, action: str, **parameters: str) -> str:
        """The answer's XML. Raises NotSeeded."""
        body = urlencode({"Action": action, "Version": VERSION, **parameters}).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return await self._send(SigV4Auth(self._credentials, "ec2", self._region), "POST", "/", body, headers)

    async def put(self, path: str, body: bytes = b"") -> None:
        """Make a bucket or an object."""
        await self._send(S3SigV4Auth(self._credentials, "s3", self._region), "PUT", path, body, {})

    async def _send(self, auth: SigV4Auth, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> str:
        request = AWSRequest(method, f"{self._endpoint}{path}", dict(headers), body)
        auth.add_auth(request)
        sent = dict(request.headers.items())
        async with self._session.request(method, f"{self._endpoint}{path}", data=body, headers=sent) as answer:
            text = await answer.text()
            if answer.status != 200:
                raise NotSeeded(text)
            return text


async def ensure(data: Path, endpoint: str, region: str, key: tuple[str, str]) -> str:
    """The starter image's id; it is made when this data folder has never had one. Raises NotSeeded."""
    kept = ledger.Ledger(data / "starter.json", Starter)
    held = kept.read()
    if held is not None:
        return held.image_id
    async with aiohttp.ClientSession() as session:
        image_id = await _make(Client(session, endpoint, region, key))
    kept.write(Starter(image_id))
    return image_id


async def _make(client: Client) -> str:
    """Whatever of it is there already, from a start that was ended in the middle, is taken as it is."""
    found = _image_id(
        await client.ec2("DescribeImages", **{"Owner.1": "self", "Filter.1.Name": "name", "Filter.1.Value.1": NAME})
    )
    if found is None:
        await client.put(f"/{BUCKET}")
        await client.put(f"/{BUCKET}/{KEY}", DISK)
        made = await client.ec2(
            "RegisterImage",
            Name=NAME,
            Description=DESCRIPTION,
            ImageLocation=f"{BUCKET}/{KEY}",
            Architecture="x86_64",
            RootDeviceName=ROOT_DEVICE,
            EnaSupport="true",
        )
        found = _image_id(made)
        assert found is not None, "RegisterImage answers with an id"
    await client.ec2("ModifyImageAttribute", **{"ImageId": found, "LaunchPermission.Add.1.Group": "all"})
    async with asyncio.timeout(AVAILABLE_WITHIN_S):
        while True:
            if "<imageState>available<" in await client.ec2("DescribeImages", **{"ImageId.1": found}):
                return found
            await asyncio.sleep(_LOOK_EVERY_S)


def _image_id(xml: str) -> str | None:
    match = re.search(r"<imageId>(ami-[0-9a-f]+)</imageId>", xml)
    return match[1] if match else None
