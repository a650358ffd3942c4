"""AWS's managed policies: those that people name, as data in `aws_policies/*.json`, read once.

A file holds the policies of one subject: name to path, description, the version that is the default (`v`), when it was made
and changed (seconds since the epoch), and its document. Only the default version is there. Documents are AWS's where they
are short; the very long ones (ReadOnlyAccess, job functions) say the same of the services that this cloud has or is to have.
Source: "AWS managed policy reference".
"""

from __future__ import annotations

import hashlib
import json
import string
from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import msgspec

PREFIX = "arn:aws:iam::aws:policy"
_ID_ALPHABET = string.ascii_uppercase + "234567"


class Managed(msgspec.Struct, frozen=True):
    """One of AWS's policies. `document` is JSON text; times are seconds since the epoch."""

    name: str
    path: str
    description: str
    version: int
    created_at: float
    updated_at: float
    document: str

    @property
    def arn(self) -> str:
        return f"{PREFIX}{self.path}{self.name}"

    @property
    def id(self) -> str:
        """The same in every cloud: `ANPA` and what the ARN gives."""
        digest = hashlib.sha256(self.arn.encode()).digest()
        return "ANPA" + "".join(_ID_ALPHABET[byte % 32] for byte in digest[:17])


@cache
def every() -> Mapping[str, Managed]:
    """By ARN, in the order of their names."""
    found: dict[str, Managed] = {}
    folder = resources.files("eucapy.clc.iam") / "aws_policies"
    for file in folder.iterdir():
        if file.name.endswith(".json"):
            for name, facts in json.loads(file.read_text()).items():
                policy = _policy(name, facts)
                found[policy.arn] = policy
    return dict(sorted(found.items(), key=lambda item: item[1].name.lower()))


def find(arn: str) -> Managed | None:
    return every().get(arn)


def document(arn: str) -> str | None:
    """The text of one of AWS's policies, None when there is none of that ARN."""
    policy = find(arn)
    return policy.document if policy is not None else None


def _policy(name: str, facts: Mapping[str, Any]) -> Managed:
    return Managed(
        name=name,
        path=facts.get("path", "/"),
        description=facts["description"],
        version=facts["v"],
        created_at=float(facts["created"]),
        updated_at=float(facts["updated"]),
        document=json.dumps({"Version": "2012-10-17", "Statement": facts["statement"]}, indent=4),
    )
