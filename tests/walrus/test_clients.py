"""The tools that people use, as they come: aws CLI, boto3's transfer manager, s3cmd, presigned URLs, both addressings."""

from __future__ import annotations

import io
import os
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig

from eucapy.run import RunError, run_now
from tests.walrus.server import KEY, SECRET, Store, client
from tests.walrus.signing import Signer


@pytest.fixture
def store(sqlite_store: Store) -> Store:
    """What is tested here does not depend on the database."""
    return sqlite_store


MIB = 1 << 20


def awscli(store: Store, *words: str) -> str:
    env = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{store.port}",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_MAX_ATTEMPTS": "1",
    }
    return run_now(sys.executable, "-m", "awscli", *words, env=env, timeout_s=120).stdout


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_aws_cli_from_mb_to_rb(store: Store, tmp_path: Path) -> None:
    here, back = tmp_path / "here", tmp_path / "back"
    (here / "deep" / "er").mkdir(parents=True)
    (here / "small.txt").write_text("hello")
    (here / "deep" / "big.bin").write_bytes(os.urandom(17 * MIB))
    (here / "deep" / "er" / "sp ace+é.txt").write_bytes(b"")
    awscli(store, "s3", "mb", "s3://cli-bucket")
    awscli(store, "s3", "sync", str(here), "s3://cli-bucket/tree")
    listed = awscli(store, "s3", "ls", "--recursive", "s3://cli-bucket")
    assert "tree/deep/big.bin" in listed and "sp ace+é.txt" in listed
    assert awscli(store, "s3", "ls", "s3://cli-bucket/tree/").split("\n")[0].strip() == "PRE deep/"
    awscli(store, "s3", "sync", "s3://cli-bucket/tree", str(back))
    assert tree(back) == tree(here)
    awscli(store, "s3", "cp", "s3://cli-bucket/tree/deep/big.bin", "s3://cli-bucket/copy.bin")
    awscli(store, "s3", "mv", "s3://cli-bucket/copy.bin", str(tmp_path / "moved.bin"))
    assert (tmp_path / "moved.bin").read_bytes() == (here / "deep" / "big.bin").read_bytes()
    (here / "small.txt").unlink()
    awscli(store, "s3", "sync", "--delete", str(here), "s3://cli-bucket/tree")
    assert "small.txt" not in awscli(store, "s3", "ls", "--recursive", "s3://cli-bucket")
    url = awscli(store, "s3", "presign", "s3://cli-bucket/tree/deep/big.bin").strip()
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == (here / "deep" / "big.bin").read_bytes()
    with pytest.raises(RunError, match="BucketNotEmpty"):
        awscli(store, "s3", "rb", "s3://cli-bucket")
    awscli(store, "s3", "rm", "--recursive", "s3://cli-bucket")
    awscli(store, "s3", "rb", "s3://cli-bucket")
    assert "cli-bucket" not in awscli(store, "s3", "ls")


def test_the_aws_cli_says_what_is_wrong(store: Store, bucket: str) -> None:
    with pytest.raises(RunError, match="NoSuchBucket"):
        awscli(store, "s3", "ls", "s3://no-such-bucket-at-all")
    with pytest.raises(RunError, match="404"):
        awscli(store, "s3", "cp", f"s3://{bucket}/nothing", "-")


def test_boto3s_transfers(s3: Any, bucket: str, tmp_path: Path) -> None:
    data = os.urandom(20 * MIB + 3)
    config = TransferConfig(multipart_threshold=6 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    s3.upload_fileobj(io.BytesIO(data), bucket, "k", Config=config, ExtraArgs={"Metadata": {"a": "b"}})
    target = tmp_path / "k"
    s3.download_file(bucket, "k", str(target), Config=config)
    assert target.read_bytes() == data
    assert s3.head_object(Bucket=bucket, Key="k")["ETag"].endswith('-5"')
    s3.copy({"Bucket": bucket, "Key": "k"}, bucket, "copy", Config=config)
    assert s3.get_object(Bucket=bucket, Key="copy")["Body"].read() == data


@pytest.mark.skipif(shutil.which("s3cmd") is None, reason="s3cmd is not installed")
@pytest.mark.parametrize("signature", ["--no-signature-v2", "--signature-v2"])
def test_s3cmd(store: Store, bucket: str, tmp_path: Path, signature: str) -> None:
    def s3cmd(*words: str) -> str:
        options = [f"--access_key={KEY}", f"--secret_key={SECRET}", f"--host=127.0.0.1:{store.port}"]
        options += [f"--host-bucket=127.0.0.1:{store.port}", "--no-ssl", "--no-progress", "--config", str(empty)]
        chosen = [signature] if signature == "--signature-v2" else []
        return run_now("s3cmd", *options, *chosen, *words, timeout_s=120).stdout

    empty = tmp_path / "s3cfg"
    empty.write_text("[default]\n")
    small, big = tmp_path / "small é", tmp_path / "big"
    small.write_bytes(b"hello")
    big.write_bytes(os.urandom(17 * MIB))
    assert f"s3://{bucket}" in s3cmd("ls")
    s3cmd("put", str(small), f"s3://{bucket}/dir/small é")
    s3cmd("put", "--multipart-chunk-size-mb=5", str(big), f"s3://{bucket}/big")
    assert "dir/" in s3cmd("ls", f"s3://{bucket}")
    assert f"s3://{bucket}/dir/small é" in s3cmd("la", "--recursive")
    s3cmd("get", f"s3://{bucket}/big", str(tmp_path / "got"))
    assert (tmp_path / "got").read_bytes() == big.read_bytes()
    s3cmd("cp", f"s3://{bucket}/dir/small é", f"s3://{bucket}/copied")
    assert "5" in s3cmd("info", f"s3://{bucket}/copied")
    s3cmd("del", "--recursive", "--force", f"s3://{bucket}")
    s3cmd("rb", f"s3://{bucket}")


def read_url(url: str, method: str = "GET", data: bytes | None = None, **headers: str) -> tuple[int, bytes]:
    request = urllib.request.Request(url, data=data, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("version", ["s3v4", "s3"])
def test_presigned_urls(store: Store, bucket: str, version: str) -> None:
    signing = client(store.port, signature_version=version)
    put = signing.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "k é"})
    assert read_url(put, "PUT", b"by url", **{"Content-Type": ""})[0] == 200
    get = signing.generate_presigned_url(
        "get_object", {"Bucket": bucket, "Key": "k é", "ResponseContentType": "text/x"}
    )
    assert read_url(get) == (200, b"by url")
    status, answer = read_url(get.replace("text%2Fx", "text%2Fy"))
    assert (status, b"SignatureDoesNotMatch" in answer) == (403, True)
    assert read_url(get, "DELETE")[0] == 403
    delete = signing.generate_presigned_url("delete_object", {"Bucket": bucket, "Key": "k é"})
    assert read_url(delete, "DELETE")[0] == 204
    assert read_url(get)[0] == 404
    signing.close()


def test_an_expired_url_is_refused(store: Store, bucket: str) -> None:
    expired = store.s3.generate_presigned_url("get_object", {"Bucket": bucket, "Key": "k"}, ExpiresIn=-1)
    status, answer = read_url(expired)
    assert status in (400, 403)
    assert b"<Code>AccessDenied</Code>" in answer or b"AuthorizationQueryParametersError" in answer


@pytest.mark.parametrize("host", ["{bucket}.s3.localhost", "{bucket}.s3.us-east-1.localhost", "{bucket}.localhost"])
def test_buckets_as_hosts(store: Store, s3: Any, bucket: str, host: str) -> None:
    signer = Signer(store.port)
    signer.host = f"{host.format(bucket=bucket)}:{store.port}"
    status, answer, _ = signer.request("PUT", "/a/b", body=b"virtual")
    assert status == 200, answer
    assert s3.get_object(Bucket=bucket, Key="a/b")["Body"].read() == b"virtual"
    status, answer, _ = signer.request("GET", "/", "list-type=2")
    assert b"<Key>a/b</Key>" in answer
    assert signer.request("GET", "/a/b")[:2] == (200, b"virtual")
