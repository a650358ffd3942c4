"""multipart/form-data as browsers send it: the fields before the file in memory, the file itself as a stream.

    --boundary\\r\\n  headers \\r\\n\\r\\n  value \\r\\n          a field; all of them together at most 20 KiB
    --boundary\\r\\n  headers \\r\\n\\r\\n  bytes … \\r\\n       the file, read as it comes
    --boundary  …                                        what follows the file is read to its end and ignored

Source: RFC 7578, and "Browser-based uploads using POST" of the S3 API reference: the file must be the last field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from eucapy.aws.errors import ApiError
from eucapy.aws.message import Reader

MOST_FIELD_BYTES = 20 << 10
_MOST_TAIL_BYTES = 1 << 20
_BOUNDARY = re.compile(r'boundary=(?:"([^"\r\n]{1,200})"|([^;,\s]{1,200}))', re.IGNORECASE)
_PARAMETER = re.compile(rb'(?:^|[;\s])(name|filename)="((?:[^"\\]|\\.)*)"|(?:^|[;\s])(name|filename)=([^";\s]+)', re.I)


class MalformedPOSTRequest(ApiError):
    message = "The body of your POST request is not well-formed multipart/form-data."


class MaxPostPreDataLengthExceeded(ApiError):
    code = "MaxPostPreDataLengthExceededError"
    message = "Your POST request fields preceding the upload file were too large."


class Form:
    """What came before the file: `fields` by lower-case name (of a name given twice, the first), and the file, if any."""

    def __init__(self, fields: Mapping[str, str], file: FormFile | None) -> None:
        self.fields = fields
        self.file = file


def boundary_of(content_type: str) -> bytes | None:
    """None for what is no multipart/form-data, or has no boundary."""
    found = _BOUNDARY.search(content_type)
    if found is None or not content_type.lstrip().lower().startswith("multipart/form-data"):
        return None
    return (found.group(1) or found.group(2)).encode("latin-1", "replace")


async def read_form(source: Reader, boundary: bytes) -> Form:
    """Read up to the first byte of the field `file`. Raises MalformedPOSTRequest, MaxPostPreDataLengthExceeded."""
    reader = _Buffered(source)
    fields: dict[str, str] = {}
    marker = b"--" + boundary
    await reader.until(marker, MOST_FIELD_BYTES)
    left = MOST_FIELD_BYTES
    while True:
        if await reader.exactly(2) == b"--":
            return Form(fields, None)
        head = await reader.until(b"\r\n\r\n", left, or_at_start=b"\r\n")
        name, filename = _disposition(head)
        if name == "file":
            return Form(fields, FormFile(reader, b"\r\n" + marker, filename))
        value = await reader.until(b"\r\n" + marker, left, or_at_start=marker)
        left -= len(head) + len(value)
        if left < 0:
            raise MaxPostPreDataLengthExceeded()
        fields.setdefault(name, value.decode("utf-8", "surrogateescape"))


def _disposition(head: bytes) -> tuple[str, str | None]:
    """(lower-case name of the field, name of the file). Raises MalformedPOSTRequest."""
    name = filename = None
    for line in head.split(b"\r\n"):
        title, colon, value = line.partition(b":")
        if colon and title.strip().lower() == b"content-disposition":
            for found in _PARAMETER.finditer(value):
                text = (found.group(2) if found.group(1) else found.group(4)).decode("utf-8", "surrogateescape")
                if (found.group(1) or found.group(3)).lower() == b"name":
                    name = text.replace('\\"', '"').lower()
                else:
                    filename = re.split(r"[/\\]", text.replace('\\"', '"'))[-1]
    if name is None:
        raise MalformedPOSTRequest()
    return name, filename


class FormFile:
    """The file, as the source of a write: its length shows at its end. `name`: what the client calls it, without folders."""

    def __init__(self, reader: _Buffered, end: bytes, name: str | None) -> None:
        self.length: int | None = None
        self.name = name
        self._reader = reader
        self._end = end
        self._ended = False

    async def read(self, size: int = -1) -> bytes:
        """The next piece, b"" at the end of the file; by then the whole body has been read."""
        if self._ended:
            return b""
        piece = await self._reader.before(self._end)
        if not piece:
            self._ended = True
            await self._reader.drain()
        return piece

    @property
    def trailers(self) -> Mapping[str, str]:
        return {}


class _Buffered:
    """A body, read in pieces that its own marks end."""

    def __init__(self, source: Reader) -> None:
        self._source = source
        self._buffer = b""

    async def _more(self) -> None:
        piece = await self._source.read()
        if not piece:
            raise MalformedPOSTRequest()
        self._buffer += piece

    async def exactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            await self._more()
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    async def until(self, mark: bytes, limit: int, or_at_start: bytes | None = None) -> bytes:
        """What stands before `mark`, which is taken away too; nothing where `or_at_start` comes at once."""
        looked = 0
        while True:
            if or_at_start is not None:
                while len(self._buffer) < len(or_at_start):
                    await self._more()
                if self._buffer.startswith(or_at_start):
                    self._buffer = self._buffer[len(or_at_start) :]
                    return b""
            at = self._buffer.find(mark, looked)
            if at > limit or (at < 0 and len(self._buffer) > limit + len(mark)):
                raise MaxPostPreDataLengthExceeded()
            if at >= 0:
                taken, self._buffer = self._buffer[:at], self._buffer[at + len(mark) :]
                return taken
            looked = max(0, len(self._buffer) - len(mark) + 1)
            await self._more()

    async def before(self, mark: bytes) -> bytes:
        """The next bytes that are surely before `mark`; b"" once it is reached."""
        while True:
            at = self._buffer.find(mark)
            sure = at if at >= 0 else len(self._buffer) - len(mark) + 1
            if sure > 0:
                taken, self._buffer = self._buffer[:sure], self._buffer[sure:]
                return taken
            if at == 0:
                return b""
            await self._more()

    async def drain(self) -> None:
        """Read what is left. Raises MalformedPOSTRequest where that is much."""
        left = _MOST_TAIL_BYTES - len(self._buffer)
        while piece := await self._source.read():
            left -= len(piece)
            if left < 0:
                raise MalformedPOSTRequest()
