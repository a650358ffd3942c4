"""XML out: shapes compiled into writers, for the protocols ec2, query and rest-xml.

A writer is a closure `value -> str` that returns finished XML, tag included. Structures look their members up in a
dictionary that compiles a member when it is first met, so a service's thousands of shapes cost nothing until used, and
recursion needs no care. Tag strings are built once; text is escaped only where it must be. This is the hot path of
Describe calls: an instance costs about as much as joining its strings.

A caller that already holds the XML of a list's element gives a Rendered instead of a dict, made by `fragment()`:

    render = fragment("ec2", "Instance")
    row_xml = render(view(row))            # keep it, e.g. per row and generation
    return {"Reservations": [{..., "Instances": [row_xml, ...]}]}

A member that the shape does not have is a programmer's error and raises KeyError.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from eucapy.aws import models
from eucapy.aws.models import Model
from eucapy.aws.timestamps import FORMATTERS, Formatter

Writer = Callable[[Any], str]

_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]')
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}


class Rendered(str):
    """XML of a structure's members, without its own tag; stands wherever the structure's dict could stand. As the value of
    a scalar member it is the element's text (a string's is escaped like any other)."""

    __slots__ = ()


def _entity(match: re.Match[str]) -> str:
    # XML 1.0 has no way to write the other control characters. U+FFFD keeps the document readable.
    return _NAMED.get(match.group(), "�")


def escape(text: str) -> str:
    """Text made safe for an element's content or a quoted attribute."""
    if text.isprintable() and "&" not in text and "<" not in text and ">" not in text and '"' not in text:
        return text  # nearly always, and four searches for a character cost less than one for a pattern
    return _SPECIAL.sub(_entity, text)


def attribute(name: str, value: str) -> str:
    return f' {name}="{escape(value)}"'


def number(value: Any) -> str:
    """A float as AWS writes it: `1.0`, `NaN`, `Infinity`."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value))


def namespace(shape: Shape) -> str:
    """The shape's own xmlns attribute, if the model gives it one."""
    given = shape.serialization.get("xmlNamespace")
    if not given:
        return ""
    if isinstance(given, str):
        return attribute("xmlns", given)
    prefix = given.get("prefix")
    return attribute(f"xmlns:{prefix}" if prefix else "xmlns", given["uri"])


class _Members(dict[str, Writer]):
    """Writers of a structure's members, compiled when first asked for."""

    def __init__(self, compiler: XmlCompiler, shape: StructureShape) -> None:
        super().__init__()
        self.compiler, self.shape = compiler, shape

    def __missing__(self, name: str) -> Writer:
        try:
            member = self.shape.members[name]
        except KeyError:
            raise KeyError(f"{self.shape.name} has no member {name!r}") from None
        writer = self[name] = self.compiler.member(member, name)
        return writer


class XmlCompiler:
    """Compiles the shapes of one service. `timestamp` formats times whose shape names no format of its own."""

    def __init__(self, timestamp: Formatter) -> None:
        self._timestamp = timestamp
        self._structures: dict[str, _Members] = {}

    def member(self, shape: Shape, name: str) -> Writer:
        """The writer of a structure's member: chooses the tag as the model says."""
        tag = shape.serialization.get("name", name)
        if isinstance(shape, ListShape) and shape.serialization.get("flattened"):
            return self.element(shape, shape.member.serialization.get("name", tag))
        return self.element(shape, tag)

    def element(self, shape: Shape, tag: str, attributes: str = "") -> Writer:
        """The writer of a whole element `<tag>…</tag>` (several, for a flattened list or map)."""
        flat = bool(shape.serialization.get("flattened"))
        attributes = namespace(shape) or attributes
        if isinstance(shape, StructureShape):
            return self._structure_element(shape, tag, attributes)
        if isinstance(shape, ListShape):
            return self._list(shape, tag, attributes, flat)
        if isinstance(shape, MapShape):
            return self._map(shape, tag, attributes, flat)
        return self._scalar(shape, tag, attributes)

    def _members(self, shape: StructureShape) -> _Members:
        known = self._structures.get(shape.name)
        if known is None:
            known = self._structures[shape.name] = _Members(self, shape)
        return known

    def content(self, shape: StructureShape) -> Writer:
        """The writer of a structure's members without its tag."""
        members = self._members(shape)

        def write(value: Any) -> str:
            if value.__class__ is Rendered:
                return value
            return "".join([members[name](item) for name, item in value.items() if item is not None])

        return write

    def _structure_element(self, shape: StructureShape, tag: str, attributes: str) -> Writer:
        in_tag = {name: m for name, m in shape.members.items() if m.serialization.get("xmlAttribute")}
        content = self.content(shape)
        opening, closing, empty = f"<{tag}{attributes}>", f"</{tag}>", f"<{tag}{attributes}/>"
        if not in_tag:
            members = self._members(shape)

            def write(value: Any) -> str:
                # `content` once more, in line: this is the innermost loop of every Describe call.
                inner: str
                if value.__class__ is Rendered:
                    inner = value
                else:
                    inner = "".join([members[name](item) for name, item in value.items() if item is not None])
                return f"{opening}{inner}{closing}" if inner else empty

            return write

        names = {name: member.serialization["name"] for name, member in in_tag.items()}

        def write_with_attributes(value: Mapping[str, Any]) -> str:
            own = "".join(attribute(names[k], str(v)) for k, v in value.items() if k in names and v is not None)
            inner = content({k: v for k, v in value.items() if k not in names})
            return f"<{tag}{attributes}{own}>{inner}{closing}"

        return write_with_attributes

    def _list(self, shape: ListShape, tag: str, attributes: str, flat: bool) -> Writer:
        if flat:
            item = self.element(shape.member, tag, attributes)
            return lambda values: "".join([item(value) for value in values])
        item = self.element(shape.member, shape.member.serialization.get("name", "member"))
        opening, closing, empty = f"<{tag}{attributes}>", f"</{tag}>", f"<{tag}{attributes}/>"

        def write(values: Any) -> str:
            inner = "".join([item(value) for value in values])
            return f"{opening}{inner}{closing}" if inner else empty

        return write

    def _map(self, shape: MapShape, tag: str, attributes: str, flat: bool) -> Writer:
        key = self.element(shape.key, shape.key.serialization.get("name", "key"))
        value_of = self.element(shape.value, shape.value.serialization.get("name", "value"))
        entry = tag if flat else "entry"

        def entries(values: Mapping[str, Any]) -> str:
            return "".join([f"<{entry}>{key(k)}{value_of(v)}</{entry}>" for k, v in values.items() if v is not None])

        if flat:
            return entries
        return lambda values: f"<{tag}{attributes}>{entries(values)}</{tag}>"

    def _scalar(self, shape: Shape, tag: str, attributes: str) -> Writer:
        opening, closing, empty = f"<{tag}{attributes}>", f"</{tag}>", f"<{tag}{attributes}/>"
        kind = shape.type_name
        if kind == "boolean":
            true, false = f"{opening}true{closing}", f"{opening}false{closing}"
            return lambda value: true if value else false
        if kind in ("integer", "long"):
            return lambda value: f"{opening}{value if value.__class__ is Rendered else format(value, 'd')}{closing}"
        if kind in ("float", "double"):
            return lambda value: f"{opening}{number(value)}{closing}"
        if kind == "timestamp":
            given = shape.serialization.get("timestampFormat", "").lower()
            form = FORMATTERS[given] if given and given != "iso8601" else self._timestamp
            return lambda value: f"{opening}{value if value.__class__ is Rendered else form(value)}{closing}"
        if kind == "blob":
            return lambda value: f"{opening}{encode_blob(value)}{closing}"

        def write(value: Any) -> str:
            if value.__class__ is not str:
                value = str(value)
            if not value:
                return empty
            return f"{opening}{escape(value)}{closing}"

        return write


def encode_blob(value: bytes | str) -> str:
    return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")


def compiler(model: Model) -> XmlCompiler:
    """The compiler of a service, shared by its operations so that each shape is compiled once."""
    found: XmlCompiler | None = model.compilers.get("xml out")
    if found is None:
        found = model.compilers["xml out"] = XmlCompiler(model.timestamp)
    return found


def fragment(service: str, shape_name: str) -> Callable[[Mapping[str, Any]], Rendered]:
    """The function that renders a structure ("ec2", "Instance") to XML that can be kept and put into later answers."""
    model = models.load(service)
    shape = model.shape(shape_name)
    if not isinstance(shape, StructureShape):
        raise TypeError(f"{shape_name} is a {shape.type_name}, not a structure")
    content = compiler(model).content(shape)
    return lambda value: Rendered(content(value))
