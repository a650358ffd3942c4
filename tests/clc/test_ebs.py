"""The EBS direct APIs through boto3, against the whole cloud; one cloud for all that is held here."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.clc.ebs import tokens
from tests.clc.asking import answer
from tests.clc.test_volumes import ZONE, error, snapshot, volume
from tests.harness.cloud import Cloud

BLOCK_BYTES = 512 << 10
HOUR_S = 3600


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("ebs") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        cloud.account("other")
        yield cloud


def block(seed: int) -> bytes:
    return random.Random(seed).randbytes(BLOCK_BYTES)


def checksum(*blocks: bytes) -> str:
    digests = [hashlib.sha256(each).digest() for each in blocks]
    return base64.b64encode(digests[0] if len(blocks) == 1 else hashlib.sha256(b"".join(digests)).digest()).decode()


def aggregate(*blocks: bytes) -> str:
    whole = b"".join(hashlib.sha256(each).digest() for each in blocks)
    return base64.b64encode(hashlib.sha256(whole).digest()).decode()


def put(cloud: Cloud, snapshot_id: str, index: int, content: bytes, **given: Any) -> dict[str, Any]:
    return dict(
        cloud.client("ebs").put_snapshot_block(
            **{
                "SnapshotId": snapshot_id,
                "BlockIndex": index,
                "BlockData": content,
                "DataLength": BLOCK_BYTES,
                "Checksum": checksum(content),
                "ChecksumAlgorithm": "SHA256",
                **given,
            }
        )
    )


def written(cloud: Cloud, blocks: dict[int, bytes], **given: Any) -> str:
    """A snapshot of these blocks, completed."""
    ebs = cloud.client("ebs")
    snapshot_id = ebs.start_snapshot(**{"VolumeSize": 1, **given})["SnapshotId"]
    for index, content in blocks.items():
        put(cloud, snapshot_id, index, content)
    contents = [content for _, content in sorted(blocks.items())]
    ebs.complete_snapshot(
        SnapshotId=snapshot_id,
        ChangedBlocksCount=len(blocks),
        Checksum=aggregate(*contents),
        ChecksumAlgorithm="SHA256",
        ChecksumAggregationMethod="LINEAR",
    )
    cloud.settle()
    return str(snapshot_id)


def read(cloud: Cloud, snapshot_id: str, token: dict[str, Any]) -> bytes:
    answer = cloud.client("ebs").get_snapshot_block(
        SnapshotId=snapshot_id, BlockIndex=token["BlockIndex"], BlockToken=token["BlockToken"]
    )
    content = bytes(answer["BlockData"].read())
    assert (answer["DataLength"], answer["Checksum"], answer["ChecksumAlgorithm"]) == (
        len(content), checksum(content), "SHA256",
    )  # fmt: skip
    return content


def listed(cloud: Cloud, snapshot_id: str) -> dict[int, dict[str, Any]]:
    return {
        one["BlockIndex"]: one for one in cloud.client("ebs").list_snapshot_blocks(SnapshotId=snapshot_id)["Blocks"]
    }


def state(cloud: Cloud, snapshot_id: str) -> dict[str, Any]:
    (seen,) = cloud.client("ec2").describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"]
    return dict(seen)


def kept(cloud: Cloud) -> set[str]:
    """The snapshots and drafts in the zone's storage."""
    seen = cloud.run(cloud.dev.zones[ZONE].block.observe())
    return {*seen.snapshots, *seen.drafts}


def refused(function: Any, /, **parameters: Any) -> tuple[str, str, int]:
    """(code, reason, status)"""
    with pytest.raises(Exception) as caught:
        function(**parameters)
    response = caught.value.response
    return response["Error"]["Code"], response.get("Reason", ""), response["ResponseMetadata"]["HTTPStatusCode"]


def test_what_is_written_is_read_and_a_volume_of_it_holds_the_same(cloud: Cloud) -> None:
    ebs, blocks = cloud.client("ebs"), {0: b"told".ljust(BLOCK_BYTES, b"\0"), 3: block(3), 2047: block(7)}
    tags = [{"Key": "Name", "Value": "mine"}]
    started = ebs.start_snapshot(VolumeSize=1, Description="from outside", Tags=tags, Timeout=10)
    snapshot_id = started["SnapshotId"]
    account = cloud.client("sts").get_caller_identity()["Account"]
    assert {name: started[name] for name in ("OwnerId", "Status", "VolumeSize", "BlockSize", "Description", "Tags")} == {
        "OwnerId": account, "Status": "pending", "VolumeSize": 1, "BlockSize": BLOCK_BYTES,
        "Description": "from outside", "Tags": tags,
    }  # fmt: skip
    for index, content in blocks.items():
        assert put(cloud, snapshot_id, index, content, Progress=50)["Checksum"] == checksum(content)
    cloud.settle()
    seen = state(cloud, snapshot_id)
    assert (seen["State"], seen["Progress"], seen["VolumeId"], seen["Tags"]) == ("pending", "50%", "vol-ffffffff", tags)
    completed = ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=3)
    assert (completed["Status"], completed["ResponseMetadata"]["HTTPStatusCode"]) == ("pending", 202)
    cloud.settle()
    assert (state(cloud, snapshot_id)["State"], state(cloud, snapshot_id)["Progress"]) == ("completed", "100%")
    found = listed(cloud, snapshot_id)
    assert {index: read(cloud, snapshot_id, token) for index, token in found.items()} == blocks
    made = cloud.client("ec2").create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot_id)["VolumeId"]
    cloud.settle()
    assert cloud.dev.zones[ZONE].block.read(made, 0) == "told"
    again = cloud.client("ec2").create_snapshot(VolumeId=made)["SnapshotId"]
    cloud.settle()
    assert {index: read(cloud, again, token) for index, token in listed(cloud, again).items()} == blocks


def test_a_listing_says_what_it_is_about_and_how_long_it_counts(cloud: Cloud) -> None:
    snapshot_id = written(cloud, {1: block(1)}, VolumeSize=3)
    page = cloud.client("ebs").list_snapshot_blocks(SnapshotId=snapshot_id)
    assert (page["VolumeSize"], page["BlockSize"], "NextToken" in page) == (3, BLOCK_BYTES, False)
    assert round(page["ExpiryTime"].timestamp() - cloud.dev.clock.time()) == 7 * 86400


def test_blocks_come_in_pages_whose_tokens_are_for_them_alone(cloud: Cloud) -> None:
    ebs = cloud.client("ebs")
    first, second = written(cloud, {}), written(cloud, {})
    driver, wanted = cloud.dev.zones[ZONE].block, list(range(0, 250 * 3, 3))
    held = driver._snapshots[first]
    held.blocks = {index * 128: "a" for index in wanted}
    page = ebs.list_snapshot_blocks(SnapshotId=first, MaxResults=100, StartingBlockIndex=1)
    found = [one["BlockIndex"] for one in page["Blocks"]]
    assert refused(ebs.list_snapshot_blocks, SnapshotId=second, NextToken=page["NextToken"]) == (
        "ValidationException", "INVALID_PAGE_TOKEN", 400,
    )  # fmt: skip
    while "NextToken" in page:
        page = ebs.list_snapshot_blocks(
            SnapshotId=first, MaxResults=100, NextToken=page["NextToken"], StartingBlockIndex=9
        )
        found += [one["BlockIndex"] for one in page["Blocks"]]
    assert found == wanted[1:]
    token = ebs.list_snapshot_blocks(SnapshotId=first, MaxResults=100)["NextToken"]
    cloud.advance(HOUR_S + 1)
    assert refused(ebs.list_snapshot_blocks, SnapshotId=first, NextToken=token)[1] == "INVALID_PAGE_TOKEN"
    assert refused(ebs.list_snapshot_blocks, SnapshotId=first, NextToken="bm9uZQ==")[1] == "INVALID_PAGE_TOKEN"
    assert refused(ebs.list_snapshot_blocks, SnapshotId=first, MaxResults=99)[0] == "ValidationException"


def test_a_block_token_opens_its_block_for_a_week(cloud: Cloud) -> None:
    ebs = cloud.client("ebs")
    first, second = written(cloud, {0: block(0), 1: block(1)}), written(cloud, {0: block(0)})
    token = listed(cloud, first)[0]["BlockToken"]
    for wrong in (
        {"SnapshotId": first, "BlockIndex": 1, "BlockToken": token},
        {"SnapshotId": second, "BlockIndex": 0, "BlockToken": token},
        {"SnapshotId": first, "BlockIndex": 0, "BlockToken": "AAAA" + token[4:]},
        {"SnapshotId": first, "BlockIndex": 0, "BlockToken": "bm9uZQ=="},
    ):
        assert refused(ebs.get_snapshot_block, **wrong) == ("ValidationException", "INVALID_BLOCK_TOKEN", 400)
    beyond = refused(ebs.get_snapshot_block, SnapshotId=first, BlockIndex=2048, BlockToken=token)
    assert beyond == ("ValidationException", "INVALID_BLOCK", 400)
    cloud.advance(tokens.BLOCKS_S - 5)
    assert read(cloud, first, {"BlockIndex": 0, "BlockToken": token}) == block(0)
    cloud.advance(10)
    late = refused(ebs.get_snapshot_block, SnapshotId=first, BlockIndex=0, BlockToken=token)
    assert late == ("ValidationException", "INVALID_BLOCK_TOKEN", 400)


def test_changes_between_a_parent_and_its_child(cloud: Cloud) -> None:
    ebs = cloud.client("ebs")
    parent = written(cloud, {0: block(0), 1: block(1)})
    child = written(cloud, {1: block(11), 9: block(9)}, ParentSnapshotId=parent, VolumeSize=2)
    assert {index: read(cloud, child, token) for index, token in listed(cloud, child).items()} == {
        0: block(0), 1: block(11), 9: block(9),
    }  # fmt: skip
    page = ebs.list_changed_blocks(FirstSnapshotId=parent, SecondSnapshotId=child)
    assert page["VolumeSize"] == 2
    one, nine = page["ChangedBlocks"]
    assert (one["BlockIndex"], nine["BlockIndex"], "FirstBlockToken" in nine) == (1, 9, False)
    assert read(cloud, parent, {"BlockIndex": 1, "BlockToken": one["FirstBlockToken"]}) == block(1)
    assert read(cloud, child, {"BlockIndex": 1, "BlockToken": one["SecondBlockToken"]}) == block(11)
    other = written(cloud, {0: block(0)})
    unrelated = refused(ebs.list_changed_blocks, FirstSnapshotId=other, SecondSnapshotId=child)
    assert unrelated == ("ValidationException", "UNRELATED_SNAPSHOTS", 400)
    alone = refused(ebs.list_changed_blocks, SecondSnapshotId=child)
    assert alone == ("ValidationException", "INVALID_PARAMETER_VALUE", 400)


def test_changes_of_a_volume_between_two_snapshots(cloud: Cloud) -> None:
    ec2, volume_id = cloud.client("ec2"), volume(cloud)
    driver, ids = cloud.dev.zones[ZONE].block, []
    for place, word in ((0, "a"), (128 * 5, "b")):
        driver.write(volume_id, place, word)
        ids.append(ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"])
        cloud.settle()
    (changed,) = cloud.client("ebs").list_changed_blocks(FirstSnapshotId=ids[0], SecondSnapshotId=ids[1])[
        "ChangedBlocks"
    ]
    assert changed["BlockIndex"] == 5
    assert read(cloud, ids[1], {"BlockIndex": 5, "BlockToken": changed["SecondBlockToken"]}).startswith(b"b\0")


def test_a_parent_may_be_deleted_while_its_child_is_written(cloud: Cloud) -> None:
    ebs, ec2 = cloud.client("ebs"), cloud.client("ec2")
    parent = written(cloud, {0: block(0)})
    child = ebs.start_snapshot(VolumeSize=1, ParentSnapshotId=parent)["SnapshotId"]
    ec2.delete_snapshot(SnapshotId=parent)
    cloud.settle()
    ebs.complete_snapshot(SnapshotId=child, ChangedBlocksCount=0)
    cloud.settle()
    assert read(cloud, child, listed(cloud, child)[0]) == block(0)
    assert parent not in kept(cloud)


def test_a_snapshot_that_is_not_what_its_writer_says_fails(cloud: Cloud) -> None:
    ebs = cloud.client("ebs")
    for words in (
        {"ChangedBlocksCount": 2},
        {
            "ChangedBlocksCount": 1, "Checksum": aggregate(block(2)), "ChecksumAlgorithm": "SHA256",
            "ChecksumAggregationMethod": "LINEAR",
        },
    ):  # fmt: skip
        snapshot_id = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
        put(cloud, snapshot_id, 0, block(1))
        ebs.complete_snapshot(SnapshotId=snapshot_id, **words)
        cloud.settle()
        seen = state(cloud, snapshot_id)
        assert (seen["State"], bool(seen["StateMessage"])) == ("error", True)
        assert snapshot_id not in kept(cloud)
        with pytest.raises(Exception, match="invalid state: error"):
            ebs.list_snapshot_blocks(SnapshotId=snapshot_id)
        cloud.client("ec2").delete_snapshot(SnapshotId=snapshot_id)
        cloud.settle()
        assert error(cloud.client("ec2").describe_snapshots, SnapshotIds=[snapshot_id])[0] == "InvalidSnapshot.NotFound"


def test_a_snapshot_that_nobody_writes_is_given_up(cloud: Cloud) -> None:
    ebs = cloud.client("ebs")
    idle, busy = (ebs.start_snapshot(VolumeSize=1, Timeout=10)["SnapshotId"] for _ in range(2))
    put(cloud, idle, 0, block(0))
    cloud.advance(9 * 60)
    put(cloud, busy, 0, block(0))
    cloud.advance(2 * 60)
    assert refused(lambda: put(cloud, idle, 1, block(1)))[1] in ("WRITE_REQUEST_TIMEOUT", "INVALID_SNAPSHOT_ID")
    cloud.settle()
    assert [state(cloud, one)["State"] for one in (idle, busy)] == ["error", "pending"]
    assert "timeout" in state(cloud, idle)["StateMessage"]
    assert [one in kept(cloud) for one in (idle, busy)] == [False, True]
    put(cloud, busy, 1, block(1))
    ebs.complete_snapshot(SnapshotId=busy, ChangedBlocksCount=2)
    cloud.settle()
    assert state(cloud, busy)["State"] == "completed"
    assert refused(ebs.complete_snapshot, SnapshotId=idle, ChangedBlocksCount=1)[1] == "INVALID_SNAPSHOT_ID"


def test_a_draft_goes_with_its_snapshot(cloud: Cloud) -> None:
    snapshot_id = cloud.client("ebs").start_snapshot(VolumeSize=1)["SnapshotId"]
    put(cloud, snapshot_id, 0, block(0))
    cloud.settle()
    cloud.client("ec2").delete_snapshot(SnapshotId=snapshot_id)
    gone = refused(lambda: put(cloud, snapshot_id, 1, block(0)))
    assert gone == ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND", 404)
    cloud.settle()
    assert snapshot_id not in kept(cloud)


def test_a_block_that_is_not_what_it_says_is_refused(cloud: Cloud) -> None:
    snapshot_id, content = cloud.client("ebs").start_snapshot(VolumeSize=1)["SnapshotId"], block(0)
    for given, reason in (
        ({"Checksum": checksum(block(1))}, "INVALID_BLOCK"),
        ({"BlockIndex": 2048}, "INVALID_BLOCK"),
        ({"DataLength": 4096}, "INVALID_PARAMETER_VALUE"),
        ({"BlockData": b"short"}, "INVALID_PARAMETER_VALUE"),
    ):
        parameters = {"index": 0, "content": content, **given}
        index, data = parameters.pop("BlockIndex", 0), parameters.pop("BlockData", content)
        del parameters["index"], parameters["content"]
        found = refused(lambda index=index, data=data, more=parameters: put(cloud, snapshot_id, index, data, **more))
        assert found == ("ValidationException", reason, 400), given
    assert snapshot_id not in kept(cloud)


def test_completing_twice_is_completing_once(cloud: Cloud) -> None:
    ebs, snapshot_id = cloud.client("ebs"), cloud.client("ebs").start_snapshot(VolumeSize=1)["SnapshotId"]
    put(cloud, snapshot_id, 0, block(0))
    for _ in range(2):
        assert ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=1)["Status"] == "pending"
    late = refused(lambda: put(cloud, snapshot_id, 1, block(1)))
    assert late == ("ValidationException", "INVALID_SNAPSHOT_ID", 400)
    assert refused(ebs.complete_snapshot, SnapshotId=snapshot_id, ChangedBlocksCount=2)[1] == "INVALID_SNAPSHOT_ID"
    cloud.settle()
    assert ebs.complete_snapshot(SnapshotId=snapshot_id, ChangedBlocksCount=1)["Status"] == "completed"


def test_starting_twice_with_one_token_starts_once(cloud: Cloud) -> None:
    ebs, token = cloud.client("ebs"), "t" * 255
    before = len(cloud.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"])
    first = ebs.start_snapshot(VolumeSize=1, ClientToken=token)
    again = ebs.start_snapshot(VolumeSize=1, ClientToken=token)
    assert (again["SnapshotId"], again["StartTime"]) == (first["SnapshotId"], first["StartTime"])
    conflict = refused(ebs.start_snapshot, VolumeSize=2, ClientToken=token)
    assert (conflict[0], conflict[2]) == ("ConflictException", 409)
    assert len(cloud.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]) == before + 1


def test_what_cannot_be_started_is_refused(cloud: Cloud) -> None:
    ebs, parent = cloud.client("ebs"), written(cloud, {}, VolumeSize=2)
    nothing = "snap-0123456789abcdef0"
    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    for given, expected in (
        ({"VolumeSize": 65537}, ("ValidationException", "INVALID_VOLUME_SIZE", 400)),
        ({"VolumeSize": 1, "ParentSnapshotId": parent}, ("ValidationException", "INVALID_VOLUME_SIZE", 400)),
        (
            {"VolumeSize": 2, "ParentSnapshotId": parent, "Encrypted": False},
            ("ValidationException", "INVALID_PARAMETER_VALUE", 400),
        ),
        ({"VolumeSize": 1, "Encrypted": True}, ("ValidationException", "INVALID_PARAMETER_VALUE", 400)),
        ({"VolumeSize": 1, "Tags": twice}, ("ValidationException", "INVALID_TAG", 400)),
        ({"VolumeSize": 1, "Tags": [{"Key": "aws:a", "Value": ""}]}, ("ValidationException", "INVALID_TAG", 400)),
        ({"VolumeSize": 1, "ParentSnapshotId": nothing}, ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND", 404)),
        ({"VolumeSize": 1, "Timeout": 9}, ("ValidationException", "", 400)),
        ({"VolumeSize": 1, "ParentSnapshotId": "snap-x"}, ("ValidationException", "", 400)),
    ):
        assert refused(ebs.start_snapshot, **given) == expected, given


def test_as_many_may_be_pending_as_aws_allows(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("eucapy.clc.ebs.writing.MOST_PENDING", 2)
    ebs = cloud.client("ebs", "other")
    first = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    ebs.start_snapshot(VolumeSize=1)
    assert refused(ebs.start_snapshot, VolumeSize=1)[0] == "ConcurrentLimitExceededException"
    ebs.complete_snapshot(SnapshotId=first, ChangedBlocksCount=0)
    cloud.settle()
    ebs.start_snapshot(VolumeSize=1)


def test_snapshots_of_others_are_read_when_they_are_shared_and_never_written(cloud: Cloud) -> None:
    friend = cloud.accounts["other"]["account_id"]
    theirs = cloud.client("ebs", "other")
    done = written(cloud, {0: block(0)})
    unfinished = cloud.client("ebs").start_snapshot(VolumeSize=1)["SnapshotId"]
    unseen = ("ResourceNotFoundException", "SNAPSHOT_NOT_FOUND", 404)
    assert refused(theirs.list_snapshot_blocks, SnapshotId=done) == unseen
    assert refused(theirs.complete_snapshot, SnapshotId=unfinished, ChangedBlocksCount=0) == unseen
    permission = {"Add": [{"UserId": friend}]}
    cloud.client("ec2").modify_snapshot_attribute(SnapshotId=done, CreateVolumePermission=permission)
    (token,) = theirs.list_snapshot_blocks(SnapshotId=done)["Blocks"]
    got = theirs.get_snapshot_block(SnapshotId=done, BlockIndex=0, BlockToken=token["BlockToken"])
    assert got["BlockData"].read() == block(0)


def test_a_snapshot_that_is_not_complete_is_not_read_and_no_other_is_written(cloud: Cloud) -> None:
    ebs, taken = cloud.client("ebs"), snapshot(cloud)
    pending = ebs.start_snapshot(VolumeSize=1)["SnapshotId"]
    assert refused(ebs.list_snapshot_blocks, SnapshotId=pending)[:2] == ("ValidationException", "INVALID_SNAPSHOT_ID")
    assert refused(ebs.complete_snapshot, SnapshotId=taken, ChangedBlocksCount=0)[1] == "INVALID_SNAPSHOT_ID"
    assert refused(lambda: put(cloud, taken, 0, block(0)))[1] == "INVALID_SNAPSHOT_ID"
    assert error(cloud.client("ec2").create_volume, AvailabilityZone=ZONE, SnapshotId=pending)[0] == "IncorrectState"


def test_a_zone_that_is_silent_is_an_error_of_ours(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot_id = written(cloud, {0: block(0)})

    async def nobody(zone: str) -> None:
        return None

    monkeypatch.setattr(cloud.dev, "storage", nobody)
    status, code, _ = answer(cloud.client("ebs"), "ListSnapshotBlocks", {"SnapshotId": snapshot_id})
    assert (status, code) == (500, "InternalServerException")


def test_policies_speak_of_snapshots_by_their_arns_and_tags(cloud: Cloud) -> None:
    mine = written(cloud, {0: block(0)}, Tags=[{"Key": "Team", "Value": "blue"}])
    other = written(cloud, {0: block(0)})
    keys = cloud.user("reader")
    statement = [
        {
            "Effect": "Allow", "Action": ["ebs:List*", "ebs:Get*"], "Resource": "arn:aws:ec2:*::snapshot/*",
            "Condition": {"StringEquals": {"aws:ResourceTag/Team": "blue"}},
        },
        {
            "Effect": "Allow", "Action": "ebs:StartSnapshot", "Resource": "*",
            "Condition": {"NumericLessThanEquals": {"ebs:VolumeSize": "2"}},
        },
    ]  # fmt: skip
    cloud.client("iam").put_user_policy(
        UserName="reader", PolicyName="p", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": statement})
    )
    ebs = cloud.client("ebs", keys=keys)
    (token,) = ebs.list_snapshot_blocks(SnapshotId=mine)["Blocks"]
    assert ebs.get_snapshot_block(SnapshotId=mine, **token)["BlockData"].read() == block(0)
    status, code, message = answer(ebs, "ListSnapshotBlocks", {"SnapshotId": other})
    assert (status, code) == (403, "AccessDeniedException")
    assert (
        f"is not authorized to perform: ebs:ListSnapshotBlocks on resource: arn:aws:ec2:us-east-1::snapshot/{other}"
        in message
    )
    assert refused(ebs.list_changed_blocks, FirstSnapshotId=other, SecondSnapshotId=mine)[0] == "AccessDeniedException"
    started = ebs.start_snapshot(VolumeSize=2)["SnapshotId"]
    assert refused(ebs.start_snapshot, VolumeSize=3)[0] == "AccessDeniedException"
    assert refused(ebs.complete_snapshot, SnapshotId=started, ChangedBlocksCount=0)[0] == "AccessDeniedException"
