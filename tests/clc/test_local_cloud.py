"""`eucapy dev`: what a new local cloud begins with, and what a second start finds."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from eucapy_services.devcloud import main as local
from eucapy_services.devcloud.admin import environment

Key = tuple[str, str]


@dataclass
class Begun:
    """A local cloud that runs: where, its admin's key, and the starter image's id."""

    endpoint: str
    key: Key
    image_id: str

    def client(self, service: str, key: Key | None = None) -> Any:
        access_key_id, secret = key or self.key
        return boto3.client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=access_key_id,
            aws_secret_access_key=secret,
        )


@contextlib.asynccontextmanager
async def begun(folder: Path, *more: str) -> AsyncIterator[Begun]:
    """A local cloud over that folder."""
    options = local.parser().parse_args(["--port", "0", "--data", str(folder), "--nodes", "1", *more])
    async with local.begun(options) as (cloud, admin, image_id):
        yield Begun(cloud.endpoint, admin.key, image_id)


async def answer(client: Any, action: str, **given: Any) -> Any:
    """The cloud's event loop is the test's: the client waits elsewhere."""
    return await asyncio.to_thread(getattr(client, action), **given)


async def test_there_is_an_image_to_launch_and_a_network_to_launch_it_into(tmp_path: Path) -> None:
    async with begun(tmp_path) as there:
        ec2 = there.client("ec2")
        for owner in ("self", "amazon"):
            (image,) = (await answer(ec2, "describe_images", Owners=[owner]))["Images"]
            assert (image["ImageId"], image["State"], image["Public"]) == (there.image_id, "available", True)
        (vpc,) = (await answer(ec2, "describe_vpcs"))["Vpcs"]
        assert vpc["IsDefault"]
        assert len((await answer(ec2, "describe_subnets"))["Subnets"]) == 3
        asked: dict[str, Any] = {"ImageId": there.image_id, "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro"}
        instance_id = (await answer(ec2, "run_instances", **asked))["Instances"][0]["InstanceId"]
        waiter = ec2.get_waiter("instance_running")
        await asyncio.to_thread(waiter.wait, InstanceIds=[instance_id], WaiterConfig={"Delay": 1, "MaxAttempts": 60})


async def test_its_root_is_a_volume_in_whatever_zone_and_as_large_as_one_likes(tmp_path: Path) -> None:
    async with begun(tmp_path) as there:
        ec2 = there.client("ec2")
        root = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 20, "DeleteOnTermination": False}}
        made = {}
        for zone in ("us-east-1a", "us-east-1c"):
            asked = {"ImageId": there.image_id, "MinCount": 1, "MaxCount": 1, "InstanceType": "t3.micro"}
            placed = {"Placement": {"AvailabilityZone": zone}, "BlockDeviceMappings": [root]}
            answered = await answer(ec2, "run_instances", **asked, **placed)
            made[answered["Instances"][0]["InstanceId"]] = zone
        waiter = ec2.get_waiter("instance_running")
        await asyncio.to_thread(waiter.wait, InstanceIds=list(made), WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        volumes = (await answer(ec2, "describe_volumes"))["Volumes"]
        attached = {one["Attachments"][0]["InstanceId"]: (one["AvailabilityZone"], one["Size"]) for one in volumes}
        assert attached == {instance_id: (zone, 20) for instance_id, zone in made.items()}


async def test_a_second_start_is_the_same_cloud_and_brings_nothing_back(tmp_path: Path) -> None:
    async with begun(tmp_path) as first:
        assert await who(first) == "arn:aws:iam::123456789012:user/admin"
    async with begun(tmp_path) as second:
        assert (second.image_id, second.key) == (first.image_id, first.key)
        await answer(second.client("ec2"), "deregister_image", ImageId=second.image_id)
    async with begun(tmp_path) as third:
        assert (third.image_id, await images(third)) == ("", []), "nobody is told to launch what is gone"


async def test_a_start_that_ended_in_the_middle_makes_no_second_image(tmp_path: Path) -> None:
    async with begun(tmp_path) as first:
        pass
    (tmp_path / "starter.json").unlink()
    async with begun(tmp_path) as second:
        assert await images(second) == [second.image_id] == [first.image_id]


async def test_the_key_is_the_one_that_was_chosen_and_stays_it(tmp_path: Path) -> None:
    async with begun(tmp_path, "--empty") as first:
        assert (first.image_id, await images(first)) == ("", [])
        admin = await who(first)
    async with begun(tmp_path, "--key", "test,test", "--empty") as second:
        assert second.key == ("test", "test")
        assert await who(second) == admin
        with pytest.raises(ClientError, match="InvalidClientTokenId"):
            await who(second, first.key)
    async with begun(tmp_path, "--empty") as third:
        assert third.key == ("test", "test")
        assert await who(third) == admin


async def who(there: Begun, key: Key | None = None) -> str:
    return str((await answer(there.client("sts", key), "get_caller_identity"))["Arn"])


async def images(there: Begun) -> list[str]:
    return [one["ImageId"] for one in (await answer(there.client("ec2"), "describe_images"))["Images"]]


@pytest.mark.parametrize("text", ["test", "te st,test", ",test", "test,", "test,with blank", "tést,test"])
def test_what_cannot_be_a_key(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        local.chosen_key(text)


def test_a_shell_reads_any_secret(tmp_path: Path) -> None:
    admin = local.Admin("123456789012", "test", "a$b'c")
    assert """AWS_SECRET_ACCESS_KEY='a$b'"'"'c'""" in environment("http://localhost:4566", "us-east-1", admin)


@pytest.mark.parametrize("kept", [None, b'{"generation":1}', b'{"generation":99}'])
def test_data_of_another_layout_is_left_alone_and_what_to_do_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kept: bytes | None
) -> None:
    (tmp_path / "clc").mkdir()
    (tmp_path / "clc" / "eucapy.sqlite").write_bytes(b"somebody's cloud")
    if kept is not None:
        (tmp_path / "layout.json").write_bytes(kept)
    assert local.main(["--data", str(tmp_path), "--port", "0"]) == 1
    said = capsys.readouterr().err
    assert str(tmp_path) in said and "--data" in said and "Traceback" not in said
    assert (tmp_path / "clc" / "eucapy.sqlite").read_bytes() == b"somebody's cloud"
