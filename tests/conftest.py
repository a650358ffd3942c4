"""Fixtures that every area uses, and what decides which tests run here.

`--engine postgresql` runs every test that uses a database on PostgreSQL instead of SQLite, on a server that the harness
starts. Tests marked `host` or `guest` are skipped without root, by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import postgres
from tests.harness.cloud import Cloud


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", choices=("sqlite", "postgresql"), default="sqlite", help="database of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.geteuid() != 0:
        for item in items:
            if item.get_closest_marker("host") or item.get_closest_marker("guest"):
                item.add_marker(pytest.mark.skip(reason="needs root"))
    if postgres.programs() is None:
        for item in items:
            if item.get_closest_marker("postgres"):
                item.add_marker(pytest.mark.skip(reason="needs the package postgresql"))


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[postgres.PostgresServer]:
    """A PostgreSQL server for this run."""
    if postgres.programs() is None:
        pytest.fail("no PostgreSQL is installed: apt-get install postgresql")
    with postgres.PostgresServer() as server:
        yield server


@pytest.fixture
def database_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """The database of this test: a new one on PostgreSQL with `--engine postgresql`, else "" (SQLite in a folder)."""
    if request.config.getoption("--engine") == "sqlite":
        yield ""
        return
    server: postgres.PostgresServer = request.getfixturevalue("postgres_server")
    url = server.create_database()
    yield url
    server.drop_database(url)


@pytest.fixture
def cloud(tmp_path: Path, database_url: str) -> Iterator[Cloud]:
    """A whole cloud over fake drivers that moves only when told to (`cloud.settle()`)."""
    with Cloud(tmp_path / "cloud", database=database_url) as running:
        yield running
