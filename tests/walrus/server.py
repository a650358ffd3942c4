"""An object store for tests: in a thread of this process (fast), or as a process of its own (to be killed)."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

import boto3
from botocore.config import Config as BotoConfig
from botocore.exceptions import ClientError

from eucapy.clock import ManualClock, SystemClock
from eucapy.run import spawn
from eucapy.walrus.app import App
from eucapy.walrus.config import Config
from tests.harness.processes import free_ports
from tests.harness.waiting import wait_until

T = TypeVar("T")

KEY, SECRET, ACCOUNT = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "111122223333"
OTHER_KEY, OTHER_SECRET, OTHER_ACCOUNT = (
    "AKIAI44QH8DHBEXAMPLE",
    "je7MtGbClwBF/2Zp9Utk/h3yCo8nvbEXAMPLEKEY",
    "444455556666",
)
KEYS = [f"{KEY},{SECRET},{ACCOUNT}", f"{OTHER_KEY},{OTHER_SECRET},{OTHER_ACCOUNT}"]


def client(port: int, key: str = KEY, secret: str = SECRET, **options: Any) -> Any:
    """A boto3 client without retries."""
    options = {"retries": {"max_attempts": 0}, "s3": {"addressing_style": "path"}, **options}
    return boto3.client(
        "s3",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=BotoConfig(**options),
    )


class Store:
    """`with Store(folder) as store`: the whole object store in a thread."""

    def __init__(self, folder: Path, clock: ManualClock | None = None, **options: Any) -> None:
        self.folder = folder
        config = {"data": str(folder), "port": 0, "pki": "", "clc_url": "", "keys": KEYS, **options}
        self.config = Config(**config)
        self.clock = clock
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="walrus")
        self.app = App(self.config, clock or SystemClock())

    def __enter__(self) -> Store:
        self._thread.start()
        self.run(self.app.start())
        self.port = self.app.port
        self.s3 = client(self.port)
        self.other = client(self.port, OTHER_KEY, OTHER_SECRET)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.s3.close()
        self.other.close()
        self.run(self.app.stop())
        self.run(_end_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` on the store's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def now(self) -> float:
        """The store's time, in seconds since the epoch."""
        assert self.clock is not None
        return self.clock.time()

    def advance(self, seconds: float) -> None:
        """Later: for the store, and for clients that sign by its clock (the fixture `still`)."""
        assert self.clock is not None
        self.clock.advance(seconds)

    def work(self, worker: str) -> Any:
        """One pass of a worker; what it did."""
        return self.run(self.app.workers[worker].run_once())

    def blobs(self) -> set[str]:
        """Ids of the blobs on disk, once those that are dead have been removed."""
        self.settle()
        return {path.name for path in (self.folder / "blobs").glob("??/*")}

    def settle(self) -> None:
        """Let the collector remove what is dead."""
        assert self.app.walrus is not None
        self.run(self.app.walrus.collector.settle())

    def raw(self, data: bytes, limit_s: float = 10.0) -> bytes:
        """Send bytes as they are; all that comes back until the server closes or has answered."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=limit_s) as connection:
            connection.sendall(data)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            body = answer.read()
            return b"%d " % answer.status + body


async def _end_tasks() -> None:
    """Connections that linger for a client that has gone are cut short."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Process:
    """The object store as a process, over a folder that outlives it. `options` go into its configuration file."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self._folder = folder
        self.port = free_ports(1)[0]
        self._pid: int | None = None
        config = {
            "data": str(folder / "data"),
            "port": self.port,
            "pki": "",
            "clc_url": "",
            "keys": KEYS[:1],
            **options,
        }
        lines = [f"{name} = {json.dumps(value)}" for name, value in config.items()]
        (folder / "walrus.toml").write_text("\n".join(lines) + "\n")
        self._socket = folder / "nursery"
        with (folder / "log").open("ab") as log:
            self._nursery = spawn([sys.executable, "-m", "tests.walrus.nursery", str(self._socket)], output=log)
        wait_until(self._socket.exists, every_s=0.05)

    def start(self) -> None:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            wait_until(lambda: connection.connect_ex(str(self._socket)) == 0, every_s=0.05)
            with connection.makefile("rw") as talk:
                talk.write(
                    json.dumps([["--config", str(self._folder / "walrus.toml")], str(self._folder / "log")]) + "\n"
                )
                talk.flush()
                self._pid = int(talk.readline())
        wait_until(self._answers, every_s=0.02)

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; returns when it has ended."""
        self._signal(signal.SIGTERM)

    def close(self) -> None:
        if self._pid is not None:
            self.kill()
        self._nursery.kill()
        self._nursery.wait(30)

    def _signal(self, number: int) -> None:
        assert self._pid is not None
        os.kill(self._pid, number)
        wait_until(self._is_gone, every_s=0.01)
        self._pid = None

    def _is_gone(self) -> bool:
        assert self._pid is not None
        try:
            os.kill(self._pid, 0)
        except ProcessLookupError:
            return True
        return False

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False


def code(error: ClientError) -> tuple[str, int]:
    """(code, status) of what a client raised."""
    return error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
