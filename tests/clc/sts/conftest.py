"""One cloud for a file of tests of temporary credentials: what one test makes is in no other's way."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.harness.cloud import Cloud
from tests.harness.postgres import NewDatabase


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> Iterator[Cloud]:
    """As the fixture of the same name elsewhere, for a whole file."""
    with new_database() as url, Cloud(tmp_path_factory.mktemp("cloud") / "cloud", database=url) as running:
        yield running
