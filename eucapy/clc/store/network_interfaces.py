"""Network interfaces: an address in a subnet, groups, and the instance that they are attached to.

States: `eucapy/lifecycle/network_interface.py`; what a running guest has is moved on by `reconcilers/observe.py`.

`groups` repeats what `interface_groups` says, with the groups' names (which never change), `secondary_ips` what
`private_ips` says and `ipv6s` what `ipv6_addresses` says: the row alone is enough to show an interface. Only the functions of
this file write any of them. `instance_id` is "" while the interface is free. Tap names are what the node's kernel calls the
interface.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from eucapy import ids
from eucapy.clc.store import filters, ipv6_addresses, private_ips, public_ips, security_groups
from eucapy.clc.store.advance import advance, lifecycle_table
from eucapy.clc.store.base import Json, account_column, client_token_column, created_column, metadata
from eucapy.clc.store.private_ips import private_ips as addresses_inside
from eucapy.clc.store.public_ips import public_ips as addresses_outside
from eucapy.clc.store.tags import chunks, tag_filters, tags
from eucapy.database import Row, Tx
from eucapy.errors import ApiError
from eucapy.lifecycle import network_interface as life

network_interfaces = sa.Table(
    "network_interfaces",
    metadata,
    sa.Column("id", sa.String(32), primary_key=True),
    account_column(),
    sa.Column("vpc_id", sa.String(32), nullable=False, index=True),
    sa.Column("subnet_id", sa.String(32), sa.ForeignKey("subnets.id"), nullable=False, index=True),
    sa.Column("zone", sa.String(64), nullable=False),
    sa.Column("description", sa.String(255), nullable=False),
    sa.Column("mac", sa.String(17), nullable=False),
    sa.Column("tap", sa.String(15), nullable=False, unique=True),
    sa.Column("state", sa.String(16), nullable=False, server_default=life.AVAILABLE),
    sa.Column("private_ip", sa.String(15), nullable=False),
    sa.Column("secondary_ips", Json, nullable=False),
    sa.Column("ipv6s", Json, nullable=False, server_default="[]"),
    sa.Column("primary_ipv6", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("groups", Json, nullable=False),
    sa.Column("source_dest_check", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("auto_public", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("instance_id", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("device_index", sa.Integer, nullable=False, server_default="0"),
    sa.Column("attachment_id", sa.String(32), nullable=False, server_default="", index=True),
    sa.Column("attached_at", sa.Float, nullable=True),
    sa.Column("delete_on_termination", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("nat_gateway_id", sa.String(32), nullable=False, server_default=""),
    client_token_column(),
    created_column(),
    sa.UniqueConstraint("vpc_id", "mac"),
)

_MOVING = sa.text("state IN ('attaching', 'detaching')")
sa.Index("ix_network_interfaces_moving", network_interfaces.c.zone, sqlite_where=_MOVING, postgresql_where=_MOVING)
lifecycle_table(life.NETWORK_INTERFACE, network_interfaces)

"""`groups`: [[group id, name], …]. `primary_ipv6`: the first of `ipv6s` stays its own for good. `auto_public`: it was launched
with an automatic public address, and gets one anew at each start of its instance."""

interface_groups = sa.Table(
    "interface_groups",
    metadata,
    sa.Column("interface_id", sa.String(32), sa.ForeignKey("network_interfaces.id"), primary_key=True),
    sa.Column("group_id", sa.String(32), sa.ForeignKey("security_groups.id"), primary_key=True, index=True),
)


class InsufficientFreeAddressesInSubnet(ApiError):
    message = "The specified subnet does not have enough free addresses to satisfy the request."


class PrivateAddressInUse(ApiError):
    code = "InvalidIPAddress.InUse"
    message = "Address {ip} is in use."


class InvalidPrivateAddress(ApiError):
    code = "InvalidParameterValue"


_STATUS = sa.case(
    (sa.or_(network_interfaces.c.instance_id != "", network_interfaces.c.nat_gateway_id != ""), "in-use"),
    else_="available",
)
_OF_GATEWAY = network_interfaces.c.nat_gateway_id != ""
ATTACHED = sa.case(
    *(
        (network_interfaces.c.state == state, status)
        for state, status in life.ATTACHMENT_STATUS.items()
        if state != life.AVAILABLE
    ),
    else_=None,
)
"""EC2's AttachmentStatus, null for a free interface."""


def attached_only(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The column's value for attached interfaces, null for the others."""
    return sa.case((network_interfaces.c.instance_id != "", column), else_=None)


def _inside(build: filters.Filter) -> filters.Filter:
    return filters.exists(
        lambda values: sa.select(addresses_inside.c.ip).where(
            addresses_inside.c.interface_id == network_interfaces.c.id, build(values)
        )
    )


def _outside(build: filters.Filter) -> filters.Filter:
    return filters.exists(
        lambda values: sa.select(addresses_outside.c.ip).where(
            addresses_outside.c.interface_id == network_interfaces.c.id, build(values)
        )
    )


def _ipv6(build: filters.Filter) -> filters.Filter:
    given_out = ipv6_addresses.ipv6_addresses
    return filters.exists(
        lambda values: sa.select(given_out.c.ip).where(
            given_out.c.interface_id == network_interfaces.c.id, build(values)
        )
    )


def _in_group(build: filters.Filter) -> filters.Filter:
    groups = security_groups.security_groups
    return filters.exists(
        lambda values: (
            sa.select(interface_groups.c.group_id)
            .join(groups, groups.c.id == interface_groups.c.group_id)
            .where(interface_groups.c.interface_id == network_interfaces.c.id, build(values))
        )
    )


_OWNER = sa.case((addresses_outside.c.elastic.is_(True), addresses_outside.c.account), else_="amazon")
_ALLOCATION = sa.case((addresses_outside.c.elastic.is_(True), addresses_outside.c.id), else_=None)

FILTERS: dict[str, filters.Filter] = {
    "network-interface-id": filters.text(network_interfaces.c.id),
    "addresses.private-ip-address": _inside(filters.text(addresses_inside.c.ip)),
    "addresses.primary": _inside(filters.boolean(addresses_inside.c.is_primary)),
    "addresses.association.public-ip": _outside(filters.text(addresses_outside.c.ip)),
    "addresses.association.owner-id": _outside(filters.text(_OWNER)),
    "association.public-ip": _outside(filters.text(addresses_outside.c.ip)),
    "association.ip-owner-id": _outside(filters.text(_OWNER)),
    "association.allocation-id": _outside(filters.text(_ALLOCATION)),
    "association.association-id": _outside(filters.text(sa.func.nullif(addresses_outside.c.association_id, ""))),
    "association.public-dns-name": filters.never,
    "attachment.attachment-id": filters.text(attached_only(network_interfaces.c.attachment_id)),
    "attachment.attach-time": filters.timestamp(network_interfaces.c.attached_at),
    "attachment.delete-on-termination": filters.boolean(attached_only(network_interfaces.c.delete_on_termination)),
    "attachment.device-index": filters.number(attached_only(network_interfaces.c.device_index)),
    "attachment.instance-id": filters.text(attached_only(network_interfaces.c.instance_id)),
    "attachment.instance-owner-id": filters.text(attached_only(network_interfaces.c.account)),
    "attachment.status": filters.text(ATTACHED),
    "attachment.nat-gateway-id": filters.text(sa.func.nullif(network_interfaces.c.nat_gateway_id, "")),
    "availability-zone": filters.text(network_interfaces.c.zone),
    "description": filters.text(network_interfaces.c.description),
    "group-id": _in_group(filters.text(interface_groups.c.group_id)),
    "group-name": _in_group(filters.text(security_groups.security_groups.c.name)),
    "interface-type": filters.text(sa.case((_OF_GATEWAY, "nat_gateway"), else_="interface")),
    "ipv6-addresses.ipv6-address": _ipv6(filters.text(ipv6_addresses.ipv6_addresses.c.ip)),
    "mac-address": filters.text(network_interfaces.c.mac),
    "operator.managed": filters.constant("false"),
    "operator.principal": filters.never,
    "owner-id": filters.text(network_interfaces.c.account),
    "private-dns-name": lambda values: filters.matches(
        sa.literal("ip-") + sa.func.replace(network_interfaces.c.private_ip, ".", "-"),
        [value.partition(".")[0] for value in values],
    ),
    "private-ip-address": filters.text(network_interfaces.c.private_ip),
    "requester-id": filters.never,
    "requester-managed": filters.text(sa.case((_OF_GATEWAY, "true"), else_="false")),
    "source-dest-check": filters.boolean(network_interfaces.c.source_dest_check),
    "status": filters.text(_STATUS),
    "subnet-id": filters.text(network_interfaces.c.subnet_id),
    "vpc-id": filters.text(network_interfaces.c.vpc_id),
    **tag_filters(network_interfaces.c.id),
}


# On the path of every launch: built once.
_INSERT = sa.insert(network_interfaces).returning(network_interfaces)
_JOIN_GROUPS = sa.insert(interface_groups)
_UPDATE = sa.update(network_interfaces).where(network_interfaces.c.id == sa.bindparam("interface"))


async def create(
    tx: Tx,
    *,
    account: str,
    subnet: Row,
    groups: Sequence[str],
    description: str,
    now: float,
    private_ip: str | None = None,
    secondary_ips: Sequence[str] = (),
    secondary_count: int = 0,
    ipv6s: Sequence[str] = (),
    ipv6_count: int = 0,
    primary_ipv6: bool = False,
    source_dest_check: bool = True,
    auto_public: bool = False,
    client_token: str = "",
    nat_gateway_id: str = "",
    spared: Collection[str] = (),
) -> Row:
    """A free interface in the subnet. `groups` are ids that `security_groups.require` let through; `spared` are addresses
    that the same request names for other interfaces: none of them is chosen for this one. That of a NAT gateway has no groups.

    Raises InsufficientFreeAddressesInSubnet, InvalidIPAddress.InUse, and InvalidParameterValue for an address that the
    subnet cannot give, as every IPv6 address where it has no block.
    """
    interface_id = ids.new("eni")
    named = await security_groups.by_ids(tx, account, groups)
    # The named ones first: what is chosen must not be one of them.
    more = [await _take(tx, subnet, interface_id, ip) for ip in secondary_ips]
    primary = await _take(tx, subnet, interface_id, private_ip, is_primary=True, spared=spared)
    more += [await _take(tx, subnet, interface_id, None, spared=spared) for _ in range(secondary_count)]
    six = [await ipv6_addresses.take(tx, subnet, interface_id, ip) for ip in ipv6s]
    six += [await ipv6_addresses.take(tx, subnet, interface_id, None, spared) for _ in range(ipv6_count)]
    row = await tx.first(
        _INSERT,
        {
            "id": interface_id,
            "account": account,
            "vpc_id": subnet.vpc_id,
            "subnet_id": subnet.id,
            "zone": subnet.zone,
            "description": description,
            "mac": _mac(),
            "tap": tap_name(interface_id),
            "state": life.NETWORK_INTERFACE.start,
            "private_ip": primary,
            "secondary_ips": more,
            "ipv6s": six,
            "primary_ipv6": primary_ipv6,
            "groups": [[group, named[group].name] for group in groups],
            "source_dest_check": source_dest_check,
            "auto_public": auto_public,
            "nat_gateway_id": nat_gateway_id,
            "client_token": client_token,
            "created_at": now,
        },
    )
    assert row is not None
    if groups:
        await tx.run(_JOIN_GROUPS, [{"interface_id": interface_id, "group_id": group} for group in groups])
    return row


def _mac() -> str:
    """Random, unicast and locally administered."""
    return "02:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(5))


def tap_name(interface_id: str) -> str:
    """What the node's kernel calls the interface: 13 of the 15 characters that it allows."""
    return f"vn{interface_id[-11:]}"


async def _take(
    tx: Tx, subnet: Row, interface_id: str, ip: str | None, *, is_primary: bool = False, spared: Collection[str] = ()
) -> str:
    if ip is None:
        ip = await private_ips.free(tx, subnet.id, subnet.cidr, spared)
        if ip is None:
            raise InsufficientFreeAddressesInSubnet
    else:
        ip = await _available(tx, subnet, ip)
    await private_ips.insert(tx, subnet_id=subnet.id, ip=ip, interface_id=interface_id, is_primary=is_primary)
    return ip


async def _available(tx: Tx, subnet: Row, text: str) -> str:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise InvalidPrivateAddress(f"Invalid IPv4 address: {text}") from None
    network = ipaddress.IPv4Network(subnet.cidr)
    if address not in network:
        raise InvalidPrivateAddress(f"Address {text} does not fall within the subnet's address range")
    first, last = private_ips.usable(subnet.cidr)
    if not first <= int(address) <= last:
        raise InvalidPrivateAddress(f"Address {text} is in subnet's reserved address range")
    if await private_ips.is_taken(tx, subnet.id, int(address)):
        raise PrivateAddressInUse(ip=text)
    return str(address)


async def add_ips(tx: Tx, interface: Row, subnet: Row, wanted: Sequence[str], count: int) -> list[str]:
    """Give the interface these secondary addresses, and `count` more; all that it got."""
    got = [await _take(tx, subnet, interface.id, ip) for ip in wanted]
    got += [await _take(tx, subnet, interface.id, None) for _ in range(count)]
    await _update(tx, interface.id, secondary_ips=[*interface.secondary_ips, *got])
    return got


async def remove_ips(tx: Tx, interface: Row, gone: Sequence[str]) -> None:
    """Take these secondary addresses from the interface, with the public ones that stood for them."""
    await public_ips.unbind(tx, interface.id, gone)
    await private_ips.remove(tx, interface.id, gone)
    await _update(tx, interface.id, secondary_ips=[ip for ip in interface.secondary_ips if ip not in gone])


async def add_ipv6s(tx: Tx, interface: Row, subnet: Row, wanted: Sequence[str], count: int) -> list[str]:
    """Give the interface these IPv6 addresses, and `count` more; all that it got."""
    got = [await ipv6_addresses.take(tx, subnet, interface.id, ip) for ip in wanted]
    got += [await ipv6_addresses.take(tx, subnet, interface.id) for _ in range(count)]
    await _update(tx, interface.id, ipv6s=[*interface.ipv6s, *got])
    return got


async def remove_ipv6s(tx: Tx, interface: Row, gone: Sequence[str]) -> None:
    """Take these IPv6 addresses from the interface."""
    await ipv6_addresses.remove(tx, interface.id, gone)
    await _update(tx, interface.id, ipv6s=[ip for ip in interface.ipv6s if ip not in gone])


async def set_groups(tx: Tx, interface: Row, groups: Sequence[Row]) -> None:
    """Replace the interface's groups."""
    await tx.run(sa.delete(interface_groups).where(interface_groups.c.interface_id == interface.id))
    await tx.run(
        sa.insert(interface_groups), [{"interface_id": interface.id, "group_id": group.id} for group in groups]
    )
    await _update(tx, interface.id, groups=[[group.id, group.name] for group in groups])


async def update(tx: Tx, interface_id: str, **columns: Any) -> None:
    """Set description, source_dest_check, delete_on_termination, auto_public or primary_ipv6."""
    await _update(tx, interface_id, **columns)


async def attach(
    tx: Tx,
    interface: Row,
    instance_id: str,
    device_index: int,
    delete_on_termination: bool,
    now: float,
    *,
    running: bool = False,
) -> str:
    """Attach a free interface; the attachment's id. `running`: the guest runs, and has yet to get it."""
    attachment_id = ids.new("eni-attach")
    await advance(
        tx,
        life.NETWORK_INTERFACE,
        interface,
        "plug" if running else "attach",
        instance_id=instance_id,
        device_index=device_index,
        attachment_id=attachment_id,
        attached_at=now,
        delete_on_termination=delete_on_termination,
    )
    return attachment_id


async def unplug(tx: Tx, interface: Row) -> None:
    """Ask the running guest to let go of the interface."""
    await advance(tx, life.NETWORK_INTERFACE, interface, "unplug")


async def moving(tx: Tx, zone: str) -> list[Row]:
    """Interfaces of the zone that wait for a word from the node of their instance."""
    return list(await tx.all(sa.select(network_interfaces).where(network_interfaces.c.zone == zone, _MOVING)))


async def settle(tx: Tx, interface: Row) -> None:
    """The guest has what it shall have, or has let go of what it shall not."""
    if interface.state == life.ATTACHING:
        await advance(tx, life.NETWORK_INTERFACE, interface, "plugged")
    elif interface.state == life.DETACHING:
        await detach(tx, interface)


async def settle_all(tx: Tx, instance_id: str) -> None:
    """The instance is off: what its guest was to get or to give away is settled by its next start."""
    for row in await tx.all(sa.select(network_interfaces).where(network_interfaces.c.instance_id == instance_id)):
        await settle(tx, row)


async def detach(tx: Tx, interface: Row) -> None:
    """Free the interface; an automatic public address goes back to the pool, an elastic one stays."""
    await tx.run(
        sa.delete(addresses_outside).where(
            addresses_outside.c.interface_id == interface.id, addresses_outside.c.elastic.is_(False)
        )
    )
    await advance(
        tx,
        life.NETWORK_INTERFACE,
        interface,
        "release",
        instance_id="",
        device_index=0,
        attachment_id="",
        attached_at=None,
        delete_on_termination=False,
        auto_public=False,
    )


async def remove(tx: Tx, interface_id: str) -> None:
    """The interface, its addresses and its tags; elastic addresses stay with their account."""
    await public_ips.unbind(tx, interface_id)
    await private_ips.remove(tx, interface_id)
    await ipv6_addresses.remove(tx, interface_id)
    await tx.run(sa.delete(interface_groups).where(interface_groups.c.interface_id == interface_id))
    await tx.run(sa.delete(tags).where(tags.c.resource_id == interface_id))
    await tx.run(sa.delete(network_interfaces).where(network_interfaces.c.id == interface_id))


async def release_all(tx: Tx, instance_id: str) -> None:
    """The instance is gone: its interfaces go with it, or are free again, as each was attached."""
    rows = await tx.all(sa.select(network_interfaces).where(network_interfaces.c.instance_id == instance_id))
    for row in rows:
        if row.delete_on_termination:
            await remove(tx, row.id)
        else:
            await public_ips.unbind(tx, row.id)
            await detach(tx, row)


async def _update(tx: Tx, interface_id: str, **columns: Any) -> None:
    await tx.run(_UPDATE, {"interface": interface_id, **columns})


async def by_id(tx: Tx, account: str, interface_id: str) -> Row | None:
    return await tx.first(
        sa.select(network_interfaces).where(
            network_interfaces.c.account == account, network_interfaces.c.id == interface_id
        )
    )


async def of_anyone(tx: Tx, interface_id: str) -> Row | None:
    """The interface, whosever it is: for the operator."""
    return await tx.first(sa.select(network_interfaces).where(network_interfaces.c.id == interface_id))


async def of_vpcs(tx: Tx, vpc_ids: Sequence[str]) -> list[Row]:
    statement = sa.select(network_interfaces).where(network_interfaces.c.vpc_id.in_(vpc_ids))
    return list(await tx.all(statement.order_by(network_interfaces.c.id)))


async def by_attachment(tx: Tx, account: str, attachment_id: str) -> Row | None:
    return await tx.first(
        sa.select(network_interfaces).where(
            network_interfaces.c.account == account, network_interfaces.c.attachment_id == attachment_id
        )
    )


async def by_private_ip(tx: Tx, subnet_id: str, ip: str) -> Row | None:
    """The interface that has the address, primary or secondary, whose ever it is."""
    return await tx.first(
        sa.select(network_interfaces)
        .join(addresses_inside, addresses_inside.c.interface_id == network_interfaces.c.id)
        .where(addresses_inside.c.subnet_id == subnet_id, addresses_inside.c.ip == ip)
    )


async def by_ipv6(tx: Tx, ip: str) -> Row | None:
    """The interface that has the IPv6 address, whose ever it is."""
    given_out = ipv6_addresses.ipv6_addresses
    return await tx.first(
        sa.select(network_interfaces)
        .join(given_out, given_out.c.interface_id == network_interfaces.c.id)
        .where(given_out.c.ip == ip)
    )


async def count(tx: Tx, account: str) -> int:
    return int(
        await tx.scalar(
            sa.select(sa.func.count()).select_from(network_interfaces).where(network_interfaces.c.account == account)
        )
    )


async def of_instances(tx: Tx, instance_ids: Sequence[str]) -> dict[str, list[Row]]:
    """The interfaces of instances, by device index. Beside the interface's own columns each row has those of the public
    address that stands for its primary one, or nulls: `public_ip`, `public_id` (the allocation of an elastic address),
    `association_id`, `elastic`."""
    found: dict[str, list[Row]] = {}
    for chunk in chunks(instance_ids, 500):
        rows = await tx.all(
            _WITH_PUBLIC.where(network_interfaces.c.instance_id.in_(chunk)).order_by(
                network_interfaces.c.instance_id, network_interfaces.c.device_index
            )
        )
        for row in rows:
            found.setdefault(row.instance_id, []).append(row)
    return found


_WITH_PUBLIC = sa.select(
    network_interfaces,
    addresses_outside.c.ip.label("public_ip"),
    addresses_outside.c.id.label("public_id"),
    addresses_outside.c.association_id,
    addresses_outside.c.elastic,
).outerjoin(
    addresses_outside,
    sa.and_(
        addresses_outside.c.interface_id == network_interfaces.c.id,
        addresses_outside.c.private_ip == network_interfaces.c.private_ip,
    ),
)


def group_set(row: Row) -> list[dict[str, str]]:
    """EC2's GroupSet of an interface's row."""
    return [{"GroupId": group_id, "GroupName": name} for group_id, name in row.groups]


async def uses_group(tx: Tx, group_id: str) -> bool:
    return (
        await tx.first(
            sa.select(interface_groups.c.interface_id).where(interface_groups.c.group_id == group_id).limit(1)
        )
        is not None
    )


async def in_subnet(tx: Tx, subnet_id: str) -> bool:
    return (
        await tx.first(sa.select(network_interfaces.c.id).where(network_interfaces.c.subnet_id == subnet_id).limit(1))
        is not None
    )


async def page(
    tx: Tx, account: str, conditions: Sequence[filters.Condition], after: str = "", limit: int | None = None
) -> list[Row]:
    """Those of the account that meet all conditions and come after the id `after`, by id."""
    statement = sa.select(network_interfaces).where(
        network_interfaces.c.account == account, network_interfaces.c.id > after, *conditions
    )
    return list(await tx.all(statement.order_by(network_interfaces.c.id).limit(limit)))
