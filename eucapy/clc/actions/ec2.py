"""What each EC2 operation takes to be allowed. Source: "Actions, resources, and condition keys for Amazon EC2".

Most Describe operations know no resources: a policy allows them on "*" or not at all.
"""

from __future__ import annotations

from eucapy.clc.actions import ec2_requests as said
from eucapy.clc.actions.declaration import ON_ALL, Declaration, Kind, RequestFacts, Target, needs
from eucapy.clc.actions.ec2_kinds import KINDS, TARGETS

of, maybe, new, new_as = TARGETS.of, TARGETS.maybe, TARGETS.new, TARGETS.new_as
_TAG_KEYS = ("aws:RequestTag/${TagKey}", "aws:TagKeys")
_ATTRIBUTE_KEYS = ("ec2:Attribute", "ec2:Attribute/${AttributeName}")


def _made(
    operation: str, *targets: tuple[Kind, Target], tags: tuple[str, ...] = (), says: RequestFacts | None = None
) -> Declaration:
    """An operation whose request may bring tags; `tags`: for which types, the first where it does not say."""
    kinds = tags or (targets[0][0].name,)
    further, also = (said.tagging(operation, *kinds),), (said.CREATE_TAGS,)
    if says is None:
        return needs(*targets, says_keys=_TAG_KEYS, further=further, also=also)
    return needs(*targets, says=says, says_keys=_TAG_KEYS, further=further, also=also)


def _changed(*targets: tuple[Kind, Target]) -> Declaration:
    """An operation that changes attributes."""
    return needs(*targets, says=said.attributes, says_keys=_ATTRIBUTE_KEYS)


INSTANCE, INSTANCES = needs(of("instance", "InstanceId")), needs(of("instance", "InstanceIds"))
IMAGE, SNAPSHOT, VOLUME = (
    needs(of("image", "ImageId")),
    needs(of("snapshot", "SnapshotId")),
    needs(of("volume", "VolumeId")),
)
_GROUP = of("security-group", "GroupId", GroupName="group name")
GROUP = needs(_GROUP)
_PEERING = of("vpc-peering-connection", "VpcPeeringConnectionId")
_ACL, _PREFIX_LIST = needs(of("network-acl", "NetworkAclId")), needs(of("prefix-list", "PrefixListId"))
TEMPLATE = needs(of("launch-template", "LaunchTemplateId", LaunchTemplateName="template name"))
INTERFACE = needs(of("network-interface", "NetworkInterfaceId"))
ROUTE_TABLE, VPC, SUBNET = (
    needs(of("route-table", "RouteTableId")),
    needs(of("vpc", "VpcId")),
    needs(of("subnet", "SubnetId")),
)
_ASSOCIATED = (
    maybe("route-table", AssociationId="route association"),
    maybe("subnet", AssociationId="route association"),
)

_TAGGED = TARGETS.some(said.tagged, *(name for name in KINDS if name not in ("prefix-list", "vpc-endpoint")))

DECLARED: dict[str, Declaration] = {
    # --- addresses
    "AllocateAddress": _made("AllocateAddress", new("elastic-ip")),
    "AssociateAddress": needs(
        maybe("elastic-ip", "AllocationId", PublicIp="public address"),
        maybe("instance", "InstanceId"),
        maybe("network-interface", "NetworkInterfaceId"),
    ),
    "DisassociateAddress": needs(
        maybe("elastic-ip", AssociationId="address association", PublicIp="public address"),
        maybe("network-interface", AssociationId="address association"),
    ),
    "ReleaseAddress": needs(of("elastic-ip", "AllocationId", PublicIp="public address")),
    "AssignIpv6Addresses": INTERFACE,
    "AssignPrivateIpAddresses": INTERFACE,
    "UnassignIpv6Addresses": INTERFACE,
    "UnassignPrivateIpAddresses": INTERFACE,
    # --- instances
    "RunInstances": needs(
        *TARGETS.some(
            said.launch,
            "instance",
            "image",
            "key-pair",
            "launch-template",
            "network-interface",
            "placement-group",
            "security-group",
            "snapshot",
            "subnet",
            "volume",
        ),
        says_keys=_TAG_KEYS,
        further=(said.tagging("RunInstances", "instance"), said.passing("IamInstanceProfile")),
        also=(said.CREATE_TAGS, said.PASS_ROLE),
    ),
    "StartInstances": INSTANCES,
    "StopInstances": INSTANCES,
    "RebootInstances": INSTANCES,
    "TerminateInstances": INSTANCES,
    "MonitorInstances": INSTANCES,
    "UnmonitorInstances": INSTANCES,
    "ReportInstanceStatus": needs(of("instance", "Instances")),
    "GetConsoleOutput": INSTANCE,
    "GetConsoleScreenshot": INSTANCE,
    "GetPasswordData": INSTANCE,
    "GetLaunchTemplateData": INSTANCE,
    "ModifyInstanceAttribute": _changed(
        of("instance", "InstanceId"),
        maybe("security-group", "Groups"),
        maybe("volume", "BlockDeviceMappings.Ebs.VolumeId"),
    ),
    "ResetInstanceAttribute": _changed(of("instance", "InstanceId")),
    "ModifyInstanceCapacityReservationAttributes": _changed(of("instance", "InstanceId")),
    "ModifyInstanceCpuOptions": _changed(of("instance", "InstanceId")),
    "ModifyInstanceCreditSpecification": needs(of("instance", "InstanceCreditSpecifications.InstanceId")),
    "ModifyInstanceMaintenanceOptions": _changed(of("instance", "InstanceId")),
    "ModifyInstanceMetadataOptions": _changed(of("instance", "InstanceId")),
    "ModifyInstancePlacement": _changed(
        of("instance", "InstanceId"), maybe("placement-group", "GroupName", GroupId="placement group id")
    ),
    "ModifyPrivateDnsNameOptions": _changed(of("instance", "InstanceId")),
    "DescribeInstanceAttribute": INSTANCE,
    # --- images and snapshots
    "CreateImage": _made(
        "CreateImage",
        new("image"),
        of("instance", "InstanceId"),
        new("snapshot"),
        tags=("image", "snapshot"),
    ),
    "RegisterImage": _made(
        "RegisterImage", new("image"), maybe("snapshot", "BlockDeviceMappings.Ebs.SnapshotId"), tags=("image",)
    ),
    "CopyImage": _made("CopyImage", new("image"), maybe("snapshot", "SourceSnapshotId")),
    "DeregisterImage": needs(of("image", "ImageId"), further=(said.deleting_snapshots,), also=(said.DELETE_SNAPSHOT,)),
    "ModifyImageAttribute": _changed(of("image", "ImageId")),
    "ResetImageAttribute": _changed(of("image", "ImageId")),
    "DescribeImageAttribute": IMAGE,
    "EnableImageDeprecation": IMAGE,
    "DisableImageDeprecation": IMAGE,
    "EnableImage": IMAGE,
    "DisableImage": IMAGE,
    "EnableImageDeregistrationProtection": IMAGE,
    "DisableImageDeregistrationProtection": IMAGE,
    "CreateSnapshot": _made("CreateSnapshot", new("snapshot", said.snapshot), of("volume", "VolumeId")),
    "CreateSnapshots": _made(
        "CreateSnapshots",
        new("snapshot"),
        of("instance", "InstanceSpecification.InstanceId"),
        maybe("volume", **{"InstanceSpecification.InstanceId": "volumes of instance"}),
    ),
    "CopySnapshot": _made("CopySnapshot", new("snapshot"), maybe("snapshot", "SourceSnapshotId")),
    "DeleteSnapshot": SNAPSHOT,
    "ModifySnapshotAttribute": _changed(of("snapshot", "SnapshotId")),
    "ResetSnapshotAttribute": _changed(of("snapshot", "SnapshotId")),
    "DescribeSnapshotAttribute": SNAPSHOT,
    "ImportSnapshot": _made("ImportSnapshot", new("import-snapshot-task"), new("snapshot")),
    "ImportImage": _made(
        "ImportImage", new("import-image-task"), new("image"), maybe("snapshot", "DiskContainers.SnapshotId")
    ),
    "CancelImportTask": needs(*TARGETS.some(said.import_task, "import-image-task", "import-snapshot-task")),
    "ExportImage": _made("ExportImage", new("export-image-task"), of("image", "ImageId")),
    "CreateInstanceExportTask": _made(
        "CreateInstanceExportTask", new("export-instance-task"), of("instance", "InstanceId")
    ),
    "CreateStoreImageTask": needs(of("image", "ImageId")),
    "CreateRestoreImageTask": _made("CreateRestoreImageTask", new("image"), new("snapshot")),
    "CancelExportTask": needs(*TARGETS.some(said.export_task, "export-image-task", "export-instance-task")),
    # --- volumes
    "CreateVolume": _made("CreateVolume", new("volume", said.volume), maybe("snapshot", "SnapshotId")),
    "DeleteVolume": VOLUME,
    "ModifyVolume": _changed(of("volume", "VolumeId")),
    "ModifyVolumeAttribute": _changed(of("volume", "VolumeId")),
    "DescribeVolumeAttribute": VOLUME,
    "AttachVolume": needs(of("instance", "InstanceId"), of("volume", "VolumeId")),
    "DetachVolume": needs(of("volume", "VolumeId"), maybe("instance", "InstanceId")),
    # --- keys, tags, templates
    "CreateKeyPair": _made("CreateKeyPair", new_as("key-pair", "KeyName", said.key_pair)),
    "ImportKeyPair": _made("ImportKeyPair", new_as("key-pair", "KeyName", said.key_pair)),
    "DeleteKeyPair": needs(of("key-pair", "KeyName", KeyPairId="key id")),
    "CreateTags": needs(*_TAGGED, says=said.said_tags, says_keys=(*_TAG_KEYS, "ec2:CreateAction")),
    "DeleteTags": needs(*_TAGGED, says=said.said_tags, says_keys=_TAG_KEYS),
    "CreateLaunchTemplate": _made("CreateLaunchTemplate", new("launch-template")),
    "CreateLaunchTemplateVersion": TEMPLATE,
    "ModifyLaunchTemplate": TEMPLATE,
    "DeleteLaunchTemplate": TEMPLATE,
    "DeleteLaunchTemplateVersions": TEMPLATE,
    "CreatePlacementGroup": _made("CreatePlacementGroup", new_as("placement-group", "GroupName", said.placement_group)),
    "DeletePlacementGroup": needs(of("placement-group", "GroupName")),
    # --- instance profiles of instances
    "AssociateIamInstanceProfile": needs(
        of("instance", "InstanceId"),
        says=said.new_profile,
        says_keys=("ec2:NewInstanceProfile",),
        further=(said.passing("IamInstanceProfile"),),
        also=(said.PASS_ROLE,),
    ),
    "DisassociateIamInstanceProfile": needs(of("instance", AssociationId="profile association")),
    "ReplaceIamInstanceProfileAssociation": needs(
        of("instance", AssociationId="profile association"),
        says=said.new_profile,
        says_keys=("ec2:NewInstanceProfile",),
        further=(said.passing("IamInstanceProfile"),),
        also=(said.PASS_ROLE,),
    ),
    # --- networks
    "CreateVpc": _made("CreateVpc", new("vpc", said.vpc)),
    "CreateSubnetCidrReservation": _made(
        "CreateSubnetCidrReservation", of("subnet", "SubnetId"), new("subnet-cidr-reservation")
    ),
    "DeleteSubnetCidrReservation": needs(of("subnet-cidr-reservation", "SubnetCidrReservationId")),
    "DeleteVpc": VPC,
    "AssociateVpcCidrBlock": VPC,
    "DisassociateVpcCidrBlock": needs(of("vpc", AssociationId="vpc block")),
    "ModifyVpcAttribute": _changed(of("vpc", "VpcId")),
    "DescribeVpcAttribute": VPC,
    "GetSecurityGroupsForVpc": VPC,
    "CreateSubnet": _made("CreateSubnet", new("subnet", said.subnet), of("vpc", "VpcId")),
    "DeleteSubnet": SUBNET,
    "AssociateSubnetCidrBlock": SUBNET,
    "DisassociateSubnetCidrBlock": needs(of("subnet", AssociationId="subnet block")),
    "ModifySubnetAttribute": _changed(of("subnet", "SubnetId")),
    "CreateDhcpOptions": _made("CreateDhcpOptions", new("dhcp-options")),
    "DeleteDhcpOptions": needs(of("dhcp-options", "DhcpOptionsId")),
    "AssociateDhcpOptions": needs(of("dhcp-options", "DhcpOptionsId"), of("vpc", "VpcId")),
    "CreateInternetGateway": _made("CreateInternetGateway", new("internet-gateway")),
    "DeleteInternetGateway": needs(of("internet-gateway", "InternetGatewayId")),
    "AttachInternetGateway": needs(of("internet-gateway", "InternetGatewayId"), of("vpc", "VpcId")),
    "DetachInternetGateway": needs(of("internet-gateway", "InternetGatewayId"), of("vpc", "VpcId")),
    "CreateEgressOnlyInternetGateway": _made(
        "CreateEgressOnlyInternetGateway", new("egress-only-internet-gateway"), of("vpc", "VpcId")
    ),
    "DeleteEgressOnlyInternetGateway": needs(of("egress-only-internet-gateway", "EgressOnlyInternetGatewayId")),
    "CreateNatGateway": _made(
        "CreateNatGateway", new("natgateway"), of("subnet", "SubnetId"), maybe("elastic-ip", "AllocationId")
    ),
    "DeleteNatGateway": needs(of("natgateway", "NatGatewayId")),
    "CreateFlowLogs": _made(
        "CreateFlowLogs",
        new("vpc-flow-log"),
        *TARGETS.some(said.logged, "vpc", "subnet", "network-interface"),
        tags=("vpc-flow-log",),
    ),
    "DeleteFlowLogs": needs(of("vpc-flow-log", "FlowLogIds")),
    "CreateVpcPeeringConnection": _made(
        "CreateVpcPeeringConnection", new("vpc-peering-connection", said.peering), of("vpc", "VpcId")
    ),
    "AcceptVpcPeeringConnection": needs(_PEERING, maybe("vpc", VpcPeeringConnectionId="accepter of peering")),
    "RejectVpcPeeringConnection": needs(_PEERING),
    "DeleteVpcPeeringConnection": needs(_PEERING),
    "ModifyVpcPeeringConnectionOptions": _changed(_PEERING),
    "CreateNetworkAcl": _made("CreateNetworkAcl", new("network-acl"), of("vpc", "VpcId")),
    "DeleteNetworkAcl": _ACL,
    "CreateNetworkAclEntry": _ACL,
    "DeleteNetworkAclEntry": _ACL,
    "ReplaceNetworkAclEntry": _ACL,
    "ReplaceNetworkAclAssociation": _ACL,
    "CreateManagedPrefixList": _made("CreateManagedPrefixList", new("prefix-list")),
    "DeleteManagedPrefixList": _PREFIX_LIST,
    "ModifyManagedPrefixList": _PREFIX_LIST,
    "GetManagedPrefixListEntries": _PREFIX_LIST,
    "GetManagedPrefixListAssociations": _PREFIX_LIST,
    "RestoreManagedPrefixListVersion": _PREFIX_LIST,
    "CreateRouteTable": _made("CreateRouteTable", new("route-table"), of("vpc", "VpcId")),
    "DeleteRouteTable": ROUTE_TABLE,
    "CreateRoute": ROUTE_TABLE,
    "DeleteRoute": ROUTE_TABLE,
    "ReplaceRoute": ROUTE_TABLE,
    "AssociateRouteTable": needs(
        of("route-table", "RouteTableId"), maybe("subnet", "SubnetId"), maybe("internet-gateway", "GatewayId")
    ),
    "DisassociateRouteTable": needs(*_ASSOCIATED),
    "ReplaceRouteTableAssociation": needs(
        of("route-table", "RouteTableId"), maybe("subnet", AssociationId="route association")
    ),
    "CreateNetworkInterface": _made(
        "CreateNetworkInterface",
        TARGETS.via("network-interface", "SubnetId", "to be in subnet"),
        of("subnet", "SubnetId"),
        maybe("security-group", "Groups"),
    ),
    "DeleteNetworkInterface": INTERFACE,
    "ModifyNetworkInterfaceAttribute": _changed(
        of("network-interface", "NetworkInterfaceId"), maybe("security-group", "Groups")
    ),
    "ResetNetworkInterfaceAttribute": _changed(of("network-interface", "NetworkInterfaceId")),
    "AttachNetworkInterface": needs(of("instance", "InstanceId"), of("network-interface", "NetworkInterfaceId")),
    "DetachNetworkInterface": needs(
        of("instance", AttachmentId="interface attachment"),
        of("network-interface", AttachmentId="interface attachment"),
    ),
    # --- security groups
    "CreateSecurityGroup": _made("CreateSecurityGroup", new("security-group", said.in_vpc), maybe("vpc", "VpcId")),
    "DeleteSecurityGroup": GROUP,
    "AuthorizeSecurityGroupEgress": _made("AuthorizeSecurityGroupEgress", _GROUP, tags=("security-group-rule",)),
    "AuthorizeSecurityGroupIngress": _made("AuthorizeSecurityGroupIngress", _GROUP, tags=("security-group-rule",)),
    "RevokeSecurityGroupEgress": GROUP,
    "RevokeSecurityGroupIngress": GROUP,
    "ModifySecurityGroupRules": needs(
        of("security-group", "GroupId"), of("security-group-rule", "SecurityGroupRules.SecurityGroupRuleId")
    ),
    "UpdateSecurityGroupRuleDescriptionsEgress": GROUP,
    "UpdateSecurityGroupRuleDescriptionsIngress": GROUP,
    "DescribeSecurityGroupReferences": needs(of("security-group", "GroupId")),
    # --- the account
    "CreateDefaultSubnet": ON_ALL,
    "CreateDefaultVpc": ON_ALL,
    "GetDefaultCreditSpecification": ON_ALL,
    "GetEbsEncryptionByDefault": ON_ALL,
    "GetImageBlockPublicAccessState": ON_ALL,
    "EnableImageBlockPublicAccess": ON_ALL,
    "DisableImageBlockPublicAccess": ON_ALL,
    "GetInstanceMetadataDefaults": ON_ALL,
    "GetInstanceTypesFromInstanceRequirements": ON_ALL,
    "GetSerialConsoleAccessStatus": ON_ALL,
    "GetSnapshotBlockPublicAccessState": ON_ALL,
    "GetSubnetCidrReservations": ON_ALL,
    "ModifyIdFormat": ON_ALL,
    "ModifyIdentityIdFormat": ON_ALL,
    "ModifyInstanceMetadataDefaults": needs(says=said.attributes, says_keys=_ATTRIBUTE_KEYS),
}
"""The operations that know resources, or change something. Of the others, `ON_ALL`."""

DESCRIBES = tuple(
    f"Describe{what}"
    for what in (
        "AccountAttributes", "Addresses", "AddressesAttribute", "AggregateIdFormat", "AvailabilityZones",
        "CapacityReservations", "CarrierGateways", "CustomerGateways", "DhcpOptions", "EgressOnlyInternetGateways",
        "ExportImageTasks", "ExportTasks",
        "Fleets", "FlowLogs", "Hosts", "IamInstanceProfileAssociations", "IdFormat", "IdentityIdFormat", "Images",
        "ImportImageTasks", "ImportSnapshotTasks",
        "InstanceConnectEndpoints", "InstanceCreditSpecifications", "InstanceStatus", "InstanceTypeOfferings",
        "InstanceTypes", "Instances", "InternetGateways", "KeyPairs", "LaunchTemplateVersions", "LaunchTemplates",
        "LocalGateways", "ManagedPrefixLists", "NatGateways", "NetworkAcls", "NetworkInterfaceAttribute",
        "NetworkInterfaces", "PlacementGroups", "PrefixLists", "Regions", "ReservedInstances",
        "ReservedInstancesOfferings", "RouteTables", "SecurityGroupRules", "SecurityGroups", "Snapshots", "StoreImageTasks",
        "SpotFleetRequests", "SpotInstanceRequests", "SpotPriceHistory", "StaleSecurityGroups", "Subnets", "Tags",
        "TransitGatewayVpcAttachments", "TransitGateways", "VolumeStatus", "Volumes", "VolumesModifications",
        "VpcEndpoints", "VpcPeeringConnections", "Vpcs", "VpnConnections", "VpnGateways",
    )
)  # fmt: skip
DECLARED |= dict.fromkeys(DESCRIBES, ON_ALL)
