"""The archive of snapshots, for the storage controllers alone: named bytes in a bucket that no user can have or see.

    PUT    /internal/archive/<name>                  the body, of MOST_BYTES at most, takes the place of what has the name
    GET    /internal/archive/<name>                  the bytes; 404: nothing has that name; 410: they are damaged or lost
    DELETE /internal/archive/<name>                  204, also where nothing has it
    GET    /internal/archive?prefix=&after=          {"names": […], "more": whether to ask again after the last one}

The bucket is made with the first name. It is nobody's: no account has its owner's id, and its name is none that a user may
give. Other components do not get at it either (`internal.py` looks for objects of users).
"""

from __future__ import annotations

import logging
import re

import msgspec
from aiohttp import web

from eucapy.database import Tx
from eucapy.drivers.blob.base import BlobDamaged, BlobMissing, Buffer
from eucapy.errors import ApiError, InternalError
from eucapy.walrus import checksums, encryption, receiving, sending
from eucapy.walrus.context import Walrus
from eucapy.walrus.receiving import Expected, InMemory
from eucapy.walrus.s3.reading import TRIES
from eucapy.walrus.sealing import Tampered
from eucapy.walrus.store import buckets, listings, objects
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import New, Version

log = logging.getLogger(__name__)

PATH = "/internal/archive"
CALLERS = frozenset({"sc"})
BUCKET = "_archive"
_OWNER, _ACCOUNT = "0" * 64, "0" * 12
MOST_BYTES = 128 << 20
"""The manifest of a volume with some 5 TiB in use; pieces have 4 MiB."""
PAGE = 1000
_NAME = re.compile(r"[a-z0-9][A-Za-z0-9._-]{0,127}(/[A-Za-z0-9][A-Za-z0-9._-]{0,127}){1,4}", re.ASCII)


def add_routes(app: web.Application, walrus: Walrus) -> None:
    async def put(request: web.Request) -> web.Response:
        try:
            await _put(walrus, _key(request), await request.read())
        except ApiError as error:
            return _refused(error)
        return web.Response()

    async def get(request: web.Request) -> web.Response:
        try:
            content = await _get(walrus, _key(request))
        except (BlobDamaged, BlobMissing, Tampered, InternalError) as error:
            log.error("an archive is damaged", extra={"data": {"name": request.match_info["name"], "why": str(error)}})
            return web.Response(status=410, text="it is damaged\n")
        except ApiError as error:
            return _refused(error)
        return web.Response(body=content, content_type="application/octet-stream")

    async def delete(request: web.Request) -> web.Response:
        key = _key(request)

        async def work(tx: Tx) -> None:
            bucket = await buckets.by_name(tx, BUCKET)
            if bucket is not None:
                await objects.remove(tx, bucket, key, _now_ms(walrus))

        await walrus.db.write(work)
        walrus.collector.wake()
        return web.Response(status=204)

    async def names(request: web.Request) -> web.Response:
        prefix, after = (request.query.get(name, "").encode() for name in ("prefix", "after"))
        first = max(prefix, listings.after_key(after)) if after else prefix

        async def work(tx: Tx) -> tuple[list[str], bool]:
            bucket = await buckets.by_name(tx, BUCKET)
            if bucket is None:
                return [], False
            page = await listings.objects(tx, bucket.id, prefix, b"", first, PAGE)
            return [row.key.decode() for row in page.rows], page.last is not None

        found, more = await walrus.db.read(work)
        return web.Response(body=msgspec.json.encode({"names": found, "more": more}), content_type="application/json")

    app.router.add_get(PATH, names)
    app.router.add_put(PATH + "/{name:.+}", put)
    app.router.add_get(PATH + "/{name:.+}", get)
    app.router.add_delete(PATH + "/{name:.+}", delete)


def _refused(error: ApiError) -> web.Response:
    return web.Response(status=error.status, text=f"{error.code}: {error.text}\n", headers=error.headers)


def _key(request: web.Request) -> bytes:
    name = request.match_info["name"]
    if not _NAME.fullmatch(name):
        raise web.HTTPBadRequest(text="not a name of the archive\n")
    return name.encode()


async def _put(walrus: Walrus, key: bytes, body: bytes) -> None:
    bucket = await walrus.db.read(lambda tx: buckets.by_name(tx, BUCKET))
    if bucket is None:
        bucket = await walrus.db.write(lambda tx: _made(walrus, tx))
    sealed = encryption.begin(bucket, None)
    want = Expected(algorithm=checksums.DEFAULT)
    data_key = None if sealed is None else sealed.data_key
    received = await receiving.receive(walrus, InMemory(body), want, MOST_BYTES, data_key=data_key)

    async def work(tx: Tx) -> None:
        found = await _made(walrus, tx)
        new = New(
            key=key,
            modified_ms=_now_ms(walrus),
            size=received.size,
            etag=received.md5 if sealed is None else sealed.etag(received.md5),
            details="{}",
            place=received.place,
            content=received.blob_id,
            data=received.data_for(data_key),
            sse=None if sealed is None else encryption.envelope(walrus, found, key, sealed),
        )
        await objects.put(tx, found, new)

    await received.keep(work)
    walrus.collector.wake()


async def _made(walrus: Walrus, tx: Tx) -> Bucket:
    """The bucket, which is made when there is none."""
    found = await buckets.by_name(tx, BUCKET)
    if found is None:
        await buckets.insert(
            tx,
            BUCKET,
            _OWNER,
            _ACCOUNT,
            walrus.region,
            _now_ms(walrus),
            "BucketOwnerEnforced",
            encryption=walrus.default_encryption,
        )
        found = await buckets.by_name(tx, BUCKET)
        assert found is not None
    return found


async def _get(walrus: Walrus, key: bytes) -> bytes:
    """Raises HTTPNotFound; BlobDamaged, BlobMissing, Tampered, InternalError where the bytes are not what they were."""

    async def look(tx: Tx) -> tuple[Bucket, Version, bytes | None] | None:
        bucket, version = await objects.find(tx, BUCKET, key) or (None, None)
        if bucket is None or version is None:
            return None
        return bucket, version, await sending.find_inline(tx, version)

    for _ in range(TRIES):
        found = await walrus.db.read(look)
        if found is None:
            raise web.HTTPNotFound(text="nothing has that name\n")
        bucket, version, data = found
        data_key = None
        if version.sse is not None:
            data_key = encryption.open_stored(walrus, bucket, key, encryption.load(version.sse))
        if data is not None:
            return sending.plain(version, data, data_key)
        try:
            stream = await sending.open_stream(walrus, version, (), 0, version.size, data_key)
        except sending.Gone:
            continue
        return await _read(stream)
    raise InternalError("The bytes of the object are missing.")


async def _read(stream: sending.Stream) -> bytes:
    whole = bytearray()

    async def take(piece: Buffer) -> None:
        whole.extend(piece)

    try:
        await stream.send(take)
    finally:
        stream.close()
    return bytes(whole)


def _now_ms(walrus: Walrus) -> int:
    return int(walrus.clock.time() * 1000)
