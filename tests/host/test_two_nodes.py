"""The main job on two real nodes: real guests, real packets, and programs that die in the middle of it.

One lab for the whole file: each story leaves the guests `web` (on one node) and `app` (on the other) running.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from eucapy.run import run_now
from tests.harness.lab import ZONE, Lab, ping
from tests.harness.starter import starter_image
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.timeout(900)]

USER_DATA = "#!/bin/sh\necho made by user data > /root/made\n"


@dataclass
class Stage:
    """A lab with two guests of one account."""

    lab: Lab
    ec2: Any
    key: Path
    ami: str
    group: str
    web: str = ""
    app: str = ""

    def view(self, instance_id: str) -> dict[str, Any]:
        [reservation] = self.ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        found: dict[str, Any] = reservation["Instances"][0]
        return found

    def state(self, instance_id: str) -> str:
        return str(self.view(instance_id)["State"]["Name"])

    def wait(self, waiter: str, instance_id: str) -> None:
        self.ec2.get_waiter(waiter).wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1, "MaxAttempts": 240})

    def launch(self, **more: Any) -> str:
        made = self.ec2.run_instances(
            ImageId=self.ami, MinCount=1, MaxCount=1, InstanceType="t2.nano", KeyName="lab", UserData=USER_DATA, **more
        )
        return str(made["Instances"][0]["InstanceId"])

    def public(self, instance_id: str) -> str:
        return str(self.view(instance_id)["PublicIpAddress"])

    def private(self, instance_id: str) -> str:
        return str(self.view(instance_id)["PrivateIpAddress"])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    image = starter_image()
    with Lab(nc={"stop_grace_s": 60.0}) as lab:
        ec2 = lab.client("ec2")
        ami = lab.image(image, "starter")
        key = lab.key_pair()
        [group] = ec2.describe_security_groups(GroupNames=["default"])["SecurityGroups"]
        everyone = [{"CidrIp": "0.0.0.0/0"}]
        ec2.authorize_security_group_ingress(
            GroupId=group["GroupId"],
            IpPermissions=[{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": everyone}],
        )
        made = Stage(lab, ec2, key, ami, group["GroupId"])
        made.web, made.app = made.launch(), made.launch()
        for instance_id in (made.web, made.app):
            made.wait("instance_running", instance_id)
        yield made


def test_a_person_reaches_the_guest_that_ran_its_user_data(stage: Stage) -> None:
    said = stage.lab.log_in(stage.public(stage.web), stage.key, "cat /root/made; hostname")
    assert "made by user data" in said
    assert stage.private(stage.web).replace(".", "-") in said


def test_the_two_guests_are_spread_over_the_nodes(stage: Stage) -> None:
    assert {stage.lab.node_of(stage.web), stage.lab.node_of(stage.app)} == {"n1", "n2"}


def test_status_checks_pass_and_the_console_is_kept(stage: Stage) -> None:
    stage.wait("instance_status_ok", stage.web)
    stage.lab.log_in(stage.public(stage.web), stage.key)
    output = stage.ec2.get_console_output(InstanceId=stage.web)["Output"]
    assert "READY" in output


def test_a_guest_on_the_other_node_answers_over_vxlan(stage: Stage) -> None:
    for instance_id in (stage.web, stage.app):
        stage.lab.log_in(stage.public(instance_id), stage.key)
    assert ping(stage.lab, stage.key, stage.public(stage.web), stage.private(stage.app))
    assert ping(stage.lab, stage.key, stage.public(stage.app), stage.private(stage.web))


def test_guests_on_two_nodes_meet_over_ipv6(stage: Stage) -> None:
    """Addresses that are assigned while the guests run; the router is the one that is advertised to them."""
    home = stage.view(stage.web)
    made = stage.ec2.associate_vpc_cidr_block(VpcId=home["VpcId"], AmazonProvidedIpv6CidrBlock=True)
    block = ipaddress.IPv6Network(made["Ipv6CidrBlockAssociation"]["Ipv6CidrBlock"])
    first = str(next(block.subnets(new_prefix=64)))
    stage.ec2.associate_subnet_cidr_block(SubnetId=home["SubnetId"], Ipv6CidrBlock=first)
    addresses = {}
    for instance_id in (stage.web, stage.app):
        interface = stage.view(instance_id)["NetworkInterfaces"][0]["NetworkInterfaceId"]
        got = stage.ec2.assign_ipv6_addresses(NetworkInterfaceId=interface, Ipv6AddressCount=1)
        [addresses[instance_id]] = got["AssignedIpv6Addresses"]

    def says(instance_id: str, command: str, word: str) -> bool:
        return word in stage.lab.ssh(stage.public(instance_id), stage.key, command).stdout

    for instance_id in (stage.web, stage.app):
        stage.lab.log_in(stage.public(instance_id), stage.key)
    for one in (stage.web, stage.app):
        take = "/etc/starter/ipv6; ip -6 -o addr show dev eth0"
        wait_until(partial(says, one, take, addresses[one]), 120)
    for one, other in ((stage.web, stage.app), (stage.app, stage.web)):
        wait_until(partial(says, one, f"ping6 -c 1 -W 2 {addresses[other]} && echo heard", "heard"), 120)


def test_a_security_group_that_does_not_allow_it_refuses(stage: Stage) -> None:
    made = stage.ec2.create_security_group(GroupName="closed", Description="ssh from outside only")["GroupId"]
    stage.ec2.authorize_security_group_ingress(
        GroupId=made, IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="198.51.100.254/32"
    )
    stage.ec2.modify_instance_attribute(InstanceId=stage.app, Groups=[made])
    wait_until(lambda: not ping(stage.lab, stage.key, stage.public(stage.web), stage.private(stage.app)), 30)
    # The default group admits its own members only, and `app` is no longer one.
    assert not ping(stage.lab, stage.key, stage.public(stage.app), stage.private(stage.web))
    stage.ec2.authorize_security_group_ingress(
        GroupId=made,
        IpPermissions=[
            {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "UserIdGroupPairs": [{"GroupId": stage.group}]}
        ],
    )
    wait_until(lambda: ping(stage.lab, stage.key, stage.public(stage.web), stage.private(stage.app)), 30)
    stage.ec2.modify_instance_attribute(InstanceId=stage.app, Groups=[stage.group])


def test_metadata_is_the_guests_own(stage: Stage) -> None:
    fetch = (
        "T=$(printf 'PUT /latest/api/token HTTP/1.0\\r\\nX-aws-ec2-metadata-token-ttl-seconds: 60\\r\\n\\r\\n'"
        " | nc -w 3 169.254.169.254 80 | tr -d '\\r' | awk 'b{print} /^$/{b=1}');"
        ' wget -q -O - --header "X-aws-ec2-metadata-token: $T" http://169.254.169.254/latest/meta-data/instance-id'
    )
    for instance_id in (stage.web, stage.app):
        assert stage.lab.log_in(stage.public(instance_id), stage.key, fetch) == instance_id


def test_a_reboot_keeps_the_disk(stage: Stage) -> None:
    address = stage.public(stage.web)
    before = stage.lab.log_in(address, stage.key, "echo kept > /root/kept; sync; cat /proc/sys/kernel/random/boot_id")
    stage.ec2.reboot_instances(InstanceIds=[stage.web])

    def rebooted() -> bool:
        result = stage.lab.ssh(address, stage.key, "cat /proc/sys/kernel/random/boot_id /root/kept")
        return result.status == 0 and before.strip() not in result.stdout and "kept" in result.stdout

    wait_until(rebooted, 240, 1)
    assert stage.public(stage.web) == address


def test_a_stop_and_start_keeps_the_disk_and_the_private_address(stage: Stage) -> None:
    private = stage.private(stage.web)
    stage.lab.log_in(stage.public(stage.web), stage.key, "echo stopped > /root/stopped; sync")
    stage.ec2.stop_instances(InstanceIds=[stage.web])
    stage.wait("instance_stopped", stage.web)
    assert "PublicIpAddress" not in stage.view(stage.web)
    stage.ec2.start_instances(InstanceIds=[stage.web])
    stage.wait("instance_running", stage.web)
    assert stage.private(stage.web) == private
    assert "stopped" in stage.lab.log_in(stage.public(stage.web), stage.key, "cat /root/stopped")


def test_a_volume_goes_into_a_running_guest_and_out_again(stage: Stage) -> None:
    volume = stage.ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
    stage.ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1})
    stage.ec2.attach_volume(VolumeId=volume, InstanceId=stage.web, Device="/dev/sdf")
    stage.ec2.get_waiter("volume_in_use").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1})
    address, serial = stage.public(stage.web), volume.replace("-", "")[:20]
    find = f"for d in /sys/block/vd*; do grep -q {serial} $d/serial 2>/dev/null && echo /dev/${{d##*/}}; done; true"
    wait_until(lambda: "/dev/vd" in stage.lab.log_in(address, stage.key, find), 60)
    written = f"D=$({find}); echo written-once > $D; sync; head -c 12 $D"
    assert "written-once" in stage.lab.log_in(address, stage.key, written)
    stage.ec2.detach_volume(VolumeId=volume)
    stage.ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig={"Delay": 1})
    assert "/dev/vd" not in stage.lab.log_in(address, stage.key, find)

    snapshot = stage.ec2.create_snapshot(VolumeId=volume)["SnapshotId"]
    stage.ec2.get_waiter("snapshot_completed").wait(SnapshotIds=[snapshot], WaiterConfig={"Delay": 1})
    copy = stage.ec2.create_volume(AvailabilityZone=ZONE, SnapshotId=snapshot)["VolumeId"]
    stage.ec2.get_waiter("volume_available").wait(VolumeIds=[copy], WaiterConfig={"Delay": 1})
    stage.ec2.attach_volume(VolumeId=copy, InstanceId=stage.app, Device="/dev/sdg")
    stage.ec2.get_waiter("volume_in_use").wait(VolumeIds=[copy], WaiterConfig={"Delay": 1})
    serial = copy.replace("-", "")[:20]
    read = f"for d in /sys/block/vd*; do grep -q {serial} $d/serial && head -c 12 /dev/${{d##*/}}; done; true"
    wait_until(lambda: "written-once" in stage.lab.log_in(stage.public(stage.app), stage.key, read), 60)
    stage.ec2.detach_volume(VolumeId=copy)
    stage.ec2.get_waiter("volume_available").wait(VolumeIds=[copy], WaiterConfig={"Delay": 1})
    for volume_id in (volume, copy):
        stage.ec2.delete_volume(VolumeId=volume_id)
    stage.ec2.get_waiter("volume_deleted").wait(VolumeIds=[volume, copy], WaiterConfig={"Delay": 1})


def test_guests_live_on_while_every_program_is_killed(stage: Stage) -> None:
    address, other = stage.public(stage.web), stage.private(stage.app)
    boot = stage.lab.log_in(address, stage.key, "cat /proc/sys/kernel/random/boot_id")
    wait_until(lambda: ping(stage.lab, stage.key, address, other), 30)
    stage.lab.kill_all()
    assert boot == stage.lab.log_in(address, stage.key, "cat /proc/sys/kernel/random/boot_id")
    assert ping(stage.lab, stage.key, address, other)
    stage.lab.run_all()
    stage.lab.wait_for_nodes()
    wait_until(lambda: stage.state(stage.web) == "running", 60)
    assert boot == stage.lab.log_in(address, stage.key, "cat /proc/sys/kernel/random/boot_id")


def test_a_lost_node_fails_its_checks_and_recovers_when_it_is_back(stage: Stage) -> None:
    node = stage.lab.node_of(stage.app)
    boot = stage.lab.log_in(stage.public(stage.app), stage.key, "cat /proc/sys/kernel/random/boot_id")
    for program in ("nc", "eucanetd"):
        stage.lab.kill(f"{program}@{node}")

    def reachability(instance_id: str) -> str:
        [status] = stage.ec2.describe_instance_status(InstanceIds=[instance_id])["InstanceStatuses"]
        return str(status["SystemStatus"]["Status"])

    wait_until(lambda: reachability(stage.app) == "impaired", 60)
    assert stage.state(stage.app) == "running"
    for program in ("nc", "eucanetd"):
        stage.lab.run(f"{program}@{node}")
    wait_until(lambda: reachability(stage.app) == "ok", 90)
    assert boot == stage.lab.log_in(stage.public(stage.app), stage.key, "cat /proc/sys/kernel/random/boot_id")


def test_a_guest_that_powers_itself_off_stops_its_instance(stage: Stage) -> None:
    third = stage.launch()
    stage.wait("instance_running", third)
    stage.lab.log_in(stage.public(third), stage.key)
    stage.lab.ssh(stage.public(third), stage.key, "poweroff")
    stage.wait("instance_stopped", third)
    assert stage.view(third)["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    stage.ec2.terminate_instances(InstanceIds=[third])
    stage.wait("instance_terminated", third)


def test_terminate_leaves_nothing_on_the_nodes(stage: Stage) -> None:
    node = stage.lab.node_of(stage.app)
    stage.ec2.terminate_instances(InstanceIds=[stage.app])
    stage.wait("instance_terminated", stage.app)
    wait_until(lambda: not (stage.lab.folder / node / "nc" / "instances" / stage.app).exists(), 60)
    listed = run_now("virsh", "-c", stage.lab.daemons[node].uri, "list", "--all", "--name")
    assert stage.app not in listed.stdout
