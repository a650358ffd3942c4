"""The life of a VPC peering connection, with EC2's names. Source: "VPC peering connection lifecycle", VPC peering guide.

EC2 shows `initiating-request`, `provisioning` and `deleting` for the moments that its own work takes; here they pass within
the request, and only the answer of CreateVpcPeeringConnection says the first.
"""

from __future__ import annotations

from eucapy.lifecycle.machine import Edge, Lifecycle, State

PENDING, ACTIVE, FAILED = "pending-acceptance", "active", "failed"
REJECTED, EXPIRED, DELETED = "rejected", "expired", "deleted"

VPC_PEERING_CONNECTION = Lifecycle(
    "VPC peering connection",
    states=(
        State(
            PENDING,
            about="The accepter may accept or reject it, the requester delete it. Routes to it are black holes.",
        ),
        State(FAILED, end=True, about="There is no such VPC, or the two have addresses in common."),
        State(ACTIVE, about="Packets pass where route tables lead to it."),
        State(REJECTED, end=True, about="The accepter did not want it."),
        State(EXPIRED, end=True, about="Nobody accepted it in seven days."),
        State(DELETED, end=True, about="One of the two ended it. Routes to it stay, as black holes."),
    ),
    edges=(
        Edge(PENDING, "failed", FAILED),
        Edge(PENDING, "accept", ACTIVE),
        Edge(PENDING, "reject", REJECTED),
        Edge(PENDING, "expire", EXPIRED),
        Edge(PENDING, "delete", DELETED),
        Edge(ACTIVE, "delete", DELETED),
    ),
    start=PENDING,
)

LIVE = (PENDING, ACTIVE)
"""The states in which routes can be made to it."""
