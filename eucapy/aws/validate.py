"""Parameters against the model's constraints: required members, enums, ranges, lengths, patterns.

The check of an operation is compiled once; a shape without constraints compiles to nothing. What is wrong is told as the
family of services tells it:

    ec2     the first fault, `MissingParameter` or `InvalidParameterValue`
    query   all faults at once, `ValidationError`: "2 validation errors detected: Value 'x' at 'userName' failed …"
    json    the same words, `ValidationException`
    s3      documents only: `MalformedXML`; headers and query parameters are the handlers', each has its own code

Handlers registered with `unchecked=("VolumeType",)` judge that member themselves, and a service's `open_enums` are enums
whose values are ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from eucapy.aws import errors
from eucapy.aws.errors import ApiError
from eucapy.aws.models import Operation
from eucapy.aws.query import QueryCompiler
from eucapy.aws.service import Service

Check = Callable[[Any], "list[Fault] | None"]

_SHOWN = 2000  # characters of a value that a message repeats


class Fault:
    """One constraint that is not met. `steps` lead from the input to the member, as (model name, wire name)."""

    __slots__ = ("kind", "limit", "location", "sensitive", "steps", "value")

    def __init__(self, kind: str, value: Any, limit: Any, shape: Shape | None = None) -> None:
        self.kind, self.value, self.limit = kind, value, limit
        self.steps: list[tuple[str, str]] = []
        self.location: str | None = None
        self.sensitive = bool(shape is not None and shape.metadata.get("sensitive"))

    @property
    def member(self) -> str:
        """`tags.1.member.key`, as Coral names members."""
        return ".".join(name[0].lower() + name[1:] for name, _ in self.steps)

    @property
    def wire(self) -> str:
        return ".".join(wire for _, wire in self.steps)


def _within(shape: Shape, open_enums: frozenset[str]) -> list[str]:
    """All constraints of a scalar, as Coral lists them for the members of a list or map."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    number = shape.type_name in ("integer", "long", "float", "double")
    told = []
    if high is not None:
        told.append(_CORAL["max" if number else "max length"].replace("{limit}", str(high)))
    if low is not None:
        told.append(_CORAL["min" if number else "min length"].replace("{limit}", str(low)))
    if shape.metadata.get("pattern"):
        told.append(_CORAL["pattern"].replace("{limit}", shape.metadata["pattern"]))
    if shape.metadata.get("enum") and shape.name not in open_enums:
        told.append(_CORAL["enum"].replace("{limit}", ", ".join(shape.metadata["enum"])))
    return told


class _Compiler:
    def __init__(self, service: Service) -> None:
        self._open = service.open_enums
        self._coral = service.family in ("query", "json")
        self._names = QueryCompiler(service.family == "ec2")
        self._known: dict[str, Check | None] = {}
        self._open_shapes: set[str] = set()

    def compile(self, shape: Shape) -> Check | None:
        if isinstance(shape, StructureShape):
            return self._structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        return self._scalar(shape)

    def _structure(self, shape: StructureShape) -> Check | None:
        if shape.name in self._known:
            return self._known[shape.name]
        if shape.name in self._open_shapes:  # recursion: the check will be there when it is called
            return lambda value: (self._known.get(shape.name) or _nothing)(value)
        self._open_shapes.add(shape.name)
        members: dict[str, tuple[str, Check]] = {}
        for name, member in shape.members.items():
            check = self.compile(member)
            if check is not None:
                members[name] = (self._names.wire_name(member, name), check)
        required = [
            (name, self._names.wire_name(shape.members[name], name), shape.members[name].serialization.get("location"))
            for name in shape.required_members
            if not shape.members[name].metadata.get("idempotencyToken")
        ]
        if not members and not required:
            self._known[shape.name] = None
            return None

        def run(value: Any) -> list[Fault] | None:
            faults: list[Fault] | None = None
            for name, wire, location in required:
                if value.get(name) is None:
                    fault = Fault("required", None, None)
                    fault.steps, fault.location = [(name, wire)], location
                    faults = [*(faults or ()), fault]
            for name, item in value.items():
                entry = members.get(name)
                if entry is not None and (found := entry[1](item)):
                    for fault in found:
                        fault.steps.insert(0, (name, entry[0]))
                    faults = [*(faults or ()), *found]
            return faults

        self._known[shape.name] = run
        return run

    def _list(self, shape: ListShape) -> Check | None:
        member, length = self.compile(shape.member), _length(shape)
        if member is None and length is None:
            return None
        plain = not isinstance(shape.member, StructureShape | ListShape | MapShape)
        within = _within(shape.member, self._open) if plain else []

        def run(value: Any) -> list[Fault] | None:
            faults = length(value) if length is not None else None
            if member is None:
                return faults
            for index, item in enumerate(value, 1):
                if found := member(item):
                    if plain and self._coral:
                        # Of a list of scalars, Coral shows the whole list and all that its members must satisfy.
                        return [*(faults or ()), Fault("member", value, within, shape.member)]
                    for fault in found:
                        fault.steps[:0] = [(str(index), str(index)), ("member", "")]
                    faults = [*(faults or ()), *found]
            return faults

        return run

    def _map(self, shape: MapShape) -> Check | None:
        key, value_of, length = self.compile(shape.key), self.compile(shape.value), _length(shape)
        if key is None and value_of is None and length is None:
            return None
        plain = not isinstance(shape.value, StructureShape | ListShape | MapShape)
        keys, values = _within(shape.key, self._open), _within(shape.value, self._open) if plain else []

        def run(value: Any) -> list[Fault] | None:
            faults = length(value) if length is not None else None
            for name, item in value.items():
                if key is not None and key(name):
                    return [*(faults or ()), Fault("map key", value, keys, shape.key)]
                if value_of is not None and (found := value_of(item)):
                    if plain:
                        return [*(faults or ()), Fault("map value", value, values, shape.value)]
                    for fault in found:
                        fault.steps[:0] = [(str(name), str(name)), ("member", "")]
                    faults = [*(faults or ()), *found]
            return faults

        return run

    def _scalar(self, shape: Shape) -> Check | None:
        kind = shape.type_name
        if kind in ("string", "character"):
            return self._string(shape)
        if kind in ("integer", "long", "float", "double"):
            return _range(shape)
        return _length(shape) if kind == "blob" else None

    def _string(self, shape: Shape) -> Check | None:
        length = _length(shape)
        values = [] if shape.name in self._open else list(shape.metadata.get("enum", ()))
        allowed = frozenset(values)
        pattern = shape.metadata.get("pattern")
        compiled = _pattern(pattern) if pattern else None
        if length is None and not allowed and compiled is None:
            return None

        def run(value: Any) -> list[Fault] | None:
            faults = length(value) if length is not None else None
            if allowed and value not in allowed:
                faults = [*(faults or ()), Fault("enum", value, values, shape)]
            # A value that is too long already is not run through a pattern, which may be slow on it.
            if compiled is not None and (faults is None or len(value) < 256) and compiled.fullmatch(value) is None:
                faults = [*(faults or ()), Fault("pattern", value, pattern, shape)]
            return faults

        return run


def _nothing(value: Any) -> None:
    return None


def _length(shape: Shape) -> Check | None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if not low and high is None:
        return None
    low = low or 0

    def run(value: Any) -> list[Fault] | None:
        try:
            size = len(value)
        except TypeError:
            return None  # a body that streams has a length of its own
        if size < low:
            return [Fault("min length", value, low, shape)]
        if high is not None and size > high:
            return [Fault("max length", value, high, shape)]
        return None

    return run


def _range(shape: Shape) -> Check | None:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if low is None and high is None:
        return None

    def run(value: Any) -> list[Fault] | None:
        if low is not None and value < low:
            return [Fault("min", value, low, shape)]
        if high is not None and value > high:
            return [Fault("max", value, high, shape)]
        return None

    return run


_LETTERS = r"\p{L}\p{Z}\p{N}_"
_WORDS = r"\w\u0020\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
"""Letters, separators, numbers and the underscore inside of a class, in Java's words and in Python's."""


def _pattern(text: str) -> re.Pattern[str] | None:
    """A model's pattern is Java's; one that Python's `re` does not know is left to the handler."""
    flags = re.ASCII
    if _LETTERS in text:  # of tags, in every service that has them
        text, flags = text.replace(_LETTERS, _WORDS), re.UNICODE
    try:
        return re.compile(text, flags)
    except re.error:
        return None


# --- words ------------------------------------------------------------------------------------------------------------

_CORAL = {
    "required": "Member must not be null",
    "enum": "Member must satisfy enum value set: [{limit}]",
    "pattern": "Member must satisfy regular expression pattern: {limit}",
    "min length": "Member must have length greater than or equal to {limit}",
    "max length": "Member must have length less than or equal to {limit}",
    "member": "Member must satisfy constraint: [{limit}]",
    "map key": "Map keys must satisfy constraint: [{limit}]",
    "map value": "Map value must satisfy constraint: [{limit}]",
    "min": "Member must have value greater than or equal to {limit}",
    "max": "Member must have value less than or equal to {limit}",
}


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(str(item) for item in value)[:_SHOWN] + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}={item}" for key, item in value.items())[:_SHOWN] + "}"
    if isinstance(value, bytes):
        return f"java.nio.HeapByteBuffer[pos=0 lim={len(value)} cap={len(value)}]"
    return str(value)[:_SHOWN]


def coral_message(faults: list[Fault], terse: bool = False) -> str:
    """`2 validation errors detected: Value 'x' at 'y' failed to satisfy constraint: …; Value …`, `terse` without the 'x'."""
    parts = []
    for fault in faults:
        limit = ", ".join(fault.limit) if isinstance(fault.limit, list) else fault.limit
        constraint = _CORAL[fault.kind].replace("{limit}", str(limit))
        value = " null" if fault.kind == "required" else "" if fault.sensitive or terse else f" '{_shown(fault.value)}'"
        parts.append(f"Value{value} at '{fault.member}' failed to satisfy constraint: {constraint}")
    noun = "error" if len(parts) == 1 else "errors"
    return f"{len(parts)} validation {noun} detected: " + "; ".join(parts)


def _bucket(name: str, count: int) -> int:
    """Where a Java HashMap of `count` members keeps this one: AWS tells of faults in that order."""
    size = 16
    while count > size * 3 // 4:
        size *= 2
    value = 0
    for letter in name:
        value = (31 * value + ord(letter)) & 0xFFFFFFFF
    return (value ^ (value >> 16)) & (size - 1)


def _ec2(fault: Fault) -> ApiError:
    name = ".".join(part for part in fault.wire.split(".") if part)
    if fault.kind == "required":
        return errors.MissingParameter(name=name)
    lower = ".".join(part[:1].lower() + part[1:] for part in name.split("."))
    if fault.kind in ("min", "max"):
        # EC2 says "greater than 5" where it means 5 and more.
        than = "greater than" if fault.kind == "min" else "less than"
        return errors.InvalidParameterValue(
            f"Value ( {fault.value} ) for parameter {lower} is invalid. Expecting a value {than} {fault.limit}."
        )
    if fault.kind == "enum" and lower == "attribute":
        return errors.InvalidParameterValue(
            f"Value ({_shown(fault.value)}) for parameter attribute is invalid. Unknown attribute."
        )
    if fault.kind == "enum":
        return errors.InvalidParameterValue(f"Invalid value '{_shown(fault.value)}' for {lower}.")
    return errors.InvalidParameterValue(f"Value ({_shown(fault.value)}) for parameter {lower} is invalid.")


class MissingRequestBodyError(ApiError):
    message = "Request Body is empty"


def _s3(operation: Operation, faults: list[Fault]) -> ApiError | None:
    payload = operation.input.serialization.get("payload") if operation.input is not None else None
    members = operation.input.members if operation.input is not None else {}
    for fault in faults:
        top = fault.steps[0][0]
        if fault.kind == "required" and len(fault.steps) == 1:
            if top == payload:
                return MissingRequestBodyError()
            if fault.location == "header":
                return errors.InvalidRequest(f"Missing required header for this request: {fault.wire}")
            if fault.location is not None:
                return errors.InvalidArgument(fields={"ArgumentName": fault.wire})
        if members[top].serialization.get("location") is None:
            return errors.MalformedXML()
    return None


def check(
    service: Service,
    operation: Operation,
    params: dict[str, Any],
    unchecked: frozenset[str] = frozenset(),
    worded: frozenset[str] = frozenset(),
) -> None:
    """Raises the family's error when `params` break the model's constraints. `unchecked` members may have any value, but
    must still be there when required; `worded` members may be absent."""
    if operation.validator is None:
        shape = operation.input
        found = _compiler(service).compile(shape) if shape is not None else None
        operation.validator = found or _nothing
    faults: list[Fault] | None = operation.validator(params)
    if faults and (unchecked or worded):
        faults = [f for f in faults if f.steps[0][0] not in (worded if f.kind == "required" else unchecked)]
    if not faults:
        return
    family = service.family
    if family == "ec2":
        raise _ec2(faults[0])
    if family == "s3":
        error = _s3(operation, faults)
        if error is not None:
            raise error
        return
    if service.terse:
        count = len(operation.input.members) if operation.input is not None else 0
        faults = sorted(faults, key=lambda fault: _bucket(fault.member.partition(".")[0], count))
    text = coral_message(faults, service.terse)
    raise errors.ValidationError(text) if family == "query" else errors.ValidationException(text)


_compilers: dict[str, _Compiler] = {}


def _compiler(service: Service) -> _Compiler:
    if service.name not in _compilers:
        _compilers[service.name] = _Compiler(service)
    return _compilers[service.name]
