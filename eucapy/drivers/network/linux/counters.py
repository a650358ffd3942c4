"""What a namespace's rules have counted, by the counters' names."""

from __future__ import annotations

import contextlib
import json

from eucapy.drivers.network import drop_counts
from eucapy.drivers.network.flow_counts import SKIPPED
from eucapy.drivers.network.linux import counted_sets, netlink
from eucapy.run import in_netns, run_now

TABLE = ("inet", "eucapy")
REASONS = tuple(drop_counts.LINKS)


def drops(netns: str) -> dict[str, int]:
    """Packets that were dropped, by the reason. As `packets`."""
    return {name: count for name, count in packets(netns).items() if name != SKIPPED}


def drops_by_link(netns: str) -> dict[str, dict[str, int]]:
    """The same by link, for those that anything was dropped of. Blocks; raises OSError."""
    found: dict[str, dict[str, int]] = {}
    with contextlib.closing(netlink.Asking(netns, netlink.NETFILTER)) as asking:
        for reason in drop_counts.LINKS:
            for one in counted_sets.elements(asking, drop_counts.by_link(reason)):
                found.setdefault(netlink.text(one.key), {})[reason] = one.packets
    return found


def packets(netns: str) -> dict[str, int]:
    """Packets by counter, since the rules were loaded. Blocks; raises RunError when the namespace or its rules are not
    there."""
    text = run_now(*in_netns(netns, ["nft", "-j", "list", "counters", "table", *TABLE])).stdout
    listed = (entry["counter"] for entry in json.loads(text)["nftables"] if "counter" in entry)
    return {counter["name"]: int(counter["packets"]) for counter in listed}
