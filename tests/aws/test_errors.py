"""Errors look in every protocol as AWS's do, byte for byte, and say nothing of what went wrong inside."""

import json
import logging

import pytest

from eucapy.aws import cbor
from eucapy.errors import ApiError
from tests.aws.edge import FORM, ask, environment, form, fresh, signed, sqs, text

ID = "0123456789ABCDEF"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fresh()


def ec2(action: str, **params: str) -> bytes:
    answer = ask(signed("POST", "http://localhost/", body=form(action, **params), headers=dict(FORM)))
    assert isinstance(answer.body, bytes)
    return answer.body


def test_ec2() -> None:
    assert ec2("DeleteVolume", VolumeId="vol-gone").decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        "<Response><Errors><Error><Code>InvalidThing.NotFound</Code><Message>The thing 'vol-gone' does not exist</Message>"
        f"</Error></Errors><RequestID>{ID}</RequestID></Response>"
    )


def test_query_with_text_that_must_be_escaped() -> None:
    body = form("CreateUser", "2010-05-08", UserName="gone")
    answer = ask(signed("POST", "http://localhost/", service="iam", body=body, headers=dict(FORM)))
    assert (answer.status, answer.headers["Content-Type"]) == (404, "text/xml")
    assert text(answer) == (
        '<ErrorResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/"><Error><Type>Sender</Type>'
        "<Code>InvalidThing.NotFound</Code><Message>The thing '&lt;gone&gt;' does not exist</Message></Error>"
        f"<RequestId>{ID}</RequestId></ErrorResponse>"
    )


def test_s3() -> None:
    answer = ask(signed("GET", "http://localhost/b/no%20key", service="s3"))
    assert answer.status == 404
    body = text(answer)
    assert body.startswith(
        '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.'
        f"</Message><Key>no key</Key><RequestId>{ID}</RequestId><HostId>"
    )


def test_s3s_head_has_no_body() -> None:
    answer = ask(signed("HEAD", "http://localhost/b/k", service="s3"))
    assert (answer.status, answer.body) == (404, b"")


def test_json() -> None:
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "TrentService.ListKeys"}
    answer = ask(signed("POST", "http://localhost/", service="kms", body=b"{}", headers=headers))
    assert json.loads(text(answer))["__type"] == "UnknownOperationException"
    assert answer.headers["x-amzn-ErrorType"] == "UnknownOperationException"
    assert answer.headers["Content-Type"] == "application/x-amz-json-1.1"


def test_a_service_that_once_spoke_query_tells_both_codes() -> None:
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.CreateQueue"}
    body = json.dumps({"QueueName": "gone"}).encode()
    answer = ask(signed("POST", "http://localhost/", service="sqs", body=body, headers=headers))
    assert json.loads(text(answer)) == {"__type": "QueueDoesNotExist", "message": "The specified queue does not exist."}
    assert answer.headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
    old = form("CreateQueue", "2012-11-05", QueueName="gone")
    answer = ask(signed("POST", "http://localhost/", service="sqs", body=old, headers=dict(FORM)))
    assert "<Code>AWS.SimpleQueueService.NonExistentQueue</Code>" in text(answer)


def test_cbor() -> None:
    headers = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
    url = "http://localhost/service/GraniteServiceVersion20100801/operation/ListMetrics"
    answer = ask(signed("POST", url, service="monitoring", headers=headers, body=cbor.encode({})))
    assert answer.headers["smithy-protocol"] == "rpc-v2-cbor" and isinstance(answer.body, bytes)
    assert cbor.decode(answer.body)["__type"] == "UnknownOperationException"


def test_what_fails_inside_is_logged_and_not_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        body = ec2("DeleteVolume", VolumeId="vol-fault").decode()
    assert "<Code>InternalError</Code><Message>An internal error has occurred</Message>" in body
    assert "secret" not in body
    assert "secret detail" in caplog.text and ID in caplog.text
    assert environment.records[-1].status == 500


def test_every_request_is_audited() -> None:
    ec2("DescribeRegions")
    ec2("Nonsense")
    good, bad = environment.records
    assert (good.service, good.action, good.status, good.error_code) == ("ec2", "DescribeRegions", 200, None)
    assert (bad.action, bad.status, bad.error_code, bad.params) == ("", 400, "InvalidAction", None)


def test_a_denied_action_is_not_run() -> None:
    environment.denied.add("DescribeRegions")
    assert b"<Code>UnauthorizedOperation</Code>" in ec2("DescribeRegions")
    assert not environment.requests


def test_an_operation_without_a_handler_is_never_an_empty_success() -> None:
    assert b"<Code>InvalidAction</Code><Message>The action DescribeVpcs is not valid" in ec2("DescribeVpcs")
    answer = ask(signed("GET", "http://localhost/b?acl", service="s3"))
    assert (answer.status, "<Code>NotImplemented</Code>" in text(answer)) == (501, True)


def test_an_anonymous_operation_needs_no_signature() -> None:
    from botocore.awsrequest import AWSRequest

    body = form(
        "AssumeRoleWithWebIdentity", "2011-06-15", RoleArn="a" * 20, RoleSessionName="me", WebIdentityToken="t" * 9
    )
    request = AWSRequest("POST", "http://localhost/", data=body, headers={**FORM, "Host": "localhost"})
    assert ask(request).status == 200
    assert environment.requests[0].identity.anonymous


class Plain(ApiError):
    status = 503
    message = "no {thing} in {place}"


class Dotted(Plain):
    code = "Dotted.Code"


def test_an_error_is_a_class() -> None:
    error = Plain(thing="tea", place="China", fields={"A": 1}, headers={"Retry-After": "1"})
    assert (error.code, error.text, error.fault, error.fields) == ("Plain", "no tea in China", "Receiver", {"A": 1})
    assert (Dotted("literal {text}").text, Dotted.code) == ("literal {text}", "Dotted.Code")
    with pytest.raises(KeyError):
        Plain(thing="tea")


def test_a_registration_that_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="no operation"):
        sqs.action("Nonsense")(lambda call, p: None)  # type: ignore[arg-type, return-value]
    with pytest.raises(ValueError, match="already"):
        sqs.action("CreateQueue")(lambda call, p: None)  # type: ignore[arg-type, return-value]
    assert sqs.actions() == ["CreateQueue"] and "ListQueues" in sqs.operations()
