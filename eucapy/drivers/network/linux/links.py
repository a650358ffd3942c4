"""Links: a guest's tap taken over, the VXLAN device, veth pairs between a namespace and the node, or another.

A tap belongs to the program that opened it (QEMU) and goes when that program ends. It appears in the node's namespace,
where libvirt makes it, and is moved while it is in use: the program's file descriptor goes on working. A VXLAN device is
made from the node's namespace straight into its own, and keeps sending through the node's.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from socket import AF_INET, AF_INET6
from typing import Any

from pyroute2 import NetlinkError

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux import netlink
from eucapy.drivers.network.linux.netlink import Asking
from eucapy.drivers.network.linux.places import Place, Places, gone
from eucapy.drivers.network.model import NODE, Link, LinkKind

IFF_UP = 1
TUN = "tun"
"""The kind of a tap."""

_KINDS = {TUN: LinkKind.TAP, "vxlan": LinkKind.VXLAN, "veth": LinkKind.VETH}
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_AF_SPEC = 1, 3, 4, 18, 26
_INFO_KIND, _INFO_DATA = 1, 2
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_PORT = 1, 4, 15
_INET_CONF, _PROXY_ARP, _RP_FILTER = 1, 2, 7
"""The attribute with IPv4's settings, and where in it they are."""
_INET6_CONF, _DISABLED = 2, 26
_ROUTING6 = ((0, 1), (3, 0), (4, 0), (5, 0), (_DISABLED, 0))
"""IPv6's settings: forwarding, and the deaf ear to advertisements, redirects and prefixes, each as it is where IPv6 is on."""

_ON6 = {
    "addr_gen_mode": "1",
    "accept_ra": "0",
    "accept_redirects": "0",
    "autoconf": "0",
    "accept_dad": "0",
    "dad_transmits": "0",
    "forwarding": "1",
    "disable_ipv6": "0",
}
"""What makes a link one that routes IPv6, in this order: no address of the kernel's own making, and none to wait for."""


def _info(message: Any) -> tuple[str, Any]:
    info = message.get_attr("IFLA_LINKINFO")
    if info is None:
        return "", None
    return info.get_attr("IFLA_INFO_KIND") or "", info.get_attr("IFLA_INFO_DATA")


def is_tap(message: Any) -> bool:
    return _info(message)[0] == TUN


@dataclass(frozen=True, slots=True)
class Seen:
    """A link as a dump shows it. `proxy_arp` and `check_source` are settings of IPv4, `ipv6` says whether it is on (None:
    neither as it should be on nor off); VXLAN's values are empty for others."""

    index: int
    name: str
    kind: str
    mtu: int
    up: bool
    mac: str
    proxy_arp: bool
    check_source: bool
    ipv6: bool | None = False
    vni: int = 0
    local: str = ""
    port: int = 0


def look(asking: Asking) -> list[Seen]:
    """Every link of the namespace. Raises OSError."""
    return [_seen(message) for message in asking.dump(netlink.GETLINK, bytes(16))]


def _seen(message: bytes) -> Seen:
    index, flags = struct.unpack_from("=iI", message, 4)
    found = netlink.attributes(message, 16)
    info = netlink.attributes(found.get(_IFLA_LINKINFO, b""))
    kind = netlink.text(info.get(_INFO_KIND))
    data = netlink.attributes(info.get(_INFO_DATA, b"")) if kind == "vxlan" else {}
    families = netlink.attributes(found.get(_IFLA_AF_SPEC, b""))
    values = _settings(families.get(AF_INET, b""), _INET_CONF)
    return Seen(
        index=index,
        name=netlink.text(found.get(_IFLA_IFNAME)),
        kind=kind,
        mtu=netlink.number(found.get(_IFLA_MTU)),
        up=bool(flags & IFF_UP),
        mac=netlink.mac(found.get(_IFLA_ADDRESS)),
        proxy_arp=len(values) > _PROXY_ARP and bool(values[_PROXY_ARP]),
        check_source=len(values) > _RP_FILTER and bool(values[_RP_FILTER]),
        ipv6=_routes_ipv6(_settings(families.get(AF_INET6, b""), _INET6_CONF)),
        vni=netlink.number(data.get(_VXLAN_ID)),
        local=netlink.address(data.get(_VXLAN_LOCAL)),
        port=int.from_bytes(data.get(_VXLAN_PORT, b""), "big"),
    )


def _settings(family: bytes, attribute: int) -> tuple[int, ...]:
    values = netlink.attributes(family).get(attribute, b"")
    return struct.unpack(f"={len(values) // 4}I", values[: len(values) // 4 * 4])


def _routes_ipv6(values: tuple[int, ...]) -> bool | None:
    if len(values) <= _DISABLED or values[_DISABLED]:
        return False
    return True if all(values[at] == value for at, value in _ROUTING6) else None


def observe(place: Place, links: Iterable[Seen]) -> Iterator[Link]:
    """Our links among those. A link that is down, or neither carries IPv6 nor refuses it as it must, reports MTU 0, so that
    it differs from any desired."""
    for seen in links:
        if place.namespace == NODE and not (seen.kind == "veth" and seen.name.startswith(netns.peers(place.prefix))):
            continue
        kind = _KINDS.get(seen.kind)
        if kind is None:
            continue
        vxlan: dict[str, Any] = (
            {"vni": seen.vni, "local": seen.local, "port": seen.port} if kind is LinkKind.VXLAN else {}
        )
        yield Link(
            namespace=place.namespace,
            name=seen.name,
            kind=LinkKind.VETH_PEER if kind is LinkKind.VETH and place.namespace == NODE else kind,
            mtu=seen.mtu if seen.up and seen.ipv6 is not None else 0,
            mac=seen.mac,
            proxy_arp=seen.proxy_arp,
            check_source=seen.check_source,
            ipv6=bool(seen.ipv6),
            **vxlan,
        )


def put(link: Link, places: Places) -> None:
    """Raises LookupError when a tap or a veth's other end is not there."""
    place = places[link.namespace]
    found = place.link(link.name)
    if found is not None and not _same_device(link, found):
        place.ip.link("del", index=found["index"])
        found = None
    if found is None:
        _make(link, places)
        found = place.link(link.name)
        if found is None:
            raise LookupError(f"link {link.name} went away")
    _set_up(link, place, found)


def _same_device(link: Link, found: Any) -> bool:
    kind, data = _info(found)
    if link.kind is LinkKind.VXLAN:
        held = [data.get_attr(f"IFLA_VXLAN_{name}") for name in ("ID", "LOCAL", "PORT")] if kind == "vxlan" else []
        return held == [link.vni, link.local, link.port]
    return kind == {LinkKind.TAP: TUN}.get(link.kind, "veth")


def _make(link: Link, places: Places) -> None:
    if link.kind is LinkKind.VETH_PEER:
        raise LookupError(f"no link {link.name}")
    node = places.node.ip
    target = os.open(netns.path(link.namespace), os.O_RDONLY | os.O_CLOEXEC)
    try:
        if link.kind is LinkKind.TAP:
            tap = places.node.link(link.name)
            if tap is None or not is_tap(tap):
                raise LookupError(f"no tap {link.name}")
            node.link("set", index=tap["index"], net_ns_fd=target)
        elif link.kind is LinkKind.VXLAN:
            node.link(
                "add",
                ifname=link.name,
                kind="vxlan",
                vxlan_id=link.vni,
                vxlan_local=link.local,
                vxlan_port=link.port,
                vxlan_learning=False,
                net_ns_fd=target,
            )
        else:
            _make_pair(link, places, target)
    finally:
        os.close(target)


def _make_pair(link: Link, places: Places, target: int) -> None:
    """Both ends at once, each in its namespace; the far one is not set up."""
    there = places[link.far]
    stale = there.link(link.peer)
    if stale is not None:
        there.ip.link("del", index=stale["index"])
    there.ip.link("add", ifname=link.peer, kind="veth", peer={"ifname": link.name, "net_ns_fd": target})


def _set_up(link: Link, place: Place, found: Any) -> None:
    conf = f"net/ipv4/conf/{link.name}"
    place.write(f"{conf}/rp_filter", "1" if link.check_source else "0")
    place.write(f"{conf}/send_redirects", "0")
    place.write(f"{conf}/accept_redirects", "0")
    place.write(f"net/ipv4/neigh/{link.name}/proxy_delay", "0")
    place.write(f"{conf}/proxy_arp", "1" if link.proxy_arp else "0")
    if link.ipv6:
        for setting, value in _ON6.items():
            place.write(f"net/ipv6/conf/{link.name}/{setting}", value)
    elif place.read([f"net/ipv6/conf/{link.name}/disable_ipv6"]):
        place.write(f"net/ipv6/conf/{link.name}/disable_ipv6", "1")
    changes: dict[str, Any] = {}
    if found.get_attr("IFLA_MTU") != link.mtu:
        changes["mtu"] = link.mtu
    if found.get_attr("IFLA_ADDRESS") != link.mac:
        changes["address"] = link.mac
    if not found["flags"] & IFF_UP:
        changes["state"] = "up"
    if changes:
        place.ip.link("set", index=found["index"], **changes)


def drop(link: Link, places: Places) -> None:
    """A tap is never removed by us: it is its guest's."""
    if link.kind is LinkKind.TAP:
        raise LookupError(f"tap {link.name} belongs to its guest")
    place = places[link.namespace]
    found = place.link(link.name)
    if found is None:
        return
    try:
        place.ip.link("del", index=found["index"])
    except NetlinkError as error:
        if not gone(error):
            raise
