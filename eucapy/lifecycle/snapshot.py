"""The life of a snapshot, with EC2's names. `deleting` is ours: EC2 no longer shows a snapshot that is being deleted."""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

PENDING, COMPLETED, ERROR, DELETING, DELETED = "pending", "completed", "error", "deleting", "deleted"

SNAPSHOT = Lifecycle(
    "snapshot",
    states=(
        State(PENDING, about="The storage is told to take it."),
        State(COMPLETED, about="Taken; volumes can be made of it."),
        State(ERROR, about="The storage cannot take it, and trying again would not help."),
        State(DELETING, about="The storage is told to remove it; the API shows it no more."),
        State(DELETED, end=True, about="The storage confirmed that it is gone; the row goes with it."),
    ),
    edges=(
        Edge(PENDING, "taken", COMPLETED),
        Edge(PENDING, "failed", ERROR),
        Edge(PENDING, "delete", DELETING),
        Edge(COMPLETED, "delete", DELETING),
        Edge(ERROR, "delete", DELETING),
        Edge(DELETING, "gone", DELETED),
    ),
    start=PENDING,
)

SHOWN = (PENDING, COMPLETED, ERROR)
"""The states in which the API shows a snapshot."""

IN_MOTION = (PENDING, DELETING)
"""The states that wait for a word from the storage."""
