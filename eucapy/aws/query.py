"""The Query protocols, both dialects: `query` (IAM, STS, ELB …) and `ec2`.

In: a flat form, `BlockDeviceMapping.1.Ebs.VolumeSize=8`. It is first folded into a tree at its dots; then the compiled
reader of the operation's input walks the tree. A value that does not fit its type raises BadValue on the way down and
collects its path on the way up; the service family's words for it stand in `errors.py`.

Out: an XML document with the service's namespace; the writers of its parts come from `xml.py`.

Differences of the dialects: EC2's lists are flat (`InstanceId.1`) where Query's have an inner name (`Names.member.1`; we
also take the flat form, as AWS does); EC2 refuses parameters that it does not know, Query ignores them; EC2 puts the
result straight into the root element.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from eucapy.aws import xml
from eucapy.aws.errors import BadValue, MalformedQueryString, UnknownParameter
from eucapy.aws.models import Operation
from eucapy.aws.timestamps import parse_any

Read = Callable[[Any], Any]

MAX_DEPTH = 32

# What belongs to the request and not to the operation: the envelope, and the two signature versions' parameters.
ENVELOPE = frozenset(
    {
        "Action", "Version", "AWSAccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "Timestamp",
        "Expires", "SecurityToken", "X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires",
        "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Content-SHA256",
    }
)  # fmt: skip


def fold(form: Mapping[str, str], own: Mapping[str, Any]) -> dict[str, Any]:
    """The form as a tree: `a.b=1` becomes {"a": {"b": "1"}}. Names of the envelope are left out unless in `own`."""
    tree: dict[str, Any] = {}
    for name, value in form.items():
        if "." not in name:
            if (name not in ENVELOPE or name in own) and tree.get(name).__class__ is not dict:
                tree[name] = value
            continue
        *path, last = name.split(".")
        if len(path) > MAX_DEPTH:
            raise MalformedQueryString()
        node = tree
        for part in path:
            below = node.get(part)
            if below.__class__ is not dict:
                below = node[part] = {}
            node = below
        if node.get(last).__class__ is not dict:
            node[last] = value
    return tree


class _Members(dict[str, "tuple[str, Read] | None"]):
    """A structure's members by their wire names, compiled when first met; None for names it does not have."""

    def __init__(self, compiler: QueryCompiler, shape: StructureShape) -> None:
        super().__init__()
        self.compiler = compiler
        self.wire = {compiler.wire_name(member, name): (name, member) for name, member in shape.members.items()}
        if compiler.ec2:
            # The protocol capitalizes names that the model does not give; botocore's client sends them as they are.
            for name, member in shape.members.items():
                if not member.serialization.get("name") and "queryName" not in member.serialization:
                    self.wire.setdefault(name[:1].upper() + name[1:], (name, member))

    def __missing__(self, wire: str) -> tuple[str, Read] | None:
        found = self.wire.get(wire)
        if found is None:
            return None  # not kept: the names are the client's, and there is no end to them
        name, member = found
        entry = self[wire] = (name, self.compiler.reader(member))
        return entry

    def is_scalar(self, wire: str) -> bool:
        return self.wire[wire][1].type_name not in ("structure", "list", "map")


class QueryCompiler:
    """Compiles input shapes into readers of the tree."""

    def __init__(self, ec2: bool) -> None:
        self.ec2 = ec2
        self._structures: dict[str, Read] = {}

    def wire_name(self, shape: Shape, name: str) -> str:
        own = shape.serialization
        if self.ec2:
            if "queryName" in own:
                return str(own["queryName"])
            given = own.get("name")
            return given[0].upper() + given[1:] if given else name
        if isinstance(shape, ListShape) and own.get("flattened") and shape.member.serialization.get("name"):
            return str(shape.member.serialization["name"])
        return str(own.get("name", name))

    def reader(self, shape: Shape) -> Read:
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        return scalar(shape.type_name)

    def _structure(self, shape: StructureShape) -> Read:
        known = self._structures.get(shape.name)
        if known is not None:
            return known
        members, strict = _Members(self, shape), self.ec2

        def read(node: Any) -> dict[str, Any]:
            if node.__class__ is not dict:
                if node == "":
                    return {}
                raise BadValue(node, "structure")
            result: dict[str, Any] = {}
            for wire, below in node.items():
                entry = members[wire]
                if entry is None:
                    if strict:
                        raise UnknownName(wire)
                    continue
                try:
                    result[entry[0]] = entry[1](below)
                except (BadValue, UnknownName) as error:
                    if strict and members.is_scalar(wire) and below.__class__ is dict and list(below) == ["1"]:
                        # A list of one where one value belongs: EC2 takes it, and boto 2 sends it (InstanceId.1).
                        result[entry[0]] = entry[1](below["1"])
                        continue
                    error.path.insert(0, wire)
                    raise
            return result

        self._structures[shape.name] = read
        return read

    def _items(self, node: dict[str, Any]) -> list[tuple[str, Any]]:
        for index in node:
            if not (index.isascii() and index.isdigit() and len(index) < 10):
                raise UnknownName(index)
        if len(node) == 1:
            return list(node.items())
        return sorted(node.items(), key=lambda item: int(item[0]))

    def _list(self, shape: ListShape) -> Read:
        member: Read | None = None
        inner_name = None
        if not self.ec2 and not shape.serialization.get("flattened"):
            inner_name = shape.member.serialization.get("name", "member")

        def read(node: Any) -> list[Any]:
            nonlocal member
            if member is None:
                member = self.reader(shape.member)
            if node.__class__ is not dict:
                return [] if node == "" else [member(node)]
            if inner_name is not None and len(node) == 1:
                # `Names=` within a list of lists, and the inner name of the list: both lead one step down.
                (only,) = node
                if only in (inner_name, "member") and not only.isdigit():
                    node = node[only]
                    if node.__class__ is not dict:
                        return [] if node == "" else [member(node)]
            result = []
            for index, below in self._items(node):
                try:
                    result.append(member(below))
                except (BadValue, UnknownName) as error:
                    error.path.insert(0, index)
                    raise
            return result

        return read

    def _map(self, shape: MapShape) -> Read:
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        key = self.reader(shape.key)
        value: Read | None = None

        def read(node: Any) -> dict[Any, Any]:
            nonlocal value
            if value is None:
                value = self.reader(shape.value)
            if node == "":
                return {}
            if node.__class__ is not dict:
                raise BadValue(node, "map")
            if len(node) == 1 and "entry" in node:
                node = node["entry"]
                if node.__class__ is not dict:
                    raise BadValue(node, "map")
            result = {}
            for index, entry in self._items(node):
                if entry.__class__ is not dict or key_name not in entry or value_name not in entry:
                    raise BadValue("", "map", [index])
                result[key(entry[key_name])] = value(entry[value_name])
            return result

        return read


class UnknownName(Exception):
    """A name in the form that the input does not have. `path` leads to it."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.path = [name]


def _boolean(node: Any) -> bool:
    if node.__class__ is str:
        lower = node.strip().lower()
        if lower in ("true", "1"):
            return True
        if lower in ("false", "0"):
            return False
    raise BadValue(node, "boolean")


def _whole(kind: str, bits: int) -> Read:
    """The reader of a number within the model's width: what is wider fits neither AWS's types nor a database's."""
    limit = 1 << (bits - 1)

    def read(node: Any) -> int:
        if node.__class__ is str and len(node) < 24 and "_" not in node:
            try:
                number = int(node)
            except ValueError:
                raise BadValue(node, kind) from None
            if -limit <= number < limit:
                return number
        raise BadValue(node, kind)

    return read


def _float(node: Any) -> float:
    if node.__class__ is str and len(node) < 400 and "_" not in node:
        try:
            return float(node)
        except ValueError:
            pass
    raise BadValue(node, "double")


def _timestamp(node: Any) -> Any:
    if node.__class__ is str:
        try:
            return parse_any(node)
        except ValueError:
            pass
    raise BadValue(node, "timestamp")


def _blob(node: Any) -> bytes:
    if node.__class__ is str:
        try:
            # `+` reaches us as a space from clients that do not encode it.
            return base64.b64decode(node.replace(" ", "+").replace("\n", ""), validate=True)
        except (binascii.Error, ValueError):
            pass
    raise BadValue(node, "blob")


def _string(node: Any) -> str:
    # XML cannot say NUL and PostgreSQL cannot keep it: no string of AWS's has one.
    if node.__class__ is str and "\0" not in node:
        return node
    raise BadValue(node if node.__class__ is str else "", "string")


_SCALARS: dict[str, Read] = {
    "boolean": _boolean, "integer": _whole("integer", 32), "long": _whole("long", 64), "float": _float, "double": _float,
    "timestamp": _timestamp, "blob": _blob,
}  # fmt: skip


def scalar(kind: str) -> Read:
    """The reader of a scalar type from text; everything unnamed is a string."""
    return _SCALARS.get(kind, _string)


def compile_reader(operation: Operation, ec2: bool) -> Callable[[Mapping[str, str]], dict[str, Any]]:
    """Form → parameters. Raises BadValue, and for EC2 UnknownParameter."""
    shape = operation.input
    if shape is None:
        return lambda form: {}
    key = "ec2 in" if ec2 else "query in"
    compiler: QueryCompiler = operation.model.compilers.setdefault(key, QueryCompiler(ec2))
    members = shape.members
    read = compiler.reader(shape)

    def parse(form: Mapping[str, str]) -> dict[str, Any]:
        try:
            parsed: dict[str, Any] = read(fold(form, members))
            return parsed
        except UnknownName as error:
            if ec2:
                raise UnknownParameter(name=".".join(error.path)) from None
            raise BadValue(error.path[-1], "list", error.path[:-1]) from None

    return parse


def compile_writer(operation: Operation, ec2: bool) -> Callable[[Mapping[str, Any], str, str], bytes]:
    """(result, request id, version) → XML document."""
    name, model = operation.name, operation.model
    shape = operation.output
    content = xml.compiler(model).content(shape) if shape is not None else None
    if ec2:
        base = model.namespace.rstrip("/").rsplit("/", 1)[0]
        void = "<return>true</return>" if shape is None or not shape.members else ""

        def write_ec2(result: Mapping[str, Any], request_id: str, version: str) -> bytes:
            inner = content(result) if content is not None and result else void
            return (
                f'<?xml version="1.0" encoding="UTF-8"?>\n<{name}Response xmlns="{base}/{version or model.version}/">'
                f"<requestId>{request_id}</requestId>{inner}</{name}Response>"
            ).encode()

        return write_ec2

    wrapper = f"{name}Result"
    if shape is not None:
        wrapper = shape.serialization.get("resultWrapper", wrapper)

    def write_query(result: Mapping[str, Any], request_id: str, version: str) -> bytes:
        wrapped = f"<{wrapper}>{content(result) if result else ''}</{wrapper}>" if content is not None else ""
        return (
            f'<{name}Response xmlns="{model.namespace}">{wrapped}'
            f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
        ).encode()

    return write_query
