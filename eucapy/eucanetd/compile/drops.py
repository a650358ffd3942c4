"""What becomes of a packet that is not let through: counted by the reason, and by the link that it came by or would have left
by; then dropped. A set of links grows by dropped packets alone, and there are only so many links."""

from __future__ import annotations

from eucapy.drivers.network import drop_counts


def declared(*reasons: str) -> str:
    """Counters, sets and chains of these reasons, as blocks of a table."""
    counters = "".join(f"  counter {reason} {{\n  }}\n" for reason in reasons)
    return counters + "".join(
        f"  set {drop_counts.by_link(reason)} {{\n    type ifname\n    size {drop_counts.SIZE}\n    flags dynamic\n  }}\n"
        f"  chain {drop_counts.chain(reason)} {{\n"
        f"    counter name {reason}\n"
        f"    update @{drop_counts.by_link(reason)} {{ {drop_counts.LINKS[reason]} counter }}\n"
        f"    drop\n"
        "  }\n"
        for reason in reasons
    )
