"""Images: where their bytes are, who may launch them, and what they launch.

`source` says where the root disk comes from: `{"kind": "object", "bucket", "key", "etag", "size_bytes", "format"}` (etag,
size and format once inspected) or `{"kind": "snapshot", "snapshot_id"}`. Block device mappings are rows of `devices`.
`protection` says how it is protected from being deregistered, in EC2's words ("": it is not); one with a cool-down that was
switched off lasts until `protected_until`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters, tags
from eucapy.clc.store.advance import lifecycle_table
from eucapy.clc.store.base import Json, account_column, created_column, metadata
from eucapy.clc.store.tags import chunks, tag_filters
from eucapy.database import Row, Tx
from eucapy.lifecycle import image as life

table = sa.Table(
    "images",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("owner_alias", sa.String(32), nullable=False, server_default=""),
    created_column(),
    sa.Column("name", sa.String(128), nullable=False),
    sa.Column("description", sa.String(255), nullable=False, server_default=""),
    sa.Column("location", sa.String(1200), nullable=False),
    sa.Column("source", Json, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("reason_code", sa.String(64), nullable=False, server_default=""),
    sa.Column("reason", sa.String(255), nullable=False, server_default=""),
    sa.Column("architecture", sa.String(16), nullable=False, server_default="x86_64"),
    sa.Column("virtualization", sa.String(16), nullable=False, server_default="hvm"),
    sa.Column("platform", sa.String(16), nullable=False, server_default=""),
    sa.Column("root_device", sa.String(32), nullable=False),
    sa.Column("root_kind", sa.String(16), nullable=False),
    sa.Column("root_size_gib", sa.Integer, nullable=False, server_default="0"),
    sa.Column("public", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("ena", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("sriov", sa.String(16), nullable=False, server_default=""),
    sa.Column("boot_mode", sa.String(16), nullable=False, server_default=""),
    sa.Column("tpm", sa.String(8), nullable=False, server_default=""),
    sa.Column("imds", sa.String(8), nullable=False, server_default=""),
    sa.Column("source_instance_id", sa.String(32), nullable=False, server_default=""),
    sa.Column("source_image_id", sa.String(32), nullable=False, server_default=""),
    sa.Column("deprecated_at", sa.Float),
    sa.Column("launched_at", sa.Float),
    sa.Column("protection", sa.String(32), nullable=False, server_default=""),
    sa.Column("protected_until", sa.Float),
    sa.Index(None, "account", "name"),
    sa.Index(None, "state"),
)

permissions = sa.Table(
    "image_permissions",
    metadata,
    sa.Column("image_id", sa.String(32), primary_key=True),
    sa.Column("account", sa.String(12), primary_key=True, index=True),
)

devices = sa.Table(
    "image_devices",
    metadata,
    sa.Column("image_id", sa.String(32), primary_key=True),
    sa.Column("device", sa.String(32), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("virtual_name", sa.String(32), nullable=False, server_default=""),
    sa.Column("snapshot_id", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("size_gib", sa.Integer),
    sa.Column("volume_type", sa.String(16), nullable=False, server_default="gp2"),
    sa.Column("delete_on_termination", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("iops", sa.Integer),
    sa.Column("throughput", sa.Integer),
    sa.Column("encrypted", sa.Boolean, nullable=False, server_default=sa.false()),
)

lifecycle_table(life.IMAGE, table)

VISIBLE = (life.PENDING, life.AVAILABLE, life.FAILED, life.DISABLED)
EBS, INSTANCE_STORE = "ebs", "instance-store"


async def insert(tx: Tx, *, account: str, now: float, **columns: Any) -> Row:
    """A new image, `pending`. The name must be free: check with `by_name`."""
    image_id = ids.new("ami")
    await tx.run(
        sa.insert(table).values(id=image_id, account=account, created_at=now, state=life.IMAGE.start, **columns)
    )
    row = await by_id(tx, image_id)
    assert row is not None
    return row


async def by_id(tx: Tx, image_id: str) -> Row | None:
    """The image, whoever owns it, deregistered ones included."""
    return await tx.first(sa.select(table).where(table.c.id == image_id))


async def by_name(tx: Tx, account: str, name: str) -> Row | None:
    return await tx.first(
        sa.select(table).where(table.c.account == account, table.c.name == name, table.c.state.in_(VISIBLE))
    )


def visible_to(account: str) -> filters.Condition:
    """The image is the account's own, public, or shared with it."""
    return sa.and_(
        table.c.state.in_(VISIBLE),
        sa.or_(table.c.account == account, table.c.public.is_(True), table.c.id.in_(_shared_with(account))),
    )


def executable_by(account: str, users: Iterable[str]) -> filters.Condition:
    """DescribeImages' ExecutableUsers: any of `self`, `all` and account ids, among what `account` may see."""
    return sa.or_(
        sa.false(),
        *(
            table.c.public.is_(True)
            if who == "all"
            else table.c.id.in_(_shared_with(account if who == "self" else who))
            for who in users
        ),
    )


def owned_by(account: str, owners: Sequence[str]) -> filters.Condition:
    """DescribeImages' Owners: any of `self`, account ids and owner aliases."""
    ids_of = {account if owner == "self" else owner for owner in owners if owner == "self" or owner.isdigit()}
    aliases = {owner for owner in owners if owner and owner != "self" and not owner.isdigit()}
    return sa.or_(table.c.account.in_(sorted(ids_of)), table.c.owner_alias.in_(sorted(aliases)))


def not_deprecated_for(account: str, now: float) -> filters.Condition:
    """The image is not deprecated yet, or the account's own."""
    return sa.or_(table.c.deprecated_at.is_(None), table.c.deprecated_at > now, table.c.account == account)


def not_disabled() -> filters.Condition:
    """The image may be launched, or may not for another reason than that its owner disabled it."""
    return table.c.state != life.DISABLED


def _shared_with(account: str) -> sa.Select[Any]:
    return sa.select(permissions.c.image_id).where(permissions.c.account == account)


async def visible(tx: Tx, account: str, image_id: str) -> Row | None:
    """The image when the account may see (and so launch) it."""
    return await tx.first(sa.select(table).where(table.c.id == image_id, visible_to(account)))


async def page(tx: Tx, conditions: Iterable[filters.Condition], after: str, limit: int | None) -> list[Row]:
    """Images by id, from behind `after`."""
    statement = sa.select(table).where(table.c.id > after, *conditions).order_by(table.c.id)
    return list(await tx.all(statement if limit is None else statement.limit(limit)))


async def existing(tx: Tx, account: str, image_ids: Sequence[str]) -> set[str]:
    """Which of the ids the account may see."""
    rows = await tx.all(sa.select(table.c.id).where(table.c.id.in_(list(image_ids)), visible_to(account)))
    return {row.id for row in rows}


async def set_values(tx: Tx, image_id: str, **columns: Any) -> None:
    """Write attributes. State is not among them: `store.advance`."""
    await tx.run(sa.update(table).where(table.c.id == image_id).values(**columns))


async def remove(tx: Tx, image_id: str) -> None:
    """The row of a deregistered image; its permissions, mappings and tags went when it was deregistered."""
    await tx.run(sa.delete(table).where(table.c.id == image_id))


async def strip(tx: Tx, image_id: str) -> None:
    """The image is deregistered: its permissions, mappings and tags go; the row stays for its instances."""
    for part in (permissions, devices):
        await tx.run(sa.delete(part).where(part.c.image_id == image_id))
    await tags.remove(tx, image_id)


async def in_state(tx: Tx, state: str) -> list[Row]:
    return list(await tx.all(sa.select(table).where(table.c.state == state).order_by(table.c.created_at)))


async def insert_devices(tx: Tx, image_id: str, mappings: Sequence[Mapping[str, Any]]) -> None:
    """The image's block device mappings, in their order: columns of `devices` but image_id and position."""
    if mappings:
        await tx.run(
            sa.insert(devices), [{"image_id": image_id, "position": n, **values} for n, values in enumerate(mappings)]
        )


async def devices_of(tx: Tx, image_ids: Sequence[str]) -> dict[str, list[Row]]:
    """Block device mappings by image."""
    found: dict[str, list[Row]] = {}
    for chunk in chunks(list(image_ids), 500):
        rows = await tx.all(
            sa.select(devices).where(devices.c.image_id.in_(chunk)).order_by(devices.c.image_id, devices.c.position)
        )
        for row in rows:
            found.setdefault(row.image_id, []).append(row)
    return found


async def using_snapshot(tx: Tx, snapshot_id: str) -> list[str]:
    """Ids of the images that have the snapshot in their mappings (it cannot be deleted meanwhile)."""
    rows = await tx.all(
        sa.select(table.c.id)
        .join(devices, devices.c.image_id == table.c.id)
        .where(table.c.state.in_(VISIBLE), devices.c.snapshot_id == snapshot_id)
        .order_by(table.c.id)
    )
    return [row.id for row in rows]


async def shared_with(tx: Tx, image_ids: Sequence[str]) -> dict[str, list[str]]:
    """Accounts with launch permission, by image."""
    found: dict[str, list[str]] = {}
    for chunk in chunks(list(image_ids), 500):
        rows = await tx.all(
            sa.select(permissions)
            .where(permissions.c.image_id.in_(chunk))
            .order_by(permissions.c.image_id, permissions.c.account)
        )
        for row in rows:
            found.setdefault(row.image_id, []).append(row.account)
    return found


async def share(tx: Tx, image_id: str, accounts: Iterable[str]) -> None:
    known = (await shared_with(tx, [image_id])).get(image_id, [])
    new = [{"image_id": image_id, "account": account} for account in sorted(set(accounts) - set(known))]
    if new:
        await tx.run(sa.insert(permissions), new)


async def unshare(tx: Tx, image_id: str, accounts: Iterable[str] | None = None) -> None:
    """Take launch permission away from these accounts, or from all."""
    statement = sa.delete(permissions).where(permissions.c.image_id == image_id)
    if accounts is not None:
        statement = statement.where(permissions.c.account.in_(list(accounts)))
    await tx.run(statement)


def _device(build: filters.Filter) -> filters.Filter:
    """Any of the image's mappings is such a one."""
    return filters.exists(
        lambda values: sa.select(devices.c.image_id).where(devices.c.image_id == table.c.id, build(values))
    )


_OF_NONE = (
    *(f"image-watermark.source-image-{what}" for what in ("creation-time", "id", "region")),
    *(f"image-watermark.watermark-{what}" for what in ("creation-time", "key")),
    *(f"instance-type-specification.{what}-instance-type" for what in ("supported", "unsupported")),
    *(f"scan-result.{level}-fix-available-since" for level in ("critical", "high", "informational", "low", "medium")),
    *(f"scan-result.{what}" for what in ("finding-scan-date", "highest-finding-severity-label")),
    "public-ssm-parameter-name",
)
"""Documented filters on what no image here has: watermarks, scan results, SSM parameters."""

FILTERS: dict[str, filters.Filter] = {
    "architecture": filters.text(table.c.architecture),
    "block-device-mapping.delete-on-termination": _device(filters.boolean(devices.c.delete_on_termination)),
    "block-device-mapping.device-name": _device(filters.text(devices.c.device)),
    "block-device-mapping.encrypted": _device(filters.boolean(devices.c.encrypted)),
    "block-device-mapping.snapshot-id": _device(filters.text(devices.c.snapshot_id)),
    "block-device-mapping.volume-size": _device(filters.number(devices.c.size_gib)),
    "block-device-mapping.volume-type": _device(filters.text(devices.c.volume_type)),
    "boot-mode": filters.text(table.c.boot_mode),
    "creation-date": filters.timestamp(table.c.created_at),
    "description": filters.text(table.c.description),
    "ena-support": filters.boolean(table.c.ena),
    "free-tier-eligible": filters.constant("false"),
    "hypervisor": filters.constant("xen"),
    "image-allowed": filters.constant("true"),
    "image-id": filters.text(table.c.id),
    "image-type": filters.constant("machine"),
    "is-public": filters.boolean(table.c.public),
    "kernel-id": lambda values: sa.false(),
    "manifest-location": filters.text(table.c.location),
    "name": filters.text(table.c.name),
    "owner-alias": filters.text(table.c.owner_alias),
    "owner-id": filters.text(table.c.account),
    "platform": filters.text(table.c.platform),
    "product-code": lambda values: sa.false(),
    "product-code.type": lambda values: sa.false(),
    "ramdisk-id": lambda values: sa.false(),
    "root-device-name": filters.text(table.c.root_device),
    "root-device-type": filters.text(table.c.root_kind),
    "source-image-id": filters.text(table.c.source_image_id),
    "source-image-region": lambda values: sa.false(),
    "source-instance-id": filters.text(table.c.source_instance_id),
    "state": filters.text(table.c.state),
    "state-reason-code": filters.text(table.c.reason_code),
    "state-reason-message": filters.text(table.c.reason),
    "sriov-net-support": filters.text(table.c.sriov),
    "tpm-support": filters.text(table.c.tpm),
    "virtualization-type": filters.text(table.c.virtualization),
    **tag_filters(table.c.id),
    **dict.fromkeys(_OF_NONE, filters.never),
}
