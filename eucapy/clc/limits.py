"""Quotas of an account: what its account policies limit holds at the end of every request that makes something.

    {"Statement": [{"Effect": "Limit", "Action": "ec2:RunInstances", "Resource": "*",
                    "Condition": {"NumericLessThanEquals": {"ec2:quota-vminstancenumber": "4"}}}]}

A statement says after which operations a quota is looked at. What there is then is counted in the request's own transaction,
after its handler: where it is too much the request is refused and leaves nothing, a dry run included. Accounts without such
policies, nearly all, cost nothing. The object store's quotas (`s3:quota-…`) hold there: `eucapy/walrus/limits.py`.
Source: Eucalyptus's "Quotas" and its list of quota keys; the codes and texts are AWS's for the same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from eucapy.aws.policyconditions import like
from eucapy.clc.store import account_policies
from eucapy.clc.store.account_policies import USAGE
from eucapy.database import Database, Tx
from eucapy.errors import ApiError

MOST_KEPT = 10_000
S3_KEYS = ("s3:quota-bucketnumber", "s3:quota-bucketobjectnumber", "s3:quota-bucketsize", "s3:quota-buckettotalsize")
"""Sizes are in MiB. `bucketobjectnumber` and `bucketsize` are of each bucket."""
_LARGEST = 1 << 53


class InvalidLimits(ValueError):
    """The document is no account policy; the text says why."""


class Limit(msgspec.Struct, frozen=True):
    """After operations like `actions` (lower-case patterns), `key` is at most `most`."""

    actions: tuple[str, ...]
    key: str
    most: int


class _Exceeded(ApiError):
    """The code is set where it is made."""


def parse(document: str) -> list[Limit]:
    """Raises InvalidLimits."""
    try:
        whole = json.loads(document)
    except ValueError as error:
        raise InvalidLimits("The policy is not in valid JSON.") from error
    statements = whole.get("Statement") if isinstance(whole, dict) else None
    statements = [statements] if isinstance(statements, dict) else statements
    if not isinstance(statements, list) or not statements:
        raise InvalidLimits("A policy must have at least one Statement.")
    return [limit for statement in statements for limit in _limits(statement)]


def _limits(statement: Any) -> list[Limit]:
    if not isinstance(statement, dict) or statement.get("Effect") != "Limit":
        raise InvalidLimits("The Effect of each statement of an account policy must be Limit.")
    actions = statement.get("Action")
    actions = [actions] if isinstance(actions, str) else actions
    if not isinstance(actions, list) or not actions or not all(isinstance(each, str) for each in actions):
        raise InvalidLimits("A Limit statement must contain actions.")
    condition = statement.get("Condition")
    if not isinstance(condition, dict) or list(condition) != ["NumericLessThanEquals"]:
        raise InvalidLimits("A Limit statement must have the condition NumericLessThanEquals, and no other.")
    quotas = condition["NumericLessThanEquals"]
    if not isinstance(quotas, dict) or not quotas:
        raise InvalidLimits("A Limit statement must name its quotas.")
    return [Limit(tuple(each.lower() for each in actions), _key(key), _most(value)) for key, value in quotas.items()]


def _key(key: str) -> str:
    if key.lower() not in USAGE and key.lower() not in S3_KEYS:
        raise InvalidLimits(f"Unknown quota key: {key}")
    return key.lower()


def _most(value: Any) -> int:
    try:
        most = int(value[0] if isinstance(value, list) and len(value) == 1 else value)
    except (TypeError, ValueError):
        most = -1
    if isinstance(value, bool) or not 0 <= most <= _LARGEST:
        raise InvalidLimits(f"A quota is a number that is not negative: {value!r}")
    return most


class Limits:
    """The limits of accounts, in memory until one is changed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[str, tuple[Limit, ...]] = {}
        self._change = 0

    async def of(self, account: str) -> tuple[Limit, ...]:
        kept = self._kept.get(account)
        if kept is not None:
            return kept
        before = self._change
        rows = await self._database.read(lambda tx: account_policies.of(tx, account))
        found = tuple(limit for row in rows for limit in parse(str(row.document)))
        if before == self._change:
            if len(self._kept) >= MOST_KEPT:
                self._kept.clear()
            self._kept[account] = found
        return found

    def forget(self) -> None:
        """An account policy changed."""
        self._kept.clear()
        self._change += 1


def told(limits: tuple[Limit, ...]) -> dict[str, int]:
    """Those of the object store, for the object store: the strictest of each."""
    found: dict[str, int] = {}
    for limit in limits:
        if limit.key in S3_KEYS:
            found[limit.key] = min(limit.most, found.get(limit.key, limit.most))
    return found


async def hold(tx: Tx, account: str, limits: tuple[Limit, ...], action: str) -> None:
    """Raises AWS's error where the account has more than it may, after `action` ("ec2:RunInstances")."""
    for limit in limits:
        if limit.key not in USAGE or not any(like(action.lower(), each) for each in limit.actions):
            continue
        if limit.key not in _MAKERS.get(action, ()):
            continue
        used = await USAGE[limit.key](tx, account)
        if used > limit.most:
            raise _exceeded(limit, used)


_MAKERS: Mapping[str, tuple[str, ...]] = {
    "ec2:RunInstances": (
        "ec2:quota-vminstancenumber", "ec2:quota-cputotalsize", "ec2:quota-memorytotalsize", "ec2:quota-volumenumber",
        "ec2:quota-volumetotalsize",
    ),
    "ec2:StartInstances": ("ec2:quota-cputotalsize", "ec2:quota-memorytotalsize"),
    "ec2:CreateVolume": ("ec2:quota-volumenumber", "ec2:quota-volumetotalsize"),
    "ec2:ModifyVolume": ("ec2:quota-volumetotalsize",),
    "ec2:CreateSnapshot": ("ec2:quota-snapshotnumber", "ec2:quota-snapshottotalsize"),
    "ec2:CreateSnapshots": ("ec2:quota-snapshotnumber", "ec2:quota-snapshottotalsize"),
    "ec2:CopySnapshot": ("ec2:quota-snapshotnumber", "ec2:quota-snapshottotalsize"),
    "ec2:CreateImage": ("ec2:quota-imagenumber", "ec2:quota-snapshotnumber", "ec2:quota-snapshottotalsize"),
    "ec2:RegisterImage": ("ec2:quota-imagenumber",),
    "ec2:AllocateAddress": ("ec2:quota-addressnumber",),
    "ec2:CreateSecurityGroup": ("ec2:quota-securitygroupnumber",),
    "ec2:CreateVpc": ("ec2:quota-vpcnumber", "ec2:quota-securitygroupnumber"),
    "ec2:CreateDefaultVpc": ("ec2:quota-vpcnumber", "ec2:quota-subnetnumber", "ec2:quota-internetgatewaynumber"),
    "ec2:CreateSubnet": ("ec2:quota-subnetnumber",),
    "ec2:CreateDefaultSubnet": ("ec2:quota-subnetnumber",),
    "ec2:CreateInternetGateway": ("ec2:quota-internetgatewaynumber",),
    "iam:CreateUser": ("iam:quota-usernumber",),
    "iam:CreateGroup": ("iam:quota-groupnumber",),
    "iam:CreateRole": ("iam:quota-rolenumber",),
    "iam:CreateServiceLinkedRole": ("iam:quota-rolenumber",),
    "iam:CreateInstanceProfile": ("iam:quota-instanceprofilenumber",),
    "iam:CreatePolicy": ("iam:quota-policynumber",),
    "iam:UploadServerCertificate": ("iam:quota-servercertificatenumber",),
}  # fmt: skip
"""The quotas that an operation may exceed: no other is looked at, so that what is too much already keeps nobody from
deleting."""

_INSTANCES = (
    "InstanceLimitExceeded",
    "You have requested more instances ({used}) than your current instance limit of {most} allows for the specified "
    "instance type. Please visit http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
)
_VOLUMES = ("VolumeLimitExceeded", "Maximum number of volumes, {most}, exceeded.")
_STORAGE = ("VolumeLimitExceeded", "You have exceeded your maximum gp2 storage limit of {most} GiB in this region.")
_SNAPSHOTS = ("SnapshotLimitExceeded", "Maximum allowed snapshots, {most}, exceeded.")
_WORDS: Mapping[str, tuple[str, str]] = {
    "ec2:quota-vminstancenumber": _INSTANCES,
    "ec2:quota-cputotalsize": (
        "VcpuLimitExceeded",
        "You have requested more vCPU capacity than your current vCPU limit of {most} allows for the instance bucket that "
        "the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an "
        "adjustment to this limit.",
    ),
    "ec2:quota-memorytotalsize": (
        "InstanceLimitExceeded",
        "Your instances would have {used} MiB of memory; your current limit is {most} MiB.",
    ),
    "ec2:quota-volumenumber": _VOLUMES,
    "ec2:quota-volumetotalsize": _STORAGE,
    "ec2:quota-snapshotnumber": _SNAPSHOTS,
    "ec2:quota-snapshottotalsize": (
        "SnapshotLimitExceeded",
        "Maximum allowed size of snapshots, {most} GiB, exceeded.",
    ),
    "ec2:quota-imagenumber": ("ResourceLimitExceeded", "Maximum number of images, {most}, exceeded."),
    "ec2:quota-addressnumber": ("AddressLimitExceeded", "The maximum number of addresses has been reached."),
    "ec2:quota-securitygroupnumber": (
        "SecurityGroupLimitExceeded",
        "The maximum number of security groups has been reached.",
    ),
    "ec2:quota-vpcnumber": ("VpcLimitExceeded", "The maximum number of VPCs has been reached."),
    "ec2:quota-subnetnumber": ("SubnetLimitExceeded", "The maximum number of subnets has been reached."),
    "ec2:quota-internetgatewaynumber": (
        "InternetGatewayLimitExceeded",
        "The maximum number of internet gateways has been reached.",
    ),
    "iam:quota-usernumber": ("LimitExceeded", "Cannot exceed quota for UsersPerAccount: {most}"),
    "iam:quota-groupnumber": ("LimitExceeded", "Cannot exceed quota for GroupsPerAccount: {most}"),
    "iam:quota-rolenumber": ("LimitExceeded", "Cannot exceed quota for RolesPerAccount: {most}"),
    "iam:quota-instanceprofilenumber": ("LimitExceeded", "Cannot exceed quota for InstanceProfilesPerAccount: {most}"),
    "iam:quota-policynumber": ("LimitExceeded", "Cannot exceed quota for PoliciesPerAccount: {most}"),
    "iam:quota-servercertificatenumber": (
        "LimitExceeded",
        "Cannot exceed quota for ServerCertificatesPerAccount: {most}",
    ),
}


def _refusal(code: str, status: int) -> type[_Exceeded]:
    return type(code, (_Exceeded,), {"code": code, "status": status})


_CLASSES = {code: _refusal(code, 409 if code == "LimitExceeded" else 400) for code, _ in _WORDS.values()}


def _exceeded(limit: Limit, used: int) -> ApiError:
    code, text = _WORDS[limit.key]
    return _CLASSES[code](text.format(most=limit.most, used=used))
