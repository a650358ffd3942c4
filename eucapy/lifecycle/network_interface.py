"""The life of a network interface on its way into an instance and out of it, with EC2's names.

It is made `available`. At a launch, or while its instance is off, it is `in-use` at once: the guest finds it when it starts.
Into a running guest it is `attaching` until the node reports that the guest has it; out of a running guest it is
`detaching` until the guest has let go, and free then. Until then nobody else can have its address.
"""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

AVAILABLE, ATTACHING, IN_USE, DETACHING = "available", "attaching", "in-use", "detaching"

NETWORK_INTERFACE = Lifecycle(
    "network interface",
    states=(
        State(AVAILABLE, about="Free: no instance has it."),
        State(ATTACHING, about="It is being put into a running guest."),
        State(IN_USE, about="The guest has it, or will have it when the instance starts."),
        State(DETACHING, about="The running guest is asked to let go of it."),
    ),
    edges=(
        Edge(AVAILABLE, "attach", IN_USE),
        Edge(AVAILABLE, "plug", ATTACHING),
        Edge(ATTACHING, "plugged", IN_USE),
        Edge(ATTACHING, "unplug", DETACHING),
        Edge(IN_USE, "unplug", DETACHING),
        Edge(ATTACHING, "release", AVAILABLE),
        Edge(IN_USE, "release", AVAILABLE),
        Edge(DETACHING, "release", AVAILABLE),
    ),
    start=AVAILABLE,
)

IN_MOTION = (ATTACHING, DETACHING)
"""The states that wait for a word from the node."""

ATTACHMENT_STATUS = {AVAILABLE: "detached", ATTACHING: "attaching", IN_USE: "attached", DETACHING: "detaching"}
"""EC2's AttachmentStatus."""
