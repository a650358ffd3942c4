"""A full Debian with cloud-init on the cloud: it knows where it is, runs its user data, and lets its key pair in."""

from __future__ import annotations

import pytest

from tests.harness.debian import debian_image
from tests.harness.lab import Lab

pytestmark = [pytest.mark.host, pytest.mark.guest, pytest.mark.timeout(1200)]

USER_DATA = """#cloud-config
write_files:
  - path: /etc/made-by-cloud-init
    content: whole
"""


def test_debian_boots_with_tokens_required_and_is_configured_by_cloud_init() -> None:
    image = debian_image()
    with Lab(nodes=1) as lab:
        ec2 = lab.client("ec2")
        ami, key = lab.image(image, "debian"), lab.key_pair()
        ec2.authorize_security_group_ingress(
            GroupName="default", IpProtocol="tcp", FromPort=22, ToPort=22, CidrIp="0.0.0.0/0"
        )
        [made] = ec2.run_instances(
            ImageId=ami,
            MinCount=1,
            MaxCount=1,
            InstanceType="t3.micro",
            KeyName="lab",
            UserData=USER_DATA,
            MetadataOptions={"HttpTokens": "required"},
        )["Instances"]
        ec2.get_waiter("instance_running").wait(
            InstanceIds=[made["InstanceId"]], WaiterConfig={"Delay": 1, "MaxAttempts": 120}
        )
        [seen] = ec2.describe_instances(InstanceIds=[made["InstanceId"]])["Reservations"][0]["Instances"]
        address = seen["PublicIpAddress"]
        said = lab.log_in(
            address, key, "cloud-init status --wait >/dev/null; cat /etc/made-by-cloud-init; echo; cloud-id; hostname",
            user=image.login, limit_s=900,
        )  # fmt: skip
        assert said.split() == ["whole", "aws", seen["PrivateDnsName"].split(".")[0]]
        known = lab.log_in(address, key, "cat /var/lib/cloud/data/instance-id", user=image.login)
        assert known.strip() == made["InstanceId"]
