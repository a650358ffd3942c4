"""Rule sets: our tables of a namespace, replaced in one nftables transaction.

The digest of what was loaded is kept in the kernel with it, as the name of an empty chain: table and digest come and go
together. Only our own tables, of the families inet and arp, are ever touched.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from pyroute2.nftables.main import NFTables

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux import flows
from eucapy.drivers.network.linux.places import Place, Places
from eucapy.drivers.network.model import NODE, Ruleset
from eucapy.run import in_netns, run_now

TABLE = "eucapy"
"""Our table in a namespace of ours; in the node's namespace it carries the cloud's mark too."""
FAMILIES = ("inet", "arp")
NFPROTO_INET = 1
_MARK = "digest_"


def observe(place: Place) -> Iterator[Ruleset]:
    """The rule set that is loaded, if one is; its digest is empty when it is not one that we loaded whole."""
    with netns.inside(place.netns), contextlib.closing(NFTables(nfgen_family=NFPROTO_INET)) as tables:
        chains = [
            message.get_attr("NFTA_CHAIN_NAME")
            for message in tables.get_chains()
            if message.get_attr("NFTA_CHAIN_TABLE") == _table(place) and message["nfgen_family"] == NFPROTO_INET
        ]
    if chains:
        marks = [name.removeprefix(_MARK) for name in chains if name.startswith(_MARK)]
        yield Ruleset(namespace=place.namespace, digest=marks[0] if len(marks) == 1 else "")


def put(thing: Ruleset, places: Places) -> None:
    """Replace; connections that were translated in a way that no longer holds are forgotten afterwards."""
    place = places[thing.namespace]
    mark = f"table inet {_table(place)} {{\n  chain {_MARK}{thing.digest} {{\n  }}\n}}\n"
    _load(place, _removal(place) + thing.text + mark)
    if thing.published is not None:
        flows.forget_untrue(place, thing.published)


def drop(thing: Ruleset, places: Places) -> None:
    place = places[thing.namespace]
    _load(place, _removal(place))


def _table(place: Place) -> str:
    return netns.node_table(place.prefix) if place.namespace == NODE else TABLE


def _removal(place: Place) -> str:
    table = _table(place)
    return "".join(f"table {family} {table}\ndelete table {family} {table}\n" for family in FAMILIES)


def _load(place: Place, text: str) -> None:
    run_now(*in_netns(place.netns or None, ["nft", "-f", "-"]), stdin=text)
