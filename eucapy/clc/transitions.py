"""Why an instance is in its state, in EC2's words: StateReason (code and message) and StateTransitionReason.

Source: EC2 API reference, StateReason; the texts are those that DescribeInstances shows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TypedDict


class Why(TypedDict):
    """The columns that say why."""

    reason_code: str
    reason: str
    transition: str


USER_SHUTDOWN = "Client.UserInitiatedShutdown"
GUEST_SHUTDOWN = "Client.InstanceInitiatedShutdown"
BROKEN = "Server.InternalError"
NO_CAPACITY = "Server.InsufficientInstanceCapacity"

PENDING: Why = {"reason_code": "pending", "reason": "pending", "transition": ""}
RUNNING: Why = {"reason_code": "", "reason": "", "transition": ""}
BY_GUEST: Why = {
    "reason_code": GUEST_SHUTDOWN,
    "reason": f"{GUEST_SHUTDOWN}: Instance initiated shutdown",
    "transition": "",
}
UNPLACED: Why = {
    "reason_code": NO_CAPACITY,
    "reason": f"{NO_CAPACITY}: Insufficient capacity to satisfy instance request",
    "transition": NO_CAPACITY,
}


def by_user(now: float) -> Why:
    """A stop or a termination that the API was asked for."""
    moment = datetime.fromtimestamp(now, UTC)
    return {
        "reason_code": USER_SHUTDOWN,
        "reason": f"{USER_SHUTDOWN}: User initiated shutdown",
        "transition": f"User initiated ({moment:%Y-%m-%d %H:%M:%S} GMT)",
    }


def broken(message: str) -> Why:
    """The node, the storage or the guest failed."""
    return {"reason_code": BROKEN, "reason": f"{BROKEN}: {message}"[:255], "transition": BROKEN}
