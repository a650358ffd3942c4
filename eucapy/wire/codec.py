"""Strict JSON of the wire: an unknown member or a wrong type is refused, never guessed at."""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

T = TypeVar("T")


class BadMessage(Exception):
    """What came is not what the contract says."""


_encoder = msgspec.json.Encoder(order="deterministic")


def encode(message: object) -> bytes:
    """Deterministic JSON: equal messages give equal bytes."""
    return _encoder.encode(message)


def decode(content: bytes, kind: type[T]) -> T:
    """Raises BadMessage."""
    try:
        return msgspec.json.decode(content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(f"{kind.__name__}: {error}") from error


def digest(message: object) -> str:
    """A fingerprint of the content, to tell whether a spec changed."""
    return hashlib.sha256(encode(message)).hexdigest()
