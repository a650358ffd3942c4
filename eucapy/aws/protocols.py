"""Protocols: each operation's codec, compiled on first use and kept on the operation.

A Codec parses an Incoming into parameters and serializes a handler's result into an Outgoing. The six protocols differ
in what they need beside the request itself: the Query dialects the form, the REST ones the labels of the path. Both are
found by `route.py` and travel in its Route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from eucapy.aws import cbor, json, query, rest, restjson, restxml
from eucapy.aws.message import Incoming, Outgoing, Result
from eucapy.aws.models import Operation

Parse = Callable[[Incoming, Mapping[str, str], Mapping[str, str]], dict[str, Any]]
Serialize = Callable[[Any, str, str], Outgoing]

PROTOCOLS = ("ec2", "query", "rest-xml", "rest-json", "json", "smithy-rpc-v2-cbor")


class Codec(msgspec.Struct, frozen=True):
    """`parse(incoming, form, labels)` → parameters; `serialize(result, request id, version)` → answer."""

    parse: Parse
    serialize: Serialize


def codec(operation: Operation, protocol: str) -> Codec:
    """The operation's codec for a protocol. Raises KeyError for a protocol that we do not speak."""
    found = operation.codecs.get(protocol)
    if found is None:
        found = operation.codecs[protocol] = _compile(operation, protocol)
    return found


def _compile(operation: Operation, protocol: str) -> Codec:
    if protocol in ("ec2", "query"):
        return _query(operation, protocol == "ec2")
    if protocol in ("rest-xml", "rest-json"):
        documents: Any = restxml if protocol == "rest-xml" else restjson
        content_type = "application/xml" if protocol == "rest-xml" else "application/json"
        read = rest.compile_reader(operation, documents.body_reader)
        write = rest.compile_writer(operation, content_type, documents.body_writer)
        return Codec(
            lambda incoming, form, labels: read(incoming, labels),
            lambda result, request_id, version: write(result, request_id),
        )
    if protocol == "json":
        read_json, write_json = json.compile_reader(operation), json.compile_writer(operation)
        return Codec(
            lambda incoming, form, labels: read_json(incoming),
            lambda result, request_id, version: _extra(result, lambda r: write_json(r, request_id, version)),
        )
    if protocol == "smithy-rpc-v2-cbor":
        read_cbor, write_cbor = cbor.compile_reader(operation), cbor.compile_writer(operation)
        return Codec(
            lambda incoming, form, labels: read_cbor(incoming),
            lambda result, request_id, version: _extra(result, lambda r: write_cbor(r, request_id)),
        )
    raise KeyError(protocol)


def _query(operation: Operation, ec2: bool) -> Codec:
    read, write = query.compile_reader(operation, ec2), query.compile_writer(operation, ec2)
    content_type = "text/xml;charset=UTF-8" if ec2 else "text/xml"

    def serialize(result: Any, request_id: str, version: str) -> Outgoing:
        if isinstance(result, Result):
            return _extra(result, lambda r: serialize(r, request_id, version))
        return Outgoing(200, {"Content-Type": content_type}, write(result, request_id, version))

    return Codec(lambda incoming, form, labels: read(form), serialize)


def _extra(result: Any, serialize: Callable[[Mapping[str, Any]], Outgoing]) -> Outgoing:
    if not isinstance(result, Result):
        return serialize(result)
    made = serialize(result.values)
    return Outgoing(result.status or made.status, {**made.headers, **result.headers}, made.body)
