"""An instance's `revision`: a number that grows whenever anything that DescribeInstances shows of it changes.

The database itself counts, by triggers, so that no writer can forget: the instance's own row, its interfaces, the public
addresses of these, its volumes, its tags, its captures, its VPC's blocks, and whether its VPC gives host names. What was
made of an instance may be kept under (id, revision), by any process, and is never stale. Both engines; `statements` is what
a migration executes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from eucapy.clc.store.base import metadata

_BY_COLUMN = {
    "network_interfaces": "instance_id",
    "attachments": "instance_id",
    "tags": "resource_id",
    "image_captures": "instance_id",
}
"""Tables whose rows name the instance, and the column that does."""

_BUMP = "UPDATE instances SET revision = revision + 1 WHERE"


def _of_interface(row: str) -> str:
    return f"{_BUMP} id = (SELECT instance_id FROM network_interfaces WHERE id = {row}.interface_id)"  # noqa: S608 (OLD, NEW)


def _changes() -> dict[str, dict[str, str]]:
    """Table → what to do for the OLD and for the NEW row of a change."""
    named = {
        table: {row: f"{_BUMP} id = {row}.{column}" for row in ("OLD", "NEW")} for table, column in _BY_COLUMN.items()
    }
    of_vpc = {row: f"{_BUMP} vpc_id = {row}.vpc_id" for row in ("OLD", "NEW")}
    return {**named, "public_ips": {row: _of_interface(row) for row in ("OLD", "NEW")}, "vpc_cidrs": of_vpc}


def statements(dialect: str) -> list[str]:
    """The DDL for `sqlite` or `postgresql`; executing it again changes nothing."""
    return list(_sqlite() if dialect == "sqlite" else _postgresql())


def _sqlite() -> Iterator[str]:
    def trigger(name: str, when: str, action: str) -> str:
        return f"CREATE TRIGGER IF NOT EXISTS revise_{name} {when} BEGIN {action}; END"

    yield trigger(
        "instances",
        "AFTER UPDATE ON instances WHEN NEW.revision = OLD.revision",
        f"{_BUMP} id = NEW.id",
    )
    yield trigger(
        "vpcs",
        "AFTER UPDATE OF dns_hostnames ON vpcs WHEN NEW.dns_hostnames <> OLD.dns_hostnames",
        f"{_BUMP} vpc_id = NEW.id",
    )
    for table, change in _changes().items():
        yield trigger(f"{table}_insert", f"AFTER INSERT ON {table}", change["NEW"])
        yield trigger(f"{table}_update", f"AFTER UPDATE ON {table}", f"{change['OLD']}; {change['NEW']}")
        yield trigger(f"{table}_delete", f"AFTER DELETE ON {table}", change["OLD"])


def _postgresql() -> Iterator[str]:
    def trigger(table: str, when: str, body: str, answer: str) -> Iterator[str]:
        yield (
            f"CREATE OR REPLACE FUNCTION revise_{table}() RETURNS trigger LANGUAGE plpgsql AS "
            f"$$ BEGIN {body} RETURN {answer}; END $$"
        )
        yield f"CREATE OR REPLACE TRIGGER revise_{table} {when} ON {table} FOR EACH ROW EXECUTE FUNCTION revise_{table}()"

    yield from trigger(
        "instances",
        "BEFORE UPDATE",
        "IF NEW.revision = OLD.revision THEN NEW.revision := OLD.revision + 1; END IF;",
        "NEW",
    )
    yield from trigger(
        "vpcs",
        "AFTER UPDATE",
        f"IF NEW.dns_hostnames <> OLD.dns_hostnames THEN {_BUMP} vpc_id = NEW.id; END IF;",
        "NULL",
    )
    for table, change in _changes().items():
        body = f"IF TG_OP <> 'INSERT' THEN {change['OLD']}; END IF; IF TG_OP <> 'DELETE' THEN {change['NEW']}; END IF;"
        yield from trigger(table, "AFTER INSERT OR UPDATE OR DELETE", body, "NULL")


def _after_create(_target: object, connection: sa.Connection, **_: Any) -> None:
    for statement in statements(connection.dialect.name):
        connection.exec_driver_sql(statement)


sa.event.listen(metadata, "after_create", _after_create)
