"""The life of an import (ImportSnapshot, ImportImage), with EC2's names.

While it is `active` the status message says how far it is. One that fails or is cancelled is `deleting` until what it had
made is gone; the status message says why.
"""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

ACTIVE, COMPLETED, DELETING, DELETED = "active", "completed", "deleting", "deleted"

IMPORT_TASK = Lifecycle(
    "import task",
    states=(
        State(ACTIVE, about="Its disks are looked at, fetched, converted and stored, in this order."),
        State(COMPLETED, end=True, about="The snapshot or the image is there. Shown for a week."),
        State(DELETING, about="It failed or was cancelled; what it had made is being removed."),
        State(DELETED, end=True, about="Nothing of it is left; the status message says why. Shown for a week."),
    ),
    edges=(
        Edge(ACTIVE, "done", COMPLETED),
        Edge(ACTIVE, "failed", DELETING),
        Edge(ACTIVE, "cancel", DELETING),
        Edge(DELETING, "gone", DELETED),
    ),
    start=ACTIVE,
)

IN_MOTION = (ACTIVE, DELETING)
