"""What a node's report means for an instance. Pure: the row and the report, and out comes the next event, if any.

    state          report                               verdict
    pending        runs, under the row's start          started
    pending        is off: the guest ended it           started (the next look ends it)
    pending        a fault that no retry will help      failed at the first start, start_failed later
    running        is off: the guest ended it           ended, or terminate (the instance's shutdown behaviour)
    running        is down, with a final fault          ended
    stopping       is off                               stopped
    any, leaving   gone (its root is a volume)          leaves the node
    shutting-down  gone                                 gone, leaves the node
    terminated     gone                                 leaves the node

A report of an earlier start says nothing about this one, and of an instance that is leaving only its going matters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from eucapy.clc import transitions
from eucapy.lifecycle import instance as life
from eucapy.wire.node import End, InstanceStatus, Power


@dataclass(frozen=True)
class Verdict:
    """Follow the edge of `event` ("" for none), writing `columns`; `leaves`: the node has nothing of it any more."""

    event: str = ""
    columns: dict[str, Any] = field(default_factory=dict)
    leaves: bool = False


NOTHING = Verdict()


def judge(instance: Any, seen: InstanceStatus) -> Verdict:
    """`instance` is a row with state, starts, leaving and shutdown_behavior."""
    state = instance.state
    if seen.power is Power.GONE:
        return _gone(instance)
    if instance.leaving:
        return NOTHING
    current = seen.starts >= instance.starts
    final = seen.fault if seen.fault is not None and seen.fault.final else None
    if state == life.PENDING:
        if current and (seen.power is Power.RUNNING or (seen.power is Power.OFF and seen.end is End.GUEST)):
            return Verdict("started", dict(transitions.RUNNING))
        if final is not None:
            return _off("failed" if instance.starts == 1 else "start_failed", transitions.broken(final.message))
    elif state == life.RUNNING and current:
        if seen.power is Power.OFF and seen.end is End.GUEST:
            event = "terminate" if instance.shutdown_behavior == "terminate" else "ended"
            return _off(event, transitions.BY_GUEST)
        if seen.power is Power.OFF and seen.end is End.CRASHED:
            return _off("ended", transitions.broken("The guest crashed"))
        if final is not None and seen.power is Power.PENDING:
            return _off("ended", transitions.broken(final.message))
    elif state == life.STOPPING and seen.power is Power.OFF:
        return Verdict("stopped")
    return NOTHING


def _gone(instance: Any) -> Verdict:
    if instance.state == life.SHUTTING_DOWN:
        return Verdict("gone", leaves=True)
    if instance.leaving or instance.state == life.TERMINATED:
        return Verdict(leaves=True)
    return NOTHING


def _off(event: str, why: transitions.Why) -> Verdict:
    return Verdict(event, {"run": False, **why})
