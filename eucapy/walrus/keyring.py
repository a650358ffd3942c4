"""The keyring: master keys, which wrap the data keys of encrypted objects and are never used on bytes themselves.

    a file beside the metadata, never in it       {"keys": [{"id", "secret"}, …]}, mode 0600, the first one wraps
    master key ──HMAC(purpose)──► wrapping key ──AES-256-GCM──► data key of one object, bound to bucket and key

`purpose` is "sse-s3", or names a KMS key of an account: so each KMS key is a key of its own, made from the master key when
it is first named. Rotation puts a new master key in front; the old ones still open what they wrapped, until
`workers/rewrapper.py` has wrapped every data key anew. No object is written again for it. Who loses the file loses the objects.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eucapy import ledger
from eucapy.walrus.sealing import Tampered

NONCE_BYTES = 12


class UnknownKey(Exception):
    """A data key was wrapped by a master key that is not in the file."""


class Master(msgspec.Struct, frozen=True):
    """A master key; `id` is written beside everything that it wraps."""

    id: str
    secret: bytes


class _File(msgspec.Struct, frozen=True):
    keys: list[Master]


def fresh() -> Master:
    return Master(os.urandom(6).hex(), os.urandom(32))


class Keyring:
    """Wraps and unwraps data keys."""

    def __init__(self, keys: Sequence[Master]) -> None:
        self._current = keys[0]
        self._secrets = {key.id: key.secret for key in keys}
        self._wrapping = lru_cache(maxsize=4096)(self._derive)

    @classmethod
    def ensure(cls, path: Path) -> Keyring:
        """The keyring in the file, made now if there is none. Raises OSError, msgspec.DecodeError."""
        if not path.exists():
            write(path, [fresh()])
        return cls(read(path))

    @property
    def current(self) -> str:
        """The id of the master key that wraps."""
        return self._current.id

    @property
    def is_single(self) -> bool:
        """Whether there is nothing that an older master key could have wrapped."""
        return len(self._secrets) == 1

    def wrap(self, purpose: str, data_key: bytes, bound_to: bytes) -> tuple[str, bytes]:
        """(id of the master key, the wrapped data key)."""
        nonce = os.urandom(NONCE_BYTES)
        cipher: AESGCM = self._wrapping(self._current.id, purpose)
        return self._current.id, nonce + cipher.encrypt(nonce, data_key, bound_to)

    def unwrap(self, master: str, purpose: str, wrapped: bytes, bound_to: bytes) -> bytes:
        """Raises UnknownKey, Tampered."""
        cipher: AESGCM = self._wrapping(master, purpose)
        return unwrap_with(cipher, wrapped, bound_to)

    def _derive(self, master: str, purpose: str) -> AESGCM:
        secret = self._secrets.get(master)
        if secret is None:
            raise UnknownKey(f"master key {master} is not in the keyring")
        return AESGCM(hmac.digest(secret, f"eucapy data keys 1 {purpose}".encode(), "sha256"))


def unwrap_with(cipher: AESGCM, wrapped: bytes, bound_to: bytes) -> bytes:
    """Raises Tampered."""
    try:
        return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound_to)
    except InvalidTag:
        raise Tampered("a data key does not open") from None


def read(path: Path) -> list[Master]:
    """The master keys, the wrapping one first. Raises OSError, msgspec.DecodeError."""
    keys = msgspec.json.decode(path.read_bytes(), type=_File).keys
    if not keys:
        raise msgspec.ValidationError(f"{path} holds no key")
    return keys


def write(path: Path, keys: Sequence[Master]) -> None:
    ledger.write_file(path, msgspec.json.encode(_File(list(keys))))


def rotate(path: Path) -> str:
    """Put a new master key in front; its id. A running object store uses it from its next start."""
    keys = [fresh(), *read(path)]
    write(path, keys)
    return keys[0].id


def retire(path: Path) -> int:
    """Drop all master keys but the wrapping one; how many. Only when nothing is wrapped by them any more."""
    keys = read(path)
    write(path, keys[:1])
    return len(keys) - 1
