"""The life of a volume's attachment to an instance, with EC2's names.

It is made `attaching`; `attached` when the node reports the disk in the guest, or at once while the instance is off. A
detachment, or the end of its instance, makes it `detaching`; when the guest has let go of it, it is over and its row goes.
"""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

ATTACHING, ATTACHED, DETACHING, DETACHED = "attaching", "attached", "detaching", "detached"

ATTACHMENT = Lifecycle(
    "attachment",
    states=(
        State(ATTACHING, about="The volume is being made reachable to the node, and the disk put into the guest."),
        State(ATTACHED, about="The guest has the disk, or will have it when the instance starts."),
        State(DETACHING, about="The disk is being taken out of the guest."),
        State(DETACHED, end=True, about="The guest has let go; the row goes with it."),
    ),
    edges=(
        Edge(ATTACHING, "plugged", ATTACHED),
        Edge(ATTACHING, "detach", DETACHING),
        Edge(ATTACHED, "detach", DETACHING),
        Edge(DETACHING, "released", DETACHED),
    ),
    start=ATTACHING,
)

WANTED = (ATTACHING, ATTACHED)
"""The states in which the guest shall have the disk."""

IN_MOTION = (ATTACHING, DETACHING)
"""The states that wait for a word from the node."""
