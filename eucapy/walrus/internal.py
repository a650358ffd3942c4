"""The port for the cloud's components: objects, streamed to whoever shows a component's certificate.

    GET  /internal/objects/<bucket>/<key>     200, or 206 with Range; ETag, Content-Length, X-Eucapy-Owner
    HEAD /internal/objects/<bucket>/<key>     the same without the bytes
    GET  /internal/buckets?owner=<canonical id>   {"buckets": how many the account has}
    GET  /internal/status                     what the background workers did last, the faults that the scrubber found
    PUT, DELETE /internal/uploads/…           `internal_uploads.py`
    PUT, GET, DELETE /internal/archive…       `internal_archive.py`
    GET, PUT /internal/deliveries/…           `internal_deliveries.py`

nc fetches images and sc snapshots here, clc looks at an image before it registers it. No bucket's owner is asked: the
cloud controller has checked that when it wrote the spec. Requests are refused to every other role (403).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec
from aiohttp import web

from eucapy.aws.errors import InvalidArgument
from eucapy.aws.timestamps import http_date
from eucapy.database import Tx
from eucapy.errors import ApiError
from eucapy.walrus import (
    encryption,
    errors,
    headers,
    internal_archive,
    internal_deliveries,
    internal_uploads,
    ranges,
    sending,
)
from eucapy.walrus.context import Walrus
from eucapy.walrus.s3.reading import TRIES, Found
from eucapy.walrus.store import buckets, objects
from eucapy.walrus.workers.periodic import Periodic
from eucapy.wire.server import only_roles

log = logging.getLogger(__name__)

CALLERS = frozenset({"clc", "nc", "sc"})


def application(walrus: Walrus, workers: Mapping[str, Periodic]) -> web.Application:
    """The HTTP face for components."""

    async def get(request: web.Request) -> web.StreamResponse:
        try:
            return await _get(walrus, request)
        except ApiError as error:
            return web.Response(status=error.status, text=f"{error.code}: {error.text}\n", headers=error.headers)

    async def status(request: web.Request) -> web.Response:
        said = {name: worker.status() for name, worker in workers.items()}
        return web.Response(body=msgspec.json.encode({"workers": said}), content_type="application/json")

    async def owned(request: web.Request) -> web.Response:
        owner = request.query.get("owner", "")
        found = await walrus.db.read(lambda tx: buckets.count(tx, owner))
        return web.Response(body=msgspec.json.encode({"buckets": found}), content_type="application/json")

    narrower = {each.PATH: each.CALLERS for each in (internal_uploads, internal_archive, internal_deliveries)}
    app = web.Application(middlewares=[only_roles(CALLERS, narrower)], client_max_size=internal_archive.MOST_BYTES)
    app.router.add_get("/internal/objects/{bucket}/{key:.+}", get)
    app.router.add_get("/internal/buckets", owned)
    app.router.add_get("/internal/status", status)
    internal_uploads.add_routes(app, walrus)
    internal_archive.add_routes(app, walrus)
    internal_deliveries.add_routes(app, walrus)
    return app


async def _get(walrus: Walrus, request: web.Request) -> web.StreamResponse:
    for _ in range(TRIES):
        found = await walrus.db.read(lambda tx: _load(tx, request.match_info))
        version = found.version
        span = ranges.parse(request.headers.get("Range"), version.size)
        start, length = span or (0, version.size)
        said = {
            "ETag": f'"{version.etag}"',
            "Last-Modified": http_date(version.modified_ms // 1000),
            "Accept-Ranges": "bytes",
            "Content-Type": "application/octet-stream",
            "X-Eucapy-Owner": found.bucket.owner,
        }
        if span is not None:
            said["Content-Range"] = f"bytes {start}-{start + length - 1}/{version.size}"
        response = web.StreamResponse(status=200 if span is None else 206, headers=said)
        response.content_length = length
        if request.method == "HEAD" or length == 0:
            await response.prepare(request)
            return response
        data_key = None
        if version.sse is not None:
            data_key = encryption.open_stored(walrus, found.bucket, version.key, encryption.load(version.sse))
        if found.data is not None:
            await response.prepare(request)
            await response.write(sending.plain(version, found.data, data_key)[start : start + length])
            return response
        try:
            stream = await sending.open_stream(walrus, version, found.parts, start, length, data_key)
        except sending.Gone:
            continue
        return await _send(request, response, stream)
    raise errors.ServiceUnavailable("The bytes of the object are missing.")


async def _send(request: web.Request, response: web.StreamResponse, stream: sending.Stream) -> web.StreamResponse:
    try:
        await response.prepare(request)
        await stream.send(response.write)
    except ConnectionError:
        log.debug("a component went away")
    except Exception:
        log.exception("the body broke off")
        if request.transport is not None:
            request.transport.abort()
    finally:
        stream.close()
    return response


async def _load(tx: Tx, names: Mapping[str, str]) -> Found:
    bucket = await buckets.by_name(tx, names["bucket"])
    if bucket is None or bucket.name == internal_archive.BUCKET:
        raise errors.NoSuchBucket()
    key = headers.key_bytes({"Key": names["key"]})
    if not key:
        raise InvalidArgument()
    version = await objects.current(tx, bucket.id, key)
    if version is None:
        raise errors.NoSuchKey()
    data = await sending.find_inline(tx, version)
    return Found(bucket, version, data, () if data is not None else await sending.find_parts(tx, version))
