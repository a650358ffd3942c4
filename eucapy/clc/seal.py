"""Secrets in the database are sealed: AES-256-GCM, under a key that lies beside the database and never in it."""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from eucapy import ledger

_NONCE_BYTES = 12


class Seal:
    """Seals and unseals short secrets. What was sealed under another key, or changed, does not unseal (InvalidTag)."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    @classmethod
    def ensure(cls, path: Path) -> Seal:
        """The seal whose key is in the file `path`, made now if there is none."""
        if not path.exists():
            ledger.write_file(path, AESGCM.generate_key(256))
        return cls(path.read_bytes())

    def seal(self, secret: bytes) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, None)

    def unseal(self, sealed: bytes) -> bytes:
        return self._cipher.decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], None)
