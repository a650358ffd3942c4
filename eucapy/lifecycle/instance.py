"""The life of an instance, with EC2's states and codes.

The API moves it towards an end (`terminate`, `stop`, `start`), the node's report moves it on (`started`, `stopped`,
`ended`, `gone`), and placement ends what finds no node. A reboot is no state. `clc/reconcilers/observe.py` translates a
node's report into events, `clc/reconcilers/deadlines.py` ends what waits too long.
"""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

PENDING, RUNNING, SHUTTING_DOWN = "pending", "running", "shutting-down"
TERMINATED, STOPPING, STOPPED = "terminated", "stopping", "stopped"

INSTANCE = Lifecycle(
    "instance",
    states=(
        State(PENDING, 0, about="Wanted on a node: being placed, its disks made ready, its guest started."),
        State(RUNNING, 16, about="The node reported the guest of this start as running."),
        State(SHUTTING_DOWN, 32, about="Ending: its node is told to remove everything of it."),
        State(TERMINATED, 48, end=True, about="The node confirmed that it is gone. Stays visible for a while."),
        State(STOPPING, 64, about="The guest is asked to power off."),
        State(STOPPED, 80, about="Off. Its root disk waits: a volume anywhere in the zone, an overlay on its node."),
    ),
    edges=(
        Edge(PENDING, "started", RUNNING),
        Edge(PENDING, "terminate", SHUTTING_DOWN),
        Edge(PENDING, "failed", SHUTTING_DOWN),
        Edge(PENDING, "start_failed", STOPPING),
        Edge(PENDING, "unplaced", TERMINATED),
        Edge(PENDING, "start_unplaced", STOPPED),
        Edge(RUNNING, "stop", STOPPING),
        Edge(RUNNING, "ended", STOPPING),
        Edge(RUNNING, "terminate", SHUTTING_DOWN),
        Edge(RUNNING, "failed", SHUTTING_DOWN),
        Edge(STOPPING, "stopped", STOPPED),
        Edge(STOPPING, "terminate", SHUTTING_DOWN),
        Edge(STOPPED, "start", PENDING),
        Edge(STOPPED, "terminate", SHUTTING_DOWN),
        Edge(SHUTTING_DOWN, "gone", TERMINATED),
    ),
    start=PENDING,
)

POWERED = (PENDING, RUNNING, SHUTTING_DOWN, STOPPING)
"""The states in which an instance uses its node's memory and processors."""

LIVE = (PENDING, RUNNING, STOPPING, STOPPED)
"""The states in which an instance has a future."""
