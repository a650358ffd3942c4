"""A whole cloud for a test: the devcloud in a thread of its own, real boto3 in front of it, time in the test's hands.

    def test_runs(cloud):
        ec2 = cloud.client("ec2")
        ...
        cloud.settle()                 # every loop to rest
        cloud.advance(3600)            # an hour later

Nothing moves between calls unless the test says so.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar
from unittest import mock

import boto3
from botocore.client import ClientCreator
from botocore.config import Config as BotoConfig
from eucapy_services.devcloud.cloud import DevCloud, Node

from tests.harness import schemas

T = TypeVar("T")


_client_class = ClientCreator._create_client_class
_client_classes: dict[str, type] = {}


def _kept_class(creator: ClientCreator, service: str, model: Any) -> type:
    """botocore makes the class of a service anew for every client, which takes longer than most tests."""
    if service not in _client_classes:
        _client_classes[service] = _client_class(creator, service, model)
    return _client_classes[service]


class ShiftedClock:
    """The real time, moved forward as far as the test wants."""

    def __init__(self) -> None:
        self.shift_s = 0.0

    def time(self) -> float:
        return time.time() + self.shift_s

    def monotonic(self) -> float:
        return time.monotonic() + self.shift_s


class Cloud:
    """`with Cloud(folder) as cloud`."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = ShiftedClock()
        self._folder = folder
        self._options = {"stepped": True, "clock": self.clock, **options}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="cloud")
        self.dev: DevCloud
        self.accounts: dict[str, dict[str, str]] = {}

    def __enter__(self) -> Cloud:
        schemas.lay(self._folder, (schemas.WALRUS,) if self._options.get("database") else (schemas.CLC, schemas.WALRUS))
        self._thread.start()
        try:
            self.boot()
            self.account("eucalyptus")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *failure: object) -> None:
        try:
            if hasattr(self, "dev"):
                self.run(self.dev.__aexit__(None, None, None))
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    def boot(self) -> None:
        """Start the cloud's processes over what is in its folder."""

        async def make() -> DevCloud:
            return await DevCloud(self._folder, **self._options).__aenter__()

        self.dev = self.run(make())
        self.endpoint = self.dev.endpoint

    def reboot(self) -> None:
        """All processes end and start again; databases, ledgers and fake hardware are as they were."""
        self.run(self.dev.__aexit__(None, None, None))
        self.boot()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something inside the cloud's own event loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=120)

    def settle(self) -> int:
        """Every loop to rest."""
        return self.run(self.dev.settle())

    def advance(self, seconds: float) -> None:
        """Later, for every part of the cloud; then settle."""
        self.clock.shift_s += seconds
        self.settle()

    def account(self, name: str) -> dict[str, str]:
        """An account with its admin's keys, made at the first call."""
        if name not in self.accounts:
            operations = self.dev.clc.operations
            self.accounts[name] = self.run(self.dev.database.write(lambda tx: operations.create_account(tx, name)))
        return self.accounts[name]

    def user(self, name: str, policy: str = "none", account: str = "eucalyptus") -> dict[str, str]:
        """A user's keys."""
        operations = self.dev.clc.operations
        return self.run(self.dev.database.write(lambda tx: operations.create_user(tx, account, name, policy)))

    def client(self, service: str, account: str = "eucalyptus", keys: dict[str, str] | None = None) -> Any:
        """A boto3 client of an account's admin, or of whoever the keys belong to."""
        keys = keys or self.account(account)
        with mock.patch.object(ClientCreator, "_create_client_class", _kept_class):
            return boto3.client(
                service,
                endpoint_url=self.endpoint,
                region_name=self.dev.config.region,
                aws_access_key_id=keys["access_key_id"],
                aws_secret_access_key=keys["secret_access_key"],
                config=BotoConfig(retries={"total_max_attempts": 1}, parameter_validation=False),
            )

    def node(self, name: str) -> Node:
        return self.dev.node(name)
