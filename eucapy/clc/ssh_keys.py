"""SSH keys as EC2 makes and knows them: pure functions over key material.

Fingerprints, after the EC2 user guide ("Verify the fingerprint of your key pair"): a created RSA key has the SHA-1 of
its private key in DER, an imported one the MD5 of its public key in DER, both as colon-separated hexadecimal; an ED25519
key has the SHA-256 of its public blob in base64, created or imported.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from eucapy.clc import putty


@dataclass(frozen=True)
class KeyPair:
    """A new key pair. `material` is the private half; it is answered once and kept nowhere."""

    key_type: str
    fingerprint: str
    public_key: str
    material: str = field(repr=False)


@dataclass(frozen=True)
class PublicKey:
    """An imported public key."""

    key_type: str
    fingerprint: str
    public_key: str


class NotAKey(ValueError):
    """What was given is no public key that EC2 takes (RSA of 1024 to 4096 bits, or ED25519)."""


def create(key_type: str, key_format: str, name: str) -> KeyPair:
    """A new `rsa` (2048 bits) or `ed25519` key; `key_format` is `pem` or `ppk`."""
    if key_type == "rsa":
        rsa_key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        der = rsa_key.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = _openssh(rsa_key.public_key())
        material = (
            putty.rsa(rsa_key, name)
            if key_format == "ppk"
            else rsa_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            ).decode()
        )
        return KeyPair("rsa", _colons(hashlib.sha1(der).digest()), f"{public} {name}", material.rstrip("\n"))
    key = ed25519.Ed25519PrivateKey.generate()
    public = _openssh(key.public_key())
    material = (
        putty.ed25519(key, name)
        if key_format == "ppk"
        else key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
        ).decode()
    )
    return KeyPair("ed25519", _sha256(public), f"{public} {name}", material)


def parse(material: bytes, name: str) -> PublicKey:
    """What ImportKeyPair takes: an OpenSSH line, the base64 of DER, PEM, or RFC 4716 (SSH2). Raises NotAKey."""
    key = _load(material)
    if isinstance(key, rsa.RSAPublicKey):
        # EC2's guide names 1024, 2048 and 4096, but EC2 takes what lies between too: ssh-keygen's own choice is 3072.
        if not 1024 <= key.key_size <= 4096:
            raise NotAKey("RSA keys must have 1024 to 4096 bits")
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        return PublicKey("rsa", _colons(hashlib.md5(der).digest()), f"{_openssh(key)} {name}")
    public = _openssh(key)
    return PublicKey("ed25519", _sha256(public), f"{public} {name}")


def _load(material: bytes) -> rsa.RSAPublicKey | ed25519.Ed25519PublicKey:
    text = material.strip()
    try:
        if text.startswith(b"---- BEGIN SSH2 PUBLIC KEY"):
            text = b"ssh " + _ssh2_body(text)
            blob = base64.b64decode(text[4:], validate=True)
            kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
            key = serialization.load_ssh_public_key(kind + b" " + text[4:])
        elif text.startswith(b"ssh-"):
            key = serialization.load_ssh_public_key(b" ".join(text.split()[:2]))
        elif text.startswith(b"-----BEGIN"):
            loaded = serialization.load_pem_public_key(text)
            key = loaded  # type: ignore[assignment]
        else:
            loaded = serialization.load_der_public_key(base64.b64decode(b"".join(text.split()), validate=True))
            key = loaded  # type: ignore[assignment]
    except (ValueError, binascii.Error, UnsupportedAlgorithm, IndexError) as error:
        raise NotAKey(str(error)) from error
    if not isinstance(key, rsa.RSAPublicKey | ed25519.Ed25519PublicKey):
        raise NotAKey("neither RSA nor ED25519")
    return key


def _ssh2_body(text: bytes) -> bytes:
    body: list[bytes] = []
    continued = False
    for line in text.splitlines()[1:]:
        if line.startswith(b"----"):
            break
        if continued or b":" in line:
            continued = line.endswith(b"\\")
            continue
        body.append(line.strip())
    return b"".join(body)


def _openssh(key: rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> str:
    return key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()


def _colons(digest: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in digest)


def _sha256(public: str) -> str:
    blob = base64.b64decode(public.split()[1])
    return base64.b64encode(hashlib.sha256(blob).digest()).decode()
