"""Event notifications: what a configuration may be, what is told of what, and that it arrives whatever happens."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from eucapy.clock import ManualClock
from eucapy.walrus.identity import canonical_id
from eucapy.walrus.workers.notifier import read_hooks
from tests.harness.waiting import wait_until
from tests.walrus.conftest import Refused
from tests.walrus.server import ACCOUNT, Store

QUEUE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:queue"
TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:topic"
FUNCTION = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:f"


class Hook:
    """A destination: what was posted to it, and the status that it answers."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.status = 200
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if hook.status == 200:
                    hook.got.append(body)
                self.send_response(hook.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"
        threading.Thread(target=self._server.serve_forever, daemon=True, name="hook").start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def take(self, count: int) -> list[dict[str, Any]]:
        """The next `count` records."""
        wait_until(lambda: len(self.got) >= count, every_s=0.02)
        taken, self.got = self.got[:count], self.got[count:]
        return [body["Records"][0] if "Records" in body else body for body in taken]


@pytest.fixture(scope="module")
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.close()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, hook: Hook) -> Iterator[Store]:
    hooks = [f"{arn}={hook.url}" for arn in (QUEUE, TOPIC, FUNCTION)]
    with Store(tmp_path_factory.mktemp("told"), hooks=hooks) as store:
        yield store


@pytest.fixture
def names(told: Store, hook: Hook, request: pytest.FixtureRequest) -> str:
    """A bucket whose every event is told."""
    hook.got.clear()
    name = f"b{abs(hash(request.node.name))}"
    told.s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    return name


def configure(store: Store, bucket: str, *rules: dict[str, Any], **more: Any) -> None:
    store.s3.put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"QueueConfigurations": list(rules)}, **more
    )


def queue(*events: str, prefix: str | None = None, suffix: str | None = None, **more: Any) -> dict[str, Any]:
    rules = [{"Name": n, "Value": v} for n, v in (("Prefix", prefix), ("Suffix", suffix)) if v is not None]
    filters = {"Filter": {"Key": {"FilterRules": rules}}} if rules else {}
    return {"QueueArn": QUEUE, "Events": list(events), **filters, **more}


def test_a_destination_gets_a_test_event_and_then_what_it_asked_for(told: Store, hook: Hook, names: str) -> None:
    configure(told, names, queue("s3:ObjectCreated:*", Id="mine"))
    (trial,) = hook.take(1)
    assert (trial["Service"], trial["Event"], trial["Bucket"]) == ("Amazon S3", "s3:TestEvent", names)
    etag = told.s3.put_object(Bucket=names, Key="a b/ä", Body=b"12345")["ETag"]
    (record,) = hook.take(1)
    assert record["eventName"] == "ObjectCreated:Put"
    assert (record["eventVersion"], record["eventSource"], record["awsRegion"]) == ("2.1", "aws:s3", "us-east-1")
    assert record["userIdentity"] == {"principalId": f"AWS:{ACCOUNT}"}
    assert record["requestParameters"] == {"sourceIPAddress": "127.0.0.1"}
    assert set(record["responseElements"]) == {"x-amz-request-id", "x-amz-id-2"}
    assert record["s3"]["configurationId"] == "mine"
    owner = {"principalId": canonical_id(ACCOUNT)}
    assert record["s3"]["bucket"] == {"name": names, "ownerIdentity": owner, "arn": f"arn:aws:s3:::{names}"}
    assert len(record["s3"]["object"].pop("sequencer")) == 16
    assert record["s3"]["object"] == {"key": "a+b%2F%C3%A4", "size": 5, "eTag": etag.strip('"')}


def test_every_way_to_change_an_object_is_told(told: Store, hook: Hook, names: str) -> None:
    s3 = told.s3
    configure(told, names, queue("s3:ObjectCreated:*", "s3:ObjectRemoved:*", "s3:ObjectTagging:*", "s3:ObjectAcl:Put"))
    hook.take(1)
    s3.put_object(Bucket=names, Key="k", Body=b"1")
    s3.copy_object(Bucket=names, Key="copy", CopySource=f"{names}/k")
    upload = s3.create_multipart_upload(Bucket=names, Key="parts")["UploadId"]
    part = s3.upload_part(Bucket=names, Key="parts", UploadId=upload, PartNumber=1, Body=b"p")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(Bucket=names, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    s3.put_object_tagging(Bucket=names, Key="k", Tagging={"TagSet": []})
    s3.put_object_tagging(Bucket=names, Key="k", Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    s3.delete_object_tagging(Bucket=names, Key="k")
    s3.put_object_acl(Bucket=names, Key="k", ACL="private")
    s3.delete_object(Bucket=names, Key="copy")
    s3.delete_objects(Bucket=names, Delete={"Objects": [{"Key": "parts"}]})
    found = hook.take(9)
    assert [(record["eventName"], record["s3"]["object"]["key"]) for record in found] == [
        ("ObjectCreated:Put", "k"),
        ("ObjectCreated:Copy", "copy"),
        ("ObjectCreated:CompleteMultipartUpload", "parts"),
        ("ObjectTagging:Put", "k"),
        ("ObjectTagging:Put", "k"),
        ("ObjectTagging:Delete", "k"),
        ("ObjectAcl:Put", "k"),
        ("ObjectRemoved:Delete", "copy"),
        ("ObjectRemoved:Delete", "parts"),
    ]
    assert {record["eventVersion"] for record in found if "Created" not in record["eventName"]} == {"2.1", "2.3"}
    assert set(found[-1]["s3"]["object"]) == {"key", "sequencer"}


def test_versions_are_told_by_their_ids(told: Store, hook: Hook, names: str) -> None:
    s3 = told.s3
    s3.put_bucket_versioning(Bucket=names, VersioningConfiguration={"Status": "Enabled"})
    configure(told, names, queue("s3:ObjectCreated:*", "s3:ObjectRemoved:*"))
    hook.take(1)
    version = s3.put_object(Bucket=names, Key="k", Body=b"1")["VersionId"]
    marker = s3.delete_object(Bucket=names, Key="k")["VersionId"]
    s3.delete_object(Bucket=names, Key="k", VersionId=version)
    found = [(record["eventName"], record["s3"]["object"]["versionId"]) for record in hook.take(3)]
    assert found == [
        ("ObjectCreated:Put", version),
        ("ObjectRemoved:DeleteMarkerCreated", marker),
        ("ObjectRemoved:Delete", version),
    ]


def test_what_was_not_asked_for_or_did_not_happen_is_not_told(
    told: Store, hook: Hook, names: str, refused: Refused
) -> None:
    configure(told, names, queue("s3:ObjectCreated:Put", prefix="in/", suffix=".txt"))
    hook.take(1)
    for key in ("out/a.txt", "in/a.bin"):
        told.s3.put_object(Bucket=names, Key=key, Body=b"1")
    told.s3.copy_object(Bucket=names, Key="in/copy.txt", CopySource=f"{names}/in/a.bin")
    told.s3.delete_object(Bucket=names, Key="in/copy.txt")
    with refused("PreconditionFailed", 412):
        told.s3.put_object(Bucket=names, Key="in/a.txt", Body=b"1", IfNoneMatch="*")
        told.s3.put_object(Bucket=names, Key="in/a.txt", Body=b"2", IfNoneMatch="*")
    told.s3.put_object(Bucket=names, Key="in/last.txt", Body=b"1")
    assert [record["s3"]["object"]["key"] for record in hook.take(2)] == ["in%2Fa.txt", "in%2Flast.txt"]
    assert hook.got == []


def test_a_configuration_is_kept_as_it_was_put_and_goes(told: Store, names: str) -> None:
    configuration = {
        "QueueConfigurations": [queue("s3:ObjectCreated:*", prefix="a", suffix="", Id="q")],
        "TopicConfigurations": [{"Id": "t", "TopicArn": TOPIC, "Events": ["s3:ObjectRemoved:*"]}],
        "LambdaFunctionConfigurations": [{"Id": "l", "LambdaFunctionArn": FUNCTION, "Events": ["s3:ObjectAcl:Put"]}],
    }
    s3 = told.s3
    s3.put_bucket_notification_configuration(Bucket=names, NotificationConfiguration=configuration)
    answer = s3.get_bucket_notification_configuration(Bucket=names)
    assert {name: value for name, value in answer.items() if name != "ResponseMetadata"} == configuration
    s3.put_bucket_notification_configuration(Bucket=names, NotificationConfiguration={})
    assert "QueueConfigurations" not in s3.get_bucket_notification_configuration(Bucket=names)
    configure(told, names, {"QueueArn": QUEUE, "Events": ["s3:ObjectCreated:*"]})
    assert len(s3.get_bucket_notification_configuration(Bucket=names)["QueueConfigurations"][0]["Id"]) == 48


CREATED = "s3:ObjectCreated:*"


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ([{"QueueArn": "invalid", "Events": [CREATED]}], "The ARN could not be parsed"),
        ([{"QueueArn": TOPIC, "Events": [CREATED]}], "The ARN is not well formed"),
        ([queue("s3:Nothing")], "A specified event is not supported"),
        ([queue(CREATED), queue("s3:ObjectCreated:Put")], "Configurations overlap"),
        ([queue(CREATED, prefix="a"), queue(CREATED, prefix="ab", suffix="x")], "ambiguously defined"),
        ([queue(CREATED, Id="x", prefix="a"), queue(CREATED, Id="x", prefix="b")], "Same ID used"),
        ([queue(CREATED, Filter={"Key": {"FilterRules": [{"Name": "infix", "Value": "x"}]}})], "either prefix or suffix"),
        ([queue(CREATED, Filter={"Key": {"FilterRules": [{"Name": "prefix", "Value": "x"}] * 2}})], "more than one prefix"),
    ],
)  # fmt: skip
def test_what_is_no_configuration_is_refused(
    told: Store, names: str, refused: Refused, rules: list[dict[str, Any]], text: str
) -> None:
    with refused("InvalidArgument", 400) as caught:
        configure(told, names, *rules)
    assert text in caught.value.response["Error"]["Message"]


def test_rules_that_share_no_key_may_share_an_event(told: Store, hook: Hook, names: str) -> None:
    configure(told, names, queue(CREATED, suffix=".a", Id="a"), queue(CREATED, suffix=".b", Id="b"))
    hook.take(1)
    told.s3.put_object(Bucket=names, Key="k.b", Body=b"")
    assert hook.take(1)[0]["s3"]["configurationId"] == "b"


def test_a_destination_that_is_not_there_is_named(told: Store, hook: Hook, names: str, refused: Refused) -> None:
    absent = f"arn:aws:sqs:us-east-1:{ACCOUNT}:absent"
    with refused("InvalidArgument", 400) as caught:
        configure(told, names, {"QueueArn": absent, "Events": [CREATED]})
    error = caught.value.response["Error"]
    assert error["Message"] == "Unable to validate the following destination configurations"
    assert (error["ArgumentName1"], error["ArgumentValue1"]) == (absent, "The destination queue does not exist")
    hook.status = 403
    with refused("InvalidArgument", 400):
        configure(told, names, queue(CREATED))
    hook.status = 200
    configure(told, names, {"QueueArn": absent, "Events": [CREATED]}, SkipDestinationValidation=True)


def test_events_wait_for_a_destination_through_a_restart(tmp_path: Path, hook: Hook) -> None:
    hook.got.clear()
    clock = ManualClock(time.time())
    options = {"hooks": [f"{QUEUE}={hook.url}"]}
    with Store(tmp_path, clock, **options) as store:
        store.s3.create_bucket(Bucket="patient")
        configure(store, "patient", queue(CREATED))
        hook.take(1)
        hook.status = 500
        for key in ("first", "second"):
            store.s3.put_object(Bucket="patient", Key=key, Body=b"")
    hook.status = 200
    with Store(tmp_path, clock, **options) as store:
        clock.advance(600)
        assert store.app.walrus is not None and store.app.walrus.notifier is not None
        store.app.walrus.notifier.wake()
        assert [record["s3"]["object"]["key"] for record in hook.take(2)] == ["first", "second"]


def test_hooks_are_read_as_they_are_configured() -> None:
    assert read_hooks([f"{QUEUE}=http://h/?a=b"]) == {QUEUE: "http://h/?a=b"}
    for wrong in ("queue=http://h/", QUEUE, f"{QUEUE}=ftp://h/"):
        with pytest.raises(ValueError, match="ARN=URL"):
            read_hooks([wrong])


def test_what_lifecycle_does_is_told(told: Store, hook: Hook, names: str) -> None:
    s3 = told.s3
    s3.put_bucket_versioning(Bucket=names, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ID": "r", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Date": "2020-01-01T00:00:00Z"}}
    s3.put_bucket_lifecycle_configuration(Bucket=names, LifecycleConfiguration={"Rules": [rule]})
    configure(told, names, queue("s3:LifecycleExpiration:*"))
    hook.take(1)
    s3.put_object(Bucket=names, Key="k", Body=b"1")
    told.work("lifecycle")
    marker = s3.list_object_versions(Bucket=names)["DeleteMarkers"][0]["VersionId"]
    assert told.app.walrus is not None and told.app.walrus.notifier is not None
    told.app.walrus.notifier.wake()
    (record,) = hook.take(1)
    assert record["eventName"] == "LifecycleExpiration:DeleteMarkerCreated"
    assert record["userIdentity"] == {"principalId": "s3.amazonaws.com"}
    assert record["s3"]["object"]["versionId"] == marker
