"""Every waiter of botocore whose operation is answered here ends, on a cloud that moves by itself.

The list is botocore's own: an operation that is served tomorrow brings its waiters into it, and they fail until somebody
has said here how they come to an end.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from eucapy.clc.app import services
from eucapy.walrus.s3 import registry
from tests.clc import importing
from tests.clc.launching import DISK
from tests.harness.cloud import Cloud
from tests.harness.postgres import NewDatabase

ZONE, TYPE = "us-east-1a", "t2.micro"
PATIENTLY = {"Delay": 0.1, "MaxAttempts": 300}
BUCKET = "waiting"

NEVER = {
    ("ec2", "password_data_available"): "only guests with Windows give a password, as in AWS",
    ("ec2", "customer_gateway_available"): "no operation makes one",
    ("ec2", "spot_instance_request_fulfilled"): "no operation makes one",
    ("ec2", "vpn_connection_available"): "no operation makes one",
    ("ec2", "vpn_connection_deleted"): "no operation makes one",
}


class Stage:
    """Clients, and an image to launch from."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.ec2, self.s3, self.iam = cloud.client("ec2"), cloud.client("s3"), cloud.client("iam")
        self.s3.create_bucket(Bucket=BUCKET)
        self.s3.put_object(Bucket=BUCKET, Key="disk.raw", Body=DISK)
        self.image = self.register("waiting")
        self.ec2.get_waiter("image_available").wait(ImageIds=[self.image], WaiterConfig=PATIENTLY)

    def register(self, name: str) -> str:
        return str(self.ec2.register_image(Name=name, ImageLocation=f"{BUCKET}/disk.raw")["ImageId"])

    def launch(self) -> str:
        made = self.ec2.run_instances(
            ImageId=self.image, MinCount=1, MaxCount=1, InstanceType=TYPE, Placement={"AvailabilityZone": ZONE}
        )
        return str(made["Instances"][0]["InstanceId"])

    def running(self) -> str:
        instance_id = self.launch()
        self.ec2.get_waiter("instance_running").wait(InstanceIds=[instance_id], WaiterConfig=PATIENTLY)
        return instance_id

    def volume(self) -> str:
        return str(self.ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"])

    def ready_volume(self) -> str:
        volume_id = self.volume()
        self.ec2.get_waiter("volume_available").wait(VolumeIds=[volume_id], WaiterConfig=PATIENTLY)
        return volume_id

    def vpc(self) -> str:
        return str(self.ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"])

    @functools.cache  # noqa: B019
    def service_role(self) -> None:
        """The one that imports and exports."""
        importing.role(self.cloud, policy=importing.export_access("*"))

    @functools.cache  # noqa: B019
    def machine(self) -> str:
        """A running instance whose disk is a volume."""
        snapshot_id = self.ec2.create_snapshot(VolumeId=self.ready_volume())["SnapshotId"]
        self.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot_id], WaiterConfig=PATIENTLY)
        root = {"DeviceName": "/dev/sda1", "Ebs": {"SnapshotId": snapshot_id}}
        made = self.ec2.register_image(Name="on a volume", RootDeviceName="/dev/sda1", BlockDeviceMappings=[root])
        where = {"AvailabilityZone": ZONE}
        self.ec2.get_waiter("image_available").wait(ImageIds=[made["ImageId"]], WaiterConfig=PATIENTLY)
        answer = self.ec2.run_instances(
            ImageId=made["ImageId"], MinCount=1, MaxCount=1, InstanceType=TYPE, Placement=where
        )
        instance_id = str(answer["Instances"][0]["InstanceId"])
        self.ec2.get_waiter("instance_running").wait(InstanceIds=[instance_id], WaiterConfig=PATIENTLY)
        return instance_id

    def export(self, bucket: str) -> str:
        self.service_role()
        made = self.ec2.create_instance_export_task(
            InstanceId=self.machine(), TargetEnvironment="vmware", ExportToS3Task={"S3Bucket": bucket}
        )
        return str(made["ExportTask"]["ExportTaskId"])

    def policy(self) -> str:
        statement = {"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": statement})
        return str(self.iam.create_policy(PolicyName="waiting", PolicyDocument=document)["Policy"]["Arn"])

    def nat_gateway(self) -> str:
        allocation = self.ec2.allocate_address()["AllocationId"]
        made = self.ec2.create_nat_gateway(SubnetId=self.subnet(), AllocationId=allocation)
        return str(made["NatGateway"]["NatGatewayId"])

    def subnet(self) -> str:
        return str(self.ec2.describe_subnets()["Subnets"][0]["SubnetId"])


def instance_profile(stage: Stage) -> dict[str, Any]:
    stage.iam.create_instance_profile(InstanceProfileName="waiting")
    return {"InstanceProfileName": "waiting"}


def role(stage: Stage) -> dict[str, Any]:
    trust = {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": trust})
    stage.iam.create_role(RoleName="waiting", AssumeRolePolicyDocument=document)
    return {"RoleName": "waiting"}


def stopped(stage: Stage) -> dict[str, Any]:
    instance_id = stage.running()
    stage.ec2.stop_instances(InstanceIds=[instance_id])
    return {"InstanceIds": [instance_id]}


def terminated(stage: Stage) -> dict[str, Any]:
    instance_id = stage.launch()
    stage.ec2.terminate_instances(InstanceIds=[instance_id])
    return {"InstanceIds": [instance_id]}


def in_use(stage: Stage) -> dict[str, Any]:
    volume_id = stage.ready_volume()
    stage.ec2.attach_volume(VolumeId=volume_id, InstanceId=stage.running(), Device="/dev/sdf")
    return {"VolumeIds": [volume_id]}


def volume_gone(stage: Stage) -> dict[str, Any]:
    volume_id = stage.ready_volume()
    stage.ec2.delete_volume(VolumeId=volume_id)
    return {"VolumeIds": [volume_id]}


def snapshot(stage: Stage) -> dict[str, Any]:
    return {"SnapshotIds": [stage.ec2.create_snapshot(VolumeId=stage.ready_volume())["SnapshotId"]]}


def interface(stage: Stage) -> dict[str, Any]:
    made = stage.ec2.create_network_interface(SubnetId=stage.subnet())
    return {"NetworkInterfaceIds": [made["NetworkInterface"]["NetworkInterfaceId"]]}


def gateway(stage: Stage) -> dict[str, Any]:
    return {"InternetGatewayIds": [stage.ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]]}


def nat_gateway_gone(stage: Stage) -> dict[str, Any]:
    gateway_id = stage.nat_gateway()
    stage.ec2.delete_nat_gateway(NatGatewayId=gateway_id)
    return {"NatGatewayIds": [gateway_id]}


def imported(stage: Stage) -> dict[str, Any]:
    stage.service_role()
    disk = importing.upload(stage.cloud, "disk.vmdk", importing.VMDK)
    made = stage.ec2.import_snapshot(DiskContainer={"Format": "VMDK", "UserBucket": disk})
    return {"ImportTaskIds": [made["ImportTaskId"]]}


def exported(stage: Stage) -> dict[str, Any]:
    return {"ExportTaskIds": [stage.export(BUCKET)]}


def stored(stage: Stage) -> dict[str, Any]:
    stage.machine()
    (image,) = stage.ec2.describe_images(Filters=[{"Name": "name", "Values": ["on a volume"]}])["Images"]
    stage.ec2.create_store_image_task(ImageId=image["ImageId"], Bucket=BUCKET)
    return {"ImageIds": [image["ImageId"]]}


def not_exported(stage: Stage) -> dict[str, Any]:
    """One that fails ends like one that is cancelled."""
    return {"ExportTaskIds": [stage.export("no-such-bucket")]}


def group(stage: Stage) -> dict[str, Any]:
    return {"GroupIds": [stage.ec2.create_security_group(GroupName="waiting", Description="waiting")["GroupId"]]}


def peering(stage: Stage) -> dict[str, Any]:
    sides = [stage.ec2.create_vpc(CidrBlock=block)["Vpc"]["VpcId"] for block in ("10.91.0.0/16", "10.92.0.0/16")]
    made = stage.ec2.create_vpc_peering_connection(VpcId=sides[0], PeerVpcId=sides[1])["VpcPeeringConnection"]
    return {"VpcPeeringConnectionIds": [made["VpcPeeringConnectionId"]]}


def peering_gone(stage: Stage) -> dict[str, Any]:
    given = peering(stage)
    stage.ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=given["VpcPeeringConnectionIds"][0])
    return given


def no_object(stage: Stage) -> dict[str, Any]:
    stage.s3.put_object(Bucket=BUCKET, Key="gone", Body=b"")
    stage.s3.delete_object(Bucket=BUCKET, Key="gone")
    return {"Bucket": BUCKET, "Key": "gone"}


def no_bucket(stage: Stage) -> dict[str, Any]:
    stage.s3.create_bucket(Bucket="gone")
    stage.s3.delete_bucket(Bucket="gone")
    return {"Bucket": "gone"}


ENDS: dict[tuple[str, str], Callable[[Stage], dict[str, Any]]] = {
    ("ec2", "export_task_cancelled"): not_exported,
    ("ec2", "export_task_completed"): exported,
    ("ec2", "image_available"): lambda stage: {"ImageIds": [stage.register("another")]},
    ("ec2", "image_exists"): lambda stage: {"ImageIds": [stage.image]},
    ("ec2", "instance_exists"): lambda stage: {"InstanceIds": [stage.launch()]},
    ("ec2", "instance_running"): lambda stage: {"InstanceIds": [stage.launch(), stage.launch()]},
    ("ec2", "instance_status_ok"): lambda stage: {"InstanceIds": [stage.launch()]},
    ("ec2", "instance_stopped"): stopped,
    ("ec2", "instance_terminated"): terminated,
    ("ec2", "internet_gateway_exists"): gateway,
    ("ec2", "key_pair_exists"): lambda stage: {"KeyNames": [stage.ec2.create_key_pair(KeyName="mine")["KeyName"]]},
    ("ec2", "nat_gateway_available"): lambda stage: {"NatGatewayIds": [stage.nat_gateway()]},
    ("ec2", "nat_gateway_deleted"): nat_gateway_gone,
    ("ec2", "network_interface_available"): interface,
    ("ec2", "security_group_exists"): group,
    ("ec2", "snapshot_completed"): snapshot,
    ("ec2", "snapshot_imported"): imported,
    ("ec2", "store_image_task_complete"): stored,
    ("ec2", "subnet_available"): lambda stage: {"SubnetIds": [stage.subnet()]},
    ("ec2", "system_status_ok"): lambda stage: {"InstanceIds": [stage.launch()]},
    ("ec2", "volume_available"): lambda stage: {"VolumeIds": [stage.volume(), stage.volume()]},
    ("ec2", "volume_deleted"): volume_gone,
    ("ec2", "volume_in_use"): in_use,
    ("ec2", "vpc_available"): lambda stage: {"VpcIds": [stage.vpc()]},
    ("ec2", "vpc_exists"): lambda stage: {"VpcIds": [stage.vpc()]},
    ("ec2", "vpc_peering_connection_deleted"): peering_gone,
    ("ec2", "vpc_peering_connection_exists"): peering,
    ("iam", "instance_profile_exists"): instance_profile,
    ("iam", "policy_exists"): lambda stage: {"PolicyArn": stage.policy()},
    ("iam", "role_exists"): role,
    ("iam", "user_exists"): lambda stage: {"UserName": stage.iam.create_user(UserName="waiting")["User"]["UserName"]},
    ("s3", "bucket_exists"): lambda stage: {"Bucket": BUCKET},
    ("s3", "bucket_not_exists"): no_bucket,
    ("s3", "object_exists"): lambda stage: {"Bucket": BUCKET, "Key": "disk.raw"},
    ("s3", "object_not_exists"): no_object,
}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, new_database: NewDatabase) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("cloud")
    with new_database() as url, Cloud(folder, database=url, zones=("a",), nodes_per_zone=1, stepped=False) as cloud:
        yield Stage(cloud)


def waiters_of_served_operations() -> set[tuple[str, str]]:
    """What botocore can wait for with the operations that this cloud answers."""
    served = {service.name: set(service.actions()) for service in [*services(), registry.s3]}
    found = set()
    for name, actions in served.items():
        client = boto3.client(name, region_name="us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        config = client._get_waiter_config().get("waiters", {})
        found |= {(name, xform_name(waiter)) for waiter, what in config.items() if what["operation"] in actions}
    return found


def test_every_waiter_of_an_operation_that_is_served_stands_here() -> None:
    assert waiters_of_served_operations() == ENDS.keys() | NEVER.keys()


@pytest.mark.parametrize(("service", "name"), sorted(ENDS), ids=[f"{service}-{name}" for service, name in sorted(ENDS)])
def test_it_ends(stage: Stage, service: str, name: str) -> None:
    given = ENDS[service, name](stage)
    getattr(stage, service).get_waiter(name).wait(**given, WaiterConfig=PATIENTLY)


PREFIXES = {
    "DescribeCustomerGateways": "cgw",
    "DescribeNatGateways": "nat",
    "DescribeSpotInstanceRequests": "sir",
    "DescribeVpnConnections": "vpn",
}


@pytest.mark.parametrize(("service", "name"), sorted(where for where, why in NEVER.items() if "makes one" in why))
def test_what_no_operation_makes_is_not_waited_for_in_vain(stage: Stage, service: str, name: str) -> None:
    """Its Describe call says at once that the id does not exist, so that a script ends instead of waiting."""
    client = getattr(stage, service)
    waiter = client.get_waiter(name)
    operation = xform_name(waiter.config.operation)
    shape = client.meta.service_model.operation_model(waiter.config.operation).input_shape
    (member,) = [one for one in shape.members if one.endswith("Ids") and one not in ("DryRun",)]
    with pytest.raises(ClientError, match="NotFound"):
        getattr(client, operation)(**{member: [f"{PREFIXES[waiter.config.operation]}-0123456789abcdef0"]})
