"""The life of a NAT gateway, with EC2's names. What has failed or is deleted is shown for another hour."""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

PENDING, FAILED, AVAILABLE, DELETING, DELETED = "pending", "failed", "available", "deleting", "deleted"

NAT_GATEWAY = Lifecycle(
    "NAT gateway",
    states=(
        State(PENDING, about="A node is looked for that translates."),
        State(FAILED, about="It cannot work, and says why; its address is free."),
        State(AVAILABLE, about="A node translates; another takes over when that one is lost."),
        State(DELETING, about="Routes to it are black holes; its interface is about to go."),
        State(DELETED, end=True, about="Its interface is gone and its address free."),
    ),
    edges=(
        Edge(PENDING, "ready", AVAILABLE),
        Edge(PENDING, "failed", FAILED),
        Edge(PENDING, "delete", DELETING),
        Edge(AVAILABLE, "delete", DELETING),
        Edge(FAILED, "delete", DELETING),
        Edge(DELETING, "gone", DELETED),
    ),
    start=PENDING,
)

HELD = (PENDING, AVAILABLE)
"""The states in which routes can lead to it."""
