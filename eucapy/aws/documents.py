"""Documents: decoded JSON or CBOR (dicts, lists, scalars) to parameters by a shape, and results back to documents.

`json.py`, `restjson.py` and `cbor.py` share these; the two formats differ in blobs and timestamps only, which a Format
names. Readers raise BadValue for a wrong type, as Coral services do before they look at anything else. Members that the
shape does not have are ignored, nulls count as absent.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
from collections.abc import Callable
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from eucapy.aws.errors import BadValue
from eucapy.aws.models import Model
from eucapy.aws.timestamps import FORMATTERS, PARSERS, as_datetime, epoch, parse_any

Convert = Callable[[Any], Any]


def _integer(value: Any) -> int:
    if value.__class__ is int:
        return value
    if value.__class__ is float and value.is_integer():
        return int(value)
    raise BadValue(value, "integer")


_NOT_NUMBERS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}


def _float(value: Any) -> float:
    if value.__class__ in (int, float):
        try:
            return float(value)
        except OverflowError:
            raise BadValue(value, "double") from None
    if value.__class__ is str and value in _NOT_NUMBERS:
        return _NOT_NUMBERS[value]
    raise BadValue(value, "double")


def _boolean(value: Any) -> bool:
    if value.__class__ is bool:
        return value
    raise BadValue(value, "boolean")


def _string(value: Any) -> str:
    if value.__class__ is str:
        return value
    raise BadValue(value, "string")


class JsonFormat:
    """Blobs are base64 text, timestamps seconds since the epoch unless the shape names another form."""

    def read_blob(self, value: Any) -> bytes:
        if value.__class__ is not str:
            raise BadValue(value, "blob")
        try:
            return base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise BadValue(value, "blob") from None

    def write_blob(self, value: Any) -> Any:
        return base64.b64encode(value.encode() if isinstance(value, str) else value).decode("ascii")

    def timestamp_reader(self, shape: Shape) -> Convert:
        given = shape.serialization.get("timestampFormat", "").lower()
        parse = PARSERS[given] if given else parse_any

        def read(value: Any) -> dt.datetime:
            if value.__class__ not in (int, float, str):
                raise BadValue(value, "timestamp")
            try:
                return parse(value)
            except (ValueError, TypeError):
                raise BadValue(value, "timestamp") from None

        return read

    def timestamp_writer(self, shape: Shape) -> Convert:
        given = shape.serialization.get("timestampFormat", "unixtimestamp").lower()
        return epoch if given == "unixtimestamp" else FORMATTERS[given]

    @staticmethod
    def write_float(value: Any) -> Any:
        number = float(value)
        if number != number:
            return "NaN"
        if number in (float("inf"), float("-inf")):
            return "Infinity" if number > 0 else "-Infinity"
        return number


class CborFormat(JsonFormat):
    """Blobs and timestamps have types of their own."""

    def read_blob(self, value: Any) -> bytes:
        if value.__class__ is not bytes:
            raise BadValue(value, "blob")
        return value

    def write_blob(self, value: Any) -> Any:
        return value.encode() if isinstance(value, str) else bytes(value)

    def timestamp_reader(self, shape: Shape) -> Convert:
        def read(value: Any) -> dt.datetime:
            if isinstance(value, dt.datetime):
                return value
            if value.__class__ in (int, float):
                try:
                    return parse_any(value)
                except ValueError:
                    pass
            raise BadValue(value, "timestamp")

        return read

    def timestamp_writer(self, shape: Shape) -> Convert:
        return as_datetime

    @staticmethod
    def write_float(value: Any) -> Any:
        return float(value)


class DocumentCompiler:
    """Compiles shapes of one service to readers and writers; each structure once, members when first met."""

    def __init__(self, form: JsonFormat) -> None:
        self.form = form
        self._readers: dict[str, Convert] = {}
        self._writers: dict[str, Convert] = {}

    # --- in

    def reader(self, shape: Shape) -> Convert:
        if isinstance(shape, StructureShape):
            if shape.is_document_type:
                return lambda value: value
            known = self._readers.get(shape.name)
            return known or self._structure_reader(shape)
        if isinstance(shape, ListShape):
            return self._list_reader(shape)
        if isinstance(shape, MapShape):
            return self._map_reader(shape)
        kind = shape.type_name
        if kind == "timestamp":
            return self.form.timestamp_reader(shape)
        if kind == "blob":
            return self.form.read_blob
        if kind in ("integer", "long"):
            return _integer
        if kind in ("float", "double"):
            return _float
        return _boolean if kind == "boolean" else _string

    def _structure_reader(self, shape: StructureShape) -> Convert:
        wire = {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}
        made: dict[str, tuple[str, Convert]] = {}

        def read(value: Any) -> dict[str, Any]:
            if value.__class__ is not dict:
                raise BadValue(value, "structure")
            result: dict[str, Any] = {}
            for key, below in value.items():
                entry = made.get(key)
                if entry is None:
                    if key not in wire:
                        continue
                    name, member = wire[key]
                    entry = made[key] = (name, self.reader(member))
                if below is None:
                    continue
                try:
                    result[entry[0]] = entry[1](below)
                except BadValue as error:
                    error.path.insert(0, key)
                    raise
            return result

        self._readers[shape.name] = read
        return read

    def _list_reader(self, shape: ListShape) -> Convert:
        member: Convert | None = None

        def read(value: Any) -> list[Any]:
            nonlocal member
            if value.__class__ is not list:
                raise BadValue(value, "list")
            if member is None:
                member = self.reader(shape.member)
            item = member
            try:
                return [item(below) for below in value if below is not None]
            except BadValue as error:
                error.path.insert(0, "member")
                raise

        return read

    def _map_reader(self, shape: MapShape) -> Convert:
        member: Convert | None = None

        def read(value: Any) -> dict[Any, Any]:
            nonlocal member
            if value.__class__ is not dict:
                raise BadValue(value, "map")
            if member is None:
                member = self.reader(shape.value)
            item = member
            result = {}
            for key, below in value.items():
                if key.__class__ is not str:
                    raise BadValue(key, "string")
                if below is not None:
                    try:
                        result[key] = item(below)
                    except BadValue as error:
                        error.path.insert(0, key)
                        raise
            return result

        return read

    # --- out

    def writer(self, shape: Shape) -> Convert:
        if isinstance(shape, StructureShape):
            if shape.is_document_type:
                return lambda value: value
            known = self._writers.get(shape.name)
            return known or self._structure_writer(shape)
        if isinstance(shape, ListShape):
            return self._list_writer(shape)
        if isinstance(shape, MapShape):
            return self._map_writer(shape)
        kind = shape.type_name
        if kind == "timestamp":
            return self.form.timestamp_writer(shape)
        if kind == "blob":
            return self.form.write_blob
        if kind in ("float", "double"):
            return self.form.write_float
        if kind in ("integer", "long"):
            return int
        return bool if kind == "boolean" else str

    def _structure_writer(self, shape: StructureShape) -> Convert:
        made: dict[str, tuple[str, Convert]] = {}

        def write(value: Any) -> dict[str, Any]:
            result = {}
            for name, below in value.items():
                if below is None:
                    continue
                entry = made.get(name)
                if entry is None:
                    try:
                        member = shape.members[name]
                    except KeyError:
                        raise KeyError(f"{shape.name} has no member {name!r}") from None
                    entry = made[name] = (member.serialization.get("name", name), self.writer(member))
                result[entry[0]] = entry[1](below)
            return result

        self._writers[shape.name] = write
        return write

    def _list_writer(self, shape: ListShape) -> Convert:
        member: Convert | None = None

        def write(value: Any) -> list[Any]:
            nonlocal member
            if member is None:
                member = self.writer(shape.member)
            item = member
            return [None if below is None else item(below) for below in value]

        return write

    def _map_writer(self, shape: MapShape) -> Convert:
        member: Convert | None = None

        def write(value: Any) -> dict[str, Any]:
            nonlocal member
            if member is None:
                member = self.writer(shape.value)
            item = member
            return {str(key): None if below is None else item(below) for key, below in value.items()}

        return write


def compiler(model: Model, cbor: bool = False) -> DocumentCompiler:
    """The compiler of a service for one of the two formats."""
    key = "cbor" if cbor else "json"
    found: DocumentCompiler | None = model.compilers.get(key)
    if found is None:
        found = model.compilers[key] = DocumentCompiler(CborFormat() if cbor else JsonFormat())
    return found
