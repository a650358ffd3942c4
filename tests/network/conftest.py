"""The matrix's budget, and one region for all tests of a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.network.region import Region, region


@pytest.fixture(scope="module")
def three_hosts() -> Iterator[Region]:
    with region(3) as made:
        yield made
