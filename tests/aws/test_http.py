"""The edge on a real socket: headers, keep-alive, limits, 100 Continue, streams, and clients that misbehave."""

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator
from typing import Any

import boto3
import pytest
from aiohttp import web
from botocore.awsrequest import AWSRequest
from botocore.config import Config

from eucapy import http
from eucapy.aws.chain import Chain
from eucapy.aws.http import Edge, serving
from eucapy.aws.message import Write
from eucapy.aws.route import Claim, Router
from eucapy.aws.service import Service
from tests.aws.edge import FORM, KEY, REGION, SECRET, environment, form, fresh, signed


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fresh()


def client(service: str, url: str, **more: Any) -> Any:
    config = Config(retries={"max_attempts": 0}, **more)
    keys = {"aws_access_key_id": KEY, "aws_secret_access_key": SECRET}
    return boto3.client(service, endpoint_url=url, region_name=REGION, config=config, **keys)  # type: ignore[call-overload]


class Wire:
    """A raw connection: what was sent and what came back, byte for byte."""

    def __init__(self, url: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self.netloc = f"{host}:{port}"
        self.socket = socket.create_connection((host, int(port)), timeout=20)
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> "Wire":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, request: AWSRequest, head_only: bool = False, **more: str) -> None:
        made = request.prepare()
        target = re.sub(r"^http://[^/]+", "", made.url)
        body = made.body or b""
        body = body.encode() if isinstance(body, str) else body
        lines = [f"{request.method} {target} HTTP/1.1"]
        every = {k: v.decode() if isinstance(v, bytes) else v for k, v in made.headers.items()}
        every |= {"Content-Length": str(len(body))} | {name.replace("_", "-"): value for name, value in more.items()}
        lines += [f"{name}: {value}" for name, value in every.items()]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + (b"" if head_only else body))

    def receive(self) -> tuple[int, dict[str, str], bytes]:
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        body = b"" if status == 100 else self.file.read(int(headers.get("content-length", "0")))
        return status, headers, body


def regions(wire: Wire) -> AWSRequest:
    return signed("POST", f"http://{wire.netloc}/", body=form("DescribeRegions"), headers=dict(FORM))


def test_the_head_of_an_answer(live: str) -> None:
    with Wire(live) as wire:
        wire.send(regions(wire))
        status, headers, body = wire.receive()
        assert (status, headers["server"], headers["content-type"]) == (200, "AmazonEC2", "text/xml;charset=UTF-8")
        assert f"<requestId>{headers['x-amzn-requestid']}</requestId>".encode() in body
        assert re.fullmatch(
            r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}", headers["x-amzn-requestid"]
        )
        assert "date" in headers


def test_s3s_two_request_ids(live: str) -> None:
    found = client("s3", live).list_buckets()
    headers = found["ResponseMetadata"]["HTTPHeaders"]
    assert re.fullmatch(r"[0-9A-F]{16}", headers["x-amz-request-id"]) and len(headers["x-amz-id-2"]) == 64
    assert (headers["server"], headers["content-type"]) == ("AmazonS3", "application/xml")


def test_a_connection_serves_many_requests(live: str) -> None:
    with Wire(live) as wire:
        for _ in range(3):
            wire.send(regions(wire))
            assert wire.receive()[0] == 200


def test_objects_come_and_go(live: str) -> None:
    s3 = client("s3", live, s3={"addressing_style": "path"})
    s3.put_object(Bucket="b", Key="k", Body=b"data", Metadata={"a": "b"})
    assert environment.requests[-1].params["Metadata"] == {"a": "b"}
    found = s3.get_object(Bucket="b", Key="k")
    assert (found["Body"].read(), found["Metadata"]) == (b"data", {"m": "ä%0Ab".encode().decode("latin-1")})
    assert s3.head_object(Bucket="b", Key="k")["ContentLength"] == 4


def test_a_body_over_the_limit_is_refused_before_it_is_read(live: str) -> None:
    with Wire(live) as wire:
        request = signed("POST", f"http://{wire.netloc}/", body=form("DescribeRegions"), headers=dict(FORM))
        wire.send(request, head_only=True, Content_Length=str(2 << 20))
        status, headers, body = wire.receive()
        assert status == 413 and b"<Code>RequestEntityTooLarge</Code>" in body
        assert headers["connection"] == "close"


def test_a_chunked_body_over_the_limit_is_refused(live: str) -> None:
    with Wire(live) as wire:
        head = f"POST / HTTP/1.1\r\nHost: {wire.netloc}\r\nContent-Type: {FORM['Content-Type']}\r\n"
        wire.socket.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        with contextlib.suppress(ConnectionError):
            for _ in range(33):
                wire.socket.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")
        assert wire.receive()[0] == 413


def test_100_continue_comes_when_the_upload_is_wanted(live: str) -> None:
    with Wire(live) as wire:
        request = signed("PUT", f"http://{wire.netloc}/b/k", service="s3", body=b"payload")
        wire.send(request, head_only=True, Expect="100-continue")
        assert wire.receive()[0] == 100
        wire.socket.sendall(b"payload")
        status, headers, _ = wire.receive()
        assert (status, headers["etag"], headers["x-extra"]) == (200, '"etag"', "1")
        assert environment.objects["b", "k"] == b"payload"


def test_100_continue_does_not_come_when_it_is_refused(live: str) -> None:
    with Wire(live) as wire:
        request = signed("PUT", f"http://{wire.netloc}/b/k", service="s3", body=b"payload", secret="wrong")
        wire.send(request, head_only=True, Expect="100-continue")
        status, headers, body = wire.receive()
        assert status == 403 and b"SignatureDoesNotMatch" in body and headers["connection"] == "close"


def test_a_refused_upload_does_not_poison_the_connection(live: str) -> None:
    with Wire(live) as wire:
        smuggled = f"GET /b/smuggled HTTP/1.1\r\nHost: {wire.netloc}\r\n\r\n".encode()
        wire.send(signed("PUT", f"http://{wire.netloc}/b/k", service="s3", body=smuggled, key="AKIANOBODY"))
        assert wire.receive()[0] == 403
        wire.send(regions(wire))
        assert wire.receive()[0] == 200
    assert [record.action for record in environment.records] == ["PutObject", "DescribeRegions"]


def test_a_client_that_leaves_in_the_middle_of_an_upload(live: str, caplog: pytest.LogCaptureFixture) -> None:
    with Wire(live) as wire:
        request = signed("PUT", f"http://{wire.netloc}/b/gone", service="s3", body=b"x" * 100)
        wire.send(request, head_only=True)
        wire.socket.sendall(b"x" * 10)
    with Wire(live) as wire:
        wire.send(regions(wire))
        assert wire.receive()[0] == 200
    assert ("b", "gone") not in environment.objects
    assert not caplog.records


@pytest.mark.parametrize("junk", ["zz\r\nabc\r\n", "ffffffffffffffffff\r\n", "5\r\nabcdefghi"])
@pytest.mark.parametrize("target", ["PUT /b/k", "POST /"])
def test_a_body_with_broken_framing_is_incomplete(
    live: str, junk: str, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    with Wire(live) as wire:
        kind = FORM["Content-Type"]
        head = f"{target} HTTP/1.1\r\nHost: {wire.netloc}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        wire.socket.sendall((head + junk).encode())
        assert wire.receive()[0] in (400, 403)
    assert all("failed inside" not in record.message for record in caplog.records)


@pytest.mark.parametrize(
    "junk",
    [
        b"GET\r\n\r\n",
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET /\xff HTTP/9\r\n\r\n",
    ],
)
def test_what_is_not_http_is_answered_400(live: str, junk: bytes) -> None:
    with Wire(live) as wire:
        wire.socket.sendall(junk)
        assert wire.receive()[0] == 400


def test_an_absolute_target_means_its_path(live: str) -> None:
    with Wire(live) as wire:
        wire.socket.sendall(
            f"GET http://{wire.netloc}/?Action=Nonsense HTTP/1.1\r\nHost: {wire.netloc}\r\n\r\n".encode()
        )
        status, _, body = wire.receive()
        assert status == 400 and b"<Code>InvalidAction</Code>" in body


def test_the_json_clients(live: str) -> None:
    client("cloudwatch", live).put_metric_data(Namespace="n", MetricData=[{"MetricName": "m", "Value": 1}])
    assert environment.requests[-1].protocol in ("smithy-rpc-v2-cbor", "json")
    client("sqs", live).create_queue(QueueName="q", Attributes={"DelaySeconds": "5"})
    assert environment.requests[-1].params == {"QueueName": "q", "Attributes": {"DelaySeconds": "5"}}
    with pytest.raises(client("kms", live).exceptions.ClientError, match="UnknownOperationException"):
        client("kms", live).list_keys()


# --- bodies that are produced, raw routes, and a service that is answered elsewhere

odd = Service("s3", without=("ListDirectoryBuckets", "CreateSession", "WriteGetObjectResponse"))


class Produced:
    """A body that is made while it is sent."""

    def __init__(self, length: int | None, breaks: bool = False) -> None:
        self.length, self._breaks = length, breaks

    async def send(self, write: Write) -> None:
        await write(b"first ")
        if self._breaks:
            raise OSError("the disk is gone")
        await write(memoryview(b"second"))


@odd.action("GetObject")
async def get(request: Any, p: dict[str, Any]) -> dict[str, Any]:
    return {"Body": Produced(None if p["Key"] == "chunked" else 12, p["Key"] == "broken")}


@odd.raw(
    "PostObject", "POST", lambda sent, labels: sent.headers.get("content-type", "").startswith("multipart/form-data")
)
async def post_object(request: Any, p: dict[str, Any]) -> Any:
    from eucapy.aws.message import Outgoing

    data = await request.http.stream.read_all(1 << 20)
    return Outgoing(201, {"x-bucket": p["Bucket"], "x-size": str(len(data))}, b"")


class Open:
    """Lets everybody in."""

    async def credential(self, access_key_id: str, session_token: str | None) -> None:
        return None

    async def authorize(self, request: Any) -> None: ...

    async def invoke(self, request: Any, handler: Any) -> Any:
        return await handler.function(request, request.params)

    def audit(self, record: Any) -> None: ...


@contextlib.asynccontextmanager
async def store() -> AsyncIterator[str]:
    chain = Chain(Router([odd]), Open(), region=REGION)
    async with serving(Edge(chain), "127.0.0.1", 0) as (host, port):
        yield f"http://{host}:{port}"


async def raw(url: str, text: str) -> bytes:
    host, _, port = url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(text.encode())
    try:
        async with asyncio.timeout(20):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_a_body_is_sent_as_it_is_produced() -> None:
    async with store() as url:
        head = "HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        known = await raw(url, f"GET /b/k {head}")
        assert known.endswith(b"\r\n\r\nfirst second") and b"Content-Length: 12" in known
        unknown = await raw(url, f"GET /b/chunked {head}")
        assert b"Transfer-Encoding: chunked" in unknown and unknown.endswith(b"0\r\n\r\n")
        assert b"first second" not in await raw(url, f"HEAD /b/k {head}")


async def test_a_body_that_breaks_off_cuts_the_connection(caplog: pytest.LogCaptureFixture) -> None:
    async with store() as url:
        got = await raw(url, "GET /b/broken HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"second" not in got
    assert "the body broke off" in caplog.text


async def test_a_raw_route_gets_the_stream() -> None:
    async with store() as url:
        head = "POST /bucket HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        got = await raw(url, f"{head}Connection: close\r\nContent-Length: 5\r\n\r\nhello")
        assert b" 201 " in got and b"x-bucket: bucket" in got and b"x-size: 5" in got


async def test_a_foreign_service_gets_the_request_untouched() -> None:
    seen: list[tuple[str | None, str, bytes]] = []

    async def elsewhere(request: web.BaseRequest, claim: Claim) -> web.StreamResponse:
        seen.append((claim.bucket, request.raw_path, await request.read()))
        return web.Response(text="from elsewhere")

    router = Router([Service("sts")], foreign=("s3",))
    chain = Chain(router, Open(), region=REGION)
    with pytest.raises(ValueError, match="nobody answers"):
        Edge(chain)
    async with serving(Edge(chain, foreign={"s3": elsewhere}), "127.0.0.1", 0) as (host, port):
        head = "PUT /k%20k?x=%2B HTTP/1.1\r\nHost: b.s3.localhost\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc"
        assert (await raw(f"http://{host}:{port}", head)).endswith(b"from elsewhere")
    assert seen == [("b", "/k%20k?x=%2B", b"abc")]


def test_json_answers_are_json(live: str) -> None:
    with Wire(live) as wire:
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.CreateQueue"}
        wire.send(signed("POST", f"http://{wire.netloc}/", service="sqs", body=b'{"QueueName":"q"}', headers=headers))
        status, headers, body = wire.receive()
        assert (status, headers["content-type"], json.loads(body)) == (200, "application/x-amz-json-1.0", {})


@pytest.mark.parametrize(
    "head",
    [
        "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 99\r\n\r\n",
        "POST /b HTTP/1.1\r\nHost: localhost\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 9\r\n\r\n",
    ],
    ids=["in memory", "as a stream"],
)
async def test_a_body_that_comes_to_a_standstill_is_refused_and_the_connection_ends(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "BODY_S", 0.2)
    async with store() as url:
        got = await raw(url, head + "half")
    assert b" 400 " in got.splitlines()[0] and b"<Code>RequestTimeout</Code>" in got
