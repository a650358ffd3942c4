"""Access logs: what a request leaves behind in the target bucket, and where it may go."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eucapy.clock import ManualClock
from eucapy.walrus import accesslog
from eucapy.walrus.accesslog import DELIVERY_TIME, EVENT_TIME, Logging
from eucapy.walrus.identity import canonical_id
from tests.walrus.conftest import Refused
from tests.walrus.server import ACCOUNT, Store

FIELDS = re.compile(r'\[[^\]]*\]|"[^"]*"|\S+')
NAMES = [
    "owner",
    "bucket",
    "time",
    "remote",
    "requester",
    "request",
    "operation",
    "key",
    "uri",
    "status",
    "error",
    "sent",
    "size",
    "total",
    "turn",
    "referer",
    "agent",
    "version",
    "host",
    "signature",
    "cipher",
    "auth",
    "host_header",
    "tls",
    "access_point",
    "acl",
]


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of this file's own, whose time stands still but for what a test adds."""
    with Store(tmp_path_factory.mktemp("logged"), ManualClock(time.time())) as store:
        yield store


def deliver(store: Store) -> int:
    assert store.app.logs is not None
    return store.run(store.app.logs.deliver())


def lines(store: Store, bucket: str) -> list[dict[str, str]]:
    """Deliver, and read all that is in the bucket of logs, but for what tells of logging itself."""
    deliver(store)
    found = []
    for entry in store.s3.list_objects_v2(Bucket=bucket).get("Contents", ()):
        text = store.s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read().decode()
        for line in text.splitlines():
            fields = FIELDS.findall(line)
            assert len(fields) == len(NAMES)
            found.append(dict(zip(NAMES, fields, strict=True)))
    return [line for line in found if line["operation"] != "REST.PUT.LOGGING_STATUS"]


def log_to(store: Store, source: str, target: str, prefix: str = "logs/", **more: Any) -> None:
    enabled = {"TargetBucket": target, "TargetPrefix": prefix, **more}
    store.s3.put_bucket_logging(Bucket=source, BucketLoggingStatus={"LoggingEnabled": enabled})
    assert store.clock is not None
    store.clock.advance(10)  # by then it is in effect


def make(store: Store, *names: str) -> None:
    for name in names:
        store.s3.create_bucket(Bucket=name)


def test_requests_become_lines_of_an_object(logged: Store) -> None:
    make(logged, "source", "target")
    log_to(logged, "source", "target")
    s3 = logged.s3
    s3.put_object(Bucket="source", Key="a b/ä", Body=b"12345")
    s3.get_object(Bucket="source", Key="a b/ä", Range="bytes=1-2")["Body"].read()
    with pytest.raises(ClientError):
        s3.get_object(Bucket="source", Key="absent")
    s3.get_bucket_acl(Bucket="source")
    s3.list_objects_v2(Bucket="source")
    request = urllib.request.Request(f"http://127.0.0.1:{logged.port}/source/x?y=z", headers={"User-Agent": 'a "b"'})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    caught.value.close()
    assert logged.s3.list_objects_v2(Bucket="target")["KeyCount"] == 0
    put, get, absent, acl, listing, nobody = lines(logged, "target")
    assert {line["owner"] for line in (put, get, nobody)} == {canonical_id(ACCOUNT)}
    assert (put["operation"], put["status"], put["size"], put["error"]) == ("REST.PUT.OBJECT", "200", "5", "-")
    assert put["key"] == "a%20b/%C3%A4"
    assert (put["requester"], put["signature"], put["auth"]) == (canonical_id(ACCOUNT), "SigV4", "AuthHeader")
    assert (get["operation"], get["status"], get["sent"], get["size"]) == ("REST.GET.OBJECT", "206", "2", "5")
    assert (absent["status"], absent["error"]) == ("404", "NoSuchKey")
    assert (acl["operation"], listing["operation"], listing["key"]) == ("REST.GET.ACL", "REST.GET.BUCKET", "-")
    assert (nobody["requester"], nobody["error"], nobody["agent"]) == ("-", "AccessDenied", '"a %22b%22"')
    assert nobody["uri"] == '"GET /source/x?y=z HTTP/1.1"'
    entry = logged.s3.list_objects_v2(Bucket="target")["Contents"][0]["Key"]
    assert re.fullmatch(r"logs/\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-[0-9A-F]{16}", entry)


def test_a_bad_signature_is_logged_and_other_buckets_are_not(logged: Store) -> None:
    make(logged, "signed", "signed-target", "quiet")
    log_to(logged, "signed", "signed-target")
    for bucket in ("signed", "quiet"):
        request = urllib.request.Request(
            f"http://127.0.0.1:{logged.port}/{bucket}/x?AWSAccessKeyId=a&Expires=1&Signature=b"
        )
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(request)
        caught.value.close()
    assert [line["error"] for line in lines(logged, "signed-target")] == ["InvalidAccessKeyId"]


def test_pages_of_a_website_are_logged(logged: Store) -> None:
    make(logged, "site", "site-target")
    log_to(logged, "site", "site-target")
    host = {"Host": "site.s3-website-us-east-1.localhost"}
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{logged.port}/p", headers=host))
    caught.value.close()
    found = lines(logged, "site-target")
    assert [(line["operation"], line["key"], line["status"]) for line in found] == [("WEBSITE.GET.OBJECT", "p", "404")]


def test_logging_ends_when_it_is_ended(logged: Store) -> None:
    make(logged, "ending", "ending-target")
    log_to(logged, "ending", "ending-target")
    logged.s3.put_bucket_logging(Bucket="ending", BucketLoggingStatus={})
    assert "LoggingEnabled" not in logged.s3.get_bucket_logging(Bucket="ending")
    assert logged.clock is not None
    logged.clock.advance(10)
    logged.s3.list_objects_v2(Bucket="ending")
    assert lines(logged, "ending-target") == []


def test_a_target_that_refuses_gets_nothing_and_harms_nobody(logged: Store) -> None:
    make(logged, "refused", "refusing")
    log_to(logged, "refused", "refusing")
    statement = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:PutObject",'
        '"Resource":"arn:aws:s3:::refusing/logs/*"}]}'
    )
    logged.s3.put_bucket_policy(Bucket="refusing", Policy=statement)
    logged.s3.list_objects_v2(Bucket="refused")
    assert deliver(logged) == 0
    logged.s3.delete_bucket(Bucket="refusing")
    logged.s3.list_objects_v2(Bucket="refused")
    assert deliver(logged) == 0


def test_what_waits_is_delivered_before_the_end(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        make(store, "source", "target")
        enabled = {"TargetBucket": "target", "TargetPrefix": ""}
        store.s3.put_bucket_logging(Bucket="source", BucketLoggingStatus={"LoggingEnabled": enabled})
        store.s3.list_objects_v2(Bucket="source")
    with Store(tmp_path) as store:
        assert store.s3.list_objects_v2(Bucket="target")["KeyCount"] == 1


def test_a_target_with_acls_gives_the_logs_to_whom_it_says(logged: Store) -> None:
    make(logged, "granting")
    logged.s3.create_bucket(Bucket="granted", ObjectOwnership="ObjectWriter")
    grants = [{"Grantee": {"Type": "CanonicalUser", "ID": canonical_id("444455556666")}, "Permission": "READ"}]
    log_to(logged, "granting", "granted", TargetGrants=grants)
    assert logged.s3.get_bucket_logging(Bucket="granting")["LoggingEnabled"]["TargetGrants"][0]["Permission"] == "READ"
    logged.s3.list_objects_v2(Bucket="granting")
    assert deliver(logged) == 1
    key = logged.s3.list_objects_v2(Bucket="granted")["Contents"][0]["Key"]
    assert b"REST.GET.BUCKET" in logged.other.get_object(Bucket="granted", Key=key)["Body"].read()


@pytest.mark.parametrize("form", [{"SimplePrefix": {}}, {"PartitionedPrefix": {"PartitionDateSource": "EventTime"}}])
def test_a_configuration_is_kept_as_it_was_put(s3: Any, bucket: str, form: dict[str, Any]) -> None:
    enabled = {"TargetBucket": bucket, "TargetPrefix": "", "TargetObjectKeyFormat": form}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == enabled


def test_a_target_must_be_there_and_ones_own_and_near(s3: Any, store: Store, bucket: str, refused: Refused) -> None:
    store.other.create_bucket(Bucket=f"{bucket}-others")
    s3.create_bucket(Bucket=f"{bucket}-far", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    grants = [
        {"Grantee": {"Type": "Group", "URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}
    ]
    for target, more, code, status in (
        ("no-such-bucket-here", {}, "InvalidTargetBucketForLogging", 400),
        (f"{bucket}-others", {}, "InvalidTargetBucketForLogging", 400),
        (f"{bucket}-far", {}, "CrossLocationLoggingProhibitted", 403),
        (bucket, {"TargetGrants": grants}, "InvalidArgument", 400),
        (bucket, {"TargetObjectKeyFormat": {"PartitionedPrefix": {"PartitionDateSource": "x"}}}, "MalformedXML", 400),
    ):
        with refused(code, status):
            enabled = {"TargetBucket": target, "TargetPrefix": "x", **more}
            s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": enabled})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)


def test_keys_of_logs_are_parted_by_day() -> None:
    now, event = 1_790_000_000.0, 1_789_900_000.0
    for partition, day in (
        (EVENT_TIME, "2026/09/20/2026-09-20-00-00-00-U"),
        (DELIVERY_TIME, "2026/09/21/2026-09-21-14-13-20-U"),
    ):
        logging = Logging("t", "p/", partition=partition)
        assert accesslog.log_key(logging, "1", "r", "b", event, now, "U") == f"p/1/r/b/{day}"


@pytest.mark.parametrize(
    ("action", "method", "keyed", "name"),
    [
        ("GetObject", "GET", True, "REST.GET.OBJECT"),
        ("CopyObject", "PUT", True, "REST.COPY.OBJECT"),
        ("UploadPart", "PUT", True, "REST.PUT.PART"),
        ("CompleteMultipartUpload", "POST", True, "REST.POST.UPLOAD"),
        ("DeleteObjects", "POST", False, "REST.POST.MULTI_OBJECT_DELETE"),
        ("PutObjectTagging", "PUT", True, "REST.PUT.TAGGING"),
        ("GetBucketPolicy", "GET", False, "REST.GET.BUCKETPOLICY"),
        ("OptionsObject", "OPTIONS", True, "REST.OPTIONS.PREFLIGHT"),
        ("DeleteBucket", "DELETE", False, "REST.DELETE.BUCKET"),
    ],
)
def test_operations_are_called_as_in_aws(action: str, method: str, keyed: bool, name: str) -> None:
    assert accesslog.operation_of(action, method, keyed) == name
