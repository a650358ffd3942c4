"""The life of an export (ExportImage, CreateInstanceExportTask), with the names of ExportImage.

An instance's export calls the last two `cancelling` and `cancelled`: `clc/ec2/export_instance.py`. The status message says
how far an active one is, and why one failed.
"""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

ACTIVE, COMPLETED, DELETING, DELETED = "active", "completed", "deleting", "deleted"

EXPORT_TASK = Lifecycle(
    "export task",
    states=(
        State(ACTIVE, about="Its disks are converted and uploaded into the bucket."),
        State(COMPLETED, end=True, about="The objects are there. Shown for a week."),
        State(DELETING, about="It failed or was cancelled; its uploads are being given up."),
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
