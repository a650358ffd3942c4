"""What an operator sees: counters for Prometheus, log lines under the answers' request ids, usage by bucket and account."""

from __future__ import annotations

import io
import json
import logging
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eucapy import logs
from eucapy.walrus import commands
from eucapy.walrus.metrics import BOUNDS_S, Metrics
from tests.walrus.conftest import Refused
from tests.walrus.server import ACCOUNT, OTHER_ACCOUNT, Store

SAMPLE = re.compile(r"(?P<name>[a-z0-9_]+)(?:\{(?P<labels>[^}]*)\})? (?P<value>[0-9.e+-]+)\Z")


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "data", metrics="127.0.0.1:0", access_log=True) as store:
        yield store


def scrape(store: Store) -> dict[str, float]:
    """Samples by name and labels, as they are written."""
    with urllib.request.urlopen(f"http://127.0.0.1:{store.app.metrics_port}/metrics") as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = answer.read().decode().splitlines()
    declared = {line.split()[2] for line in lines if line.startswith("# TYPE ")}
    samples = {}
    for line in lines:
        if line.startswith("#"):
            continue
        found = SAMPLE.match(line)
        assert found is not None, line
        assert re.sub(r"_(bucket|sum|count)\Z", "", found["name"]) in declared
        samples[line.rpartition(" ")[0].removeprefix("eucapy_s3_")] = float(found["value"])
    return samples


def test_requests_bytes_errors_and_latency_are_counted_by_operation(watched: Store, refused: Refused) -> None:
    watched.s3.create_bucket(Bucket="seen")
    for size in (10, 100_000):
        watched.s3.put_object(Bucket="seen", Key="k", Body=b"x" * size)
        watched.s3.get_object(Bucket="seen", Key="k")["Body"].read()
    watched.s3.head_object(Bucket="seen", Key="k")
    watched.s3.get_object(Bucket="seen", Key="k", Range="bytes=0-9")["Body"].read()
    with refused("NoSuchKey", 404):
        watched.s3.get_object(Bucket="seen", Key="nothing")
    found = scrape(watched)
    assert found['requests_total{operation="PutObject",status="200"}'] == 2
    assert found['requests_total{operation="GetObject",status="200"}'] == 2
    assert found['requests_total{operation="GetObject",status="206"}'] == 1
    assert found['requests_total{operation="GetObject",status="404"}'] == 1
    assert found['errors_total{operation="GetObject",code="NoSuchKey"}'] == 1
    assert found['received_bytes_total{operation="PutObject"}'] == 100_010
    error_bytes = found['sent_bytes_total{operation="GetObject"}'] - 100_020
    assert 100 < error_bytes < 1000
    assert found['sent_bytes_total{operation="HeadObject"}'] == 0
    assert found['request_seconds_count{operation="GetObject"}'] == 4
    assert found['request_seconds_bucket{operation="GetObject",le="+Inf"}'] == 4
    assert found['request_seconds_sum{operation="GetObject"}'] > 0


def test_room_connections_and_workers_are_seen(watched: Store) -> None:
    watched.s3.create_bucket(Bucket="seen")
    watched.s3.put_object(Bucket="seen", Key="k", Body=b"x" * 100_000)
    watched.work("scrubber")
    found = scrape(watched)
    assert 0 < found["disk_free_bytes"] <= found["disk_bytes"]
    assert found["metadata_bytes"] > 8192
    assert found["connections"] >= 1
    assert found['worker{worker="scrubber",what="objects"}'] == 1
    assert found['worker{worker="scrubber",what="faults"}'] == 0
    for blob in (watched.folder / "blobs").glob("??/*"):
        blob.unlink()
    watched.work("scrubber")
    assert scrape(watched)['worker{worker="scrubber",what="faults"}'] == 1


def test_the_s3_port_keeps_metrics_to_itself(watched: Store) -> None:
    with pytest.raises(urllib.error.HTTPError) as refusal:
        urllib.request.urlopen(f"http://127.0.0.1:{watched.port}/metrics")
    assert refusal.value.code in (403, 404)
    refusal.value.close()


def test_a_histogram_counts_each_answer_in_every_bound_above_it() -> None:
    counted = Metrics()
    for took in (0.0, BOUNDS_S[0], BOUNDS_S[0] * 1.01, 1e9):
        counted.note("GetObject", 200, None, took, 0, 0)
    counts = [int(line.split()[-1]) for line in counted.render() if "_bucket{" in line]
    assert counts == [2] + [3] * (len(BOUNDS_S) - 1) + [4]


def test_names_cannot_break_out_of_their_line() -> None:
    counted = Metrics()
    counted.note('a"b\\c\nd', 200, None, 0.0, 0, 0)
    assert 'requests_total{operation="a\\"b\\\\c\\nd",status="200"} 1' in "\n".join(counted.render())


def test_every_line_of_a_request_is_under_its_id(watched: Store, caplog: pytest.LogCaptureFixture) -> None:
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logs.JsonFormatter("walrus"))
    root = logging.getLogger()
    caplog.set_level(logging.INFO)
    root.addHandler(handler)
    try:
        watched.s3.create_bucket(Bucket="seen")
        watched.s3.put_object(Bucket="seen", Key="k", Body=b"x" * 100_000)
        for blob in (watched.folder / "blobs").glob("??/*"):
            blob.write_bytes(blob.read_bytes()[:50_000])
        with pytest.raises(watched.s3.exceptions.ClientError) as failed:
            watched.s3.get_object(Bucket="seen", Key="k")
        answered = watched.s3.list_buckets()["ResponseMetadata"]["HTTPHeaders"]["x-amz-request-id"]
    finally:
        root.removeHandler(handler)
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    broken = failed.value.response["ResponseMetadata"]["RequestId"]
    of_broken = [line for line in lines if line.get("request_id") == broken]
    assert {line["level"] for line in of_broken} >= {"error", "info"}, lines
    [listing] = [line for line in lines if line.get("request_id") == answered]
    assert (listing["message"], listing["status"], listing["account"]) == ("ListBuckets", 200, ACCOUNT)
    assert broken != answered


def usage(store: Store, capsys: pytest.CaptureFixture[str]) -> Any:
    assert commands.main(["usage", "--data", str(store.folder)]) == 0
    return json.loads(capsys.readouterr().out)


def test_usage_is_told_by_bucket_and_account(watched: Store, capsys: pytest.CaptureFixture[str]) -> None:
    s3 = watched.s3
    for name in ("empty", "full", "versions"):
        s3.create_bucket(Bucket=name)
    watched.other.create_bucket(Bucket="theirs")
    watched.other.put_object(Bucket="theirs", Key="k", Body=b"1234567")
    s3.put_object(Bucket="full", Key="small", Body=b"12345")
    s3.put_object(Bucket="full", Key="big", Body=b"x" * 50_000)
    upload = s3.create_multipart_upload(Bucket="full", Key="parts")["UploadId"]
    s3.upload_part(Bucket="full", Key="parts", UploadId=upload, PartNumber=1, Body=b"x" * 20_000)
    s3.put_bucket_versioning(Bucket="versions", VersioningConfiguration={"Status": "Enabled"})
    for size in (1, 10, 100):
        s3.put_object(Bucket="versions", Key="k", Body=b"x" * size)
    s3.delete_object(Bucket="versions", Key="gone")
    told = usage(watched, capsys)
    by_name = {bucket.pop("bucket"): bucket for bucket in told["buckets"]}
    nothing = dict.fromkeys(
        ("objects", "bytes", "old_versions", "old_bytes", "delete_markers", "uploads", "upload_bytes"), 0
    )
    ours = {"account": ACCOUNT, **nothing}
    assert by_name["empty"] == ours
    assert by_name["full"] == {**ours, "objects": 2, "bytes": 50_005, "uploads": 1, "upload_bytes": 20_000}
    assert by_name["versions"] == {
        **ours, "objects": 1, "bytes": 100, "old_versions": 2, "old_bytes": 11, "delete_markers": 1,
    }  # fmt: skip
    assert told["accounts"] == {
        ACCOUNT: {
            "buckets": 3, "objects": 3, "bytes": 50_105, "old_versions": 2, "old_bytes": 11, "delete_markers": 1,
            "uploads": 1, "upload_bytes": 20_000,
        },
        OTHER_ACCOUNT: {"buckets": 1, **nothing, "objects": 1, "bytes": 7},
    }  # fmt: skip


def test_usage_of_no_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert commands.main(["usage", "--data", str(tmp_path)]) == 1
    assert "there is no store" in capsys.readouterr().err
