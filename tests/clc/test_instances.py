"""An instance's life through boto3: describe, start, stop, reboot, terminate; what guests and hosts do of themselves."""

from __future__ import annotations

import re
from typing import Any

import pytest

from eucapy.clc.store import tags
from tests.clc import ebs
from tests.clc.launching import described, error, image, launch, node_of, state, step
from tests.harness.cloud import Cloud


@pytest.fixture
def ready(cloud: Cloud) -> Cloud:
    """A cloud whose nodes have reported."""
    cloud.settle()
    return cloud


def changes(answer: dict[str, Any], member: str) -> list[tuple[str, str]]:
    return [(one["PreviousState"]["Name"], one["CurrentState"]["Name"]) for one in answer[member]]


def test_stop_and_start(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    before = described(ready, instance_id)
    assert changes(ec2.stop_instances(InstanceIds=[instance_id]), "StoppingInstances") == [("running", "stopping")]
    assert changes(ec2.stop_instances(InstanceIds=[instance_id]), "StoppingInstances") == [("stopping", "stopping")]
    ready.settle()
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[instance_id])
    off = described(ready, instance_id)
    assert off["StateReason"] == {
        "Code": "Client.UserInitiatedShutdown",
        "Message": "Client.UserInitiatedShutdown: User initiated shutdown",
    }
    assert re.fullmatch(r"User initiated \(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d GMT\)", off["StateTransitionReason"])
    assert "PublicIpAddress" not in off
    assert off["PrivateIpAddress"] == before["PrivateIpAddress"]
    assert changes(ec2.stop_instances(InstanceIds=[instance_id]), "StoppingInstances") == [("stopped", "stopped")]
    assert changes(ec2.start_instances(InstanceIds=[instance_id]), "StartingInstances") == [("stopped", "pending")]
    ready.settle()
    assert changes(ec2.start_instances(InstanceIds=[instance_id]), "StartingInstances") == [("running", "running")]
    again = described(ready, instance_id)
    assert again["State"]["Name"] == "running"
    assert again["PublicIpAddress"]
    assert again["LaunchTime"] >= before["LaunchTime"]
    assert (again["StateTransitionReason"], "StateReason" in again) == ("", False)


def test_terminate_twice(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    answer = ec2.terminate_instances(InstanceIds=[instance_id])
    assert changes(answer, "TerminatingInstances") == [("running", "shutting-down")]
    ready.settle()
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[instance_id])
    answer = ec2.terminate_instances(InstanceIds=[instance_id])
    assert changes(answer, "TerminatingInstances") == [("terminated", "terminated")]
    ended = described(ready, instance_id)
    gone = ("PublicIpAddress", "PrivateIpAddress", "SubnetId", "VpcId")
    assert not any(name in ended for name in gone)
    assert (ended["NetworkInterfaces"], ended["BlockDeviceMappings"], ended["SecurityGroups"]) == ([], [], [])
    assert ec2.describe_network_interfaces()["NetworkInterfaces"] == []
    ready.advance(3601)
    assert error(ec2.describe_instances, InstanceIds=[instance_id]) == (
        "InvalidInstanceID.NotFound",
        f"The instance ID '{instance_id}' does not exist",
    )


def test_a_terminated_instance_leaves_nothing_on_its_node(ready: Cloud) -> None:
    (instance_id,) = launch(ready, image(ready))
    node = node_of(ready, instance_id)
    ready.client("ec2").terminate_instances(InstanceIds=[instance_id])
    ready.settle()
    assert ready.run(node.hypervisor.observe()) == []


def test_all_or_none(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    for call in (ec2.stop_instances, ec2.start_instances, ec2.reboot_instances, ec2.terminate_instances):
        assert error(call, InstanceIds=[instance_id, "i-12345678"]) == (
            "InvalidInstanceID.NotFound",
            "The instance ID 'i-12345678' does not exist",
        )
        refused = ("InvalidInstanceID.Malformed", 'Invalid id: "no-id" (expecting "i-...")')
        assert error(call, InstanceIds=["no-id"]) == refused
    assert state(ready, instance_id) == "running"


def test_states_decide_what_may_be_done(ready: Cloud) -> None:
    ec2, image_id = ready.client("ec2"), image(ready)
    made = ec2.run_instances(ImageId=image_id, MinCount=1, MaxCount=1, InstanceType="t2.micro")
    pending = made["Instances"][0]["InstanceId"]
    refused = f"The instance '{pending}' is not in a state from which it can be stopped."
    assert error(ec2.stop_instances, InstanceIds=[pending]) == ("IncorrectInstanceState", refused)
    ready.settle()
    ec2.terminate_instances(InstanceIds=[pending])
    refused = f"The instance '{pending}' is not in a state from which it can be started."
    assert error(ec2.start_instances, InstanceIds=[pending]) == ("IncorrectInstanceState", refused)
    ready.settle()
    assert error(ec2.reboot_instances, InstanceIds=[pending])[0] == "IncorrectInstanceState"


def test_a_protected_instance_is_not_terminated(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready), DisableApiTermination=True, DisableApiStop=True)
    assert error(ec2.terminate_instances, InstanceIds=[instance_id]) == (
        "OperationNotPermitted",
        f"The instance '{instance_id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try "
        "again.",
    )
    assert error(ec2.stop_instances, InstanceIds=[instance_id])[0] == "OperationNotPermitted"
    ec2.modify_instance_attribute(InstanceId=instance_id, DisableApiTermination={"Value": False})
    ec2.terminate_instances(InstanceIds=[instance_id])


def test_a_reboot_happens_once_and_is_no_state(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    console = ec2.get_console_output(InstanceId=instance_id)["Output"]
    assert console.count("READY") == 1
    ec2.reboot_instances(InstanceIds=[instance_id])
    assert state(ready, instance_id) == "running"
    ready.settle()
    ready.settle()
    assert ec2.get_console_output(InstanceId=instance_id)["Output"].count("READY") == 2


def test_a_guest_that_powers_itself_off_is_stopped_and_says_why(ready: Cloud) -> None:
    (instance_id,) = launch(ready, image(ready))
    node_of(ready, instance_id).hypervisor.guest_powers_off(instance_id)
    ready.settle()
    one = described(ready, instance_id)
    assert (one["State"]["Name"], one["StateReason"]["Code"]) == ("stopped", "Client.InstanceInitiatedShutdown")
    ready.client("ec2").start_instances(InstanceIds=[instance_id])
    ready.settle()
    assert state(ready, instance_id) == "running"


def test_or_terminated_when_it_was_launched_so(ready: Cloud) -> None:
    (instance_id,) = launch(ready, image(ready), InstanceInitiatedShutdownBehavior="terminate")
    node_of(ready, instance_id).hypervisor.guest_powers_off(instance_id)
    ready.settle()
    assert state(ready, instance_id) == "terminated"


def test_a_guest_that_crashes_runs_again(ready: Cloud) -> None:
    (instance_id,) = launch(ready, image(ready))
    node_of(ready, instance_id).hypervisor.guest_crashes(instance_id)
    ready.settle()
    assert state(ready, instance_id) == "running"


def test_a_host_that_restarts_brings_its_guests_back(ready: Cloud) -> None:
    (instance_id,) = launch(ready, image(ready))
    node_of(ready, instance_id).hypervisor.host_restarts()
    ready.settle()
    assert state(ready, instance_id) == "running"


def test_an_instance_with_a_root_volume_leaves_its_node_while_it_is_stopped(ready: Cloud) -> None:
    instance_id = ebs.instance(ready, ebs.image(ready))
    node = node_of(ready, instance_id)
    ready.client("ec2").stop_instances(InstanceIds=[instance_id])
    ready.settle()
    assert ready.run(node.hypervisor.observe()) == []
    assert described(ready, instance_id)["BlockDeviceMappings"][0]["Ebs"]["Status"] == "attached"
    ready.client("ec2").start_instances(InstanceIds=[instance_id])
    ready.settle()
    assert state(ready, instance_id) == "running"


def test_one_that_is_started_before_it_has_left_runs_too(ready: Cloud) -> None:
    instance_id = ebs.instance(ready, ebs.image(ready))
    ec2 = ready.client("ec2")
    ec2.stop_instances(InstanceIds=[instance_id])
    for _ in range(40):
        step(ready)
        if state(ready, instance_id) == "stopped":
            break
    ec2.start_instances(InstanceIds=[instance_id])
    ready.settle()
    assert state(ready, instance_id) == "running"


def test_pages_hold_everything_once(ready: Cloud) -> None:
    ec2, image_id = ready.client("ec2"), image(ready)
    ids = set(launch(ready, image_id, count=7) + launch(ready, image_id, count=6))
    seen: list[str] = []
    token: dict[str, str] = {}
    while True:
        answer = ec2.describe_instances(MaxResults=5, **token)
        page = [one["InstanceId"] for r in answer["Reservations"] for one in r["Instances"]]
        assert len(page) <= 5
        seen += page
        if "NextToken" not in answer:
            break
        token = {"NextToken": answer["NextToken"]}
    assert len(seen) == 13
    assert set(seen) == ids
    assert error(ec2.describe_instances, MaxResults=5, InstanceIds=seen[:1]) == (
        "InvalidParameterCombination",
        "The parameter instancesSet cannot be used with the parameter maxResults",
    )
    assert error(ec2.describe_instances, MaxResults=4)[0] == "InvalidParameterValue"


def test_another_account_sees_nothing(ready: Cloud) -> None:
    (instance_id,) = launch(ready, image(ready))
    other = ready.client("ec2", "other")
    assert other.describe_instances()["Reservations"] == []
    assert error(other.describe_instances, InstanceIds=[instance_id])[0] == "InvalidInstanceID.NotFound"
    assert error(other.terminate_instances, InstanceIds=[instance_id])[0] == "InvalidInstanceID.NotFound"


def test_filters_find_what_they_name_and_nothing_else(ready: Cloud) -> None:
    ec2, image_id = ready.client("ec2"), image(ready)
    ec2.create_key_pair(KeyName="k")
    (wanted,) = launch(
        ready,
        image_id,
        KeyName="k",
        InstanceType="m1.small",
        ClientToken="me",
        MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 3},
        BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 1, "DeleteOnTermination": False}}],
        Placement={"AvailabilityZone": "us-east-1b"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "role", "Value": "web*1"}]}],
    )
    (other,) = launch(ready, image_id)
    ec2.stop_instances(InstanceIds=[other])
    ready.settle()
    one = described(ready, wanted)
    nic = one["NetworkInterfaces"][0]
    both = {wanted, other}
    cases: list[tuple[str, str, set[str]]] = [
        ("architecture", "x86_64", both),
        ("availability-zone", "us-east-1b", {wanted}),
        ("block-device-mapping.device-name", "/dev/sdf", {wanted}),
        ("block-device-mapping.delete-on-termination", "false", {wanted}),
        ("block-device-mapping.status", "attached", {wanted}),
        ("block-device-mapping.volume-id", one["BlockDeviceMappings"][0]["Ebs"]["VolumeId"], {wanted}),
        ("client-token", "me", {wanted}),
        ("dns-name", one["PublicDnsName"], {wanted}),
        ("hypervisor", "xen", both),
        ("iam-instance-profile.arn", "*", set()),
        ("image-id", image_id, both),
        ("instance-id", wanted, {wanted}),
        ("instance-lifecycle", "spot", set()),
        ("instance-state-code", "80", {other}),
        ("instance-state-name", "runn*", {wanted}),
        ("instance-type", "m1.*", {wanted}),
        ("instance.group-name", "default", both),
        ("instance.group-id", one["SecurityGroups"][0]["GroupId"], both),
        ("ip-address", one["PublicIpAddress"], {wanted}),
        ("key-name", "k", {wanted}),
        ("launch-index", "0", both),
        ("launch-time", one["LaunchTime"].strftime("%Y-%m-%d*"), both),
        ("metadata-options.http-tokens", "required", {wanted}),
        ("metadata-options.http-put-response-hop-limit", "3", {wanted}),
        ("metadata-options.instance-metadata-tags", "disabled", both),
        ("monitoring-state", "enabled", set()),
        ("network-interface.addresses.private-ip-address", one["PrivateIpAddress"], {wanted}),
        ("network-interface.addresses.primary", "true", both),
        ("network-interface.association.public-ip", one["PublicIpAddress"], {wanted}),
        ("network-interface.attachment.device-index", "0", both),
        ("network-interface.group-name", "default", both),
        ("network-interface.mac-address", nic["MacAddress"], {wanted}),
        ("network-interface.network-interface-id", nic["NetworkInterfaceId"], {wanted}),
        ("network-interface.subnet-id", nic["SubnetId"], {wanted}),
        ("owner-id", nic["OwnerId"], both),
        ("platform-details", "Linux/UNIX", both),
        ("private-dns-name", one["PrivateDnsName"], {wanted}),
        ("private-ip-address", one["PrivateIpAddress"], {wanted}),
        ("reason", "User initiated*", {other}),
        ("root-device-type", "instance-store", both),
        ("source-dest-check", "true", both),
        ("state-reason-code", "Client.UserInitiatedShutdown", {other}),
        ("subnet-id", one["SubnetId"], {wanted}),
        ("tag:role", "web\\*1", {wanted}),
        ("tag:role", "web?1", {wanted}),
        ("tag:role", "other", set()),
        ("tag-key", "role", {wanted}),
        ("tenancy", "default", both),
        ("tenancy", "dedicated", set()),
        ("vpc-id", one["VpcId"], both),
    ]
    for name, value, expected in cases:
        answer = ec2.describe_instances(Filters=[{"Name": name, "Values": [value]}])
        found = {one["InstanceId"] for r in answer["Reservations"] for one in r["Instances"]}
        assert found == expected, name
    assert error(ec2.describe_instances, Filters=[{"Name": "colour", "Values": ["red"]}]) == (
        "InvalidParameterValue",
        "The filter 'colour' is invalid",
    )


def test_what_is_shown_follows_what_others_change(ready: Cloud) -> None:
    """The finished XML of an instance is kept: nobody's change may be missed by it."""
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    described(ready, instance_id)
    ec2.create_tags(Resources=[instance_id], Tags=[{"Key": "Name", "Value": "one"}])
    assert described(ready, instance_id)["Tags"] == [{"Key": "Name", "Value": "one"}]
    volume_id = ec2.create_volume(Size=1, AvailabilityZone="us-east-1a")["VolumeId"]
    ready.settle()
    ec2.attach_volume(InstanceId=instance_id, VolumeId=volume_id, Device="/dev/sdf")
    assert described(ready, instance_id)["BlockDeviceMappings"][0]["Ebs"]["Status"] == "attaching"
    ready.settle()
    assert described(ready, instance_id)["BlockDeviceMappings"][0]["Ebs"]["Status"] == "attached"
    address = ec2.allocate_address(Domain="vpc")
    ec2.associate_address(AllocationId=address["AllocationId"], InstanceId=instance_id)
    one = described(ready, instance_id)
    assert one["PublicIpAddress"] == address["PublicIp"]
    assert one["NetworkInterfaces"][0]["Association"]["IpOwnerId"] == ready.account("eucalyptus")["account_id"]
    group = ec2.create_security_group(GroupName="g", Description="d")["GroupId"]
    ec2.modify_instance_attribute(InstanceId=instance_id, Groups=[group])
    assert described(ready, instance_id)["SecurityGroups"] == [{"GroupId": group, "GroupName": "g"}]


def test_a_tag_is_found_whether_it_is_rare_or_common(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    ec2, image_id = cloud.client("ec2"), image(cloud)
    made = [launch(cloud, image_id)[0] for _ in range(4)]
    ec2.create_tags(Resources=made[:3], Tags=[{"Key": "team", "Value": "red"}])
    ec2.create_tags(Resources=[made[0]], Tags=[{"Key": "rank", "Value": "1"}])

    def found(*filters: tuple[str, str]) -> list[str]:
        asked = [{"Name": name, "Values": [value]} for name, value in filters]
        pages = ec2.describe_instances(Filters=asked)["Reservations"]
        return sorted(one["InstanceId"] for page in pages for one in page["Instances"])

    for few in (200, 1):
        monkeypatch.setattr(tags, "FEW", few)
        assert found(("tag:team", "red")) == sorted(made[:3])
        assert found(("tag:team", "r*"), ("tag:rank", "1")) == [made[0]]
        assert found(("tag:rank", "1"), ("instance-id", made[1])) == []
        assert found(("tag:team", "blue")) == []
