"""What a node's report means for an instance."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from eucapy.clc.reconcilers.verdicts import judge
from eucapy.lifecycle.instance import INSTANCE
from eucapy.wire.contract import Fault
from eucapy.wire.node import End, InstanceStatus, Power

FINAL = Fault(code="no-image", message="the image is gone", final=True)
PASSING = Fault(code="busy", message="later")


def row(state: str, *, starts: int = 1, leaving: bool = False, shutdown: str = "stop") -> Any:
    return SimpleNamespace(id="i-1", state=state, starts=starts, leaving=leaving, shutdown_behavior=shutdown)


def seen(power: Power, *, end: End = End.NONE, starts: int = 1, fault: Fault | None = None) -> InstanceStatus:
    return InstanceStatus(instance_id="i-1", power=power, end=end, starts=starts, fault=fault)


@pytest.mark.parametrize(
    ("instance", "status", "event"),
    [
        (row("pending"), seen(Power.RUNNING), "started"),
        (row("pending"), seen(Power.PENDING), ""),
        (row("pending", starts=2), seen(Power.RUNNING, starts=1), ""),
        (row("pending"), seen(Power.OFF, end=End.GUEST), "started"),
        (row("pending"), seen(Power.PENDING, fault=PASSING), ""),
        (row("pending"), seen(Power.PENDING, starts=0, fault=FINAL), "failed"),
        (row("pending", starts=3), seen(Power.PENDING, starts=2, fault=FINAL), "start_failed"),
        (row("running"), seen(Power.RUNNING), ""),
        (row("running"), seen(Power.RUNNING, fault=FINAL), ""),
        (row("running"), seen(Power.PENDING, fault=FINAL), "ended"),
        (row("running"), seen(Power.PENDING), ""),
        (row("running"), seen(Power.OFF, end=End.GUEST), "ended"),
        (row("running", shutdown="terminate"), seen(Power.OFF, end=End.GUEST), "terminate"),
        (row("running"), seen(Power.OFF, end=End.CRASHED), "ended"),
        (row("running", starts=2), seen(Power.OFF, end=End.GUEST, starts=1), ""),
        (row("stopping"), seen(Power.STOPPING), ""),
        (row("stopping"), seen(Power.OFF, end=End.ASKED), "stopped"),
        (row("stopped"), seen(Power.OFF), ""),
        (row("shutting-down"), seen(Power.STOPPING), ""),
        (row("shutting-down"), seen(Power.GONE, starts=0), "gone"),
        (row("terminated"), seen(Power.GONE, starts=0), ""),
        (row("pending", starts=2, leaving=True), seen(Power.GONE, starts=0), ""),
        (row("pending", starts=2, leaving=True), seen(Power.PENDING, fault=FINAL), ""),
    ],
)
def test_report(instance: Any, status: InstanceStatus, event: str) -> None:
    assert judge(instance, status).event == event


@pytest.mark.parametrize(
    "instance", [row("shutting-down"), row("terminated"), row("stopped", leaving=True), row("pending", leaving=True)]
)
def test_what_is_gone_leaves_its_node(instance: Any) -> None:
    assert judge(instance, seen(Power.GONE, starts=0)).leaves


def test_gone_is_no_news_of_an_instance_that_shall_stay() -> None:
    assert not judge(row("running"), seen(Power.GONE, starts=0)).leaves


@pytest.mark.parametrize("state", INSTANCE.states)
@pytest.mark.parametrize("power", Power)
@pytest.mark.parametrize("end", End)
@pytest.mark.parametrize("fault", [None, FINAL])
def test_every_verdict_is_an_edge(state: str, power: Power, end: End, fault: Fault | None) -> None:
    verdict = judge(row(state), seen(power, end=end, fault=fault))
    assert not verdict.event or INSTANCE.target(state, verdict.event) is not None


def test_a_guest_that_shut_itself_down_says_so() -> None:
    columns = judge(row("running"), seen(Power.OFF, end=End.GUEST)).columns
    assert columns == {
        "run": False,
        "reason_code": "Client.InstanceInitiatedShutdown",
        "reason": "Client.InstanceInitiatedShutdown: Instance initiated shutdown",
        "transition": "",
    }
