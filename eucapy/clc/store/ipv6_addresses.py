"""IPv6 addresses of network interfaces: one row each. EC2 keeps the first four addresses of a subnet's block, and the last.

Who has which is also in the interface's own row, in their order; only `network_interfaces.py` writes either.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Collection, Iterable

import sqlalchemy as sa

from eucapy.clc.store.base import metadata
from eucapy.database import Row, Tx
from eucapy.errors import ApiError

ipv6_addresses = sa.Table(
    "ipv6_addresses",
    metadata,
    sa.Column("ip", sa.String(39), primary_key=True),
    sa.Column("subnet_id", sa.String(32), sa.ForeignKey("subnets.id"), nullable=False, index=True),
    sa.Column("interface_id", sa.String(32), nullable=False, index=True),
)


class NoIpv6Block(ApiError):
    code = "InvalidParameterValue"
    message = "The subnet has no IPv6 CIDR block associated with it."


class InvalidIpv6Address(ApiError):
    code = "InvalidParameterValue"


class Ipv6AddressInUse(ApiError):
    code = "InvalidIPAddress.InUse"
    message = "Address {ip} is in use."


async def take(tx: Tx, subnet: Row, interface_id: str, ip: str | None = None, spared: Collection[str] = ()) -> str:
    """Give the interface this address of its subnet's block, or one that nobody has and that is none of `spared`.

    Raises InvalidParameterValue where the subnet has no block or cannot give the address, InvalidIPAddress.InUse.
    """
    if not subnet.cidr6:
        raise NoIpv6Block
    network = ipaddress.IPv6Network(subnet.cidr6)
    if ip is None:
        chosen = await _free(tx, network, spared)
    else:
        chosen = _usable(network, ip)
        if await _is_taken(tx, chosen):
            raise Ipv6AddressInUse(ip=ip)
    await tx.run(sa.insert(ipv6_addresses).values(ip=chosen, subnet_id=subnet.id, interface_id=interface_id))
    return chosen


async def _free(tx: Tx, network: ipaddress.IPv6Network, spared: Collection[str]) -> str:
    """By chance: a block has more addresses than could ever be given out, so the first try is the rule."""
    kept = {one for text in spared if (one := canonical(text))}
    while True:
        number = 4 + secrets.randbelow(network.num_addresses - 5)
        chosen = str(network.network_address + number)
        if chosen not in kept and not await _is_taken(tx, chosen):
            return chosen


def canonical(text: str) -> str:
    """The address as it is written in rows; "" for what is none."""
    try:
        return str(ipaddress.IPv6Address(text)) if "%" not in text else ""
    except ValueError:
        return ""


def _usable(network: ipaddress.IPv6Network, text: str) -> str:
    ip = canonical(text)
    if not ip:
        raise InvalidIpv6Address(f"Invalid IPv6 address: {text}")
    address = ipaddress.IPv6Address(ip)
    if address not in network:
        raise InvalidIpv6Address(f"Address {text} does not fall within the subnet's address range")
    if not 4 <= int(address) - int(network.network_address) < network.num_addresses - 1:
        raise InvalidIpv6Address(f"Address {text} is in subnet's reserved address range")
    return ip


async def _is_taken(tx: Tx, ip: str) -> bool:
    return await tx.first(sa.select(ipv6_addresses.c.ip).where(ipv6_addresses.c.ip == ip)) is not None


async def in_subnet(tx: Tx, subnet_id: str) -> bool:
    """Whether anybody has an address of the subnet's block."""
    found = sa.select(ipv6_addresses.c.ip).where(ipv6_addresses.c.subnet_id == subnet_id).limit(1)
    return await tx.first(found) is not None


async def remove(tx: Tx, interface_id: str, ips: Iterable[str] | None = None) -> None:
    """Give back these addresses of the interface, or all of them."""
    statement = sa.delete(ipv6_addresses).where(ipv6_addresses.c.interface_id == interface_id)
    if ips is not None:
        statement = statement.where(ipv6_addresses.c.ip.in_(list(ips)))
    await tx.run(statement)
