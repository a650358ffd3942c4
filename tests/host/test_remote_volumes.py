"""Volumes of a storage on one host under a real guest on another: TLS to the one node, and nothing lost whoever dies.

One lab for the whole file, in which storage and nodes are hosts of their own; the stories share one guest.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from eucapy import pki
from eucapy.run import in_netns, run_now
from tests.harness.lab import ZONE, Lab
from tests.harness.starter import starter_image
from tests.harness.waiting import wait_until

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.timeout(900)]

BLOCKS = 48
WRITER = f"""i=0
while [ $i -lt {BLOCKS} ]; do
  yes block-$i | head -c 65536 > /tmp/block
  dd if=/tmp/block of=$D bs=65536 seek=$i conv=notrunc,fsync 2>/dev/null && i=$((i+1))
done
echo $i > /tmp/written"""
READER = f"""i=0; bad=0
echo 3 > /proc/sys/vm/drop_caches
while [ $i -lt {BLOCKS} ]; do
  want=$(yes block-$i | head -c 65536 | md5sum)
  [ "$(dd if=$D bs=65536 skip=$i count=1 2>/dev/null | md5sum)" = "$want" ] || bad=$((bad+1))
  i=$((i+1))
done
echo damaged: $bad"""


@dataclass
class Stage:
    """A lab, its one guest, and a volume attached to it."""

    lab: Lab
    ec2: Any
    key: Path
    instance: str
    address: str
    node: str
    volume: str

    def sh(self, script: str) -> str:
        """Run a script in the guest, `$D` being the volume's device there."""
        serial = self.volume.replace("-", "")[:20]
        find = f"D=$(for d in /sys/block/vd*; do grep -q {serial} $d/serial && echo /dev/${{d##*/}}; done); "
        return self.lab.log_in(self.address, self.key, find + script)

    @property
    def run_folder(self) -> Path:
        """Of the node's proxies."""
        return self.lab.folder / self.node / "nc" / "run"

    def proxy(self) -> Path:
        [folder] = self.run_folder.iterdir()
        return folder

    def exporter(self) -> Path:
        return self.lab.folder / "sc" / "run" / self.volume

    def export(self) -> str:
        """The address that the proxy leads to."""
        return str(msgspec.json.decode((self.proxy() / "proxy.json").read_bytes())["address"])

    def volume_is(self, state: str) -> None:
        def there() -> bool:
            [volume] = self.ec2.describe_volumes(VolumeIds=[self.volume])["Volumes"]
            return bool(volume["State"] == state)

        wait_until(there, 90)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    image = starter_image()
    with Lab(nc={"stop_grace_s": 60.0}) as lab:
        ec2 = lab.client("ec2")
        ami, key = lab.image(image, "starter"), lab.key_pair()
        ec2.authorize_security_group_ingress(
            GroupName="default", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
        )
        [made] = ec2.run_instances(ImageId=ami, MinCount=1, MaxCount=1, InstanceType="t2.nano", KeyName="lab")[
            "Instances"
        ]
        instance = made["InstanceId"]
        waiting = {"Delay": 1, "MaxAttempts": 240}
        ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig=waiting)
        volume = ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"]
        ec2.get_waiter("volume_available").wait(VolumeIds=[volume], WaiterConfig=waiting)
        ec2.attach_volume(VolumeId=volume, InstanceId=instance, Device="/dev/sdf")
        [reservation] = ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        address = reservation["Instances"][0]["PublicIpAddress"]
        stage = Stage(lab, ec2, key, instance, address, lab.node_of(instance), volume)
        stage.volume_is("in-use")
        wait_until(lambda: "/dev/vd" in stage.sh("echo $D"), 90)
        yield stage


def test_the_guest_reads_and_writes_through_a_proxy_on_its_node(stage: Stage) -> None:
    assert "hello" in stage.sh("echo hello > $D; sync; head -c 5 $D")
    assert stage.export().startswith(f"nbds://{stage.lab.controller.underlay}:")
    assert not (stage.exporter() / "nbd.sock").exists()


def test_nobody_but_the_guests_own_node_reaches_the_volume(stage: Stage) -> None:
    parts = urlsplit(stage.export())
    target = f"driver=nbd,host={parts.hostname},port={parts.port},export={parts.path[1:]}"
    for node, host in stage.lab.nodes.items():
        keys = pki.qemu_credentials(stage.lab.folder / node / "pki", "nc", stage.lab.folder / f"tls-{node}")
        tls = ["--object", f"tls-creds-x509,id=tls,endpoint=client,dir={keys},verify-peer=yes"]
        for options, image in ((tls, f"{target},tls-creds=tls"), ([], target)):
            argv = ["qemu-io", *options, "-r", "--image-opts", image, "-c", "read 0 64k"]
            done = run_now(*in_netns(host.name, argv), check=False)
            allowed = node == stage.node and options == tls
            assert ("read 65536/65536" in done.stdout) == allowed, (node, options, done)


def test_a_guest_that_writes_loses_nothing_whoever_dies(stage: Stage) -> None:
    """The storage's exporter, the storage controller, the node's proxy and the node controller, one after another."""
    stage.sh(f"rm -f /tmp/written; export D; setsid sh -c '{WRITER}' </dev/null >/dev/null 2>&1 &")
    for kill in (stage.exporter, "sc", stage.proxy, f"nc@{stage.node}"):
        if isinstance(kill, str):
            stage.lab.kill(kill)
            stage.lab.run(kill)
            continue
        old = int((kill() / "pid").read_text())
        os.kill(old, signal.SIGKILL)

        folder = kill()

        def back(folder: Path = folder, old: int = old) -> bool:
            try:
                return int((folder / "pid").read_text()) != old
            except (OSError, ValueError):
                return False

        wait_until(back, 60)
    wait_until(lambda: stage.sh("cat /tmp/written 2>/dev/null; true").strip() == str(BLOCKS), 180, 1.0)
    assert "damaged: 0" in stage.sh(READER)
    stage.volume_is("in-use")


def test_a_volume_grows_under_the_guest(stage: Stage) -> None:
    """The guest does nothing with its disk meanwhile, and sees the new size all the same."""
    assert stage.sh("cat /sys/block/${D#/dev/}/size").strip() == str(1 << 21)
    stage.ec2.modify_volume(VolumeId=stage.volume, Size=3)

    def completed() -> bool:
        [change] = stage.ec2.describe_volumes_modifications(VolumeIds=[stage.volume])["VolumesModifications"]
        return bool(change["ModificationState"] == "completed")

    wait_until(completed, 120)
    assert stage.sh("cat /sys/block/${D#/dev/}/size").strip() == str(3 << 21)
    wrote = stage.sh(
        "echo beyond | dd of=$D bs=1M seek=2500 conv=notrunc,fsync; dd if=$D bs=1M skip=2500 count=1 | head -c 6"
    )
    assert "beyond" in wrote
    assert "damaged: 0" in stage.sh(READER)


def test_after_a_detachment_nothing_of_it_runs_on_either_host(stage: Stage) -> None:
    proxy, exporter = int((stage.proxy() / "pid").read_text()), int((stage.exporter() / "pid").read_text())
    stage.ec2.detach_volume(VolumeId=stage.volume)
    stage.volume_is("available")
    wait_until(lambda: not any(stage.run_folder.iterdir()) and not stage.exporter().exists(), 60)
    assert [pid for pid in (proxy, exporter) if _runs(pid)] == []


@pytest.mark.parametrize("no_reboot", [True, False])
def test_an_image_of_the_guest_boots_with_what_was_on_its_disk(stage: Stage, no_reboot: bool) -> None:
    """The root disk lies on the node; it is copied out of the running guest, or while the guest is down for it."""
    ec2, waiting = stage.ec2, {"Delay": 1, "MaxAttempts": 300}
    stage.sh(f"echo remember {no_reboot} > /root/note; sync")
    booted = stage.sh("cat /proc/sys/kernel/random/boot_id")
    made = ec2.create_image(InstanceId=stage.instance, Name=f"copy {no_reboot}", NoReboot=no_reboot)["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[made], WaiterConfig=waiting)
    assert (stage.sh("cat /proc/sys/kernel/random/boot_id") == booted) == no_reboot
    [instance] = ec2.run_instances(ImageId=made, MinCount=1, MaxCount=1, InstanceType="t2.nano", KeyName="lab")[
        "Instances"
    ]
    copy = instance["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[copy], WaiterConfig=waiting)
    [reservation] = ec2.describe_instances(InstanceIds=[copy])["Reservations"]
    address = reservation["Instances"][0]["PublicIpAddress"]
    assert f"remember {no_reboot}" in stage.lab.log_in(address, stage.key, "cat /root/note")
    ec2.terminate_instances(InstanceIds=[copy])
    ec2.get_waiter("instance_terminated").wait(InstanceIds=[copy], WaiterConfig=waiting)


def _runs(pid: int) -> bool:
    """A process that ended may still await its parent."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
