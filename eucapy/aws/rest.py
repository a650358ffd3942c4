"""The REST protocols, rest-xml and rest-json: which member travels where.

A member's `location` says it: uri (a label of the path), querystring, header, headers (all headers with a prefix),
statusCode; the others are the body, or one of them is the whole body (`payload`), raw if it is a blob or a string and
else a document. The documents themselves: `restxml.py`, `restjson.py`. Which operation a method and path stand for:
`resthttp.py`.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.utils import is_json_value_header

from eucapy.aws import forms
from eucapy.aws.errors import BadValue
from eucapy.aws.message import Incoming, Outgoing, Result
from eucapy.aws.models import Operation
from eucapy.aws.query import scalar
from eucapy.aws.timestamps import FORMATTERS, PARSERS, parse_any
from eucapy.aws.xml import number

BodyReader = Callable[[bytes], Any]
BodyWriter = Callable[[Mapping[str, Any]], bytes]
Text = Callable[[str], Any]


def _text_reader(shape: Shape, default_time: str) -> Text:
    """Text of a label, query parameter or header to a value."""
    kind = shape.type_name
    if kind == "timestamp":
        given = shape.serialization.get("timestampFormat", default_time).lower()
        strict = PARSERS[given]

        def time(text: str) -> Any:
            try:
                return strict(text)
            except ValueError:
                pass
            try:
                return parse_any(text)
            except ValueError:
                raise BadValue(text, "timestamp") from None

        return time
    if is_json_value_header(shape):

        def document(text: str) -> Any:
            try:
                return json.loads(base64.b64decode(text, validate=True))
            except (ValueError, binascii.Error):
                raise BadValue(text, "string") from None

        return document
    return scalar(kind)


def split_list(text: str) -> list[str]:
    """A header's list: `a, "b, c"`; quoted items may hold commas and escaped quotes."""
    items: list[str] = []
    at, end = 0, len(text)
    while at < end:
        while at < end and text[at] in " \t":
            at += 1
        if at < end and text[at] == '"':
            at += 1
            part: list[str] = []
            while at < end and text[at] != '"':
                if text[at] == "\\" and at + 1 < end:
                    at += 1
                part.append(text[at])
                at += 1
            items.append("".join(part))
            at = text.find(",", at)
            at = end if at < 0 else at + 1
        else:
            comma = text.find(",", at)
            comma = end if comma < 0 else comma
            items.append(text[at:comma].strip())
            at = comma + 1
    return items


def _header_reader(shape: Shape) -> Text:
    if not isinstance(shape, ListShape):
        return _text_reader(shape, "rfc822")
    item = _text_reader(shape.member, "rfc822")
    if (
        shape.member.type_name == "timestamp"
        and shape.member.serialization.get("timestampFormat", "rfc822") == "rfc822"
    ):

        def dates(text: str) -> list[Any]:
            parts = [part.strip() for part in text.split(",")]  # each date has a comma of its own
            return [item(f"{day}, {rest}") for day, rest in zip(parts[::2], parts[1::2], strict=False)]

        return dates
    return lambda text: [item(part) for part in split_list(text)]


def _bind(result: dict[str, Any], name: str, where: str, wire: str, read: Text, text: str) -> None:
    try:
        result[name] = read(text)
    except BadValue as error:
        error.path[:0] = [where, wire]
        raise


def compile_reader(
    operation: Operation, body_reader: Callable[[Operation, Shape], BodyReader]
) -> Callable[[Incoming, Mapping[str, str]], dict[str, Any]]:
    """(request, decoded labels of the path) → parameters."""
    shape = operation.input
    if shape is None:
        return lambda incoming, labels: {}
    uri: list[tuple[str, str, Text]] = []
    headers: dict[str, tuple[str, Text]] = {}
    prefixes: list[tuple[str, str]] = []
    query: dict[str, tuple[str, Shape]] = {}
    query_map: str | None = None
    in_body = False
    for name, member in shape.members.items():
        location, wire = member.serialization.get("location"), member.serialization.get("name", name)
        if location == "uri":
            uri.append((wire, name, _text_reader(member, "iso8601")))
        elif location == "header":
            headers[wire.lower()] = (name, _header_reader(member))
        elif location == "headers":
            prefixes.append((wire.lower(), name))
        elif location == "querystring":
            if isinstance(member, MapShape):
                query_map = name
            else:
                query[wire] = (name, member)
        elif location is None:
            in_body = True
    read_query = _query_reader(shape, query, query_map)
    read_body = _body_reader(operation, shape, in_body, body_reader)

    def parse(incoming: Incoming, labels: Mapping[str, str]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for wire, name, read in uri:
            if wire in labels:
                _bind(result, name, "uri", wire, read, labels[wire])
        if incoming.query and (query or query_map):
            read_query(incoming.query, result)
        for header, text in incoming.headers.items():  # few are sent of the many that there are
            wire = header.lower()
            place = headers.get(wire)
            if place is not None:
                if place[0] not in result:
                    _bind(result, place[0], "header", wire, place[1], _text(text))
                continue
            for prefix, name in prefixes:
                if wire.startswith(prefix):
                    result.setdefault(name, {})[header[len(prefix) :]] = _text(text)
        read_body(incoming, result)
        return result

    return parse


def _query_reader(
    shape: StructureShape, query: dict[str, tuple[str, Shape]], query_map: str | None
) -> Callable[[str, dict[str, Any]], None]:
    readers: dict[str, tuple[str, bool, Text]] = {}
    for wire, (name, member) in query.items():
        many = isinstance(member, ListShape)
        single = member.member if isinstance(member, ListShape) else member
        readers[wire] = (name, many, _text_reader(single, "iso8601"))
    numbers = {wire for wire, (_, member) in query.items() if member.type_name in ("integer", "long")}
    map_shape = shape.members[query_map] if query_map is not None else None
    map_of_lists = isinstance(map_shape, MapShape) and isinstance(map_shape.value, ListShape)

    def read(text: str, result: dict[str, Any]) -> None:
        rest: dict[str, Any] = {}
        for wire, values in forms.multiform(text).items():
            entry = readers.get(wire)
            if entry is None:
                rest[wire] = values if map_of_lists else values[0]
                continue
            name, many, convert = entry
            if wire in numbers and values == [""]:
                continue  # S3 takes `max-parts=` for nothing said
            try:
                result[name] = [convert(value) for value in values] if many else convert(values[0])
            except BadValue as error:
                error.path[:0] = ["querystring", wire]
                raise
        if query_map is not None and rest:
            result[query_map] = rest

    return read


def _body_reader(
    operation: Operation, shape: StructureShape, in_body: bool, body_reader: Callable[[Operation, Shape], BodyReader]
) -> Callable[[Incoming, dict[str, Any]], None]:
    payload = shape.serialization.get("payload")
    if payload is not None:
        member = shape.members[payload]
        if member.type_name == "blob":

            def raw(incoming: Incoming, result: dict[str, Any]) -> None:
                if incoming.stream is not None:
                    result[payload] = incoming.stream
                elif incoming.body or operation.streams_input:
                    result[payload] = incoming.body

            return raw
        if member.type_name == "string":

            def text(incoming: Incoming, result: dict[str, Any]) -> None:
                if incoming.body:
                    try:
                        result[payload] = incoming.body.decode()
                    except UnicodeDecodeError:
                        raise BadValue("", "string", [payload]) from None

            return text
        read = body_reader(operation, member)

        def document(incoming: Incoming, result: dict[str, Any]) -> None:
            if incoming.body:
                result[payload] = read(incoming.body)

        return document
    if not in_body:
        return lambda incoming, result: None
    read = body_reader(operation, shape)

    def whole(incoming: Incoming, result: dict[str, Any]) -> None:
        if incoming.body:
            result.update(read(incoming.body))

    return whole


# --- out --------------------------------------------------------------------------------------------------------------


def _header_writer(shape: Shape) -> Callable[[Any], str]:
    kind = shape.type_name
    if isinstance(shape, ListShape):
        item = _header_writer(shape.member)
        if shape.member.type_name == "string":
            return lambda values: ", ".join(_quoted(item(value)) for value in values)
        return lambda values: ", ".join(item(value) for value in values)
    if kind == "timestamp":
        return FORMATTERS[shape.serialization.get("timestampFormat", "rfc822").lower()]
    if kind == "boolean":
        return lambda value: "true" if value else "false"
    if kind in ("float", "double"):
        return number
    if is_json_value_header(shape):
        return lambda value: base64.b64encode(json.dumps(value, separators=(",", ":")).encode()).decode("ascii")
    return str


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if "," in text or '"' in text else text


def header_safe(text: str) -> str:
    """A header value that cannot break out of its line: what is not printable is percent-encoded."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else quote(c, safe="", errors="surrogateescape") for c in text)


def _text(value: str) -> str:
    """A header as text. Bytes that are not UTF-8 reach us as surrogates; such a header is Latin-1, as HTTP once said."""
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-8", "surrogateescape").decode("latin-1")
    return value


def compile_writer(
    operation: Operation, content_type: str, body_writer: Callable[[Operation, StructureShape, str | None], BodyWriter]
) -> Callable[[Mapping[str, Any] | Result, str], Outgoing]:
    """(result, request id) → answer. A payload may be bytes or a `message.Body` that is sent as it is produced."""
    status = int(operation.shape.http.get("responseCode", 200))
    shape = operation.output
    if shape is None:
        return lambda result, request_id: _with_extras(Outgoing(status, {}, b""), result)
    locations: dict[str, tuple[str, str, Callable[[Any], str]]] = {}
    for name, member in shape.members.items():
        location = member.serialization.get("location")
        if location in ("header", "headers", "statusCode"):
            wire = member.serialization.get("name", name)
            writer = _header_writer(member) if location == "header" else str
            locations[name] = (location, wire, writer)
    members = shape.members
    payload: str | None = shape.serialization.get("payload")
    document = members[payload] if payload is not None else shape
    raw = document.type_name in ("blob", "string")
    body_members = [name for name in shape.members if name not in locations]
    write: BodyWriter | None = None
    has_document = payload is not None or bool(body_members) or content_type == "application/json"
    if has_document and isinstance(document, StructureShape):
        write = body_writer(operation, document, payload)

    def serialize(result: Mapping[str, Any] | Result, request_id: str) -> Outgoing:
        values = result.values if isinstance(result, Result) else (result or {})
        code, headers, rest = status, {}, {}
        for name, value in values.items():
            if value is None:
                continue
            place = locations.get(name)
            if place is None:
                if name not in members:
                    raise KeyError(f"{shape.name} has no member {name!r}")
                rest[name] = value
                continue
            location, wire, text = place
            if location == "header":
                headers[wire] = header_safe(text(value))
            elif location == "headers":
                headers.update({wire + key: header_safe(str(item)) for key, item in value.items()})
            elif location == "statusCode":
                code = int(value)
        body: Any = b""
        if raw:
            body = rest.get(payload or "", b"")
            if isinstance(body, str):
                body = body.encode()
        elif write is not None:
            if payload is None:
                body = write(rest)
            elif payload in rest:
                body = write(rest[payload])
            if body:
                headers.setdefault("Content-Type", content_type)
        return _with_extras(Outgoing(code, headers, body), result)

    return serialize


def _with_extras(outgoing: Outgoing, result: Mapping[str, Any] | Result) -> Outgoing:
    if not isinstance(result, Result):
        return outgoing
    return Outgoing(result.status or outgoing.status, {**outgoing.headers, **result.headers}, outgoing.body)
