"""Where a request is from (aws:SourceIp): told by the connection, or by a cloud controller that passes requests on."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cloud import Cloud
from tests.walrus.server import Store

OFFICE = "198.51.100.7"


def open_to(s3: Any, address: str) -> None:
    """A bucket whose object anybody may read who is at that address."""
    s3.create_bucket(Bucket="office")
    s3.delete_public_access_block(Bucket="office")
    s3.put_object(Bucket="office", Key="k", Body=b"for the office")
    statement = {
        "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::office/*",
        "Condition": {"IpAddress": {"aws:SourceIp": f"{address}/32"}},
    }  # fmt: skip
    s3.put_bucket_policy(Bucket="office", Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def get(port: int, *said: str, source: str = "127.0.0.1") -> int:
    """The status of an unsigned GET from the address `source`, which says, in a line for each, that it was passed on for
    `said`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    connection.putrequest("GET", "/office/k")
    for each in said:
        connection.putheader("X-Forwarded-For", each)
    connection.endheaders()
    status = connection.getresponse().status
    connection.close()
    return status


@pytest.mark.parametrize(("proxies", "status"), [([], 403), (["127.0.0.1"], 200), (["192.0.2.1"], 403)])
def test_who_passes_requests_on_is_believed_and_nobody_else(tmp_path: Path, proxies: list[str], status: int) -> None:
    with Store(tmp_path, proxies=proxies) as store:
        open_to(store.s3, OFFICE)
        assert get(store.port, OFFICE) == status
        assert get(store.port) == 403
        assert get(store.port, f"{OFFICE}, 203.0.113.9") == 403, "the last one is who spoke to the proxy"
        assert get(store.port, OFFICE, "203.0.113.9") == 403, "some proxies add a line, and leave those that came"
        assert get(store.port, "203.0.113.9", OFFICE) == status


def test_what_is_passed_on_is_whole(tmp_path: Path) -> None:
    with Store(tmp_path, proxies=["127.0.0.1"]) as store:

        def passed_on(request: Any, **_: Any) -> None:
            request.headers["X-Forwarded-For"] = OFFICE

        store.s3.meta.events.register("before-send.s3", passed_on)
        open_to(store.s3, OFFICE)
        body = bytes(range(256)) * 8192
        store.s3.put_object(Bucket="office", Key="large", Body=body)
        assert store.s3.get_object(Bucket="office", Key="large")["Body"].read() == body


def test_the_clouds_endpoint_says_who_spoke_to_it_whatever_was_said_to_it(cloud: Cloud) -> None:
    open_to(cloud.client("s3"), "127.0.0.5")
    port = cloud.dev.address[1]
    assert get(port, source="127.0.0.5") == 200
    assert get(port, source="127.0.0.6") == 403
    assert get(port, "127.0.0.5", source="127.0.0.6") == 403


def test_the_clouds_endpoint_passes_nothing_on_to_where_a_target_says(cloud: Cloud) -> None:
    """`CONNECT a:b@host:port` would make the object store's address a user's name before another host's."""
    reached = []
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        stranger.settimeout(0)
        for target in ("u:p@{}", "@{}", "{}", "http:@{}"):
            host, port = cloud.dev.address
            with socket.create_connection((host, port), timeout=20) as wire:
                there = target.format(f"127.0.0.1:{stranger.getsockname()[1]}")
                wire.sendall(f"CONNECT {there} HTTP/1.1\r\nHost: s3.localhost\r\nConnection: close\r\n\r\n".encode())
                assert wire.recv(12).split()[1] in (b"400", b"403", b"405", b"501"), target
            with contextlib.suppress(BlockingIOError):
                reached.append((target, stranger.accept()))
    assert not reached
