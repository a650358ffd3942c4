"""Secrets in the database are sealed: AES-256-GCM, under a key that lies beside the database and never in it."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from eucapy import ledger

_NONCE_BYTES = 12


class Seal:
    """Seals and unseals short secrets. What was sealed under another key, or changed, does not unseal (InvalidTag)."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._cipher = AESGCM(key)

    @classmethod
    def ensure(cls, path: Path) -> Seal:
        """The seal whose key is in the file `path`, made now if there is none."""
        if not path.exists():
            ledger.write_file(path, AESGCM.generate_key(256))
        return cls(path.read_bytes())

    def derived(self, purpose: bytes) -> Seal:
        """A seal of its own for a purpose: what one has sealed, the other does not unseal."""
        return Seal(HKDF(hashes.SHA256(), 32, salt=None, info=purpose).derive(self._key))

    def seal(self, secret: bytes, about: bytes = b"") -> bytes:
        """`about` is not in the result, and has to be given again to unseal it."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, about)

    def unseal(self, sealed: bytes, about: bytes = b"") -> bytes:
        """Raises InvalidTag; ValueError for what is too short to be sealed at all."""
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], about)
