"""One transaction at a time, on SQLite or PostgreSQL, behind the same few verbs.

`Database.write(work)` runs `work(tx)` in a transaction and commits; `Database.read(work)` gives it a consistent snapshot.
Both engines are spoken to through SQLAlchemy Core, without the ORM: loading a row costs a quarter, committing a fraction.

* **SQLite** (`sqlite:///path`): WAL with `synchronous=FULL`; statements run in the event loop's own thread, where a point
  read costs some 20 µs and a hop to another thread would cost five times that. One writer at a time, kept by a lock, so
  that two handlers never wait for each other inside SQLite. A transaction of many statements lets the others of its
  process have a turn after every few (`MOST_IN_A_TURN`), so that a request never waits for a thousand rows of a loop.
* **PostgreSQL** (`postgresql+asyncpg://…`): SERIALIZABLE writers, retried when the server says that two of them met.

What dies in the middle of `work` leaves nothing; what `on_commit` was given runs only after the commit. Reading begins with
the first statement: who has none (GetCallerIdentity) pays for no transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import QueuePool, StaticPool

log = logging.getLogger(__name__)

T = TypeVar("T")
Row = sa.Row[Any]
Params = Mapping[str, Any] | Sequence[Mapping[str, Any]] | None

MOST_IN_A_TURN = 32
"""Statements of a transaction on SQLite between two turns of the event loop; one of many rows counts as several."""
ROWS_A_STATEMENT = 8
"""Rows, read or changed by one statement, that take as long as a statement of their own."""
LONGEST = MOST_IN_A_TURN * ROWS_A_STATEMENT
"""Rows that one execution of many writes; a longer one is divided."""

MOST_TRIES = 12
MOST_COLLISIONS = 3
PREPARED_STATEMENTS = 1000
"""Kept by each connection to PostgreSQL: more than the statements that there are, or they would push each other out."""


class Tx(Protocol):
    """An open transaction. Rows do not leave it: turn them into values before returning."""

    dialect: str

    async def all(self, statement: sa.Executable, params: Params = None) -> Sequence[Row]: ...

    async def first(self, statement: sa.Executable, params: Params = None) -> Row | None: ...

    async def scalar(self, statement: sa.Executable, params: Params = None) -> Any: ...

    async def run(self, statement: sa.Executable, params: Params = None) -> int:
        """Execute a change; returns the number of rows that it touched."""
        ...

    def on_commit(self, action: Callable[[], None]) -> None: ...


class _Base:
    def __init__(self) -> None:
        self.after: list[Callable[[], None]] = []

    def on_commit(self, action: Callable[[], None]) -> None:
        self.after.append(action)


class _InlineTx(_Base):
    """SQLite, in this thread. `connect` gives the connection, the transaction begun on it, when the first statement comes."""

    dialect = "sqlite"

    def __init__(self, connect: Callable[[], Connection]) -> None:
        super().__init__()
        self._connect = connect
        self._opened: Connection | None = None
        self._in_this_turn = 0

    @property
    def _connection(self) -> Connection:
        if self._opened is None:
            self._opened = self._connect()
        return self._opened

    async def all(self, statement: sa.Executable, params: Params = None) -> Sequence[Row]:
        await self._turn()
        rows = self._connection.execute(statement, params).all()
        self._in_this_turn += len(rows) // ROWS_A_STATEMENT
        return rows

    async def first(self, statement: sa.Executable, params: Params = None) -> Row | None:
        await self._turn()
        return self._connection.execute(statement, params).first()

    async def scalar(self, statement: sa.Executable, params: Params = None) -> Any:
        await self._turn()
        return self._connection.execute(statement, params).scalar()

    async def run(self, statement: sa.Executable, params: Params = None) -> int:
        if isinstance(params, Sequence) and len(params) > LONGEST:
            parts = [params[start : start + LONGEST] for start in range(0, len(params), LONGEST)]
            return sum([await self.run(statement, part) for part in parts])
        await self._turn()
        changed = self._connection.execute(statement, params).rowcount
        self._in_this_turn += max(0, changed) // ROWS_A_STATEMENT
        return changed

    async def _turn(self) -> None:
        if self._in_this_turn >= MOST_IN_A_TURN:
            self._in_this_turn = 0
            await asyncio.sleep(0)
        self._in_this_turn += 1


class _AsyncTx(_Base):
    """PostgreSQL. `connect` as in `_InlineTx`."""

    dialect = "postgresql"

    def __init__(self, connect: Callable[[], Awaitable[AsyncConnection]]) -> None:
        super().__init__()
        self._connect = connect
        self._opened: AsyncConnection | None = None

    async def all(self, statement: sa.Executable, params: Params = None) -> Sequence[Row]:
        return (await self._execute(statement, params)).all()

    async def first(self, statement: sa.Executable, params: Params = None) -> Row | None:
        return (await self._execute(statement, params)).first()

    async def scalar(self, statement: sa.Executable, params: Params = None) -> Any:
        return (await self._execute(statement, params)).scalar()

    async def run(self, statement: sa.Executable, params: Params = None) -> int:
        return (await self._execute(statement, params)).rowcount

    async def _execute(self, statement: sa.Executable, params: Params) -> sa.CursorResult[Any]:
        if self._opened is None:
            self._opened = await self._connect()
        return await self._opened.execute(statement, params)


class Database(Protocol):
    """The verbs; `open_database` chooses the engine."""

    async def read(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` on a consistent snapshot that it cannot change."""
        ...

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        """Run `work` in a transaction and commit. `work` may run more than once: it must have no other effect."""
        ...

    async def with_connection(self, work: Callable[[Connection], T]) -> T:
        """Run plain code on a plain connection and commit (migrations)."""
        ...

    async def close(self) -> None: ...


def open_database(url: str) -> Database:
    """`sqlite:///abs/path.sqlite`, `sqlite://` (in memory), or `postgresql+asyncpg://user@host/name`."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _SqliteDatabase(parsed)
    if parsed.get_backend_name() == "postgresql":
        return _PostgresDatabase(parsed)
    raise ValueError(f"no database of the kind {parsed.get_backend_name()!r}: sqlite or postgresql")


class _SqliteDatabase(Database):
    def __init__(self, url: sa.URL) -> None:
        memory = not url.database or url.database == ":memory:"
        self._engine: Engine = sa.create_engine(
            url.set(drivername="sqlite+pysqlite"),
            poolclass=StaticPool if memory else QueuePool,
            connect_args={"check_same_thread": False, "timeout": 10},
            isolation_level="AUTOCOMMIT",
            **({} if memory else {"pool_size": 8, "max_overflow": 64}),
        )
        sa.event.listen(self._engine, "connect", _prepare_sqlite)
        self._memory = memory
        self._writer = asyncio.Lock()

    async def read(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        async with contextlib.AsyncExitStack() as stack:
            if self._memory:
                await stack.enter_async_context(self._writer)

            def connect() -> Connection:
                connection = stack.enter_context(self._engine.connect())
                driver = _driver(connection)
                driver.execute("BEGIN")
                stack.callback(driver.execute, "ROLLBACK")
                return connection

            return await work(_InlineTx(connect))

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        async with self._writer:
            with self._engine.connect() as connection:
                tx, driver = _InlineTx(lambda: connection), _driver(connection)
                driver.execute("BEGIN IMMEDIATE")
                try:
                    result = await work(tx)
                    driver.execute("COMMIT")
                except BaseException:
                    if driver.in_transaction:
                        driver.execute("ROLLBACK")
                    raise
        for action in tx.after:
            action()
        return result

    async def with_connection(self, work: Callable[[Connection], T]) -> T:
        async with self._writer:
            with self._engine.connect() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    result = work(connection)
                    connection.exec_driver_sql("COMMIT")
                except BaseException:
                    connection.exec_driver_sql("ROLLBACK")
                    raise
                return result

    async def close(self) -> None:
        self._engine.dispose()


def _driver(connection: Connection) -> sqlite3.Connection:
    """What is beneath SQLAlchemy: there BEGIN and COMMIT cost a tenth, and every request has both."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, sqlite3.Connection)
    return driver


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "case_sensitive_like=ON",
        "temp_store=MEMORY",
        "cache_size=-65536",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


class _PostgresDatabase(Database):
    def __init__(self, url: sa.URL) -> None:
        self._engine: AsyncEngine = create_async_engine(
            url.set(drivername="postgresql+asyncpg"),
            pool_size=16,
            max_overflow=16,
            pool_pre_ping=True,
            connect_args={"prepared_statement_cache_size": PREPARED_STATEMENTS},
        )

    async def read(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        async with contextlib.AsyncExitStack() as stack:
            return await work(_AsyncTx(lambda: self._begin(stack, "REPEATABLE READ", read_only=True)))

    async def write(self, work: Callable[[Tx], Awaitable[T]]) -> T:
        for attempt in range(MOST_TRIES):
            try:
                async with contextlib.AsyncExitStack() as stack:
                    tx = _AsyncTx(lambda stack=stack: self._begin(stack, "SERIALIZABLE", read_only=False))  # type: ignore[misc]
                    result = await work(tx)
            except sa.exc.DBAPIError as error:
                if attempt >= _tries(error) - 1:
                    raise
                await asyncio.sleep(random.uniform(0.0, 0.002 * 2.0**attempt))  # noqa: S311
                continue
            for action in tx.after:
                action()
            return result
        raise AssertionError("unreachable: the last try returns or raises")

    async def _begin(self, stack: contextlib.AsyncExitStack, isolation: str, *, read_only: bool) -> AsyncConnection:
        """A connection with a transaction begun, which `stack` commits, or rolls back when it unwinds an exception."""
        connection = await stack.enter_async_context(self._engine.connect())
        await connection.execution_options(isolation_level=isolation, postgresql_readonly=read_only)
        await stack.enter_async_context(connection.begin())
        return connection

    async def with_connection(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as connection:
            return await connection.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()


def _tries(error: sa.exc.DBAPIError) -> int:
    """How often a transaction that failed so is worth trying: 40001 serialization_failure, 40P01 deadlock_detected.

    23505 unique_violation and 23503 foreign_key_violation hide a serialization failure when the other row came or went after
    this transaction had looked for it; begun anew it sees what is, and answers what is right. Otherwise they are a defect.
    """
    state = getattr(error.orig, "sqlstate", None)
    if state in {"40001", "40P01"}:
        return MOST_TRIES
    return MOST_COLLISIONS if state in {"23505", "23503"} else 1
