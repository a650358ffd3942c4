"""One cloud for all of these tests, and a new account for each: what an account has no other one sees."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest

from tests.harness.cloud import Cloud

_numbers = itertools.count()


@pytest.fixture(scope="module")
def region(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with Cloud(tmp_path_factory.mktemp("cloud"), public_ranges=["203.0.113.10-203.0.113.29"]) as cloud:
        yield cloud


@pytest.fixture
def account(region: Cloud) -> str:
    """The name of a new account."""
    return f"tenant-{next(_numbers)}"


@pytest.fixture
def ec2(region: Cloud, account: str) -> Any:
    """A client of the new account's admin."""
    return region.client("ec2", account)
