"""The life of an image.

An image registered from an object is `pending` until `clc/reconcilers/images.py` has looked at the object; one made of a
snapshot is available at once, or when the snapshot is. One that is disabled is its owner's alone and cannot be launched. A
deregistered image is kept for the instances that run from it.
"""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

PENDING, AVAILABLE, FAILED, DEREGISTERED = "pending", "available", "failed", "deregistered"
DISABLED = "disabled"

IMAGE = Lifecycle(
    "image",
    states=(
        State(PENDING, about="Its object is being inspected, or its snapshot is being made."),
        State(AVAILABLE, about="May be launched by its owner and by those who have launch permission."),
        State(FAILED, about="The object or the snapshot could not be used; the state reason says why."),
        State(DISABLED, about="Kept, but nobody can launch it until its owner enables it again."),
        State(DEREGISTERED, end=True, about="No more in the API; instances that run from it go on."),
    ),
    edges=(
        Edge(PENDING, "ready", AVAILABLE),
        Edge(PENDING, "failed", FAILED),
        Edge(AVAILABLE, "disable", DISABLED),
        Edge(DISABLED, "enable", AVAILABLE),
        Edge(PENDING, "deregister", DEREGISTERED),
        Edge(AVAILABLE, "deregister", DEREGISTERED),
        Edge(FAILED, "deregister", DEREGISTERED),
        Edge(DISABLED, "deregister", DEREGISTERED),
    ),
    start=PENDING,
)
