"""Fixtures that every area uses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.harness.cloud import Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A whole cloud over fake drivers that moves only when told to (`cloud.settle()`)."""
    from tests.harness.cloud import Cloud

    with Cloud(tmp_path / "cloud") as running:
        yield running
