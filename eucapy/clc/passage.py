"""S3 on the cloud's one endpoint: passed on to walrus as a stream, in both directions, untouched.

The signature covers the Host header and the path as they were sent, so both travel as they are. Bodies are never held in
memory, and a client that goes away ends the request to walrus too.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from eucapy.aws.http import origin_form
from eucapy.aws.route import Claim

log = logging.getLogger(__name__)

CHUNK_BYTES = 256 * 1024
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer", "upgrade"}
)


class Passage:
    """The way to walrus: a pool of connections and the handler for the edge's `foreign`."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    async def handle(self, request: web.BaseRequest, claim: Claim) -> web.StreamResponse:
        """Pass one request on and its answer back. 503 SlowDown when walrus does not answer."""
        headers = CIMultiDict(
            (name, value)
            for name, value in request.headers.items()
            if name.lower() not in _HOP_BY_HOP and name.lower() != "transfer-encoding"
        )
        headers["X-Forwarded-For"] = request.remote or ""
        chunked = request.content_length is None and request.body_exists
        expects = request.headers.get("Expect", "").lower() == "100-continue" and request.body_exists
        body = _body(request, expects) if request.body_exists else None
        if chunked:
            headers.popall("Content-Length", None)
        target = origin_form(request.raw_path)  # never a part of the address: it is a stranger's text
        try:
            async with self._pool().request(
                request.method,
                URL(self._url + target, encoded=True),
                headers=headers,
                data=body,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Content-Type", "Accept", "Accept-Encoding"),
                expect100=expects,
            ) as answer:
                return await self._back(request, answer)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("walrus does not answer", extra={"data": {"error": f"{type(error).__name__} {error}"}})
            if request.transport is None or request.transport.is_closing():
                raise asyncio.CancelledError from error
            return web.Response(
                status=503,
                content_type="application/xml",
                headers={"Connection": "close"},
                text='<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>ServiceUnavailable</Code>'
                "<Message>The object store does not answer. Reduce your request rate.</Message></Error>",
            )

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _back(self, request: web.BaseRequest, answer: aiohttp.ClientResponse) -> web.StreamResponse:
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP and name.lower() != "transfer-encoding":
                response.headers.add(name, value)
        if request.body_exists and not request.content.is_eof():
            response.force_close()
        if answer.headers.get("Transfer-Encoding") == "chunked" and request.method != "HEAD":
            response.enable_chunked_encoding()
        await response.prepare(request)
        if request.method != "HEAD":
            async for chunk in answer.content.iter_any():
                await response.write(chunk)
        await response.write_eof()
        return response

    def _pool(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=30),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=300),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=CHUNK_BYTES,
            )
        return self._session


async def _body(request: web.BaseRequest, expects: bool) -> AsyncIterator[bytes]:
    """The request's body as it comes. The client is told to go on only when walrus asked for the body itself, so that an
    upload that walrus refuses is refused before it starts."""
    if expects:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The interim answer does not count: aiohttp would take the real one for begun.
        request.writer.output_size = 0
    async for chunk in request.content.iter_chunked(CHUNK_BYTES):
        yield chunk
