"""Object lock through boto3: what is held cannot be removed, whoever asks and however."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eucapy.aws.errors import AccessDenied
from eucapy.walrus import locks
from eucapy.walrus.locks import COMPLIANCE, GOVERNANCE, Lock
from tests.walrus.conftest import Refused
from tests.walrus.server import OTHER_ACCOUNT, Store

_numbers = itertools.count(1)
SOON = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(days=30)
LATER = SOON + dt.timedelta(days=30)


@pytest.fixture
def locked(s3: Any) -> str:
    """A bucket with object lock and no default."""
    name = f"locked-{next(_numbers)}"
    s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    return name


def put(s3: Any, bucket: str, **said: Any) -> str:
    return str(s3.put_object(Bucket=bucket, Key="k", Body=b"kept", **said)["VersionId"])


def retain(s3: Any, bucket: str, mode: str, until: dt.datetime, **said: Any) -> None:
    retention = {"Mode": mode, "RetainUntilDate": until}
    s3.put_object_retention(Bucket=bucket, Key="k", Retention=retention, **said)


def default(**rule: Any) -> dict[str, Any]:
    return {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": rule}}


def test_a_bucket_with_object_lock_is_versioned_and_stays_so(s3: Any, locked: str, refused: Refused) -> None:
    assert s3.get_bucket_versioning(Bucket=locked)["Status"] == "Enabled"
    assert s3.get_object_lock_configuration(Bucket=locked)["ObjectLockConfiguration"] == {
        "ObjectLockEnabled": "Enabled"
    }
    with refused("InvalidBucketState", 409):
        s3.put_bucket_versioning(Bucket=locked, VersioningConfiguration={"Status": "Suspended"})


def test_object_lock_comes_later_only_to_a_versioned_bucket(s3: Any, bucket: str, refused: Refused) -> None:
    with refused("InvalidBucketState", 409):
        s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=default(Mode=GOVERNANCE, Days=1))
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    with refused("MissingRequestBodyError", 400):
        s3.put_object_lock_configuration(Bucket=bucket)
    configuration = default(Mode=COMPLIANCE, Years=2)
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=configuration)
    assert s3.get_object_lock_configuration(Bucket=bucket)["ObjectLockConfiguration"] == configuration


@pytest.mark.parametrize(
    ("configuration", "code"),
    [
        ({}, "MalformedXML"),
        ({"ObjectLockEnabled": "Disabled"}, "MalformedXML"),
        (default(Mode="governance", Days=1), "MalformedXML"),
        (default(Mode=GOVERNANCE), "MalformedXML"),
        (default(Mode=GOVERNANCE, Days=1, Years=1), "MalformedXML"),
        (default(Mode=GOVERNANCE, Days=0), "InvalidRetentionPeriod"),
        (default(Mode=GOVERNANCE, Years=101), "InvalidRetentionPeriod"),
    ],
)
def test_a_configuration_that_means_nothing_is_refused(
    s3: Any, locked: str, refused: Refused, configuration: dict[str, Any], code: str
) -> None:
    with refused(code, 400):
        s3.put_object_lock_configuration(Bucket=locked, ObjectLockConfiguration=configuration)


def test_retained_versions_outlive_every_kind_of_delete(s3: Any, locked: str, refused: Refused) -> None:
    version = put(s3, locked, ObjectLockMode=COMPLIANCE, ObjectLockRetainUntilDate=SOON)
    for bypass in ({}, {"BypassGovernanceRetention": True}):
        with refused("AccessDenied", 403) as caught:
            s3.delete_object(Bucket=locked, Key="k", VersionId=version, **bypass)
        assert caught.value.response["Error"]["Message"] == locks.PROTECTED
        batch = {"Objects": [{"Key": "k", "VersionId": version}, {"Key": "other"}]}
        result = s3.delete_objects(Bucket=locked, Delete=batch, **bypass)
        assert [error["Code"] for error in result["Errors"]] == ["AccessDenied"]
        assert [deleted["Key"] for deleted in result["Deleted"]] == ["other"]
    marker = s3.delete_object(Bucket=locked, Key="k")["VersionId"]  # only hides it
    s3.delete_object(Bucket=locked, Key="k", VersionId=marker)
    put(s3, locked)
    assert s3.get_object(Bucket=locked, Key="k", VersionId=version)["Body"].read() == b"kept"
    with refused("BucketNotEmpty", 409):
        s3.delete_bucket(Bucket=locked)


def test_governance_yields_to_who_may_bypass_it_and_says_so(s3: Any, locked: str, refused: Refused) -> None:
    version = put(s3, locked, ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=LATER)
    with refused("AccessDenied", 403):
        retain(s3, locked, GOVERNANCE, SOON)
    with refused("AccessDenied", 403):
        s3.put_object_retention(Bucket=locked, Key="k", Retention={})
    retain(s3, locked, GOVERNANCE, SOON, BypassGovernanceRetention=True)
    retain(s3, locked, GOVERNANCE, LATER)
    statement = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:BypassGovernanceRetention", "Resource": f"arn:aws:s3:::{locked}/*"
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=locked, Policy=json.dumps({"Version": "2012-10-17", "Statement": statement}))
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)
    s3.delete_bucket_policy(Bucket=locked)
    s3.put_object_retention(Bucket=locked, Key="k", Retention={}, BypassGovernanceRetention=True)
    with refused("NoSuchObjectLockConfiguration", 404):
        s3.get_object_retention(Bucket=locked, Key="k")
    s3.delete_object(Bucket=locked, Key="k", VersionId=version)


def test_compliance_is_only_ever_made_longer(s3: Any, locked: str, refused: Refused) -> None:
    put(s3, locked)
    retain(s3, locked, COMPLIANCE, SOON)
    for mode, until in ((COMPLIANCE, SOON - dt.timedelta(seconds=1)), (GOVERNANCE, LATER)):
        with refused("AccessDenied", 403):
            retain(s3, locked, mode, until, BypassGovernanceRetention=True)
    retain(s3, locked, COMPLIANCE, LATER)
    assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"]["RetainUntilDate"] == LATER


def test_a_request_without_a_document_changes_nothing(s3: Any, locked: str, refused: Refused) -> None:
    put(s3, locked, ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=SOON)
    with refused("MalformedXML", 400):
        s3.put_object_retention(Bucket=locked, Key="k", BypassGovernanceRetention=True)
    assert s3.get_object_retention(Bucket=locked, Key="k")["Retention"]["Mode"] == GOVERNANCE


def test_a_legal_hold_holds_until_it_is_lifted(s3: Any, locked: str, refused: Refused) -> None:
    version = put(s3, locked)
    with refused("NoSuchObjectLockConfiguration", 404):
        s3.get_object_legal_hold(Bucket=locked, Key="k")
    s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "ON"})
    assert s3.get_object_legal_hold(Bucket=locked, Key="k")["LegalHold"] == {"Status": "ON"}
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket=locked, Key="k", VersionId=version, BypassGovernanceRetention=True)
    with refused("MalformedXML", 400):
        s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "off"})
    s3.put_object_legal_hold(Bucket=locked, Key="k", LegalHold={"Status": "OFF"})
    s3.delete_object(Bucket=locked, Key="k", VersionId=version)


def test_puts_copies_and_uploads_lock_alike_and_reads_tell(s3: Any, locked: str, refused: Refused) -> None:
    lock = {"ObjectLockMode": GOVERNANCE, "ObjectLockRetainUntilDate": SOON, "ObjectLockLegalHoldStatus": "ON"}
    put(s3, locked, **lock)
    s3.copy_object(Bucket=locked, Key="copy", CopySource=f"{locked}/k", **lock)
    upload = s3.create_multipart_upload(Bucket=locked, Key="parts", **lock)["UploadId"]
    part = s3.upload_part(Bucket=locked, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")
    s3.complete_multipart_upload(
        Bucket=locked,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    for key in ("k", "copy", "parts"):
        head = s3.head_object(Bucket=locked, Key=key)
        assert {name: head[name] for name in lock} == lock
        with refused("AccessDenied", 403):
            s3.delete_object(Bucket=locked, Key=key, VersionId=head["VersionId"], BypassGovernanceRetention=True)
    s3.copy_object(Bucket=locked, Key="free", CopySource=f"{locked}/k")  # a lock is not copied
    assert "ObjectLockMode" not in s3.head_object(Bucket=locked, Key="free")


def test_who_may_read_but_not_the_lock_is_not_told_of_it(store: Store, s3: Any, locked: str) -> None:
    put(s3, locked, ObjectLockLegalHoldStatus="ON", ObjectLockMode=GOVERNANCE, ObjectLockRetainUntilDate=SOON)
    allowed = {"Effect": "Allow", "Principal": {"AWS": OTHER_ACCOUNT}, "Resource": f"arn:aws:s3:::{locked}/*"}
    for actions, told in ((["s3:GetObject"], False), (["s3:GetObject", "s3:GetObjectRetention"], True)):
        policy = {"Version": "2012-10-17", "Statement": allowed | {"Action": actions}}
        s3.put_bucket_policy(Bucket=locked, Policy=json.dumps(policy))
        head = store.other.head_object(Bucket=locked, Key="k")
        assert ("ObjectLockMode" in head, "ObjectLockLegalHoldStatus" in head) == (told, False)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"ObjectLockMode": GOVERNANCE}, "must both be supplied"),
        ({"ObjectLockRetainUntilDate": SOON}, "must both be supplied"),
        ({"ObjectLockMode": "abc", "ObjectLockRetainUntilDate": SOON}, "Unknown wormMode directive."),
        ({"ObjectLockMode": GOVERNANCE, "ObjectLockRetainUntilDate": dt.datetime(2020, 1, 1)}, "in the future"),
        ({"ObjectLockLegalHoldStatus": "abc"}, "Legal Hold must be"),
    ],
)
def test_a_lock_that_means_nothing_is_refused(
    s3: Any, locked: str, refused: Refused, said: dict[str, Any], message: str
) -> None:
    with refused("InvalidArgument", 400) as caught:
        put(s3, locked, **said)
    assert message in caught.value.response["Error"]["Message"]
    assert "Versions" not in s3.list_object_versions(Bucket=locked)


def test_without_object_lock_nothing_can_be_locked(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"")
    tries = (
        lambda: put(s3, bucket, ObjectLockLegalHoldStatus="ON"),
        lambda: retain(s3, bucket, GOVERNANCE, SOON),
        lambda: s3.get_object_retention(Bucket=bucket, Key="k"),
        lambda: s3.put_object_legal_hold(Bucket=bucket, Key="k", LegalHold={"Status": "ON"}),
        lambda: s3.create_multipart_upload(Bucket=bucket, Key="k", ObjectLockLegalHoldStatus="ON"),
        lambda: s3.copy_object(Bucket=bucket, Key="c", CopySource=f"{bucket}/k", ObjectLockLegalHoldStatus="ON"),
    )
    for attempt in tries:
        with refused("InvalidRequest", 400):
            attempt()


def test_default_retention_ends_by_itself(still: Store, refused: Refused) -> None:
    s3 = still.s3
    s3.create_bucket(Bucket="defaults", ObjectLockEnabledForBucket=True)
    s3.put_object_lock_configuration(Bucket="defaults", ObjectLockConfiguration=default(Mode=COMPLIANCE, Days=1))
    version = put(s3, "defaults")
    until = s3.head_object(Bucket="defaults", Key="k")["ObjectLockRetainUntilDate"].timestamp()
    assert until == still.now() + 86400
    with refused("AccessDenied", 403):
        s3.delete_object(Bucket="defaults", Key="k", VersionId=version)
    still.advance(86401)
    s3.delete_object(Bucket="defaults", Key="k", VersionId=version)


MODES = st.sampled_from([None, GOVERNANCE, COMPLIANCE])
TIMES = st.integers(0, 20)


@given(MODES, TIMES, MODES, TIMES, TIMES, st.booleans())
def test_no_change_ever_weakens_compliance(
    old: str | None, until: int, mode: str | None, new_until: int, now: int, bypass: bool
) -> None:
    lock = Lock(old, until)
    try:
        locks.refuse_change(lock, mode, new_until, now, bypass=bypass)
    except AccessDenied:
        assert lock.retains(now)
        return
    if lock.retains(now) and old == COMPLIANCE:
        assert (mode, max(until, new_until)) == (COMPLIANCE, new_until)
    if lock.retains(now) and not bypass:
        assert (mode, max(until, new_until)) == (old, new_until)
