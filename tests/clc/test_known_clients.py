"""What clients and public test suites that were recorded against AWS rely on: its words, and what it leaves out."""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from xml.etree import ElementTree

from tests.clc.launching import error, image, launch
from tests.harness.cloud import Cloud


def test_ids_that_do_not_exist_are_named_in_the_order_asked_for(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    images = ["ami-abcd1234", "ami-1234abcd"]
    assert error(ec2.describe_images, ImageIds=images) == (
        "InvalidAMIID.NotFound",
        "The image ids '[ami-abcd1234, ami-1234abcd]' do not exist",
    )
    instances = ["i-12345678", "i-12345668"]
    text = "The instance IDs 'i-12345678, i-12345668' do not exist"
    for call in (ec2.describe_instances, ec2.terminate_instances, ec2.describe_instance_credit_specifications):
        assert error(call, InstanceIds=instances) == ("InvalidInstanceID.NotFound", text)


def test_no_instance_named(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    for call in (ec2.start_instances, ec2.stop_instances, ec2.reboot_instances, ec2.terminate_instances):
        assert error(call, InstanceIds=[]) == ("InvalidParameterCombination", "No instances specified")


def test_tags_without_resources_or_tags_or_a_type(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    missing = ("MissingParameter", "The request must contain the parameter resourceIdSet")
    assert error(ec2.create_tags, Resources=[], Tags=[{"Key": "a", "Value": "b"}]) == missing
    assert error(ec2.delete_tags, Resources=[], Tags=[{"Key": "a"}]) == missing
    vpc = ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
    assert error(ec2.create_tags, Resources=[vpc], Tags=[])[1] == "The request must contain the parameter tagSet"
    given = {"Tags": [{"Key": "a", "Value": "b"}]}
    refused = error(ec2.create_vpc, CidrBlock="10.0.0.0/16", TagSpecifications=[given])
    assert refused == ("InvalidParameter", "Tag specification resource type must have a value")


def test_what_has_no_tags_shows_none(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    cloud.settle()
    ami = image(cloud)
    (instance,) = launch(cloud, ami)
    assert "Tags" not in ec2.describe_images(ImageIds=[ami])["Images"][0]
    shown = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert "Tags" not in shown
    assert "Tags" not in ec2.create_key_pair(KeyName="plain")
    ec2.create_tags(Resources=[ami, instance], Tags=[{"Key": "a", "Value": "b"}])
    assert ec2.describe_images(ImageIds=[ami])["Images"][0]["Tags"] == [{"Key": "a", "Value": "b"}]
    shown = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert shown["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_disk_of_nothing(cloud: Cloud) -> None:
    cloud.settle()
    ami, ec2 = image(cloud), cloud.client("ec2")
    for mapping, name in (
        ({"DeviceName": "/dev/sdb"}, "ebs"),
        ({"DeviceName": "/dev/sdb", "Ebs": {"VolumeType": "standard"}}, "size or snapshotId"),
    ):
        refused = error(ec2.run_instances, ImageId=ami, MinCount=1, MaxCount=1, BlockDeviceMappings=[mapping])
        assert refused == ("MissingParameter", f"The request must contain the parameter {name}")


def test_a_rule_must_say_its_protocol(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    (group,) = ec2.describe_security_groups()["SecurityGroups"]
    found = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group["GroupId"]]}])
    rule = found["SecurityGroupRules"][0]["SecurityGroupRuleId"]
    change = {"SecurityGroupRuleId": rule, "SecurityGroupRule": {"FromPort": 1, "ToPort": 2, "CidrIpv4": "10.0.0.0/8"}}
    assert error(ec2.modify_security_group_rules, GroupId=group["GroupId"], SecurityGroupRules=[change]) == (
        "InvalidParameterValue",
        "Invalid value 'null' for protocol. VPC security group rules must specify protocols explicitly.",
    )


def test_rules_of_what_is_no_group(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    refused = error(ec2.describe_security_group_rules, Filters=[{"Name": "group-id", "Values": ["foobar"]}])
    assert refused == ("InvalidGroupId.Malformed", "The security group ID 'foobar' is malformed")
    unknown = [{"Name": "group-id", "Values": ["sg-005216b55886f0fdc"]}]
    assert ec2.describe_security_group_rules(Filters=unknown)["SecurityGroupRules"] == []


def test_a_key_for_a_volume_that_is_not_to_be_encrypted(cloud: Cloud) -> None:
    zone = cloud.dev.config.zones[0]
    refused = error(cloud.client("ec2").create_volume, AvailabilityZone=zone, Size=1, Encrypted=False, KmsKeyId="key")
    assert refused == (
        "InvalidParameterDependency",
        "The parameter [KmsKeyId] requires the parameter Encrypted to be set.",
    )


def test_an_attribute_that_does_not_exist(cloud: Cloud) -> None:
    refused = error(cloud.client("ec2").describe_instance_attribute, InstanceId="i-12345678", Attribute="abc")
    assert refused == (
        "InvalidParameterValue",
        "Value (abc) for parameter attribute is invalid. Unknown attribute.",
    )


def test_an_id_may_come_as_a_list_of_one(cloud: Cloud) -> None:
    """boto 2 asks for console output with `InstanceId.1`, and EC2 takes it."""
    ec2 = cloud.client("ec2")

    def as_a_list(params: dict[str, Any], **_: Any) -> None:
        params["body"]["InstanceId.1"] = params["body"].pop("InstanceId")

    ec2.meta.events.register("before-call.ec2.GetConsoleOutput", as_a_list)
    refused = error(ec2.get_console_output, InstanceId="i-12345678")
    assert refused == ("InvalidInstanceID.NotFound", "The instance ID 'i-12345678' does not exist")


def test_what_boto_2_reads_of_a_vpc_comes_before_the_lists(cloud: Cloud) -> None:
    """It takes the end of a list's item for the end of the VPC."""
    ec2 = cloud.client("ec2")
    bodies: list[bytes] = []

    def keep(response_dict: dict[str, Any], **_: Any) -> None:
        bodies.append(response_dict["body"])

    ec2.meta.events.register("response-received.ec2.DescribeVpcs", keep)
    ec2.describe_vpcs()
    (vpc,) = ElementTree.fromstring(bodies[0]).findall("{*}vpcSet/{*}item")
    names = [one.tag.rpartition("}")[2] for one in vpc]
    read = ("vpcId", "state", "cidrBlock", "dhcpOptionsId", "isDefault", "instanceTenancy", "tagSet")
    assert max(names.index(name) for name in read) < names.index("cidrBlockAssociationSet")


def test_the_key_that_ssh_keygen_makes_is_taken(cloud: Cloud) -> None:
    """RSA of 3,072 bits, its own choice, though EC2's guide names 1,024, 2,048 and 4,096 only; 768 are too few."""
    ec2 = cloud.client("ec2")

    def line(bits: int) -> bytes:
        """An OpenSSH line with a modulus of so many bits; no one has its private half."""
        fields = (b"ssh-rsa", b"\x01\x00\x01", b"\x00" + ((1 << (bits - 1)) + 1).to_bytes(bits // 8))
        return b"ssh-rsa " + b64encode(b"".join(len(field).to_bytes(4) + field for field in fields)) + b" me@host"

    assert ec2.import_key_pair(KeyName="common", PublicKeyMaterial=line(3072))["KeyPairId"]
    refused = error(ec2.import_key_pair, KeyName="weak", PublicKeyMaterial=line(768))
    assert refused == ("InvalidKey.Format", "Key is not in valid OpenSSH public key format")


def test_launch_templates_that_are_not_said_right(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    ec2.create_launch_template(LaunchTemplateName="mine", LaunchTemplateData={"InstanceType": "t3.micro"})
    assert error(ec2.describe_launch_templates, LaunchTemplateNames=["mine", "none"]) == (
        "InvalidLaunchTemplateName.NotFoundException",
        "At least one of the launch templates specified in the request does not exist.",
    )
    code, message = error(ec2.describe_launch_template_versions)
    assert code == "MissingParameter"
    assert message.startswith(
        "To describe the launch template data for all your launch templates, for \u2018--versions\u2019"
    )
    assert error(ec2.describe_launch_template_versions, Versions=["1"]) == ("InvalidParameterValue", message)
    modify = ec2.modify_launch_template
    assert error(modify, LaunchTemplateId="template_n", LaunchTemplateName="mine", DefaultVersion="2") == (
        "InvalidParameterCombination",
        "Either provide launch template ID or launch template name to modify the template.",
    )
    assert error(modify, LaunchTemplateName="mine", DefaultVersion="2") == (
        "InvalidLaunchTemplateId.VersionNotFound",
        "The launch template version 2 is not found for the specified launch template.",
    )
