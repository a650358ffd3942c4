"""Every kind of id in one table: prefix, tag resource type, NotFound and Malformed codes, and how AWS words them.

`new("i")` makes an id; `check("i", value)` refuses what cannot be one; `missing("i", ids)` is the error for ids that do
not exist. Source of the codes: the EC2 API reference, "Error codes".
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from eucapy.errors import ApiError


@dataclass(frozen=True)
class Kind:
    """One kind of id. `noun` is how AWS names it in messages."""

    prefix: str
    resource_type: str
    not_found: str
    malformed: str
    noun: str


_NO_TASK = ("InvalidConversionTaskId.Malformed", "InvalidConversionTaskId.Malformed")
"""EC2 tells no difference between a task that does not exist and one that cannot. Source: how Terraform's provider knows."""

_NO_EXPORT = ("InvalidExportTaskID.NotFound", "InvalidExportTaskID.Malformed")

_KINDS = (
    Kind("i", "instance", "InvalidInstanceID.NotFound", "InvalidInstanceID.Malformed", "instance ID"),
    Kind("r", "reservation", "InvalidReservationID.NotFound", "InvalidReservationID.Malformed", "reservation ID"),
    Kind("ami", "image", "InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "image id"),
    Kind("aki", "image", "InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "image id"),
    Kind("ari", "image", "InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "image id"),
    Kind("vol", "volume", "InvalidVolume.NotFound", "InvalidParameterValue", "volume"),
    Kind("snap", "snapshot", "InvalidSnapshot.NotFound", "InvalidParameterValue", "snapshot"),
    Kind("sg", "security-group", "InvalidGroup.NotFound", "InvalidGroupId.Malformed", "security group"),
    Kind(
        "sgr",
        "security-group-rule",
        "InvalidSecurityGroupRuleId.NotFound",
        "InvalidSecurityGroupRuleId.Malformed",
        "security group rule ID",
    ),
    Kind("key", "key-pair", "InvalidKeyPair.NotFound", "InvalidKeyPair.NotFound", "key pair"),
    Kind("eipalloc", "elastic-ip", "InvalidAllocationID.NotFound", "InvalidAllocationID.NotFound", "allocation ID"),
    Kind("eipassoc", "", "InvalidAssociationID.NotFound", "InvalidAssociationID.NotFound", "association ID"),
    Kind("vpc", "vpc", "InvalidVpcID.NotFound", "InvalidVpcID.Malformed", "vpc ID"),
    Kind("subnet", "subnet", "InvalidSubnetID.NotFound", "InvalidSubnetID.Malformed", "subnet ID"),
    Kind(
        "eni",
        "network-interface",
        "InvalidNetworkInterfaceID.NotFound",
        "InvalidNetworkInterfaceId.Malformed",
        "networkInterface ID",
    ),
    Kind("eni-attach", "", "InvalidAttachmentID.NotFound", "InvalidAttachmentID.Malformed", "attachment ID"),
    Kind(
        "igw",
        "internet-gateway",
        "InvalidInternetGatewayID.NotFound",
        "InvalidInternetGatewayId.Malformed",
        "internetGateway ID",
    ),
    Kind(
        "eigw",
        "egress-only-internet-gateway",
        "InvalidGatewayID.NotFound",
        "InvalidEgressOnlyInternetGatewayId.Malformed",
        "eigw ID",
    ),
    Kind("rtb", "route-table", "InvalidRouteTableID.NotFound", "InvalidRouteTableId.Malformed", "routeTable ID"),
    Kind("rtbassoc", "", "InvalidAssociationID.NotFound", "InvalidAssociationID.NotFound", "association ID"),
    Kind("acl", "network-acl", "InvalidNetworkAclID.NotFound", "InvalidNetworkAclId.Malformed", "networkAcl ID"),
    Kind("aclassoc", "", "InvalidAssociationID.NotFound", "InvalidAssociationID.NotFound", "association ID"),
    Kind("fl", "vpc-flow-log", "InvalidFlowLogId.NotFound", "InvalidParameterValue", "flowLog"),
    Kind("nat", "natgateway", "NatGatewayNotFound", "NatGatewayMalformed", "natGateway ID"),
    Kind(
        "pcx",
        "vpc-peering-connection",
        "InvalidVpcPeeringConnectionID.NotFound",
        "InvalidVpcPeeringConnectionId.Malformed",
        "vpcPeeringConnection ID",
    ),
    Kind("pl", "prefix-list", "InvalidPrefixListID.NotFound", "InvalidPrefixListId.Malformed", "prefix list ID"),
    Kind("dopt", "dhcp-options", "InvalidDhcpOptionID.NotFound", "InvalidDhcpOptionsId.Malformed", "dhcpOption ID"),
    Kind(
        "lt",
        "launch-template",
        "InvalidLaunchTemplateId.NotFound",
        "InvalidLaunchTemplateId.Malformed",
        "launch template",
    ),
    Kind(
        "vpc-cidr-assoc",
        "",
        "InvalidVpcCidrBlockAssociationIdError.NotFound",
        "InvalidVpcCidrBlockAssociationIdError.NotFound",
        "vpc CIDR block association ID",
    ),
    Kind(
        "subnet-cidr-assoc",
        "",
        "InvalidSubnetCidrBlockAssociationID.NotFound",
        "InvalidSubnetCidrBlockAssociationId.Malformed",
        "subnet CIDR block association ID",
    ),
    Kind(
        "pg", "placement-group", "InvalidPlacementGroup.Unknown", "InvalidPlacementGroupId.Malformed", "Placement Group"
    ),
    Kind(
        "scr",
        "subnet-cidr-reservation",
        "InvalidSubnetCidrReservationID.NotFound",
        "InvalidSubnetCidrReservationID.Malformed",
        "subnet-cidr-reservation ID",
    ),
    Kind("iip-assoc", "", "NoSuchAssociation", "InvalidParameterValue", "association"),
    Kind("import-snap", "import-snapshot-task", *_NO_TASK, "import task"),
    Kind("import-ami", "import-image-task", *_NO_TASK, "import task"),
    Kind("export-ami", "export-image-task", *_NO_EXPORT, "export task ID"),
    Kind("export-i", "export-instance-task", *_NO_EXPORT, "export task ID"),
    Kind("store-ami", "", *_NO_EXPORT, "store task"),
    Kind("vatt", "", "InvalidAttachment.NotFound", "InvalidAttachment.NotFound", "attachment"),
)

KINDS: dict[str, Kind] = {kind.prefix: kind for kind in _KINDS}

_NOT_FOUND: dict[str, type[ApiError]] = {
    kind.prefix: type("IdNotFound", (ApiError,), {"code": kind.not_found}) for kind in _KINDS
}
_MALFORMED: dict[str, type[ApiError]] = {
    kind.prefix: type("IdMalformed", (ApiError,), {"code": kind.malformed}) for kind in _KINDS
}

_FORM = re.compile(r"([a-z]+(?:-attach|-cidr-assoc|-assoc|-snap|-ami|-i)?)-(?:[0-9a-f]{8}|[0-9a-f]{17})")


def new(prefix: str) -> str:
    """A fresh id of the current long form: the prefix and 17 hexadecimal digits."""
    return f"{KINDS[prefix].prefix}-0{secrets.token_hex(8)}"


def kind_of(value: str) -> Kind | None:
    """The kind of a well-formed id, or None."""
    match = _FORM.fullmatch(value)
    return KINDS.get(match[1]) if match else None


def check(prefix: str, value: str, *others: str) -> str:
    """`value` when it has the form of a `prefix` id (or of one of `others`); else the kind's Malformed error."""
    kind = kind_of(value)
    if kind is None or kind.prefix not in (prefix, *others):
        raise _malformed(KINDS[prefix], value)
    return value


def missing(prefix: str, ids: Iterable[str]) -> ApiError:
    """The NotFound error for ids that do not exist, worded as EC2 does for one and for several, in the order given."""
    kind = KINDS[prefix]
    names = list(dict.fromkeys(ids))
    if prefix == "fl":
        message = f"These flow log ids in the input list are not found: [TotalCount: {len(names)}] {' '.join(names)}"
    elif prefix == "iip-assoc":
        message = f"An invalid association-id of '{names[0]}' was given"
    elif len(names) == 1:
        message = f"The {kind.noun} '{names[0]}' does not exist"
        if prefix in ("ami", "aki", "ari"):
            message = f"The image id '[{names[0]}]' does not exist"
        elif prefix == "pg":
            message = f"The Placement Group '{names[0]}' is unknown."
        elif prefix in ("vol", "snap"):
            message += "."
        elif prefix == "nat":
            message = f"The Nat Gateway {names[0]} was not found"
    elif prefix in ("ami", "aki", "ari"):
        message = f"The image ids '[{', '.join(names)}]' do not exist"
    else:
        message = f"The {kind.noun}s '{', '.join(names)}' do not exist"
    return _NOT_FOUND[prefix](message)


def _malformed(kind: Kind, value: str) -> ApiError:
    if kind.malformed == "InvalidParameterValue":
        expected = f"Expected: '{kind.prefix}-...'."
        return _MALFORMED[kind.prefix](f"Value ({value}) for parameter {kind.noun}Id is invalid. {expected}")
    if kind.malformed.endswith("NotFound"):
        return missing(kind.prefix, [value])
    expecting = "" if value.startswith(f"{kind.prefix}-") else f' (expecting "{kind.prefix}-...")'
    return _MALFORMED[kind.prefix](f'Invalid id: "{value}"{expecting}')
