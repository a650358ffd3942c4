"""What EC2's requests say in condition keys, and the actions that they need beside their own.

The request of a launch is asked as it will be carried out: with what its launch template says (`environment.py` hands the
merged parameters in). What only rows know is left to `resource_facts.py`, by `via`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from eucapy import ids
from eucapy.clc.actions.declaration import Ask, Facts, Further, Params, Scope, Touched, new_tags, tag_facts, values
from eucapy.clc.actions.ec2_kinds import KINDS, ROLE

CREATE_TAGS, DELETE_TAGS, PASS_ROLE = "ec2:CreateTags", "ec2:DeleteTags", "iam:PassRole"
DELETE_SNAPSHOT = "ec2:DeleteSnapshot"
_NAMES = ("DryRun", "ClientToken", "Attribute", "Value", "OperationType", "UserIds", "UserGroups", "GroupNames")


def _some(**facts: Any) -> dict[str, str | list[str]]:
    """The facts that the request does give, as texts; their names without `ec2:`."""
    return {f"ec2:{name}".lower(): _text(value) for name, value in facts.items() if value not in (None, "")}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- tags -------------------------------------------------------------------------------------------------------------


def tagging(operation: str, *kinds: str) -> Further:
    """ec2:CreateTags for the tags that a request brings along; the first of `kinds` where it does not say for what.

    Source: "Grant permission to tag Amazon EC2 resources during creation".
    """

    def asks(p: Params, scope: Scope) -> Iterable[Ask]:
        for specification in p.get("TagSpecifications") or ():
            kind = KINDS.get(specification.get("ResourceType") or kinds[0])
            if kind is not None and specification.get("Tags"):
                facts = {**tag_facts(specification["Tags"]), "ec2:createaction": operation}
                yield Ask(CREATE_TAGS, Touched(kind), facts)

    return asks


def tagged(p: Params, scope: Scope) -> Iterable[Touched]:
    """The resources of CreateTags and DeleteTags, each of the type that its id says."""
    for each in dict.fromkeys(values(p, "Resources")):
        kind = ids.kind_of(str(each))
        if kind is not None and kind.resource_type in KINDS:
            by_name = kind.resource_type == "key-pair"  # which ARNs know by that, not by its id
            yield Touched(KINDS[kind.resource_type], str(each), "key id" if by_name else "")


def logged(p: Params, scope: Scope) -> Iterable[Touched]:
    """What CreateFlowLogs is about, each of the type that its id says."""
    for each in values(p, "ResourceIds"):
        kind = ids.kind_of(str(each))
        if kind is not None and kind.resource_type in ("vpc", "subnet", "network-interface"):
            yield Touched(KINDS[kind.resource_type], str(each))


def import_task(p: Params, scope: Scope) -> Iterable[Touched]:
    """The task of CancelImportTask, of the type that its id says."""
    for each in values(p, "ImportTaskId"):
        kind = ids.kind_of(str(each))
        if kind is not None and kind.resource_type in ("import-image-task", "import-snapshot-task"):
            yield Touched(KINDS[kind.resource_type], str(each))


def export_task(p: Params, scope: Scope) -> Iterable[Touched]:
    """The task of CancelExportTask, of the type that its id says."""
    for each in values(p, "ExportTaskId"):
        kind = ids.kind_of(str(each))
        if kind is not None and kind.resource_type in ("export-image-task", "export-instance-task"):
            yield Touched(KINDS[kind.resource_type], str(each))


def said_tags(p: Params, scope: Scope) -> Facts:
    return tag_facts(p.get("Tags") or ())


# --- attributes -------------------------------------------------------------------------------------------------------


def attributes(p: Params, scope: Scope) -> Facts:
    """ec2:Attribute, the names of what is changed, and ec2:Attribute/NAME, what to."""
    facts: dict[str, str | list[str]] = {}
    names = [str(p["Attribute"])] if p.get("Attribute") else []
    for name, value in p.items():
        if name in _NAMES or name.endswith(("Id", "Ids")):
            continue
        names.append(name)
        inner = value.get("Value") if isinstance(value, Mapping) else value
        if isinstance(inner, str | int | bool):
            facts[f"ec2:attribute/{name}".lower()] = _text(inner)
    if names:
        facts["ec2:attribute"] = names
    if p.get("Attribute") and isinstance(p.get("Value"), str):
        facts[f"ec2:attribute/{p['Attribute']}".lower()] = p["Value"]
    return facts


# --- what is made -----------------------------------------------------------------------------------------------------


def volume(p: Params, scope: Scope) -> Facts:
    """Of CreateVolume and of the `Ebs` of a block device."""
    return _some(
        AvailabilityZone=p.get("AvailabilityZone"),
        Encrypted=bool(p.get("Encrypted")),
        ParentSnapshot=_arn("snapshot", p.get("SnapshotId"), scope),
        VolumeIops=p.get("Iops"),
        VolumeSize=p.get("Size") or p.get("VolumeSize"),
        VolumeThroughput=p.get("Throughput"),
        VolumeType=p.get("VolumeType") or "gp2",
    )


def _arn(kind: str, wanted: Any, scope: Scope) -> str | None:
    return Touched(KINDS[kind], str(wanted)).arn(scope) if wanted else None


def snapshot(p: Params, scope: Scope) -> Facts:
    return _some(ParentVolume=_arn("volume", p.get("VolumeId"), scope))


def key_pair(p: Params, scope: Scope) -> Facts:
    return _some(KeyPairName=p.get("KeyName"), KeyPairType=p.get("KeyType") or "rsa")


def placement_group(p: Params, scope: Scope) -> Facts:
    return _some(PlacementGroupName=p.get("GroupName"), PlacementGroupStrategy=p.get("Strategy") or "cluster")


def vpc(p: Params, scope: Scope) -> Facts:
    return _some(Tenancy=p.get("InstanceTenancy") or "default")


def in_vpc(p: Params, scope: Scope) -> Facts:
    """Without one it is the default VPC, which has no id in the request."""
    return _some(Vpc=_arn("vpc", p.get("VpcId"), scope))


def new_profile(p: Params, scope: Scope) -> Facts:
    """A name stands for its ARN, which `resource_facts.completed` gives."""
    profile = p.get("IamInstanceProfile") or {}
    return _some(NewInstanceProfile=profile.get("Arn") or profile.get("Name"))


def peering(p: Params, scope: Scope) -> Facts:
    accepter = Touched(KINDS["vpc"], str(p.get("PeerVpcId") or ""))
    owner = str(p.get("PeerOwnerId") or scope.account)
    there = Scope(account=owner, region=str(p.get("PeerRegion") or scope.region))
    return _some(RequesterVpc=_arn("vpc", p.get("VpcId"), scope), AccepterVpc=accepter.arn(there))


def subnet(p: Params, scope: Scope) -> Facts:
    return _some(AvailabilityZone=p.get("AvailabilityZone"))


# --- a launch ---------------------------------------------------------------------------------------------------------


def launch(p: Params, scope: Scope) -> Iterable[Touched]:
    """Everything that RunInstances needs to be allowed on. Source: "Launch instances (RunInstances)" among EC2's example
    policies."""
    yield from _launched(p, scope)
    yield Touched(KINDS["image"], str(p.get("ImageId") or ""))
    if p.get("KeyName"):
        yield Touched(KINDS["key-pair"], str(p["KeyName"]))
    template = p.get("LaunchTemplate") or {}
    if template.get("LaunchTemplateId"):
        yield Touched(KINDS["launch-template"], str(template["LaunchTemplateId"]))
    elif template.get("LaunchTemplateName"):
        yield Touched(KINDS["launch-template"], str(template["LaunchTemplateName"]), "template name")
    for each in dict.fromkeys(values(p, "Placement.GroupName")):
        yield Touched(KINDS["placement-group"], str(each))
    for each in dict.fromkeys(values(p, "Placement.GroupId")):
        yield Touched(KINDS["placement-group"], str(each), "placement group id")
    yield from _network(p)
    yield from _disks(p, scope)


def _launched(p: Params, scope: Scope) -> Iterable[Touched]:
    metadata, placement = p.get("MetadataOptions") or {}, p.get("Placement") or {}
    profile = p.get("IamInstanceProfile") or {}
    facts = _some(
        AvailabilityZone=placement.get("AvailabilityZone"),
        EbsOptimized=bool(p.get("EbsOptimized")),
        InstanceMarketType=(p.get("InstanceMarketOptions") or {}).get("MarketType") or "on-demand",
        InstanceMetadataTags=metadata.get("InstanceMetadataTags"),
        InstanceType=p.get("InstanceType") or "m1.small",
        MetadataHttpEndpoint=metadata.get("HttpEndpoint"),
        MetadataHttpPutResponseHopLimit=metadata.get("HttpPutResponseHopLimit"),
        MetadataHttpTokens=metadata.get("HttpTokens"),
        PlacementGroup=_arn("placement-group", placement.get("GroupName"), scope),
        Tenancy=placement.get("Tenancy") or "default",
    )
    yield Touched(
        KINDS["instance"],
        facts={**facts, **_some(InstanceProfile=profile.get("Arn") or profile.get("Name")), **new_tags(p, "instance")},
    )


def _network(p: Params) -> Iterable[Touched]:
    """The interfaces, subnets and groups of a launch. What an interface leaves to the cloud, the default subnet and the default
    group, is asked about too, whatever the others name."""
    interfaces = p.get("NetworkInterfaces") or [{}]
    zone = str((p.get("Placement") or {}).get("AvailabilityZone") or "")
    groups = [str(each) for path in ("SecurityGroupIds", "NetworkInterfaces.Groups") for each in values(p, path)]
    subnets = [str(each) for path in ("SubnetId", "NetworkInterfaces.SubnetId") for each in values(p, path)]
    of_instance = values(p, "SecurityGroupIds") or values(p, "SecurityGroups")
    ungrouped: dict[str, None] = {}
    unplaced = False
    for interface in interfaces:
        if interface.get("NetworkInterfaceId"):
            yield Touched(KINDS["network-interface"], str(interface["NetworkInterfaceId"]))
            continue
        where = str(interface.get("SubnetId") or p.get("SubnetId") or "")
        facts = {
            **_some(AssociatePublicIpAddress=interface.get("AssociatePublicIpAddress"), AvailabilityZone=zone),
            **new_tags(p, "network-interface"),
        }
        yield Touched(KINDS["network-interface"], where, "to be in subnet", facts)
        unplaced = unplaced or not where
        if not interface.get("Groups") and not of_instance:
            ungrouped[where] = None
    for each in dict.fromkeys(subnets):
        yield Touched(KINDS["subnet"], each)
    if unplaced:
        yield Touched(KINDS["subnet"], zone, "default subnets")
    for each in dict.fromkeys(groups):
        yield Touched(KINDS["security-group"], each)
    for each in dict.fromkeys(values(p, "SecurityGroups")):
        yield Touched(KINDS["security-group"], str(each), "group name")
    for where in ungrouped:
        yield Touched(KINDS["security-group"], where, "default group")


def _disks(p: Params, scope: Scope) -> Iterable[Touched]:
    named = set()
    for mapping in p.get("BlockDeviceMappings") or ():
        named.add(str(mapping.get("DeviceName") or ""))
        disk = mapping.get("Ebs")
        if disk is None or mapping.get("NoDevice") is not None:
            continue
        if disk.get("SnapshotId"):
            yield Touched(KINDS["snapshot"], str(disk["SnapshotId"]))
        yield Touched(KINDS["volume"], facts={**volume(disk, scope), **new_tags(p, "volume")})
    # The image's own disks, those aside that the request replaces.
    yield Touched(
        KINDS["volume"],
        "\n".join([str(p.get("ImageId") or ""), *sorted(named)]),
        "of image",
        new_tags(p, "volume"),
    )


def deleting_snapshots(p: Params, scope: Scope) -> Iterable[Ask]:
    """ec2:DeleteSnapshot on the image's snapshots that go with it. AWS answers `missing-permissions` for each that may not go;
    here the image stays too."""
    if p.get("DeleteAssociatedSnapshots"):
        yield Ask(DELETE_SNAPSHOT, Touched(KINDS["snapshot"], str(p.get("ImageId") or ""), "snapshots of image"))


def passing(path: str) -> Further:
    """iam:PassRole on the role of the instance profile at `path`: it is handed to EC2 for the instance.

    Source: "Grant permissions to pass an IAM role to an instance".
    """

    def asks(p: Params, scope: Scope) -> Iterable[Ask]:
        for profile in values(p, path):
            name = str(profile.get("Name") or str(profile.get("Arn") or "").rpartition("/")[2])
            if name:
                yield Ask(PASS_ROLE, Touched(ROLE, name, "profile"), {"iam:passedtoservice": "ec2.amazonaws.com"})

    return asks
