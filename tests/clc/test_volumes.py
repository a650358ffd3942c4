"""Volumes through boto3: made, described, filtered, paged, deleted, and refused in EC2's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eucapy.clc.store import volumes as rows
from tests.harness.cloud import Cloud

ZONE = "us-east-1a"


def error(call: Callable[..., Any], **given: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**given)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def volume(cloud: Cloud, **given: Any) -> str:
    """A volume that is there."""
    made = cloud.client("ec2").create_volume(**{"AvailabilityZone": ZONE, "Size": 1, **given})
    cloud.settle()
    return str(made["VolumeId"])


def snapshot(cloud: Cloud, **given: Any) -> str:
    """A completed snapshot of a new volume."""
    made = cloud.client("ec2").create_snapshot(VolumeId=volume(cloud, **given))
    cloud.settle()
    return str(made["SnapshotId"])


def test_a_volume_is_creating_then_available_as_the_waiter_sees_it(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.create_volume(AvailabilityZone=ZONE, Size=5)
    del made["ResponseMetadata"], made["CreateTime"]
    volume_id = made.pop("VolumeId")
    assert made == {
        "AvailabilityZone": ZONE,
        "AvailabilityZoneId": "use1-az6",
        "Encrypted": False,
        "Iops": 100,
        "MultiAttachEnabled": False,
        "Operator": {"Managed": False},
        "Size": 5,
        "SnapshotId": "",
        "State": "creating",
        "Tags": [],
        "VolumeType": "gp2",
    }
    cloud.settle()
    ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id])
    (seen,) = ec2.describe_volumes(VolumeIds=[volume_id])["Volumes"]
    assert (seen["State"], seen["Attachments"], "Tags" in seen) == ("available", [], False)


def test_a_deleted_volume_is_gone_as_the_waiter_sees_it(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    ec2.delete_volume(VolumeId=volume_id)
    assert ec2.describe_volumes()["Volumes"][0]["State"] == "deleting"
    assert error(ec2.delete_volume, VolumeId=volume_id)[0] == "IncorrectState"
    cloud.settle()
    ec2.get_waiter("volume_deleted").wait(VolumeIds=[volume_id])
    message = f"The volume '{volume_id}' does not exist."
    assert error(ec2.describe_volumes, VolumeIds=[volume_id]) == ("InvalidVolume.NotFound", message)
    assert error(ec2.delete_volume, VolumeId=volume_id) == ("InvalidVolume.NotFound", message)
    assert cloud.run(cloud.dev.zones[ZONE].block.observe()).volumes == {}


def test_types_bring_their_performance(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    for given, shown in (
        ({"VolumeType": "gp2", "Size": 1000}, {"Iops": 3000}),
        ({"VolumeType": "gp3", "Size": 10}, {"Iops": 3000, "Throughput": 125}),
        ({"VolumeType": "gp3", "Size": 10, "Iops": 4000, "Throughput": 250}, {"Iops": 4000, "Throughput": 250}),
        ({"VolumeType": "io1", "Size": 10, "Iops": 200}, {"Iops": 200}),
        ({"VolumeType": "st1", "Size": 125}, {}),
        ({"VolumeType": "standard", "Size": 1}, {}),
    ):
        made = ec2.create_volume(AvailabilityZone=ZONE, **given)
        assert {name: made[name] for name in ("Iops", "Throughput") if name in made} == shown


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"Size": 1}, "MissingParameter", "The request must contain the parameter zone"),
        ({"AvailabilityZone": ZONE}, "MissingParameter", "The request must contain the parameter size/snapshot"),
        # What is not said comes before what is said wrongly.
        ({"AvailabilityZone": "eu-1a"}, "MissingParameter", "The request must contain the parameter size/snapshot"),
        (
            {"AvailabilityZone": "us-east-1z", "Size": 1},
            "InvalidZone.NotFound",
            "The zone 'us-east-1z' does not exist.",
        ),
        (
            {"AvailabilityZone": ZONE, "SnapshotId": "snap-00000000000000000"},
            "InvalidSnapshot.NotFound",
            "The snapshot 'snap-00000000000000000' does not exist.",
        ),
        (
            {"AvailabilityZone": ZONE, "SnapshotId": "snapshot"},
            "InvalidParameterValue",
            "Value (snapshot) for parameter snapshotId is invalid. Expected: 'snap-...'.",
        ),
        ({"AvailabilityZone": ZONE, "Size": 1, "Encrypted": True}, "UnsupportedOperation", None),
        ({"AvailabilityZone": ZONE, "Size": 1, "MultiAttachEnabled": True}, "UnsupportedOperation", None),
        (
            {"AvailabilityZone": ZONE, "Size": 4, "VolumeType": "io1"},
            "MissingParameter",
            "The parameter iops must be specified for io1 volumes.",
        ),
    ],
)
def test_what_cannot_be_is_refused(cloud: Cloud, given: dict[str, Any], code: str, message: str | None) -> None:
    ec2 = cloud.client("ec2")
    found = error(ec2.create_volume, **given)
    assert found == (code, message if message is not None else found[1])
    assert ec2.describe_volumes()["Volumes"] == []


def test_a_dry_run_makes_nothing(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    assert error(ec2.create_volume, AvailabilityZone=ZONE, Size=1, DryRun=True)[0] == "DryRunOperation"
    assert ec2.describe_volumes()["Volumes"] == []


def test_the_same_client_token_makes_one_volume(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    first = ec2.create_volume(AvailabilityZone=ZONE, Size=1, ClientToken="once")
    again = ec2.create_volume(AvailabilityZone=ZONE, Size=1, ClientToken="once")
    assert (again["VolumeId"], len(ec2.describe_volumes()["Volumes"])) == (first["VolumeId"], 1)


def test_a_zone_may_be_named_by_its_id(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = ec2.create_volume(AvailabilityZoneId="use1-az1", Size=1)
    assert made["AvailabilityZone"] == "us-east-1b"


def test_another_account_sees_and_touches_nothing(cloud: Cloud) -> None:
    volume_id = volume(cloud)
    other = cloud.client("ec2", "other")
    assert other.describe_volumes()["Volumes"] == []
    for call in (other.delete_volume, other.create_snapshot):
        assert error(call, VolumeId=volume_id)[0] == "InvalidVolume.NotFound"


def test_every_documented_filter_finds_what_it_says(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    tags = [{"ResourceType": "volume", "Tags": [{"Key": "Name", "Value": "data"}]}]
    source = snapshot(cloud)
    (plain,) = (one["VolumeId"] for one in ec2.describe_volumes()["Volumes"])
    made = volume(cloud, SnapshotId=source, Size=7, VolumeType="gp3", AvailabilityZone=ZONE, TagSpecifications=tags)
    ec2.create_volume(AvailabilityZone="us-east-1b", Size=9)
    (far,) = {one["VolumeId"] for one in ec2.describe_volumes()["Volumes"]} - {plain, made}
    moment = ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]["CreateTime"]
    everything = {plain, made, far}
    for name, value, expected in (
        ("availability-zone", ZONE, {plain, made}),
        ("availability-zone-id", "use1-az1", {far}),
        ("create-time", moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z", {made}),
        ("create-time", moment.strftime("%Y-%m-*"), everything),
        ("encrypted", "false", everything),
        ("encrypted", "true", set()),
        ("fast-restored", "true", set()),
        ("multi-attach-enabled", "false", everything),
        ("operator.managed", "false", everything),
        ("operator.principal", "x", set()),
        ("size", "7", {made}),
        ("snapshot-id", source, {made}),
        ("status", "creating", {far}),
        ("status", "a*", {plain, made}),
        ("tag:Name", "d?ta", {made}),
        ("tag-key", "Name", {made}),
        ("volume-id", far, {far}),
        ("volume-type", "gp3", {made}),
        ("attachment.status", "attached", set()),
        ("attachment.instance-id", "i-*", set()),
        ("attachment.device", "/dev/sdf", set()),
        ("attachment.delete-on-termination", "true", set()),
        ("attachment.attach-time", "*", set()),
    ):
        found = ec2.describe_volumes(Filters=[{"Name": name, "Values": [value]}])["Volumes"]
        assert {one["VolumeId"] for one in found} == expected, (name, value)
    assert error(ec2.describe_volumes, Filters=[{"Name": "colour", "Values": ["red"]}])[0] == "InvalidParameterValue"


def test_pages_show_every_volume_once(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    made = {ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"] for _ in range(12)}
    pages = list(ec2.get_paginator("describe_volumes").paginate(PaginationConfig={"PageSize": 5}))
    assert [len(page["Volumes"]) for page in pages] == [5, 5, 2]
    assert {one["VolumeId"] for page in pages for one in page["Volumes"]} == made
    assert error(ec2.describe_volumes, MaxResults=4)[0] == "InvalidParameterValue"


def test_a_volume_that_cannot_be_made_is_an_error_and_can_be_deleted(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    source = snapshot(cloud)
    pool = cloud.dev.zones[ZONE].block
    made = ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=source)["VolumeId"]
    cloud.run(_drop_behind_the_back(cloud, source))
    cloud.settle()
    (seen,) = ec2.describe_volumes(VolumeIds=[made])["Volumes"]
    assert seen["State"] == "error"
    (status,) = ec2.describe_volume_status(VolumeIds=[made])["VolumeStatuses"]
    assert status["VolumeStatus"]["Status"] == "impaired"
    ec2.delete_volume(VolumeId=made)
    cloud.settle()
    assert made not in cloud.run(pool.observe()).volumes
    assert error(ec2.describe_volumes, VolumeIds=[made])[0] == "InvalidVolume.NotFound"


async def _drop_behind_the_back(cloud: Cloud, snapshot_id: str) -> None:
    """The snapshot's row and the snapshot are gone, as if another hand had removed them."""
    import sqlalchemy as sa

    from eucapy.clc.store import snapshots

    await cloud.dev.zones[ZONE].block.remove_snapshot(snapshot_id)
    await cloud.dev.database.write(lambda tx: tx.run(sa.delete(snapshots.table)))


def test_volumes_survive_the_end_of_every_process(cloud: Cloud) -> None:
    before = cloud.client("ec2").create_volume(AvailabilityZone=ZONE, Size=3)["VolumeId"]
    cloud.reboot()
    cloud.settle()
    (seen,) = cloud.client("ec2").describe_volumes(VolumeIds=[before])["Volumes"]
    assert seen["State"] == "available"


def test_storage_that_fails_for_a_while_is_asked_again(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    cloud.dev.zones[ZONE].storage._backoff.first_s = 45.0  # longer than a busy machine takes to settle
    cloud.dev.zones[ZONE].block.fail_at(0)
    made = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    cloud.settle()
    assert ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]["State"] == "creating"
    cloud.advance(60)
    assert ec2.describe_volumes(VolumeIds=[made])["Volumes"][0]["State"] == "available"


def test_status_and_attributes(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    (status,) = ec2.describe_volume_status()["VolumeStatuses"]
    assert status["VolumeStatus"] == {
        "Status": "ok",
        "Details": [{"Name": "io-enabled", "Status": "passed"}, {"Name": "io-performance", "Status": "not-applicable"}],
    }
    for name, value, count in (
        ("volume-status.status", "ok", 1),
        ("volume-status.status", "impaired", 0),
        ("volume-status.details-name", "io-enabled", 1),
        ("volume-status.details-status", "failed", 0),
        ("volume-status.details-status", "passed", 1),
        ("availability-zone", "us-east-1b", 0),
        ("event.event-type", "x", 0),
    ):
        found = ec2.describe_volume_status(Filters=[{"Name": name, "Values": [value]}])["VolumeStatuses"]
        assert len(found) == count, (name, value)

    def auto_enabled() -> bool:
        answer = ec2.describe_volume_attribute(VolumeId=volume_id, Attribute="autoEnableIO")
        return bool(answer["AutoEnableIO"]["Value"])

    assert not auto_enabled()
    ec2.modify_volume_attribute(VolumeId=volume_id, AutoEnableIO={"Value": True})
    assert auto_enabled()
    answer = ec2.describe_volume_attribute(VolumeId=volume_id, Attribute="productCodes")
    assert answer["ProductCodes"] == []
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False


def test_many_volumes_are_described_in_few_queries(cloud: Cloud) -> None:
    """Attachments and tags come in batches: the number of statements does not grow with the number of volumes."""
    account = cloud.account("eucalyptus")["account_id"]
    counted: list[int] = []

    async def fill(count: int) -> None:
        async def work(tx: Any) -> None:
            for _ in range(count):
                await rows.create(tx, account=account, zone="elsewhere", size_gib=1, now=1.0)

        await cloud.dev.database.write(work)

    ec2 = cloud.client("ec2")
    ec2.describe_volumes()  # the key is known from here on
    for count in (10, 400):
        cloud.run(fill(count))
        counted.append(statements(cloud, lambda: ec2.describe_volumes()))
    assert counted[0] == counted[1]


def statements(cloud: Cloud, act: Callable[[], Any]) -> int:
    """How many SQL statements the cloud runs for `act`."""
    import sqlalchemy as sa

    engine = cloud.dev.database._engine  # type: ignore[attr-defined]
    engine = getattr(engine, "sync_engine", engine)
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        act()
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    return len(seen)
