"""Rule sets: our tables of a namespace, replaced or changed in one nftables transaction (`rule_changes.py`).

The digest of what was loaded is kept in the kernel with it, as the name of an empty chain: table and digest come and go
together. Only our own tables, of the families inet and arp, are ever touched.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux import flows, netlink, rule_changes
from eucapy.drivers.network.linux.places import Place, Places
from eucapy.drivers.network.model import NODE, Ruleset
from eucapy.run import RunError, in_netns, run_now

log = logging.getLogger(__name__)

TABLE = "eucapy"
"""Our table in a namespace of ours; in the node's namespace it carries the cloud's mark too."""
FAMILIES = ("inet", "arp")
_MARK = "digest_"


class Rulesets:
    """The rule sets of a node, and what this process itself has loaded: from there on a change is a matter of what changes."""

    def __init__(self, before_removal: Callable[[str], None] = lambda name: None) -> None:
        """`before_removal` is told of a VPC's namespace when its table is about to go."""
        self._loaded: dict[str, Ruleset] = {}
        self._before_removal = before_removal

    def observe(self, place: Place) -> Iterator[Ruleset]:
        """The rule set that is loaded, if one is; its digest is empty when it is not one that we loaded whole."""
        table, known = _table(place), self._loaded.get(place.namespace)
        if known is not None and netlink.has_chain(place.netns, netlink.NFPROTO_INET, table, _MARK + known.digest):
            yield Ruleset(namespace=place.namespace, digest=known.digest)
            return
        chains = netlink.chain_names(place.netns, netlink.NFPROTO_INET, table)
        if chains:
            marks = [name.removeprefix(_MARK) for name in chains if name.startswith(_MARK)]
            yield Ruleset(namespace=place.namespace, digest=marks[0] if len(marks) == 1 else "")

    def put(self, thing: Ruleset, places: Places) -> None:
        """Replace; connections that were translated in a way that no longer holds are forgotten afterwards."""
        place = places[thing.namespace]
        held = self._loaded.pop(thing.namespace, None)
        if not (held is not None and _change(place, held, thing)):
            mark = f"table inet {_table(place)} {{\n  chain {_MARK}{thing.digest} {{\n  }}\n}}\n"
            self._leave(place)
            _load(place, _removal(place) + thing.text + mark)
        true = set(held.published or ()) if held is not None else None
        if thing.published is not None and (true is None or not true.issubset(thing.published)):
            flows.forget_untrue(place, thing.published)
        self._loaded[thing.namespace] = thing

    def drop(self, thing: Ruleset, places: Places) -> None:
        place = places[thing.namespace]
        self._loaded.pop(thing.namespace, None)
        self._leave(place)
        _load(place, _removal(place))

    def _leave(self, place: Place) -> None:
        if place.namespace != NODE:
            self._before_removal(place.netns)


def _change(place: Place, held: Ruleset, thing: Ruleset) -> bool:
    """Make the one of the other in place, if that can be said and the one is what is there: its mark goes in the same
    transaction, which fails where it is not."""
    changes = rule_changes.statements(held.text, thing.text)
    if changes is None:
        return False
    table = f"inet {_table(place)}"
    marks = [f"delete chain {table} {_MARK}{held.digest}", f"add chain {table} {_MARK}{thing.digest}"]
    try:
        _load(place, "\n".join([*marks, *changes, ""]))
    except RunError as error:
        log.info("rules are replaced whole", extra={"data": {"namespace": place.netns, "reason": str(error)}})
        return False
    return True


def _table(place: Place) -> str:
    return netns.node_table(place.prefix) if place.namespace == NODE else TABLE


def _removal(place: Place) -> str:
    table = _table(place)
    return "".join(f"table {family} {table}\ndelete table {family} {table}\n" for family in FAMILIES)


def _load(place: Place, text: str) -> None:
    run_now(*in_netns(place.netns or None, ["nft", "-f", "-"]), stdin=text)
