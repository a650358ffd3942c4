"""The lives of instances and images, as EC2 tells them."""

from __future__ import annotations

import pytest

from eucapy.lifecycle.image import IMAGE
from eucapy.lifecycle.instance import INSTANCE, LIVE, POWERED


def test_states_have_ec2s_codes() -> None:
    assert {name: state.code for name, state in INSTANCE.states.items()} == {
        "pending": 0,
        "running": 16,
        "shutting-down": 32,
        "terminated": 48,
        "stopping": 64,
        "stopped": 80,
    }


def test_a_life_from_launch_to_end() -> None:
    state = INSTANCE.start
    seen = [state]
    for event in ("started", "stop", "stopped", "start", "started", "terminate", "gone"):
        state = INSTANCE.target(state, event) or ""
        seen.append(state)
    assert seen == [
        "pending", "running", "stopping", "stopped", "pending", "running", "shutting-down", "terminated",
    ]  # fmt: skip


@pytest.mark.parametrize("state", LIVE)
def test_whatever_lives_can_be_terminated(state: str) -> None:
    assert INSTANCE.target(state, "terminate") == "shutting-down"


@pytest.mark.parametrize("event", INSTANCE.events)
def test_nothing_comes_back_from_terminated(event: str) -> None:
    assert INSTANCE.target("terminated", event) is None


def test_an_instance_that_is_off_takes_no_memory_of_its_node() -> None:
    assert set(INSTANCE.states) - set(POWERED) == {"stopped", "terminated"}


def test_a_pending_instance_cannot_be_stopped() -> None:
    assert INSTANCE.target("pending", "stop") is None


def test_an_image_that_failed_can_only_be_deregistered() -> None:
    assert [event for event in IMAGE.events if IMAGE.target("failed", event)] == ["deregister"]
