"""The object store's way to its database: the verbs of `eucapy/database.py`, with SQLite made fast enough for objects.

A store function takes a transaction and executes *constant* statements: SQLAlchemy Core expressions built once, at import.
On PostgreSQL they go the ordinary way. On SQLite a statement is compiled once to text and then handed straight to sqlite3,
which makes a point read 8 µs instead of 60, and writers share their commits:

    handlers ──write(op)──► queue ──► [BEGIN IMMEDIATE; op; op; op] ──► COMMIT in a thread ──► answers
                              ▲       on the event loop, ~10 µs a statement    one fsync for all
                              └──── what arrives while the commit runs makes the next batch ──┘

So an answer is given only after the fsync of its own batch, an operation that fails takes only itself back, and the loop
never waits for the disk. Reads see the last commit; those of one turn of the event loop share a snapshot, for to begin and to
end one costs more than a point read. Work may await nothing but its transaction: that is checked. Statements
that are built per call would fill the cache of compiled ones: do not.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine import Connection

from eucapy.database import Database, Params, Row, open_database

log = logging.getLogger(__name__)

T = TypeVar("T")

LARGEST_BATCH = 256
PAGE_BYTES = 8192
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=OFF",
    "temp_store=MEMORY",
    "wal_autocheckpoint=2000",
    "journal_size_limit=67108864",
)
_DIALECT = SQLiteDialect_pysqlite(paramstyle="qmark")
_Compiled = tuple[str, Callable[[Any], Sequence[Any]]]


def open_store(url: str) -> Database:
    """`sqlite:///absolute/path.sqlite` or `postgresql+asyncpg://user@host/name`."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite" and parsed.database:
        return GroupedSqlite(Path(parsed.database))
    return open_database(url)


class StoreFull(Exception):
    """The disk that holds the metadata is full; nothing of the batch was kept."""


class _RawTx:
    """Constant Core statements on a sqlite3 connection."""

    dialect = "sqlite"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._compiled: dict[sa.Executable, _Compiled] = {}
        self.after: list[Callable[[], None]] = []

    async def all(self, statement: sa.Executable, params: Params = None) -> Sequence[Row]:
        return self._execute(statement, params).fetchall()

    async def first(self, statement: sa.Executable, params: Params = None) -> Row | None:
        cursor = self._execute(statement, params)
        row: Row | None = cursor.fetchone()
        cursor.close()
        return row

    async def scalar(self, statement: sa.Executable, params: Params = None) -> Any:
        row = await self.first(statement, params)
        return None if row is None else row[0]

    async def run(self, statement: sa.Executable, params: Params = None) -> int:
        return self._execute(statement, params).rowcount

    def on_commit(self, action: Callable[[], None]) -> None:
        self.after.append(action)

    def _execute(self, statement: sa.Executable, params: Params) -> sqlite3.Cursor:
        sql, arguments = self._compiled.get(statement) or self._compile(statement)
        if isinstance(params, list):
            return self._connection.executemany(sql, [arguments(each) for each in params])
        return self._connection.execute(sql, arguments(params or {}))

    def _compile(self, statement: sa.Executable) -> _Compiled:
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        names: list[str] = compiled.positiontup or []
        constants = {name: value for name, value in compiled.params.items() if value is not None}
        entry = (str(compiled), _arguments(names, constants))
        self._compiled[statement] = entry
        return entry


def _arguments(names: list[str], constants: dict[str, Any]) -> Callable[[Any], Sequence[Any]]:
    if not names:
        return lambda params: ()
    if constants:
        return lambda params: [params[name] if name in params else constants[name] for name in names]
    if len(names) == 1:
        name = names[0]
        return lambda params: (params[name],)
    return itemgetter(*names)


class _Waiting:
    """An operation in the queue and what came of it."""

    __slots__ = ("after", "error", "future", "operation", "result")

    def __init__(self, operation: Callable[[_RawTx], Awaitable[Any]], future: asyncio.Future[Any]) -> None:
        self.operation = operation
        self.future = future
        self.result: Any = None
        self.error: BaseException | None = None
        self.after: list[Callable[[], None]] = []


class GroupedSqlite(Database):
    """One file, one connection that reads, one that writes in batches. Belongs to one event loop."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._write_connection = _connect(path)
        self._read_connection = _connect(path)
        self._writer = _RawTx(self._write_connection)
        self._reader = _RawTx(self._read_connection)
        self._queue: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None
        self._committer = ThreadPoolExecutor(1, thread_name_prefix="commit")
        self._closed = False
        self._is_reading = False

    async def read(self, work: Callable[[Any], Awaitable[T]]) -> T:
        if not self._is_reading:
            # Whoever is told of a later commit asks in a later turn of the loop: by then this snapshot is let go.
            loop = asyncio.get_running_loop()
            self._read_connection.execute("BEGIN")
            self._is_reading = True
            loop.call_soon(self._end_reading)
        try:
            return _drive(work(self._reader))
        except BaseException:
            self._end_reading()
            raise

    def _end_reading(self) -> None:
        """Let go of the snapshot, so that the next read sees what was committed since."""
        if self._is_reading:
            self._is_reading = False
            self._read_connection.execute("ROLLBACK")

    async def write(self, work: Callable[[Any], Awaitable[T]]) -> T:
        """Returns after the commit. The commit goes on when the caller is cancelled: nobody knows its outcome then."""
        if self._closed:
            raise RuntimeError("the store is closed")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(work, loop.create_future())
        self._queue.append(waiting)
        if self._task is None:
            self._task = loop.create_task(self._run())
        result: T = await waiting.future
        return result

    async def with_connection(self, work: Callable[[Connection], T]) -> T:
        engine = sa.create_engine(f"sqlite:///{self._path}", poolclass=sa.pool.NullPool)
        try:
            with engine.begin() as connection:
                return work(connection)
        finally:
            engine.dispose()

    async def close(self) -> None:
        self._closed = True
        if self._task is not None:
            await self._task
        self._committer.shutdown()
        self._end_reading()
        self._read_connection.close()
        self._write_connection.close()

    async def _run(self) -> None:
        try:
            while self._queue:
                batch, self._queue = self._queue[:LARGEST_BATCH], self._queue[LARGEST_BATCH:]
                await self._commit(batch)
        finally:
            self._task = None

    async def _commit(self, batch: list[_Waiting]) -> None:
        connection = self._write_connection
        try:
            self._apply(batch)
            await asyncio.get_running_loop().run_in_executor(self._committer, connection.execute, "COMMIT")
        except Exception as error:
            log.exception("a batch of %d writes was not committed", len(batch))
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            reason = StoreFull(str(error)) if _is_full(error) else error
            for waiting in batch:
                waiting.error = waiting.error or reason
        self._end_reading()
        for waiting in batch:
            _answer(waiting)

    def _apply(self, batch: list[_Waiting]) -> None:
        """Run what has not failed. An operation that fails before it has written anything, as nearly all do that fail, is
        simply left out; after one that had written, the batch begins again without it."""
        connection = self._write_connection
        connection.execute("BEGIN IMMEDIATE")
        for waiting in batch:
            if waiting.error is not None:
                continue
            waiting.after.clear()
            self._writer.after = waiting.after
            written = connection.total_changes
            try:
                waiting.result = _drive(waiting.operation(self._writer))
            except sqlite3.OperationalError:
                raise  # the disk or the database itself: it concerns the whole batch
            except Exception as error:
                waiting.error = error
                if connection.total_changes != written:
                    connection.execute("ROLLBACK")
                    self._apply(batch)
                    return


def _drive(work: Awaitable[T]) -> T:
    """Run `work` to its end without a pause, so that nothing else can come between its statements."""
    running: Generator[Any, None, T] = work.__await__()
    try:
        next(running)
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        running.close()
    raise RuntimeError("work on the store waited for something that is not the store")


def _answer(waiting: _Waiting) -> None:
    if waiting.error is None:
        for action in waiting.after:
            action()
    if waiting.future.cancelled():
        return
    if waiting.error is not None:
        waiting.future.set_exception(waiting.error)
    else:
        waiting.future.set_result(waiting.result)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False, cached_statements=512)
    connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
    for pragma in PRAGMAS:
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("PRAGMA cache_size=-24576")
    return connection


def _is_full(error: Exception) -> bool:
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode == sqlite3.SQLITE_FULL
