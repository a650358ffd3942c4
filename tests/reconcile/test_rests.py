"""A loop's rests between its activations."""

from __future__ import annotations

import pytest

from eucapy.reconcile.loop import Outcome, rests


def test_a_loop_rests_for_its_work_and_less_for_what_it_waited() -> None:
    def after(took_s: float, worked_s: float) -> tuple[float, float]:
        return rests(Outcome(at=0.0, took_s=took_s, worked_s=worked_s, changed=True), longest_s=1.0)

    assert after(0.0, 0.0) == (0.0, 0.0)
    assert after(0.01, 0.01) == pytest.approx((0.04, 0.16))
    assert after(60.0, 0.01) == (1.0, 1.0), "it waited for somebody: a second, and one more under traffic"
    assert after(0.5, 0.5) == (2.0, 8.0)
    assert after(60.0, 60.0) == (8.0, 8.0)
