"""Options of an instance that have an operation each, and settings of the account that are what they are."""

from __future__ import annotations

from typing import Any

import pytest

from eucapy.clc.store import instances
from eucapy.drivers.network.model import Resolver
from tests.clc.launching import described, error, image, launch
from tests.harness.cloud import Cloud


@pytest.fixture
def stopped(cloud: Cloud) -> str:
    """A stopped instance with two cores of two threads."""
    (instance_id,) = launch(cloud, image(cloud), InstanceType="m5.xlarge")
    cloud.client("ec2").stop_instances(InstanceIds=[instance_id])
    cloud.settle()
    return instance_id


def answered(cloud: Cloud) -> set[tuple[str, str]]:
    """What the resolvers of all VPCs answer, on whatever node: (name, address)."""
    cloud.settle()
    nodes = [node for zone in cloud.dev.zones.values() for node in zone.nodes.values()]
    things = [thing for node in nodes for thing in cloud.run(node.network.observe()).things]
    lines = [line for thing in things if isinstance(thing, Resolver) for line in thing.hosts.splitlines()]
    return {(name.partition(".")[0], ip) for ip, *names in map(str.split, lines) for name in names}


def test_recovery_is_switched_off_and_on(cloud: Cloud, stopped: str) -> None:
    ec2 = cloud.client("ec2")
    changed = ec2.modify_instance_maintenance_options(InstanceId=stopped, AutoRecovery="disabled")
    assert (changed["AutoRecovery"], changed["RebootMigration"]) == ("disabled", "default")
    assert described(cloud, stopped)["MaintenanceOptions"]["AutoRecovery"] == "disabled"
    ec2.modify_instance_maintenance_options(InstanceId=stopped, RebootMigration="default")
    assert described(cloud, stopped)["MaintenanceOptions"]["AutoRecovery"] == "disabled"
    refused = error(ec2.modify_instance_maintenance_options, InstanceId=stopped, RebootMigration="disabled")
    assert refused[0] == "Unsupported"


def test_a_stopped_instance_gets_another_kind_of_host_name(cloud: Cloud, stopped: str) -> None:
    ec2 = cloud.client("ec2")
    asked: dict[str, Any] = {"InstanceId": stopped, "PrivateDnsHostnameType": "resource-name"}
    ec2.modify_private_dns_name_options(**asked, EnableResourceNameDnsARecord=True)
    shown = described(cloud, stopped)
    assert shown["PrivateDnsName"] == f"{stopped}.ec2.internal"
    assert shown["PrivateDnsNameOptions"] == {
        "HostnameType": "resource-name",
        "EnableResourceNameDnsARecord": True,
        "EnableResourceNameDnsAAAARecord": False,
    }
    ec2.start_instances(InstanceIds=[stopped])
    address = (stopped, shown["PrivateIpAddress"])
    assert address in answered(cloud)
    back = {**asked, "PrivateDnsHostnameType": "ip-name"}
    assert error(ec2.modify_private_dns_name_options, **back)[0] == "IncorrectInstanceState"
    ec2.modify_private_dns_name_options(InstanceId=stopped, EnableResourceNameDnsARecord=False)
    assert address not in answered(cloud)
    assert described(cloud, stopped)["PrivateDnsNameOptions"]["EnableResourceNameDnsARecord"] is False


def test_a_stopped_instance_gets_fewer_processors_and_its_machine_too(cloud: Cloud, stopped: str) -> None:
    ec2 = cloud.client("ec2")
    assert described(cloud, stopped)["CpuOptions"] == {"CoreCount": 2, "ThreadsPerCore": 2}
    ec2.modify_instance_cpu_options(InstanceId=stopped, CoreCount=1, ThreadsPerCore=1)
    assert described(cloud, stopped)["CpuOptions"] == {"CoreCount": 1, "ThreadsPerCore": 1}
    ec2.start_instances(InstanceIds=[stopped])
    cloud.settle()
    domains = [
        domain
        for zone in cloud.dev.zones.values()
        for node in zone.nodes.values()
        for domain in cloud.run(node.hypervisor.observe())
        if domain.instance_id == stopped
    ]
    assert len(domains) == 1
    for given, code in (
        ({"CoreCount": 1, "ThreadsPerCore": 2}, "IncorrectInstanceState"),
        ({"CoreCount": 1}, "MissingParameter"),
        ({"CoreCount": 1, "ThreadsPerCore": 1, "NestedVirtualization": "enabled"}, "Unsupported"),
    ):
        assert error(ec2.modify_instance_cpu_options, InstanceId=stopped, **given)[0] == code


def test_more_processors_than_the_type_has_are_refused(cloud: Cloud, stopped: str) -> None:
    code, _ = error(cloud.client("ec2").modify_instance_cpu_options, InstanceId=stopped, CoreCount=3, ThreadsPerCore=2)
    assert code == "InvalidParameterValue"


def test_the_preference_for_reservations_is_kept_and_there_are_none(cloud: Cloud, stopped: str) -> None:
    ec2 = cloud.client("ec2")

    def change(**wanted: Any) -> tuple[str, str]:
        asked = {"InstanceId": stopped, "CapacityReservationSpecification": wanted}
        return error(ec2.modify_instance_capacity_reservation_attributes, **asked)

    ec2.modify_instance_capacity_reservation_attributes(
        InstanceId=stopped, CapacityReservationSpecification={"CapacityReservationPreference": "none"}
    )
    preference = described(cloud, stopped)["CapacityReservationSpecification"]["CapacityReservationPreference"]
    assert preference == "none"
    assert change(CapacityReservationTarget={"CapacityReservationId": "cr-12345678"})[0] == "Unsupported"
    assert change(CapacityReservationPreference="capacity-reservations-only")[0] == "Unsupported"


def test_an_owner_reports_only_what_runs(cloud: Cloud, stopped: str, caplog: pytest.LogCaptureFixture) -> None:
    ec2 = cloud.client("ec2")
    told = {"Status": "impaired", "ReasonCodes": ["unresponsive"]}
    assert error(ec2.report_instance_status, Instances=[stopped], **told)[0] == "IncorrectInstanceState"
    ec2.start_instances(InstanceIds=[stopped])
    cloud.settle()
    before = ec2.describe_instance_status(InstanceIds=[stopped])["InstanceStatuses"]
    ec2.report_instance_status(Instances=[stopped], **told)
    assert ec2.describe_instance_status(InstanceIds=[stopped])["InstanceStatuses"] == before
    assert [record.message for record in caplog.records if "reported" in record.message] == [
        "instances reported by their owner"
    ]


def test_settings_that_have_one_position_say_so(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    assert ec2.get_serial_console_access_status()["SerialConsoleAccessEnabled"] is False
    assert ec2.get_snapshot_block_public_access_state()["State"] == "unblocked"
    for family, option in (("t2", "standard"), ("t3", "unlimited")):
        default = ec2.get_default_credit_specification(InstanceFamily=family)
        assert default["InstanceFamilyCreditSpecification"] == {"InstanceFamily": family, "CpuCredits": option}


def test_a_placement_group_that_is_named_does_not_exist(cloud: Cloud) -> None:
    code, message = error(cloud.client("ec2").describe_placement_groups, GroupNames=["close"])
    assert (code, message) == ("InvalidPlacementGroup.Unknown", "The Placement Group 'close' is unknown.")


@pytest.mark.parametrize("word", ["Force", "SkipOsShutdown"])
def test_a_stop_may_cut_the_power(cloud: Cloud, word: str) -> None:
    (instance_id,) = launch(cloud, image(cloud))
    cloud.client("ec2").stop_instances(InstanceIds=[instance_id], **{word: True})
    row = cloud.run(cloud.dev.database.read(lambda tx: instances.by_ids(tx, [instance_id])))[instance_id]
    assert row.force_stop


def test_a_type_that_the_catalogue_has_lost_has_no_cores_to_choose(cloud: Cloud, stopped: str) -> None:
    cloud.run(cloud.dev.database.write(lambda tx: instances.set_values(tx, stopped, instance_type="m0.gone")))
    chosen = {"InstanceId": stopped, "CoreCount": 1, "ThreadsPerCore": 1}
    code, _ = error(cloud.client("ec2").modify_instance_cpu_options, **chosen)
    assert code == "InvalidParameterValue"
