"""XML in: a request's document as a tree, from a client that may be hostile.

No DOCTYPE and so no entities, bounded depth and number of elements; anything else that expat does not like is MalformedXML
too. Namespaces are not resolved: S3 takes documents with and without one, so prefixes are dropped from tags; attributes
keep theirs (`xsi:type`).
"""

from __future__ import annotations

from typing import Any
from xml.parsers import expat

from eucapy.aws.errors import MalformedXML

MAX_DEPTH = 48
MAX_ELEMENTS = 100_000


class Element:
    """`text` is the character data of the element itself."""

    __slots__ = ("attributes", "children", "parts", "tag")

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes = tag, attributes
        self.children: list[Element] = []
        self.parts: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self.parts)


class _Refused(Exception):
    pass


def parse(document: bytes) -> Element:
    """The root element. Raises MalformedXML."""
    root: Element | None = None
    stack: list[Element] = []
    count = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal root, count
        count += 1
        if len(stack) >= MAX_DEPTH or count > MAX_ELEMENTS:
            raise _Refused
        element = Element(tag.rpartition(":")[2], attributes)
        if stack:
            stack[-1].children.append(element)
        else:
            root = element
        stack.append(element)

    def end(_: str) -> None:
        stack.pop()

    def text(data: str) -> None:
        stack[-1].parts.append(data)

    def refuse(*_: Any) -> None:
        raise _Refused

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, _Refused, ValueError, LookupError):
        raise MalformedXML() from None
    if root is None:
        raise MalformedXML()
    return root
