"""The account's wishes for the metadata options of its instances."""

from __future__ import annotations

from typing import Any

from tests.clc.launching import described, error, image, launch
from tests.harness.cloud import Cloud


def options(cloud: Cloud, image_id: str, **given: Any) -> dict[str, Any]:
    (instance_id,) = launch(cloud, image_id, **given)
    found: dict[str, Any] = described(cloud, instance_id)["MetadataOptions"]
    return found


def level(cloud: Cloud) -> dict[str, Any]:
    shown: dict[str, Any] = cloud.client("ec2").get_instance_metadata_defaults()["AccountLevel"]
    return shown


def test_a_launch_says_first_then_the_account_then_the_image(cloud: Cloud) -> None:
    ec2, ami = cloud.client("ec2"), image(cloud)
    strict = image(cloud, "strict", ImdsSupport="v2.0")
    ec2.modify_instance_metadata_defaults(
        HttpTokens="required", HttpPutResponseHopLimit=5, InstanceMetadataTags="enabled"
    )
    shown = options(cloud, ami)
    assert (shown["HttpTokens"], shown["HttpPutResponseHopLimit"]) == ("required", 5)
    assert (shown["InstanceMetadataTags"], shown["HttpEndpoint"]) == ("enabled", "enabled")
    shown = options(cloud, ami, MetadataOptions={"HttpTokens": "optional", "HttpPutResponseHopLimit": 3})
    assert (shown["HttpTokens"], shown["HttpPutResponseHopLimit"]) == ("optional", 3)
    ec2.modify_instance_metadata_defaults(HttpTokens="optional")
    assert options(cloud, strict)["HttpTokens"] == "optional"
    ec2.modify_instance_metadata_defaults(HttpTokens="no-preference", HttpPutResponseHopLimit=-1)
    shown = options(cloud, strict)
    assert (shown["HttpTokens"], shown["HttpPutResponseHopLimit"]) == ("required", 2)


def test_preferences_are_kept_one_by_one_and_are_the_accounts_own(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    assert level(cloud) == {"ManagedBy": "account"}
    ec2.modify_instance_metadata_defaults(HttpEndpoint="disabled")
    ec2.modify_instance_metadata_defaults(HttpTokens="required")
    assert level(cloud) == {"ManagedBy": "account", "HttpEndpoint": "disabled", "HttpTokens": "required"}
    ec2.modify_instance_metadata_defaults(HttpEndpoint="no-preference")
    assert level(cloud) == {"ManagedBy": "account", "HttpTokens": "required"}
    assert cloud.client("ec2", "lab").get_instance_metadata_defaults()["AccountLevel"] == {"ManagedBy": "account"}


def test_what_cannot_be_preferred(cloud: Cloud) -> None:
    change = cloud.client("ec2").modify_instance_metadata_defaults
    for given, code in (
        ({"HttpPutResponseHopLimit": 65}, "InvalidParameterValue"),
        ({"HttpPutResponseHopLimit": 0}, "InvalidParameterValue"),
        ({"HttpTokens": "sometimes"}, "InvalidParameterValue"),
        ({"HttpTokensEnforced": "enabled"}, "Unsupported"),
    ):
        assert error(change, **given)[0] == code
    assert level(cloud) == {"ManagedBy": "account"}
