"""Powers from policies as they are stored: documents, each with where it is from. Pure.

What cannot be read denies all: of two ways to be wrong this one harms nobody.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from functools import lru_cache

from eucapy.aws import policygrammar
from eucapy.aws.evaluation import Attached, Powers
from eucapy.aws.policystatements import MalformedPolicy, Policy

log = logging.getLogger(__name__)

Text = tuple[str, str]
"""Where a policy is from (`Attached.source`), and its document."""
NOTHING = '{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}'


def powers(
    identity: Iterable[Text], boundary: Text | None = None, session: Iterable[Text] | None = None, *, root: bool = False
) -> Powers:
    """What a caller with these brings along."""
    return Powers(
        identity=tuple(_attached(each) for each in identity),
        boundary=None if boundary is None else _attached(boundary),
        session=None if session is None else tuple(_attached(each) for each in session),
        root=root,
    )


def _attached(each: Text) -> Attached:
    source, text = each
    try:
        return Attached(source, _read(text))
    except MalformedPolicy as error:
        log.error("the policy %s cannot be read and denies all: %s", source, error)
        return Attached(source, _read(NOTHING))


@lru_cache(maxsize=4096)
def _read(text: str) -> Policy:
    """In IAM's grammar, in which it was taken. One text is one policy, whoever it is attached to, compiled once."""
    return policygrammar.identity(text)
