"""Fixtures of the object store's tests."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from eucapy.clock import ManualClock
from tests.harness.postgres import PostgresServer
from tests.walrus.server import Store, code

_numbers = itertools.count(1)
Refused = Callable[..., Any]


@pytest.fixture(scope="session")
def sqlite_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One object store for all tests that keep to their own buckets."""
    with Store(tmp_path_factory.mktemp("walrus")) as running:
        yield running


@pytest.fixture(scope="session")
def postgres_store(tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer) -> Iterator[Store]:
    """The same, with its metadata in PostgreSQL."""
    with Store(tmp_path_factory.mktemp("walrus"), database=postgres.create_database()) as running:
        yield running


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest) -> Store:
    """An object store on each of the databases."""
    running: Store = request.getfixturevalue(f"{request.param}_store")
    return running


@pytest.fixture
def s3(store: Store) -> Any:
    """boto3, as the first account."""
    return store.s3


@pytest.fixture
def bucket(s3: Any) -> str:
    """A bucket of this test's own."""
    name = f"bucket-{next(_numbers)}"
    s3.create_bucket(Bucket=name)
    return name


@pytest.fixture
def still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A store of the test's own whose time stands still until `advance`; boto3 signs by its clock."""
    clock = ManualClock()
    monkeypatch.setattr(
        "botocore.crt.auth.get_current_datetime", lambda remove_tzinfo=True: datetime.fromtimestamp(clock.time(), UTC)
    )
    with Store(tmp_path, clock=clock) as running:
        yield running


@pytest.fixture
def refused() -> Refused:
    """`with refused("NoSuchKey", 404): …`: the call inside fails with that code and status."""

    @contextmanager
    def expect(expected: str, status: int) -> Iterator[Any]:
        with pytest.raises(ClientError) as caught:
            yield caught
        assert code(caught.value) == (expected, status)

    return expect
