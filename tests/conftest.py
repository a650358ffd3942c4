"""Fixtures that every area uses, and the option `--engine`: which database the clouds of the tests keep their state in."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.cloud import Cloud
    from tests.harness.postgres import NewDatabase, PostgresServer


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        choices=("sqlite", "postgresql"),
        default="sqlite",
        help="the database that clouds in tests keep their state in (tests of both engines run on both anyway)",
    )
    parser.addoption(
        "--matrix-examples",
        type=int,
        default=0,
        help="stories that tests/network/test_matrix*.py tell, each time others; 0: a few, every time the same",
    )


@pytest.fixture(autouse=True)
def _logs_as_before() -> Iterator[None]:
    """A command that runs within a test sends the process's logs to that test's stderr, which is closed after it."""
    root, served = logging.getLogger(), logging.getLogger("aiohttp.server")
    before = (root.handlers[:], root.level, served.filters[:])
    yield
    root.handlers[:], served.filters[:] = before[0], before[2]
    root.setLevel(before[1])


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One PostgreSQL server for all tests."""
    from tests.harness.postgres import PostgresServer, programs

    if programs() is None:
        pytest.skip("no PostgreSQL server is installed")
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    """`with new_database() as url`: a database of the chosen engine with the cloud controller's tables and nothing in them;
    "" where that is a file of the cloud's own."""
    return _databases(request, lambda server: server.schema)


@pytest.fixture(scope="session")
def empty_database(request: pytest.FixtureRequest) -> NewDatabase:
    """`with empty_database() as url`: a database of the chosen engine, as an operator makes it; "" as above."""
    return _databases(request, lambda server: "template1")


def _databases(request: pytest.FixtureRequest, template: Callable[[PostgresServer], str]) -> NewDatabase:
    if request.config.getoption("--engine") == "sqlite":

        @contextmanager
        def own_file() -> Iterator[str]:
            yield ""

        return own_file

    server: PostgresServer = request.getfixturevalue("postgres")

    @contextmanager
    def on_server() -> Iterator[str]:
        url = server.create_database(template(server))
        try:
            yield url
        finally:
            server.drop_database(url)

    return on_server


@pytest.fixture
def cloud(tmp_path: Path, new_database: NewDatabase) -> Iterator[Cloud]:
    """A whole cloud over fake drivers that moves only when told to (`cloud.settle()`)."""
    from tests.harness.cloud import Cloud

    with new_database() as url, Cloud(tmp_path / "cloud", database=url) as running:
        yield running
