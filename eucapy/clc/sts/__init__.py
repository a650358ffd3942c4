"""STS: who calls, and temporary credentials for roles, users and whoever an identity provider vouches for.

Credentials are stateless (`clc/sessions.py`); what a call may ask for and how it is answered is in `granting.py`, whether a
role's trust policy lets somebody in is asked in `trust.py`. `load()` imports the files of `MODULES`.
"""

from __future__ import annotations

import importlib

from eucapy.aws.service import Service

MODULES = (
    "assume_role",
    "authorization_messages",
    "callers",
    "saml_federation",
    "user_sessions",
    "web_identity",
)
"""Every file with handlers, in the order of the alphabet."""


def load() -> Service:
    """The service with all its handlers registered."""
    for name in MODULES:
        importlib.import_module(f"{__name__}.{name}")
    from eucapy.clc.sts.service import sts

    return sts
