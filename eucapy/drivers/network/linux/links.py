"""Links: a guest's tap taken over, the VXLAN device, the veth pair between a namespace and the node.

A tap belongs to the program that opened it (QEMU) and goes when that program ends. It appears in the node's namespace,
where libvirt makes it, and is moved while it is in use: the program's file descriptor goes on working. A VXLAN device is
made from the node's namespace straight into its own, and keeps sending through the node's.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from pyroute2 import NetlinkError

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux.places import Place, Places, gone
from eucapy.drivers.network.model import NODE, Link, LinkKind

IFF_UP = 1


def _info(message: Any) -> tuple[str, Any]:
    info = message.get_attr("IFLA_LINKINFO")
    if info is None:
        return "", None
    return info.get_attr("IFLA_INFO_KIND") or "", info.get_attr("IFLA_INFO_DATA")


def is_tap(message: Any) -> bool:
    return _info(message)[0] == "tun"


def _settings(message: Any) -> Any:
    families = message.get_attr("IFLA_AF_SPEC")
    return (families.get_attr("AF_INET") if families is not None else None) or {}


def observe(place: Place, messages: list[Any]) -> Iterator[Link]:
    """Our links among the messages of a dump. A link that is down reports MTU 0, so that it differs from any desired."""
    for message in messages:
        name = message.get_attr("IFLA_IFNAME")
        kind, data = _info(message)
        if place.namespace == NODE and not (kind == "veth" and name.startswith(netns.peers(place.prefix))):
            continue
        settings = _settings(message)
        common: dict[str, Any] = {
            "namespace": place.namespace,
            "name": name,
            "mtu": message.get_attr("IFLA_MTU") if message["flags"] & IFF_UP else 0,
            "mac": message.get_attr("IFLA_ADDRESS") or "",
            "proxy_arp": bool(settings.get("proxy_arp")),
            "check_source": bool(settings.get("rp_filter")),
        }
        if kind == "tun":
            yield Link(kind=LinkKind.TAP, **common)
        elif kind == "vxlan":
            yield Link(
                kind=LinkKind.VXLAN,
                vni=data.get_attr("IFLA_VXLAN_ID"),
                local=data.get_attr("IFLA_VXLAN_LOCAL") or "",
                port=data.get_attr("IFLA_VXLAN_PORT"),
                **common,
            )
        elif kind == "veth":
            yield Link(kind=LinkKind.VETH_PEER if place.namespace == NODE else LinkKind.VETH, **common)


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
    return kind == {LinkKind.TAP: "tun"}.get(link.kind, "veth")


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
            stale = places.node.link(link.peer)
            if stale is not None:
                node.link("del", index=stale["index"])
            node.link("add", ifname=link.peer, kind="veth", peer={"ifname": link.name, "net_ns_fd": target})
    finally:
        os.close(target)


def _set_up(link: Link, place: Place, found: Any) -> None:
    conf = f"net/ipv4/conf/{link.name}"
    place.write(f"{conf}/rp_filter", "1" if link.check_source else "0")
    place.write(f"{conf}/send_redirects", "0")
    place.write(f"{conf}/accept_redirects", "0")
    place.write(f"net/ipv4/neigh/{link.name}/proxy_delay", "0")
    place.write(f"{conf}/proxy_arp", "1" if link.proxy_arp else "0")
    if link.namespace == NODE and place.read([f"net/ipv6/conf/{link.name}/disable_ipv6"]):
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
