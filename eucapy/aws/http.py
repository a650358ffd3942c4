"""HTTP: aiohttp's low-level server in front of the chain.

No router and no middleware: an `Edge` is the one handler. It reads the head, lets the Router claim the request, reads the
body (in memory within the service's limit; for S3 it stays a stream), asks the Chain, and sends the answer with AWS's
request id headers. Requests for a service that is answered elsewhere (`foreign`: S3 on the cloud controller's endpoint) are
handed over untouched, body unread.

`100 Continue` is sent when the body is first asked for, so that a refused upload is refused before it starts.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_exceptions import PayloadEncodingError
from multidict import CIMultiDict

from eucapy import http, logs
from eucapy.aws import errors
from eucapy.aws.bodies import RawReader
from eucapy.aws.chain import Chain, host_id
from eucapy.aws.errors import ApiError, IncompleteBody, RequestEntityTooLarge, RequestTimeout
from eucapy.aws.message import Incoming, Outgoing
from eucapy.aws.route import Claim, Unrouted
from eucapy.aws.service import MIB
from eucapy.aws.timestamps import http_date
from eucapy.http import Limits, Server

log = logging.getLogger(__name__)

Foreign = Callable[[web.BaseRequest, Claim], Awaitable[web.StreamResponse]]

_SERVER = {"ec2": "AmazonEC2", "s3": "AmazonS3"}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LARGE_BYTES = 1 << 18
"""A body that is announced with more is read as it comes."""


class Edge:
    """The handler of an endpoint. `foreign` maps a service's name to what answers it instead of the chain. `proxies` are the
    addresses of those who pass requests on, and are believed when they say for whom (`X-Forwarded-For`)."""

    def __init__(
        self, chain: Chain, *, foreign: Mapping[str, Foreign] | None = None, proxies: Collection[str] = ()
    ) -> None:
        self._chain, self._foreign, self._proxies = chain, dict(foreign or {}), frozenset(proxies)
        missing = chain.router.foreign - self._foreign.keys()
        if missing:
            raise ValueError(f"the router claims {sorted(missing)}, but nobody answers them")

    def server(self, limits: Limits = Limits(), **options: object) -> Server:  # noqa: B008 - immutable
        """A server within `limits`; `options` go to aiohttp's protocol.

        aiohttp must not undo Content-Encoding: the signature is over what was sent, and S3 keeps it as it is.
        """
        return Server(self.handle, limits, auto_decompress=False, **options)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if (
            self._proxies
            and request.remote in self._proxies
            and (told := request.headers.getall("x-forwarded-for", []))
        ):
            # The last word of the last line is the proxy's own; what stands before it anybody may have written.
            request = request.clone(remote=told[-1].rpartition(",")[2].strip())
        target = origin_form(request.raw_path)
        path, _, query = target.partition("?")
        headers = request.headers
        host = headers.get("host", "")
        router = self._chain.router
        try:
            claim = router.claim(request.method, path, query, headers, host)
        except Unrouted as unrouted:
            claim = Claim(unrouted.service.name if unrouted.service is not None else None, unrouted.protocol, path)
            family = unrouted.service.family if unrouted.service is not None else "json"
            return await self._early(request, claim, unrouted.error, family)
        if claim.service in self._foreign:
            return await self._foreign[claim.service](request, claim)
        streams = claim.protocol == "rest-xml" and claim.service == "s3"
        request_id = _short_id() if streams else _long_id()
        logs.request_id.set(request_id)
        stream, body = None, b""
        if streams:
            stream = RawReader(_pieces(request), _length(request), self._continue(request))
        elif request.body_exists:
            try:
                body = await _read(request, self._limit(claim), self._continue(request))
            except ApiError as error:
                family = "ec2" if claim.protocol == "query" and claim.service in (None, "ec2") else ""
                return await self._early(request, claim, error, family)
        incoming = Incoming(
            request.method, path, query, headers, body, stream, host, request.scheme, request.remote or "",
            self._chain.clock(), request_id,
        )  # fmt: skip
        outgoing = await self._chain.answer(claim, incoming)
        return await send(request, claim.service, outgoing, request_id)

    def _limit(self, claim: Claim) -> int:
        services = self._chain.router.services
        service = services.get(claim.service) if claim.service is not None else None
        return service.body_limit if service is not None else MIB

    @staticmethod
    def _continue(request: web.BaseRequest) -> Callable[[], Awaitable[bytes]] | None:
        if request.headers.get("expect", "").lower() != "100-continue" or request.version < (1, 1):
            return None

        async def begin() -> bytes:
            await request.writer.write(_CONTINUE)
            # The interim answer does not count: aiohttp would take the real one for begun.
            request.writer.output_size = 0
            return b""

        return begin

    async def _early(self, request: web.BaseRequest, claim: Claim, error: ApiError, family: str) -> web.StreamResponse:
        """A refusal before the chain is reached."""
        request_id = _long_id()
        protocol = claim.protocol
        if protocol == "query" and family == "ec2":
            protocol = "ec2"
        service = self._chain.router.services.get(claim.service or "")
        outgoing = errors.render(error, protocol, family, service.model if service is not None else None, request_id)
        return await send(request, claim.service, outgoing, request_id)


def incoming_of(request: web.BaseRequest, now: float) -> Incoming:
    """The head of an S3 request that the chain does not see, with a new request id."""
    path, _, query = request.raw_path.partition("?")
    request_id = _short_id()
    logs.request_id.set(request_id)
    return Incoming(
        request.method, path, query, request.headers, host=request.headers.get("host", ""), scheme=request.scheme,
        remote=request.remote or "", now=now, request_id=request_id,
    )  # fmt: skip


async def send(
    request: web.BaseRequest, service: str | None, outgoing: Outgoing, request_id: str
) -> web.StreamResponse:
    """The answer on its way, with the request id headers of `service`. A body that breaks off cuts the connection."""
    headers = dict(outgoing.headers)
    if service == "s3":
        headers["x-amz-request-id"] = request_id
        headers["x-amz-id-2"] = host_id(request_id)
    else:
        headers["x-amzn-RequestId"] = request_id
    headers.setdefault("Server", _SERVER.get(service or "ec2", "eucapy"))
    body = outgoing.body
    if isinstance(body, bytes | bytearray):
        return _Whole(outgoing.status, headers, body, keep_alive=request.keep_alive and not _is_unread(request))
    response = web.StreamResponse(status=outgoing.status, headers=headers)
    if body.length is not None:
        response.content_length = body.length
    elif request.version >= (1, 1):
        response.enable_chunked_encoding()
    if _is_unread(request):
        response.force_close()
    await response.prepare(request)
    if request.method == "HEAD":
        return response
    try:
        await body.send(response.write)
        await response.write_eof()
    except ConnectionError:
        log.debug("request %s: the client went away", request_id)
    except Exception:
        log.exception("request %s: the body broke off", request_id)
        if request.transport is not None:
            request.transport.abort()
    return response


def _is_unread(request: web.BaseRequest) -> bool:
    """A body that nobody read would be taken for the next request: such a connection ends with this answer."""
    return request.body_exists and not request.content.is_eof()


class _Whole(web.StreamResponse):
    """An answer that is here whole: head and body leave in one write, at a third of what `web.Response` costs."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes | bytearray, *, keep_alive: bool) -> None:
        super().__init__(status=status)
        self._fields, self._whole, self._keeps = headers, body, keep_alive
        self._is_sent = False

    @property
    def prepared(self) -> bool:
        return self._is_sent

    @property
    def keep_alive(self) -> bool:
        return self._keeps

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        writer = request.writer
        if self._is_sent:
            return writer
        self._is_sent = True
        fields, status, version = CIMultiDict(self._fields), self.status, request.version
        bodiless = request.method == "HEAD" or status in (204, 304) or status < 200
        size = len(self._whole)
        if status == 204 or status < 200:
            fields.pop("Content-Length", None)
        elif "Content-Length" not in fields and (size or not bodiless):
            fields["Content-Length"] = str(size)
        if size and not bodiless:
            fields.setdefault("Content-Type", "application/octet-stream")
        fields.setdefault("Date", http_date(int(time.time())))
        if not self._keeps and version >= (1, 1):
            fields["Connection"] = "close"
        elif self._keeps and version < (1, 1):
            fields["Connection"] = "keep-alive"
        await writer.write_headers(f"HTTP/{version[0]}.{version[1]} {status} {self.reason}", fields)
        await writer.write_eof(b"" if bodiless else bytes(self._whole))
        return writer

    async def write_eof(self, data: bytes = b"") -> None:
        """Nothing is left to send."""


def _pieces(request: web.BaseRequest) -> Callable[[], Awaitable[bytes]]:
    """Reads what has arrived of the body, b"" at its end. A client that goes away, breaks its own framing, or stops in the
    middle, has sent an incomplete body and not caused a fault of ours."""
    content = request.content
    is_large = (request.content_length or 0) > LARGE_BYTES

    async def more() -> bytes:
        try:
            if is_large:  # piece by piece: what has gathered would be copied into one piece first
                async with asyncio.timeout(http.BODY_S):
                    piece, _ = await content.readchunk()
                    return piece
            here = content.read_nowait()
            if here or content.at_eof():  # most small bodies come with their head: no clock is needed
                return here
            async with asyncio.timeout(http.BODY_S):
                return await content.readany()
        except TimeoutError as error:
            raise RequestTimeout() from error
        except (ConnectionError, web.RequestPayloadError, PayloadEncodingError) as error:
            raise IncompleteBody() from error

    return more


async def _read(request: web.BaseRequest, limit: int, begin: Callable[[], Awaitable[bytes]] | None) -> bytes:
    """The whole body. Raises RequestEntityTooLarge, IncompleteBody."""
    length = request.content_length
    if length is not None and length > limit:
        raise RequestEntityTooLarge(limit=limit)
    if begin is not None:
        await begin()
    more = _pieces(request)
    first = await more()
    if request.content.at_eof() and len(first) <= limit:
        return first
    parts, total = [first], len(first)
    while piece := await more():
        total += len(piece)
        if total > limit:
            raise RequestEntityTooLarge(limit=limit)
        parts.append(piece)
    return b"".join(parts)


def _length(request: web.BaseRequest) -> int | None:
    if not request.body_exists:
        return 0
    return request.content_length


def origin_form(target: str) -> str:
    """A request's target as a path: `http://host/path`, `*` and CONNECT's `host:port` too."""
    if target.startswith("/"):
        return target
    _, scheme, rest = target.partition("://")
    if not scheme:
        return "/" + target.lstrip("*")
    slash = rest.find("/")
    return rest[slash:] if slash >= 0 else "/"


def _long_id() -> str:
    text = os.urandom(16).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def _short_ids() -> Iterator[str]:
    while True:
        block = os.urandom(4096).hex().upper()
        for at in range(0, len(block), 16):
            yield block[at : at + 16]


_short_id = _short_ids().__next__


@asynccontextmanager
async def serving(
    edge: Edge,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    limits: Limits = Limits(),  # noqa: B008
) -> AsyncIterator[tuple[str, int]]:
    """Serve `edge` while the context lasts; gives the address that is bound (port 0 picks a free one)."""
    runner = web.ServerRunner(edge.server(limits))
    await runner.setup()
    site = http.Site(runner, host, port, limits, tls)
    try:
        await site.start()
        bound = runner.addresses[0]
        yield bound[0], bound[1]
    finally:
        await runner.cleanup()
