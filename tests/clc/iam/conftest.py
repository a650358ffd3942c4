"""A cloud whose IAM a module's tests share: each takes an account of its own."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.harness.cloud import Cloud

_NUMBERS = count(1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("iam") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        yield cloud


@pytest.fixture
def account(shared: Cloud) -> str:
    """The name of an account that nobody else uses."""
    name = f"account-{next(_NUMBERS)}"
    shared.account(name)
    return name


@pytest.fixture
def iam(shared: Cloud, account: str) -> Any:
    """A client of the account's admin."""
    return shared.client("iam", account)


@pytest.fixture
def number(shared: Cloud, account: str) -> str:
    """The account's twelve digits."""
    return shared.account(account)["account_id"]
