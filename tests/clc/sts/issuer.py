"""An OpenID Connect issuer on loopback: discovery, keys and ID tokens, over TLS with a certificate of its own authority."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates for `localhost`."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("authority", self.key.public_key(), authority=True)

    @property
    def thumbprint(self) -> str:
        return hashlib.sha1(self.certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def server(self, folder: Path, name: str = "localhost") -> tuple[Path, str]:
        """(file with key and chain, the leaf's thumbprint)."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._sign(name, key.public_key())
        pem = serialization.Encoding.PEM
        private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path = folder / "server.pem"
        path.write_bytes(private + leaf.public_bytes(pem) + self.certificate.public_bytes(pem))
        return path, hashlib.sha1(leaf.public_bytes(serialization.Encoding.DER)).hexdigest()

    def _sign(self, name: str, public: Any, *, authority: bool = False) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = subject if authority else self.certificate.subject
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256())


class Issuer:
    """`url` is the issuer; `token(…)` an ID token of it."""

    def __init__(self) -> None:
        self.authority = Authority()
        self.url = ""
        self.leaf = ""
        """The thumbprint of the server's own certificate."""
        self.asked: list[str] = []
        self.status = 200
        self.issuer_told: str | None = None
        self.keys: dict[str, Any] = {}
        self.add_key("k1")

    def add_key(self, name: str) -> None:
        self.keys[name] = rsa.generate_private_key(65537, 2048)

    @property
    def host(self) -> str:
        return self.url.removeprefix("https://")

    def token(self, *, key: Any = None, kid: Any = "k1", **claims: Any) -> str:
        """`key` signs it, under the name `kid`; a claim that is None is left out."""
        now = int(time.time())
        plain = {"iss": self.url, "sub": "user-1", "aud": "client-1", "iat": now, "exp": now + 300}
        given = {name: value for name, value in {**plain, **claims}.items() if value is not None}
        return jwt.encode(given, key or self.keys[kid], "RS256", {"kid": kid})

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(request.path)
        if self.status != 200:
            return web.Response(status=self.status)
        if request.path == "/.well-known/openid-configuration":
            return web.json_response({"issuer": self.issuer_told or self.url, "jwks_uri": f"{self.url}/keys"})
        jwks = []
        for name, key in self.keys.items():
            public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
            jwks.append({**public, "kid": name, "use": "sig"})
        return web.json_response({"keys": [{"kty": "OKP", "kid": "unknown kind"}, *jwks]})


@contextmanager
def serving(folder: Path, name: str = "localhost") -> Iterator[Issuer]:
    """An issuer that answers until the block ends, in a thread of its own; `name` is who its certificate is for."""
    issuer = Issuer()
    path, issuer.leaf = issuer.authority.server(folder, name)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/{path:.*}", issuer.answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "localhost", 0, ssl_context=tls).start()
        issuer.url = f"https://localhost:{runner.addresses[0][1]}"
        return runner

    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield issuer
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
