"""Addresses, routes, rules about who is routed by which table, permanent neighbours, VXLAN forwarding entries.

In a namespace of ours everything that is not the kernel's own counts; in the node's namespace only routes of our
protocol number, and what lies on our links.
"""

from __future__ import annotations

from collections.abc import Iterator
from socket import AF_INET
from typing import Any

from pyroute2 import NetlinkError

from eucapy.drivers.network.linux.places import OURS, Place, Places, gone
from eucapy.drivers.network.model import NODE, Address, Forwarding, Neighbour, Route, SourceRule, Thing

RTPROT_KERNEL = 2
RT_TABLE_MAIN = 254
RT_TABLE_LOCAL = 255
RTN_UNREACHABLE = 7
RTN_THROW = 9
SOURCES = 1000
"""The priority of our rules: before the main table, behind the local one."""
NUD_PERMANENT = 0x80
NTF_PROXY = 0x08
NTF_SELF = 0x02
ANY = "0.0.0.0"  # noqa: S104 - the default route's destination


def observe_addresses(place: Place, names: dict[int, str]) -> Iterator[Address]:
    """`names` are our links, by index."""
    for message in place.ip.get_addr(family=AF_INET):
        link = names.get(message["index"])
        ip = message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS")
        if link is not None and not (link == "lo" and ip == "127.0.0.1"):
            length = message["prefixlen"]
            yield Address(namespace=place.namespace, link=link, ip=ip if length == 32 else f"{ip}/{length}")


def put_address(thing: Address, places: Places) -> None:
    place = places[thing.namespace]
    place.ip.addr("replace", index=place.index(thing.link), address=thing.ip, prefixlen=32)


def drop_address(thing: Address, places: Places) -> None:
    ip, _, length = thing.ip.partition("/")
    place = places[thing.namespace]
    link = place.link(thing.link)
    if link is not None:
        _unless_gone(place.ip.addr, "del", index=link["index"], address=ip, prefixlen=int(length or 32))


def observe_routes(place: Place, names: dict[int, str]) -> Iterator[Route]:
    for message in place.ip.route("dump", family=AF_INET):
        ours = message["proto"] == OURS if place.namespace == NODE else message["proto"] != RTPROT_KERNEL
        table = message.get_attr("RTA_TABLE")
        if not ours or table == RT_TABLE_LOCAL or (place.namespace == NODE and table != RT_TABLE_MAIN):
            continue
        link = "" if message["type"] in (RTN_UNREACHABLE, RTN_THROW) else names.get(message.get_attr("RTA_OIF"), "?")
        if place.namespace == NODE and link == "?":
            continue  # another cloud's
        yield Route(
            namespace=place.namespace,
            to=f"{message.get_attr('RTA_DST') or ANY}/{message['dst_len']}",
            link=link,
            via=message.get_attr("RTA_GATEWAY") or "",
            table=0 if table == RT_TABLE_MAIN else table,
        )


def others(node: Place, ours: set[Thing]) -> set[str]:
    """Addresses that another cloud on this node routes to guests of its own."""
    own = {thing.to for thing in ours if isinstance(thing, Route) and thing.namespace == NODE}
    found = {
        f"{message.get_attr('RTA_DST')}/{message['dst_len']}"
        for message in node.ip.route("dump", family=AF_INET)
        if message["proto"] == OURS
    }
    return {to.removesuffix("/32") for to in found - own}


def put_route(thing: Route, places: Places) -> None:
    place = places[thing.namespace]
    request: dict[str, Any] = {"dst": thing.to, "proto": OURS, "table": thing.table or RT_TABLE_MAIN}
    if not thing.link:
        request["type"] = "throw" if thing.table else "unreachable"
    else:
        request["oif"] = place.index(thing.link)
        if thing.via:
            request |= {"gateway": thing.via, "flags": ["onlink"]}
        else:
            request["scope"] = "link"
    place.ip.route("replace", **request)


def drop_route(thing: Route, places: Places) -> None:
    request: dict[str, Any] = {"dst": thing.to, "table": thing.table or RT_TABLE_MAIN}
    if not thing.link:
        request["type"] = "throw" if thing.table else "unreachable"
    _unless_gone(places[thing.namespace].ip.route, "del", **request)


def observe_source_rules(place: Place) -> Iterator[SourceRule]:
    """In a namespace of ours; the node's rules are none of our business."""
    for message in place.ip.rule("dump", family=AF_INET):
        if message.get_attr("FRA_PRIORITY") == SOURCES:
            source = f"{message.get_attr('FRA_SRC') or ANY}/{message['src_len']}"
            yield SourceRule(namespace=place.namespace, source=source, table=message.get_attr("FRA_TABLE"))


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
    return {"family": AF_INET, "priority": SOURCES, "src": block, "src_len": int(length), "table": thing.table}


def observe_neighbours(place: Place, names: dict[int, str]) -> Iterator[Neighbour]:
    for message in place.ip.neigh("dump", family=AF_INET):
        link = names.get(message["ifindex"])
        if link is not None and message["state"] & NUD_PERMANENT and not message["flags"] & NTF_PROXY:
            yield Neighbour(
                namespace=place.namespace,
                link=link,
                ip=message.get_attr("NDA_DST"),
                mac=message.get_attr("NDA_LLADDR") or "",
            )


def put_neighbour(thing: Neighbour, places: Places) -> None:
    place = places[thing.namespace]
    place.ip.neigh("replace", ifindex=place.index(thing.link), dst=thing.ip, lladdr=thing.mac, state=NUD_PERMANENT)


def drop_neighbour(thing: Neighbour, places: Places) -> None:
    place = places[thing.namespace]
    link = place.link(thing.link)
    if link is not None:
        _unless_gone(place.ip.neigh, "del", ifindex=link["index"], dst=thing.ip)


def observe_forwarding(place: Place, vxlans: dict[int, str]) -> Iterator[Forwarding]:
    """`vxlans` are the VXLAN links, by index."""
    for index, link in vxlans.items():
        for message in place.ip.fdb("dump", ifindex=index):
            node = message.get_attr("NDA_DST")
            if message["ifindex"] == index and node:
                mac = message.get_attr("NDA_LLADDR")
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
