"""Ways through the host's own firewall, where it forwards nothing by default (Docker and ufw set it so).

A packet that our table accepts is still dropped by another table's chain whose policy is to drop. Into each such chain of
the forward hook go two accepting rules at its head, for what comes from and goes to our pairs; our own table judges those.
They are written in the words that iptables itself would use, so that it goes on understanding its table. Nothing else of
another's table is touched, and a chain that stops dropping gets its rules taken out again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

from pyroute2.nftables.main import NFTables

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux.places import Place, Places
from eucapy.drivers.network.model import NODE, Passage
from eucapy.run import in_netns, run_now

_FAMILIES = {1: "inet", 2: "ip", 10: "ip6"}
_FORWARD = 2  # NF_INET_FORWARD
_DROP = 0  # NF_DROP
_SIDES = ("iifname", "oifname")


def chains(place: Place) -> dict[tuple[str, str, str], bool]:
    """(family, table, chain) of the chains of others in the forward hook, and whether they drop what they do not know."""
    own = netns.node_table(place.prefix)
    with netns.inside(place.netns), contextlib.closing(NFTables(nfgen_family=0)) as tables:
        messages = [message for message in tables.get_chains() if message["nfgen_family"] in _FAMILIES]
    return {
        (
            _FAMILIES[message["nfgen_family"]],
            message.get_attr("NFTA_CHAIN_TABLE"),
            message.get_attr("NFTA_CHAIN_NAME"),
        ): (message.get_attr("NFTA_CHAIN_POLICY") == _DROP)
        for message in messages
        if _hook(message) == _FORWARD and message.get_attr("NFTA_CHAIN_TABLE") != own
    }


def _hook(message: Any) -> int | None:
    hook = message.get_attr("NFTA_CHAIN_HOOK")
    number: int | None = hook.get_attr("NFTA_HOOK_HOOKNUM") if hook is not None else None
    return number


def observe(place: Place, candidates: Iterable[tuple[str, str, str]]) -> Iterator[Passage]:
    """The passages that are whole, among the chains."""
    for family, table, chain in sorted(candidates):
        if {side for side, _ in _rules(place, family, table, chain)} == set(_SIDES):
            yield Passage(namespace=NODE, family=family, table=table, chain=chain)


def put(thing: Passage, places: Places) -> None:
    place = places[thing.namespace]
    there = {side for side, _ in _rules(place, thing.family, thing.table, thing.chain)}
    where = f"{thing.family} {thing.table} {thing.chain}"
    lines = [
        f'insert rule {where} {side} "{netns.peers(place.prefix)}*" counter accept\n'
        for side in _SIDES
        if side not in there
    ]
    run_now(*in_netns(place.netns or None, ["nft", "-f", "-"]), stdin="".join(lines))


def drop(thing: Passage, places: Places) -> None:
    place = places[thing.namespace]
    where = f"{thing.family} {thing.table} {thing.chain}"
    lines = [
        f"delete rule {where} handle {handle}\n" for _, handle in _rules(place, thing.family, thing.table, thing.chain)
    ]
    run_now(*in_netns(place.netns or None, ["nft", "-f", "-"]), stdin="".join(lines))


def _rules(place: Place, family: str, table: str, chain: str) -> list[tuple[str, int]]:
    """(side, handle) of our rules in the chain; none when the chain is gone."""
    argv = ["nft", "--json", "--handle", "list", "chain", family, table, chain]
    done = run_now(*in_netns(place.netns or None, argv), check=False)
    if done.status != 0:
        return []
    pattern = f"{netns.peers(place.prefix)}*"
    found = []
    for entry in json.loads(done.stdout)["nftables"]:
        expressions = entry.get("rule", {}).get("expr", [])
        if not expressions or "accept" not in expressions[-1]:
            continue
        match = expressions[0].get("match", {})
        side = match.get("left", {}).get("meta", {}).get("key") if isinstance(match.get("left"), dict) else None
        if side in _SIDES and match.get("right") == pattern:
            found.append((side, entry["rule"]["handle"]))
    return found
