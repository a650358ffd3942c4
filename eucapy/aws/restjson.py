"""rest-json bodies (EBS direct APIs): the JSON part of a REST request or answer; where the other members go: `rest.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import Shape, StructureShape

from eucapy.aws import documents
from eucapy.aws.json import decode, encode
from eucapy.aws.models import Operation


def body_reader(operation: Operation, shape: Shape) -> Callable[[bytes], Any]:
    """The reader of a document that stands for `shape`. Raises SerializationException, BadValue."""
    read = documents.compiler(operation.model).reader(shape)
    return lambda body: read(decode(body))


def body_writer(
    operation: Operation, shape: StructureShape, payload: str | None
) -> Callable[[Mapping[str, Any]], bytes]:
    """The writer of an answer's document."""
    write = documents.compiler(operation.model).writer(shape)
    return lambda result: encode(write(result))
