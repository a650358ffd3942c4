"""What an account may have at most: Eucalyptus's account policies, whose statements have the effect `Limit`.

And how much of it the account has, for those that are counted in the cloud controller's database (`USAGE`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import sqlalchemy as sa

from eucapy.clc.store import (
    accounts,
    addresses,
    iam_certificates,
    iam_groups,
    iam_names,
    iam_policies,
    images,
    instance_profiles,
    instances,
    internet_gateways,
    roles,
    security_groups,
    snapshots,
    subnets,
    vcpu_usage,
    volumes,
    vpcs,
)
from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx
from eucapy.lifecycle import image as image_life
from eucapy.lifecycle import instance as life
from eucapy.lifecycle import snapshot as snapshot_life
from eucapy.lifecycle import volume as volume_life
from eucapy.lifecycle import volume_modification as modification_life

account_policies = sa.Table(
    "account_policies",
    metadata,
    sa.Column("account", sa.String(12), sa.ForeignKey("accounts.id"), primary_key=True),
    sa.Column("name", sa.String(128), primary_key=True),
    sa.Column("document", sa.Text, nullable=False),
)


async def put(tx: Tx, account: str, name: str, document: str) -> None:
    """The account's policy of that name, in the place of one that has it."""
    await remove(tx, account, name)
    await tx.run(sa.insert(account_policies).values(account=account, name=name, document=document))


async def of(tx: Tx, account: str) -> list[Row]:
    """By name."""
    return list(
        await tx.all(
            sa.select(account_policies).where(account_policies.c.account == account).order_by(account_policies.c.name)
        )
    )


async def remove(tx: Tx, account: str, name: str) -> bool:
    """Whether there was one."""
    table = account_policies
    held = await tx.first(sa.select(table.c.name).where(table.c.account == account, table.c.name == name))
    if held is None:
        return False
    await tx.run(sa.delete(table).where(table.c.account == account, table.c.name == name))
    return True


# --- what there is ----------------------------------------------------------------------------------------------------

Measure = Callable[[Tx, str], Awaitable[int]]


def _rows(table: sa.Table, *gone: str) -> Measure:
    """How many rows of the account, those in the states `gone` aside."""

    async def count(tx: Tx, account: str) -> int:
        wanted = sa.select(sa.func.count()).select_from(table).where(table.c.account == account)
        if gone:
            wanted = wanted.where(table.c.state.not_in(gone))
        return int(await tx.scalar(wanted))

    return count


def _sum(table: sa.Table, column: str, *gone: str) -> Measure:
    async def total(tx: Tx, account: str) -> int:
        wanted = sa.select(sa.func.coalesce(sa.func.sum(table.c[column]), 0)).where(
            table.c.account == account, table.c.state.not_in(gone)
        )
        return int(await tx.scalar(wanted))

    return total


async def _volumes_gib(tx: Tx, account: str) -> int:
    """A volume that grows counts as what it grows to."""
    volume, change = volumes.table, volumes.modifications
    growing = sa.and_(change.c.id == volume.c.id, change.c.state == modification_life.MODIFYING)
    wanted = (
        sa.select(sa.func.coalesce(sa.func.sum(sa.func.coalesce(change.c.target_size_gib, volume.c.size_gib)), 0))
        .select_from(volume.outerjoin(change, growing))
        .where(volume.c.account == account, volume.c.state.not_in(_NO_VOLUME))
    )
    return int(await tx.scalar(wanted))


async def _memory_mib(tx: Tx, account: str) -> int:
    wanted = sa.select(sa.func.coalesce(sa.func.sum(instances.table.c.memory_mib), 0)).where(
        instances.table.c.account == account, instances.table.c.state.in_(vcpu_usage.COUNTED)
    )
    return int(await tx.scalar(wanted))


async def _users(tx: Tx, account: str) -> int:
    """The root user is no user of the account's."""
    return await iam_names.count(tx, accounts.users, account) - 1


def _named(table: sa.Table) -> Measure:
    return lambda tx, account: iam_names.count(tx, table, account)


_NO_VOLUME = (volume_life.DELETING, volume_life.DELETED, volume_life.ERROR)
_NO_SNAPSHOT = (snapshot_life.DELETING, snapshot_life.DELETED, snapshot_life.ERROR)

USAGE: dict[str, Measure] = {
    "ec2:quota-vminstancenumber": _rows(instances.table, life.TERMINATED, life.SHUTTING_DOWN),
    "ec2:quota-cputotalsize": vcpu_usage.in_use,
    "ec2:quota-memorytotalsize": _memory_mib,
    "ec2:quota-volumenumber": _rows(volumes.table, *_NO_VOLUME),
    "ec2:quota-volumetotalsize": _volumes_gib,
    "ec2:quota-snapshotnumber": _rows(snapshots.table, *_NO_SNAPSHOT),
    "ec2:quota-snapshottotalsize": _sum(snapshots.table, "size_gib", *_NO_SNAPSHOT),
    "ec2:quota-imagenumber": _rows(images.table, image_life.DEREGISTERED, image_life.FAILED),
    "ec2:quota-addressnumber": addresses.count,
    "ec2:quota-securitygroupnumber": security_groups.count,
    "ec2:quota-vpcnumber": vpcs.count,
    "ec2:quota-subnetnumber": _rows(subnets.subnets),
    "ec2:quota-internetgatewaynumber": internet_gateways.count,
    "iam:quota-usernumber": _users,
    "iam:quota-groupnumber": _named(iam_groups.groups),
    "iam:quota-rolenumber": _named(roles.roles),
    "iam:quota-instanceprofilenumber": _named(instance_profiles.instance_profiles),
    "iam:quota-policynumber": _named(iam_policies.policies),
    "iam:quota-servercertificatenumber": _named(iam_certificates.server_certificates),
}
"""How much an account has of what a quota counts: by Eucalyptus's names. Memory is in MiB, disks in GiB."""
