"""PuTTY's private key file, version 2, unencrypted: what CreateKeyPair answers for `KeyFormat=ppk`.

Format: PuTTY documentation, appendix C. The MAC key of an unencrypted file is SHA-1 of a fixed text.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
import textwrap

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519 as ed
from cryptography.hazmat.primitives.asymmetric import rsa as rsa_keys


def rsa(key: rsa_keys.RSAPrivateKey, comment: str) -> str:
    """The text of the .ppk file."""
    numbers = key.private_numbers()
    public = _blob(key.public_key())
    private = b"".join(_mpint(value) for value in (numbers.d, numbers.p, numbers.q, numbers.iqmp))
    return _file("ssh-rsa", comment, public, private)


def ed25519(key: ed.Ed25519PrivateKey, comment: str) -> str:
    """The text of the .ppk file; the private part is the seed as a little-endian integer."""
    seed = key.private_bytes(serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
    return _file("ssh-ed25519", comment, _blob(key.public_key()), _string(seed))


def _file(kind: str, comment: str, public: bytes, private: bytes) -> str:
    maced = b"".join(_string(part) for part in (kind.encode(), b"none", comment.encode(), public, private))
    mac = hmac.digest(hashlib.sha1(b"putty-private-key-file-mac-key").digest(), maced, "sha1").hex()
    lines = [f"PuTTY-User-Key-File-2: {kind}", "Encryption: none", f"Comment: {comment}"]
    for name, part in (("Public", public), ("Private", private)):
        wrapped = textwrap.wrap(base64.b64encode(part).decode(), 64)
        lines += [f"{name}-Lines: {len(wrapped)}", *wrapped]
    return "\n".join([*lines, f"Private-MAC: {mac}"]) + "\n"


def _blob(key: rsa_keys.RSAPublicKey | ed.Ed25519PublicKey) -> bytes:
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return base64.b64decode(line.split()[1])


def _string(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _mpint(value: int) -> bytes:
    return _string(value.to_bytes(value.bit_length() // 8 + 1, "big"))
