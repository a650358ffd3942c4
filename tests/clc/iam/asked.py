"""What the tests of IAM ask with: policies, and errors as (code, text)."""

from __future__ import annotations

import json
from typing import Any

from tests.clc.launching import error

__all__ = ["TRUST", "allowing", "error", "trusting"]


def allowing(*actions: str, resource: Any = "*") -> str:
    """A policy document that allows these."""
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trusting(principal: Any) -> str:
    """A trust policy that lets the principal take on a role."""
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": principal}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


TRUST = trusting({"Service": "ec2.amazonaws.com"})
