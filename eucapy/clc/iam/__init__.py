"""IAM as far as it goes now: users and their access keys. `users.py` the calls, `service.py` what they register with."""

from __future__ import annotations

from eucapy.aws.service import Service


def load() -> Service:
    """The service with its handlers registered."""
    from eucapy.clc.iam import service, users

    assert users
    return service.iam
