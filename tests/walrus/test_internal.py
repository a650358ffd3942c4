"""The components' port: mutual TLS, roles, objects and ranges; and the client that nc and sc use."""

from __future__ import annotations

import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest

from eucapy import pki
from eucapy.wire.node import ObjectSource
from eucapy.wire.objects import Changed, WalrusFetcher
from tests.walrus.server import Store


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    authority = pki.Authority.ensure(folder)
    for role in ("walrus", "nc", "eucanetd"):
        authority.issue(role)
    return folder


@pytest.fixture(scope="module")
def cloudy(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """An object store that serves components too."""
    with Store(tmp_path_factory.mktemp("walrus"), pki=str(certificates), internal_port=0) as store:
        store.s3.create_bucket(Bucket="images")
        yield store


def ask(
    store: Store, tls: ssl.SSLContext, key: str, method: str = "GET", span: str | None = None
) -> tuple[int, bytes, dict[str, str]]:
    url = f"https://127.0.0.1:{store.app.internal_port}/internal/objects/images/{quote(key)}"
    request = urllib.request.Request(url, method=method, headers={"Range": span} if span else {})
    try:
        with urllib.request.urlopen(request, context=tls) as answer:
            return answer.status, answer.read(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), dict(error.headers)


@pytest.mark.parametrize("size", [0, 100, 3_000_000])
def test_a_component_reads_whole_and_by_range(cloudy: Store, certificates: Path, size: int) -> None:
    tls = pki.client_context(certificates, "nc")
    data = os.urandom(size)
    etag = cloudy.s3.put_object(Bucket="images", Key="disk é.raw", Body=data)["ETag"]
    status, body, headers = ask(cloudy, tls, "disk é.raw")
    assert (status, body, headers["ETag"]) == (200, data, etag)
    status, body, headers = ask(cloudy, tls, "disk é.raw", "HEAD")
    assert (status, body, headers["Content-Length"], headers["ETag"]) == (200, b"", str(size), etag)
    if size:
        status, body, headers = ask(cloudy, tls, "disk é.raw", span="bytes=10-19")
        assert (status, body, headers["Content-Range"]) == (206, data[10:20], f"bytes 10-19/{size}")
    assert ask(cloudy, tls, "disk é.raw", span=f"bytes={size}-")[0] == 416


def test_what_is_not_there(cloudy: Store, certificates: Path) -> None:
    assert ask(cloudy, pki.client_context(certificates, "nc"), "absent")[0] == 404


def test_only_the_roles_that_need_it_may_read(cloudy: Store, certificates: Path, tmp_path: Path) -> None:
    cloudy.s3.put_object(Bucket="images", Key="k", Body=b"x")
    assert ask(cloudy, pki.client_context(certificates, "eucanetd"), "k")[0] == 403
    stranger = pki.Authority.ensure(tmp_path)
    stranger.issue("nc")
    foreign = pki.client_context(tmp_path, "nc")
    foreign.load_verify_locations(certificates / "ca.pem")
    with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
        ask(cloudy, foreign, "k")
    nobody = ssl.create_default_context(cafile=str(certificates / "ca.pem"))
    with pytest.raises((urllib.error.URLError, ConnectionError, ssl.SSLError)):
        ask(cloudy, nobody, "k")


def test_the_nodes_own_client_fetches_and_notices_a_change(cloudy: Store, certificates: Path, tmp_path: Path) -> None:
    data = os.urandom(2_000_000)
    etag = cloudy.s3.put_object(Bucket="images", Key="image", Body=data)["ETag"]
    url = f"https://127.0.0.1:{cloudy.app.internal_port}"
    fetcher = WalrusFetcher(url, pki.client_context(certificates, "nc"))
    source = ObjectSource(bucket="images", key="image", etag=etag, size_bytes=len(data), format="raw")
    heard: list[int] = []
    cloudy.run(fetcher.fetch(source, tmp_path / "image", heard.append))
    assert (tmp_path / "image").read_bytes() == data
    assert heard[-1] == len(data)
    part = msgspec.structs.replace(source, start=1_000_001, length_bytes=70_000)
    cloudy.run(fetcher.fetch(part, tmp_path / "part", heard.append))
    assert (tmp_path / "part").read_bytes() == data[1_000_001:1_070_001]
    cloudy.s3.put_object(Bucket="images", Key="image", Body=data[::-1])
    for wanted in (source, part):
        with pytest.raises(Changed):
            cloudy.run(fetcher.fetch(wanted, tmp_path / "image", heard.append))
