"""The archive of snapshots at the components' port: what is put comes back, and nobody but a storage controller sees it."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from eucapy import pki
from eucapy.walrus.internal_archive import BUCKET, MOST_BYTES, PAGE
from eucapy.wire.archive import NotKept, Spoilt, TooLarge, WalrusArchive
from eucapy.wire.contract import Unreachable
from eucapy.wire.node import ObjectSource
from eucapy.wire.objects import Changed, WalrusFetcher
from tests.walrus.server import Store


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = pki.Authority.ensure(folder)
    for role in ("walrus", "sc", "nc", "clc"):
        authority.issue(role)
    return folder


@pytest.fixture(scope="module", params=[False, True])
def cloudy(
    request: pytest.FixtureRequest, certificates: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("walrus")
    with Store(folder, pki=str(certificates), internal_port=0, encrypt_by_default=request.param) as store:
        yield store


def archive(store: Store, certificates: Path, role: str = "sc") -> WalrusArchive:
    return WalrusArchive(f"https://127.0.0.1:{store.app.internal_port}", pki.client_context(certificates, role))


@pytest.mark.parametrize("size", [0, 10, 5_000_000])
async def test_what_is_put_comes_back_until_it_is_removed(cloudy: Store, certificates: Path, size: int) -> None:
    store, name = archive(cloudy, certificates), f"one/pieces/snap-{size}.abc"
    for content in (os.urandom(size), os.urandom(size)):
        await store.put(name, content)
        assert await store.get(name) == content
    assert await store.names(f"one/pieces/snap-{size}.") == [name]
    await store.remove(name)
    await store.remove(name)
    with pytest.raises(NotKept):
        await store.get(name)
    assert await store.names(f"one/pieces/snap-{size}.") == []


async def test_what_is_cut_off_or_lost_is_said_to_be_spoilt(cloudy: Store, certificates: Path) -> None:
    store = archive(cloudy, certificates)
    before = {path for path in cloudy.folder.rglob("*") if path.is_file()}
    await store.put("one/pieces/snap-9.bad", os.urandom(3_000_000))
    (blob,) = [
        path
        for path in cloudy.folder.rglob("*")
        if path.is_file() and path not in before and path.stat().st_size > 2_000_000
    ]
    os.truncate(blob, 1_000_000)
    with pytest.raises(Spoilt):
        await store.get("one/pieces/snap-9.bad")
    blob.unlink()
    with pytest.raises(Spoilt):
        await store.get("one/pieces/snap-9.bad")
    await store.remove("one/pieces/snap-9.bad")


async def test_what_is_too_large_is_said_to_be(cloudy: Store, certificates: Path) -> None:
    with pytest.raises(TooLarge):
        await archive(cloudy, certificates).put("one/manifests/snap-9", bytes(MOST_BYTES + 1))


async def test_names_are_listed_whole_by_their_beginning(cloudy: Store, certificates: Path) -> None:
    store = archive(cloudy, certificates)
    names = [f"two/manifests/snap-{number:05}" for number in range(PAGE + 7)]
    cloudy_names = [*names, "two/manifestos/x", "three/manifests/snap-1"]
    for name in cloudy_names:
        await store.put(name, b"x")
    assert await store.names("two/manifests/") == names


async def test_no_other_component_gets_at_it(cloudy: Store, certificates: Path, tmp_path: Path) -> None:
    await archive(cloudy, certificates).put("one/manifests/snap-1", b"secret")
    for role in ("nc", "clc"):
        with pytest.raises(Unreachable, match="403"):
            await archive(cloudy, certificates, role).get("one/manifests/snap-1")
    fetcher = WalrusFetcher(f"https://127.0.0.1:{cloudy.app.internal_port}", pki.client_context(certificates, "nc"))
    source = ObjectSource(bucket=BUCKET, key="one/manifests/snap-1", etag="", size_bytes=6, format="raw")
    with pytest.raises(Changed):
        await fetcher.fetch(source, tmp_path / "got", lambda count: None)


def test_users_neither_see_nor_take_its_bucket(cloudy: Store) -> None:
    assert BUCKET not in [one["Name"] for one in cloudy.s3.list_buckets()["Buckets"]]
    for call in (
        lambda: cloudy.s3.list_objects_v2(Bucket=BUCKET),
        lambda: cloudy.s3.get_object(Bucket=BUCKET, Key="one/manifests/snap-1"),
        lambda: cloudy.s3.delete_bucket(Bucket=BUCKET),
        lambda: cloudy.s3.put_object(Bucket=BUCKET, Key="one/manifests/snap-1", Body=b""),
        lambda: cloudy.s3.create_bucket(Bucket=BUCKET),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] in ("AccessDenied", "InvalidBucketName", "NoSuchBucket")


@pytest.mark.parametrize("name", ["x", "../x/y", "one/.hidden", "one/a%00b", "one//x", "One/x"])
def test_names_that_are_none_are_refused(cloudy: Store, certificates: Path, name: str) -> None:
    url = f"https://127.0.0.1:{cloudy.app.internal_port}/internal/archive/{name}"
    request = urllib.request.Request(url, method="PUT", data=b"x")
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, context=pki.client_context(certificates, "sc"))
    with caught.value as error:
        assert error.code in (400, 404)
