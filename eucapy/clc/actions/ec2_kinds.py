"""EC2's resource types, their ARNs and condition keys. Source: "Resource types defined by Amazon EC2".

An image's and a snapshot's ARN name no account: they are whoever's they are shared by.
"""

from __future__ import annotations

from eucapy.clc.actions.declaration import Kind, Targets


def _kind(name: str, own: str, *keys: str, of_nobody: bool = False) -> Kind:
    account = "" if of_nobody else "{account}"
    return Kind(name, f"arn:aws:ec2:{{region}}:{account}:{name}/{{id}}", own, keys)


TARGETS = Targets(
    (
        _kind("dhcp-options", "ec2:DhcpOptionsID"),
        _kind("egress-only-internet-gateway", ""),
        _kind("elastic-ip", "ec2:AllocationId", "ec2:Domain", "ec2:PublicIpAddress"),
        _kind("export-image-task", ""),
        _kind("export-instance-task", ""),
        _kind(
            "image", "ec2:ImageID", "ec2:ImageType", "ec2:Owner", "ec2:Public", "ec2:RootDeviceType", of_nobody=True
        ),
        _kind(
            "instance", "ec2:InstanceID", "ec2:AvailabilityZone", "ec2:EbsOptimized", "ec2:InstanceMarketType",
            "ec2:InstanceMetadataTags", "ec2:InstanceProfile", "ec2:InstanceType", "ec2:MetadataHttpEndpoint",
            "ec2:MetadataHttpPutResponseHopLimit", "ec2:MetadataHttpTokens", "ec2:NewInstanceProfile",
            "ec2:PlacementGroup", "ec2:RootDeviceType", "ec2:Tenancy",
        ),
        _kind("import-image-task", ""),
        _kind("import-snapshot-task", ""),
        _kind("internet-gateway", "ec2:InternetGatewayID"),
        _kind("key-pair", "ec2:KeyPairName", "ec2:KeyPairType"),
        _kind("launch-template", ""),
        _kind("network-acl", "ec2:NetworkAclID", "ec2:Vpc"),
        _kind(
            "network-interface", "ec2:NetworkInterfaceID", "ec2:AssociatePublicIpAddress", "ec2:AvailabilityZone",
            "ec2:Subnet", "ec2:Vpc",
        ),
        _kind("placement-group", "ec2:PlacementGroupName", "ec2:PlacementGroupStrategy"),
        _kind("prefix-list", ""),
        _kind("route-table", "ec2:RouteTableID", "ec2:Vpc"),
        _kind("security-group", "ec2:SecurityGroupID", "ec2:Vpc"),
        _kind("security-group-rule", ""),
        _kind(
            "snapshot", "ec2:SnapshotID", "ec2:Encrypted", "ec2:Owner", "ec2:ParentVolume", "ec2:SnapshotTime",
            "ec2:VolumeSize", of_nobody=True,
        ),
        _kind("subnet", "ec2:SubnetID", "ec2:AvailabilityZone", "ec2:Vpc"),
        _kind("subnet-cidr-reservation", ""),
        _kind(
            "volume", "ec2:VolumeID", "ec2:AvailabilityZone", "ec2:Encrypted", "ec2:ParentSnapshot", "ec2:VolumeIops",
            "ec2:VolumeSize", "ec2:VolumeThroughput", "ec2:VolumeType",
        ),
        _kind("vpc", "ec2:VpcID", "ec2:Tenancy"),
        _kind("vpc-peering-connection", "", "ec2:AccepterVpc", "ec2:RequesterVpc"),
        _kind("vpc-flow-log", ""),
        _kind("vpc-endpoint", ""),
        _kind("natgateway", ""),
    )
)  # fmt: skip

KINDS = TARGETS.kinds
ROLE = Kind(
    "role", "arn:aws:iam::{account}:role/{id}", "", ("iam:AssociatedResourceArn", "iam:PassedToService")
)  # fmt: skip
"""What `iam:PassRole` is asked about."""
