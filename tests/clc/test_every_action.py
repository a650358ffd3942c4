"""Every EC2 action that has a handler, with parameters that are right: each refusal is EC2's own, whatever the action.

`PARAMETERS` holds what each action is called with; an action that needs some and has none here fails the test of the list.
From these follow, for every action: DryRun answers DryRunOperation and changes nothing; a user without rights is refused;
ids that do not exist, that cannot be, and that are another account's are refused with the code of their kind.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name

from eucapy import ids
from eucapy.clc.ec2 import load
from tests.clc import ebs
from tests.clc.asking import answer
from tests.clc.importing import access, role
from tests.clc.launching import image, launch
from tests.harness.cloud import Cloud

ZONE = "us-east-1a"
EC2 = load()
PERMISSION = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "10.9.0.0/16"}]}]
NUMBERED = {"NetworkAclId": "<acl>", "RuleNumber": 100, "Egress": False}
ENTRY = {**NUMBERED, "Protocol": "-1", "RuleAction": "allow", "CidrBlock": "10.0.0.0/8"}
ALL_OUT = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
PUBLIC_KEY = b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJr8P5DFq7Vxu6pEKk1Jj5Kn9SOmcCBvWbTVFWkrU1pE me"

DISK_CONTAINER = {"Format": "RAW", "UserBucket": {"S3Bucket": "images-eucalyptus", "S3Key": "starter.raw"}}

FLOW_LOG = {
    "ResourceType": "VPC",
    "TrafficType": "ALL",
    "LogDestinationType": "s3",
    "LogDestination": "arn:aws:s3:::images-eucalyptus",
}

Parameters = dict[str, Any]
_PLACE = re.compile("<([a-z0-9-]+)>")

PARAMETERS: dict[str, Parameters] = {
    "AcceptVpcPeeringConnection": {"VpcPeeringConnectionId": "<pcx>"},
    "AllocateAddress": {},
    "AssignIpv6Addresses": {"NetworkInterfaceId": "<eni>", "Ipv6AddressCount": 1},
    "AssignPrivateIpAddresses": {"NetworkInterfaceId": "<eni>", "SecondaryPrivateIpAddressCount": 1},
    "AssociateAddress": {"AllocationId": "<eipalloc>", "InstanceId": "<i>"},
    "AssociateDhcpOptions": {"DhcpOptionsId": "<dopt>", "VpcId": "<vpc>"},
    "AssociateIamInstanceProfile": {"InstanceId": "<i2>", "IamInstanceProfile": {"Name": "mine"}},
    "AssociateRouteTable": {"RouteTableId": "<rtb>", "SubnetId": "<subnet>"},
    "AssociateSubnetCidrBlock": {"SubnetId": "<subnet2>", "Ipv6CidrBlock": "<block6>"},
    "AssociateVpcCidrBlock": {"VpcId": "<vpc>", "CidrBlock": "10.9.0.0/16"},
    "AttachInternetGateway": {"InternetGatewayId": "<igw>", "VpcId": "<vpc2>"},
    "AttachNetworkInterface": {"NetworkInterfaceId": "<eni>", "InstanceId": "<i2>", "DeviceIndex": 1},
    "AttachVolume": {"VolumeId": "<vol>", "InstanceId": "<i>", "Device": "/dev/sdf"},
    "AuthorizeSecurityGroupEgress": {"GroupId": "<sg>", "IpPermissions": PERMISSION},
    "AuthorizeSecurityGroupIngress": {"GroupId": "<sg>", "IpPermissions": PERMISSION},
    "CancelExportTask": {"ExportTaskId": "<export-ami>"},
    "CancelImportTask": {"ImportTaskId": "<import-snap>"},
    "CreateDhcpOptions": {"DhcpConfigurations": [{"Key": "domain-name", "Values": ["example.com"]}]},
    "CreateEgressOnlyInternetGateway": {"VpcId": "<vpc>"},
    "CreateFlowLogs": {**FLOW_LOG, "ResourceIds": ["<vpc>"]},
    "CreateImage": {"InstanceId": "<i>", "Name": "a copy"},
    "CreateInstanceExportTask": {
        "InstanceId": "<i3>",
        "TargetEnvironment": "vmware",
        "ExportToS3Task": {"S3Bucket": "images-eucalyptus"},
    },
    "CreateInternetGateway": {},
    "CreateKeyPair": {"KeyName": "another", "KeyType": "ed25519"},
    "CreateLaunchTemplate": {"LaunchTemplateName": "another", "LaunchTemplateData": {"InstanceType": "t3.micro"}},
    "CreateLaunchTemplateVersion": {"LaunchTemplateId": "<lt>", "LaunchTemplateData": {"InstanceType": "t3.small"}},
    "CreateManagedPrefixList": {"PrefixListName": "new", "AddressFamily": "IPv4", "MaxEntries": 5},
    "CreateNatGateway": {"SubnetId": "<subnet>", "AllocationId": "<eipalloc>"},
    "CreateNetworkAcl": {"VpcId": "<vpc>"},
    "CreateNetworkAclEntry": {**ENTRY, "RuleNumber": 99},
    "CreateNetworkInterface": {"SubnetId": "<subnet>"},
    "CreateRoute": {"RouteTableId": "<rtb2>", "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "<igw3>"},
    "CreateRouteTable": {"VpcId": "<vpc>"},
    "CreatePlacementGroup": {"GroupName": "another"},
    "CreateSecurityGroup": {"GroupName": "another", "Description": "of mine", "VpcId": "<vpc>"},
    "CreateSnapshot": {"VolumeId": "<vol>"},
    "CreateStoreImageTask": {"ImageId": "<ami2>", "Bucket": "images-eucalyptus"},
    "CreateSubnet": {"VpcId": "<vpc>", "CidrBlock": "10.5.9.0/24"},
    "CreateSubnetCidrReservation": {"SubnetId": "<subnet>", "Cidr": "10.5.1.128/28", "ReservationType": "explicit"},
    "CreateTags": {"Resources": ["<i>"], "Tags": [{"Key": "a", "Value": "b"}]},
    "CreateSnapshots": {"InstanceSpecification": {"InstanceId": "<i>"}},
    "CopyImage": {"Name": "copied", "SourceImageId": "<ami>", "SourceRegion": "us-east-1"},
    "CopySnapshot": {"SourceRegion": "us-east-1", "SourceSnapshotId": "<snap>"},
    "CreateVolume": {"AvailabilityZone": ZONE, "SnapshotId": "<snap>"},
    "CreateVpc": {"CidrBlock": "10.6.0.0/16"},
    "CreateVpcPeeringConnection": {"VpcId": "<vpc>", "PeerVpcId": "<vpc2>"},
    "DeleteDhcpOptions": {"DhcpOptionsId": "<dopt>"},
    "DeleteEgressOnlyInternetGateway": {"EgressOnlyInternetGatewayId": "<eigw>"},
    "DeleteFlowLogs": {"FlowLogIds": ["<fl>"]},
    "DeleteInternetGateway": {"InternetGatewayId": "<igw>"},
    "DeleteKeyPair": {"KeyName": "mine"},
    "DeleteLaunchTemplate": {"LaunchTemplateId": "<lt>"},
    "DeleteManagedPrefixList": {"PrefixListId": "<pl>"},
    "DeleteNatGateway": {"NatGatewayId": "<nat>"},
    "DeleteNetworkAcl": {"NetworkAclId": "<acl>"},
    "DeleteNetworkAclEntry": NUMBERED,
    "DeleteNetworkInterface": {"NetworkInterfaceId": "<eni>"},
    "DeletePlacementGroup": {"GroupName": "mine"},
    "DeleteRoute": {"RouteTableId": "<rtb>", "DestinationCidrBlock": "0.0.0.0/0"},
    "DeleteRouteTable": {"RouteTableId": "<rtb2>"},
    "DeleteSecurityGroup": {"GroupId": "<sg>"},
    "DeleteSnapshot": {"SnapshotId": "<snap>"},
    "DeleteSubnet": {"SubnetId": "<subnet2>"},
    "DeleteSubnetCidrReservation": {"SubnetCidrReservationId": "<scr>"},
    "DeleteTags": {"Resources": ["<i>"], "Tags": [{"Key": "a"}]},
    "DeleteVolume": {"VolumeId": "<vol>"},
    "DeleteVpc": {"VpcId": "<vpc2>"},
    "DeleteVpcPeeringConnection": {"VpcPeeringConnectionId": "<pcx>"},
    "DeregisterImage": {"ImageId": "<ami>"},
    "DescribeAddresses": {"AllocationIds": ["<eipalloc>"]},
    "DescribeAddressesAttribute": {"AllocationIds": ["<eipalloc>"]},
    "DescribeDhcpOptions": {"DhcpOptionsIds": ["<dopt>"]},
    "DescribeIamInstanceProfileAssociations": {"AssociationIds": ["<iip-assoc>"]},
    "DescribeImageAttribute": {"ImageId": "<ami>", "Attribute": "launchPermission"},
    "DescribeImages": {"ImageIds": ["<ami>"]},
    "DescribeExportImageTasks": {"ExportImageTaskIds": ["<export-ami>"]},
    "DescribeExportTasks": {"ExportTaskIds": ["<export-i>"]},
    "DescribeImportImageTasks": {"ImportTaskIds": ["<import-ami>"]},
    "DescribeImportSnapshotTasks": {"ImportTaskIds": ["<import-snap>"]},
    "DescribeInstanceAttribute": {"InstanceId": "<i>", "Attribute": "userData"},
    "DescribeInstanceCreditSpecifications": {"InstanceIds": ["<i>"]},
    "DescribeInstanceStatus": {"InstanceIds": ["<i>"]},
    "DescribeInstances": {"InstanceIds": ["<i>"]},
    "DescribeEgressOnlyInternetGateways": {"EgressOnlyInternetGatewayIds": ["<eigw>"]},
    "DescribeInternetGateways": {"InternetGatewayIds": ["<igw>"]},
    "DescribeLaunchTemplateVersions": {"LaunchTemplateId": "<lt>"},
    "DescribeLaunchTemplates": {"LaunchTemplateIds": ["<lt>"]},
    "DescribeManagedPrefixLists": {"PrefixListIds": ["<pl>"]},
    "DescribeFlowLogs": {"FlowLogIds": ["<fl>"]},
    "DescribeNatGateways": {"NatGatewayIds": ["<nat>"]},
    "DescribeNetworkAcls": {"NetworkAclIds": ["<acl>"]},
    "DescribeNetworkInterfaceAttribute": {"NetworkInterfaceId": "<eni>", "Attribute": "description"},
    "DescribeNetworkInterfaces": {"NetworkInterfaceIds": ["<eni>"]},
    "DescribePlacementGroups": {"GroupIds": ["<pg>"]},
    "DescribeRouteTables": {"RouteTableIds": ["<rtb>"]},
    "DescribeSecurityGroupReferences": {"GroupId": ["<sg>"]},
    "DescribeSecurityGroupRules": {"SecurityGroupRuleIds": ["<sgr>"]},
    "DescribeSecurityGroups": {"GroupIds": ["<sg>"]},
    "DescribeSnapshotAttribute": {"SnapshotId": "<snap>", "Attribute": "createVolumePermission"},
    "DescribeSnapshots": {"SnapshotIds": ["<snap>"]},
    "DescribeStaleSecurityGroups": {"VpcId": "<vpc>"},
    "DescribeSubnets": {"SubnetIds": ["<subnet>"]},
    "DescribeVolumeAttribute": {"VolumeId": "<vol>", "Attribute": "autoEnableIO"},
    "DescribeVolumeStatus": {"VolumeIds": ["<vol>"]},
    "DescribeVolumes": {"VolumeIds": ["<vol>"]},
    "DescribeVpcAttribute": {"VpcId": "<vpc>", "Attribute": "enableDnsSupport"},
    "DescribeVpcPeeringConnections": {"VpcPeeringConnectionIds": ["<pcx>"]},
    "DescribeVpcs": {"VpcIds": ["<vpc>"]},
    "DetachNetworkInterface": {"AttachmentId": "<eni-attach>"},
    "DetachVolume": {"VolumeId": "<vol2>", "InstanceId": "<i>"},
    "DisableImage": {"ImageId": "<ami>"},
    "DisableImageDeprecation": {"ImageId": "<ami>"},
    "DisableImageDeregistrationProtection": {"ImageId": "<ami>"},
    "DisassociateAddress": {"AssociationId": "<eipassoc>"},
    "DisassociateIamInstanceProfile": {"AssociationId": "<iip-assoc>"},
    "DisassociateRouteTable": {"AssociationId": "<rtbassoc>"},
    "DisassociateSubnetCidrBlock": {"AssociationId": "<subnet-cidr-assoc>"},
    "DisassociateVpcCidrBlock": {"AssociationId": "<vpc-cidr-assoc>"},
    "DetachInternetGateway": {"InternetGatewayId": "<igw2>", "VpcId": "<vpc3>"},
    "EnableImage": {"ImageId": "<ami>"},
    "EnableImageBlockPublicAccess": {"ImageBlockPublicAccessState": "block-new-sharing"},
    "EnableImageDeregistrationProtection": {"ImageId": "<ami>"},
    "EnableImageDeprecation": {"ImageId": "<ami>", "DeprecateAt": "2029-01-01T00:00:00Z"},
    "GetConsoleOutput": {"InstanceId": "<i>"},
    "GetConsoleScreenshot": {"InstanceId": "<i>"},
    "GetDefaultCreditSpecification": {"InstanceFamily": "t3"},
    "GetInstanceTypesFromInstanceRequirements": {
        "ArchitectureTypes": ["x86_64"],
        "VirtualizationTypes": ["hvm"],
        "InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}},
    },
    "GetLaunchTemplateData": {"InstanceId": "<i>"},
    "GetManagedPrefixListAssociations": {"PrefixListId": "<pl>"},
    "GetManagedPrefixListEntries": {"PrefixListId": "<pl>"},
    "GetPasswordData": {"InstanceId": "<i>"},
    "GetSecurityGroupsForVpc": {"VpcId": "<vpc>"},
    "GetSubnetCidrReservations": {"SubnetId": "<subnet>"},
    "ExportImage": {
        "ImageId": "<ami2>",
        "DiskImageFormat": "VMDK",
        "S3ExportLocation": {"S3Bucket": "images-eucalyptus"},
    },
    "ImportImage": {"DiskContainers": [DISK_CONTAINER]},
    "ImportKeyPair": {"KeyName": "another", "PublicKeyMaterial": PUBLIC_KEY},
    "ImportSnapshot": {"DiskContainer": DISK_CONTAINER},
    "ModifyImageAttribute": {"ImageId": "<ami>", "LaunchPermission": {"Add": [{"Group": "all"}]}},
    "ModifyInstanceAttribute": {"InstanceId": "<i>", "DisableApiTermination": {"Value": True}},
    "ModifyInstanceCapacityReservationAttributes": {
        "InstanceId": "<i2>",
        "CapacityReservationSpecification": {"CapacityReservationPreference": "none"},
    },
    "ModifyInstanceCpuOptions": {"InstanceId": "<i2>", "CoreCount": 1, "ThreadsPerCore": 1},
    "ModifyInstanceMaintenanceOptions": {"InstanceId": "<i>", "AutoRecovery": "disabled"},
    "ModifyInstanceMetadataDefaults": {"HttpTokens": "required"},
    "ModifyInstanceMetadataOptions": {"InstanceId": "<i>", "HttpTokens": "required"},
    "ModifyInstancePlacement": {"InstanceId": "<i2>", "GroupName": "mine"},
    "ModifyLaunchTemplate": {"LaunchTemplateId": "<lt>", "DefaultVersion": "1"},
    "ModifyManagedPrefixList": {"PrefixListId": "<pl>", "PrefixListName": "another"},
    "ModifyNetworkInterfaceAttribute": {"NetworkInterfaceId": "<eni>", "Description": {"Value": "mine"}},
    "ModifyPrivateDnsNameOptions": {"InstanceId": "<i2>", "PrivateDnsHostnameType": "resource-name"},
    "ModifySecurityGroupRules": {
        "GroupId": "<sg>",
        "SecurityGroupRules": [
            {
                "SecurityGroupRuleId": "<sgr>",
                "SecurityGroupRule": {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 2, "CidrIpv4": "10.0.0.0/8"},
            }
        ],
    },
    "ModifySnapshotAttribute": {"SnapshotId": "<snap>", "CreateVolumePermission": {"Add": [{"Group": "all"}]}},
    "ModifySubnetAttribute": {"SubnetId": "<subnet>", "MapPublicIpOnLaunch": {"Value": True}},
    "ModifyVolume": {"VolumeId": "<vol>", "Size": 9},
    "ModifyVolumeAttribute": {"VolumeId": "<vol>", "AutoEnableIO": {"Value": True}},
    "ModifyVpcAttribute": {"VpcId": "<vpc>", "EnableDnsHostnames": {"Value": True}},
    "ModifyVpcPeeringConnectionOptions": {
        "VpcPeeringConnectionId": "<pcx2>",
        "RequesterPeeringConnectionOptions": {"AllowDnsResolutionFromRemoteVpc": False},
    },
    "MonitorInstances": {"InstanceIds": ["<i>"]},
    "RebootInstances": {"InstanceIds": ["<i>"]},
    "RegisterImage": {"Name": "another", "ImageLocation": "images-eucalyptus/starter.raw"},
    "RejectVpcPeeringConnection": {"VpcPeeringConnectionId": "<pcx>"},
    "ReleaseAddress": {"AllocationId": "<eipalloc>"},
    "ReplaceIamInstanceProfileAssociation": {
        "AssociationId": "<iip-assoc>",
        "IamInstanceProfile": {"Name": "mine"},
    },
    "ReplaceNetworkAclAssociation": {"AssociationId": "<aclassoc>", "NetworkAclId": "<acl>"},
    "ReplaceNetworkAclEntry": ENTRY,
    "ReplaceRoute": {
        "RouteTableId": "<rtb>",
        "DestinationCidrBlock": "0.0.0.0/0",
        "GatewayId": "<igw3>",
    },
    "ReplaceRouteTableAssociation": {"AssociationId": "<rtbassoc>", "RouteTableId": "<rtb2>"},
    "ReportInstanceStatus": {"Instances": ["<i>"], "Status": "impaired", "ReasonCodes": ["unresponsive"]},
    "ResetImageAttribute": {"ImageId": "<ami>", "Attribute": "launchPermission"},
    "ResetInstanceAttribute": {"InstanceId": "<i>", "Attribute": "sourceDestCheck"},
    "ResetNetworkInterfaceAttribute": {"NetworkInterfaceId": "<eni>", "SourceDestCheck": "true"},
    "ResetSnapshotAttribute": {"SnapshotId": "<snap>", "Attribute": "createVolumePermission"},
    "RevokeSecurityGroupEgress": {"GroupId": "<sg>", "IpPermissions": ALL_OUT},
    "RevokeSecurityGroupIngress": {"GroupId": "<sg>", "SecurityGroupRuleIds": ["<sgr>"]},
    "RestoreManagedPrefixListVersion": {"PrefixListId": "<pl>", "PreviousVersion": 1, "CurrentVersion": 2},
    "RunInstances": {"ImageId": "<ami>", "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"},
    "StartInstances": {"InstanceIds": ["<i>"]},
    "StopInstances": {"InstanceIds": ["<i>"]},
    "TerminateInstances": {"InstanceIds": ["<i>"]},
    "UnassignIpv6Addresses": {"NetworkInterfaceId": "<eni>", "Ipv6Addresses": ["<ipv6>"]},
    "UnassignPrivateIpAddresses": {"NetworkInterfaceId": "<eni>", "PrivateIpAddresses": ["<secondary>"]},
    "UnmonitorInstances": {"InstanceIds": ["<i>"]},
    "UpdateSecurityGroupRuleDescriptionsEgress": {"GroupId": "<sg>", "IpPermissions": ALL_OUT},
    "UpdateSecurityGroupRuleDescriptionsIngress": {
        "GroupId": "<sg>",
        "SecurityGroupRuleDescriptions": [{"SecurityGroupRuleId": "<sgr>", "Description": "mine"}],
    },
}
"""By action; `<prefix>` stands for the id of that kind in `world`."""

OTHERWISE = {
    "CreateDefaultSubnet": "there is one in every zone already",
    "CreateDefaultVpc": "the account has one already",
    "CreateRestoreImageTask": "reads an object in the caller's name before anything else",
    "DeleteLaunchTemplateVersions": "refuses each version in its answer, with 200",
    "DescribeIdentityIdFormat": "has no DryRun",
    "ModifyIdFormat": "has no DryRun",
    "ModifyIdentityIdFormat": "has no DryRun",
    "ModifyInstanceCreditSpecification": "refuses each instance in its answer, with 200",
}
"""Actions that need parameters and are left to tests of their own, and why."""


OWN = {
    "DescribeImages": {"Owners": ["self"]},
    "DescribeLaunchTemplateVersions": {"Versions": ["$Default", "$Latest"]},
}
"""How to ask for all that is the account's own, where no parameters would not do."""


class World:
    """A cloud that does not move any more, and the ids of what an account has in it."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.ids = cloud, _populate(cloud)
        self.owner, self.stranger = cloud.client("ec2"), cloud.client("ec2", "stranger")
        self.powerless = cloud.client("ec2", keys=cloud.user("powerless"))

    def parameters(self, action: str, **replaced: str) -> Parameters:
        """What `action` is called with, ids taken from `replaced` first."""
        return dict(_filled(PARAMETERS.get(action, {}), {**self.ids, **replaced}))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("every") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        yield World(cloud)


def _populate(cloud: Cloud) -> dict[str, str]:
    ec2 = cloud.client("ec2")
    own = {"ami": image(cloud)}
    own["i"], own["i2"] = launch(cloud, own["ami"], 2, InstanceType="t3.large", Placement={"AvailabilityZone": ZONE})
    ec2.stop_instances(InstanceIds=[own["i2"]])
    for name in ("vol", "vol2"):
        own[name] = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    cloud.settle()
    own["ami2"] = ebs.image(cloud)
    own["i3"] = ebs.instance(cloud, own["ami2"])
    ec2.attach_volume(VolumeId=own["vol2"], InstanceId=own["i"], Device="/dev/sdz")
    own["snap"] = ec2.create_snapshot(VolumeId=own["vol"])["SnapshotId"]
    cloud.client("iam").create_instance_profile(InstanceProfileName="mine")
    profile = ec2.associate_iam_instance_profile(InstanceId=own["i"], IamInstanceProfile={"Name": "mine"})
    own["iip-assoc"] = profile["IamInstanceProfileAssociation"]["AssociationId"]
    ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    for name, block in (("vpc", "10.5.0.0/16"), ("vpc2", "10.7.0.0/16"), ("vpc3", "10.8.0.0/16")):
        own[name] = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
    further = ec2.associate_vpc_cidr_block(VpcId=own["vpc"], CidrBlock="10.10.0.0/16")
    own["vpc-cidr-assoc"] = further["CidrBlockAssociation"]["AssociationId"]
    for name, block in (("subnet", "10.5.1.0/24"), ("subnet2", "10.5.2.0/24")):
        made = ec2.create_subnet(VpcId=own["vpc"], CidrBlock=block, AvailabilityZone=ZONE)
        own[name] = made["Subnet"]["SubnetId"]
    ec2.associate_vpc_cidr_block(VpcId=own["vpc"], AmazonProvidedIpv6CidrBlock=True)
    first, own["block6"] = _parts(ec2, own["vpc"])
    associated = ec2.associate_subnet_cidr_block(SubnetId=own["subnet"], Ipv6CidrBlock=first)
    own["subnet-cidr-assoc"] = associated["Ipv6CidrBlockAssociation"]["AssociationId"]
    outgoing = ec2.create_egress_only_internet_gateway(VpcId=own["vpc"])["EgressOnlyInternetGateway"]
    own["eigw"] = outgoing["EgressOnlyInternetGatewayId"]
    own["pg"] = ec2.create_placement_group(GroupName="mine", Strategy="spread")["PlacementGroup"]["GroupId"]
    kept = ec2.create_subnet_cidr_reservation(SubnetId=own["subnet"], Cidr="10.5.1.64/28", ReservationType="prefix")
    own["scr"] = kept["SubnetCidrReservation"]["SubnetCidrReservationId"]
    for name in ("igw", "igw2", "igw3"):
        own[name] = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=own["igw2"], VpcId=own["vpc3"])
    ec2.attach_internet_gateway(InternetGatewayId=own["igw3"], VpcId=own["vpc"])
    for name in ("rtb", "rtb2"):
        own[name] = ec2.create_route_table(VpcId=own["vpc"])["RouteTable"]["RouteTableId"]
    associated = ec2.associate_route_table(RouteTableId=own["rtb"], SubnetId=own["subnet2"])
    own["rtbassoc"] = associated["AssociationId"]
    own["acl"] = ec2.create_network_acl(VpcId=own["vpc"])["NetworkAcl"]["NetworkAclId"]
    ec2.create_network_acl_entry(**_filled(ENTRY, own))
    of_vpc = [{"Name": "vpc-id", "Values": [own["vpc"]]}, {"Name": "default", "Values": ["true"]}]
    (default,) = ec2.describe_network_acls(Filters=of_vpc)["NetworkAcls"]
    own["aclassoc"] = default["Associations"][0]["NetworkAclAssociationId"]
    made = ec2.create_nat_gateway(SubnetId=own["subnet"], ConnectivityType="private")
    own["nat"] = made["NatGateway"]["NatGatewayId"]
    made = ec2.create_flow_logs(**{**FLOW_LOG, "ResourceIds": [own["vpc3"]]})
    own["fl"] = made["FlowLogIds"][0]
    for name, block in (("pcx", "10.11.0.0/16"), ("pcx2", "10.12.0.0/16")):
        other = ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"]
        made = ec2.create_vpc_peering_connection(VpcId=own["vpc"], PeerVpcId=other)
        own[name] = made["VpcPeeringConnection"]["VpcPeeringConnectionId"]
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=own["pcx2"])
    options = ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": ["example.com"]}])
    block = [{"Cidr": "10.0.0.0/8"}]
    made = ec2.create_managed_prefix_list(PrefixListName="mine", AddressFamily="IPv4", MaxEntries=5, Entries=block)
    own["pl"] = made["PrefixList"]["PrefixListId"]
    ec2.modify_managed_prefix_list(PrefixListId=own["pl"], CurrentVersion=1, RemoveEntries=block)
    own["dopt"] = options["DhcpOptions"]["DhcpOptionsId"]
    own["sg"] = ec2.create_security_group(GroupName="mine", Description="d", VpcId=own["vpc"])["GroupId"]
    rule = [{"IpProtocol": "tcp", "FromPort": 80, "ToPort": 80, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    rules = ec2.authorize_security_group_ingress(GroupId=own["sg"], IpPermissions=rule)["SecurityGroupRules"]
    own["sgr"] = rules[0]["SecurityGroupRuleId"]
    home = ec2.describe_instances(InstanceIds=[own["i"]])["Reservations"][0]["Instances"][0]
    subnet = home["SubnetId"]
    ec2.associate_vpc_cidr_block(VpcId=home["VpcId"], AmazonProvidedIpv6CidrBlock=True)
    ec2.associate_subnet_cidr_block(SubnetId=subnet, Ipv6CidrBlock=_parts(ec2, home["VpcId"])[0])
    made = ec2.create_network_interface(SubnetId=subnet)
    own["eni"] = made["NetworkInterface"]["NetworkInterfaceId"]
    assigned = ec2.assign_private_ip_addresses(NetworkInterfaceId=own["eni"], SecondaryPrivateIpAddressCount=1)
    own["secondary"] = assigned["AssignedPrivateIpAddresses"][0]["PrivateIpAddress"]
    assigned = ec2.assign_ipv6_addresses(NetworkInterfaceId=own["eni"], Ipv6AddressCount=1)
    own["ipv6"] = assigned["AssignedIpv6Addresses"][0]
    ec2.create_route(RouteTableId=own["rtb"], DestinationCidrBlock="0.0.0.0/0", GatewayId=own["igw3"])
    third = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    attached = ec2.attach_network_interface(NetworkInterfaceId=third, InstanceId=own["i2"], DeviceIndex=2)
    own["eni-attach"] = attached["AttachmentId"]
    template = ec2.create_launch_template(LaunchTemplateName="mine", LaunchTemplateData={"InstanceType": "t3.micro"})
    own["lt"] = template["LaunchTemplate"]["LaunchTemplateId"]
    own["eipalloc"] = ec2.allocate_address()["AllocationId"]
    other = ec2.allocate_address()["AllocationId"]
    own["eipassoc"] = ec2.associate_address(AllocationId=other, NetworkInterfaceId=third)["AssociationId"]
    cloud.settle()
    role(cloud, policy=access("images-eucalyptus"))
    # The world does not move any more: these stay as they are.
    own["import-snap"] = ec2.import_snapshot(DiskContainer=DISK_CONTAINER)["ImportTaskId"]
    where = {"S3Bucket": "images-eucalyptus"}
    made = ec2.export_image(ImageId=own["ami2"], DiskImageFormat="RAW", S3ExportLocation=where)
    own["export-ami"] = made["ExportImageTaskId"]
    made = ec2.create_instance_export_task(InstanceId=own["i3"], TargetEnvironment="citrix", ExportToS3Task=where)
    own["export-i"] = made["ExportTask"]["ExportTaskId"]
    ec2.create_store_image_task(ImageId=own["ami2"], Bucket="images-eucalyptus")
    own["import-ami"] = ec2.import_image(DiskContainers=[DISK_CONTAINER])["ImportTaskId"]
    return own


def _parts(ec2: Any, vpc_id: str) -> list[str]:
    """Two blocks that subnets of the VPC may have."""
    (vpc,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    block = ipaddress.IPv6Network(vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"])
    return [str(each) for each in itertools.islice(block.subnets(new_prefix=64), 2)]


def _filled(value: Any, own: Mapping[str, str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _filled(inner, own) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, own) for inner in value]
    if isinstance(value, str) and (match := _PLACE.fullmatch(value)):
        return own[match[1]]
    return value


NO_IDS = ("secondary", "ipv6", "block6")


def named(action: str) -> list[tuple[str, str]]:
    """(name, prefix) of each id that the action is called with."""
    names = dict.fromkeys(_PLACE.findall(json.dumps(PARAMETERS.get(action, {}), default=str)))
    return [(name, name.rstrip("0123456789")) for name in names if name not in NO_IDS]


def members(world: World, action: str) -> tuple[set[str], set[str]]:
    """(all members of the action's input, those it requires)."""
    found = world.owner.meta.service_model.operation_model(action).input_shape
    return set(found.members), set(found.required_members)


def state(world: World) -> str:
    """All that the account is shown of its own."""
    seen = {
        action: getattr(world.owner, xform_name(action))(**OWN.get(action, {}))
        for action in EC2.actions()
        if action.startswith("Describe") and not members(world, action)[1]
    }
    for one in seen.values():
        del one["ResponseMetadata"]
    return json.dumps(seen, default=str, sort_keys=True)


def test_the_list_is_whole(world: World) -> None:
    lacking = [
        action
        for action in EC2.actions()
        if members(world, action)[1] - PARAMETERS.get(action, {}).keys() and action not in OTHERWISE
    ]
    assert lacking == []
    assert {*PARAMETERS, *OTHERWISE} - set(EC2.actions()) == set()


def test_dry_run_says_that_it_would_have_worked_and_changes_nothing(world: World) -> None:
    before, failed = state(world), {}
    for action in EC2.actions():
        if "DryRun" in members(world, action)[0] and action not in OTHERWISE:
            said = answer(world.owner, action, {**world.parameters(action), "DryRun": True})
            if said != (412, "DryRunOperation", "Request would have succeeded, but DryRun flag is set."):
                failed[action] = said
    assert failed == {}
    assert state(world) == before


def test_who_has_no_rights_learns_nothing(world: World) -> None:
    failed = {}
    for action in EC2.actions():
        for parameters in (world.parameters(action), {}):
            status, code, message = answer(world.powerless, action, parameters)
            if (status, code) != (403, "UnauthorizedOperation") or f"ec2:{action}" not in message:
                failed[action] = (status, code, message)
    assert failed == {}


def test_an_id_that_does_not_exist_is_not_found(world: World) -> None:
    failed = {}
    for action in EC2.actions():
        for name, prefix in named(action):
            unknown = ids.new(prefix)
            status, code, message = answer(world.owner, action, world.parameters(action, **{name: unknown}))
            if (status, code) != (400, ids.KINDS[prefix].not_found) or unknown not in message:
                failed[action, name] = (status, code, message)
    assert failed == {}


def test_what_cannot_be_an_id_is_malformed(world: World) -> None:
    failed = {}
    for action in EC2.actions():
        for name, prefix in named(action):
            allowed = {"InvalidID"} if action in ("CreateTags", "DeleteTags") else {ids.KINDS[prefix].malformed}
            status, code, message = answer(world.owner, action, world.parameters(action, **{name: "banana"}))
            if status != 400 or code not in allowed or "banana" not in message:
                failed[action, name] = (status, code, message)
    assert failed == {}


def test_what_another_account_has_does_not_exist(world: World) -> None:
    before, failed = state(world), {}
    for action in EC2.actions():
        kinds = named(action)
        if not kinds:
            continue
        status, code, message = answer(world.stranger, action, world.parameters(action))
        if action == "RunInstances":  # EC2's own words for an image that exists and is private
            expected = (403, "AuthFailure", f"Not authorized for images: [{world.ids['ami']}]")
            if (status, code, message) != expected:
                failed[action] = (status, code, message)
        elif status != 400 or code not in {ids.KINDS[prefix].not_found for _, prefix in kinds}:
            failed[action] = (status, code, message)
    assert failed == {}
    assert state(world) == before


WORDED = {
    (f"{verb}Instances", "InstanceIds"): "InvalidParameterCombination"
    for verb in ("Start", "Stop", "Reboot", "Terminate")
}
"""Operations with a word of their own for what is missing."""


def test_what_is_required_is_missed_by_name(world: World) -> None:
    failed = {}
    for action in EC2.actions():
        given = world.parameters(action)
        for member in members(world, action)[1] & given.keys():
            status, code, message = answer(
                world.owner, action, {key: value for key, value in given.items() if key != member}
            )
            if (action, member) in WORDED:
                assert (status, code) == (400, WORDED[action, member])
            elif (status, code) != (400, "MissingParameter"):
                failed[action, member] = (status, code, message)
    assert failed == {}
