"""Server-side encryption through boto3, and what lies on disk: nothing readable, nothing that can be changed unseen."""

from __future__ import annotations

import base64
import hashlib
import os
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config as BotoConfig
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import given
from hypothesis import strategies as st

from eucapy.walrus import keyring, sealing
from eucapy.walrus.keyring import Keyring, UnknownKey
from eucapy.walrus.sealing import CHUNK_BYTES, SALT_BYTES, SEALED_CHUNK_BYTES, Opener, Sealer, Tampered
from tests.walrus.conftest import Refused
from tests.walrus.server import Store

MARK = b"this text must never be seen on disk. "
KIB, MIB = 1 << 10, 1 << 20
S3, KMS = {"ServerSideEncryption": "AES256"}, {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "mine"}


def customer(seed: int, before: str = "") -> dict[str, str]:
    """The parameters of SSE-C (boto3 adds the encoding only where it is given bytes; here everything is said)."""
    secret = random.Random(seed).randbytes(32)
    return {
        f"{before}SSECustomerAlgorithm": "AES256",
        f"{before}SSECustomerKey": base64.b64encode(secret).decode(),
        f"{before}SSECustomerKeyMD5": base64.b64encode(hashlib.md5(secret).digest()).decode(),
    }


C = customer(1)
MODES = pytest.mark.parametrize("how", [S3, KMS, C], ids=["s3", "kms", "customer"])


def reading(how: dict[str, str]) -> dict[str, str]:
    """What a read must bring."""
    return how if "SSECustomerKey" in how else {}


def text(size: int) -> bytes:
    return (MARK * (size // len(MARK) + 1))[:size]


def get(s3: Any, bucket: str, key: str, **said: Any) -> bytes:
    data: bytes = s3.get_object(Bucket=bucket, Key=key, **said)["Body"].read()
    return data


@MODES
@pytest.mark.parametrize("size", [0, 1, 16 * KIB, 16 * KIB + 1, 64 * KIB, 64 * KIB + 1, 3 * MIB + 12345])
def test_what_went_in_comes_out_whole_and_in_ranges(s3: Any, bucket: str, how: dict[str, str], size: int) -> None:
    data = random.Random(size).randbytes(size)
    put = s3.put_object(Bucket=bucket, Key="k", Body=data, **how)
    read = reading(how)
    found = s3.get_object(Bucket=bucket, Key="k", **read)
    assert found["Body"].read() == data
    assert found["ContentLength"] == s3.head_object(Bucket=bucket, Key="k", **read)["ContentLength"] == size
    for name, value in how.items():
        if name != "SSECustomerKey":
            assert found[name] == put[name] == value
    assert (found["ETag"].strip('"') == hashlib.md5(data).hexdigest()) == (how is S3)
    edges = [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, size // 2, size - 1]
    for start in edges:
        for end in edges:
            if 0 <= start <= end < size:
                part = get(s3, bucket, "k", Range=f"bytes={start}-{end}", **read)
                assert part == data[start : end + 1]


@MODES
def test_nothing_readable_lies_on_disk(tmp_path: Path, how: dict[str, str]) -> None:
    with Store(tmp_path) as store:
        store.s3.create_bucket(Bucket="sealed")
        for key, size in (("small", 4 * KIB), ("large", 300 * KIB)):
            store.s3.put_object(Bucket="sealed", Key=key, Body=text(size), **how)
        upload = store.s3.create_multipart_upload(Bucket="sealed", Key="parts", **how)["UploadId"]
        store.s3.upload_part(
            Bucket="sealed", Key="parts", UploadId=upload, PartNumber=1, Body=text(MIB), **reading(how)
        )
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) > MIB
    secret = base64.b64decode(C["SSECustomerKey"])
    for path in files:
        held = path.read_bytes()
        assert MARK not in held, path
        assert secret not in held and C["SSECustomerKey"].encode() not in held, path


@MODES
def test_parts_are_encrypted_and_read_as_one(s3: Any, bucket: str, how: dict[str, str]) -> None:
    read = reading(how)
    sizes = [5 * MIB + 1, 5 * MIB, 70_000]
    datas = [random.Random(n).randbytes(size) for n, size in enumerate(sizes)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", **how)["UploadId"]
    parts = []
    for number, data in enumerate(datas, 1):
        for body in (b"not this", data):  # a part that is sent again replaces the one before
            part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=number, Body=body, **read)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload={"Parts": parts}, **read)
    whole = b"".join(datas)
    assert get(s3, bucket, "k", **read) == whole
    seam = sizes[0]
    assert (
        get(s3, bucket, "k", Range=f"bytes={seam - 70_000}-{seam + 70_000}", **read)
        == whole[seam - 70_000 : seam + 70_001]
    )
    assert get(s3, bucket, "k", PartNumber=3, **read) == datas[2]


def test_a_customers_key_is_needed_for_every_read_and_must_be_the_right_one(
    s3: Any, bucket: str, refused: Refused
) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x" * 20_000, **C)
    s3.put_object(Bucket=bucket, Key="plain", Body=b"x")
    for read in (s3.get_object, lambda **p: s3.get_object_attributes(ObjectAttributes=["ETag"], **p)):
        for wrong in ({}, customer(2)):
            with refused("InvalidRequest", 400):
                read(Bucket=bucket, Key="k", **wrong)
        with refused("InvalidRequest", 400):
            read(Bucket=bucket, Key="plain", **C)
    with refused("400", 400):
        s3.head_object(Bucket=bucket, Key="k")
    with refused("InvalidRequest", 400):
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"SSECustomerKey": C["SSECustomerKey"], "SSECustomerKeyMD5": C["SSECustomerKeyMD5"]}, "InvalidArgument"),
        (C | {"SSECustomerAlgorithm": "AES192"}, "InvalidEncryptionAlgorithmError"),
        (C | {"SSECustomerKeyMD5": "AAAAAAAAAAAAAAAAAAAAAA=="}, "InvalidArgument"),
        (C | {"SSECustomerKey": base64.b64encode(b"short").decode()}, "InvalidArgument"),
        ({"SSECustomerAlgorithm": "AES256"}, "InvalidArgument"),
        (C | S3, "InvalidArgument"),
        ({"ServerSideEncryption": "rot13"}, "InvalidArgument"),
        ({"SSEKMSKeyId": "mine"}, "InvalidArgument"),
        (S3 | {"SSEKMSKeyId": "mine"}, "InvalidArgument"),
        (KMS | {"SSEKMSEncryptionContext": "no json"}, "InvalidArgument"),
    ],
)
def test_encryption_that_means_nothing_is_refused_and_nothing_is_kept(
    s3: Any, bucket: str, refused: Refused, said: dict[str, str], code: str
) -> None:
    for size in (10, 100_000):
        with refused(code, 400):
            s3.put_object(Bucket=bucket, Key="k", Body=b"x" * size, **said)
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_reader_does_not_say_how_an_object_is_encrypted(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", **KMS)

    def say(params: Any, **_: Any) -> None:
        params["headers"]["x-amz-server-side-encryption"] = "aws:kms"

    s3.meta.events.register("before-call.s3.GetObject", say)
    try:
        with refused("InvalidArgument", 400):
            get(s3, bucket, "k")
    finally:
        s3.meta.events.unregister("before-call.s3.GetObject", say)


def test_an_upload_with_a_checksum_is_completed_with_its_key(s3: Any, bucket: str, refused: Refused) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm="CRC32", **C)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x", **C)
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]}]}
    for said in ({}, customer(2)):
        with refused("InvalidRequest", 400):
            s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts, **said)
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts, **C)
    assert get(s3, bucket, "k", **C) == b"x"


def test_parts_must_come_with_the_uploads_key(s3: Any, bucket: str, refused: Refused) -> None:
    sealed = s3.create_multipart_upload(Bucket=bucket, Key="k", **C)["UploadId"]
    plain = s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    for upload, said in ((sealed, {}), (sealed, customer(2)), (plain, C)):
        with refused("InvalidRequest", 400):
            s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"x", **said)


@pytest.mark.parametrize("default", [S3, KMS], ids=["s3", "kms"])
def test_a_buckets_default_encrypts_what_asks_for_nothing(s3: Any, bucket: str, default: dict[str, str]) -> None:
    rule: dict[str, Any] = {"SSEAlgorithm": default["ServerSideEncryption"]}
    if "SSEKMSKeyId" in default:
        rule["KMSMasterKeyID"] = default["SSEKMSKeyId"]
    rules = [{"ApplyServerSideEncryptionByDefault": rule, "BucketKeyEnabled": True}]
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"] == rules
    for key, size in (("small", 100), ("large", 100_000)):
        put = s3.put_object(Bucket=bucket, Key=key, Body=text(size))
        found = s3.get_object(Bucket=bucket, Key=key)
        assert found["Body"].read() == text(size)
        for name, value in default.items():
            assert put[name] == found[name] == value
    s3.put_object(Bucket=bucket, Key="other", Body=b"x", **C)
    assert s3.head_object(Bucket=bucket, Key="other", **C)["SSECustomerAlgorithm"] == "AES256"
    s3.delete_bucket_encryption(Bucket=bucket)
    assert "ServerSideEncryption" not in s3.put_object(Bucket=bucket, Key="plain", Body=b"x")


@pytest.mark.parametrize(
    ("rules", "code"),
    [
        ([], "MalformedXML"),
        ([{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "rot13"}}], "MalformedXML"),
        (
            [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256", "KMSMasterKeyID": "k"}}],
            "InvalidArgument",
        ),
    ],
)
def test_a_default_that_means_nothing_is_refused(
    s3: Any, bucket: str, refused: Refused, rules: list[Any], code: str
) -> None:
    with refused(code, 400):
        s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def test_new_buckets_encrypt_where_the_store_is_told_so(tmp_path: Path) -> None:
    with Store(tmp_path, encrypt_by_default=True) as store:
        store.s3.create_bucket(Bucket="own")
        assert store.s3.put_object(Bucket="own", Key="k", Body=b"x")["ServerSideEncryption"] == "AES256"
        store.s3.delete_bucket_encryption(Bucket="own")
        rules = store.s3.get_bucket_encryption(Bucket="own")["ServerSideEncryptionConfiguration"]["Rules"]
        assert rules[0]["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


@pytest.mark.parametrize("source", [{}, S3, KMS, C], ids=["plain", "s3", "kms", "customer"])
@pytest.mark.parametrize("target", [{}, S3, KMS, customer(2)], ids=["plain", "s3", "kms", "customer"])
def test_copies_go_from_any_encryption_to_any_other(
    s3: Any, bucket: str, source: dict[str, str], target: dict[str, str]
) -> None:
    opened = customer(1, "CopySource") if source is C else {}
    for size in (100, 100_000):
        s3.put_object(Bucket=bucket, Key="k", Body=text(size), **source)
        s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k", **opened, **target)
        s3.delete_object(Bucket=bucket, Key="k")
        assert get(s3, bucket, "copy", **reading(target)) == text(size)
        assert s3.head_object(Bucket=bucket, Key="copy", **reading(target)).get("ServerSideEncryption") == target.get(
            "ServerSideEncryption"
        )
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", **target)["UploadId"]
    s3.put_object(Bucket=bucket, Key="k", Body=text(200_000), **source)
    part = s3.upload_part_copy(
        Bucket=bucket, Key="parts", UploadId=upload, PartNumber=1, CopySource=f"{bucket}/k",
        CopySourceRange="bytes=1000-150000", **opened, **reading(target),
    )["CopyPartResult"]  # fmt: skip
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key="parts",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert get(s3, bucket, "parts", **reading(target)) == text(200_000)[1000:150_001]


def test_an_object_can_be_encrypted_in_place(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=text(30_000))
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", **S3)
    assert s3.head_object(Bucket=bucket, Key="k")["ServerSideEncryption"] == "AES256"
    assert get(s3, bucket, "k") == text(30_000)


def test_a_copy_within_sse_s3_shares_its_bytes_but_not_its_envelope(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        store.s3.create_bucket(Bucket="own")
        store.s3.put_object(Bucket="own", Key="k", Body=text(100_000), **S3)
        store.s3.copy_object(Bucket="own", Key="copy", CopySource="own/k", **S3)
        files = list((tmp_path / "blobs").glob("??/*"))
        assert len({path.stat().st_ino for path in files}) == 1 < len(files)
        with sqlite3.connect(tmp_path / "walrus.sqlite") as db:
            assert len({row[0] for row in db.execute("SELECT sse FROM versions")}) == 2
        db.close()


def test_who_comes_unsigned_gets_no_object_of_a_kms_key(store: Store, s3: Any, bucket: str, refused: Refused) -> None:
    s3.delete_public_access_block(Bucket=bucket)
    policy = (
        '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject",'
        f' "Resource": "arn:aws:s3:::{bucket}/*"}}}}'
    )
    s3.put_bucket_policy(Bucket=bucket, Policy=policy)
    s3.put_object(Bucket=bucket, Key="kms", Body=b"x", **KMS)
    s3.put_object(Bucket=bucket, Key="s3", Body=b"x", **S3)
    anyone = boto3.client(
        "s3", endpoint_url=f"http://127.0.0.1:{store.port}", region_name="us-east-1",
        config=BotoConfig(signature_version=UNSIGNED, s3={"addressing_style": "path"}),
    )  # fmt: skip
    assert get(anyone, bucket, "s3") == b"x"
    with refused("InvalidArgument", 400):
        get(anyone, bucket, "kms")
    anyone.close()


# --- tampering --------------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path) as running:
        running.s3.create_bucket(Bucket="own")
        yield running


def read_fails(store: Store, key: str) -> bool:
    try:
        found = store.s3.get_object(Bucket="own", Key=key)
        return bool(len(found["Body"].read()) != found["ContentLength"])
    except (ClientError, BotoCoreError):
        return True


def test_a_changed_byte_is_never_served(alone: Store) -> None:
    data = os.urandom(200_000)
    alone.s3.put_object(Bucket="own", Key="k", Body=data, **S3)
    (path,) = (alone.folder / "blobs").glob("??/*")
    whole = path.read_bytes()
    for at in (0, SALT_BYTES, SALT_BYTES + SEALED_CHUNK_BYTES + 5, 200_000):
        changed = bytearray(whole)
        changed[at] ^= 1
        path.chmod(0o600)
        path.write_bytes(changed)
        assert read_fails(alone, "k")
    path.write_bytes(whole)
    assert get(alone.s3, "own", "k") == data


@pytest.mark.parametrize("size", [100, 100_000])
def test_bytes_and_envelope_moved_to_another_object_do_not_open(alone: Store, size: int) -> None:
    alone.s3.put_object(Bucket="own", Key="mine", Body=os.urandom(size), **S3)
    alone.s3.put_object(Bucket="own", Key="yours", Body=os.urandom(size), **S3)
    db = sqlite3.connect(alone.folder / "walrus.sqlite")
    with db:
        row = db.execute("SELECT content, sse FROM versions WHERE key = ?", (b"yours",)).fetchone()
        db.execute("UPDATE versions SET content = ?, sse = ? WHERE key = ?", (*row, b"mine"))
    db.close()
    assert read_fails(alone, "mine")
    assert not read_fails(alone, "yours")


# --- keys -------------------------------------------------------------------------------------------------------------


def test_a_rotated_master_key_still_opens_what_it_wrapped(tmp_path: Path) -> None:
    path = tmp_path / "keyring.json"
    with Store(tmp_path) as store:
        store.s3.create_bucket(Bucket="own")
        store.s3.put_object(Bucket="own", Key="old", Body=b"old", **S3)
    assert path.stat().st_mode & 0o777 == 0o600
    new = keyring.rotate(path)
    with Store(tmp_path) as store:
        store.s3.put_object(Bucket="own", Key="new", Body=b"new", **KMS)
        assert (get(store.s3, "own", "old"), get(store.s3, "own", "new")) == (b"old", b"new")
        assert store.app.walrus is not None and store.app.walrus.keyring.current == new
    whole = path.read_bytes()
    keyring.rotate(path)
    assert keyring.retire(path) >= 1  # too early: nothing was wrapped anew
    with Store(tmp_path) as store:
        assert read_fails(store, "old")  # an error, never empty
        assert read_fails(store, "new")
    path.write_bytes(whole)
    with Store(tmp_path) as store:
        assert (get(store.s3, "own", "old"), get(store.s3, "own", "new")) == (b"old", b"new")


def test_each_purpose_and_each_object_has_keys_of_its_own() -> None:
    ring = Keyring([keyring.fresh()])
    master, wrapped = ring.wrap("kms 1 a", b"k" * 32, b"1/key")
    assert ring.unwrap(master, "kms 1 a", wrapped, b"1/key") == b"k" * 32
    for purpose, bound_to in (("kms 1 b", b"1/key"), ("sse-s3", b"1/key"), ("kms 1 a", b"2/key")):
        with pytest.raises(Tampered):
            ring.unwrap(master, purpose, wrapped, bound_to)
    with pytest.raises(UnknownKey):
        ring.unwrap("another", "kms 1 a", wrapped, b"1/key")


SIZES = st.one_of(st.integers(0, 300), st.integers(CHUNK_BYTES - 2, CHUNK_BYTES + 2), st.integers(0, 4 * CHUNK_BYTES))


@given(SIZES, st.lists(st.integers(1, 3 * CHUNK_BYTES), max_size=6))
def test_however_bytes_come_they_are_sealed_alike_in_size_and_open(size: int, cuts: list[int]) -> None:
    data, key = random.Random(size).randbytes(size), b"k" * 32
    sealer, sealed, at = Sealer(key), b"", 0
    for cut in cuts:
        sealed += sealer.update(data[at : at + cut])
        at += cut
    sealed += sealer.update(data[at:]) + sealer.finish()
    assert len(sealed) == sealing.sealed_size(size) == len(sealing.seal(key, data))
    assert sealing.unseal(key, sealed) == data


def test_chunks_swapped_dropped_or_cut_off_do_not_open() -> None:
    key = b"k" * 32
    sealed = sealing.seal(key, os.urandom(3 * CHUNK_BYTES))
    salt, chunks = (
        sealed[:SALT_BYTES],
        [sealed[at : at + SEALED_CHUNK_BYTES] for at in range(SALT_BYTES, len(sealed), SEALED_CHUNK_BYTES)],
    )
    for order in ((1, 0, 2), (0, 1), (0, 2), (0, 0, 2), (0, 1, 2, 2)):
        with pytest.raises(Tampered):
            sealing.unseal(key, salt + b"".join(chunks[n] for n in order))
    with pytest.raises(Tampered):
        Opener(key, os.urandom(SALT_BYTES), 3 * CHUNK_BYTES).open(0, chunks[0])
