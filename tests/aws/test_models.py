"""Models with operations of our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from eucapy.aws import models

OURS = {
    "operations": {"Pretend": {"name": "Pretend", "http": {"method": "POST", "requestUri": "/"}}},
    "shapes": {},
}


@pytest.fixture
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As in a process that has loaded nothing."""
    monkeypatch.setattr(models, "_loaded", {})
    monkeypatch.setattr(models, "_extended", set())
    yield


def test_operations_of_our_own_are_there_whoever_loaded_the_plain_model_before(fresh: None) -> None:
    assert "Pretend" not in models.load("sts").names
    extended = models.load("sts", OURS)
    assert {"Pretend", "GetCallerIdentity"} <= extended.names
    assert models.load("sts") is extended
    assert models.load("sts", OURS) is extended


def test_a_model_with_operations_left_out_is_another_one_than_the_whole() -> None:
    whole, less = models.load("sts"), models.load("sts", without=("GetSessionToken",))
    assert whole.names - less.names == {"GetSessionToken"}
    assert models.load("sts") is whole
