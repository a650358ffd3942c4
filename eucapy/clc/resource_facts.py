"""What only rows know of the resources that a request is about: which they are, their tags, and what condition keys ask for.

    touched = await resolved(tx, scope, touched)      # `via`: associations, names, defaults become the resources themselves
    facts = await of(tx, scope, touched, asked)       # ec2:ResourceTag/…, ec2:Vpc, ec2:InstanceType …

Read in one snapshot before the handler's transaction, and only where the caller's policies ask: an account's administrator
never gets here. What does not exist has no facts; a condition on them then fails, as in AWS.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from eucapy.clc.actions import ebs
from eucapy.clc.actions.declaration import Scope, Touched
from eucapy.clc.actions.ec2_kinds import KINDS
from eucapy.clc.store import (
    accounts,
    addresses,
    attachments,
    iam_certificates,
    iam_groups,
    iam_names,
    iam_policies,
    iam_tags,
    images,
    instance_profiles,
    instances,
    ipv6_blocks,
    key_pairs,
    launch_templates,
    network_interfaces,
    placement_groups,
    public_ips,
    roles,
    route_tables,
    security_groups,
    snapshots,
    subnets,
    tags,
    volumes,
    vpc_cidrs,
    vpc_peerings,
    vpcs,
)
from eucapy.database import Row, Tx

Found = dict[str, "str | list[str]"]
_OF_ROWS = {
    **dict.fromkeys(("role", "user"), ("iam:PermissionsBoundary",)),
    **{name: (*KINDS[name].keys, "aws:ResourceAccount") for name in ("image", "snapshot")},
}
"""Where rows say more than the resource type's own keys."""


async def resolved(tx: Tx, scope: Scope, touched: Touched) -> list[Touched]:
    """The resources that `touched` stands for. Where there is none of that name, any of the type: whoever may not touch
    all of a type does not learn what there is."""
    if not touched.via:
        return [touched]
    found = await _RESOLVERS[touched.via](tx, scope, touched)
    if found is None:
        return [Touched(touched.kind, facts=touched.facts)]
    return found


async def of(tx: Tx, scope: Scope, touched: Touched, asked: Collection[str]) -> Found:
    """The condition keys of a resource, lower-case, those in `asked` at least."""
    kind, facts = touched.kind, Found(touched.facts)
    if touched.id and kind.own:
        facts.setdefault(kind.own.lower(), touched.id)
    if not touched.id or touched.via:
        return facts
    reader = _READERS.get(kind.name)
    wanted = any(key.lower() in asked for key in _OF_ROWS.get(kind.name, kind.keys))
    row = await reader(tx, scope, touched.id) if reader is not None and wanted else None
    if row is not None:
        facts.update({key.lower(): value for key, value in _SAID[kind.name](row, scope).items() if value})
    if any(key.startswith(("aws:resourcetag/", "ec2:resourcetag/", "iam:resourcetag/")) for key in asked):
        service = "ec2" if kind is KINDS.get(kind.name) or kind is ebs.KIND else "iam"
        values = await (_ec2_tags if service == "ec2" else _iam_tags)(tx, scope, touched)
        for key, value in values.items():
            facts[f"aws:resourcetag/{key}".lower()] = facts[f"{service}:resourcetag/{key}".lower()] = value
    return facts


async def completed(tx: Tx, scope: Scope, facts: Mapping[str, str | list[str]]) -> Found:
    """What the request says, instance profiles that it names by their names by their ARNs."""
    found = Found(facts)
    for key in ("ec2:instanceprofile", "ec2:newinstanceprofile"):
        name = facts.get(key)
        if isinstance(name, str) and not name.startswith("arn:"):
            row = await instance_profiles.by_name(tx, scope.account, name)
            if row is not None:
                found[key] = instance_profiles.arn(row)
    return found


async def _ec2_tags(tx: Tx, scope: Scope, touched: Touched) -> Mapping[str, str]:
    """None of another account's resource: whoever writes a policy about tags would read them by its verdicts."""
    wanted = touched.id
    if touched.kind in (KINDS["key-pair"], KINDS["placement-group"]):  # by name in ARNs, by id in the table of tags
        row = await _READERS[touched.kind.name](tx, scope, wanted)
        wanted = str(row.id) if row is not None else ""
    return await tags.of_own(tx, scope.account, wanted)


async def _iam_tags(tx: Tx, scope: Scope, touched: Touched) -> Mapping[str, str]:
    owner = touched.arn(scope)
    if owner.split(":", 5)[4:5] != [scope.account]:
        return {}
    finder = _PATHS.get(touched.kind.name)
    if finder is not None:
        row = await finder(tx, scope.account, touched.id.rpartition("/")[2])
        owner = str(row.id) if row is not None else ""
    elif touched.kind.name == "policy":
        row = await iam_policies.by_arn(tx, owner)
        owner = str(row.id) if row is not None else ""
    return await iam_tags.of(tx, owner)


# --- which resources are meant ----------------------------------------------------------------------------------------

_Resolver = Callable[[Tx, Scope, Touched], Awaitable[list[Touched] | None]]


def _same(touched: Touched, found: str) -> list[Touched]:
    return [Touched(touched.kind, found, facts=touched.facts)]


async def _public_address(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await public_ips.by_ip(tx, touched.id)
    return _same(touched, str(row.id)) if row is not None and row.account == scope.account else None


async def _address_association(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await addresses.by_association(tx, scope.account, touched.id)
    if row is None:
        return None
    return _same(touched, str(row.id if touched.kind is KINDS["elastic-ip"] else row.interface_id))


async def _route_association(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await route_tables.association(tx, scope.account, touched.id)
    if row is None:
        return None
    if touched.kind is KINDS["route-table"]:
        return _same(touched, str(row.route_table_id))
    return _same(touched, str(row.subnet_id)) if row.subnet_id else []


async def _interface_attachment(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await network_interfaces.by_attachment(tx, scope.account, touched.id)
    if row is None:
        return None
    return _same(touched, str(row.instance_id if touched.kind is KINDS["instance"] else row.id))


async def _profile_association(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await instances.by_association(tx, scope.account, touched.id)
    return _same(touched, str(row.id)) if row is not None else None


async def _vpc_block(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await vpc_cidrs.by_id(tx, touched.id) or await ipv6_blocks.by_id(tx, touched.id)
    vpc = await vpcs.by_id(tx, scope.account, row.vpc_id) if row is not None else None
    return _same(touched, str(vpc.id)) if vpc is not None else None


async def _subnet_block(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await subnets.by_association(tx, scope.account, touched.id)
    return _same(touched, str(row.id)) if row is not None else None


async def _accepter(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await vpc_peerings.by_id(tx, scope.account, touched.id)
    mine = row is not None and row.accepter_account == scope.account
    return _same(touched, str(row.accepter_vpc)) if row is not None and mine else None


async def _group_name(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    vpc = await vpcs.default_of(tx, scope.account)
    row = await security_groups.by_name(tx, vpc.id, touched.id) if vpc is not None else None
    return _same(touched, str(row.id)) if row is not None else None


async def _default_group(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    """Of the VPC of the subnet that `id` names, or of the default VPC."""
    subnet = await subnets.by_id(tx, scope.account, touched.id) if touched.id else None
    default = await vpcs.default_of(tx, scope.account) if subnet is None else None
    vpc_id = subnet.vpc_id if subnet is not None else default.id if default is not None else ""
    row = await security_groups.by_name(tx, vpc_id, "default")
    return _same(touched, str(row.id)) if row is not None else None


async def _default_subnets(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    """The zone's default subnet; without a zone it may become any of them, so all must be allowed."""
    return [Touched(touched.kind, str(row.id)) for row in await _defaults(tx, scope, touched.id)] or None


async def _defaults(tx: Tx, scope: Scope, zone: str) -> list[Row]:
    """The default subnets of the account, of one zone or of all ("")."""
    vpc = await vpcs.default_of(tx, scope.account)
    rows = await subnets.of_vpc(tx, vpc.id) if vpc is not None else ()
    return [row for row in rows if row.is_default and zone in ("", row.zone)]


async def _to_be_in_subnet(tx: Tx, scope: Scope, touched: Touched) -> list[Touched]:
    """A network interface to be made, and what its subnet says of it; without one, as it would be in each default subnet."""
    if touched.id:
        row = await subnets.by_id(tx, scope.account, touched.id)
        rows = [row] if row is not None else []
    else:
        rows = await _defaults(tx, scope, str(touched.facts.get("ec2:availabilityzone", "")))
    of_subnets = [
        {
            "ec2:subnet": KINDS["subnet"].arn.format(region=scope.region, account=scope.account, id=row.id),
            "ec2:vpc": _vpc(row, scope),
            "ec2:availabilityzone": str(row.zone),
        }
        for row in rows
    ]
    return [Touched(touched.kind, facts={**touched.facts, **each}) for each in of_subnets or [{}]]


async def _of_image(tx: Tx, scope: Scope, touched: Touched) -> list[Touched]:
    """The volumes that an image brings, those of the devices aside that the request names itself."""
    image_id, *replaced = touched.id.split("\n")
    made = []
    for device in (await images.devices_of(tx, [image_id])).get(image_id, ()):
        if device.virtual_name or not device.snapshot_id or device.device in replaced:
            continue
        facts = {**touched.facts, **{key.lower(): value for key, value in _of_device(device, scope).items()}}
        made.append(Touched(touched.kind, facts=facts))
    return made


async def _snapshots_of_image(tx: Tx, scope: Scope, touched: Touched) -> list[Touched]:
    devices = (await images.devices_of(tx, [touched.id])).get(touched.id, ())
    return [Touched(touched.kind, device.snapshot_id) for device in devices if device.snapshot_id]


def _of_device(device: Row, scope: Scope) -> dict[str, str]:
    return {
        "ec2:Encrypted": str(bool(device.encrypted)).lower(),
        "ec2:ParentSnapshot": f"arn:aws:ec2:{scope.region}::snapshot/{device.snapshot_id}",
        "ec2:VolumeSize": str(device.size_gib or ""),
        "ec2:VolumeType": str(device.volume_type),
    }


async def _volumes_of_instance(tx: Tx, scope: Scope, touched: Touched) -> list[Touched]:
    held = (await attachments.of_instances(tx, [touched.id])).get(touched.id, [])
    return [Touched(touched.kind, str(row.volume_id)) for row in held if row.account == scope.account]


async def _key_id(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await key_pairs.by_id(tx, scope.account, touched.id)
    return _same(touched, str(row.name)) if row is not None else None


async def _placement_group_id(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await placement_groups.by_id(tx, scope.account, touched.id)
    return _same(touched, str(row.name)) if row is not None else None


async def _template_name(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await launch_templates.by_name(tx, scope.account, touched.id)
    return _same(touched, str(row.id)) if row is not None else None


async def _profile(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    """The role of an instance profile; none where the profile has none: then no role is handed on."""
    row = await instance_profiles.by_name(tx, scope.account, touched.id)
    if row is None:
        return None
    role = await instance_profiles.role_of(tx, row.id)
    return _same(touched, f"{role.path[1:]}{role.name}") if role is not None else []


async def _path(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    """What is not there has the ARN that it would have at the root of all paths: AWS refuses it under that."""
    row = await _PATHS[touched.kind.name](tx, scope.account, touched.id.rpartition("/")[2])
    return _same(touched, f"{row.path[1:]}{row.name}" if row is not None else touched.id)


async def _renamed(tx: Tx, scope: Scope, touched: Touched) -> list[Touched]:
    """What something has as its ARN with a new name or path. `id`: the old name, the new one and the new path, or ""."""
    old, name, path = touched.id.split("\n", 2)
    row = None if path and name else await _PATHS[touched.kind.name](tx, scope.account, old or scope.user)
    path = path or (str(row.path) if row is not None else "/")
    return _same(touched, f"{path[1:]}{name or old or scope.user}")


async def _user_of_key(tx: Tx, scope: Scope, touched: Touched) -> list[Touched] | None:
    row = await accounts.key(tx, touched.id)
    return (
        _same(touched, f"{row.path[1:]}{row.user_name}") if row is not None and row.account == scope.account else None
    )


_RESOLVERS: dict[str, _Resolver] = {
    "public address": _public_address,
    "address association": _address_association,
    "route association": _route_association,
    "interface attachment": _interface_attachment,
    "profile association": _profile_association,
    "vpc block": _vpc_block,
    "subnet block": _subnet_block,
    "accepter of peering": _accepter,
    "group name": _group_name,
    "default group": _default_group,
    "default subnets": _default_subnets,
    "to be in subnet": _to_be_in_subnet,
    "of image": _of_image,
    "snapshots of image": _snapshots_of_image,
    "volumes of instance": _volumes_of_instance,
    "key id": _key_id,
    "placement group id": _placement_group_id,
    "template name": _template_name,
    "profile": _profile,
    "path": _path,
    "to be renamed": _renamed,
    "access key": _user_of_key,
}
_PATHS: dict[str, Callable[[Tx, str, str], Awaitable[Row | None]]] = {
    "user": accounts.user,
    "group": iam_groups.by_name,
    "role": roles.role,
    "instance-profile": instance_profiles.by_name,
    "server-certificate": lambda tx, account, name: iam_names.by_name(
        tx, iam_certificates.server_certificates, account, name
    ),
}


# --- what rows say in condition keys ----------------------------------------------------------------------------------


def _vpc(row: Row, scope: Scope) -> str:
    return KINDS["vpc"].arn.format(region=scope.region, account=scope.account, id=row.vpc_id) if row.vpc_id else ""


def _placement_group(row: Row, scope: Scope) -> str:
    name = row.placement_group
    return KINDS["placement-group"].arn.format(region=scope.region, account=scope.account, id=name) if name else ""


def _yes(value: Any) -> str:
    return "true" if value else "false"


_READERS: dict[str, Callable[[Tx, Scope, str], Awaitable[Row | None]]] = {
    "elastic-ip": lambda tx, scope, wanted: addresses.by_id(tx, scope.account, wanted),
    "image": lambda tx, scope, wanted: images.visible(tx, scope.account, wanted),
    "instance": lambda tx, scope, wanted: instances.by_id(tx, scope.account, wanted),
    "key-pair": lambda tx, scope, wanted: key_pairs.by_name(tx, scope.account, wanted),
    "network-interface": lambda tx, scope, wanted: network_interfaces.by_id(tx, scope.account, wanted),
    "placement-group": lambda tx, scope, wanted: placement_groups.by_name(tx, scope.account, wanted),
    "route-table": lambda tx, scope, wanted: route_tables.by_id(tx, scope.account, wanted),
    "security-group": lambda tx, scope, wanted: security_groups.by_id(tx, scope.account, wanted),
    "snapshot": lambda tx, scope, wanted: snapshots.visible(tx, scope.account, wanted),
    "subnet": lambda tx, scope, wanted: subnets.by_id(tx, scope.account, wanted),
    "volume": lambda tx, scope, wanted: volumes.by_id(tx, scope.account, wanted),
    "vpc-peering-connection": lambda tx, scope, wanted: vpc_peerings.by_id(tx, scope.account, wanted),
    "vpc": lambda tx, scope, wanted: vpcs.by_id(tx, scope.account, wanted),
    "role": lambda tx, scope, wanted: roles.role(tx, scope.account, wanted.rpartition("/")[2]),
    "user": lambda tx, scope, wanted: accounts.user(tx, scope.account, wanted.rpartition("/")[2]),
}

_SAID: dict[str, Callable[[Row, Scope], dict[str, str]]] = {
    "elastic-ip": lambda row, scope: {"ec2:Domain": "vpc", "ec2:PublicIpAddress": str(row.ip)},
    "image": lambda row, scope: {
        "aws:ResourceAccount": str(row.account),
        "ec2:ImageType": "machine",
        "ec2:Owner": str(row.owner_alias or row.account),
        "ec2:Public": _yes(row.public),
        "ec2:RootDeviceType": str(row.root_kind),
    },
    "instance": lambda row, scope: {
        "ec2:AvailabilityZone": str(row.zone),
        "ec2:EbsOptimized": _yes(row.ebs_optimized),
        "ec2:InstanceMarketType": "on-demand",
        "ec2:InstanceProfile": str(row.profile_arn),
        "ec2:InstanceMetadataTags": "enabled" if row.metadata_tags else "disabled",
        "ec2:InstanceType": str(row.instance_type),
        "ec2:MetadataHttpEndpoint": "enabled" if row.metadata_enabled else "disabled",
        "ec2:MetadataHttpPutResponseHopLimit": str(row.metadata_hops),
        "ec2:MetadataHttpTokens": str(row.metadata_tokens),
        "ec2:PlacementGroup": _placement_group(row, scope),
        "ec2:RootDeviceType": str(row.root_kind),
        "ec2:Tenancy": "default",
    },
    "key-pair": lambda row, scope: {"ec2:KeyPairType": str(row.key_type)},
    "network-interface": lambda row, scope: {
        "ec2:AvailabilityZone": str(row.zone),
        "ec2:Subnet": KINDS["subnet"].arn.format(region=scope.region, account=scope.account, id=row.subnet_id),
        "ec2:Vpc": _vpc(row, scope),
    },
    "placement-group": lambda row, scope: {"ec2:PlacementGroupStrategy": str(row.strategy)},
    "route-table": lambda row, scope: {"ec2:Vpc": _vpc(row, scope)},
    "security-group": lambda row, scope: {"ec2:Vpc": _vpc(row, scope)},
    "snapshot": lambda row, scope: {
        "aws:ResourceAccount": str(row.account),
        "ec2:Encrypted": "false",
        "ec2:Owner": str(row.account),
        "ec2:ParentVolume": KINDS["volume"].arn.format(region=scope.region, account=scope.account, id=row.volume_id),
        "ec2:SnapshotTime": str(int(row.created_at)),
        "ec2:VolumeSize": str(row.size_gib),
    },
    "subnet": lambda row, scope: {"ec2:AvailabilityZone": str(row.zone), "ec2:Vpc": _vpc(row, scope)},
    "volume": lambda row, scope: {
        "ec2:AvailabilityZone": str(row.zone),
        "ec2:Encrypted": "false",
        "ec2:ParentSnapshot": f"arn:aws:ec2:{scope.region}::snapshot/{row.snapshot_id}" if row.snapshot_id else "",
        "ec2:VolumeIops": str(row.iops or ""),
        "ec2:VolumeSize": str(row.size_gib),
        "ec2:VolumeThroughput": str(row.throughput or ""),
        "ec2:VolumeType": str(row.volume_type),
    },
    "vpc-peering-connection": lambda row, scope: {
        "ec2:AccepterVpc": KINDS["vpc"].arn.format(
            region=row.accepter_region, account=row.accepter_account, id=row.accepter_vpc
        ),
        "ec2:RequesterVpc": KINDS["vpc"].arn.format(region=scope.region, account=row.account, id=row.requester_vpc),
    },
    "vpc": lambda row, scope: {"ec2:Tenancy": str(row.tenancy)},
    "role": lambda row, scope: {"iam:PermissionsBoundary": str(row.boundary or "")},
    "user": lambda row, scope: {"iam:PermissionsBoundary": str(row.boundary or "")},
}
