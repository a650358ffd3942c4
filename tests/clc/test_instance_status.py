"""Status checks, monitoring, attributes, console: through boto3."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.clc.launching import described, error, image, launch, lose, node_of, regain, state
from tests.harness.cloud import Cloud


@pytest.fixture
def ready(cloud: Cloud) -> Cloud:
    cloud.settle()
    return cloud


def checks(cloud: Cloud, instance_id: str) -> tuple[str, str]:
    (one,) = cloud.client("ec2").describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"]
    return one["SystemStatus"]["Status"], one["InstanceStatus"]["Status"]


def test_a_running_instance_is_well(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    ec2.get_waiter("instance_status_ok").wait(InstanceIds=[instance_id])
    ec2.get_waiter("system_status_ok").wait(InstanceIds=[instance_id])
    (one,) = ec2.describe_instance_status()["InstanceStatuses"]
    well = {"Status": "ok", "Details": [{"Name": "reachability", "Status": "passed"}]}
    assert one == {
        "AvailabilityZone": "us-east-1a",
        "AvailabilityZoneId": "use1-az6",
        "Events": [],
        "InstanceId": instance_id,
        "InstanceState": {"Code": 16, "Name": "running"},
        "InstanceStatus": well,
        "SystemStatus": well,
        "Operator": {"Managed": False},
    }


def test_only_running_ones_unless_all_are_asked_for(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    ec2.stop_instances(InstanceIds=[instance_id])
    ready.settle()
    assert ec2.describe_instance_status()["InstanceStatuses"] == []
    (one,) = ec2.describe_instance_status(IncludeAllInstances=True)["InstanceStatuses"]
    assert (one["InstanceState"]["Name"], one["SystemStatus"]) == ("stopped", {"Status": "not-applicable"})


def test_a_node_that_is_lost_impairs_its_instances_and_its_return_heals_them(ready: Cloud) -> None:
    (instance_id,) = launch(ready, image(ready))
    lose(ready, node_of(ready, instance_id))
    assert checks(ready, instance_id) == ("impaired", "impaired")
    assert state(ready, instance_id) == "running"
    filters = [{"Name": "system-status.status", "Values": ["impaired"]}]
    assert len(ready.client("ec2").describe_instance_status(Filters=filters)["InstanceStatuses"]) == 1
    regain(ready, node_of(ready, instance_id))
    assert checks(ready, instance_id) == ("ok", "ok")


def test_nothing_is_placed_on_a_lost_node(ready: Cloud) -> None:
    image_id = image(ready)
    (first,) = launch(ready, image_id)
    lost = node_of(ready, first)
    lose(ready, lost)
    later = launch(ready, image_id, count=4, Placement={"AvailabilityZone": "us-east-1a"})
    assert lost.name not in {node_of(ready, one).name for one in later}


def test_an_instance_on_a_lost_node_can_be_terminated_and_is_removed_when_the_node_is_back(ready: Cloud) -> None:
    (instance_id,) = launch(ready, image(ready))
    node = node_of(ready, instance_id)
    lose(ready, node)
    ready.client("ec2").terminate_instances(InstanceIds=[instance_id])
    ready.settle()
    assert state(ready, instance_id) == "shutting-down"
    ready.advance(601)
    assert state(ready, instance_id) == "terminated"
    assert ready.run(node.hypervisor.observe()) != []
    regain(ready, node)
    assert ready.run(node.hypervisor.observe()) == []


def test_monitoring(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    on = ec2.monitor_instances(InstanceIds=[instance_id])["InstanceMonitorings"]
    assert on == [{"InstanceId": instance_id, "Monitoring": {"State": "pending"}}]
    assert described(ready, instance_id)["Monitoring"] == {"State": "enabled"}
    off = ec2.unmonitor_instances(InstanceIds=[instance_id])["InstanceMonitorings"]
    assert off == [{"InstanceId": instance_id, "Monitoring": {"State": "disabling"}}]


def attribute(cloud: Cloud, instance_id: str, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = cloud.client("ec2").describe_instance_attribute(InstanceId=instance_id, Attribute=name)
    return answer


def test_attributes_can_be_read_one_by_one(ready: Cloud) -> None:
    (instance_id,) = launch(ready, image(ready), UserData="#!/bin/sh\n")
    group = described(ready, instance_id)["SecurityGroups"][0]
    for name, member, expected in (
        ("instanceType", "InstanceType", {"Value": "t2.micro"}),
        ("userData", "UserData", {"Value": base64.b64encode(b"#!/bin/sh\n").decode()}),
        ("disableApiTermination", "DisableApiTermination", {"Value": False}),
        ("disableApiStop", "DisableApiStop", {"Value": False}),
        ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior", {"Value": "stop"}),
        ("rootDeviceName", "RootDeviceName", {"Value": "/dev/sda1"}),
        ("blockDeviceMapping", "BlockDeviceMappings", []),
        ("productCodes", "ProductCodes", []),
        ("sourceDestCheck", "SourceDestCheck", {"Value": True}),
        ("groupSet", "Groups", [group]),
        ("ebsOptimized", "EbsOptimized", {"Value": False}),
        ("enaSupport", "EnaSupport", {"Value": False}),
        ("enclaveOptions", "EnclaveOptions", {"Enabled": False}),
    ):
        answer = attribute(ready, instance_id, name)
        assert (answer["InstanceId"], answer[member]) == (instance_id, expected), name


def test_a_type_is_changed_while_the_instance_is_stopped(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    ask = {"InstanceId": instance_id, "InstanceType": {"Value": "t2.small"}}
    assert error(ec2.modify_instance_attribute, **ask)[0] == "IncorrectInstanceState"
    ec2.stop_instances(InstanceIds=[instance_id])
    ready.settle()
    ec2.modify_instance_attribute(**ask)
    ec2.start_instances(InstanceIds=[instance_id])
    ready.settle()
    assert described(ready, instance_id)["InstanceType"] == "t2.small"
    (domain,) = ready.run(node_of(ready, instance_id).hypervisor.observe())
    assert domain.instance_id == instance_id


def test_attributes_are_changed_one_at_a_time(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    ec2.modify_instance_attribute(InstanceId=instance_id, SourceDestCheck={"Value": False})
    assert described(ready, instance_id)["SourceDestCheck"] is False
    ec2.reset_instance_attribute(InstanceId=instance_id, Attribute="sourceDestCheck")
    assert described(ready, instance_id)["SourceDestCheck"] is True
    ec2.modify_instance_attribute(
        InstanceId=instance_id, Attribute="instanceInitiatedShutdownBehavior", Value="terminate"
    )
    value = attribute(ready, instance_id, "instanceInitiatedShutdownBehavior")
    assert value["InstanceInitiatedShutdownBehavior"] == {"Value": "terminate"}
    code, _ = error(
        ec2.modify_instance_attribute,
        InstanceId=instance_id,
        DisableApiStop={"Value": True},
        DisableApiTermination={"Value": True},
    )
    assert code == "InvalidParameterCombination"
    assert error(ec2.modify_instance_attribute, InstanceId=instance_id)[0] == "InvalidParameterCombination"


def test_metadata_options_reach_the_node(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    answer = ec2.modify_instance_metadata_options(InstanceId=instance_id, HttpTokens="required")
    assert answer["InstanceMetadataOptions"] == {
        "State": "pending",
        "HttpTokens": "required",
        "HttpPutResponseHopLimit": 1,
        "HttpEndpoint": "enabled",
        "HttpProtocolIpv6": "disabled",
        "InstanceMetadataTags": "disabled",
    }
    assert described(ready, instance_id)["MetadataOptions"]["State"] == "applied"


def test_the_console_is_the_nodes_own(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    (instance_id,) = launch(ready, image(ready))
    node_of(ready, instance_id).hypervisor.guest_writes(instance_id, "hello from the guest\n")
    assert "hello from the guest" in ec2.get_console_output(InstanceId=instance_id, Latest=True)["Output"]
    assert ec2.get_password_data(InstanceId=instance_id)["PasswordData"] == ""
    ec2.terminate_instances(InstanceIds=[instance_id])
    ready.settle()
    assert "Output" not in ec2.get_console_output(InstanceId=instance_id)
