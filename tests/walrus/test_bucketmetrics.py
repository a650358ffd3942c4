"""Metrics configurations through boto3: kept by id, and what each covers is counted on the metrics page under that id."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy.walrus import bucketmetrics
from tests.walrus.conftest import Refused
from tests.walrus.server import Store


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "data", metrics="127.0.0.1:0") as store:
        store.s3.create_bucket(Bucket="seen")
        yield store


def put(s3: Any, bucket: str, name: str, **chosen: Any) -> dict[str, Any]:
    given = {"Id": name} | ({"Filter": chosen} if chosen else {})
    s3.put_bucket_metrics_configuration(Bucket=bucket, Id=name, MetricsConfiguration=given)
    return given


def counted(store: Store, name: str, metric: str = "requests_total") -> dict[str, float]:
    """Of one configuration, by what else the labels say: `PutObject 200`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{store.app.metrics_port}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(rf'^eucapy_s3_bucket_{metric}{{bucket="seen",filter="{name}",(.*?)}} (\S+)$', text, re.MULTILINE)
    return {" ".join(re.findall(r'"(.*?)"', labels)): float(value) for labels, value in found}


def test_requests_count_under_each_configuration_that_covers_them(watched: Store, refused: Refused) -> None:
    s3 = watched.s3
    put(s3, "seen", "all")
    put(s3, "seen", "logs", Prefix="logs/")
    put(s3, "seen", "blue", Tag={"Key": "colour", "Value": "blue"})
    put(s3, "seen", "both", And={"Prefix": "logs/", "Tags": [{"Key": "colour", "Value": "blue"}]})
    s3.put_object(Bucket="seen", Key="logs/1", Body=b"x" * 10, Tagging="colour=blue&size=s")
    s3.put_object(Bucket="seen", Key="logs/2", Body=b"x" * 7)
    s3.put_object(Bucket="seen", Key="other", Body=b"x" * 5, Tagging="colour=blue")
    s3.get_object(Bucket="seen", Key="logs/1")["Body"].read()
    s3.list_objects_v2(Bucket="seen", Prefix="logs/")
    s3.head_object(Bucket="seen", Key="other")
    with refused("NoSuchKey", 404):
        s3.get_object(Bucket="seen", Key="logs/nothing")
    s3.delete_objects(Bucket="seen", Delete={"Objects": [{"Key": "logs/2"}]})
    everything = counted(watched, "all")
    assert everything["PutObject 200"] == 3
    assert (everything["ListObjectsV2 200"], everything["DeleteObjects 200"]) == (1, 1)
    assert everything["PutBucketMetricsConfiguration 204"] == 4
    assert counted(watched, "logs") == {"PutObject 200": 2, "GetObject 200": 1, "GetObject 404": 1}
    assert counted(watched, "blue") == {"PutObject 200": 2, "GetObject 200": 1, "HeadObject 200": 1}
    assert counted(watched, "both") == {"PutObject 200": 1, "GetObject 200": 1}
    assert counted(watched, "logs", "received_bytes_total")["PutObject"] == 17
    assert counted(watched, "both", "sent_bytes_total") == {"GetObject": 10, "PutObject": 0}
    assert counted(watched, "logs", "request_seconds_count") == {"GetObject": 2, "PutObject": 2}


def test_counters_go_with_their_configuration_and_their_bucket(watched: Store) -> None:
    s3 = watched.s3
    put(s3, "seen", "all")
    put(s3, "seen", "more")
    assert counted(watched, "all") == {"PutBucketMetricsConfiguration 204": 2}
    s3.delete_bucket_metrics_configuration(Bucket="seen", Id="all")
    assert counted(watched, "all") == {}
    assert counted(watched, "more")["DeleteBucketMetricsConfiguration 204"] == 1
    s3.delete_bucket(Bucket="seen")
    assert counted(watched, "more") == {}
    s3.create_bucket(Bucket="seen")
    assert s3.list_bucket_metrics_configurations(Bucket="seen").get("MetricsConfigurationList") is None


def test_counters_are_bounded(watched: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucketmetrics, "MOST_COUNTED", 1)
    put(watched.s3, "seen", "all")
    watched.s3.put_object(Bucket="seen", Key="k", Body=b"")
    assert counted(watched, "all") == {"PutBucketMetricsConfiguration 204": 1}


def test_configurations_are_kept_by_id(s3: Any, bucket: str, refused: Refused) -> None:
    put(s3, bucket, "b", Prefix="old")
    kept = {name: put(s3, bucket, name, Prefix="logs/") for name in ("b", "a")}
    listed = s3.list_bucket_metrics_configurations(Bucket=bucket)
    assert (listed["MetricsConfigurationList"], listed["IsTruncated"]) == ([kept["a"], kept["b"]], False)
    assert s3.get_bucket_metrics_configuration(Bucket=bucket, Id="b")["MetricsConfiguration"] == kept["b"]
    s3.delete_bucket_metrics_configuration(Bucket=bucket, Id="b")
    for call in (s3.get_bucket_metrics_configuration, s3.delete_bucket_metrics_configuration):
        with refused("NoSuchConfiguration", 404):
            call(Bucket=bucket, Id="b")


def test_a_hundred_are_listed_at_a_time(s3: Any, bucket: str) -> None:
    for n in range(102):
        put(s3, bucket, f"{n:03}")
    first = s3.list_bucket_metrics_configurations(Bucket=bucket)
    assert (len(first["MetricsConfigurationList"]), first["IsTruncated"]) == (100, True)
    token = first["NextContinuationToken"]
    rest = s3.list_bucket_metrics_configurations(Bucket=bucket, ContinuationToken=token)
    assert [each["Id"] for each in rest["MetricsConfigurationList"]] == ["100", "101"]
    assert (rest["IsTruncated"], rest["ContinuationToken"]) == (False, token)


@pytest.mark.parametrize(
    ("chosen", "code", "status"),
    [
        ({"Prefix": "a", "Tag": {"Key": "k", "Value": "v"}}, "MalformedXML", 400),
        ({"And": {"Prefix": "a"}}, "MalformedXML", 400),
        ({"AccessPointArn": "arn:aws:s3:us-east-1:111122223333:accesspoint/a"}, "NotImplemented", 501),
    ],
)
def test_a_filter_that_means_nothing_is_refused(
    s3: Any, bucket: str, refused: Refused, chosen: dict[str, Any], code: str, status: int
) -> None:
    with refused(code, status):
        put(s3, bucket, "a", **chosen)
    assert "MetricsConfigurationList" not in s3.list_bucket_metrics_configurations(Bucket=bucket)


def test_ids_are_those_of_aws(s3: Any, bucket: str, refused: Refused) -> None:
    for name in ("with space", "x" * 65):
        with refused("InvalidArgument", 400):
            put(s3, bucket, name)
    with refused("IdMismatch", 400):
        s3.put_bucket_metrics_configuration(Bucket=bucket, Id="a", MetricsConfiguration={"Id": "b"})


def test_who_may_not_put_one_is_refused(store: Store, bucket: str, refused: Refused) -> None:
    with refused("AccessDenied", 403):
        put(store.other, bucket, "a")
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "444455556666"},'
        f' "Action": "s3:PutMetricsConfiguration", "Resource": "arn:aws:s3:::{bucket}"}}]}}'
    )
    store.s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    put(store.other, bucket, "a")
