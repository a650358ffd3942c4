"""Transactions: the same promises on both engines, whoever else is writing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from eucapy.database import MOST_COLLISIONS, MOST_IN_A_TURN, ROWS_A_STATEMENT, Database, Tx, open_database
from tests.harness.postgres import PostgresServer

metadata = sa.MetaData()
owners = sa.Table("owners", metadata, sa.Column("name", sa.String(16), primary_key=True))
counters = sa.Table(
    "counters",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("value", sa.Integer, nullable=False),
    sa.Column("owner", sa.String(16), sa.ForeignKey("owners.name")),
)
WRITERS = 8


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/test.sqlite"
    else:
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database()
    opened = open_database(url)
    await opened.with_connection(metadata.create_all)
    yield opened
    await opened.close()


async def put(tx: Tx, name: str, value: int) -> None:
    await tx.run(sa.insert(counters).values(name=name, value=value))


async def value_of(tx: Tx, name: str) -> Any:
    return await tx.scalar(sa.select(counters.c.value).where(counters.c.name == name))


async def test_what_is_committed_is_there_and_then_its_actions_run(database: Database) -> None:
    told: list[str] = []

    async def work(tx: Tx) -> int:
        await put(tx, "one", 1)
        tx.on_commit(lambda: told.append("committed"))
        assert told == []
        return 7

    assert await database.write(work) == 7
    assert told == ["committed"]
    assert await database.read(lambda tx: value_of(tx, "one")) == 1


async def test_work_that_fails_leaves_nothing_and_its_actions_do_not_run(database: Database) -> None:
    told: list[str] = []

    async def work(tx: Tx) -> None:
        await put(tx, "one", 1)
        tx.on_commit(lambda: told.append("committed"))
        raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        await database.write(work)
    assert told == []
    assert await database.read(lambda tx: value_of(tx, "one")) is None


async def test_work_that_is_cancelled_leaves_nothing_and_keeps_nobody(database: Database) -> None:
    begun, never = asyncio.Event(), asyncio.Event()

    async def work(tx: Tx) -> None:
        await put(tx, "one", 1)
        begun.set()
        await never.wait()

    task = asyncio.create_task(database.write(work))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await database.write(lambda tx: put(tx, "one", 2))
    assert await database.read(lambda tx: value_of(tx, "one")) == 2


async def test_a_read_sees_one_moment(database: Database) -> None:
    await database.write(lambda tx: put(tx, "one", 1))

    async def change(tx: Tx) -> None:
        await tx.run(sa.update(counters).values(value=2))

    async def look(tx: Tx) -> tuple[Any, Any]:
        before = await value_of(tx, "one")
        await database.write(change)
        return before, await value_of(tx, "one")

    assert await database.read(look) == (1, 1)
    assert await database.read(lambda tx: value_of(tx, "one")) == 2


async def test_a_read_changes_nothing(database: Database) -> None:
    with contextlib.suppress(sa.exc.DBAPIError):  # PostgreSQL refuses it; SQLite forgets it
        await database.read(lambda tx: put(tx, "one", 1))
    assert await database.read(lambda tx: value_of(tx, "one")) is None


async def test_of_many_who_count_at_once_no_step_is_lost(database: Database) -> None:
    await database.write(lambda tx: put(tx, "steps", 0))

    async def count(tx: Tx) -> None:
        seen = await value_of(tx, "steps")
        await asyncio.sleep(0)
        await tx.run(sa.update(counters).where(counters.c.name == "steps").values(value=seen + 1))

    await asyncio.gather(*(database.write(count) for _ in range(WRITERS)))
    assert await database.read(lambda tx: value_of(tx, "steps")) == WRITERS


async def test_of_many_who_find_a_name_free_one_gets_it_and_the_others_are_told(database: Database) -> None:
    """The look and the insert of all of them overlap; whoever loses begins anew and sees that the name is taken."""
    together = asyncio.Barrier(WRITERS if type(database).__name__ == "_PostgresDatabase" else 1)
    first_looks: set[int] = set()

    async def take(number: int, tx: Tx) -> str:
        if await value_of(tx, "name") is not None:
            return "taken"
        if number not in first_looks:
            first_looks.add(number)
            await together.wait()
        await put(tx, "name", number)
        return "mine"

    answers = await asyncio.gather(*(database.write(lambda tx, n=n: take(n, tx)) for n in range(WRITERS)))  # type: ignore[misc]
    assert sorted(answers) == ["mine"] + ["taken"] * (WRITERS - 1)


async def test_a_collision_that_does_not_go_away_is_a_defect_and_soon_reported(database: Database) -> None:
    await database.write(lambda tx: put(tx, "one", 1))
    tries = 0

    async def blind(tx: Tx) -> None:
        nonlocal tries
        tries += 1
        await put(tx, "one", 2)

    with pytest.raises(sa.exc.IntegrityError):
        await database.write(blind)
    assert tries <= MOST_COLLISIONS


async def test_a_row_cannot_refer_to_one_that_is_not_there(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError):
        await database.write(lambda tx: tx.run(sa.insert(counters).values(name="one", value=1, owner="nobody")))


async def test_who_asks_nothing_holds_no_connection(database: Database) -> None:
    pool: Any = database._engine.pool  # type: ignore[attr-defined]

    async def work(tx: Tx) -> tuple[int, int]:
        before = pool.checkedout()
        await value_of(tx, "one")
        return before, pool.checkedout()

    assert await database.read(work) == (0, 1)
    assert pool.checkedout() == 0


async def test_a_long_transaction_gives_others_a_turn_after_every_few_statements(tmp_path: Path) -> None:
    """SQLite runs in the event loop's own thread: without turns a request would wait for all of it."""
    database = open_database(f"sqlite:///{tmp_path}/test.sqlite")
    await database.with_connection(metadata.create_all)
    turns: list[int] = []
    done = 0

    async def others() -> None:
        while True:
            turns.append(done)
            await asyncio.sleep(0)

    async def work(tx: Tx) -> None:
        nonlocal done
        for number in range(10 * MOST_IN_A_TURN):
            await put(tx, f"{number}", 0)
            await value_of(tx, f"{number}")
            done += 2
        many = [{"name": f"many {number}", "value": number} for number in range(4 * MOST_IN_A_TURN * ROWS_A_STATEMENT)]
        before = len(turns)
        assert await tx.run(sa.insert(counters), many) == len(many)
        assert len(turns) - before >= 3

    task = asyncio.create_task(others())
    await database.write(work)
    task.cancel()
    gaps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert max(gaps) <= MOST_IN_A_TURN + 2
    await database.close()


@pytest.mark.postgres
async def test_a_server_that_was_restarted_is_found_again(postgres: PostgresServer) -> None:
    """Connections that lay idle meanwhile are dead; nobody notices."""
    url = postgres.create_database()
    ours, other = open_database(url), open_database(url)
    await ours.with_connection(metadata.create_all)
    await asyncio.gather(*(ours.read(lambda tx: value_of(tx, "one")) for _ in range(4)))
    ended = await other.with_connection(
        lambda connection: connection.exec_driver_sql(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).scalar_one()
    )
    assert ended >= 1
    await ours.write(lambda tx: put(tx, "one", 1))
    assert await ours.read(lambda tx: value_of(tx, "one")) == 1
    await ours.close()
    await other.close()


@pytest.mark.parametrize("url", ["mysql://somewhere/db", "oracle://x"])
def test_another_engine_is_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match="sqlite or postgresql"):
        open_database(url)
