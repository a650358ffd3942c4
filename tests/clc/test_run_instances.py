"""RunInstances through boto3: what it answers, what it makes, what it refuses."""

from __future__ import annotations

import re
from ipaddress import IPv4Address
from typing import Any

import pytest

from eucapy.clc import quotas
from eucapy.clc.store import network_interfaces, private_ips
from eucapy.database import Tx
from tests.clc.launching import described, error, image, launch, state
from tests.harness.cloud import Cloud


def test_the_answer_is_pending_and_whole(cloud: Cloud) -> None:
    cloud.settle()
    ec2 = cloud.client("ec2")
    image_id = image(cloud)
    key = ec2.create_key_pair(KeyName="mine", KeyType="ed25519")
    made = ec2.run_instances(
        ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t2.micro", KeyName="mine", ClientToken="once"
    )
    assert re.fullmatch(r"r-[0-9a-f]{17}", made["ReservationId"])
    assert (made["OwnerId"], made["Groups"]) == (cloud.account("eucalyptus")["account_id"], [])
    (one,) = made["Instances"]
    nic = one["NetworkInterfaces"][0]
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    group = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"][0]
    assert key["KeyName"] == "mine"
    assert one["LaunchTime"] == one["UsageOperationUpdateTime"] == nic["Attachment"]["AttachTime"]
    changing = ("InstanceId", "LaunchTime", "UsageOperationUpdateTime", "NetworkInterfaces", "SubnetId")
    public = nic["Association"]["PublicIp"]
    dashed = nic["PrivateIpAddress"].replace(".", "-")
    assert {name: value for name, value in one.items() if name not in changing} == {
        "AmiLaunchIndex": 0,
        "Architecture": "x86_64",
        "BlockDeviceMappings": [],
        "CapacityReservationSpecification": {"CapacityReservationPreference": "open"},
        "ClientToken": "once",
        "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 1},
        "CurrentInstanceBootMode": "legacy-bios",
        "EbsOptimized": False,
        "EnaSupport": False,
        "EnclaveOptions": {"Enabled": False},
        "HibernationOptions": {"Configured": False},
        "Hypervisor": "xen",
        "ImageId": image_id,
        "InstanceType": "t2.micro",
        "KeyName": "mine",
        "MaintenanceOptions": {"AutoRecovery": "default", "RebootMigration": "default"},
        "MetadataOptions": {
            "HttpEndpoint": "enabled",
            "HttpProtocolIpv6": "disabled",
            "HttpPutResponseHopLimit": 1,
            "HttpTokens": "optional",
            "InstanceMetadataTags": "disabled",
            "State": "applied",
        },
        "Monitoring": {"State": "disabled"},
        "NetworkPerformanceOptions": {"BandwidthWeighting": "default"},
        "Operator": {"Managed": False},
        "Placement": {
            "AvailabilityZone": "us-east-1a",
            "AvailabilityZoneId": "use1-az6",
            "GroupName": "",
            "Tenancy": "default",
        },
        "PlatformDetails": "Linux/UNIX",
        "PrivateDnsName": f"ip-{dashed}.ec2.internal",
        "PrivateDnsNameOptions": {
            "EnableResourceNameDnsAAAARecord": False,
            "EnableResourceNameDnsARecord": False,
            "HostnameType": "ip-name",
        },
        "PrivateIpAddress": nic["PrivateIpAddress"],
        "ProductCodes": [],
        "PublicDnsName": f"ec2-{public.replace('.', '-')}.compute-1.amazonaws.com",
        "PublicIpAddress": public,
        "RootDeviceName": "/dev/sda1",
        "RootDeviceType": "instance-store",
        "SecurityGroups": [{"GroupId": group["GroupId"], "GroupName": "default"}],
        "SourceDestCheck": True,
        "State": {"Code": 0, "Name": "pending"},
        "StateReason": {"Code": "pending", "Message": "pending"},
        "StateTransitionReason": "",
        "UsageOperation": "RunInstances",
        "VirtualizationType": "hvm",
        "VpcId": vpc,
    }
    assert nic["Attachment"]["DeleteOnTermination"] is True
    cloud.settle()
    ec2.get_waiter("instance_running").wait(InstanceIds=[one["InstanceId"]])
    running = described(cloud, one["InstanceId"])
    assert running["State"] == {"Code": 16, "Name": "running"}
    assert "StateReason" not in running
    kept = ("State", "StateReason")
    assert {k: v for k, v in running.items() if k not in kept} == {k: v for k, v in one.items() if k not in kept}


def test_a_reservation_holds_its_instances_in_order(cloud: Cloud) -> None:
    cloud.settle()
    ids = launch(cloud, image(cloud), count=4)
    (reservation,) = cloud.client("ec2").describe_instances()["Reservations"]
    assert [one["InstanceId"] for one in reservation["Instances"]] == ids
    assert [one["AmiLaunchIndex"] for one in reservation["Instances"]] == [0, 1, 2, 3]


def test_the_same_client_token_launches_once(cloud: Cloud) -> None:
    cloud.settle()
    ec2, ask = cloud.client("ec2"), {"ImageId": image(cloud), "MinCount": 1, "MaxCount": 1, "ClientToken": "t-1"}
    first, again = ec2.run_instances(**ask), ec2.run_instances(**ask)
    assert first["Instances"][0]["InstanceId"] == again["Instances"][0]["InstanceId"]
    assert len(ec2.describe_instances()["Reservations"]) == 1
    assert error(ec2.run_instances, **{**ask, "MaxCount": 2})[0] == "IdempotentParameterMismatch"


def test_dry_run_launches_nothing(cloud: Cloud) -> None:
    cloud.settle()
    ec2 = cloud.client("ec2")
    assert error(ec2.run_instances, ImageId=image(cloud), MinCount=1, MaxCount=1, DryRun=True) == (
        "DryRunOperation",
        "Request would have succeeded, but DryRun flag is set.",
    )
    assert ec2.describe_instances()["Reservations"] == []


def test_tags_go_to_instances_volumes_and_interfaces(cloud: Cloud) -> None:
    cloud.settle()
    ec2 = cloud.client("ec2")
    (instance_id,) = launch(
        cloud,
        image(cloud),
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1}}],
        TagSpecifications=[
            {"ResourceType": kind, "Tags": [{"Key": "for", "Value": kind}]}
            for kind in ("instance", "volume", "network-interface")
        ],
    )
    found = ec2.describe_tags(Filters=[{"Name": "key", "Values": ["for"]}])["Tags"]
    assert sorted((tag["ResourceType"], tag["Value"]) for tag in found) == [
        ("instance", "instance"),
        ("network-interface", "network-interface"),
        ("volume", "volume"),
    ]
    assert described(cloud, instance_id)["Tags"] == [{"Key": "for", "Value": "instance"}]


def test_interfaces_as_the_request_names_them(cloud: Cloud) -> None:
    cloud.settle()
    ec2 = cloud.client("ec2")
    subnet = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["us-east-1b"]}])["Subnets"][0]
    address = subnet["CidrBlock"].rsplit(".", 1)[0] + ".77"
    (instance_id,) = launch(
        cloud,
        image(cloud),
        NetworkInterfaces=[
            {
                "DeviceIndex": 0,
                "SubnetId": subnet["SubnetId"],
                "PrivateIpAddress": address,
                "SecondaryPrivateIpAddressCount": 2,
                "AssociatePublicIpAddress": False,
                "Description": "front",
            },
        ],
    )
    one = described(cloud, instance_id)
    (nic,) = one["NetworkInterfaces"]
    assert (one["PrivateIpAddress"], nic["Description"], one["Placement"]["AvailabilityZone"]) == (
        address,
        "front",
        "us-east-1b",
    )
    assert [entry["Primary"] for entry in nic["PrivateIpAddresses"]] == [True, False, False]
    assert "PublicIpAddress" not in one


def test_an_interface_that_exists_stays_when_its_instance_ends(cloud: Cloud) -> None:
    cloud.settle()
    ec2 = cloud.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    nic = ec2.create_network_interface(SubnetId=subnet)["NetworkInterface"]["NetworkInterfaceId"]
    named = [{"DeviceIndex": 0, "NetworkInterfaceId": nic}]
    (instance_id,) = launch(cloud, image(cloud), NetworkInterfaces=named)
    assert described(cloud, instance_id)["NetworkInterfaces"][0]["NetworkInterfaceId"] == nic
    code, _ = error(
        ec2.run_instances,
        ImageId=described(cloud, instance_id)["ImageId"],
        MinCount=1,
        MaxCount=1,
        NetworkInterfaces=named,
    )
    assert code == "InvalidNetworkInterface.InUse"
    ec2.terminate_instances(InstanceIds=[instance_id])
    cloud.settle()
    (left,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[nic])["NetworkInterfaces"]
    assert left["Status"] == "available"


def test_an_interface_is_plugged_into_one_place_and_never_taken_from_a_gateway(cloud: Cloud) -> None:
    cloud.settle()
    ec2, ami = cloud.client("ec2"), image(cloud)
    subnet_id = ec2.describe_subnets()["Subnets"][0]["SubnetId"]

    def refused(*interfaces: dict[str, Any]) -> str:
        numbered = [{"DeviceIndex": index, **one} for index, one in enumerate(interfaces)]
        asked = {"ImageId": ami, "MinCount": 1, "MaxCount": 1, "InstanceType": "t2.micro"}
        return error(ec2.run_instances, **asked, NetworkInterfaces=numbered)[0]

    own = ec2.create_network_interface(SubnetId=subnet_id)["NetworkInterface"]["NetworkInterfaceId"]
    assert refused({"NetworkInterfaceId": own}, {"NetworkInterfaceId": own}) == "InvalidNetworkInterface.InUse"
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    gateway = ec2.create_nat_gateway(SubnetId=subnet_id, AllocationId=address)["NatGateway"]["NatGatewayId"]
    of_gateway = [
        one["NetworkInterfaceId"]
        for one in ec2.describe_network_interfaces()["NetworkInterfaces"]
        if one["NetworkInterfaceId"] != own
    ]
    assert [refused({"NetworkInterfaceId": one}) for one in of_gateway] == ["InvalidNetworkInterface.InUse"], gateway


def test_an_instance_is_in_one_network(cloud: Cloud) -> None:
    cloud.settle()
    ec2, ami = cloud.client("ec2"), image(cloud)
    zone = ec2.describe_subnets()["Subnets"][0]
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    other = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.1.0/24", AvailabilityZone=zone["AvailabilityZone"])
    for first in ({"SubnetId": zone["SubnetId"]}, {}):
        assert error(
            ec2.run_instances,
            ImageId=ami,
            MinCount=1,
            MaxCount=1,
            InstanceType="t2.micro",
            NetworkInterfaces=[
                {"DeviceIndex": 0, **first},
                {"DeviceIndex": 1, "SubnetId": other["Subnet"]["SubnetId"]},
            ],
        ) == (
            "InvalidParameterCombination",
            "The network interface and the instance belong to different networks",
        )


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ({"ImageId": "ami-12345678"}, "InvalidAMIID.NotFound", "The image id '[ami-12345678]' does not exist"),
        ({"ImageId": "image"}, "InvalidAMIID.Malformed", 'Invalid id: "image" (expecting "ami-...")'),
        ({"KeyName": "none"}, "InvalidKeyPair.NotFound", "The key pair 'none' does not exist"),
        ({"SecurityGroupIds": ["sg-12345678"]}, "InvalidGroup.NotFound", None),
        ({"SecurityGroups": ["none"]}, "InvalidGroup.NotFound", None),
        (
            {"SubnetId": "subnet-12345678"},
            "InvalidSubnetID.NotFound",
            "The subnet ID 'subnet-12345678' does not exist",
        ),
        (
            {"Placement": {"AvailabilityZone": "mars-1a"}},
            "InvalidParameterValue",
            "Invalid availability zone: [mars-1a]",
        ),
        (
            {"InstanceType": "t9.huge"},
            "InvalidParameterValue",
            "Invalid value 't9.huge' for InstanceType.",
        ),
        (
            {"SubnetId": "subnet-12345678", "NetworkInterfaces": [{"DeviceIndex": 0}]},
            "InvalidParameterCombination",
            "Network interfaces and an instance-level subnet ID may not be specified on the same request",
        ),
        ({"PrivateIpAddress": "10.0.0.1"}, "InvalidParameterValue", None),
        (
            {"BlockDeviceMappings": [{"DeviceName": "/dev/sdf", "Ebs": {"SnapshotId": "snap-12345678"}}]},
            "InvalidSnapshot.NotFound",
            "The snapshot 'snap-12345678' does not exist.",
        ),
    ],
)
def test_refused_in_ec2s_words(cloud: Cloud, given: dict[str, Any], code: str, message: str | None) -> None:
    cloud.settle()
    ask = {"ImageId": image(cloud), "MinCount": 1, "MaxCount": 1, **given}
    got = error(cloud.client("ec2").run_instances, **ask)
    assert got[0] == code
    assert message is None or got[1] == message


def test_no_more_is_promised_than_there_is_room_for(cloud: Cloud) -> None:
    cloud.settle()
    ec2, image_id = cloud.client("ec2"), image(cloud)
    ask = {"ImageId": image_id, "InstanceType": "r5.4xlarge", "Placement": {"AvailabilityZone": "us-east-1a"}}
    code, message = error(ec2.run_instances, MinCount=100, MaxCount=100, **ask)
    assert code == "InsufficientInstanceCapacity"
    assert message.startswith("We currently do not have sufficient r5.4xlarge capacity in the Availability Zone")
    made = ec2.run_instances(MinCount=1, MaxCount=100, **ask)["Instances"]
    cloud.settle()
    assert 1 < len(made) < 100
    assert {state(cloud, one["InstanceId"]) for one in made} == {"running"}
    assert error(ec2.run_instances, MinCount=1, MaxCount=1, **ask)[0] == "InsufficientInstanceCapacity"
    assert launch(cloud, image_id, InstanceType="t2.micro")


def test_an_image_of_another_account_needs_launch_permission(cloud: Cloud) -> None:
    cloud.settle()
    image_id = image(cloud)
    other = cloud.client("ec2", "other")
    ask = {"ImageId": image_id, "MinCount": 1, "MaxCount": 1}
    assert error(other.run_instances, **ask) == ("AuthFailure", f"Not authorized for images: [{image_id}]")
    cloud.client("ec2").modify_image_attribute(
        ImageId=image_id, LaunchPermission={"Add": [{"UserId": cloud.account("other")["account_id"]}]}
    )
    assert launch(cloud, image_id, account="other")


def test_where_the_cloud_chooses_a_zone_whose_subnet_is_full_is_left_out(cloud: Cloud) -> None:
    ec2, image_id = cloud.client("ec2"), image(cloud)
    subnets = {one["AvailabilityZone"]: one for one in ec2.describe_subnets()["Subnets"]}
    full, left = subnets["us-east-1a"], 2
    first, last = private_ips.usable(full["CidrBlock"])

    async def fill(tx: Tx) -> None:
        for number in range(first, last + 1 - left):
            ip = str(IPv4Address(number))
            await private_ips.insert(tx, subnet_id=full["SubnetId"], ip=ip, interface_id="eni-other", is_primary=True)

    cloud.run(cloud.dev.database.write(fill))
    wanted = {"ImageId": image_id, "InstanceType": "t2.micro"}
    two = ec2.run_instances(**wanted, MinCount=1, MaxCount=2)["Instances"]
    assert [one["Placement"]["AvailabilityZone"] for one in two] == ["us-east-1a"] * 2
    three = ec2.run_instances(**wanted, MinCount=1, MaxCount=3)["Instances"]
    assert [one["Placement"]["AvailabilityZone"] for one in three] == ["us-east-1b"] * 3
    code, _ = error(ec2.run_instances, **wanted, MinCount=1, MaxCount=1, SubnetId=full["SubnetId"])
    assert code == "InsufficientFreeAddressesInSubnet"


def test_an_account_has_room_for_ten_thousand_instances(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    ec2, image_id = cloud.client("ec2"), image(cloud)

    async def many(tx: Tx, account: str) -> int:
        return 10_000

    monkeypatch.setattr(network_interfaces, "count", many)
    ec2.run_instances(ImageId=image_id, InstanceType="t2.micro", MinCount=1, MaxCount=1)
    ec2.create_network_interface(SubnetId=ec2.describe_subnets()["Subnets"][0]["SubnetId"])


def test_a_launch_is_held_to_the_limits_of_interfaces(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    ec2, image_id = cloud.client("ec2"), image(cloud)
    wanted = {"ImageId": image_id, "InstanceType": "t2.micro"}
    crowded = [{"DeviceIndex": 0, "SecondaryPrivateIpAddressCount": 50}]
    refused = error(ec2.run_instances, **wanted, MinCount=1, MaxCount=1, NetworkInterfaces=crowded)
    assert refused == ("PrivateIpAddressLimitExceeded", "Number of private addresses will exceed limit.")
    monkeypatch.setattr(quotas, "NETWORK_INTERFACES", 3)
    pairs = [{"DeviceIndex": 0}, {"DeviceIndex": 1}]
    some = ec2.run_instances(**wanted, MinCount=1, MaxCount=2, NetworkInterfaces=pairs)["Instances"]
    assert len(some) == 1
    code, _ = error(ec2.run_instances, **wanted, MinCount=2, MaxCount=2)
    assert code == "NetworkInterfaceLimitExceeded"
    assert len(ec2.describe_network_interfaces()["NetworkInterfaces"]) == 2
    ec2.run_instances(**wanted, MinCount=1, MaxCount=1)
