"""Programs that go into the background by themselves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import uvloop

from eucapy.run import RunError, daemonized


def start(script: str, timeout_s: float) -> None:
    """On the event loop that the daemons run on, whose children inherit more than Python's own loop gives them."""
    uvloop.run(daemonized("sh", "-c", script, timeout_s=timeout_s))


def test_a_daemon_that_holds_its_output_open_keeps_nobody_waiting(tmp_path: Path) -> None:
    start(f"sleep 600 & echo $! > {tmp_path}/pid", timeout_s=60)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_one_that_does_not_start_says_why() -> None:
    with pytest.raises(RunError) as caught:
        start("echo no such port >&2; exit 3", timeout_s=60)
    assert (caught.value.status, caught.value.stderr) == (3, "no such port\n")


def test_one_that_does_not_come_to_an_end_is_ended() -> None:
    with pytest.raises(RunError) as caught:
        start("sleep 600", timeout_s=0.2)
    assert caught.value.status is None
