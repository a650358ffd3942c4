"""CBOR: the protocol smithy-rpc-v2-cbor (CloudWatch's default) and the little of RFC 8949 that it uses.

A request is `POST /service/<target prefix>/operation/<name>` with `smithy-protocol: rpc-v2-cbor`. The decoder is our own
because its input is hostile: general decoders turn tags into regular expressions, big decimals and shared references.
Here every tag but 1 (a time) is an error, depth and lengths are bounded by the input's own size.
"""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Callable, Mapping
from typing import Any

from eucapy.aws import documents
from eucapy.aws.errors import SerializationException
from eucapy.aws.message import Incoming, Outgoing
from eucapy.aws.models import Operation
from eucapy.aws.timestamps import parse_epoch

MAX_DEPTH = 64
_BREAK = object()
_WIDTHS = {24: 1, 25: 2, 26: 4, 27: 8}
_FLOATS = {25: ">e", 26: ">f", 27: ">d"}


class _Decoder:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if end > len(self.data):
            raise SerializationException("Unexpected end of input")
        part = self.data[self.at : end]
        self.at = end
        return part

    def argument(self, info: int) -> int:
        if info < 24:
            return info
        width = _WIDTHS.get(info)
        if width is None:
            raise SerializationException("Malformed CBOR")
        return int.from_bytes(self.take(width), "big")

    def item(self, depth: int = 0) -> Any:
        if depth > MAX_DEPTH:
            raise SerializationException("CBOR nested too deep")
        first = self.take(1)[0]
        major, info = first >> 5, first & 31
        if major == 0:
            return self.argument(info)
        if major == 1:
            return -1 - self.argument(info)
        if major in (2, 3):
            return self.string(major, info)
        if major == 4:
            return self.array(info, depth)
        if major == 5:
            return self.map(info, depth)
        if major == 6:
            return self.tag(info, depth)
        return self.simple(info)

    def string(self, major: int, info: int) -> Any:
        if info == 31:
            parts = []
            while (first := self.take(1)[0]) != 0xFF:
                if first >> 5 != major or first & 31 == 31:
                    raise SerializationException("Malformed CBOR")
                parts.append(self.take(self.argument(first & 31)))
            raw = b"".join(parts)
        else:
            raw = self.take(self.argument(info))
        if major == 2:
            return raw
        try:
            return raw.decode()
        except UnicodeDecodeError:
            raise SerializationException("Malformed CBOR: not UTF-8") from None

    def array(self, info: int, depth: int) -> list[Any]:
        result = []
        if info == 31:
            while (value := self.item(depth + 1)) is not _BREAK:
                result.append(value)
            return result
        count = self.argument(info)
        if count > len(self.data) - self.at:
            raise SerializationException("Unexpected end of input")
        for _ in range(count):
            result.append(self.whole(depth + 1))
        return result

    def map(self, info: int, depth: int) -> dict[str, Any]:
        result: dict[str, Any] = {}
        count = None if info == 31 else self.argument(info)
        if count is not None and count * 2 > len(self.data) - self.at:
            raise SerializationException("Unexpected end of input")
        while count is None or count > 0:
            key = self.item(depth + 1)
            if key is _BREAK and count is None:
                break
            if not isinstance(key, str):
                raise SerializationException("Malformed CBOR: a map's key must be text")
            result[key] = self.whole(depth + 1)
            if count is not None:
                count -= 1
        return result

    def whole(self, depth: int) -> Any:
        value = self.item(depth)
        if value is _BREAK:
            raise SerializationException("Malformed CBOR")
        return value

    def tag(self, info: int, depth: int) -> Any:
        tag, value = self.argument(info), self.whole(depth + 1)
        if tag != 1 or isinstance(value, bool) or not isinstance(value, int | float):
            raise SerializationException("Malformed CBOR: unknown tag")
        try:
            return parse_epoch(value)
        except ValueError:
            raise SerializationException("Malformed CBOR: time out of range") from None

    def simple(self, info: int) -> Any:
        if info in (20, 21):
            return info == 21
        if info in (22, 23):
            return None
        if info in _FLOATS:
            return struct.unpack(_FLOATS[info], self.take(_WIDTHS[info]))[0]
        if info == 31:
            return _BREAK
        raise SerializationException("Malformed CBOR")


def decode(data: bytes) -> Any:
    """One data item that fills `data`. Raises SerializationException."""
    decoder = _Decoder(data)
    value = decoder.whole(0)
    if decoder.at != len(data):
        raise SerializationException("Malformed CBOR: trailing bytes")
    return value


def _head(major: int, value: int) -> bytes:
    if value < 24:
        return bytes((major << 5 | value,))
    for info, width in _WIDTHS.items():
        if value < 1 << 8 * width:
            return bytes((major << 5 | info,)) + value.to_bytes(width, "big")
    raise OverflowError(f"{value} does not fit into 64 bits")


def _encode(value: Any, out: bytearray) -> None:
    kind = value.__class__
    if kind is str:
        raw = value.encode()
        out += _head(3, len(raw)) + raw
    elif kind is bool:
        out.append(0xF5 if value else 0xF4)
    elif kind is int:
        out += _head(0, value) if value >= 0 else _head(1, -1 - value)
    elif kind is float:
        out += b"\xfb" + struct.pack(">d", value)
    elif kind is bytes:
        out += _head(2, len(value)) + value
    elif isinstance(value, dt.datetime):
        out += b"\xc1\xfb" + struct.pack(">d", value.timestamp())
    elif value is None:
        out.append(0xF6)
    elif isinstance(value, Mapping):
        out += _head(5, len(value))
        for key, item in value.items():
            _encode(str(key), out)
            _encode(item, out)
    elif isinstance(value, list | tuple):
        out += _head(4, len(value))
        for item in value:
            _encode(item, out)
    elif isinstance(value, str):
        _encode(str(value), out)
    else:
        raise TypeError(f"no CBOR for {kind.__name__}")


def encode(value: Any) -> bytes:
    """A document as CBOR; datetimes become tag 1."""
    out = bytearray()
    _encode(value, out)
    return bytes(out)


def compile_reader(operation: Operation) -> Callable[[Incoming], dict[str, Any]]:
    """Body → parameters."""
    shape = operation.input
    if shape is None:
        return lambda incoming: {}
    read = documents.compiler(operation.model, cbor=True).reader(shape)

    def parse(incoming: Incoming) -> dict[str, Any]:
        return read(decode(incoming.body)) if incoming.body else {}

    return parse


def compile_writer(operation: Operation) -> Callable[[Mapping[str, Any], str], Outgoing]:
    """Result → answer."""
    shape = operation.output
    write = documents.compiler(operation.model, cbor=True).writer(shape) if shape is not None else None
    headers = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}

    def serialize(result: Mapping[str, Any], request_id: str) -> Outgoing:
        return Outgoing(200, dict(headers), encode(write(result or {})) if write is not None else b"")

    return serialize
