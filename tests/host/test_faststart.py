"""`./faststart` from nothing to a login, on this machine: installed, run again, stopped, cut off, toured, removed.

One cloud in a folder of the test's own, with ports and a home folder of its own; the tests follow each other.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from eucapy.cli.faststart import clean, running, supervisor
from eucapy.cli.faststart.first_instance import ssh_command
from eucapy.cli.faststart.programs import programs_of
from eucapy.cli.images import client
from eucapy.cli.installation import Installation, Ports
from eucapy.drivers.hypervisor.libvirtd import QEMU_USER
from eucapy.drivers.network import netns
from eucapy.run import Result, RunError, run_now
from tests.harness.libvirtd import guest_folder
from tests.harness.waiting import wait_until

pytestmark = [
    pytest.mark.host,
    pytest.mark.guest,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(running.has_systemd(), reason="would install units: for machines that are a test's own"),
]
CHECKOUT = Path(__file__).resolve().parents[2]
LIMIT_S = 900.0


class Cloud:
    """The installation under test."""

    def __init__(self, folder: Path) -> None:
        self.installation = Installation(folder / "cloud")
        self.home = folder / "home"
        self.port = free_base()

    def faststart(self, *arguments: str) -> Result:
        return run_now(
            *(str(CHECKOUT / "faststart"), *arguments, "--unattended", "--data", str(self.installation.data)),
            env={"HOME": str(self.home), "SUDO_USER": ""},
            timeout_s=LIMIT_S,
        )

    def install(self) -> Result:
        return self.faststart("--port", str(self.port))

    @property
    def address(self) -> str:
        ec2 = client(self.installation, "ec2")
        instance_id = self.installation.record().first_instance
        found = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        return str(found["PublicIpAddress"])

    def ssh(self, address: str, command: str) -> str:
        """Log in as soon as the guest lets us."""

        def answered() -> Result | None:
            argv = ssh_command(self.installation.first_key_file, address, command)
            result = run_now(*argv, check=False, timeout_s=30)
            return result if result.status == 0 else None

        found = wait_until(answered, limit_s=300, every_s=0.5)
        assert found is not None
        return found.stdout


def free_base() -> int:
    """A port from which on all that a cloud needs are free."""
    while True:
        base = 20000 + secrets.randbelow(20000)
        ports = Ports.from_base(base)
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for name in Ports.__struct_fields__:
                stack.enter_context(socket.socket()).bind(("127.0.0.1", getattr(ports, name)))
            return base


@pytest.fixture(scope="module")
def cloud() -> Iterator[Cloud]:
    with guest_folder("faststart-") as folder:
        cloud = Cloud(folder)
        cloud.home.mkdir()
        try:
            yield cloud
        finally:
            if cloud.installation.exists():
                cloud.faststart("clean")


def test_it_ends_with_a_cloud_and_a_guest_that_lets_us_in(cloud: Cloud) -> None:
    said = cloud.install().stdout
    assert f"http://127.0.0.1:{cloud.port}" in said
    assert cloud.installation.admin().secret_access_key in said
    assert f"root@{cloud.address}" in said
    assert "Linux" in cloud.ssh(cloud.address, "uname -a")


def test_the_guest_is_no_process_of_roots(cloud: Cloud) -> None:
    pid_file = (
        cloud.installation.folder("nc")
        / "libvirt"
        / "run"
        / "qemu"
        / f"{cloud.installation.record().first_instance}.pid"
    )
    assert Path(f"/proc/{int(pid_file.read_text())}").stat().st_uid == pwd.getpwnam(QEMU_USER).pw_uid


def test_what_it_wrote_down_holds_no_secret(cloud: Cloud) -> None:
    secret = cloud.installation.admin().secret_access_key
    for path in (*cloud.installation.folder("log").iterdir(), cloud.installation.data / "installation.json"):
        assert secret not in path.read_text(errors="replace")


def test_the_profile_that_it_wrote_works_with_the_stock_tool(cloud: Cloud) -> None:
    assert cloud.installation.record().profile == "eucapy"
    aws = CHECKOUT / ".venv" / "bin" / "aws"
    said = run_now(
        *(str(aws), "--profile", "eucapy", "ec2", "describe-instances"),
        *("--query", "Reservations[].Instances[].InstanceId", "--output", "text"),
        env={"HOME": str(cloud.home)},
    )
    assert cloud.installation.record().first_instance in said.stdout


def test_a_second_run_finds_everything_and_makes_nothing_twice(cloud: Cloud) -> None:
    before, address = cloud.installation.record(), cloud.address
    said = cloud.install().stdout
    after = cloud.installation.record()
    assert (after.images, after.first_instance, after.profile) == (before.images, before.first_instance, before.profile)
    assert cloud.installation.admin().secret_access_key not in said, "a secret is shown once"
    assert cloud.address == address
    ec2 = client(cloud.installation, "ec2")
    assert len(ec2.describe_instances()["Reservations"]) == 1
    assert len(ec2.describe_images(Owners=["self"])["Images"]) == 1


def test_the_guest_does_not_notice_that_the_cloud_is_stopped_and_started(cloud: Cloud) -> None:
    address = cloud.address
    booted = cloud.ssh(address, "cat /proc/sys/kernel/random/boot_id")
    cloud.faststart("stop")
    states = running.states(cloud.installation, cloud.installation.record())
    assert {state for _program, state in states} == {"not running"}
    assert cloud.ssh(address, "cat /proc/sys/kernel/random/boot_id") == booted
    cloud.faststart("start")
    assert cloud.ssh(cloud.address, "cat /proc/sys/kernel/random/boot_id") == booted
    assert cloud.faststart("status").status == 0


def test_after_a_crash_of_the_host_everything_comes_back(cloud: Cloud) -> None:
    """Every process killed, guests included, and what lives in memory only is gone; the disk is as it was."""
    cloud.ssh(cloud.address, "echo kept > /root/note && sync")
    booted = cloud.ssh(cloud.address, "cat /proc/sys/kernel/random/boot_id")
    cut_the_power(cloud.installation)
    cloud.faststart("start")
    assert cloud.ssh(cloud.address, "cat /root/note") == "kept\n"
    assert cloud.ssh(cloud.address, "cat /proc/sys/kernel/random/boot_id") != booted


def test_the_tour_can_be_walked_to_its_end_and_leaves_nothing(cloud: Cloud) -> None:
    said = cloud.faststart("--tour").stdout
    assert "That was the tour" in said
    assert "kept on a volume" in said
    ec2 = client(cloud.installation, "ec2")
    assert ec2.describe_volumes()["Volumes"] == []
    assert ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"] == []
    assert [pair["KeyName"] for pair in ec2.describe_key_pairs()["KeyPairs"]] == ["eucapy-first"]
    buckets = client(cloud.installation, "s3").list_buckets()["Buckets"]
    assert [bucket["Name"] for bucket in buckets] == ["eucapy-images"]


def test_cleaning_leaves_no_trace(cloud: Cloud) -> None:
    record = cloud.installation.record()
    other = cloud.home / ".aws" / "config"
    other.write_text(other.read_text() + "\n[profile mine]\nregion = eu-west-1\n")
    cloud.faststart("clean")
    assert not cloud.installation.data.exists()
    assert list(clean.processes_below(cloud.installation.data)) == []
    assert netns.of_vpcs(record.prefix) == []
    assert netns.node_table(record.prefix) not in run_now("nft", "list", "tables").stdout
    assert other.read_text() == "\n[profile mine]\nregion = eu-west-1\n"
    assert not (cloud.home / ".aws" / "credentials").exists()


def test_without_a_cloud_there_is_nothing_to_clean(cloud: Cloud) -> None:
    with pytest.raises(RunError, match="no cloud is installed"):
        cloud.faststart("clean")


def cut_the_power(installation: Installation) -> None:
    """As near to a host's crash as a test can come: all processes at once, then what a reboot empties."""
    run = installation.folder("run")
    pids = [supervisor.supervisor_pid(run)]
    pids += [at.pid for program in programs_of(installation) if (at := supervisor.on_record(run, program.name))]
    for pid in [*pids, *clean.processes_below(installation.data)]:
        if pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    clean.end_processes(installation.data)
    clean.remove_network(installation.record())
