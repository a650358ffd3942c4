"""Incoming and Outgoing: one HTTP exchange as the chain sees it, free of any HTTP library.

`http.py` makes an Incoming from aiohttp's request and sends an Outgoing; tests make them by hand. Both are frozen: each
stage of the chain hands a new value to the next.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import msgspec

Write = Callable[[bytes | bytearray | memoryview], Awaitable[None]]


class Reader(Protocol):
    """A request body that is read as it comes. `length` is the decoded length in bytes, or None where it is unknown."""

    length: int | None

    async def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes (all that is left when negative); b"" at the end. Raises an ApiError when the body does not
        hold what its signature promised."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    @property
    def trailers(self) -> Mapping[str, str]:
        """Trailing headers (lower-case names); complete only after the end has been read."""
        ...


@runtime_checkable
class Body(Protocol):
    """A response body that is sent as it is produced. `length` in bytes, or None for chunked transfer."""

    length: int | None

    async def send(self, write: Write) -> None:
        """Write the whole body. An exception here cuts the connection: the status has already been sent."""
        ...


class Incoming(msgspec.Struct, frozen=True):
    """A request. `path` and `query` are as they came (percent-encoded, without `?`); `headers` ignores case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""
    stream: Reader | None = None  # set instead of body when the operation streams
    host: str = ""
    scheme: str = "http"
    remote: str = ""
    now: float = 0.0  # seconds since the epoch, when the request arrived
    request_id: str = ""


class Outgoing(msgspec.Struct, frozen=True):
    """A response. Content-Length, Date, Server and the request id headers are http.py's business."""

    status: int
    headers: dict[str, str]
    body: bytes | Body = b""


class Result(msgspec.Struct, frozen=True):
    """What a handler may return instead of a plain dict when status or headers beside the model's are wanted."""

    values: Mapping[str, Any]
    headers: Mapping[str, str] = {}
    status: int | None = None
