"""Parts of multipart uploads that the cloud's storage fills: exports of disks and images.

    PUT    /internal/uploads/<bucket>/<key>?upload=ID&part=N           the body is the part; its ETag is answered
    PUT    /internal/uploads/<bucket>/<key>?upload=ID&part=N&like=M    the part is the same as part M: no body, no copy
    DELETE /internal/uploads/<bucket>/<key>?upload=ID                  the upload is given up (gone already: 204 as well)

The upload itself was begun, and is completed, at the S3 port in its user's name: what that user may do is decided there, and
an upload's id says that it may. 404: there is no such upload (any more).
"""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from eucapy.aws.errors import InvalidArgument
from eucapy.database import Tx
from eucapy.drivers.blob.base import BlobMissing
from eucapy.errors import ApiError
from eucapy.walrus import checksums, encryption, errors, headers, receiving
from eucapy.walrus.context import Walrus
from eucapy.walrus.encryption import Sealed
from eucapy.walrus.receiving import Expected, Received
from eucapy.walrus.s3.copies import check_part_number
from eucapy.walrus.s3.objects import MOST_PUT_BYTES
from eucapy.walrus.store import buckets, content, uploads
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.uploads import Part, Upload

PATH = "/internal/uploads/"
CALLERS = frozenset({"clc", "sc"})


class Body:
    """A request's body as `receiving` reads one."""

    def __init__(self, request: web.Request) -> None:
        self.length = request.content_length
        self._content = request.content

    async def read(self, size: int = -1) -> bytes:
        return await self._content.read(size)

    @property
    def trailers(self) -> Mapping[str, str]:
        return {}


def add_routes(app: web.Application, walrus: Walrus) -> None:
    async def put(request: web.Request) -> web.Response:
        try:
            etag = await _put(walrus, request)
        except ApiError as error:
            return _refused(error)
        return web.Response(headers={"ETag": f'"{etag}"'})

    async def delete(request: web.Request) -> web.Response:
        try:
            await _delete(walrus, request)
        except ApiError as error:
            return _refused(error)
        return web.Response(status=204)

    app.router.add_put(PATH + "{bucket}/{key:.+}", put)
    app.router.add_delete(PATH + "{bucket}/{key:.+}", delete)


def _refused(error: ApiError) -> web.Response:
    return web.Response(status=error.status, text=f"{error.code}: {error.text}\n", headers=error.headers)


async def _put(walrus: Walrus, request: web.Request) -> str:
    number = check_part_number(_number(request.query.get("part", "")))
    like = request.query.get("like")
    key = headers.key_bytes({"Key": request.match_info["key"]})
    upload_id = request.query.get("upload", "")

    async def look(tx: Tx) -> tuple[Bucket, Upload, Part | None]:
        bucket, upload = await _find(tx, request.match_info["bucket"], key, upload_id)
        twin = None if like is None else await _part(tx, upload_id, _number(like))
        return bucket, upload, twin

    bucket, upload, twin = await walrus.db.read(look)
    if twin is not None:
        received, part = await _same(walrus, twin, number)
    else:
        sealed = encryption.of_upload(walrus, bucket, key, upload.sse)
        received = await _receive(walrus, request, upload, sealed)
        part = Part(
            number,
            received.size,
            received.md5 if sealed is None else sealed.etag(received.md5),
            _now_ms(walrus),
            checksums.write_pairs(received.sums),
            received.place,
            received.blob_id,
        )

    async def work(tx: Tx) -> None:
        await _find(tx, bucket.name, key, upload_id)
        await uploads.put_part(tx, upload_id, part)

    await received.keep(work)
    return part.etag


async def _receive(walrus: Walrus, request: web.Request, upload: Upload, sealed: Sealed | None) -> Received:
    want = Expected(algorithm=upload.checksum_algorithm or checksums.DEFAULT)
    data_key = None if sealed is None else sealed.data_key
    return await receiving.receive(walrus, Body(request), want, MOST_PUT_BYTES, -1, data_key)


async def _same(walrus: Walrus, twin: Part, number: int) -> tuple[Received, Part]:
    """A part that shares its bytes with another one of the upload. What is encrypted has the same key."""
    if twin.content is None:
        raise InvalidArgument()
    try:
        clone = await walrus.blobs.clone(twin.content)
    except BlobMissing:
        raise errors.NoSuchUpload() from None
    part = Part(number, twin.size, twin.etag, _now_ms(walrus), twin.checksum, content.BLOB, clone)
    return Received(walrus, twin.size, twin.etag, {}, blob_id=clone), part


async def _delete(walrus: Walrus, request: web.Request) -> None:
    key = headers.key_bytes({"Key": request.match_info["key"]})

    async def work(tx: Tx) -> None:
        try:
            bucket, upload = await _find(tx, request.match_info["bucket"], key, request.query.get("upload", ""))
        except (errors.NoSuchUpload, errors.NoSuchBucket):
            return
        await content.discard_parts(tx, upload.id)
        await uploads.delete(tx, bucket.id, upload)

    await walrus.db.write(work)
    walrus.collector.wake()


async def _find(tx: Tx, name: str, key: bytes, upload_id: str) -> tuple[Bucket, Upload]:
    bucket = await buckets.by_name(tx, name)
    if bucket is None:
        raise errors.NoSuchBucket()
    upload = await uploads.by_id(tx, bucket.id, key, upload_id)
    if upload is None:
        raise errors.NoSuchUpload(fields={"UploadId": upload_id})
    return bucket, upload


async def _part(tx: Tx, upload_id: str, number: int) -> Part:
    found = [part for part in await uploads.page(tx, upload_id, number - 1, 1) if part.number == number]
    if not found:
        raise InvalidArgument()
    return found[0]


def _number(text: str) -> int:
    if not text.isdecimal():
        raise InvalidArgument()
    return int(text)


def _now_ms(walrus: Walrus) -> int:
    return int(walrus.clock.time() * 1000)
