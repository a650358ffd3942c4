"""Lifecycle through boto3, with time in the test's hands: what is due goes, and nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eucapy.walrus import lifecycle
from eucapy.walrus.lifecycle import DAY_MS, EXPIRE, LABEL, REMOVE, Rule, Transition
from eucapy.walrus.store.objects import Version
from eucapy.walrus.workers import lifecycle as worker
from tests.walrus.conftest import Refused
from tests.walrus.server import Store

DAY_S = 86_400
Make = Callable[..., str]


def rule(name: str = "r", **said: Any) -> dict[str, Any]:
    return {"ID": name, "Status": "Enabled", "Filter": {"Prefix": ""}, **said}


@pytest.fixture
def make(still: Store) -> Make:
    """A bucket with these rules; `versioned=True` for one with history."""

    def bucket(*rules: dict[str, Any], versioned: bool = False) -> str:
        name = "aging"
        still.s3.create_bucket(Bucket=name)
        if versioned:
            still.s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        still.s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration={"Rules": list(rules)})
        return name

    return bucket


def put(store: Store, *keys: str, **said: Any) -> None:
    for key in keys:
        store.s3.put_object(Bucket="aging", Key=key, **{"Body": b"x", **said})


def keys(store: Store) -> list[str]:
    return [each["Key"] for each in store.s3.list_objects_v2(Bucket="aging").get("Contents", [])]


def history(store: Store) -> tuple[int, int]:
    """How many versions and how many markers there are."""
    found = store.s3.list_object_versions(Bucket="aging")
    return len(found.get("Versions", [])), len(found.get("DeleteMarkers", []))


def test_objects_expire_at_the_midnight_after_their_days_and_no_sooner(still: Store, make: Make) -> None:
    make(rule(Filter={"Prefix": "old/"}, Expiration={"Days": 1}))
    put(still, "old/a", "new/a")
    midnight = (still.now() + DAY_S) // DAY_S * DAY_S + DAY_S
    said = still.s3.head_object(Bucket="aging", Key="old/a")["Expiration"]
    date = dt.datetime.fromtimestamp(midnight, dt.UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert said == f'expiry-date="{date}", rule-id="r"'
    still.advance(midnight - still.now() - 1)
    still.work("lifecycle")
    assert keys(still) == ["new/a", "old/a"]
    still.advance(1)
    assert still.work("lifecycle").expired == 1
    assert keys(still) == ["new/a"]


def test_a_date_that_has_passed_expires_what_is_there(still: Store, make: Make) -> None:
    make(
        rule("past", Filter={"Prefix": "a/"}, Expiration={"Date": dt.datetime(2020, 1, 1)}),
        rule("future", Filter={"Prefix": "b/"}, Expiration={"Date": dt.datetime(2099, 1, 1)}),
    )
    put(still, "a/1", "b/1", Body=b"x" * 40_000)
    assert len(still.blobs()) == 2
    still.work("lifecycle")
    assert keys(still) == ["b/1"]
    assert len(still.blobs()) == 1  # the bytes go too


@pytest.mark.parametrize(
    ("wanted", "gone"),
    [
        ({"Tag": {"Key": "k", "Value": "v"}}, {"tagged", "both", "big-tagged"}),
        ({"And": {"Prefix": "big", "Tags": [{"Key": "k", "Value": "v"}]}}, {"big-tagged"}),
        ({"And": {"Tags": [{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}]}}, {"both"}),
        ({"ObjectSizeGreaterThan": 1000}, {"big", "big-tagged"}),
        ({"ObjectSizeLessThan": 1001}, {"plain", "tagged", "both"}),
        ({"And": {"ObjectSizeGreaterThan": 1000, "ObjectSizeLessThan": 2000}}, set()),
        ({}, {"plain", "tagged", "both", "big", "big-tagged"}),
    ],
)
def test_only_what_the_filter_names_expires(still: Store, make: Make, wanted: dict[str, Any], gone: set[str]) -> None:
    make(rule(Filter=wanted, Expiration={"Days": 1}))
    put(still, "plain")
    put(still, "tagged", Tagging="k=v")
    put(still, "both", Tagging="k=v&l=w")
    put(still, "big", Body=b"x" * 2000)
    put(still, "big-tagged", Body=b"x" * 2000, Tagging="k=v")
    before = set(keys(still))
    still.advance(2 * DAY_S)
    still.work("lifecycle")
    assert before - set(keys(still)) == gone


def test_a_disabled_rule_does_nothing(still: Store, make: Make) -> None:
    make(rule(Status="Disabled", Expiration={"Days": 1}))
    put(still, "a")
    assert "Expiration" not in still.s3.head_object(Bucket="aging", Key="a")
    still.advance(9 * DAY_S)
    still.work("lifecycle")
    assert keys(still) == ["a"]


def test_with_versions_expiry_hides_and_noncurrent_expiry_removes(still: Store, make: Make) -> None:
    make(
        rule(Expiration={"Days": 1}, NoncurrentVersionExpiration={"NoncurrentDays": 3}),
        rule("m", Expiration={"ExpiredObjectDeleteMarker": True}),
        versioned=True,
    )
    put(still, "a", "a")
    still.advance(2 * DAY_S)
    still.work("lifecycle")
    assert (keys(still), history(still)) == ([], (2, 1))
    still.work("lifecycle")  # again: the marker has something under it
    assert history(still) == (2, 1)
    still.advance(2 * DAY_S + 1)
    still.work("lifecycle")  # the older of the two: noncurrent since the second put
    assert history(still) == (1, 1)
    still.advance(2 * DAY_S)
    still.work("lifecycle")
    assert history(still)[0] == 0
    still.work("lifecycle")
    assert history(still) == (0, 0)


def test_the_newest_noncurrent_versions_may_be_kept(still: Store, make: Make) -> None:
    make(rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 2}), versioned=True)
    for n in range(6):
        put(still, "a", Body=b"%d" % n)
    still.advance(3 * DAY_S)
    assert still.work("lifecycle").removed == 3
    left = [
        still.s3.get_object(Bucket="aging", Key="a", VersionId=each["VersionId"])["Body"].read()
        for each in still.s3.list_object_versions(Bucket="aging")["Versions"]
    ]
    assert left == [b"5", b"4", b"3"]


def test_what_is_locked_stays(still: Store) -> None:
    s3 = still.s3
    s3.create_bucket(Bucket="aging", ObjectLockEnabledForBucket=True)
    rules = [rule(Expiration={"Days": 1}, NoncurrentVersionExpiration={"NoncurrentDays": 1})]
    s3.put_bucket_lifecycle_configuration(Bucket="aging", LifecycleConfiguration={"Rules": rules})
    until = dt.datetime.fromtimestamp(still.now() + 10 * DAY_S, dt.UTC)
    put(still, "a", ObjectLockMode="GOVERNANCE", ObjectLockRetainUntilDate=until)
    put(still, "b")
    for _ in range(3):
        still.advance(2 * DAY_S)
        still.work("lifecycle")
    assert [each["Key"] for each in s3.list_object_versions(Bucket="aging")["Versions"]] == ["a"]
    still.advance(10 * DAY_S)
    still.work("lifecycle")
    assert history(still)[0] == 0


def test_open_uploads_are_aborted_with_their_parts(still: Store, make: Make) -> None:
    make(rule(Filter={"Prefix": "a"}, AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1}))
    for key in ("a", "b"):
        upload = still.s3.create_multipart_upload(Bucket="aging", Key=key)
        still.s3.upload_part(Bucket="aging", Key=key, UploadId=upload["UploadId"], PartNumber=1, Body=b"x")
        assert ("AbortRuleId" in upload, "AbortDate" in upload) == (key == "a", key == "a")
    still.advance(2 * DAY_S)
    assert still.work("lifecycle").aborted == 1
    assert [each["Key"] for each in still.s3.list_multipart_uploads(Bucket="aging")["Uploads"]] == ["b"]
    assert len(still.blobs()) == 1


def test_transitions_change_the_label(still: Store, make: Make) -> None:
    transitions = [{"Days": 30, "StorageClass": "STANDARD_IA"}, {"Days": 60, "StorageClass": "GLACIER"}]
    make(rule(Transitions=transitions))
    put(still, "small")
    put(still, "large", Body=b"x" * 140_000)
    for expected in ("STANDARD", "STANDARD_IA", "GLACIER"):
        still.work("lifecycle")
        labels = {each["Key"]: each["StorageClass"] for each in still.s3.list_objects_v2(Bucket="aging")["Contents"]}
        assert labels == {"small": "STANDARD", "large": expected}
        still.advance(31 * DAY_S)


def test_histories_longer_than_a_page_and_lone_markers_at_its_end_are_seen(
    still: Store, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "PAGE_ROWS", 4)
    make(
        rule(Expiration={"ExpiredObjectDeleteMarker": True}, NoncurrentVersionExpiration={"NoncurrentDays": 1}),
        versioned=True,
    )
    for n in range(7):
        still.s3.delete_object(Bucket="aging", Key=f"marker-{n}")
    for n in range(10):
        put(still, "zz", Body=b"%d" % n)
    still.advance(3 * DAY_S)
    still.work("lifecycle")
    assert history(still) == (1, 0)


def test_a_rewritten_object_starts_anew(still: Store, make: Make) -> None:
    make(rule(Expiration={"Days": 2}))
    put(still, "a", "b")
    still.advance(2 * DAY_S)
    put(still, "a")
    still.advance(DAY_S)
    still.work("lifecycle")
    assert keys(still) == ["a"]


def test_a_configuration_is_given_back_as_it_was_put(still: Store, make: Make, refused: Refused) -> None:
    date = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    rules = [
        rule("one", Expiration={"Date": date}),
        rule("two", Filter={"And": {"Prefix": "p", "Tags": [{"Key": "k", "Value": "v"}]}}, Expiration={"Days": 7}),
        {"ID": "three", "Status": "Disabled", "Prefix": "x/", "Expiration": {"Days": 1}},
        rule("four", Filter={}, NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 5}),
    ]
    make(*rules)
    found = still.s3.get_bucket_lifecycle_configuration(Bucket="aging")
    assert found["Rules"] == rules
    assert found["TransitionDefaultMinimumObjectSize"] == "all_storage_classes_128K"
    still.s3.delete_bucket_lifecycle(Bucket="aging")
    still.s3.delete_bucket_lifecycle(Bucket="aging")
    with refused("NoSuchLifecycleConfiguration", 404):
        still.s3.get_bucket_lifecycle_configuration(Bucket="aging")


def test_a_rule_without_a_name_gets_one(s3: Any, bucket: str) -> None:
    unnamed = {"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [unnamed, unnamed]})
    names = [each["ID"] for each in s3.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"]]
    assert len(set(names)) == 2


DAYS = {"Days": 1}


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([], "MalformedXML"),
        ([rule(Expiration=DAYS), rule(Expiration=DAYS)], "InvalidArgument"),
        ([rule("i" * 256, Expiration=DAYS)], "InvalidArgument"),
        ([rule(Status="enabled", Expiration=DAYS)], "MalformedXML"),
        ([{"ID": "r", "Status": "Enabled", "Expiration": DAYS}], "MalformedXML"),
        ([rule(Prefix="", Expiration=DAYS)], "MalformedXML"),
        ([rule()], "InvalidRequest"),
        ([rule(Expiration={})], "MalformedXML"),
        ([rule(Expiration={"Days": 1, "ExpiredObjectDeleteMarker": True})], "MalformedXML"),
        ([rule(Expiration={"Days": 0})], "InvalidArgument"),
        ([rule(Expiration={"Date": dt.datetime(2030, 1, 1, 12)})], "InvalidArgument"),
        ([rule(NoncurrentVersionExpiration={"NewerNoncurrentVersions": 1})], "MalformedXML"),
        ([rule(NoncurrentVersionExpiration={"NoncurrentDays": 0})], "InvalidArgument"),
        (
            [rule(NoncurrentVersionExpiration={"NoncurrentDays": 1, "NewerNoncurrentVersions": 101})],
            "InvalidArgument",
        ),
        ([rule(AbortIncompleteMultipartUpload={"DaysAfterInitiation": 0})], "InvalidArgument"),
        (
            [
                rule(
                    Filter={"Tag": {"Key": "k", "Value": "v"}},
                    AbortIncompleteMultipartUpload={"DaysAfterInitiation": 1},
                )
            ],
            "InvalidRequest",
        ),
        ([rule(Transitions=[{"Days": 1, "StorageClass": "STANDARD_IA"}])], "InvalidArgument"),
        ([rule(Transitions=[{"Days": 1, "StorageClass": "COLD"}])], "MalformedXML"),
        ([rule(Transitions=[{"Days": 9, "StorageClass": "GLACIER"}], Expiration={"Days": 9})], "InvalidArgument"),
        (
            [rule(Transitions=[{"Days": 9, "StorageClass": "GLACIER"}], Expiration={"Date": dt.datetime(2030, 1, 1)})],
            "InvalidRequest",
        ),
        (
            [rule(Filter={"And": {"ObjectSizeGreaterThan": 9, "ObjectSizeLessThan": 8}}, Expiration=DAYS)],
            "InvalidRequest",
        ),
    ],
)
def test_rules_that_mean_nothing_are_refused(
    s3: Any, bucket: str, refused: Refused, rules: list[dict[str, Any]], code: str
) -> None:
    with refused(code, 400):
        s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})


def test_what_is_told_counts_in_real_days_even_with_a_debug_day(tmp_path: Path) -> None:
    with Store(tmp_path, lifecycle_day_s=0.5) as store:
        store.s3.create_bucket(Bucket="aging")
        rules = {"Rules": [rule(Expiration={"Days": 1})]}
        store.s3.put_bucket_lifecycle_configuration(Bucket="aging", LifecycleConfiguration=rules)
        said = store.s3.put_object(Bucket="aging", Key="k", Body=b"x")["Expiration"]
        told = parsedate_to_datetime(said.split('"')[1])
        assert dt.timedelta(days=1) < told - dt.datetime.now(dt.UTC) <= dt.timedelta(days=2)


def row(key: bytes = b"k", *, modified_ms: int = 0, marker: int = 0, label: str | None = None) -> Version:
    return Version(
        0 if marker else 1, key, 1, "v", marker, modified_ms, 1 << 20, "", None, None, label, 2, None, "{}", None, None
    )


def test_what_removes_is_stronger_than_what_labels() -> None:
    rules = [
        Rule("l", transitions=(Transition("GLACIER", 1),)),
        Rule("x", days=1),
    ]
    step = lifecycle.due(rules, row(), None, 0, alone=True, now_ms=3 * DAY_MS, day_ms=DAY_MS)
    assert step is not None and step.action == EXPIRE
    step = lifecycle.due(rules[:1], row(), None, 0, alone=True, now_ms=3 * DAY_MS, day_ms=DAY_MS)
    assert step is not None and (step.action, step.storage_class) == (LABEL, "GLACIER")
    done = row(label="GLACIER")
    assert lifecycle.due(rules[:1], done, None, 0, alone=True, now_ms=3 * DAY_MS, day_ms=DAY_MS) is None


def test_a_marker_goes_only_when_it_is_alone() -> None:
    for asked in (Rule("m", lone_markers=True), Rule("d", days=1)):
        for alone, action in ((False, None), (True, REMOVE)):
            step = lifecycle.due([asked], row(marker=1), None, 0, alone=alone, now_ms=3 * DAY_MS, day_ms=DAY_MS)
            assert (step.action if step else None) == action


@given(st.integers(0, 10**13), st.integers(1, 4000))
def test_a_day_is_never_cut_short_and_ends_at_a_midnight(since_ms: int, days: int) -> None:
    end = lifecycle.ends_ms(since_ms, days, DAY_MS)
    assert end % DAY_MS == 0
    assert days * DAY_MS < end - since_ms <= (days + 1) * DAY_MS
