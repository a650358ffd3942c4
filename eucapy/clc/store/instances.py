"""Instances: the API's wish for each (`run`, `starts`, `reboots`), its state, and where placement put it.

`node` is where placement put it ("" while nowhere). An instance whose root is a volume leaves its node when it is stopped
(`leaving`, until the node confirms) and is placed anew when it starts; one whose root is an overlay stays where it is.
The observed half is in `vms.py`, its network interfaces and volumes are rows of their own. What a launch fixes for good is
copied into the row (the public key, where the image's bytes are), so that a deleted key pair or a deregistered image
changes nothing for a running instance. Filters: `instance_filters.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from eucapy.clc.store.advance import lifecycle_table
from eucapy.clc.store.base import (
    Json,
    account_column,
    as_list,
    client_token_column,
    created_column,
    listed,
    metadata,
)
from eucapy.clc.store.filters import Condition
from eucapy.clc.store.tags import chunks
from eucapy.database import Row, Tx
from eucapy.lifecycle import instance as life

table = sa.Table(
    "instances",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("reservation_id", sa.String(32), nullable=False),
    sa.Column("launch_index", sa.Integer, nullable=False),
    client_token_column(),
    created_column(),
    sa.Column("launched_at", sa.Float, nullable=False),
    sa.Column("revision", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("uuid", sa.String(36), nullable=False),
    # desired, written by the API
    sa.Column("run", sa.Boolean, nullable=False),
    sa.Column("starts", sa.Integer, nullable=False, server_default="1"),
    sa.Column("reboots", sa.Integer, nullable=False, server_default="0"),
    sa.Column("force_stop", sa.Boolean, nullable=False, server_default=sa.false()),
    # the answer
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("state_at", sa.Float, nullable=False),
    sa.Column("reason_code", sa.String(64), nullable=False, server_default=""),
    sa.Column("reason", sa.String(255), nullable=False, server_default=""),
    sa.Column("transition", sa.String(128), nullable=False, server_default=""),
    # placement's
    sa.Column("node", sa.String(64), nullable=False, server_default=""),
    sa.Column("leaving", sa.Boolean, nullable=False, server_default=sa.false()),
    # the machine
    sa.Column("instance_type", sa.String(32), nullable=False),
    sa.Column("vcpus", sa.Integer, nullable=False),
    sa.Column("memory_mib", sa.Integer, nullable=False),
    sa.Column("architecture", sa.String(16), nullable=False),
    sa.Column("image_id", sa.String(32), nullable=False, index=True),
    sa.Column("root_kind", sa.String(16), nullable=False),
    sa.Column("root_device", sa.String(32), nullable=False),
    sa.Column("root", Json, nullable=False),
    sa.Column("ephemerals", Json, nullable=False),
    sa.Column("boot_mode", sa.String(16), nullable=False, server_default="legacy-bios"),
    sa.Column("key_name", sa.String(255), nullable=False, server_default=""),
    sa.Column("public_key", sa.Text, nullable=False, server_default=""),
    sa.Column("user_data", sa.Text),
    # the network, as the primary interface was made; blank once terminated
    sa.Column("vpc_id", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("subnet_id", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("private_ip", sa.String(15), nullable=False, server_default=""),
    # attributes
    sa.Column("shutdown_behavior", sa.String(16), nullable=False, server_default="stop"),
    sa.Column("keep_from_termination", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("keep_from_stop", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("monitoring", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("ebs_optimized", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("metadata_enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("metadata_tokens", sa.String(16), nullable=False, server_default="optional"),
    sa.Column("metadata_hops", sa.Integer, nullable=False, server_default="1"),
    sa.Column("metadata_ipv6", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("metadata_tags", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("cores", sa.Integer, nullable=False),
    sa.Column("threads", sa.Integer, nullable=False),
    sa.Column("credits", sa.String(16), nullable=False, server_default=""),
    sa.Column("ena", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("capacity_reservation", sa.String(8), nullable=False, server_default="open"),
    sa.Column("auto_recovery", sa.String(8), nullable=False, server_default="default"),
    sa.Column("hostname_type", sa.String(16), nullable=False, server_default="ip-name"),
    sa.Column("name_a_record", sa.Boolean, nullable=False, server_default=sa.false()),
    # the instance profile, "" for none: what it was when it was associated
    sa.Column("profile_id", sa.String(32), nullable=False, server_default=""),
    sa.Column("profile_arn", sa.String(704), nullable=False, server_default=""),
    sa.Column("profile_name", sa.String(128), nullable=False, server_default=""),
    sa.Column("profile_association", sa.String(32), nullable=False, server_default=""),
    sa.Column("profile_at", sa.Float),
    # the placement group, "" for none; the partition is 0 but in a partition group
    sa.Column("placement_group_id", sa.String(32), nullable=False, server_default=""),
    sa.Column("placement_group", sa.String(255), nullable=False, server_default=""),
    sa.Column("placement_strategy", sa.String(16), nullable=False, server_default=""),
    sa.Column("placement_partition", sa.Integer, nullable=False, server_default="0"),
    # of the profile's role, sealed to the node; written by the loop `role_credentials`
    sa.Column("credentials", Json),
    sa.Index(None, "account", "reservation_id", "launch_index"),
    sa.Index(None, "state", "node", "zone", "memory_mib", "vcpus"),
    sa.Index(None, "node"),
    sa.Index(
        "ix_instances_profile_id",
        "profile_id",
        sqlite_where=sa.text("profile_id <> ''"),
        postgresql_where=sa.text("profile_id <> ''"),
    ),
    sa.Index(
        "ix_instances_placement_group_id",
        "placement_group_id",
        sqlite_where=sa.text("placement_group_id <> ''"),
        postgresql_where=sa.text("placement_group_id <> ''"),
    ),
)

lifecycle_table(life.INSTANCE, table)


MOST_AT_ONCE = 100
"""Rows that one statement changes: it is not interrupted."""
LONGEST_PAGE = 1000
"""The most instances that one answer shows."""

METADATA_COLUMNS = ("metadata_enabled", "metadata_tokens", "metadata_hops", "metadata_ipv6", "metadata_tags")

_JUDGED = (
    table.c.id, table.c.state, table.c.starts, table.c.node, table.c.leaving, table.c.shutdown_behavior, table.c.zone,
    table.c.root_kind,
)  # fmt: skip

_LISTED = (table.c.id, table.c.account, table.c.reservation_id, table.c.launch_index, table.c.revision)


class Load(NamedTuple):
    """What instances take of a node, or ask of a zone."""

    vcpus: int = 0
    memory_mib: int = 0


async def insert(tx: Tx, rows: Sequence[Mapping[str, Any]]) -> None:
    """New instances, with all columns that have no default; they begin as `pending`."""
    await tx.run(sa.insert(table), [{**row, "state": life.INSTANCE.start} for row in rows])


async def by_id(tx: Tx, account: str, instance_id: str) -> Row | None:
    return await tx.first(sa.select(table).where(table.c.id == instance_id, table.c.account == account))


async def by_ids(tx: Tx, instance_ids: Sequence[str], account: str | None = None) -> dict[str, Row]:
    """Those that exist (of the account, when given), by id."""
    found: dict[str, Row] = {}
    for chunk in chunks(list(instance_ids), 500):
        statement = sa.select(table).where(table.c.id.in_(chunk))
        if account is not None:
            statement = statement.where(table.c.account == account)
        found.update((row.id, row) for row in await tx.all(statement))
    return found


_WHEREABOUTS = sa.select(table.c.id, table.c.state, table.c.node).where(
    table.c.id.in_(sa.bindparam("wanted", expanding=True))
)


async def whereabouts(tx: Tx, instance_ids: Sequence[str]) -> dict[str, Row]:
    """State and node of those that exist, by id."""
    found: dict[str, Row] = {}
    for chunk in chunks(list(instance_ids), 500):
        found.update((row.id, row) for row in await tx.all(_WHEREABOUTS, {"wanted": chunk}))
    return found


async def page(
    tx: Tx, account: str, conditions: Iterable[Condition], after: tuple[str, int] | None, limit: int
) -> list[Row]:
    """Up to `limit` instances in the order of (reservation, launch index), from behind `after`: id, account,
    reservation_id, launch_index and revision of each. The whole rows: `by_ids`."""
    statement = (
        sa.select(*_LISTED)
        .where(table.c.account == account, *conditions)
        .order_by(table.c.reservation_id, table.c.launch_index)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(sa.tuple_(table.c.reservation_id, table.c.launch_index) > sa.tuple_(*after))
    return list(await tx.all(statement))


async def existing(tx: Tx, account: str, instance_ids: Sequence[str]) -> set[str]:
    """Which of the ids are instances of the account."""
    found: set[str] = set()
    for chunk in chunks(list(instance_ids), 500):
        rows = await tx.all(sa.select(table.c.id).where(table.c.id.in_(chunk), table.c.account == account))
        found.update(row.id for row in rows)
    return found


async def count(tx: Tx, account: str) -> int:
    """The account's instances that are not terminated or about to be."""
    found = await tx.scalar(
        sa.select(sa.func.count()).select_from(table).where(table.c.account == account, table.c.state.in_(life.LIVE))
    )
    return int(found)


async def set_values(tx: Tx, instance_id: str, **columns: Any) -> None:
    """Write desired columns and attributes. State is not among them: `store.advance`."""
    await tx.run(sa.update(table).where(table.c.id == instance_id).values(**columns))


async def place(tx: Tx, instance_ids: Sequence[str], node: str) -> int:
    """Placement's word: these pending instances, which are nowhere yet, belong on `node`. How many it was not too late for."""
    placed = 0
    for chunk in chunks(list(instance_ids), MOST_AT_ONCE):
        placed += await tx.run(
            sa.update(table)
            .where(table.c.id.in_(listed(tx.dialect)), table.c.state == life.PENDING, table.c.node == "")
            .values(node=node),
            {"wanted": as_list(chunk)},
        )
    return placed


async def with_profiles(tx: Tx, after: str, limit: int) -> list[Row]:
    """Instances that have an instance profile, or credentials that are left of one, and may still run; by id, from behind
    `after`: id, account, node, profile_id, credentials."""
    columns = (table.c.id, table.c.account, table.c.node, table.c.profile_id, table.c.credentials)
    statement = (
        sa.select(*columns)
        .where(table.c.id > after, table.c.state.in_(life.LIVE))
        .where(sa.or_(table.c.profile_id != "", table.c.credentials.is_not(None)))
        .order_by(table.c.id)
        .limit(limit)
    )
    return list(await tx.all(statement))


async def by_association(tx: Tx, account: str, association_id: str) -> Row | None:
    """The instance that an association of an instance profile is of."""
    return await tx.first(
        sa.select(table).where(table.c.account == account, table.c.profile_association == association_id)
    )


async def associated(
    tx: Tx, account: str, conditions: Sequence[Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Whole instances that have an instance profile, by its association."""
    statement = (
        sa.select(table)
        .where(table.c.account == account, table.c.profile_association > after, *conditions)
        .order_by(table.c.profile_association)
        .limit(limit)
    )
    return list(await tx.all(statement))


async def leave(tx: Tx, instance_id: str) -> None:
    """The node confirmed that nothing of the instance is left on it."""
    await tx.run(sa.update(table).where(table.c.id == instance_id).values(node="", leaving=False))


async def on_nodes(tx: Tx, zone: str) -> list[Row]:
    """All that nodes of the zone must know of, tombstones included, by id: id, node and revision of each."""
    return list(
        await tx.all(
            sa.select(table.c.id, table.c.node, table.c.revision)
            .where(table.c.zone == zone, table.c.node != "")
            .order_by(table.c.id)
        )
    )


async def placed(tx: Tx, zone: str | None = None) -> dict[str, str]:
    """Instance id → node, of all that have one."""
    statement = sa.select(table.c.id, table.c.node).where(table.c.node != "")
    if zone is not None:
        statement = statement.where(table.c.zone == zone)
    return {row.id: row.node for row in await tx.all(statement)}


_IN_GROUP = (table.c.placement_group_id, table.c.placement_strategy, table.c.placement_partition)
_UNPLACED = (
    sa.select(
        *_JUDGED,
        *_IN_GROUP,
        table.c.state_at,
        table.c.instance_type,
        table.c.vcpus,
        table.c.memory_mib,
        table.c.architecture,
        table.c.image_id,
        table.c.profile_id,
    )
    .where(table.c.state == life.PENDING, table.c.node == "")
    .order_by(table.c.launched_at, table.c.reservation_id, table.c.launch_index)
)


async def unplaced(tx: Tx) -> list[Row]:
    """Pending instances without a node, oldest first: what they ask for, since when they wait, and what `in_motion` tells."""
    return list(await tx.all(_UNPLACED))


_ANY_UNPLACED = sa.select(table.c.id).where(table.c.state == life.PENDING, table.c.node == "").limit(1)


async def any_unplaced(tx: Tx) -> bool:
    return await tx.first(_ANY_UNPLACED) is not None


_WAITING = sa.select(
    table.c.zone, table.c.vcpus, table.c.memory_mib, table.c.architecture, table.c.image_id, *_IN_GROUP
).where(table.c.state == life.PENDING, table.c.node == "", table.c.zone == sa.bindparam("in_zone"))


async def waiting(tx: Tx, zone: str) -> list[Row]:
    """What the zone's pending instances without a node ask of one."""
    return list(await tx.all(_WAITING, {"in_zone": zone}))


_GROUPED = (
    sa.select(
        table.c.node,
        table.c.placement_group_id,
        table.c.placement_partition,
        sa.func.count().label("members"),
    )
    .where(sa.text("placement_group_id <> ''"), table.c.node != "", table.c.state.in_(life.POWERED))
    .group_by(table.c.node, table.c.placement_group_id, table.c.placement_partition)
)


async def grouped(tx: Tx) -> list[Row]:
    """The members of placement groups that nodes have powered: node, placement_group_id, placement_partition and how many
    `members`."""
    return list(await tx.all(_GROUPED))


async def in_placement_group(tx: Tx, group_id: str) -> list[Row]:
    """The group's instances that are not terminated or about to be: id, zone, placement_partition."""
    return list(
        await tx.all(
            sa.select(table.c.id, table.c.zone, table.c.placement_partition).where(
                sa.text("placement_group_id <> ''"),
                table.c.placement_group_id == group_id,
                table.c.state.in_(life.LIVE),
            )
        )
    )


async def loads(tx: Tx) -> dict[str, Load]:
    """What the powered instances take, by node; those without a node under ""."""
    rows = await tx.all(
        sa.select(
            table.c.node,
            sa.func.sum(table.c.vcpus).label("vcpus"),
            sa.func.sum(table.c.memory_mib).label("memory_mib"),
        )
        .where(table.c.state.in_(life.POWERED))
        .group_by(table.c.node)
    )
    return {row.node: Load(int(row.vcpus), int(row.memory_mib)) for row in rows}


_IN_MOTION = sa.select(*_JUDGED).where(
    table.c.zone == sa.bindparam("in_zone"),
    sa.or_(
        table.c.state.in_((life.PENDING, life.STOPPING, life.SHUTTING_DOWN)),
        table.c.leaving.is_(True),
        sa.and_(table.c.state == life.TERMINATED, table.c.node != ""),
    ),
)


async def in_motion(tx: Tx, zone: str) -> list[Row]:
    """Those of the zone that wait for a word from their node: id, state, starts, node, leaving, shutdown_behavior, zone and
    root_kind of each, which is all that a verdict on them needs (`reconcilers/verdicts.py`)."""
    return list(await tx.all(_IN_MOTION, {"in_zone": zone}))


async def judged(tx: Tx, instance_ids: Sequence[str]) -> list[Row]:
    """The same of those that exist."""
    found: list[Row] = []
    for chunk in chunks(list(instance_ids), 500):
        found += await tx.all(sa.select(*_JUDGED).where(table.c.id.in_(listed(tx.dialect))), {"wanted": as_list(chunk)})
    return found


async def in_state(tx: Tx, state: str, until: float) -> list[Row]:
    """Those that have been in a state since `until` or longer."""
    return list(await tx.all(sa.select(table).where(table.c.state == state, table.c.state_at <= until)))


async def remove(tx: Tx, instance_ids: Sequence[str]) -> None:
    for chunk in chunks(list(instance_ids), 500):
        await tx.run(sa.delete(table).where(table.c.id.in_(chunk)))


async def of_image(tx: Tx, image_id: str) -> bool:
    """Whether any instance was launched from the image and is still known."""
    return await tx.first(sa.select(table.c.id).where(table.c.image_id == image_id).limit(1)) is not None


_TELL_TAGS = (
    sa.select(table.c.id)
    .where(table.c.id.in_(sa.bindparam("wanted", expanding=True)), table.c.metadata_tags.is_(True))
    .limit(1)
)


async def tell_tags(tx: Tx, instance_ids: Sequence[str]) -> bool:
    """Whether any of the instances shows its tags in its metadata (`InstanceMetadataTags`)."""
    for chunk in chunks(list(instance_ids), 500):
        if await tx.first(_TELL_TAGS, {"wanted": chunk}):
            return True
    return False
