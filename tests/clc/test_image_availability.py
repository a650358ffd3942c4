"""Images that are disabled, protected from being deregistered, and kept from becoming public, through boto3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clc import ebs
from tests.clc.launching import error, image
from tests.harness.cloud import Cloud

DAY_S = 24 * 3600.0


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[Cloud]:
    folder: Path = tmp_path_factory.mktemp("images") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        cloud.settle()
        yield cloud


@pytest.fixture
def image_id(ready: Cloud) -> Iterator[str]:
    """An image of the account's own that is available, gone after the test."""
    made = image(ready)
    yield made
    ready.client("ec2").deregister_image(ImageId=made)


def listed(cloud: Cloud, account: str = "eucalyptus", **given: Any) -> list[str]:
    return [one["ImageId"] for one in cloud.client("ec2", account).describe_images(**given)["Images"]]


def test_a_disabled_image_is_launched_by_nobody_and_seen_by_who_asks_for_it(ready: Cloud, image_id: str) -> None:
    ec2, other = ready.client("ec2"), ready.account("other")["account_id"]
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"UserId": other}, {"Group": "all"}]})
    assert listed(ready, "other") == [image_id]
    assert ec2.disable_image(ImageId=image_id)["Return"] is True
    assert ec2.disable_image(ImageId=image_id)["Return"] is True, "a second time is harmless"
    launch = {"ImageId": image_id, "MinCount": 1, "MaxCount": 1}
    assert error(ec2.run_instances, **launch)[0] == "InvalidAMIID.Unavailable"
    assert (listed(ready), listed(ready, Owners=["self"])) == ([], [])
    assert listed(ready, IncludeDisabled=True) == [image_id]
    (one,) = ec2.describe_images(ImageIds=[image_id])["Images"]
    assert (one["State"], one["Public"]) == ("disabled", False)
    assert listed(ready, "other", IncludeDisabled=True) == [], "who could launch it has lost it"
    share = {"ImageId": image_id, "LaunchPermission": {"Add": [{"UserId": other}]}}
    assert error(ec2.modify_image_attribute, **share)[0] == "InvalidAMIID.Unavailable"
    copy = {"Name": "copy", "SourceImageId": image_id, "SourceRegion": "us-east-1"}
    assert error(ec2.copy_image, **copy)[0] == "InvalidAMIID.Unavailable"
    assert error(ec2.register_image, Name="starter", ImageLocation="b/k")[0] == "InvalidAMIName.Duplicate"
    assert ec2.enable_image(ImageId=image_id)["Return"] is True
    assert listed(ready) == [image_id]
    assert listed(ready, "other") == [], "launch permissions do not come back"
    assert len(ec2.run_instances(**launch)["Instances"]) == 1


def test_only_its_owner_disables_an_image(ready: Cloud, image_id: str) -> None:
    other = ready.client("ec2", "other")
    assert error(other.disable_image, ImageId=image_id)[0] == "InvalidAMIID.NotFound"
    ready.client("ec2").modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"Group": "all"}]})
    for ask in (other.disable_image, other.enable_image_deregistration_protection):
        assert error(ask, ImageId=image_id)[0] == "AuthFailure"


def test_the_snapshot_of_a_disabled_image_stays(ready: Cloud) -> None:
    ec2, image_id = ready.client("ec2"), ebs.image(ready)
    (mapping,) = ec2.describe_images(ImageIds=[image_id])["Images"][0]["BlockDeviceMappings"]
    ec2.disable_image(ImageId=image_id)
    assert error(ec2.delete_snapshot, SnapshotId=mapping["Ebs"]["SnapshotId"])[0] == "InvalidSnapshot.InUse"
    ec2.deregister_image(ImageId=image_id)
    ec2.delete_snapshot(SnapshotId=mapping["Ebs"]["SnapshotId"])


def test_what_is_no_image_that_can_be_launched_cannot_be_disabled(ready: Cloud) -> None:
    ec2 = ready.client("ec2")
    image_id = ec2.register_image(Name="nothing", ImageLocation="nobucket/x")["ImageId"]
    ready.settle()
    for ask in (ec2.disable_image, ec2.enable_image):
        assert error(ask, ImageId=image_id)[0] == "InvalidAMIID.Unavailable"
    ec2.deregister_image(ImageId=image_id)


def test_a_protected_image_is_not_deregistered(cloud: Cloud) -> None:
    ec2, image_id = cloud.client("ec2"), image(cloud)

    def shown() -> str:
        asked = ec2.describe_image_attribute(ImageId=image_id, Attribute="deregistrationProtection")
        (one,) = ec2.describe_images(ImageIds=[image_id])["Images"]
        assert one["DeregistrationProtection"] == asked["DeregistrationProtection"]["Value"]
        return str(one["DeregistrationProtection"])

    assert shown() == "disabled"
    assert ec2.enable_image_deregistration_protection(ImageId=image_id)["Return"] == "true"
    assert shown() == "enabled-without-cooldown"
    code, message = error(ec2.deregister_image, ImageId=image_id)
    assert (code, image_id in message) == ("OperationNotPermitted", True)
    ec2.disable_image_deregistration_protection(ImageId=image_id)
    assert shown() == "disabled"
    ec2.enable_image_deregistration_protection(ImageId=image_id, WithCooldown=True)
    ec2.disable_image_deregistration_protection(ImageId=image_id)
    assert shown() == "enabled-with-cooldown", "for a day more"
    cloud.advance(DAY_S / 2)
    ec2.disable_image_deregistration_protection(ImageId=image_id)
    assert error(ec2.deregister_image, ImageId=image_id)[0] == "OperationNotPermitted"
    cloud.advance(DAY_S / 2 + 60)
    assert shown() == "disabled", "asking again did not begin the day anew"
    ec2.deregister_image(ImageId=image_id)


def test_an_account_may_keep_its_images_from_becoming_public(ready: Cloud, image_id: str) -> None:
    ec2, other = ready.client("ec2"), ready.account("other")["account_id"]
    assert ec2.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "unblocked"
    for _ in range(2):
        answer = ec2.enable_image_block_public_access(ImageBlockPublicAccessState="block-new-sharing")
        assert answer["ImageBlockPublicAccessState"] == "block-new-sharing"
    assert ec2.get_image_block_public_access_state()["ImageBlockPublicAccessState"] == "block-new-sharing"
    public = {"ImageId": image_id, "LaunchPermission": {"Add": [{"Group": "all"}]}}
    assert error(ec2.modify_image_attribute, **public) == (
        "OperationNotPermitted",
        "You can’t publicly share this image because block public access for AMIs is enabled for this account. To publicly "
        "share the image, you must call the DisableImageBlockPublicAccess API.",
    )
    ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"UserId": other}]})
    assert listed(ready, "other") == [image_id], "one account is not everybody"
    theirs = ready.client("ec2", "other").get_image_block_public_access_state()
    assert theirs["ImageBlockPublicAccessState"] == "unblocked", "every account decides for itself"
    assert ec2.disable_image_block_public_access()["ImageBlockPublicAccessState"] == "unblocked"
    ec2.modify_image_attribute(**public)
    assert listed(ready, "third") == [image_id]


def test_an_images_snapshots_go_with_it_where_that_is_wanted_and_nobody_else_needs_them(ready: Cloud) -> None:
    ec2, first = ready.client("ec2"), ebs.image(ready)
    (mapping,) = ec2.describe_images(ImageIds=[first])["Images"][0]["BlockDeviceMappings"]
    snapshot_id = mapping["Ebs"]["SnapshotId"]
    second = ec2.register_image(Name="second", RootDeviceName="/dev/sda1", BlockDeviceMappings=[mapping])["ImageId"]
    done = ec2.deregister_image(ImageId=first, DeleteAssociatedSnapshots=True)
    assert done["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": "skipped"}]
    keys = ready.user("deregisters", "none")
    may = {"Effect": "Allow", "Action": "ec2:DeregisterImage", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    ready.client("iam").put_user_policy(UserName="deregisters", PolicyName="p", PolicyDocument=document)
    limited = ready.client("ec2", keys=keys)
    refused = error(limited.deregister_image, ImageId=second, DeleteAssociatedSnapshots=True)
    assert refused[0] == "UnauthorizedOperation", "to delete a snapshot takes the right to do so"
    may |= {"Action": ["ec2:DeregisterImage", "ec2:DeleteSnapshot"], "Resource": ["*"]}
    rule = {"Effect": "Deny", "Action": "ec2:DeleteSnapshot", "Resource": f"arn:aws:ec2:*::snapshot/{snapshot_id}"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [may, rule]})
    ready.client("iam").put_user_policy(UserName="deregisters", PolicyName="p", PolicyDocument=document)
    refused = error(limited.deregister_image, ImageId=second, DeleteAssociatedSnapshots=True)
    assert refused[0] == "UnauthorizedOperation", "this very snapshot may not go"
    done = ec2.deregister_image(ImageId=second, DeleteAssociatedSnapshots=True)
    assert done["DeleteSnapshotResults"] == [{"SnapshotId": snapshot_id, "ReturnCode": "success"}]
    ready.settle()
    assert error(ec2.describe_snapshots, SnapshotIds=[snapshot_id])[0] == "InvalidSnapshot.NotFound"
