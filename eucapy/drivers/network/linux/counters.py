"""What a namespace's rules have counted, by the counters' names."""

from __future__ import annotations

import json

from eucapy.drivers.network.flow_counts import SKIPPED
from eucapy.run import in_netns, run_now

TABLE = ("inet", "eucapy")


def drops(netns: str) -> dict[str, int]:
    """Packets that were dropped, by the reason. As `packets`."""
    return {name: count for name, count in packets(netns).items() if name != SKIPPED}


def packets(netns: str) -> dict[str, int]:
    """Packets by counter, since the rules were loaded. Blocks; raises RunError when the namespace or its rules are not
    there."""
    text = run_now(*in_netns(netns, ["nft", "-j", "list", "counters", "table", *TABLE])).stdout
    listed = (entry["counter"] for entry in json.loads(text)["nftables"] if "counter" in entry)
    return {counter["name"]: int(counter["packets"]) for counter in listed}
