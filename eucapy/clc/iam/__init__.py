"""IAM: who there is in an account, what they may do, and what they prove it with. A file per resource.

The handlers register with `service.py`. Deciding is not here: policies are read by `aws/policy.py`, and what a principal
brings along is `store/powers.py`.
"""

from __future__ import annotations

import importlib

from eucapy.aws.service import Service

MODULES = (
    "access_advisor",
    "access_keys",
    "account",
    "attachments",
    "boundaries",
    "certificates",
    "cloud_accounts",
    "details",
    "granting",
    "groups",
    "inline",
    "linked_roles",
    "login_profiles",
    "mfa",
    "oidc",
    "policies",
    "profiles",
    "reports",
    "roles",
    "saml",
    "signing",
    "simulation",
    "tagging",
    "user_keys",
    "users",
)


def load() -> Service:
    """The service with its handlers registered."""
    from eucapy.clc.iam import service

    for module in MODULES:
        importlib.import_module(f"{__name__}.{module}")
    return service.iam
