"""The first instance: key pair, security group, launch, and a real login at the end.

The private half of the key is shown to nobody and kept in `DIR/credentials/first-key.pem` (0600), since the cloud does
not keep it. An instance from an earlier run that still lives is used again.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from botocore.exceptions import ClientError

from eucapy.cli.images import client
from eucapy.cli.installation import CliError, Installation, Record
from eucapy.ledger import write_file
from eucapy.run import RunError, run_now

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client
    from types_boto3_ec2.type_defs import InstanceTypeDef

KEY_NAME = "eucapy-first"
GROUP_NAME = "eucapy-first"
INSTANCE_TYPE: Final = "t2.nano"
LOGIN = "root"
RUNNING_WITHIN_S = 300.0
LOGIN_WITHIN_S = 300.0


@dataclass(frozen=True)
class FirstInstance:
    """The instance and how to reach it."""

    instance_id: str
    address: str
    key_file: Path

    @property
    def ssh(self) -> str:
        return f"ssh -i {self.key_file} {LOGIN}@{self.address}"


def ensure(installation: Installation, image_id: str, say: Callable[[str], None]) -> FirstInstance:
    """Launch the instance, or find it, and wait until a login works. Raises CliError, saying what the cloud said."""
    ec2: EC2Client = client(installation, "ec2")
    record = installation.record()
    try:
        instance = _living(ec2, record)
        if instance is None:
            _ensure_key(ec2, installation.first_key_file)
            instance = ec2.run_instances(
                ImageId=image_id,
                InstanceType=INSTANCE_TYPE,
                KeyName=KEY_NAME,
                SecurityGroupIds=[_ensure_group(ec2)],
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "first"}]}],
            )["Instances"][0]
            record.first_instance = instance["InstanceId"]
            installation.save(record)
        elif instance["State"]["Name"] == "stopped":
            ec2.start_instances(InstanceIds=[instance["InstanceId"]])
        instance = _running(ec2, instance["InstanceId"], say)
    except ClientError as error:
        raise CliError(f"the first instance cannot be launched: {error}") from error
    first = FirstInstance(
        instance["InstanceId"],
        instance.get("PublicIpAddress") or instance["PrivateIpAddress"],
        installation.first_key_file,
    )
    _log_in(first, say)
    return first


def _living(ec2: EC2Client, record: Record) -> InstanceTypeDef | None:
    if not record.first_instance:
        return None
    try:
        found = ec2.describe_instances(InstanceIds=[record.first_instance])["Reservations"][0]["Instances"][0]
    except (ClientError, IndexError):
        return None
    return found if found["State"]["Name"] in ("pending", "running", "stopped") else None


def _ensure_key(ec2: EC2Client, key_file: Path) -> None:
    """A key pair whose private half is in `key_file`; without the file an old pair is worth nothing and is replaced."""
    known = ec2.describe_key_pairs(Filters=[{"Name": "key-name", "Values": [KEY_NAME]}])["KeyPairs"]
    if known and key_file.exists():
        return
    if known:
        ec2.delete_key_pair(KeyName=KEY_NAME)
    made = ec2.create_key_pair(KeyName=KEY_NAME, KeyType="ed25519")
    write_file(key_file, made["KeyMaterial"].encode(), mode=0o600)


def _ensure_group(ec2: EC2Client) -> str:
    """A security group that lets ssh and ping in."""
    known = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [GROUP_NAME]}])["SecurityGroups"]
    if known:
        return known[0]["GroupId"]
    group_id = ec2.create_security_group(GroupName=GROUP_NAME, Description="ssh and ping from anywhere")["GroupId"]
    ec2.authorize_security_group_ingress(
        GroupId=group_id,
        IpPermissions=[
            {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
            {"IpProtocol": "icmp", "FromPort": -1, "ToPort": -1, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]},
        ],
    )
    return group_id


def _running(ec2: EC2Client, instance_id: str, say: Callable[[str], None]) -> InstanceTypeDef:
    deadline = time.monotonic() + RUNNING_WITHIN_S
    while True:
        instance = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"][0]["Instances"][0]
        state = instance["State"]["Name"]
        say(f"{instance_id} is {state}")
        if state == "running":
            return instance
        if state not in ("pending", "stopping", "stopped"):
            reason = instance.get("StateReason", {}).get("Message", "no reason given")
            raise CliError(f"the first instance, {instance_id}, is {state}: {reason}")
        if time.monotonic() > deadline:
            raise CliError(f"the first instance, {instance_id}, is still {state} after {RUNNING_WITHIN_S:.0f} s")
        time.sleep(0.3)


def ssh_command(key_file: Path, address: str, *command: str) -> list[str]:
    """A login that asks nothing, and takes an address's host key as it comes: addresses are used again by others."""
    options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "ConnectTimeout=5")
    return [
        "ssh",
        *(word for option in (*options, "LogLevel=ERROR", "IdentitiesOnly=yes") for word in ("-o", option)),
        *("-i", str(key_file), f"{LOGIN}@{address}", *command),
    ]


def _log_in(first: FirstInstance, say: Callable[[str], None]) -> None:
    say(f"waiting for the guest to boot and answer at {first.address}")
    deadline = time.monotonic() + LOGIN_WITHIN_S
    last = "no answer"
    while time.monotonic() < deadline:
        with contextlib.suppress(RunError):
            answer = run_now(*ssh_command(first.key_file, first.address, "echo", "eucapy"), timeout_s=20, check=False)
            if answer.stdout.strip() == "eucapy":
                return
            last = answer.stderr.strip() or last
        time.sleep(0.5)
    raise CliError(
        f"the first instance, {first.instance_id}, runs, but no login at {first.address} worked in "
        f"{LOGIN_WITHIN_S:.0f} s ({last}). Its console: aws ec2 get-console-output --instance-id {first.instance_id}"
    )
