"""Request bodies as readers: counted, hashed, or decoded from aws-chunked with every chunk's signature checked.

    aiohttp's stream ─► RawReader ─┬─► (as it is)                 UNSIGNED-PAYLOAD, SigV2, anonymous
                                   ├─► HashedReader               x-amz-content-sha256: <hex>
                                   └─► ChunkedReader              STREAMING-…
                                         chunk signatures          …-AWS4-HMAC-SHA256-PAYLOAD[-TRAILER]
                                         trailing headers          …-TRAILER, STREAMING-UNSIGNED-PAYLOAD-TRAILER

Pieces are handed on as they arrive, before the signature over them is known: a reader promises that it raises *before it
reports the end*, so whoever stores a body commits only after having read b"" (and, having taken over the hashing of a large
one to do it beside the reading, after the `check` of that).

The aws-chunked form:

    10000;chunk-signature=<64 hex>\\r\\n  <65536 bytes> \\r\\n
    0;chunk-signature=<64 hex>\\r\\n
    x-amz-checksum-crc32:AAAAAA==\\r\\n
    x-amz-trailer-signature:<64 hex>\\r\\n\\r\\n
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

from eucapy.aws.errors import IncompleteBody, InvalidRequest, MalformedInput, MaxMessageLengthExceeded
from eucapy.aws.refusals import Refused, refusal

_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
INFLATED_LIMIT = 10 << 20
_MAX_LINE = 8 * 1024
_MAX_TRAILERS = 16 * 1024

Next = Callable[[], Awaitable[bytes]]


class MalformedTrailerError(InvalidRequest):
    code = "MalformedTrailerError"
    message = "The request contained trailing data that was not well-formed or did not conform to our published schema."


def inflated(body: bytes, coding: str, limit: int) -> bytes:
    """A body in memory with the client's compression undone (SDKs compress metrics). Raises MalformedInput."""
    if not body or coding.strip().lower() != "gzip":
        return body
    machine = zlib.decompressobj(wbits=31)
    try:
        plain = machine.decompress(body, limit + 1)
    except zlib.error:
        raise MalformedInput() from None
    if len(plain) > limit or not machine.eof:
        raise MalformedInput()
    return plain


class BodyReader(ABC):
    """A body in pieces. `length` is its decoded length in bytes, None where the client does not say."""

    def __init__(self, length: int | None) -> None:
        self.length = length
        self._rest = b""
        self._ended = False
        self._trailers: dict[str, str] = {}

    @property
    def trailers(self) -> Mapping[str, str]:
        """Trailing headers by lower-case name; complete once the end has been read."""
        return self._trailers

    async def read(self, size: int = -1) -> bytes:
        """The next piece as it arrived, at most `size` bytes (no limit when negative); b"" at the end.

        Raises an ApiError when the body is not what its head promised.
        """
        piece = self._rest
        if piece:
            self._rest = b""
        elif self._ended:
            return b""
        else:
            piece = await self._next()
            if not piece:
                self._ended = True
                return b""
        if 0 <= size < len(piece):
            self._rest = piece[size:]
            return piece[:size]
        return piece

    async def read_all(self, limit: int) -> bytes:
        """The whole body. Raises MaxMessageLengthExceeded past `limit` bytes."""
        if self.length is not None and self.length > limit:
            raise MaxMessageLengthExceeded(fields={"MaxMessageLengthBytes": limit})
        parts, total = [], 0
        while piece := await self.read():
            total += len(piece)
            if total > limit:
                raise MaxMessageLengthExceeded(fields={"MaxMessageLengthBytes": limit})
            parts.append(piece)
        return b"".join(parts)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self.read():
            yield piece

    def hand_over(self) -> PayloadHash | None:
        """The hash that was signed, for a reader who hashes elsewhere; None where there is none.

        From then on the end is reported whatever came: who takes it calls `check` before believing the body.
        """
        return None

    @abstractmethod
    async def _next(self) -> bytes:
        """The next piece from the wire; b"" at the end."""


class RawReader(BodyReader):
    """The body as it comes from the connection. `begin` runs before the first piece is asked for (100 Continue)."""

    def __init__(self, more: Next, length: int | None, begin: Next | None = None) -> None:
        super().__init__(length)
        self._more, self._begin, self._seen = more, begin, 0

    async def _next(self) -> bytes:
        if self._begin is not None:
            begin, self._begin = self._begin, None
            await begin()
        if self.length == 0:
            return b""
        piece = await self._more()
        self._seen += len(piece)
        if not piece and self.length is not None and self._seen != self.length:
            raise IncompleteBody()
        return piece


class BytesReader(BodyReader):
    """A body that is in memory already."""

    def __init__(self, data: bytes) -> None:
        super().__init__(len(data))
        self._rest = data

    async def _next(self) -> bytes:
        return b""


class PayloadHash:
    """The SHA-256 of a body beside the one that was signed: `update` with every piece in order, then `check`."""

    def __init__(self, sha256_hex: str) -> None:
        self._expected, self._hash = sha256_hex, hashlib.sha256()
        self.update = self._hash.update

    def check(self) -> None:
        """Raises XAmzContentSHA256Mismatch."""
        computed = self._hash.hexdigest()
        if computed != self._expected:
            details = {"ClientComputedContentSHA256": self._expected, "S3ComputedContentSHA256": computed}
            raise refusal(Refused("payload", **details), "s3")


class HashedReader(BodyReader):
    """A body whose SHA-256 was signed."""

    def __init__(self, source: BodyReader, sha256_hex: str) -> None:
        super().__init__(source.length)
        self._source = source
        self._hash: PayloadHash | None = PayloadHash(sha256_hex)

    def hand_over(self) -> PayloadHash | None:
        hash_, self._hash = self._hash, None
        return hash_

    async def _next(self) -> bytes:
        piece = await self._source.read()
        if self._hash is not None:
            if piece:
                self._hash.update(piece)
            else:
                self._hash.check()
        return piece


class ChunkSigner:
    """The chain of signatures over chunks, each signed together with the one before."""

    def __init__(self, key: bytes, timestamp: str, scope: str, seed: str) -> None:
        self._key, self._timestamp, self._scope, self._previous = key, timestamp, scope, seed

    def _check(self, text: str, signature: str) -> None:
        computed = hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
        if not hmac.compare_digest(computed.encode(), signature.encode("utf-8", "replace")):
            raise refusal(Refused("mismatch", StringToSign=text, SignatureProvided=signature), "s3")
        self._previous = computed

    def chunk(self, sha256_hex: str, signature: str) -> None:
        """Raises SignatureDoesNotMatch."""
        self._check(
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._timestamp}\n{self._scope}\n{self._previous}\n{_EMPTY_SHA256}\n{sha256_hex}",
            signature,
        )

    def trailer(self, canonical: bytes, signature: str) -> None:
        """Raises SignatureDoesNotMatch."""
        digest = hashlib.sha256(canonical).hexdigest()
        self._check(
            f"AWS4-HMAC-SHA256-TRAILER\n{self._timestamp}\n{self._scope}\n{self._previous}\n{digest}", signature
        )


class ChunkedReader(BodyReader):
    """aws-chunked decoded. `signer` is None for the unsigned form; `announced` are the names in x-amz-trailer."""

    def __init__(
        self, source: BodyReader, length: int, signer: ChunkSigner | None, *, trailing: bool, announced: frozenset[str]
    ) -> None:
        super().__init__(length)
        self._source, self._signer, self._trailing, self._announced = source, signer, trailing, announced
        self._buffer = b""
        self._left = 0  # bytes of the current chunk still to come
        self._in_chunk = False
        self._seen = 0
        self._hash = hashlib.sha256()
        self._signature = ""

    async def _next(self) -> bytes:
        while True:
            if self._left:
                piece = self._buffer or await self._source.read()
                if not piece:
                    raise IncompleteBody()
                if len(piece) > self._left:
                    piece, self._buffer = piece[: self._left], piece[self._left :]
                else:
                    self._buffer = b""
                self._left -= len(piece)
                self._seen += len(piece)
                if self._seen > (self.length or 0):
                    raise IncompleteBody()
                if self._signer is not None:
                    self._hash.update(piece)
                return piece
            if self._in_chunk:
                await self._end_of_chunk()
            if not await self._start_of_chunk():
                await self._end_of_body()
                return b""

    async def _line(self, limit: int = _MAX_LINE) -> bytes:
        """The next line without its CRLF."""
        while True:
            at = self._buffer.find(b"\n")
            if at >= 0:
                line, self._buffer = self._buffer[:at], self._buffer[at + 1 :]
                return line.removesuffix(b"\r")
            if len(self._buffer) > limit:
                raise IncompleteBody()
            piece = await self._source.read()
            if not piece:
                if self._buffer:
                    line, self._buffer = self._buffer, b""
                    return line.removesuffix(b"\r")
                raise EOFError
            self._buffer += piece

    async def _start_of_chunk(self) -> bool:
        try:
            line = await self._line()
        except EOFError:
            raise IncompleteBody() from None
        size_text, _, extension = line.partition(b";")
        try:
            if not size_text.strip().isalnum() or len(size_text) > 16:
                raise ValueError
            size = int(size_text, 16)
        except ValueError:
            raise IncompleteBody() from None
        if self._signer is not None:
            name, _, value = extension.partition(b"=")
            if name.strip() != b"chunk-signature":
                raise IncompleteBody()
            self._signature = value.strip().decode("latin-1")
        if size == 0:
            if self._signer is not None:
                self._signer.chunk(_EMPTY_SHA256, self._signature)
            return False
        self._left, self._in_chunk = size, True
        self._hash = hashlib.sha256()
        return True

    async def _end_of_chunk(self) -> None:
        self._in_chunk = False
        if self._signer is not None:
            self._signer.chunk(self._hash.hexdigest(), self._signature)
        try:
            if await self._line():
                raise IncompleteBody()
        except EOFError:
            raise IncompleteBody() from None

    async def _end_of_body(self) -> None:
        if self._seen != self.length:
            raise IncompleteBody()
        signature, canonical, total = "", bytearray(), 0
        while True:
            try:
                line = await self._line()
            except EOFError:
                break
            if not line:
                continue
            total += len(line)
            name_raw, colon, value_raw = line.partition(b":")
            if total > _MAX_TRAILERS or not colon or not self._trailing:
                raise MalformedTrailerError()
            name, value = name_raw.strip().lower().decode("latin-1"), value_raw.strip().decode("latin-1")
            if name == "x-amz-trailer-signature":
                signature = value
                continue
            if name not in self._announced:
                raise MalformedTrailerError()
            self._trailers[name] = value
            canonical += f"{name}:{value}\n".encode()
        if self._trailing and self._announced - self._trailers.keys():
            raise MalformedTrailerError()
        if self._trailing and self._signer is not None:
            self._signer.trailer(bytes(canonical), signature)
