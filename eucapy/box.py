"""Boxes: secrets for one receiver alone, through hands and onto disks of others.

    box = Box.ensure(path)                       # the receiver's; `box.public` may be known to everybody
    sealed = seal(box.public, content, about)    # by whoever has a secret for it
    box.open(sealed, about)                      # BadBox

X25519 with a key of the sender's for each message, HKDF, AES-256-GCM. `about` is not in the result and has to be given again:
what is meant for one purpose does not open for another. Who sealed is not told: what travels in a box comes by a way that
is authenticated already.
"""

from __future__ import annotations

import base64
import binascii
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from eucapy import ledger

_KEY_BYTES = 32
_NONCE = bytes(12)
"""The key is another one for each message, so that this need not be."""


class BadBox(Exception):
    """Not sealed for this receiver, or not about this."""


class Box:
    """A receiver."""

    def __init__(self, private: bytes) -> None:
        self._key = X25519PrivateKey.from_private_bytes(private)
        self._public = self._key.public_key().public_bytes_raw()
        self.public = base64.b64encode(self._public).decode()

    @classmethod
    def ensure(cls, path: Path) -> Box:
        """The receiver whose private key is in the file `path`, made now if there is none."""
        if not path.exists():
            ledger.write_file(path, X25519PrivateKey.generate().private_bytes_raw())
        return cls(path.read_bytes())

    def open(self, sealed: str, about: str) -> bytes:
        """Raises BadBox."""
        try:
            raw = base64.b64decode(sealed.encode(), validate=True)
            sender = X25519PublicKey.from_public_bytes(raw[:_KEY_BYTES])
            key = _key(self._key.exchange(sender), raw[:_KEY_BYTES], self._public)
            return AESGCM(key).decrypt(_NONCE, raw[_KEY_BYTES:], about.encode())
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise BadBox(type(error).__name__) from None


def seal(public: str, content: bytes, about: str) -> str:
    """For the receiver with that public key. Raises ValueError for what is no key."""
    receiver = base64.b64decode(public.encode(), validate=True)
    sender = X25519PrivateKey.generate()
    own = sender.public_key().public_bytes_raw()
    key = _key(sender.exchange(X25519PublicKey.from_public_bytes(receiver)), own, receiver)
    return base64.b64encode(own + AESGCM(key).encrypt(_NONCE, content, about.encode())).decode()


def _key(shared: bytes, sender: bytes, receiver: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"eucapy box" + sender + receiver).derive(shared)
