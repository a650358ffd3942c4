"""A PostgreSQL server of the tests' own: a fresh cluster in a folder, reached by its unix socket alone.

    with PostgresServer() as server:
        url = server.create_database()                 # postgresql+asyncpg://…, empty, one for each test
        url = server.create_database(server.schema)    # … with the cloud controller's tables

Durability is switched off: the server lives as long as the tests, and ends with them even when they are killed. As root it
runs as the user `postgres`, which the Debian package makes (PostgreSQL refuses to run as root).
"""

from __future__ import annotations

import functools
import itertools
import os
import pwd
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from eucapy.run import Child, RunError, run_now, spawn
from tests.harness.schemas import migrate
from tests.harness.waiting import wait_until

USER = "postgres"

NewDatabase = Callable[[], AbstractContextManager[str]]
"""What the fixture `new_database` is."""


def programs() -> Path | None:
    """The folder of the newest installed server's programs; None when there is none, or no user to run it as."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found or (os.geteuid() == 0 and not _has_user()):
        return None
    return found[-1].parent


def _has_user() -> bool:
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return False
    return True


def _name(url: str) -> str:
    return url.partition("?")[0].rpartition("/")[2]


class PostgresServer:
    """The server; `with` it."""

    def __init__(self) -> None:
        bin_folder = programs()
        assert bin_folder is not None, "no PostgreSQL here: ask programs() first"
        self._bin = bin_folder
        # Not below pytest's folders: those are closed to the user that the server runs as.
        self._folder = Path(tempfile.mkdtemp(prefix="eucapy-postgres-"))
        self._names = itertools.count(1)
        self._child: Child | None = None

    def __enter__(self) -> PostgresServer:
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop()

    def create_database(self, template: str = "template1") -> str:
        """A new database, empty or a copy of one that nobody is connected to; its URL."""
        name = f"test{next(self._names)}"
        run_now(*self._psql("postgres", f"CREATE DATABASE {name} TEMPLATE {template}"))
        return f"postgresql+asyncpg://{USER}@/{name}?host={self._folder}"

    @functools.cached_property
    def schema(self) -> str:
        """The name of a database that holds the cloud controller's schema and no rows, to be copied."""
        url = self.create_database()
        migrate(url)
        return _name(url)

    def drop_database(self, url: str) -> None:
        """Remove a database, connected to or not."""
        run_now(*self._psql("postgres", f"DROP DATABASE {_name(url)} WITH (FORCE)"))

    def _start(self) -> None:
        if os.geteuid() == 0:
            shutil.chown(self._folder, USER, USER)
        data = str(self._folder / "data")
        run_now(*self._as_user("initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"))
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "200",
            "shared_buffers": "32MB",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._folder / "log").open("wb") as output:
            self._child = spawn(self._as_user("postgres", "-D", data, *options), output=output)
        wait_until(self._answers, limit_s=60.0, every_s=0.05)

    def _stop(self) -> None:
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)  # PostgreSQL's "fast shutdown"
            self._child.wait(30)
            self._child = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._child is not None
        if self._child.poll() is not None:
            raise RunError(["postgres"], self._child.returncode, (self._folder / "log").read_text(errors="replace"))
        return run_now(*self._psql("postgres", "SELECT 1"), check=False).status == 0

    def _psql(self, database: str, statement: str) -> list[str]:
        return [
            str(self._bin / "psql"),
            *("-h", str(self._folder), "-U", USER, "-d", database, "-X", "-q", "-v", "ON_ERROR_STOP=1"),
            *("-c", statement),
        ]

    def _as_user(self, program: str, *arguments: str) -> list[str]:
        """As `postgres` where we are root, and never longer than this process: a test run may be killed."""
        user = [f"--reuid={USER}", f"--regid={USER}", "--init-groups"] if os.geteuid() == 0 else []
        return ["setpriv", *user, "--pdeathsig=INT", "--", str(self._bin / program), *arguments]
