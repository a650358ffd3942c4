"""Addresses, routes, rules about who is routed by which table, permanent neighbours, VXLAN forwarding entries.

In a namespace of ours everything that is not the kernel's own counts; in the node's namespace only routes of our
protocol number, and what lies on our links.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Iterable, Iterator, Mapping
from socket import AF_INET, AF_INET6
from typing import Any, NamedTuple

from pyroute2 import NetlinkError

from eucapy.drivers.network.linux import netlink
from eucapy.drivers.network.linux.netlink import Asking
from eucapy.drivers.network.linux.places import OURS, Place, Places, gone
from eucapy.drivers.network.model import NODE, Address, Forwarding, Neighbour, Route, SourceRule

AF_BRIDGE = 7
RTPROT_KERNEL = 2
RT_TABLE_MAIN = 254
RT_TABLE_LOCAL = 255
RT_SCOPE_NOWHERE = 255
"""Of whichever scope it is: a guest's own route has another one than those that lead through a gateway."""
RTN_UNREACHABLE = 7
RTN_THROW = 9
SOURCES = 1000
"""The priority of our rules: before the main table, behind the local one."""
NUD_PERMANENT = 0x80
NTF_PROXY = 0x08
NTF_SELF = 0x02
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY, _RTA_TABLE = 1, 4, 5, 15
_NDA_DST, _NDA_LLADDR = 1, 2
ANY: Mapping[int, str] = {AF_INET: "0.0.0.0", AF_INET6: "::"}  # noqa: S104 - the default route's destination
_WHOLE: Mapping[int, int] = {AF_INET: 32, AF_INET6: 128}
_RTM_F_CLONED = 0x200
"""A path's MTU that IPv6 has learned is told as a route, too."""
_IFA_F_NODAD, _IFA_F_NOPREFIXROUTE = 0x02, 0x200


def observe_addresses(place: Place, names: Mapping[int, str]) -> Iterator[Address]:
    """`names` are our links, by index."""
    for index, ip, length in addresses(place.asking):
        link = names.get(index)
        if link is not None and not (link == "lo" and ip in ("127.0.0.1", "::1")):
            whole = length == _length(ip)
            yield Address(namespace=place.namespace, link=link, ip=ip if whole else f"{ip}/{length}")


def family(address: str) -> int:
    """Of an address or a block."""
    return AF_INET6 if ":" in address else AF_INET


def _length(ip: str) -> int:
    """Of the prefix that an address of ours has."""
    return 64 if ip.startswith("fe80:") else _WHOLE[family(ip)]


def addresses(asking: Asking) -> Iterator[tuple[int, str, int]]:
    """(index of its link, address, length of its prefix) of every address of the namespace."""
    messages = [
        message
        for kind in (AF_INET, AF_INET6)
        for message in asking.dump(netlink.GETADDR, struct.pack("=BBBBI", kind, 0, 0, 0, 0))
    ]
    for message in messages:
        found = netlink.attributes(message, 8)
        yield (
            struct.unpack_from("=I", message, 4)[0],
            netlink.address(found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)),
            message[1],
        )


def put_address(thing: Address, places: Places) -> None:
    place = places[thing.namespace]
    request: dict[str, Any] = {"index": place.index(thing.link), "address": thing.ip, "prefixlen": _length(thing.ip)}
    if family(thing.ip) == AF_INET6:
        alone = 0 if thing.ip.startswith("fe80:") else _IFA_F_NOPREFIXROUTE
        request |= {"family": AF_INET6, "flags": _IFA_F_NODAD | alone}
    place.ip.addr("replace", **request)


def drop_address(thing: Address, places: Places) -> None:
    ip, _, length = thing.ip.partition("/")
    place = places[thing.namespace]
    link = place.link(thing.link)
    if link is not None:
        request = {"index": link["index"], "address": ip, "prefixlen": int(length or _length(ip)), "family": family(ip)}
        _unless_gone(place.ip.addr, "del", **request)


def observe_routes(place: Place, names: Mapping[int, str], seen: Iterable[Seen]) -> Iterator[Route]:
    """`seen` are the namespace's routes, as `look` finds them."""
    for route in seen:
        ours = route.protocol == OURS if place.namespace == NODE else route.protocol != RTPROT_KERNEL
        if not ours or route.table == RT_TABLE_LOCAL or (place.namespace == NODE and route.table != RT_TABLE_MAIN):
            continue
        link = "" if route.kind in (RTN_UNREACHABLE, RTN_THROW) else names.get(route.link, "?")
        if place.namespace == NODE and link == "?":
            continue  # another cloud's
        table = 0 if route.table == RT_TABLE_MAIN else route.table
        refuses = bool(table) and route.kind == RTN_UNREACHABLE
        yield Route(namespace=place.namespace, to=route.to, link=link, via=route.via, table=table, refuses=refuses)


class Seen(NamedTuple):
    """A route as a dump shows it."""

    protocol: int
    table: int
    kind: int
    to: str
    via: str
    link: int


def look(asking: Asking) -> list[Seen]:
    """Every route of the namespace, of both families."""
    found = []
    messages = [
        message
        for each in (AF_INET, AF_INET6)
        for message in asking.dump(netlink.GETROUTE, struct.pack("=BBBBBBBBI", each, *([0] * 8)))
    ]
    for message in messages:
        of, length, _, _, table, protocol, _, kind, flags = struct.unpack_from("=BBBBBBBBI", message)
        if flags & _RTM_F_CLONED:
            continue
        more = netlink.attributes(message, 12)
        found.append(
            Seen(
                protocol,
                netlink.number(more.get(_RTA_TABLE)) or table,
                kind,
                f"{netlink.address(more.get(_RTA_DST)) or ANY[of]}/{length}",
                netlink.address(more.get(_RTA_GATEWAY)),
                netlink.number(more.get(_RTA_OIF)),
            )
        )
    return found


def others(ours: Iterable[Route], seen: Iterable[Seen]) -> set[str]:
    """Addresses that another cloud on this node routes to guests of its own, among the node's routes."""
    own = {route.to for route in ours}
    return {route.to.partition("/")[0] for route in seen if route.protocol == OURS and route.to not in own}


def put_route(thing: Route, places: Places) -> None:
    place = places[thing.namespace]
    request: dict[str, Any] = {
        "family": family(thing.to),
        "dst": thing.to,
        "proto": OURS,
        "table": thing.table or RT_TABLE_MAIN,
    }
    if not thing.link:
        request["type"] = _refusal(thing)
    else:
        request["oif"] = place.index(thing.link)
        if thing.via:
            request |= {"gateway": thing.via, "flags": ["onlink"]}
        else:
            request["scope"] = "link"
    place.ip.route("replace", **request)


def _refusal(thing: Route) -> str:
    return "throw" if thing.table and not thing.refuses else "unreachable"


def drop_route(thing: Route, places: Places) -> None:
    request: dict[str, Any] = {
        "family": family(thing.to),
        "dst": thing.to,
        "table": thing.table or RT_TABLE_MAIN,
        "scope": RT_SCOPE_NOWHERE,
    }
    if not thing.link:
        request["type"] = _refusal(thing)
    _unless_gone(places[thing.namespace].ip.route, "del", **request)


def observe_source_rules(place: Place) -> Iterator[SourceRule]:
    """In a namespace of ours; the node's rules are none of our business."""
    for each, message in _rules(place):
        if message.get_attr("FRA_PRIORITY") == SOURCES:
            source = f"{message.get_attr('FRA_SRC') or ANY[each]}/{message['src_len']}"
            yield SourceRule(namespace=place.namespace, source=source, table=message.get_attr("FRA_TABLE"))


def _rules(place: Place) -> Iterator[tuple[int, Any]]:
    for each in (AF_INET, AF_INET6):
        try:
            yield from ((each, message) for message in place.ip.rule("dump", family=each))
        except NetlinkError as error:
            if error.code != errno.EAFNOSUPPORT:  # a kernel without IPv6
                raise


def put_source_rule(thing: SourceRule, places: Places) -> None:
    """The new one stands before the old one goes: there is no moment without."""
    place = places[thing.namespace]
    held = [rule for rule in observe_source_rules(place) if rule.source == thing.source]
    if thing not in held:
        place.ip.rule("add", **_source_rule(thing))
    for rule in held:
        if rule != thing:
            drop_source_rule(rule, places)


def drop_source_rule(thing: SourceRule, places: Places) -> None:
    _unless_gone(places[thing.namespace].ip.rule, "del", **_source_rule(thing))


def _source_rule(thing: SourceRule) -> dict[str, Any]:
    block, _, length = thing.source.partition("/")
    return {"family": family(block), "priority": SOURCES, "src": block, "src_len": int(length), "table": thing.table}


def observe_neighbours(place: Place, names: Mapping[int, str]) -> Iterator[Neighbour]:
    messages = [
        message
        for each in (AF_INET, AF_INET6)
        for message in place.asking.dump(netlink.GETNEIGH, struct.pack("=BBHiHBB", each, *([0] * 6)))
    ]
    for message in messages:
        index, state, flags, _ = struct.unpack_from("=iHBB", message, 4)
        link = names.get(index)
        if link is not None and state & NUD_PERMANENT and not flags & NTF_PROXY:
            found = netlink.attributes(message, 12)
            ip, mac = netlink.address(found.get(_NDA_DST)), netlink.mac(found.get(_NDA_LLADDR))
            yield Neighbour(namespace=place.namespace, link=link, ip=ip, mac=mac)


def put_neighbour(thing: Neighbour, places: Places) -> None:
    place = places[thing.namespace]
    request = {"ifindex": place.index(thing.link), "dst": thing.ip, "lladdr": thing.mac, "family": family(thing.ip)}
    place.ip.neigh("replace", state=NUD_PERMANENT, **request)


def drop_neighbour(thing: Neighbour, places: Places) -> None:
    place = places[thing.namespace]
    link = place.link(thing.link)
    if link is not None:
        _unless_gone(place.ip.neigh, "del", ifindex=link["index"], dst=thing.ip, family=family(thing.ip))


def observe_forwarding(place: Place, vxlans: Mapping[int, str]) -> Iterator[Forwarding]:
    """`vxlans` are the VXLAN links, by index."""
    for index, link in vxlans.items():
        # The old form of the question, a link's header: the kernel answers it for one link alone.
        for message in place.asking.dump(netlink.GETNEIGH, struct.pack("=BBHiII", AF_BRIDGE, 0, 0, index, 0, 0)):
            found = netlink.attributes(message, 12)
            node = netlink.address(found.get(_NDA_DST))
            if struct.unpack_from("=i", message, 4)[0] == index and node:
                mac = netlink.mac(found.get(_NDA_LLADDR))
                yield Forwarding(namespace=place.namespace, link=link, mac=mac, node=node)


def put_forwarding(thing: Forwarding, places: Places) -> None:
    place = places[thing.namespace]
    index = place.index(thing.link)
    place.ip.fdb("replace", ifindex=index, lladdr=thing.mac, dst=thing.node, flags=NTF_SELF, state=NUD_PERMANENT)


def drop_forwarding(thing: Forwarding, places: Places) -> None:
    place = places[thing.namespace]
    link = place.link(thing.link)
    if link is not None:
        _unless_gone(place.ip.fdb, "del", ifindex=link["index"], lladdr=thing.mac, dst=thing.node, flags=NTF_SELF)


def _unless_gone(call: Any, *args: Any, **request: Any) -> None:
    try:
        call(*args, **request)
    except NetlinkError as error:
        if not gone(error):
            raise
