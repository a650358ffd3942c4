"""IAM as far as it goes now: users and their access keys (`users.py`), the account's alias and summary (`account.py`).

The handlers register with `service.py`.
"""

from __future__ import annotations

from eucapy.aws.service import Service


def load() -> Service:
    """The service with its handlers registered."""
    from eucapy.clc.iam import account, service, users

    assert account and users
    return service.iam
