"""Requests signed by hand, for what no SDK sends: chunks, trailers, presigned URLs, and everything broken about them."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import time
from collections.abc import Mapping
from urllib.parse import quote

from tests.walrus.server import KEY, SECRET

EMPTY = hashlib.sha256(b"").hexdigest()
ALGORITHM = "AWS4-HMAC-SHA256"


class Signer:
    """SigV4 of one moment."""

    def __init__(self, port: int, key: str = KEY, secret: str = SECRET, region: str = "us-east-1", shift_s: float = 0):
        self.host = f"127.0.0.1:{port}"
        self.port = port
        self.key = key
        self.time = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() + shift_s))
        self.scope = f"{self.time[:8]}/{region}/s3/aws4_request"
        signing = ("AWS4" + secret).encode()
        for part in self.scope.split("/"):
            signing = hmac.digest(signing, part.encode(), "sha256")
        self.signing = signing
        self.seed = ""

    def sign(self, text: str) -> str:
        return hmac.digest(self.signing, text.encode(), "sha256").hex()

    def headers(
        self, method: str, path: str, query: str = "", payload: str = EMPTY, extra: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """The headers of a signed request; `path` and `query` are encoded and in canonical order."""
        signed = {
            "host": self.host,
            "x-amz-content-sha256": payload,
            "x-amz-date": self.time,
            **{name.lower(): value for name, value in (extra or {}).items()},
        }
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name].strip()}\n" for name in sorted(signed))
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        self.seed = self.sign(f"{ALGORITHM}\n{self.time}\n{self.scope}\n{digest}")
        signed["Authorization"] = (
            f"{ALGORITHM} Credential={self.key}/{self.scope}, SignedHeaders={names}, Signature={self.seed}"
        )
        return signed

    def request(
        self,
        method: str,
        path: str,
        query: str = "",
        body: bytes = b"",
        payload: str | None = None,
        extra: Mapping[str, str] | None = None,
        unsigned: Mapping[str, str] | None = None,
    ) -> tuple[int, bytes, dict[str, str]]:
        """Send it; (status, body, headers)."""
        payload = payload if payload is not None else hashlib.sha256(body).hexdigest()
        headers = self.headers(method, path, query, payload, extra)
        return self.send(method, path + ("?" + query if query else ""), {**headers, **(unsigned or {})}, body)

    def send(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                connection.putheader(name, value)
            if "content-length" not in {name.lower() for name in headers}:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders()
            if body:
                connection.send(body)
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def chunks(self, pieces: list[bytes], trailer: tuple[str, str] | None = None) -> bytes:
        """A body in signed chunks; call `headers` before, whose signature is the seed."""
        previous = self.seed
        out = bytearray()
        for piece in [*pieces, b""]:
            digest = hashlib.sha256(piece).hexdigest()
            previous = self.sign(f"{ALGORITHM}-PAYLOAD\n{self.time}\n{self.scope}\n{previous}\n{EMPTY}\n{digest}")
            out += f"{len(piece):x};chunk-signature={previous}\r\n".encode()
            if piece:
                out += piece + b"\r\n"
        if trailer is not None:
            line = f"{trailer[0]}:{trailer[1]}\n"
            digest = hashlib.sha256(line.encode()).hexdigest()
            last = self.sign(f"{ALGORITHM}-TRAILER\n{self.time}\n{self.scope}\n{previous}\n{digest}")
            out += f"{trailer[0]}:{trailer[1]}\r\nx-amz-trailer-signature:{last}\r\n".encode()
        return bytes(out + b"\r\n")


def unsigned_chunks(pieces: list[bytes], trailer: tuple[str, str]) -> bytes:
    """A body in chunks without signatures, with a trailing header."""
    out = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces)
    return out + b"0\r\n" + f"{trailer[0]}:{trailer[1]}\r\n\r\n".encode()


def path_of(bucket: str, key: str = "") -> str:
    """The encoded path of an object."""
    return f"/{bucket}" + (f"/{quote(key, safe='/-_.~')}" if key else "")
