"""The life of a volume, with EC2's names.

The API asks (`attach`, `delete`), the storage's report answers (`made`, `failed`, `gone`), and an attachment that ends lets
it go (`detached`, or `dropped` when it goes with its instance). Attachments: `attachment.py`.
"""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

CREATING, AVAILABLE, IN_USE = "creating", "available", "in-use"
DELETING, DELETED, ERROR = "deleting", "deleted", "error"

VOLUME = Lifecycle(
    "volume",
    states=(
        State(CREATING, about="Wanted of the zone's storage; a volume made for a launch is attached already."),
        State(AVAILABLE, about="There, and attached to nothing."),
        State(IN_USE, about="There, and attached to an instance."),
        State(ERROR, about="The storage cannot make it, and trying again would not help."),
        State(DELETING, about="The storage is told to remove it."),
        State(DELETED, end=True, about="The storage confirmed that it is gone; the row goes with it."),
    ),
    edges=(
        Edge(CREATING, "made", AVAILABLE),
        Edge(CREATING, "made_attached", IN_USE),
        Edge(CREATING, "failed", ERROR),
        Edge(CREATING, "dropped", DELETING),
        Edge(AVAILABLE, "attach", IN_USE),
        Edge(AVAILABLE, "delete", DELETING),
        Edge(IN_USE, "detached", AVAILABLE),
        Edge(IN_USE, "dropped", DELETING),
        Edge(ERROR, "delete", DELETING),
        Edge(ERROR, "dropped", DELETING),
        Edge(DELETING, "gone", DELETED),
    ),
    start=CREATING,
)

THERE = (CREATING, AVAILABLE, IN_USE, ERROR, DELETING)
"""The states in which the API shows a volume."""

IN_MOTION = (CREATING, DELETING)
"""The states that wait for a word from the storage."""
