"""Databases with their schema already laid, so that a test's cloud does not run every migration anew.

A schema is made once a process by the store's own migrations, and copied: `lay` puts SQLite files where a cloud will look
for them, `PostgresServer.create_database(template)` copies within the server. That migrations run is tested by tests of
their own (`tests/clc/test_migrations.py`), and by every test of whole processes, which begin with empty databases.
"""

from __future__ import annotations

import asyncio
import functools
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from eucapy.clc.store import migrating as clc
from eucapy.database import Database, open_database
from eucapy.walrus.store import migrating as walrus
from eucapy.walrus.store.engine import open_store


@dataclass(frozen=True)
class Schema:
    """A store's: the file below the devcloud's folder, and the store's own ways to open and to migrate it."""

    place: str
    open: Callable[[str], Database]
    upgrade: Callable[[Database], Awaitable[None]]


CLC = Schema("clc/eucapy.sqlite", open_database, clc.upgrade)
WALRUS = Schema("walrus/walrus.sqlite", open_store, walrus.upgrade)


def migrate(url: str, schema: Schema = CLC) -> None:
    """Bring the database at `url` to this version's schema."""

    async def work() -> None:
        database = schema.open(url)
        try:
            await schema.upgrade(database)
        finally:
            await database.close()

    # A thread of its own: who asks may be within an event loop already.
    failure: list[BaseException] = []

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failure.append(error)

    thread = threading.Thread(target=run, name="migrate")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]


def lay(folder: Path, schemas: Iterable[Schema]) -> None:
    """SQLite files in the data folder of a devcloud, where there are none yet."""
    for schema in schemas:
        path = folder / schema.place
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(_file(schema))


@functools.cache
def _file(schema: Schema) -> bytes:
    with tempfile.TemporaryDirectory(prefix="eucapy-schema-") as folder:
        path = Path(folder) / "schema.sqlite"
        migrate(f"sqlite:///{path}", schema)
        return path.read_bytes()
