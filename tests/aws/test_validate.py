"""Parameters against the model: each family refuses in its own words."""

from typing import Any

import pytest

from eucapy.aws import validate
from eucapy.aws.service import Service
from eucapy.errors import ApiError
from tests.aws.edge import FORM, ask, ec2, form, fresh, iam, kms, s3, signed, text


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fresh()


def refused(service: Service, action: str, params: dict[str, Any], **more: Any) -> ApiError:
    with pytest.raises(ApiError) as error:
        validate.check(service, service.model.operation(action), params, **more)
    return error.value


def told(error: ApiError) -> tuple[str, str]:
    return error.code, error.text


def test_ec2_misses_a_parameter() -> None:
    assert told(refused(ec2, "DeleteVolume", {})) == (
        "MissingParameter", "The request must contain the parameter VolumeId",
    )  # fmt: skip
    nested = {
        "MinCount": 1,
        "MaxCount": 1,
        "LicenseSpecifications": [],
        "InstanceMarketOptions": {"MarketType": "spit"},
    }
    assert told(refused(ec2, "RunInstances", nested)) == (
        "InvalidParameterValue", "Invalid value 'spit' for instanceMarketOptions.marketType.",
    )  # fmt: skip


def test_ec2s_ranges() -> None:
    assert told(refused(ec2, "DescribeVpcs", {"MaxResults": 4})) == (
        "InvalidParameterValue", "Value ( 4 ) for parameter maxResults is invalid. Expecting a value greater than 5.",
    )  # fmt: skip
    assert refused(ec2, "DescribeVpcs", {"MaxResults": 1001}).text.endswith("Expecting a value less than 1000.")


def test_ec2s_tokens_are_made_up_when_absent() -> None:
    validate.check(ec2, ec2.model.operation("CreateCapacityReservation"), {
        "InstanceType": "ours.large", "InstancePlatform": "Linux/UNIX", "InstanceCount": 1,
    })  # fmt: skip


def test_an_open_enum_takes_what_the_catalogue_has() -> None:
    params = {"MinCount": 1, "MaxCount": 1, "InstanceType": "ours.large"}
    validate.check(ec2, ec2.model.operation("RunInstances"), params)
    strict = Service("ec2")
    operation = strict.model.operation("DescribeInstanceTypeOfferings")
    assert refused(strict, operation.name, {"LocationType": "moon"}).code == "InvalidParameterValue"


def test_a_member_that_the_handler_judges_itself() -> None:
    operation = ec2.model.operation("CreateVolume")
    validate.check(ec2, operation, {"AvailabilityZone": "a", "VolumeType": "x"}, frozenset({"VolumeType"}))
    assert refused(ec2, "CreateVolume", {"VolumeType": "x"}).text == "Invalid value 'x' for volumeType."


def test_query_tells_all_faults_at_once() -> None:
    params = {"UserName": "a b", "Path": "x" * 513, "Tags": [{"Key": "", "Value": "v"}, {"Key": "k"}]}
    error = refused(iam, "CreateUser", params)
    assert error.code == "ValidationError"
    assert error.text.startswith("5 validation errors detected: Value 'a b' at 'userName' failed to satisfy constraint: "
                                 r"Member must satisfy regular expression pattern: [\w+=,.@-]+; ")  # fmt: skip
    assert "at 'path' failed to satisfy constraint: Member must have length less than or equal to 512" in error.text
    assert (
        "Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have length greater than or equal to 1"
        in error.text
    )
    assert "Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must satisfy regular" in error.text
    assert "Value null at 'tags.2.member.value' failed to satisfy constraint: Member must not be null" in error.text


def test_a_terse_service_repeats_no_values() -> None:
    terse = Service("iam", terse=True)
    assert refused(terse, "GetUser", {"UserName": "a b"}).text == (
        "1 validation error detected: Value at 'userName' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: [\w+=,.@-]+"
    )


@pytest.mark.parametrize(
    ("action", "params", "order"),
    [
        (
            "CreateOpenIDConnectProvider",
            {"Url": "u" * 256, "ClientIDList": ["c" * 256], "ThumbprintList": ["t"]},
            ["clientIDList", "thumbprintList", "url"],
        ),
        (
            "UpdateAccountPasswordPolicy",
            {"MaxPasswordAge": 1096, "MinimumPasswordLength": 129, "PasswordReusePrevention": 25},
            ["minimumPasswordLength", "passwordReusePrevention", "maxPasswordAge"],
        ),
    ],
)
def test_iam_tells_of_faults_in_awss_order(action: str, params: dict[str, Any], order: list[str]) -> None:
    """As recorded from AWS."""
    text = refused(Service("iam", terse=True), action, params).text
    assert [part.partition("'")[0] for part in text.split(" at '")[1:]] == order


@pytest.mark.parametrize(
    ("key", "good"), [("größe", True), ("a b", True), ("a\u00a0b", True), ("a\tb", False), ("a*", False)]
)
def test_letters_of_all_languages_are_letters_in_a_tag(key: str, good: bool) -> None:
    params = {"UserName": "a", "Tags": [{"Key": key, "Value": "v"}]}
    if good:
        validate.check(iam, iam.model.operation("CreateUser"), params)
    else:
        assert "at 'tags.1.member.key'" in refused(iam, "CreateUser", params).text


def test_query_misses_a_parameter() -> None:
    assert told(refused(iam, "CreateUser", {})) == (
        "ValidationError",
        "1 validation error detected: Value null at 'userName' failed to satisfy constraint: Member must not be null",
    )


def test_json_says_validation_exception() -> None:
    error = refused(kms, "DescribeKey", {"KeyId": ""})
    assert told(error) == (
        "ValidationException",
        "1 validation error detected: Value '' at 'keyId' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1",
    )
    enum = refused(kms, "CreateKey", {"KeyUsage": "NONSENSE"})
    assert "Member must satisfy enum value set: [SIGN_VERIFY, ENCRYPT_DECRYPT" in enum.text


def test_members_of_lists_and_maps_are_told_together() -> None:
    sqs = Service("sqs")
    assert told(refused(sqs, "CreateQueue", {"QueueName": "q", "Attributes": {"Colour": "red"}}))[1].startswith(
        "1 validation error detected: Value '{Colour=red}' at 'attributes' failed to satisfy constraint: "
        "Map keys must satisfy constraint: [Member must satisfy enum value set: [All, Policy, "
    )
    error = refused(iam, "SimulateCustomPolicy", {"PolicyInputList": ["{}"], "ActionNames": ["ec2:X", "x"]})
    assert error.text == (
        "1 validation error detected: Value '[ec2:X, x]' at 'actionNames' failed to satisfy constraint: "
        "Member must satisfy constraint: [Member must have length less than or equal to 128, "
        "Member must have length greater than or equal to 3]"
    )


def test_secrets_are_not_repeated() -> None:
    error = refused(iam, "CreateLoginProfile", {"UserName": "u", "Password": ""})
    assert "Value at 'password' failed" in error.text


def s3_put(target: str, body: bytes, **headers: str) -> str:
    answer = ask(signed("PUT", f"http://localhost{target}", service="s3", body=body, headers=headers))
    return text(answer).partition("<Code>")[2].partition("</Code>")[0]


def test_s3s_documents() -> None:
    tagging = "<Tagging><TagSet><Tag><Key>{}</Key>{}</Tag></TagSet></Tagging>"
    assert s3_put("/b?tagging", tagging.format("k", "<Value>v</Value>").encode()) == ""
    assert s3_put("/b?tagging", tagging.format("k", "").encode()) == "MalformedXML"
    assert s3_put("/b?tagging", tagging.format("", "<Value>v</Value>").encode()) == "MalformedXML"
    assert s3_put("/b?tagging", b"") == "MissingRequestBodyError"
    assert s3_put("/b?tagging", b"<Other/>") == "MalformedXML"
    assert s3_put("/b?tagging", b"not xml") == "MalformedXML"


def test_s3s_headers() -> None:
    answer = ask(signed("GET", "http://localhost/b/k?attributes", service="s3"))
    assert "Missing required header for this request: x-amz-object-attributes" in text(answer)
    assert s3.handler("GetObjectAttributes") is not None
    answer = ask(signed("GET", "http://localhost/b?list-type=2&max-keys=many", service="s3"))
    assert "<Code>InvalidArgument</Code><Message>Provided max-keys not an integer or within integer range" in text(
        answer
    )
    assert "<ArgumentName>max-keys</ArgumentName><ArgumentValue>many</ArgumentValue>" in text(answer)


def ask_ec2(**params: str) -> str:
    return text(ask(signed("POST", "http://localhost/", body=form("DescribeInstances", **params), headers=dict(FORM))))


def test_ec2_refuses_what_it_does_not_know() -> None:
    assert "<Code>UnknownParameter</Code><Message>The parameter Foo is not recognized</Message>" in ask_ec2(Foo="1")
    assert "The parameter Filter.1.Nom is not recognized" in ask_ec2(**{"Filter.1.Nom": "1"})


def test_ec2_refuses_values_of_the_wrong_type() -> None:
    body = ask_ec2(MaxResults="many")
    assert "<Code>InvalidParameterValue</Code>" in body and "Value (many) for parameter MaxResults is invalid" in body
    assert "<Code>InvalidParameterValue</Code>" in ask_ec2(DryRun="maybe")


def test_query_ignores_what_it_does_not_know() -> None:
    body = form("CreateUser", "2010-05-08", UserName="bob", Foo="1")
    assert ask(signed("POST", "http://localhost/", service="iam", body=body, headers=dict(FORM))).status == 200


@pytest.mark.parametrize(
    "document", ['{"KeyId": 5}', '{"KeyId": ["a"]}', '{"GrantTokens": "a", "KeyId": "k"}', "[]", "{", '"x"']
)
def test_json_of_the_wrong_type(document: str) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.DescribeKey"}
    answer = ask(signed("POST", "http://localhost/", service="kms", body=document.encode(), headers=headers))
    assert answer.status == 400 and '"__type": "SerializationException"' in text(answer)
