"""What DescribeInstances shows of instances, in four statements of plain columns.

The answer to a thousand instances is mostly the reading of their rows, so these have no column that is not shown, and
none that would be converted for every row: lists are JSON text, flags are what the engine stores. In each row the columns
that differ from instance to instance come first, as many as `OWN_…` says; the others are the same for many.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa

from eucapy.clc.store.attachments import table as attachments
from eucapy.clc.store.base import Json, as_list, listed
from eucapy.clc.store.instances import table as instances
from eucapy.clc.store.network_interfaces import network_interfaces
from eucapy.clc.store.public_ips import public_ips
from eucapy.clc.store.tags import tags
from eucapy.database import Row, Tx


def _plain(table: sa.Table, *names: str) -> list[sa.ColumnElement[Any]]:
    def one(column: sa.Column[Any]) -> sa.ColumnElement[Any]:
        if isinstance(column.type, sa.Boolean):
            return sa.type_coerce(column, sa.Integer).label(column.name)
        return sa.type_coerce(column, sa.Text).label(column.name) if isinstance(column.type, Json) else column

    return [one(table.c[name]) for name in names]


OWN_INSTANCE, OWN_INTERFACE, OWN_VOLUME = 6, 7, 3


def _instances(wanted: sa.Select[Any]) -> sa.Select[Any]:
    columns = _plain(
        instances,
        "id", "revision", "client_token", "launch_index", "launched_at", "created_at",
        "architecture", "auto_recovery", "boot_mode", "capacity_reservation", "cores", "ebs_optimized", "ena",
        "hostname_type", "image_id", "instance_type", "key_name", "metadata_enabled", "metadata_hops", "metadata_ipv6",
        "metadata_tags", "metadata_tokens", "monitoring", "name_a_record", "placement_group", "placement_group_id",
        "placement_partition", "profile_arn", "profile_id",
        "reason", "reason_code", "root_device", "root_kind", "state", "threads", "transition", "vpc_id", "zone",
    )  # fmt: skip
    return sa.select(*columns).where(instances.c.id.in_(wanted))


def _interfaces(wanted: sa.Select[Any]) -> sa.Select[Any]:
    own = _plain(network_interfaces, "instance_id", "id", "mac", "private_ip", "attachment_id", "attached_at")
    others = _plain(
        network_interfaces,
        "account", "delete_on_termination", "description", "device_index", "groups", "ipv6s",
        "primary_ipv6", "secondary_ips", "source_dest_check", "state", "subnet_id", "vpc_id",
    )  # fmt: skip
    stands_for = sa.and_(
        public_ips.c.interface_id == network_interfaces.c.id, public_ips.c.private_ip == network_interfaces.c.private_ip
    )
    return (
        sa.select(*own, public_ips.c.ip.label("public_ip"), *_plain(public_ips, "elastic"), *others)
        .outerjoin_from(network_interfaces, public_ips, stands_for)
        .where(network_interfaces.c.instance_id.in_(wanted))
        .order_by(network_interfaces.c.instance_id, network_interfaces.c.device_index)
    )


def _volumes(wanted: sa.Select[Any]) -> sa.Select[Any]:
    columns = _plain(attachments, "instance_id", "volume_id", "attached_at", "delete_on_termination", "device", "state")
    return (
        sa.select(*columns)
        .where(attachments.c.instance_id.in_(wanted))
        .order_by(attachments.c.instance_id, attachments.c.device)
    )


def _tags(wanted: sa.Select[Any]) -> sa.Select[Any]:
    return (
        sa.select(tags.c.resource_id, tags.c.key, tags.c.value)
        .where(tags.c.resource_id.in_(wanted))
        .order_by(tags.c.resource_id, tags.c.key)
    )


_STATEMENTS = {
    dialect: [build(listed(dialect)) for build in (_interfaces, _volumes, _tags, _instances)]
    for dialect in ("sqlite", "postgresql")
}


class Shown(NamedTuple):
    """The rows of one instance: itself, its interfaces by device index, its attachments by device, its tags by key."""

    instance: Any
    interfaces: Sequence[Any]
    volumes: Sequence[Any]
    tags: Sequence[Any]


async def of(tx: Tx, instance_ids: Sequence[str]) -> list[Shown]:
    """The rows of those that exist, in no order."""
    wanted = {"wanted": as_list(instance_ids)}
    of_interfaces, of_volumes, of_tags, of_instances = _STATEMENTS[tx.dialect]
    interfaces = _grouped(await tx.all(of_interfaces, wanted))
    volumes = _grouped(await tx.all(of_volumes, wanted))
    tagged = _grouped(await tx.all(of_tags, wanted))
    return [
        Shown(row, interfaces.get(row[0], ()), volumes.get(row[0], ()), tagged.get(row[0], ()))
        for row in await tx.all(of_instances, wanted)
    ]


def _grouped(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by their first column."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        held = found.get(row[0])
        if held is None:
            found[row[0]] = [row]
        else:
            held.append(row)
    return found
