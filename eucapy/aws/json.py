"""The JSON protocols 1.0 and 1.1: `X-Amz-Target: <prefix>.<operation>` and a JSON document each way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from eucapy.aws import documents
from eucapy.aws.errors import SerializationException
from eucapy.aws.message import Incoming, Outgoing
from eucapy.aws.models import Operation


def decode(body: bytes) -> Any:
    """The JSON document in `body`; an empty body counts as `{}`. Raises SerializationException."""
    if not body:
        return {}
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise SerializationException("Could not parse request body into json") from None


def encode(document: Any) -> bytes:
    return msgspec.json.encode(document)


def compile_reader(operation: Operation) -> Callable[[Incoming], dict[str, Any]]:
    """Body → parameters."""
    shape = operation.input
    if shape is None:
        return lambda incoming: {}
    read = documents.compiler(operation.model).reader(shape)
    return lambda incoming: read(decode(incoming.body))


def compile_writer(operation: Operation) -> Callable[[Mapping[str, Any], str, str], Outgoing]:
    """(result, request id, JSON version of the request) → answer. An operation without output answers an empty body."""
    shape = operation.output
    write = documents.compiler(operation.model).writer(shape) if shape is not None else None
    default = operation.model.json_version

    def serialize(result: Mapping[str, Any], request_id: str, version: str) -> Outgoing:
        body = encode(write(result or {})) if write is not None else b""
        return Outgoing(200, {"Content-Type": f"application/x-amz-json-{version or default}"}, body)

    return serialize
