"""Replication through boto3: the other bucket has the same versions, once each, whatever happens on the way."""

from __future__ import annotations

import datetime as dt
import itertools
import os
from typing import Any

import pytest

from eucapy.drivers.blob.base import NoSpace
from eucapy.walrus import replication
from eucapy.walrus.store.objects import Version
from tests.walrus.conftest import Refused
from tests.walrus.server import OTHER_ACCOUNT, Store
from tests.walrus.test_encryption import customer, reading

_numbers = itertools.count(1)
KINDS = [{}, {"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "mine"}]


def rule(target: str, name: str = "r", **said: Any) -> dict[str, Any]:
    return {
        "ID": name, "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": ""},
        "DeleteMarkerReplication": {"Status": "Enabled"}, "Destination": {"Bucket": f"arn:aws:s3:::{target}"}, **said,
    }  # fmt: skip


def versioned(s3: Any) -> str:
    name = f"replicated-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def configure(s3: Any, source: str, *rules: dict[str, Any]) -> None:
    s3.put_bucket_replication(Bucket=source, ReplicationConfiguration={"Role": "arn:aws:iam::1:role/r", "Rules": rules})


@pytest.fixture
def pair(s3: Any) -> tuple[str, str]:
    """A source whose versions all go to a target."""
    source, target = versioned(s3), versioned(s3)
    configure(s3, source, rule(target))
    return source, target


def history(s3: Any, bucket: str) -> list[tuple[Any, ...]]:
    """What is in the bucket, in order: key, version, time, whether it is the newest, tag."""
    found = s3.list_object_versions(Bucket=bucket)
    rows = [(e["Key"], e["VersionId"], e["LastModified"], e["IsLatest"], e["ETag"]) for e in found.get("Versions", [])]
    rows += [(e["Key"], e["VersionId"], e["LastModified"], e["IsLatest"], "") for e in found.get("DeleteMarkers", [])]
    return sorted(rows)


def settle(store: Store) -> None:
    store.work("replicator")


def test_every_kind_of_object_arrives_as_it_is(store: Store, s3: Any, pair: tuple[str, str]) -> None:
    source, target = pair
    bodies = {}
    for n, (size, how) in enumerate(itertools.product((0, 300, 70_000), KINDS)):
        bodies[f"k{n}"] = os.urandom(size)
        s3.put_object(
            Bucket=source, Key=f"k{n}", Body=bodies[f"k{n}"], Metadata={"n": str(n)}, Tagging="a=b",
            ContentType="text/x", **how,
        )  # fmt: skip
    for n, how in enumerate(KINDS):
        upload = s3.create_multipart_upload(Bucket=source, Key=f"parts{n}", **how)["UploadId"]
        bodies[f"parts{n}"] = os.urandom(80_000)
        part = s3.upload_part(Bucket=source, Key=f"parts{n}", UploadId=upload, PartNumber=1, Body=bodies[f"parts{n}"])
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        s3.complete_multipart_upload(Bucket=source, Key=f"parts{n}", UploadId=upload, MultipartUpload=parts)
    s3.copy_object(Bucket=source, Key="copy", CopySource=f"{source}/k1")
    bodies["copy"] = bodies["k1"]
    settle(store)
    assert history(s3, target) == history(s3, source)
    for key, body in bodies.items():
        mine, yours = s3.get_object(Bucket=source, Key=key), s3.get_object(Bucket=target, Key=key)
        assert (mine["ReplicationStatus"], yours["ReplicationStatus"]) == ("COMPLETED", "REPLICA")
        assert mine["Body"].read() == yours["Body"].read() == body
        for name in ("Metadata", "ContentType", "ETag", "ServerSideEncryption", "SSEKMSKeyId", "TagCount"):
            assert mine.get(name) == yours.get(name)
        s3.delete_object(Bucket=source, Key=key, VersionId=mine["VersionId"])
        assert s3.get_object(Bucket=target, Key=key)["Body"].read() == body  # it has bytes of its own
    store.settle()
    assert all(s3.get_object(Bucket=target, Key=key)["Body"].read() == body for key, body in bodies.items())


def test_versions_and_markers_take_their_place_by_age_in_whatever_order_they_come(
    store: Store, s3: Any, pair: tuple[str, str]
) -> None:
    source, target = pair
    for n in range(4):
        s3.put_object(Bucket=source, Key="k", Body=b"%d" % n)
        if n % 2:
            s3.delete_object(Bucket=source, Key="k")
    settle(store)
    assert history(s3, target) == history(s3, source)
    s3.put_object(Bucket=target, Key="k", Body=b"the target's own")
    s3.put_object(Bucket=source, Key="k", Body=b"newest")
    settle(store)
    settle(store)  # again: nothing comes twice
    assert s3.get_object(Bucket=target, Key="k")["Body"].read() == b"newest"
    assert len(history(s3, target)) == len(history(s3, source)) + 1


def test_only_what_the_rules_name_goes_and_the_strongest_rule_counts(store: Store, s3: Any) -> None:
    source, one, two = versioned(s3), versioned(s3), versioned(s3)
    without = {"Status": "Disabled"}
    configure(
        s3, source,
        rule(one, "weak", Priority=1, Filter={"Prefix": "a"}, DeleteMarkerReplication=without),
        rule(one, "strong", Priority=2, Filter={"Prefix": "ab"}, DeleteMarkerReplication=without,
             Destination={"Bucket": f"arn:aws:s3:::{one}", "StorageClass": "STANDARD_IA"}),
        rule(two, "tags", Priority=3, Filter={"Tag": {"Key": "k", "Value": "v"}}, DeleteMarkerReplication=without),
        rule(two, "off", Priority=4, Status="Disabled"),
    )  # fmt: skip
    s3.put_object(Bucket=source, Key="a", Body=b"1")
    s3.put_object(Bucket=source, Key="ab", Body=b"2", Tagging="k=v")
    s3.put_object(Bucket=source, Key="c", Body=b"3")
    s3.delete_object(Bucket=source, Key="a")
    settle(store)
    labels = {e["Key"]: e["StorageClass"] for e in s3.list_objects_v2(Bucket=one)["Contents"]}
    assert labels == {"a": "STANDARD", "ab": "STANDARD_IA"}
    assert [row[0] for row in history(s3, two)] == ["ab"]
    assert "ReplicationStatus" not in s3.head_object(Bucket=source, Key="c")


def test_a_replica_is_not_replicated_on_and_old_versions_stay_where_they_are(store: Store, s3: Any) -> None:
    first, second, third = versioned(s3), versioned(s3), versioned(s3)
    s3.put_object(Bucket=first, Key="before", Body=b"x")
    configure(s3, first, rule(second))
    configure(s3, second, rule(third))
    s3.put_object(Bucket=first, Key="after", Body=b"x")
    settle(store)
    assert [row[0] for row in history(s3, second)] == ["after"]
    assert history(s3, third) == []


def test_locks_go_along_where_the_target_knows_them(store: Store, s3: Any) -> None:
    source, target = f"locked-source-{next(_numbers)}", f"locked-target-{next(_numbers)}"
    for name in (source, target):
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    configure(s3, source, rule(target))
    until = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=1)
    s3.put_object(Bucket=source, Key="k", Body=b"x", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    settle(store)
    assert s3.head_object(Bucket=target, Key="k")["ObjectLockRetainUntilDate"] == until


def test_a_default_of_the_target_encrypts_what_comes_plain(store: Store, s3: Any, pair: tuple[str, str]) -> None:
    source, target = pair
    default = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]}
    s3.put_bucket_encryption(Bucket=target, ServerSideEncryptionConfiguration=default)
    for size in (100, 70_000):
        body = os.urandom(size)
        s3.put_object(Bucket=source, Key="k", Body=body)
        settle(store)
        found = s3.get_object(Bucket=target, Key="k")
        assert (found["Body"].read(), found["ServerSideEncryption"]) == (body, "AES256")


def test_what_cannot_be_had_there_is_said_to_have_failed(store: Store, s3: Any, pair: tuple[str, str]) -> None:
    source, target = pair
    own = customer(1)
    s3.put_object(Bucket=source, Key="sealed", Body=b"x", **own)
    settle(store)
    assert s3.head_object(Bucket=source, Key="sealed", **reading(own))["ReplicationStatus"] == "FAILED"
    s3.delete_bucket(Bucket=target)
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    settle(store)
    assert s3.head_object(Bucket=source, Key="k")["ReplicationStatus"] == "FAILED"


def test_another_accounts_bucket_must_allow_it(store: Store, s3: Any) -> None:
    source, target = versioned(s3), versioned(store.other)
    configure(s3, source, rule(target))
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    settle(store)
    assert s3.head_object(Bucket=source, Key="k")["ReplicationStatus"] == "FAILED"
    account = "111122223333"
    store.other.put_bucket_policy(
        Bucket=target,
        Policy=f'{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": {{"AWS": "{account}"}},'
        f' "Action": "s3:ReplicateObject", "Resource": "arn:aws:s3:::{target}/*"}}}}',
    )
    s3.put_object(Bucket=source, Key="k", Body=b"y")
    settle(store)
    assert store.other.get_object(Bucket=target, Key="k")["Body"].read() == b"y"
    assert account != OTHER_ACCOUNT


def test_a_full_disk_only_delays(still: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = still.s3
    source, target = versioned(s3), versioned(s3)
    configure(s3, source, rule(target))
    assert still.app.walrus is not None
    blobs = still.app.walrus.blobs

    async def full(blob_id: str) -> str:
        raise NoSpace("no room")

    with monkeypatch.context() as patched:
        patched.setattr(blobs, "clone", full)
        s3.put_object(Bucket=source, Key="k", Body=b"x" * 50_000)
        settle(still)
        assert s3.head_object(Bucket=source, Key="k")["ReplicationStatus"] == "PENDING"
        assert history(s3, target) == []
    still.advance(400)
    settle(still)
    assert s3.head_object(Bucket=source, Key="k")["ReplicationStatus"] == "COMPLETED"


def test_killed_between_clone_and_commit_it_comes_once_and_leaves_nothing(
    still: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    s3 = still.s3
    source, target = versioned(s3), versioned(s3)
    assert still.app.walrus is not None
    from eucapy.walrus.store import objects

    async def die(*_: Any) -> bool:
        raise OSError("the power went")

    configure(s3, source, rule(target))
    with monkeypatch.context() as patched:
        patched.setattr(objects, "insert_replica", die)
        s3.put_object(Bucket=source, Key="k", Body=b"x" * 50_000)
        settle(still)
    assert len(still.blobs()) == 1  # the clone is nobody's, and was collected
    still.advance(400)
    settle(still)
    assert len(still.blobs()) == 2
    assert s3.get_object(Bucket=target, Key="k")["Body"].read() == b"x" * 50_000


def test_what_takes_days_to_replicate_is_not_swept_meanwhile(still: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    s3 = still.s3
    source, target = versioned(s3), versioned(s3)
    upload = s3.create_multipart_upload(Bucket=source, Key="k")["UploadId"]
    bodies = [b"a" * (5 << 20), b"b" * 50_000]
    parts = [
        {
            "PartNumber": n,
            "ETag": s3.upload_part(Bucket=source, Key="k", UploadId=upload, PartNumber=n, Body=body)["ETag"],
        }
        for n, body in enumerate(bodies, 1)
    ]
    configure(s3, source, rule(target))
    assert still.app.walrus is not None
    still.run(still.app.workers["replicator"].stop())  # its own pass would see the day go by within a clone of this one
    blobs, collector = still.app.walrus.blobs, still.app.walrus.collector
    clone = blobs.clone

    async def slowly(blob_id: str) -> str:
        await collector.sweep()
        still.advance(86_400)
        await collector.sweep()
        return await clone(blob_id)

    with monkeypatch.context() as patched:
        patched.setattr(blobs, "clone", slowly)
        s3.complete_multipart_upload(Bucket=source, Key="k", UploadId=upload, MultipartUpload={"Parts": parts})
        settle(still)
    assert s3.head_object(Bucket=source, Key="k")["ReplicationStatus"] == "COMPLETED"
    assert s3.get_object(Bucket=target, Key="k")["Body"].read() == b"".join(bodies)


def test_a_configuration_is_given_back_and_binds_versioning(s3: Any, pair: tuple[str, str], refused: Refused) -> None:
    source, target = pair
    found = s3.get_bucket_replication(Bucket=source)["ReplicationConfiguration"]
    assert found == {"Role": "arn:aws:iam::1:role/r", "Rules": [rule(target)]}
    with refused("InvalidBucketState", 409):
        s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Suspended"})
    s3.delete_bucket_replication(Bucket=source)
    with refused("ReplicationConfigurationNotFoundError", 404):
        s3.get_bucket_replication(Bucket=source)
    s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Suspended"})


def test_a_configuration_that_cannot_work_is_refused(s3: Any, bucket: str, refused: Refused) -> None:
    source, target = versioned(s3), versioned(s3)
    with refused("InvalidRequest", 400):
        configure(s3, bucket, rule(target))  # the source is not versioned
    for wrong, code in (
        ([], "MalformedXML"),
        ([rule(bucket)], "InvalidRequest"),
        ([rule("there-is-none")], "InvalidRequest"),
        ([rule(source)], "InvalidRequest"),
        ([rule(target, Destination={"Bucket": target})], "InvalidArgument"),
        ([rule(target), rule(target, Priority=2)], "InvalidArgument"),
        ([rule(target), rule(target, "other")], "InvalidArgument"),
        ([rule(target, Status="on")], "MalformedXML"),
        ([rule(target, DeleteMarkerReplication={})], "InvalidRequest"),
        ([rule(target, Filter={"Tag": {"Key": "k", "Value": "v"}})], "InvalidRequest"),
    ):
        with refused(code, 400):
            configure(s3, source, *wrong)


def test_the_first_form_of_rules_takes_markers_along() -> None:
    old = {"ID": "r", "Status": "Enabled", "Prefix": "a", "Destination": {"Bucket": "arn:aws:s3:::t"}}
    marker = Version(0, b"ab", 1, "v", 1, 0, 0, "", None, None, None, 0, None, "{}", None, None)
    import msgspec

    document = msgspec.json.encode(replication.Document("r", [old])).decode()
    assert [each.target for each in replication.targets(document, marker)] == ["t"]
    assert replication.targets(document, msgspec.structs.replace(marker, key=b"b")) == []


def tags_of(s3: Any, bucket: str, key: str = "k", **version: str) -> dict[str, str]:
    found = s3.get_object_tagging(Bucket=bucket, Key=key, **version)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found}


def tag(s3: Any, bucket: str, key: str = "k", **tags: str) -> None:
    tagging = {"TagSet": [{"Key": name, "Value": value} for name, value in tags.items()]}
    s3.put_object_tagging(Bucket=bucket, Key=key, Tagging=tagging)


def test_tags_that_change_later_follow(store: Store, s3: Any, pair: tuple[str, str]) -> None:
    source, target = pair
    for size in (10, 70_000):
        s3.put_object(Bucket=source, Key="k", Body=b"x" * size, Tagging="a=1")
        settle(store)
        blobs = store.blobs()
        tag(s3, source, b="2")
        settle(store)
        assert (tags_of(s3, target), len(s3.get_object(Bucket=target, Key="k")["Body"].read())) == ({"b": "2"}, size)
        s3.delete_object_tagging(Bucket=source, Key="k")
        settle(store)
        assert tags_of(s3, target) == {}
        assert store.blobs() <= blobs  # no bytes were copied for that
        assert s3.head_object(Bucket=source, Key="k")["ReplicationStatus"] == "COMPLETED"
    assert history(s3, target) == history(s3, source)


def test_a_change_before_the_replica_is_there_arrives_with_it(store: Store, s3: Any) -> None:
    source, *targets = (versioned(s3) for _ in range(3))
    rules = [
        rule(target, name=target, Priority=n, Filter={"Tag": {"Key": "a", "Value": "1"}})
        for n, target in enumerate(targets)
    ]
    for each in rules:
        each["DeleteMarkerReplication"] = {"Status": "Disabled"}
    configure(s3, source, *rules)
    s3.put_object(Bucket=source, Key="k", Body=b"x", Tagging="a=1")
    tag(s3, source, a="2")  # no rule names it any more; it was on its way already
    settle(store)
    assert [tags_of(s3, target) for target in targets] == [{"a": "2"}] * 2
    assert all(len(history(s3, target)) == 1 for target in targets)


def test_a_change_brings_back_no_replica_that_was_deleted(store: Store, s3: Any, pair: tuple[str, str]) -> None:
    source, target = pair
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    settle(store)
    version = s3.head_object(Bucket=target, Key="k")["VersionId"]
    s3.delete_object(Bucket=target, Key="k", VersionId=version)
    tag(s3, source, a="1")
    settle(store)
    assert history(s3, target) == []


def test_what_was_never_replicated_is_not_by_a_change(store: Store, s3: Any) -> None:
    source, target = versioned(s3), versioned(s3)
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    configure(s3, source, rule(target))
    tag(s3, source, a="1")
    settle(store)
    assert history(s3, target) == []
    assert "ReplicationStatus" not in s3.head_object(Bucket=source, Key="k")


def test_acls_that_change_later_follow(store: Store, s3: Any) -> None:
    source, target = versioned(s3), versioned(s3)
    for name in (source, target):
        controls = {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
        s3.put_bucket_ownership_controls(Bucket=name, OwnershipControls=controls)
        s3.delete_public_access_block(Bucket=name)
    configure(s3, source, rule(target))
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    settle(store)
    before = s3.get_object_acl(Bucket=target, Key="k")["Grants"]
    s3.put_object_acl(Bucket=source, Key="k", ACL="public-read")
    settle(store)
    after = s3.get_object_acl(Bucket=target, Key="k")["Grants"]
    assert after == s3.get_object_acl(Bucket=source, Key="k")["Grants"] != before
    assert store.other.get_object(Bucket=target, Key="k")["Body"].read() == b"x"


def test_holds_and_retention_that_change_later_follow(store: Store, s3: Any) -> None:
    source, target = f"replicated-{next(_numbers)}", f"replicated-{next(_numbers)}"
    for name in (source, target):
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    configure(s3, source, rule(target))
    s3.put_object(Bucket=source, Key="k", Body=b"x")
    settle(store)
    until = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=1)
    s3.put_object_retention(Bucket=source, Key="k", Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})
    s3.put_object_legal_hold(Bucket=source, Key="k", LegalHold={"Status": "ON"})
    settle(store)
    head = s3.head_object(Bucket=target, Key="k")
    assert (head["ObjectLockMode"], head["ObjectLockRetainUntilDate"]) == ("GOVERNANCE", until)
    assert head["ObjectLockLegalHoldStatus"] == "ON"
