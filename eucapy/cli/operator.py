"""The line to the cloud controller's operator port: HTTPS with the operator's certificate, JSON both ways.

Errors of the other side become `Refused` with its own words; a cloud that does not answer is `Unreachable`, which says
how to find out why.
"""

from __future__ import annotations

import http.client
import json
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from eucapy import pki
from eucapy.cli.installation import CliError, Installation


class Unreachable(CliError):
    """Nobody answers at the operator port."""


class Refused(CliError):
    """The cloud controller answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Operator:
    """Calls of the operator port. Blocking, a connection a call: this is a command line's client."""

    def __init__(self, url: str, tls: ssl.SSLContext | None, timeout_s: float = 30.0) -> None:
        self._address = urlsplit(url)
        self._tls = tls
        self._timeout_s = timeout_s

    @classmethod
    def of(cls, installation: Installation, timeout_s: float = 30.0) -> Operator:
        """The operator port of the cloud of this machine. Raises CliError."""
        url = installation.operator_url
        return cls(url, client_tls(installation.folder("pki")), timeout_s)

    def get(self, path: str) -> Any:
        return self._call("GET", path, None)

    def post(self, path: str, body: dict[str, Any]) -> Any:
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: dict[str, Any] | None) -> Any:
        host, port = self._address.hostname or "127.0.0.1", self._address.port
        connection = (
            http.client.HTTPConnection(host, port, timeout=self._timeout_s)
            if self._tls is None
            else http.client.HTTPSConnection(host, port, timeout=self._timeout_s, context=self._tls)
        )
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(
                f"the cloud controller does not answer at {self._address.netloc} ({error}): "
                "is the cloud running? (./faststart status)"
            ) from error
        finally:
            connection.close()
        if answer.status != 200:
            raise Refused(answer.status, _reason(content) or f"HTTP {answer.status}")
        try:
            return json.loads(content)
        except ValueError as error:
            raise Unreachable(f"{method} {path}: the answer is not JSON") from error


def client_tls(folder: Path) -> ssl.SSLContext:
    """TLS with the operator's certificate. Raises CliError."""
    try:
        return pki.client_context(folder, "admin")
    except FileNotFoundError as error:
        raise CliError(f"{folder} holds no operator's certificate (eucapy pki issue admin)") from error
    except PermissionError as error:
        raise CliError(f"the operator's key in {folder} can be read by root only: use sudo") from error


def _reason(content: bytes) -> str:
    """What an error answer says: the message of a JSON error, or the plain text."""
    text = content.decode(errors="replace").strip()
    try:
        parsed = json.loads(text)
    except ValueError:
        return text
    if isinstance(parsed, dict):
        for name in ("message", "error"):
            if isinstance(parsed.get(name), str):
                return str(parsed[name])
    return text
