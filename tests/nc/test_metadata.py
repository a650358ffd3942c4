"""The metadata service, over real HTTP on loopback: EC2's tree, tokens, and nobody else's data."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import msgspec
import pytest

from eucapy.box import Box, seal
from eucapy.nc import metadata
from eucapy.nc.metadata import MetadataService, Tokens
from eucapy.wire.node import InstanceSpec, MetadataOptions, NodeSpec, RoleCredentials, RoleSecrets
from tests.nc.specs import instance

TTL = "X-aws-ec2-metadata-token-ttl-seconds"
TOKEN = "X-aws-ec2-metadata-token"


class Service:
    """A service that listens on loopback for one VPC; the caller is 127.0.0.1, so that is the instance's address."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.port = 0
        self.box = Box(b"b" * 32)
        tokens = Tokens(b"k" * 32, lambda: self.now)
        self.service = MetadataService(self._listen, lambda vpc: f"none-{vpc}", 0, tokens, self.box)

    def _listen(self, namespace: str, address: str, port: int) -> socket.socket:
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        return listener

    async def serve(self, spec: InstanceSpec) -> None:
        await self.service.follow(NodeSpec(generation=1, node="n", instances={spec.instance_id: spec}))

    async def ask(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str]:
        names = {key.replace("_", "-"): value for key, value in headers.items()}
        async with aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{self.port}{path}"
            async with session.request(method, url, headers=names) as answer:
                return answer.status, await answer.text()

    async def token(self, seconds: int = 60) -> str:
        status, token = await self.ask("/latest/api/token", "PUT", **{TTL: str(seconds)})
        assert status == 200
        return token


def here(**options: object) -> InstanceSpec:
    """The instance that asks from loopback."""
    spec = instance()
    nic = msgspec.structs.replace(spec.nics[0], private_ips=("127.0.0.1",))
    metadata = msgspec.structs.replace(spec.metadata, options=MetadataOptions(**options))  # type: ignore[arg-type]
    return msgspec.structs.replace(spec, nics=(nic,), metadata=metadata)


@pytest.fixture
async def imds() -> AsyncIterator[Service]:
    made = Service()
    yield made
    await made.service.stop()


async def test_a_guest_reads_its_own_tree(imds: Service) -> None:
    await imds.serve(here())
    assert await imds.ask("/latest/meta-data/instance-id") == (200, "i-00000000000000001")
    assert await imds.ask("/2009-04-04/meta-data/ami-id") == (200, "ami-1")
    assert await imds.ask("/latest/meta-data/placement/availability-zone") == (200, "us-east-1a")
    assert await imds.ask("/latest/meta-data/placement/availability-zone-id") == (200, "use1-az6")
    assert await imds.ask("/latest/meta-data/public-keys/") == (200, "0=mine")
    assert await imds.ask("/latest/meta-data/public-keys/0/openssh-key") == (200, "ssh-ed25519 AAAA mine\n")
    assert await imds.ask("/latest/user-data") == (200, "#!/bin/sh\n")
    assert (await imds.ask("/latest/meta-data/no-such-thing"))[0] == 404
    assert (await imds.ask("/1999-01-01/meta-data/"))[0] == 404


async def test_a_guest_reads_its_ipv6_addresses_and_only_if_it_has_any(imds: Service) -> None:
    """Source: EC2 user guide, "Instance metadata categories"."""
    await imds.serve(here())
    macs = "/latest/meta-data/network/interfaces/macs/02:00:00:00:00:01"
    assert (await imds.ask("/latest/meta-data/ipv6"))[0] == (await imds.ask(f"{macs}/ipv6s"))[0] == 404
    spec = here()
    six = {"ipv6s": ("fd00:1::7", "fd00:1::8"), "subnet_cidr6": "fd00:1::/64", "vpc_cidrs6": ("fd00:1::/56",)}
    await imds.serve(msgspec.structs.replace(spec, nics=(msgspec.structs.replace(spec.nics[0], **six),)))
    assert await imds.ask("/latest/meta-data/ipv6") == (200, "fd00:1::7")
    assert await imds.ask(f"{macs}/ipv6s") == (200, "fd00:1::7\nfd00:1::8")
    assert await imds.ask(f"{macs}/subnet-ipv6-cidr-blocks") == (200, "fd00:1::/64")
    assert await imds.ask(f"{macs}/vpc-ipv6-cidr-blocks") == (200, "fd00:1::/56")


async def test_every_name_in_a_listing_leads_somewhere(imds: Service) -> None:
    """cloud-init walks the whole tree this way."""
    await imds.serve(here(tags=True))
    todo, leaves = ["/latest/meta-data/"], 0
    while todo:
        folder = todo.pop()
        status, listing = await imds.ask(folder)
        assert status == 200, folder
        for name in listing.splitlines():
            if "=" in name:
                name = name.split("=")[0] + "/"
            if name.endswith("/"):
                todo.append(folder + name)
            else:
                assert (await imds.ask(folder + name))[0] == 200, folder + name
                leaves += 1
    assert leaves > 25


async def test_the_identity_document_tells_who_the_guest_is(imds: Service) -> None:
    await imds.serve(here())
    status, text = await imds.ask("/latest/dynamic/instance-identity/document")
    assert status == 200
    document = json.loads(text)
    assert (document["instanceId"], document["accountId"], document["region"]) == (
        "i-00000000000000001",
        "123456789012",
        "us-east-1",
    )


async def test_with_tokens_required_nothing_is_answered_without_one(imds: Service) -> None:
    await imds.serve(here(tokens_required=True))
    assert (await imds.ask("/latest/meta-data/instance-id"))[0] == 401
    token = await imds.token()
    assert await imds.ask("/latest/meta-data/instance-id", **{TOKEN: token}) == (200, "i-00000000000000001")


async def test_a_token_ends_with_its_time_and_a_forged_one_never_counts(imds: Service) -> None:
    await imds.serve(here())
    token = await imds.token(60)
    imds.now += 61
    assert (await imds.ask("/latest/meta-data/", **{TOKEN: token}))[0] == 401
    forged = Tokens(b"other key".ljust(32), lambda: imds.now).issue("i-00000000000000001", 60)
    assert (await imds.ask("/latest/meta-data/", **{TOKEN: forged}))[0] == 401
    others = Tokens(b"k" * 32, lambda: imds.now).issue("i-00000000000000002", 60)
    assert (await imds.ask("/latest/meta-data/", **{TOKEN: others}))[0] == 401
    assert (await imds.ask("/latest/meta-data/", **{TOKEN: "not base64 !"}))[0] == 401


@pytest.mark.parametrize("seconds", ["0", "21601", "-1", "x", ""])
async def test_a_token_needs_a_sensible_time(imds: Service, seconds: str) -> None:
    await imds.serve(here())
    assert (await imds.ask("/latest/api/token", "PUT", **{TTL: seconds}))[0] == 400


async def test_no_token_goes_to_a_proxy(imds: Service) -> None:
    await imds.serve(here())
    status, _text = await imds.ask("/latest/api/token", "PUT", **{TTL: "60", "X-Forwarded-For": "10.0.0.1"})
    assert status == 403


async def test_a_disabled_endpoint_answers_403(imds: Service) -> None:
    await imds.serve(here(enabled=False))
    assert (await imds.ask("/latest/meta-data/"))[0] == 403
    assert (await imds.ask("/latest/api/token", "PUT", **{TTL: "60"}))[0] == 403


async def test_tags_are_told_only_when_the_instance_allows_it(imds: Service) -> None:
    await imds.serve(here())
    assert (await imds.ask("/latest/meta-data/tags/instance/"))[0] == 404
    await imds.serve(here(tags=True))
    assert await imds.ask("/latest/meta-data/tags/instance/Name") == (200, "web")


async def test_an_unknown_address_learns_nothing(imds: Service) -> None:
    await imds.serve(instance())
    assert (await imds.ask("/latest/meta-data/instance-id"))[0] == 404
    assert (await imds.ask("/latest/api/token", "PUT", **{TTL: "60"}))[0] == 404


def test_tokens_survive_a_restart(tmp_path: Path) -> None:
    token = Tokens.ensure(tmp_path / "key").issue("i-1", 60)
    assert Tokens.ensure(tmp_path / "key").valid("i-1", token)


async def test_a_guest_that_opens_connections_without_end_is_turned_away_and_leaves_room_for_others(
    imds: Service,
) -> None:
    await imds.serve(here())
    own = [await asyncio.open_connection("127.0.0.1", imds.port) for _ in range(metadata.LIMITS.most_of_one)]
    more, writer = await asyncio.open_connection("127.0.0.1", imds.port)
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            assert await more.read() == b""
    reader, neighbour = await asyncio.open_connection("127.0.0.1", imds.port, local_addr=("127.0.0.2", 0))
    neighbour.write(b"GET /latest/meta-data/instance-id HTTP/1.1\r\nHost: x\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 404"), "answered, though not one of ours"
    for opened in (writer, neighbour, *(writer for _reader, writer in own)):
        opened.close()


def with_profile(public: str | None, about: str = "i-00000000000000001", key_id: str = "ASIA1") -> InstanceSpec:
    """The instance with a profile and, for whom `public` is, the credentials of its role."""
    import msgspec

    spec = here()
    secrets = RoleSecrets(access_key_id=key_id, secret="s3cr3t", token="t0k3n")
    held = None
    if public is not None:
        sealed = seal(public, msgspec.json.encode(secrets), about)
        held = RoleCredentials(role="builder", sealed=sealed, issued_at=1_000_000_000, expires_at=1_000_021_600)
    told = msgspec.structs.replace(
        spec.metadata,
        instance_profile_arn="arn:aws:iam::111122223333:instance-profile/web",
        instance_profile_id="AIPAX",
        instance_profile_at=999_999_999,
        credentials=held,
    )
    return msgspec.structs.replace(spec, metadata=told)


@pytest.mark.parametrize("version", [1, 2])
async def test_a_guest_reads_the_credentials_of_its_role(imds: Service, version: int) -> None:
    await imds.serve(with_profile(imds.box.public))
    given = {TOKEN: await imds.token()} if version == 2 else {}
    assert await imds.ask("/latest/meta-data/iam/security-credentials/", **given) == (200, "builder")
    status, text = await imds.ask("/latest/meta-data/iam/security-credentials/builder", **given)
    assert status == 200
    assert json.loads(text) == {
        "Code": "Success",
        "LastUpdated": "2001-09-09T01:46:40Z",
        "Type": "AWS-HMAC",
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": "s3cr3t",
        "Token": "t0k3n",
        "Expiration": "2001-09-09T07:46:40Z",
    }
    assert '"AccessKeyId" : "ASIA1",' in text  # as EC2 spaces it: scripts cut it apart
    status, text = await imds.ask("/latest/meta-data/iam/info", **given)
    assert json.loads(text) == {
        "Code": "Success",
        "LastUpdated": "2001-09-09T01:46:40Z",
        "InstanceProfileArn": "arn:aws:iam::111122223333:instance-profile/web",
        "InstanceProfileId": "AIPAX",
    }
    assert (await imds.ask("/latest/meta-data/iam/security-credentials/other", **given))[0] == 404


async def test_new_credentials_take_the_place_of_the_old_ones(imds: Service) -> None:
    for key_id in ("ASIA1", "ASIA2"):
        await imds.serve(with_profile(imds.box.public, key_id=key_id))
        _, text = await imds.ask("/latest/meta-data/iam/security-credentials/builder")
        assert json.loads(text)["AccessKeyId"] == key_id


async def test_a_profile_without_credentials_has_its_info_alone(imds: Service) -> None:
    await imds.serve(with_profile(None))
    assert await imds.ask("/latest/meta-data/iam/") == (200, "info")
    assert (await imds.ask("/latest/meta-data/iam/security-credentials/"))[0] == 404


async def test_credentials_for_another_node_or_instance_are_not_there(imds: Service) -> None:
    for spec in (with_profile(Box(b"o" * 32).public), with_profile(imds.box.public, about="i-2")):
        await imds.serve(spec)
        assert await imds.ask("/latest/meta-data/iam/") == (200, "info")
        assert (await imds.ask("/latest/meta-data/instance-id"))[0] == 200


async def test_with_tokens_required_nobody_gets_credentials_without(imds: Service) -> None:
    import msgspec

    spec = with_profile(imds.box.public)
    strict = msgspec.structs.replace(spec.metadata, options=MetadataOptions(tokens_required=True))
    await imds.serve(msgspec.structs.replace(spec, metadata=strict))
    assert (await imds.ask("/latest/meta-data/iam/security-credentials/builder"))[0] == 401


@pytest.mark.parametrize("required", [False, True])
async def test_an_sdk_in_the_guest_finds_them_without_configuration(imds: Service, required: bool) -> None:
    """botocore's own reader, as the aws CLI uses it."""
    import time

    import msgspec
    from botocore.utils import InstanceMetadataFetcher

    spec = with_profile(imds.box.public)
    held = spec.metadata.credentials
    assert held is not None
    told = msgspec.structs.replace(
        spec.metadata,
        credentials=msgspec.structs.replace(held, expires_at=int(time.time()) + 3600),
        options=MetadataOptions(tokens_required=required),
    )
    await imds.serve(msgspec.structs.replace(spec, metadata=told))
    fetcher = InstanceMetadataFetcher(
        timeout=10, config={"ec2_metadata_service_endpoint": f"http://127.0.0.1:{imds.port}"}
    )
    found = await asyncio.to_thread(fetcher.retrieve_iam_role_credentials)
    assert (found["role_name"], found["access_key"], found["token"]) == ("builder", "ASIA1", "t0k3n")
