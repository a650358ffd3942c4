"""The CPU credit option of burstable instances: each instance of a request for itself."""

from __future__ import annotations

from typing import Any

from tests.clc.launching import error, image, launch
from tests.harness.cloud import Cloud


def options(cloud: Cloud, *instance_ids: str) -> dict[str, str]:
    answer = cloud.client("ec2").describe_instance_credit_specifications(InstanceIds=list(instance_ids))
    return {one["InstanceId"]: one["CpuCredits"] for one in answer["InstanceCreditSpecifications"]}


def test_each_is_changed_or_told_why_not(cloud: Cloud) -> None:
    ec2, ami = cloud.client("ec2"), image(cloud)
    burstable, ended = launch(cloud, ami, 2, InstanceType="t3.micro")
    (steady,) = launch(cloud, ami, InstanceType="m5.large")
    ec2.terminate_instances(InstanceIds=[ended])
    cloud.settle()
    wanted = (burstable, ended, steady, "i-0123456789abcdef0", "banana", "vol-12345678")
    answer = ec2.modify_instance_credit_specification(
        InstanceCreditSpecifications=[{"InstanceId": one, "CpuCredits": "standard"} for one in wanted]
    )
    assert answer["SuccessfulInstanceCreditSpecifications"] == [{"InstanceId": burstable}]
    failed = {one["InstanceId"]: one["Error"]["Code"] for one in answer["UnsuccessfulInstanceCreditSpecifications"]}
    assert failed == {
        ended: "IncorrectInstanceState",
        steady: "InstanceCreditSpecification.NotSupported",
        "i-0123456789abcdef0": "InvalidInstanceID.NotFound",
        "banana": "InvalidInstanceID.Malformed",
        "vol-12345678": "InvalidInstanceID.Malformed",
    }
    assert options(cloud, burstable) == {burstable: "standard"}


def test_an_entry_says_which_and_what(cloud: Cloud) -> None:
    change = cloud.client("ec2").modify_instance_credit_specification

    def refused(*entries: dict[str, Any]) -> tuple[str, str]:
        return error(change, InstanceCreditSpecifications=list(entries))

    lacking = "The request must contain the parameter {}"
    assert refused({"CpuCredits": "standard"}) == (
        "MissingParameter",
        lacking.format("InstanceCreditSpecification.1.InstanceId"),
    )
    assert refused({"InstanceId": "i-12345678"}) == ("MissingParameter", lacking.format("CpuCredits"))
    assert refused() == ("MissingParameter", lacking.format("InstanceCreditSpecification"))
    code, message = refused({"InstanceId": "i-12345678", "CpuCredits": "endless"})
    assert (code, message) == ("InvalidParameterValue", "Value (endless) for parameter cpuCredits is invalid.")
