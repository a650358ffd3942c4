"""Waiting for a cloud that was just started: the operator port, the components, the first keys, the AWS endpoint."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from eucapy.cli.faststart import layout, running
from eucapy.cli.installation import CliError, Installation, Keys
from eucapy.cli.operator import Operator, Refused, Unreachable

ACCOUNT = "eucalyptus"
USER = "admin"
ANSWERS_WITHIN_S = 120.0
UP_WITHIN_S = 120.0


def wait_for_operator(installation: Installation) -> Operator:
    """The operator port, as soon as it answers. Raises CliError, naming the log to look into."""
    operator = Operator.of(installation, timeout_s=10.0)
    _answered(installation, partial(operator.get, "/admin/status"))
    return operator


def register_components(operator: Operator, installation: Installation) -> None:
    """Tell the cloud controller where its agents are; safe to repeat. A connection that is lost meanwhile is made anew.
    Raises CliError."""
    for component in layout.components(installation.record()):
        _answered(installation, partial(operator.post, "/admin/components", component))


def _answered(installation: Installation, call: Callable[[], object]) -> None:
    """Make a call that may be repeated until the cloud controller answers it. Raises CliError when it never does."""
    deadline = time.monotonic() + ANSWERS_WITHIN_S
    while True:
        try:
            call()
            return
        except Unreachable as error:
            if time.monotonic() > deadline:
                seen = running.where_logged(installation, "clc")
                raise CliError(
                    f"the cloud controller did not come up in {ANSWERS_WITHIN_S:.0f} s: see {seen}"
                ) from error
            time.sleep(0.2)


def ensure_admin(operator: Operator, installation: Installation) -> tuple[Keys, bool]:
    """The operator's keys, and whether they were made just now. The account is made if it is not there; lost keys are
    replaced by new ones."""
    if installation.admin_file.exists():
        return installation.admin(), False
    try:
        answer = operator.post("/admin/accounts", {"name": ACCOUNT})
    except Refused as error:
        if error.status != 409:
            raise
        answer = operator.post("/admin/keys", {"account": ACCOUNT, "user": USER})
    keys = msgspec.convert({"account": ACCOUNT, "user": USER, **answer}, Keys, strict=False)
    installation.save_admin(keys)
    return keys, True


def wait_for_components(operator: Operator, installation: Installation, say: Callable[[str], None]) -> None:
    """Until every registered component and the object store answer. Raises CliError, naming those that do not."""
    deadline = time.monotonic() + UP_WITHIN_S
    while True:
        missing = not_up(operator.get("/admin/status"))
        if not object_store_answers(installation):
            missing.append("walrus")
        if not missing:
            return
        say(f"waiting for {', '.join(missing)}")
        if time.monotonic() > deadline:
            raise CliError(f"these did not come up in {UP_WITHIN_S:.0f} s: {', '.join(missing)} (./faststart status)")
        time.sleep(0.3)


def not_up(status: dict[str, Any]) -> list[str]:
    """The components that a status shows as anything but up."""
    return [f"{item['kind']} {item['name']}" for item in status.get("components", []) if item.get("state") != "up"]


def object_store_answers(installation: Installation) -> bool:
    """Whether something listens where the cloud controller passes S3 on to."""
    address = urlsplit(str(installation.settings("clc")["walrus_url"]))
    try:
        with socket.create_connection((address.hostname or "127.0.0.1", address.port or 80), timeout=2.0):
            return True
    except OSError:
        return False
