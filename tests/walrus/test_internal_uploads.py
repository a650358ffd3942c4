"""Parts that the cloud's storage puts into an upload: sparse files, encrypted buckets, uploads that are over."""

from __future__ import annotations

import asyncio
import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from eucapy import pki
from eucapy.wire.contract import Unreachable
from eucapy.wire.uploads import SMALLEST_PART_BYTES, NoSuchUpload, WalrusSender, part_bytes
from tests.harness.waiting import until
from tests.walrus.server import Store

PART = SMALLEST_PART_BYTES


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = pki.Authority.ensure(folder)
    for role in ("walrus", "sc", "nc", "clc"):
        authority.issue(role)
    return folder


@pytest.fixture(scope="module")
def cloudy(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("walrus"), pki=str(certificates), internal_port=0) as store:
        store.s3.create_bucket(Bucket="exports")
        yield store


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """Five parts and a bit; data in the second and the last."""
    path = tmp_path / "disk.raw"
    with path.open("wb") as stream:
        stream.truncate(5 * PART + 512)
        stream.seek(PART + 4096)
        stream.write(b"data")
        stream.seek(5 * PART + 100)
        stream.write(b"end")
    return path


def connections(port: int) -> list[str]:
    """Those to the port that a process has open on this machine."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [fields[9] for fields in lines if int(fields[2].partition(":")[2], 16) == port and fields[9] != "0"]


def send(store: Store, certificates: Path, file: Path, upload_id: str, key: str, role: str = "sc") -> list[str]:
    tls = pki.client_context(certificates, role)
    sender = WalrusSender(f"https://127.0.0.1:{store.app.internal_port}", tls)
    told: list[int] = []

    async def work() -> list[str]:
        try:
            return await sender.send(file, "exports", key, upload_id, told.append)
        finally:  # one that was refused in the middle of a part takes its time to hang up
            await until(lambda: not connections(store.app.internal_port))

    etags = asyncio.run(work())
    assert told == sorted(told)
    assert told[-1] == file.stat().st_size
    return etags


def begin(store: Store, key: str, **given: str) -> str:
    return str(store.s3.create_multipart_upload(Bucket="exports", Key=key, **given)["UploadId"])


def complete(store: Store, key: str, upload_id: str, etags: list[str]) -> None:
    parts = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, 1)]
    store.s3.complete_multipart_upload(Bucket="exports", Key=key, UploadId=upload_id, MultipartUpload={"Parts": parts})


@pytest.mark.parametrize("encryption", [{}, {"ServerSideEncryption": "AES256"}])
def test_a_sparse_file_arrives_whole_and_its_holes_are_stored_once(
    cloudy: Store, certificates: Path, disk: Path, encryption: dict[str, str]
) -> None:
    key = f"disk é {len(encryption)}.raw"
    upload_id = begin(cloudy, key, **encryption)
    etags = send(cloudy, certificates, disk, upload_id, key)
    assert len(etags) == 6
    assert etags[0] == etags[2] == etags[3] == etags[4] != etags[1]
    complete(cloudy, key, upload_id, etags)
    assert cloudy.s3.get_object(Bucket="exports", Key=key)["Body"].read() == disk.read_bytes()
    ranged = cloudy.s3.get_object(Bucket="exports", Key=key, Range=f"bytes={PART + 4090}-{PART + 4105}")
    assert ranged["Body"].read() == bytes(6) + b"data" + bytes(6)
    blobs = [path for path in cloudy.folder.rglob("*") if path.is_file() and path.stat().st_size >= PART]
    assert len({path.stat().st_ino for path in blobs if path.stat().st_nlink == 4}) >= 1, "one file for four parts"


def test_sending_again_replaces_what_was_sent(cloudy: Store, certificates: Path, disk: Path) -> None:
    upload_id = begin(cloudy, "twice.raw")
    first = send(cloudy, certificates, disk, upload_id, "twice.raw")
    assert send(cloudy, certificates, disk, upload_id, "twice.raw") == first
    complete(cloudy, "twice.raw", upload_id, first)
    assert cloudy.s3.head_object(Bucket="exports", Key="twice.raw")["ContentLength"] == disk.stat().st_size


def test_an_upload_that_is_over_takes_nothing(cloudy: Store, certificates: Path, disk: Path) -> None:
    upload_id = begin(cloudy, "over.raw")
    cloudy.s3.abort_multipart_upload(Bucket="exports", Key="over.raw", UploadId=upload_id)
    for key, given in (("over.raw", upload_id), ("never.raw", "x")):
        with pytest.raises(NoSuchUpload):
            send(cloudy, certificates, disk, given, key)


def ask(store: Store, certificates: Path, method: str, path: str, role: str) -> int:
    url = f"https://127.0.0.1:{store.app.internal_port}/internal/uploads/exports/{path}"
    request = urllib.request.Request(url, method=method, data=b"x" if method == "PUT" else None)
    try:
        with urllib.request.urlopen(request, context=pki.client_context(certificates, role)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_only_storage_and_the_cloud_controller_touch_uploads(cloudy: Store, certificates: Path, disk: Path) -> None:
    upload_id = begin(cloudy, "roles.raw")
    with pytest.raises(Unreachable, match="403"):
        send(cloudy, certificates, disk, upload_id, "roles.raw", role="nc")
    path = f"roles.raw?upload={upload_id}"
    assert ask(cloudy, certificates, "DELETE", path, "nc") == 403
    assert ask(cloudy, certificates, "DELETE", path, "clc") == 204
    assert ask(cloudy, certificates, "DELETE", path, "clc") == 204, "a second time is harmless"
    with pytest.raises(ClientError, match="NoSuchUpload"):
        cloudy.s3.list_parts(Bucket="exports", Key="roles.raw", UploadId=upload_id)


@pytest.mark.parametrize("query", ["part=0", "part=x", "part=10001", "", "part=2&like=1", "part=2&like=-1"])
def test_parts_that_cannot_be_are_refused(cloudy: Store, certificates: Path, query: str) -> None:
    path = f"bad.raw?upload={begin(cloudy, 'bad.raw')}&{query}"
    assert ask(cloudy, certificates, "PUT", path, "sc") == 400


def test_no_disk_has_more_parts_than_an_upload_may_or_larger_ones() -> None:
    for size in (1, PART, 8 << 30, 5 << 40, 16 << 40, (16 << 40) - 1):
        parts = -(-size // part_bytes(size))
        assert parts <= 10_000
        assert PART <= part_bytes(size) <= 5 << 30


def test_a_file_of_data_alone(cloudy: Store, certificates: Path, tmp_path: Path) -> None:
    path, upload_id = tmp_path / "small", begin(cloudy, "small")
    path.write_bytes(os.urandom(70_000))
    complete(cloudy, "small", upload_id, send(cloudy, certificates, path, upload_id, "small"))
    assert cloudy.s3.get_object(Bucket="exports", Key="small")["Body"].read() == path.read_bytes()
