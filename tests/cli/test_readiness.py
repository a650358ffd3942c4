"""Bringing up a cloud that has only just begun to answer."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from eucapy.cli.faststart import layout, readiness
from eucapy.cli.installation import CliError, Installation
from eucapy.cli.operator import Operator

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"
COMPONENTS = [{"kind": "cc", "name": "cc-a"}, {"kind": "sc", "name": "sc-a"}]


@contextmanager
def listener(lost: set[int]) -> Iterator[tuple[str, list[bytes]]]:
    """An operator port that ends the connections of these numbers without an answer; its URL, and the bodies answered."""
    heard: list[bytes] = []

    def serve() -> None:
        number = 0
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                request = connection.recv(65536)
                while not request.endswith(b"}"):
                    request += connection.recv(65536)
                if number not in lost:
                    heard.append(request.partition(b"\r\n\r\n")[2])
                    connection.sendall(ANSWER)
                number += 1

    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.getsockname()[1]}", heard
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def installed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    installation = Installation(folder)
    monkeypatch.setattr(Installation, "record", lambda self: None)
    monkeypatch.setattr(layout, "components", lambda record: COMPONENTS)
    return installation


def test_a_connection_that_is_lost_while_components_are_registered_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = installed(tmp_path, monkeypatch)
    with listener(lost={1}) as (url, heard):
        readiness.register_components(Operator(url, None), installation)
    assert [b"cc-a" in heard[0], b"sc-a" in heard[1], len(heard)] == [True, True, 2]


def test_a_cloud_controller_that_stays_away_is_named_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = installed(tmp_path, monkeypatch)
    monkeypatch.setattr(readiness, "ANSWERS_WITHIN_S", 0.0)
    monkeypatch.setattr(readiness.running, "where_logged", lambda *_: "clc.log")
    with listener(lost={0, 1, 2}) as (url, _), pytest.raises(CliError, match=r"did not come up in 0 s: see clc\.log"):
        readiness.register_components(Operator(url, None), installation)
