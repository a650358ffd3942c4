"""Where a request is from (aws:SourceIp): told by the connection, or by a cloud controller that passes requests on."""

from __future__ import annotations

import http.client
import json
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


def get(port: int, said: str = "", source: str = "127.0.0.1") -> int:
    """The status of an unsigned GET from the address `source`, which says that it was passed on for `said`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20, source_address=(source, 0))
    connection.request("GET", "/office/k", headers={"X-Forwarded-For": said} if said else {})
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
