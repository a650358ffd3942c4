"""The life of a volume's modification, with EC2's names.

ModifyVolume makes it `modifying`; the storage's word that the volume is as large and fast as wanted makes it `optimizing`,
from when on DescribeVolumes shows what was asked for; once a guest that has the volume knows its size, it is `completed`. The
next modification of the volume takes its place.
"""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

MODIFYING, OPTIMIZING, COMPLETED, FAILED = "modifying", "optimizing", "completed", "failed"

VOLUME_MODIFICATION = Lifecycle(
    "volume_modification",
    states=(
        State(MODIFYING, about="The storage is told to make the volume as wanted."),
        State(OPTIMIZING, about="The storage has done it; a running guest that has the volume is being told."),
        State(COMPLETED, end=True, about="The volume is as wanted, for everybody who uses it."),
        State(FAILED, end=True, about="The storage cannot do it, and trying again would not help."),
    ),
    edges=(
        Edge(MODIFYING, "applied", OPTIMIZING),
        Edge(MODIFYING, "failed", FAILED),
        Edge(OPTIMIZING, "settled", COMPLETED),
    ),
    start=MODIFYING,
)

IN_MOTION = (MODIFYING, OPTIMIZING)
"""The states in which no other modification of the volume can begin."""
