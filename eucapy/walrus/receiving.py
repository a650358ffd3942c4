"""Bytes on their way in: read from the client, hashed, checked, and put where they will stay.

    reader ──pieces──► gather to 1 MiB ──► one hop: MD5, SHA-256, the checksum ┐ side by side, while the
                                       └─► the driver's writer: append         ┘ next MiB is being read
    end of the body: signature, Content-MD5, checksum (header or trailer), length ─► put() ─► Received

Small bodies of known length never leave the event loop: they are hashed in place and handed on as bytes, to be written
with their metadata. What this module returns is durable or in memory, but *not visible*: `Received.keep` runs the
metadata's transaction and sees to the blob when that fails. Memory per upload: about three blocks of 1 MiB.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import msgspec

from eucapy.aws.bodies import BodyReader, PayloadHash
from eucapy.aws.errors import IncompleteBody, InvalidRequest, MissingContentLength
from eucapy.database import Tx
from eucapy.drivers.blob.base import BLOCK_BYTES, NoSpace, Writer
from eucapy.walrus import checksums, errors, sealing
from eucapy.walrus.context import Call, Walrus
from eucapy.walrus.room import Room
from eucapy.walrus.store import content
from eucapy.walrus.store.engine import StoreFull

T = TypeVar("T")

STALL_S = 60.0
"""A client that sends nothing for so long is let go; so is a small body that has not come by then."""
HASH_IN_PLACE_BYTES = 128 << 10
_EMPTY_MD5 = hashlib.md5(b"", usedforsecurity=False)
_pool = ThreadPoolExecutor(4, thread_name_prefix="hash")


class Source(Protocol):
    """A body that is read as it comes. `length` in bytes, None where it is not known before the end."""

    length: int | None

    async def read(self, size: int = -1) -> bytes: ...

    @property
    def trailers(self) -> Mapping[str, str]: ...


class InMemory:
    """A body that is here already."""

    def __init__(self, data: bytes) -> None:
        self.length: int | None = len(data)
        self._data = data

    async def read(self, size: int = -1) -> bytes:
        data, self._data = self._data, b""
        return data

    @property
    def trailers(self) -> Mapping[str, str]:
        return {}


class Expected(msgspec.Struct, frozen=True):
    """What the client said of its body before sending it. `value` is None where it comes in a trailer or not at all;
    `also` is another checksum that is wanted of the body."""

    algorithm: str = checksums.DEFAULT
    value: str | None = None
    in_trailer: bool = False
    md5: bytes | None = None
    also: str | None = None

    @property
    def said(self) -> bool:
        return self.value is not None or self.in_trailer


class Received:
    """Bytes that are in: `data`, or a blob. `sums` are their checksums by algorithm, the one asked for first.

    `is_sealed`: what is kept is encrypted; size and sums are always those of what was sent.
    """

    __slots__ = ("_walrus", "blob_id", "data", "is_sealed", "md5", "size", "sums")

    def __init__(
        self,
        walrus: Walrus,
        size: int,
        md5: str,
        sums: dict[str, str],
        data: bytes = b"",
        blob_id: str | None = None,
        *,
        is_sealed: bool = False,
    ) -> None:
        self._walrus = walrus
        self.size = size
        self.md5 = md5
        self.sums = sums
        self.data = data
        self.blob_id = blob_id
        self.is_sealed = is_sealed

    def data_for(self, data_key: bytes | None) -> bytes:
        """The bytes to be kept inline: encrypted, where that is wanted and was not known when they came."""
        if data_key is None or self.is_sealed or not self.data:
            return self.data
        return sealing.seal(data_key, self.data)

    @property
    def place(self) -> int:
        if self.blob_id is not None:
            return content.BLOB
        return content.INLINE if self.size else content.EMPTY

    async def keep(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Commit the metadata that refers to the bytes; where that is refused or in doubt, the collector looks after
        the blob."""
        try:
            return await self._walrus.db.write(work)
        except StoreFull as error:
            self.give_up()
            raise errors.InsufficientStorage() from error
        except BaseException:
            self.give_up()
            raise

    def give_up(self) -> None:
        if self.blob_id is not None:
            self._walrus.collector.doubt(self.blob_id)


def expected(call: Call, p: Mapping[str, Any]) -> Expected:
    """Read the checksum members and headers of a write. Raises InvalidDigest, InvalidRequest."""
    given = [name for name, member in checksums.MEMBERS.items() if p.get(member)]
    if len(given) > 1:
        raise InvalidRequest("Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.")
    md5 = _content_md5(p.get("ContentMD5"))
    if given:
        algorithm, value = given[0], str(p[checksums.MEMBERS[given[0]]])
        if checksums.decode(algorithm, value) is None:
            raise InvalidRequest(f"Value for {checksums.HEADERS[algorithm]} header is invalid.")
        _same_algorithm(p.get("ChecksumAlgorithm"), algorithm)
        return Expected(algorithm, value, False, md5)
    trailer = call.incoming.headers.get("x-amz-trailer", "").strip().lower()
    for name, header in checksums.HEADERS.items():
        if trailer == header:
            _same_algorithm(p.get("ChecksumAlgorithm"), name)
            return Expected(name, None, True, md5)
    algorithm = str(p.get("ChecksumAlgorithm") or checksums.DEFAULT).upper()
    if algorithm not in checksums.ALGORITHMS:
        raise InvalidRequest("Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
                             f"[{', '.join(checksums.ALGORITHMS)}]")  # fmt: skip
    if p.get("ChecksumAlgorithm") and call.incoming.headers.get("x-amz-sdk-checksum-algorithm"):
        raise InvalidRequest(
            "x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found."
        )
    return Expected(algorithm, None, False, md5)


def is_summed(call: Call) -> bool:
    """Whether the head of a write gives a checksum of its body, or promises one behind it."""
    given = call.incoming.headers
    return (
        "content-md5" in given
        or given.get("x-amz-trailer", "").strip().lower() in checksums.HEADERS.values()
        or any(header in given for header in checksums.HEADERS.values())
    )


def _same_algorithm(named: str | None, algorithm: str) -> None:
    if named and named.upper() != algorithm:
        raise InvalidRequest("Value for x-amz-sdk-checksum-algorithm header is invalid.")


def _content_md5(text: str | None) -> bytes | None:
    if text is None:
        return None
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != 16:
        raise errors.InvalidDigest(fields={"Content-MD5": text})
    return digest


def as_source(call: Call, body: Any) -> Source:
    """The body member of a write, whatever form the edge gave it. Raises MissingContentLength.

    A body in HTTP's own chunks is taken too, which AWS answers 501 to: its end is as certain, only its length comes late.
    """
    if body is None or isinstance(body, bytes | bytearray | memoryview):
        return InMemory(bytes(body or b""))
    source: Source = body
    if source.length is None and call.incoming.headers.get("transfer-encoding", "").lower() != "chunked":
        raise MissingContentLength()
    return source


def check_document(call: Call) -> bool:
    """Compare a body that was read whole with the Content-MD5 and the checksum that its head gives; whether any was given.

    Raises BadDigest, InvalidDigest, InvalidRequest.
    """
    given = call.incoming.headers
    named = [name for name in checksums.ALGORITHMS if given.get(checksums.HEADERS[name])]
    content_md5 = given.get("content-md5")
    if not named and content_md5 is None:
        return False
    said = {checksums.MEMBERS[name]: given[checksums.HEADERS[name]].strip() for name in named}
    hashes = _Hashes(expected(call, {"ContentMD5": content_md5, **said}))
    hashes.update([call.incoming.body])
    hashes.check({})
    return True


def is_worth_a_look(call: Call, source: Source) -> bool:
    """Whether to ask the metadata before reading the body: not for a small one that is on its way already."""
    small = source.length is not None and source.length <= call.walrus.inline_bytes
    return not small or "expect" in call.incoming.headers


async def receive(
    walrus: Walrus,
    source: Source,
    want: Expected,
    most_bytes: int,
    inline_bytes: int | None = None,
    data_key: bytes | None = None,
) -> Received:
    """Read the whole body, check it, and put it away; encrypted, if there is a data key.

    Raises EntityTooLarge past `most_bytes`, BadDigest, InvalidRequest, IncompleteBody, RequestTimeout,
    InsufficientStorage, and whatever the reader finds wrong with the signature.
    """
    try:
        return await _receive(walrus, source, want, most_bytes, inline_bytes, data_key)
    except NoSpace as error:
        raise errors.InsufficientStorage() from error
    except TimeoutError as error:
        raise errors.RequestTimeout() from error
    except ConnectionError as error:  # the client went away: nobody will read this answer
        raise IncompleteBody() from error


async def _receive(
    walrus: Walrus,
    source: Source,
    want: Expected,
    most_bytes: int,
    inline_bytes: int | None,
    data_key: bytes | None,
) -> Received:
    limit = walrus.inline_bytes if inline_bytes is None else inline_bytes
    length = source.length
    if length is not None and length > most_bytes:
        raise errors.EntityTooLarge(fields={"ProposedSize": length, "MaxSizeAllowed": most_bytes})
    walrus.room.check(length or 0)
    if length is not None and length <= limit:
        return await _receive_small(walrus, source, want, length, data_key)
    signed = source.hand_over() if isinstance(source, BodyReader) else None
    async with walrus.blobs.create() as writer:
        hashes = _Hashes(want, signed)
        sink = writer if data_key is None else _SealedWriter(writer, data_key)
        size = await _pump(source, sink, hashes, most_bytes, walrus.room)
        if length is not None and size != length:
            raise IncompleteBody()
        hashes.check(source.trailers)
        if isinstance(sink, _SealedWriter):
            await sink.finish()
        stored = await writer.put()
        writer.commit()
    return Received(walrus, size, hashes.md5_hex, hashes.sums, blob_id=stored.blob_id, is_sealed=data_key is not None)


async def _receive_small(
    walrus: Walrus, source: Source, want: Expected, length: int, data_key: bytes | None
) -> Received:
    async with asyncio.timeout(STALL_S):
        data = await source.read()
        if len(data) <= length:
            pieces = [data]
            while piece := await source.read():  # the end has to be asked for: only then the signature is checked
                pieces.append(piece)
            data = b"".join(pieces) if len(pieces) > 1 else data
    if len(data) != length:
        raise IncompleteBody()
    hashes = _Hashes(want)
    hashes.update([data])
    hashes.check(source.trailers)
    if data_key is not None and data:
        return Received(walrus, length, hashes.md5_hex, hashes.sums, sealing.seal(data_key, data), is_sealed=True)
    return Received(walrus, length, hashes.md5_hex, hashes.sums, data)


class _Sink(Protocol):
    async def write(self, data: bytes) -> None: ...


class _SealedWriter:
    """A blob's writer, before which the bytes are encrypted."""

    def __init__(self, writer: Writer, data_key: bytes) -> None:
        self._writer = writer
        self._sealer = sealing.Sealer(data_key)

    async def write(self, data: bytes) -> None:
        sealed = self._sealer.update(data)
        if sealed:
            await self._writer.write(sealed)

    async def finish(self) -> None:
        await self._writer.write(self._sealer.finish())


async def _pump(source: Source, writer: _Sink, hashes: _Hashes, most_bytes: int, room: Room) -> int:
    size = 0
    working: asyncio.Future[Any] | None = None
    pieces: list[bytes] = []
    gathered = 0
    try:
        while True:
            async with asyncio.timeout(STALL_S):
                piece = await source.read(BLOCK_BYTES)
            if piece:
                pieces.append(piece)
                gathered += len(piece)
                size += len(piece)
                if size > most_bytes:
                    raise errors.EntityTooLarge(fields={"ProposedSize": size, "MaxSizeAllowed": most_bytes})
                if gathered < BLOCK_BYTES:
                    continue
            if working is not None:
                await working
                working = None
            if pieces:
                room.check()
                working = asyncio.ensure_future(_taken(writer, hashes, pieces, gathered))
                pieces, gathered = [], 0
            if not piece:
                if working is not None:
                    await working
                    working = None
                return size
    finally:
        if working is not None:
            await asyncio.gather(working, return_exceptions=True)


def _taken(writer: _Sink, hashes: _Hashes, pieces: list[bytes], count: int) -> Coroutine[Any, Any, None]:
    """Begin to hash a block; what is returned writes it meanwhile and ends with both.

    The hashing begins here and now: as part of a task it would wait for the turn in which the event loop reads the next
    megabyte: a third of a megabyte's time.
    """
    if count <= HASH_IN_PLACE_BYTES:
        hashes.update(pieces)
        return _write(writer, pieces, None)
    return _write(writer, pieces, asyncio.get_running_loop().run_in_executor(_pool, hashes.update, pieces))


async def _write(writer: _Sink, pieces: list[bytes], hashing: asyncio.Future[None] | None) -> None:
    try:
        for piece in pieces:
            await writer.write(piece)
    finally:
        if hashing is not None:
            await hashing


class _Hashes:
    """The MD5 and the checksums of one body, and the hash that was `signed` for it."""

    def __init__(self, want: Expected, signed: PayloadHash | None = None) -> None:
        self._want = want
        self._signed = signed
        self._md5 = _EMPTY_MD5.copy()
        self._running = {want.algorithm: checksums.running(want.algorithm)}
        if want.also is not None and want.also not in self._running:
            self._running[want.also] = checksums.running(want.also)
        self.md5_hex = ""
        self.sums: dict[str, str] = {}

    def update(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._md5.update(piece)
            if self._signed is not None:
                self._signed.update(piece)
            for running in self._running.values():
                running.update(piece)

    def check(self, trailers: Mapping[str, str]) -> None:
        """Finish and compare with what was promised. Raises XAmzContentSHA256Mismatch, BadDigest, InvalidRequest."""
        if self._signed is not None:
            self._signed.check()
        want = self._want
        md5 = self._md5.digest()
        self.md5_hex = md5.hex()
        self.sums = {name: checksums.encode(running.digest()) for name, running in self._running.items()}
        if want.md5 is not None and want.md5 != md5:
            details = {
                "ExpectedDigest": base64.b64encode(want.md5).decode(),
                "CalculatedDigest": base64.b64encode(md5).decode(),
            }
            raise errors.BadDigest(fields=details)
        value = want.value
        if want.in_trailer:
            value = trailers.get(checksums.HEADERS[want.algorithm])
            if value is None or checksums.decode(want.algorithm, value) is None:
                raise InvalidRequest(f"Value for {checksums.HEADERS[want.algorithm]} trailing header is invalid.")
        if value is not None and value != self.sums[want.algorithm]:
            raise errors.BadDigest(f"The {want.algorithm} you specified did not match the calculated checksum.")
