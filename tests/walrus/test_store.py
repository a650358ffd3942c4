"""The object store's metadata: versions, pages, grouped commits, migrations."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eucapy.database import Database
from eucapy.walrus.store import buckets, content, engine, events, listings, migrating, objects, schema
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import New, Removed, Version
from tests.harness.postgres import PostgresServer

Write = Callable[..., Awaitable[Any]]


@pytest.fixture
async def sqlite(tmp_path: Path) -> AsyncIterator[Database]:
    """The embedded database: what only its engine promises."""
    database = engine.open_store(f"sqlite:///{tmp_path}/store.sqlite")
    await migrating.upgrade(database)
    yield database
    await database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
async def db(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/store.sqlite"
    if request.param == "postgres":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database()
    database = engine.open_store(url)
    await migrating.upgrade(database)
    yield database
    await database.close()


async def make_bucket(db: Database, versioning: str = "") -> Bucket:
    async def work(tx: Any) -> Bucket:
        await buckets.insert(tx, "b", "owner", "123456789012", "us-east-1", 1, "BucketOwnerEnforced")
        bucket = await buckets.by_name(tx, "b")
        assert bucket is not None
        await buckets.set_versioning(tx, bucket, versioning)
        again = await buckets.by_name(tx, "b")
        assert again is not None
        return again

    return await db.write(work)


def small(key: bytes, data: bytes = b"x") -> New:
    return New(key, 1, len(data), "etag-" + data.decode(), "{}", content.INLINE, data=data)


async def put(db: Database, bucket: Bucket, key: bytes, data: bytes = b"x") -> Version:
    return await db.write(lambda tx: objects.put(tx, bucket, small(key, data)))


async def current(db: Database, bucket: Bucket, key: bytes) -> Version | None:
    return await db.read(lambda tx: objects.current(tx, bucket.id, key))


async def inline_rows(db: Database) -> int:
    statement = sa.select(sa.func.count()).select_from(schema.inline_data)
    return int(await db.read(lambda tx: tx.scalar(statement)))


async def test_an_overwrite_replaces_and_gives_up_the_old_bytes(db: Database) -> None:
    bucket = await make_bucket(db)
    await put(db, bucket, b"k", b"one")
    await put(db, bucket, b"k", b"two")
    found = await current(db, bucket, b"k")
    assert found is not None and found.version_id == "null" and found.content is not None
    assert await db.read(lambda tx: content.inline(tx, found.content or "")) == b"two"
    assert await inline_rows(db) == 1


async def test_a_replaced_blob_is_left_to_the_collector(db: Database) -> None:
    bucket = await make_bucket(db)
    new = New(b"k", 1, 9, "e", "{}", content.BLOB, content="a" * 32)
    await db.write(lambda tx: objects.put(tx, bucket, new))
    assert await db.read(lambda tx: content.is_referred(tx, "a" * 32))
    await put(db, bucket, b"k")
    assert await db.read(lambda tx: content.dead_page(tx, 10)) == ["a" * 32]
    assert not await db.read(lambda tx: content.is_referred(tx, "a" * 32))
    await db.write(lambda tx: content.forget_dead(tx, ["a" * 32]))
    assert await db.read(lambda tx: content.dead_page(tx, 10)) == []


async def test_versions_stack_up_and_come_back_when_the_newest_goes(db: Database) -> None:
    bucket = await make_bucket(db, "Enabled")
    first, second = await put(db, bucket, b"k", b"1"), await put(db, bucket, b"k", b"2")
    assert first.version_id != second.version_id
    marker = await db.write(lambda tx: objects.remove(tx, bucket, b"k", 2))
    assert marker.marker and await current(db, bucket, b"k") is None
    assert await db.write(lambda tx: objects.remove_version(tx, bucket, b"k", marker.version_id or "")) == Removed(
        marker.version_id, True
    )
    back = await current(db, bucket, b"k")
    assert back is not None and back.version_id == second.version_id
    await db.write(lambda tx: objects.remove_version(tx, bucket, b"k", second.version_id))
    back = await current(db, bucket, b"k")
    assert back is not None and back.version_id == first.version_id
    await db.write(lambda tx: objects.remove_version(tx, bucket, b"k", first.version_id))
    assert not await db.read(lambda tx: buckets.has_versions(tx, bucket))
    assert await inline_rows(db) == 0


async def test_suspended_versioning_keeps_one_null_version(db: Database) -> None:
    bucket = await make_bucket(db, "Enabled")
    kept = await put(db, bucket, b"k", b"old")
    await db.write(lambda tx: buckets.set_versioning(tx, bucket, "Suspended"))
    suspended = await db.read(lambda tx: buckets.by_name(tx, "b"))
    assert suspended is not None
    for data in (b"n1", b"n2"):
        assert (await put(db, suspended, b"k", data)).version_id == "null"
    page = await db.read(lambda tx: listings.history(tx, bucket.id, b"", b"", b"", None, 10))
    assert [row.version_id for row in page.rows] == ["null", kept.version_id]
    removed = await db.write(lambda tx: objects.remove(tx, suspended, b"k", 3))
    assert (removed.version_id, removed.marker) == ("null", True)
    page = await db.read(lambda tx: listings.history(tx, bucket.id, b"", b"", b"", None, 10))
    assert [(row.version_id, row.marker) for row in page.rows] == [("null", 1), (kept.version_id, 0)]


async def test_a_version_id_that_we_never_made_finds_nothing(db: Database) -> None:
    bucket = await make_bucket(db, "Enabled")
    await put(db, bucket, b"k")
    for bad in ("", "x", "é" * 32, "z" * 32, "0" * 32, "v" * 32):
        assert await db.read(lambda tx, bad=bad: objects.by_version(tx, bucket.id, b"k", bad)) is None  # type: ignore[misc]


async def test_one_failing_write_of_a_batch_takes_only_itself_back(db: Database) -> None:
    bucket = await make_bucket(db)

    async def fail(tx: Any) -> None:
        await objects.put(tx, bucket, small(b"bad"))
        raise ValueError("refused")

    async def refuse(tx: Any) -> None:
        raise LookupError("refused before writing")

    results = await asyncio.gather(
        put(db, bucket, b"a"), db.write(fail), db.write(refuse), put(db, bucket, b"c"), return_exceptions=True
    )
    assert isinstance(results[1], ValueError)
    assert isinstance(results[2], LookupError)
    page = await db.read(lambda tx: listings.objects(tx, bucket.id, b"", b"", b"", 10))
    assert [row.key for row in page.rows] == [b"a", b"c"]
    assert await inline_rows(db) == 2


async def test_what_is_acknowledged_is_what_another_connection_sees(sqlite: Database, tmp_path: Path) -> None:
    bucket = await make_bucket(sqlite)
    await asyncio.gather(*(put(sqlite, bucket, b"%d" % n) for n in range(300)))
    other = sqlite3.connect(tmp_path / "store.sqlite")
    assert other.execute("SELECT count(*) FROM versions").fetchone() == (300,)
    other.close()


async def test_work_that_waits_for_something_else_is_refused(sqlite: Database) -> None:
    bucket = await make_bucket(sqlite)

    async def stray(tx: Any) -> None:
        await objects.put(tx, bucket, small(b"k"))
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="not the store"):
        await sqlite.write(stray)
    with pytest.raises(RuntimeError, match="not the store"):
        await sqlite.read(stray)
    assert await current(sqlite, bucket, b"k") is None


async def test_a_cancelled_writer_does_not_take_its_neighbours_along(db: Database) -> None:
    bucket = await make_bucket(db)
    gone = asyncio.create_task(put(db, bucket, b"gone"))
    stays = asyncio.create_task(put(db, bucket, b"stays"))
    await asyncio.sleep(0)
    gone.cancel()
    assert (await stays).key == b"stays"
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_actions_wait_for_the_commit(db: Database) -> None:
    seen: list[str] = []

    async def good(tx: Any) -> None:
        tx.on_commit(lambda: seen.append("good"))

    async def bad(tx: Any) -> None:
        tx.on_commit(lambda: seen.append("bad"))
        raise ValueError

    await asyncio.gather(db.write(good), db.write(bad), return_exceptions=True)
    assert seen == ["good"]


ALPHABET = st.sampled_from(["a", "b", "/", "é", "~", "\U0001f600"])
KEYS = st.sets(st.text(ALPHABET, min_size=1, max_size=5), max_size=40)


def model_page(keys: set[str], prefix: str, delimiter: str) -> list[bytes]:
    """What S3 lists, written the slow way."""
    entries: list[bytes] = []
    for key in sorted(key.encode() for key in keys):
        if not key.startswith(prefix.encode()):
            continue
        cut = key.find(delimiter.encode(), len(prefix.encode())) if delimiter else -1
        entry = key if cut < 0 else key[: cut + len(delimiter.encode())]
        if entry not in entries:
            entries.append(entry)
    return entries


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    keys=KEYS,
    prefix=st.text(ALPHABET, max_size=2),
    delimiter=st.sampled_from(["", "/", "é", "ab"]),
    most=st.integers(1, 7),
)
def test_pages_of_any_size_together_are_the_whole_listing(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], prefix: str, delimiter: str, most: int
) -> None:
    async def scenario() -> list[bytes]:
        database = engine.open_store(f"sqlite:///{tmp_path_factory.mktemp('pages')}/s.sqlite")
        await migrating.upgrade(database)
        try:
            bucket = await make_bucket(database)

            async def fill(tx: Any) -> None:
                for key in keys:
                    await objects.put(tx, bucket, small(key.encode()))

            await database.write(fill)
            entries: list[bytes] = []
            first = b""
            while True:
                page = await database.read(
                    lambda tx, first=first: listings.objects(  # type: ignore[misc]
                        tx, bucket.id, prefix.encode(), delimiter.encode(), first, most
                    )
                )
                got = sorted([row.key for row in page.rows] + page.prefixes)
                assert len(got) <= most
                entries += got
                if page.last is None:
                    return entries
                assert len(got) == most
                last = page.last
                first = listings.after_prefix(last) if isinstance(last, bytes) else listings.after_key(last.key)
        finally:
            await database.close()

    assert asyncio.run(scenario()) == model_page(keys, prefix, delimiter)


async def test_history_pages_continue_inside_a_key(db: Database) -> None:
    bucket = await make_bucket(db, "Enabled")
    for n in range(3):
        for key in (b"a", b"b"):
            await put(db, bucket, key, b"%d" % n)
    await db.write(lambda tx: objects.remove(tx, bucket, b"a", 9))
    whole = await db.read(lambda tx: listings.history(tx, bucket.id, b"", b"", b"", None, 100))
    assert [(row.key, row.marker) for row in whole.rows] == [(b"a", 1)] + [(b"a", 0)] * 3 + [(b"b", 0)] * 3
    stepped: list[Version] = []
    place: listings.Position | None = None
    while True:
        page = await db.read(
            lambda tx, place=place: listings.history(tx, bucket.id, b"", b"", b"", place, 2)  # type: ignore[misc]
        )
        stepped += page.rows
        if page.last is None:
            break
        assert isinstance(page.last, Version)
        place = listings.place_of(page.last)
    assert stepped == whole.rows


async def test_a_deep_listing_does_not_read_what_it_rolls_up(db: Database) -> None:
    bucket = await make_bucket(db)

    async def fill(tx: Any) -> None:
        for folder in range(5):
            for n in range(500):
                await objects.put(tx, bucket, small(b"f%d/%04d" % (folder, n)))

    await db.write(fill)
    read = 0

    async def scenario(tx: Any) -> listings.Page[Version]:
        class Counting:
            dialect = tx.dialect

            async def all(self, statement: Any, params: Any = None) -> Any:
                nonlocal read
                rows = await tx.all(statement, params)
                read += len(rows)
                return rows

        return await listings.objects(Counting(), bucket.id, b"", b"/", b"", 1000)  # type: ignore[arg-type]

    page = await db.read(scenario)
    assert page.prefixes == [b"f%d/" % n for n in range(5)] and page.last is None
    assert read < 100


async def test_migrations_lead_exactly_to_the_schema(db: Database) -> None:
    def compare(connection: sa.Connection) -> list[Any]:
        return list(compare_metadata(MigrationContext.configure(connection), schema.metadata))

    assert await db.with_connection(compare) == []


def test_the_known_head_is_the_newest_migration() -> None:
    folder = Path(migrating.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == migrating.HEAD


async def test_a_schema_from_the_future_is_left_alone(db: Database) -> None:
    def rename(connection: sa.Connection) -> None:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    await db.with_connection(rename)
    with pytest.raises(migrating.NewerSchema):
        await migrating.upgrade(db)


async def test_events_come_in_the_order_in_which_they_were_written_and_go(db: Database) -> None:
    async def work(tx: Any) -> None:
        for arn, body in (("b", "1"), ("a", "2"), ("b", "3")):
            await events.insert(tx, arn, 5, body)

    await db.write(work)
    assert sorted(await db.read(events.destinations)) == ["a", "b"]
    found = await db.read(lambda tx: events.page(tx, "b", 10))
    assert [(event.body, event.created_ms) for event in found] == [("1", 5), ("3", 5)]
    await db.write(lambda tx: events.delete(tx, [found[0].id]))
    assert [event.body for event in await db.read(lambda tx: events.page(tx, "b", 10))] == ["3"]
