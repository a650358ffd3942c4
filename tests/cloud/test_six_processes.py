"""The six programs as processes, over fake drivers: they find each other, and survive being killed."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from eucapy import pki
from eucapy.cli import images
from eucapy.cli.faststart import readiness
from eucapy.cli.operator import Operator, Refused
from eucapy.cli.programs import DAEMONS
from eucapy.run import run_now
from tests.harness.postgres import NewDatabase
from tests.harness.processes import ProcessCloud
from tests.harness.waiting import wait_until

AWS_CLIS = {
    "version 1": Path(sys.executable).with_name("aws"),
    "version 2": Path("/usr/bin/aws"),
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory, empty_database: NewDatabase) -> Iterator[ProcessCloud]:
    folder = tmp_path_factory.mktemp("cloud")
    with (
        empty_database() as clc,
        empty_database() as walrus,
        ProcessCloud(folder, clc={"database": clc}, walrus={"database": walrus}) as running,
    ):
        yield running


@pytest.fixture(params=AWS_CLIS.values(), ids=AWS_CLIS)
def aws(request: pytest.FixtureRequest) -> str:
    program: Path = request.param
    if not program.exists():
        pytest.skip(f"{program} is not installed")
    return str(program)


def state_of(cloud: ProcessCloud, volume_id: str) -> str:
    return str(cloud.client("ec2").describe_volumes(VolumeIds=[volume_id])["Volumes"][0]["State"])


def test_every_component_comes_up_and_no_loop_fails(cloud: ProcessCloud) -> None:
    status = Operator.of(cloud.installation).get("/admin/status")
    assert readiness.not_up(status) == []
    assert {component["kind"] for component in status["components"]} == {"cc", "sc", "nc"}
    assert [loop for loop in status["loops"] if loop["error"]] == []


def test_the_stock_command_lines_drive_it(cloud: ProcessCloud, aws: str, tmp_path: Path) -> None:
    environment = {**cloud.installation.environment(), "AWS_PAGER": "", "AWS_CONFIG_FILE": str(tmp_path / "none")}
    endpoint = f"--endpoint-url={environment['AWS_ENDPOINT_URL']}"

    def run(*arguments: str) -> str:
        return run_now(aws, endpoint, *arguments, env=environment, timeout_s=120).stdout

    assert "us-east-1" in run("ec2", "describe-regions", "--output", "text")
    (tmp_path / "there").write_bytes(bytes(range(256)) * 4096)
    bucket = f"clis-{Path(aws).parent.name}"
    run("s3", "mb", f"s3://{bucket}")
    run("s3", "cp", str(tmp_path / "there"), f"s3://{bucket}/a key")
    run("s3", "cp", f"s3://{bucket}/a key", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()
    assert "a key" in run("s3", "ls", f"s3://{bucket}")
    run("s3", "rb", "--force", f"s3://{bucket}")


@pytest.fixture(scope="module")
def image(cloud: ProcessCloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image, put into the cloud as an operator does it."""
    path = tmp_path_factory.mktemp("image") / "disk.raw"
    path.write_bytes(b"\0" * (1 << 20))
    said: list[str] = []
    image_id = images.install_image(cloud.installation, str(path), said.append, name="disk")
    assert images.install_image(cloud.installation, str(path), said.append, name="disk") == image_id, "found again"
    return image_id


def launch(cloud: ProcessCloud, image: str) -> str:
    ec2 = cloud.client("ec2")
    return str(
        ec2.run_instances(ImageId=image, InstanceType="t2.nano", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    )


def instance_state(cloud: ProcessCloud, instance_id: str) -> str:
    found = cloud.client("ec2").describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
    return str(found["State"]["Name"])


def test_an_instance_is_launched_from_an_image_of_the_object_store(cloud: ProcessCloud, image: str) -> None:
    instance_id = launch(cloud, image)
    wait_until(lambda: instance_state(cloud, instance_id) == "running")
    ec2 = cloud.client("ec2")
    ec2.stop_instances(InstanceIds=[instance_id])
    wait_until(lambda: instance_state(cloud, instance_id) == "stopped")
    ec2.terminate_instances(InstanceIds=[instance_id])
    wait_until(lambda: instance_state(cloud, instance_id) == "terminated")


@pytest.mark.parametrize("name", DAEMONS)
def test_a_launch_is_finished_whoever_is_killed_meanwhile(cloud: ProcessCloud, image: str, name: str) -> None:
    """Once, and by nobody's hand."""
    ec2 = cloud.client("ec2")
    instance_id = launch(cloud, image)
    cloud.kill(name)
    cloud.run(name)
    cloud.bring_up()
    wait_until(lambda: instance_state(cloud, instance_id) == "running")
    ec2.terminate_instances(InstanceIds=[instance_id])
    cloud.kill(name)
    cloud.run(name)
    cloud.bring_up()
    wait_until(lambda: instance_state(cloud, instance_id) == "terminated")


def test_a_second_account_sees_nothing_of_the_first(cloud: ProcessCloud) -> None:
    made = run_now(
        sys.executable,
        *("-m", "eucapy.cli.main", "--data", str(cloud.installation.data), "account", "create", "lab"),
        check=False,
    )
    assert made.status == 0, made.stderr
    keys = json.loads(made.stdout)
    ours = cloud.client("ec2").create_volume(Size=1, AvailabilityZone=cloud.record.zone)["VolumeId"]
    lab = boto3.client(
        "ec2",
        endpoint_url=cloud.installation.endpoint_url,
        region_name="us-east-1",
        aws_access_key_id=keys["access_key_id"],
        aws_secret_access_key=keys["secret_access_key"],
    )
    assert lab.describe_volumes()["Volumes"] == []
    with pytest.raises(lab.exceptions.ClientError, match=r"InvalidVolume\.NotFound"):
        lab.describe_volumes(VolumeIds=[ours])


def test_only_the_operators_certificate_may_use_the_operator_port(cloud: ProcessCloud) -> None:
    folder = cloud.installation.folder("pki")
    for role in ("nc", "walrus", "sc"):
        stranger = Operator(cloud.installation.operator_url, pki.client_context(folder, role))
        with pytest.raises(Refused) as refused:
            stranger.get("/admin/status")
        assert refused.value.status == 403


@pytest.mark.parametrize("name", DAEMONS)
def test_a_program_that_is_killed_is_missed_by_nobody_for_long(cloud: ProcessCloud, name: str) -> None:
    """Killed while a volume is being made: whoever lost its memory finds the work again."""
    ec2 = cloud.client("ec2")
    volume_id = ec2.create_volume(Size=1, AvailabilityZone=cloud.record.zone)["VolumeId"]
    assert cloud.kill(name) == -signal.SIGKILL
    cloud.run(name)
    cloud.bring_up()
    wait_until(lambda: state_of(cloud, volume_id) == "available")


def test_after_a_power_cut_everything_is_as_it_was_promised(cloud: ProcessCloud) -> None:
    ec2, s3 = cloud.client("ec2"), cloud.client("s3")
    s3.create_bucket(Bucket="kept")
    s3.put_object(Bucket="kept", Key="object", Body=b"acknowledged")
    before = ec2.create_volume(Size=2, AvailabilityZone=cloud.record.zone)["VolumeId"]
    key = ec2.create_key_pair(KeyName="kept")["KeyPairId"]
    cloud.kill_all()
    for name in cloud.programs:
        cloud.run(name)
    cloud.bring_up()
    wait_until(lambda: state_of(cloud, before) == "available")
    assert cloud.client("ec2").describe_key_pairs(KeyNames=["kept"])["KeyPairs"][0]["KeyPairId"] == key
    assert cloud.client("s3").get_object(Bucket="kept", Key="object")["Body"].read() == b"acknowledged"


@pytest.mark.parametrize("name", DAEMONS)
def test_a_program_ends_by_itself_when_it_is_asked_to(cloud: ProcessCloud, name: str) -> None:
    assert cloud.kill(name, signal.SIGTERM) == 0
    cloud.run(name)
    cloud.bring_up()


def test_a_snapshot_outlives_its_storage_and_the_operator_sees_it_coming(cloud: ProcessCloud) -> None:
    """Through the object store, which shows no account a trace of it."""
    ec2, s3, operator = cloud.client("ec2"), cloud.client("s3"), Operator.of(cloud.installation)
    volume_id = ec2.create_volume(Size=1, AvailabilityZone=cloud.record.zone)["VolumeId"]
    wait_until(lambda: state_of(cloud, volume_id) == "available")
    snapshot_id = ec2.create_snapshot(VolumeId=volume_id)["SnapshotId"]
    wait_until(lambda: ec2.describe_snapshots(SnapshotIds=[snapshot_id])["Snapshots"][0]["State"] == "completed")
    wait_until(lambda: [each["percent"] for each in operator.get("/admin/status")["archives"]] == [100])
    assert not [bucket["Name"] for bucket in s3.list_buckets()["Buckets"] if "archive" in bucket["Name"]]
    cloud.kill("sc")
    shutil.rmtree(cloud.installation.folder("sc"))
    cloud.run("sc")
    cloud.bring_up()
    made = ec2.create_volume(AvailabilityZone=cloud.record.zone, SnapshotId=snapshot_id)["VolumeId"]
    wait_until(lambda: state_of(cloud, made) == "available")


def test_nothing_that_a_program_logs_holds_a_secret(cloud: ProcessCloud) -> None:
    secret = cloud.installation.admin().secret_access_key
    for name in cloud.programs:
        assert secret not in cloud.log(name)


def test_a_program_without_its_folder_says_so_and_does_not_start(tmp_path: Path) -> None:
    """A configuration that cannot be used ends the program with status 2 and the reason."""
    path = tmp_path / "nc.toml"
    path.write_text("no_such_option = 1\n")
    for name in DAEMONS:
        ended = run_now(sys.executable, "-m", f"eucapy_services.{name}.main", "--config", str(path), check=False)
        assert ended.status == 2
        assert "no_such_option" in ended.stderr
