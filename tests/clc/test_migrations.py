"""The cloud controller's migrations, on both engines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import alembic.command
import alembic.config
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy.engine import Connection

from eucapy.clc.store import accounts, iam_names, migrating, powers, revisions, schema
from eucapy.database import Database, Tx, open_database
from tests.harness.postgres import PostgresServer


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/eucapy.sqlite"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    opened = open_database(url)
    yield opened
    await opened.close()


def description(connection: Connection) -> dict[str, Any]:
    """Everything that a database says of its schema, migrations' own table aside."""
    inspector = sa.inspect(connection)
    tables: dict[str, Any] = {}
    for name in inspector.get_table_names():
        if name != "alembic_version":
            tables[name] = {
                "columns": sorted(
                    (c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(name)
                ),
                "key": inspector.get_pk_constraint(name),
                "unique": sorted(map(repr, inspector.get_unique_constraints(name))),
                "foreign": sorted(map(repr, inspector.get_foreign_keys(name))),
                "indexes": sorted(map(_index, inspector.get_indexes(name))),
            }
    return tables


def _index(found: Any) -> str:
    """Its condition, where it has one, as text."""
    options = {name: str(value) for name, value in found.get("dialect_options", {}).items()}
    return repr({**found, "dialect_options": options})


def triggers(connection: Connection) -> set[str]:
    question = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal",
    }
    return set(connection.exec_driver_sql(question[connection.dialect.name]).scalars())


async def test_they_lead_exactly_to_the_tables_that_the_code_declares(database: Database, tmp_path: Path) -> None:
    await migrating.upgrade(database)

    def difference(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        return list(compare_metadata(context, schema.metadata))

    assert await database.with_connection(difference) == []


async def test_defaults_keys_and_indexes_are_those_of_the_code_too(
    database: Database, url: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Alembic's comparison is blind to some of it: so both ways of making the tables are compared by what comes out."""
    await migrating.upgrade(database)
    if url.startswith("sqlite"):
        other = f"sqlite:///{tmp_path}/declared.sqlite"
    else:
        other = request.getfixturevalue("postgres").create_database()
    declared = open_database(other)
    try:
        await declared.with_connection(schema.metadata.create_all)
        expected = await declared.with_connection(description)
    finally:
        await declared.close()
    assert await database.with_connection(description) == expected


async def test_the_triggers_that_count_revisions_are_there(database: Database) -> None:
    await migrating.upgrade(database)
    found = await database.with_connection(triggers)
    laid = "\n".join(revisions.statements("sqlite" if "sqlite" in repr(type(database)).lower() else "postgresql"))
    assert found and all(name in laid for name in found)
    assert any("instances" in name for name in found)


async def test_doing_it_again_changes_nothing(database: Database) -> None:
    await migrating.upgrade(database)
    before = await database.with_connection(description)
    await migrating.upgrade(database)
    assert await database.with_connection(description) == before


async def test_two_controllers_that_start_at_once_migrate_once(url: str) -> None:
    both = [open_database(url), open_database(url)]
    try:
        if url.startswith("sqlite"):
            # SQLite waits inside the call: one after the other is all that one thread can do.
            for one in both:
                await migrating.upgrade(one)
        else:
            await asyncio.gather(*(migrating.upgrade(one) for one in both))
        assert "instances" in await both[0].with_connection(description)
    finally:
        for one in both:
            await one.close()


async def test_a_schema_from_the_future_is_refused_and_left_alone(database: Database) -> None:
    await migrating.upgrade(database)

    def later(connection: Connection) -> None:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
        connection.exec_driver_sql("ALTER TABLE accounts ADD COLUMN from_the_future INTEGER")

    await database.with_connection(later)
    before = await database.with_connection(description)
    with pytest.raises(migrating.NewerSchema):
        await migrating.upgrade(database)
    assert await database.with_connection(description) == before


async def test_a_migration_that_fails_leaves_the_database_as_it_was(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_dialect: str) -> list[str]:
        return ["CREATE TRIGGER nonsense"]

    with monkeypatch.context() as patch:
        patch.setattr(revisions, "statements", broken)
        with pytest.raises(sa.exc.DBAPIError):
            await migrating.upgrade(database)
    assert await database.with_connection(description) == {}
    await migrating.upgrade(database)
    assert "instances" in await database.with_connection(description)


def test_the_known_head_is_the_newest_migration() -> None:
    folder = Path(migrating.__file__).parent / "migrations"
    assert ScriptDirectory(str(folder)).get_current_head() == migrating.HEAD


async def test_who_might_do_all_is_an_administrator_after_the_migration(database: Database) -> None:
    """Accounts and users from before there were policies, two whose names differ in case alone among them."""
    rows = [("AIDA1", "admin", "all"), ("AIDA2", "Admin", "none"), ("AIDA3", "bob", "none")]

    def before(connection: Connection) -> None:
        config = alembic.config.Config()
        config.set_main_option("script_location", "eucapy.clc.store:migrations")
        config.attributes["connection"] = connection
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(revisions, "statements", lambda _dialect: [])
            alembic.command.upgrade(config, "0008")
        connection.exec_driver_sql("INSERT INTO accounts VALUES ('111122223333', 'acme', 'c', 5.0)")
        for user_id, name, rights in rows:
            connection.exec_driver_sql(
                "INSERT INTO users (id, account, name, rights, created_at) "
                f"VALUES ('{user_id}', '111122223333', '{name}', '{rights}', 7.0)"
            )
        connection.exec_driver_sql(
            "INSERT INTO access_keys (id, account, user_id, sealed_secret, active, created_at) "
            "VALUES ('AKIA', '111122223333', 'AIDA1', '', true, 7.0)"
        )

    await database.with_connection(before)
    await migrating.upgrade(database)

    async def after(tx: Tx) -> None:
        assert {user_id: await powers.administers(tx, user_id) for user_id, _, _ in rows} == {
            "AIDA1": True,
            "AIDA2": False,
            "AIDA3": False,
        }
        assert {row.name for row in await accounts.users_of(tx, "111122223333")} == {"admin", "Admin", "bob"}
        root = await accounts.user_by_id(tx, "111122223333")
        assert root is not None and root.root and root.created_at == 5.0
        key = await accounts.key(tx, "AKIA")
        assert key is not None and key.user_name == "admin"
        for taken in ("admin", "ADMIN", "BOB"):
            assert await iam_names.holder(tx, accounts.users, "111122223333", taken) is not None

    await database.read(after)
