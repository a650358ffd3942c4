"""Bytes sealed in chunks: how an encrypted object lies in a blob or beside its metadata. Pure.

    salt, 16 bytes │ chunk 0 │ chunk 1 │ … │ last chunk          a chunk: up to 64 KiB encrypted, then a tag of 16 bytes

AES-256-GCM. The key of a run of bytes is made from the object's data key and the salt, so no key ever sees a nonce twice,
whatever parts are written again. A chunk's nonce is its number and whether it is the last one: chunks that are swapped,
dropped, repeated, cut off or taken from another run do not open (the STREAM construction). A range opens only the chunks
that it touches. That a data key belongs to its object is bound where it is wrapped: `encryption.py`.
"""

from __future__ import annotations

import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK_BYTES = 64 << 10
TAG_BYTES = 16
SALT_BYTES = 16
SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES
_PURPOSE = b"eucapy object bytes 1"


class Tampered(Exception):
    """The bytes are not those that were sealed, or the key is another one."""


def new_data_key() -> bytes:
    return os.urandom(32)


def sealed_size(size: int) -> int:
    """What `size` bytes take when they are sealed."""
    return SALT_BYTES + size + TAG_BYTES * chunks_of(size)


def chunks_of(size: int) -> int:
    """The number of chunks; empty bytes are one empty chunk."""
    return max(1, -(-size // CHUNK_BYTES))


def _cipher(data_key: bytes, salt: bytes) -> AESGCM:
    return AESGCM(hmac.digest(data_key, _PURPOSE + salt, "sha256"))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")


class Sealer:
    """Seals one run of bytes as they come."""

    def __init__(self, data_key: bytes) -> None:
        salt = os.urandom(SALT_BYTES)
        self._cipher = _cipher(data_key, salt)
        self._salt = salt
        self._number = 0
        self._rest = b""

    def update(self, data: bytes) -> bytes:
        """Sealed bytes to be written now, perhaps none. What may be the last chunk is kept back."""
        data = self._rest + data if self._rest else data
        sealed = [self._salt] if self._salt else []
        self._salt = b""
        view = memoryview(data)
        at = 0
        while len(data) - at > CHUNK_BYTES:
            sealed.append(self._cipher.encrypt(_nonce(self._number, False), view[at : at + CHUNK_BYTES], None))
            self._number += 1
            at += CHUNK_BYTES
        self._rest = data[at:] if at else data
        return b"".join(sealed)

    def finish(self) -> bytes:
        """The last of the sealed bytes."""
        last = self._cipher.encrypt(_nonce(self._number, True), self._rest, None)
        return self._salt + last


def seal(data_key: bytes, data: bytes) -> bytes:
    """All at once, for small objects."""
    if len(data) <= CHUNK_BYTES:
        salt = os.urandom(SALT_BYTES)
        return salt + _cipher(data_key, salt).encrypt(_nonce(0, True), data, None)
    sealer = Sealer(data_key)
    return sealer.update(data) + sealer.finish()


class Opener:
    """Opens chunks of a run whose plain bytes are `size`."""

    def __init__(self, data_key: bytes, salt: bytes, size: int) -> None:
        self._cipher = _cipher(data_key, salt)
        self._last = chunks_of(size) - 1

    def open(self, number: int, sealed: bytes) -> list[bytes]:
        """The plain bytes of whole chunks that follow each other, from chunk `number` on. Raises Tampered."""
        view = memoryview(sealed)
        plain = []
        try:
            for at in range(0, len(sealed), SEALED_CHUNK_BYTES):
                chunk = view[at : at + SEALED_CHUNK_BYTES]
                plain.append(self._cipher.decrypt(_nonce(number, number == self._last), chunk, None))
                number += 1
        except InvalidTag:
            raise Tampered(f"chunk {number} does not open") from None
        return plain


def unseal(data_key: bytes, sealed: bytes) -> bytes:
    """What `seal` was given. Raises Tampered."""
    size = len(sealed) - SALT_BYTES
    chunks = max(1, -(-size // SEALED_CHUNK_BYTES))
    opener = Opener(data_key, sealed[:SALT_BYTES], size - chunks * TAG_BYTES)
    plain = opener.open(0, sealed[SALT_BYTES:])
    return plain[0] if len(plain) == 1 else b"".join(plain)
