"""Routing: every way in which clients name a service leads to it, whatever the others say."""

import pytest
from multidict import CIMultiDict

from eucapy.aws.message import Incoming
from eucapy.aws.route import Claim, Route, Router, Unrouted
from eucapy.aws.service import Service
from tests.aws.edge import SERVICES, router

FORM = "application/x-www-form-urlencoded; charset=utf-8"


def sent(
    method: str, target: str, host: str = "127.0.0.1:8773", body: str = "", scope: str = "", **headers: str
) -> tuple[Claim, Incoming]:  # fmt: skip
    path, _, query = target.partition("?")
    given = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    given["Host"] = host
    if scope:
        given["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential=A/20260101/{scope}/aws4_request, SignedHeaders=host, Signature=0"
        )
    if body:
        given["Content-Type"] = FORM
    claim = router.claim(method, path, query, given, host)
    return claim, Incoming(method, path, query, given, body.encode(), None, host)


def routed(*args: str, **more: str) -> Route:
    return router.route(*sent(*args, **more))


def name(route: Route) -> str:
    return f"{route.service.name}:{route.action}/{route.protocol}"


@pytest.mark.parametrize(
    ("body", "scope", "host", "wanted"),
    [
        ("Action=DescribeRegions&Version=2016-11-15", "us-east-1/ec2", "127.0.0.1", "ec2:DescribeRegions/ec2"),
        ("Action=DescribeRegions&Version=2013-02-01", "undefined-PID/ec2", "127.0.0.1", "ec2:DescribeRegions/ec2"),
        ("Action=DescribeRegions", "8773/127", "127.0.0.1", "ec2:DescribeRegions/ec2"),
        ("Action=DescribeRegions&Version=2016-11-15", "", "127.0.0.1", "ec2:DescribeRegions/ec2"),
        ("Action=GetCallerIdentity&Version=2011-06-15", "us-east-1/sts", "127.0.0.1", "sts:GetCallerIdentity/query"),
        ("Action=GetCallerIdentity&Version=2011-06-15", "undefined-PID/undefined-PID", "h", "sts:GetCallerIdentity/query"),
        ("Action=DescribeLoadBalancers&Version=2012-06-01", "us-east-1/elasticloadbalancing", "h",
         "elb:DescribeLoadBalancers/query"),
        ("Action=DescribeLoadBalancers&Version=2015-12-01", "us-east-1/elasticloadbalancing", "h",
         "elbv2:DescribeLoadBalancers/query"),
        ("Action=DescribeTags&Version=2011-01-01", "us-east-1/autoscaling", "h", "autoscaling:DescribeTags/query"),
        ("Action=DescribeTags&Version=2011-01-01", "", "h", "autoscaling:DescribeTags/query"),
        ("Action=DescribeTags&Version=2016-11-15", "", "h", "ec2:DescribeTags/ec2"),
        ("Action=DescribeTags", "", "autoscaling.example.com", "autoscaling:DescribeTags/query"),
        ("Action=ListUsers", "", "euare.cloud.example.com", "iam:ListUsers/query"),
        ("Action=CreateQueue&Version=2012-11-05", "us-east-1/sqs", "h", "sqs:CreateQueue/query"),
        ("Action=PutMetricData&Version=2010-08-01", "us-east-1/monitoring", "h", "cloudwatch:PutMetricData/query"),
    ],
)  # fmt: skip
def test_forms(body: str, scope: str, host: str, wanted: str) -> None:
    assert name(routed("POST", "/", host, body, scope)) == wanted


@pytest.mark.parametrize(
    ("path", "action", "wanted"),
    [
        ("/services/compute", "DescribeRegions", "ec2:DescribeRegions/ec2"),
        ("/services/compute/", "DescribeTags", "ec2:DescribeTags/ec2"),
        ("/services/Eucalyptus", "DescribeRegions", "ec2:DescribeRegions/ec2"),
        ("/services/Euare/", "ListUsers", "iam:ListUsers/query"),
        ("/services/Tokens", "GetCallerIdentity", "sts:GetCallerIdentity/query"),
        ("/services/LoadBalancing", "DescribeLoadBalancers", "elb:DescribeLoadBalancers/query"),
        ("/services/AutoScaling", "DescribeTags", "autoscaling:DescribeTags/query"),
        ("/services/CloudWatch", "PutMetricData", "cloudwatch:PutMetricData/query"),
    ],
)
def test_the_paths_of_eucalyptuss_clients(path: str, action: str, wanted: str) -> None:
    assert name(routed("POST", path, body=f"Action={action}")) == wanted
    assert name(routed("GET", f"{path}?Action={action}")) == wanted


def test_eucalyptuss_object_storage() -> None:
    route = routed("PUT", "/services/objectstorage/b/k%20k")
    assert (name(route), dict(route.labels)) == ("s3:PutObject/rest-xml", {"Bucket": "b", "Key": "k k"})
    assert name(routed("GET", "/services/objectstorage")) == "s3:ListBuckets/rest-xml"


@pytest.mark.parametrize(
    ("host", "target", "bucket", "key"),
    [
        ("127.0.0.1:8773", "/b/k", "b", "k"), ("localhost", "/b/k", "b", "k"), ("s3.localhost:8773", "/b/k", "b", "k"),
        ("b.s3.localhost:8773", "/k", "b", "k"), ("a.dotted.b.s3.localhost", "/k", "a.dotted.b", "k"),
        ("b.s3.us-east-1.amazonaws.com", "/k", "b", "k"), ("s3.us-east-1.amazonaws.com", "/b/k", "b", "k"),
        ("b.s3-us-west-2.amazonaws.com", "/k", "b", "k"), ("b.localhost:8773", "/k", "b", "k"),
        ("b.objectstorage.localhost", "/k", "b", "k"), ("127.0.0.1", "/b/a/b//c/", "b", "a/b//c/"),
        ("127.0.0.1", "/b//k", "b", "/k"), ("b.s3.localhost", "//k", "b", "/k"), ("127.0.0.1", "/b/%2F%3Fk+%2B", "b", "/?k++"),
        ("my-s3.localhost", "/k", "my-s3", "k"), ("s3.s3.localhost", "/k", "s3", "k"),
    ],
)  # fmt: skip
def test_buckets_in_hosts_and_paths(host: str, target: str, bucket: str, key: str) -> None:
    route = routed("GET", target, host, scope="us-east-1/s3")
    assert (name(route), dict(route.labels)) == ("s3:GetObject/rest-xml", {"Bucket": bucket, "Key": key})


@pytest.mark.parametrize(
    ("method", "target", "headers", "wanted"),
    [
        ("GET", "/", {}, "ListBuckets"), ("GET", "/b", {}, "ListObjects"), ("GET", "/b/", {}, "ListObjects"),
        ("GET", "/b?list-type=2&prefix=x", {}, "ListObjectsV2"), ("GET", "/b?versions", {}, "ListObjectVersions"),
        ("GET", "/b?uploads", {}, "ListMultipartUploads"), ("GET", "/b?acl=", {}, "GetBucketAcl"),
        ("GET", "/b?location", {}, "GetBucketLocation"), ("GET", "/b?policyStatus", {}, "GetBucketPolicyStatus"),
        ("GET", "/b?analytics", {}, "ListBucketAnalyticsConfigurations"),
        ("GET", "/b?analytics&id=1", {}, "GetBucketAnalyticsConfiguration"),
        ("GET", "/b?lifecycle", {}, "GetBucketLifecycleConfiguration"),
        ("GET", "/b?notification", {}, "GetBucketNotificationConfiguration"),
        ("GET", "/b?unheard-of", {}, "ListObjects"), ("GET", "/b/k?x-id=GetObject", {}, "GetObject"),
        ("GET", "/b/k?uploadId=u", {}, "ListParts"), ("GET", "/b/k?partNumber=1", {}, "GetObject"),
        ("GET", "/b/k?tagging", {}, "GetObjectTagging"), ("GET", "/b/k?acl&versionId=1", {}, "GetObjectAcl"),
        ("GET", "/b/k?attributes", {}, "GetObjectAttributes"),
        ("HEAD", "/b", {}, "HeadBucket"), ("HEAD", "/b/k", {}, "HeadObject"),
        ("PUT", "/b", {}, "CreateBucket"), ("PUT", "/b/k", {}, "PutObject"),
        ("PUT", "/b/k", {"x_amz_copy_source": "/a/b"}, "CopyObject"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", {"x_amz_copy_source": "/a/b"}, "UploadPartCopy"),
        ("PUT", "/b?versioning", {}, "PutBucketVersioning"), ("PUT", "/b?lifecycle", {}, "PutBucketLifecycleConfiguration"),
        ("POST", "/b?delete", {}, "DeleteObjects"), ("POST", "/b/k?uploads", {}, "CreateMultipartUpload"),
        ("POST", "/b/k?uploadId=u", {}, "CompleteMultipartUpload"), ("POST", "/b/k?restore", {}, "RestoreObject"),
        ("DELETE", "/b", {}, "DeleteBucket"), ("DELETE", "/b/k", {}, "DeleteObject"),
        ("DELETE", "/b/k?uploadId=u", {}, "AbortMultipartUpload"), ("DELETE", "/b?cors", {}, "DeleteBucketCors"),
    ],
)  # fmt: skip
def test_s3s_operations(method: str, target: str, headers: dict[str, str], wanted: str) -> None:
    assert routed(method, target, **headers).action == wanted


@pytest.mark.parametrize(("method", "target"), [("PATCH", "/b/k"), ("POST", "/"), ("DELETE", "/"), ("PUT", "/")])
def test_s3_methods_that_mean_nothing(method: str, target: str) -> None:
    with pytest.raises(Unrouted) as refused:
        routed(method, target)
    assert (refused.value.error.code, refused.value.error.status) == ("MethodNotAllowed", 405)


def test_a_key_that_is_not_text_is_refused() -> None:
    with pytest.raises(Unrouted) as refused:
        routed("GET", "/b/%ff%fe")
    assert refused.value.error.code == "InvalidURI"


@pytest.mark.parametrize(
    ("headers", "path", "wanted"),
    [
        ({"X_Amz_Target": "TrentService.CreateKey", "Content_Type": "application/x-amz-json-1.1"}, "/", "kms:CreateKey/json"),
        ({"X_Amz_Target": "AmazonSQS.CreateQueue", "Content_Type": "application/x-amz-json-1.0"}, "/", "sqs:CreateQueue/json"),
        ({"X_Amz_Target": "GraniteServiceVersion20100801.PutMetricData"}, "/", "cloudwatch:PutMetricData/json"),
        ({"smithy_protocol": "rpc-v2-cbor"}, "/service/GraniteServiceVersion20100801/operation/PutMetricData",
         "cloudwatch:PutMetricData/smithy-rpc-v2-cbor"),
    ],
)  # fmt: skip
def test_targets(headers: dict[str, str], path: str, wanted: str) -> None:
    assert name(routed("POST", path, **headers)) == wanted


def test_rest_services_by_scope_and_host() -> None:
    assert (
        name(routed("GET", "/2013-04-01/hostedzone", scope="us-east-1/route53")) == "route53:ListHostedZones/rest-xml"
    )
    assert name(routed("GET", "/2013-04-01/hostedzone", "route53.localhost")) == "route53:ListHostedZones/rest-xml"
    assert name(routed("GET", "/snapshots/snap-1/blocks", scope="us-east-1/ebs")) == "ebs:ListSnapshotBlocks/rest-json"


@pytest.mark.parametrize(
    ("body", "scope", "protocol", "code"),
    [
        ("Action=Nonsense&Version=2016-11-15", "us-east-1/ec2", "ec2", "InvalidAction"),
        ("Action=Nonsense&Version=2010-05-08", "us-east-1/iam", "query", "InvalidAction"),
        ("Action=Nonsense", "", "ec2", "InvalidAction"), ("Version=2016-11-15&A=b", "us-east-1/ec2", "ec2", "MissingAction"),
        ("Action=DescribeRegions&Version=tomorrow", "us-east-1/ec2", "ec2", "NoSuchVersion"),
        ("Action=Desc%FFribe", "us-east-1/iam", "query", "MalformedQueryString"),
    ],
)  # fmt: skip
def test_actions_that_nobody_has(body: str, scope: str, protocol: str, code: str) -> None:
    with pytest.raises(Unrouted) as refused:
        routed("POST", "/", body=body, scope=scope)
    assert (refused.value.protocol, refused.value.error.code) == (protocol, code)


def test_a_target_that_nobody_has() -> None:
    with pytest.raises(Unrouted) as refused:
        routed("POST", "/", X_Amz_Target="DynamoDB_20120810.ListTables")
    assert (refused.value.protocol, refused.value.error.code) == ("json", "UnknownOperationException")


def test_a_rest_service_that_nobody_has_is_not_taken_for_s3() -> None:
    with pytest.raises(Unrouted) as refused:
        routed("GET", "/2015-03-31/functions", scope="us-east-1/lambda")
    assert (refused.value.protocol, refused.value.error.code) == ("rest-json", "UnknownOperationException")
    assert str(refused.value) == "The service lambda is not served here."
    ours = routed("GET", "/bucket/key", scope="us-east-1/service", X_Amz_Content_Sha256="UNSIGNED-PAYLOAD")
    assert ours.service.name == "s3"


def test_a_foreign_s3_is_claimed_and_left_to_its_owner() -> None:
    elsewhere = Router([s for s in SERVICES if s.name != "s3"], foreign=("s3",))
    for target, host in (("/b/k", "127.0.0.1"), ("/k", "b.s3.localhost"), ("/", "s3.localhost")):
        path, _, query = target.partition("?")
        assert elsewhere.claim("GET", path, query, CIMultiDict({"Host": host}), host).service == "s3"
    form = CIMultiDict({"Content-Type": FORM})
    assert elsewhere.claim("POST", "/", "", form, "127.0.0.1").service is None


def test_without_s3_an_anonymous_get_is_missing_an_action() -> None:
    alone = Router([Service("sts")])
    claim = alone.claim("GET", "/", "", CIMultiDict(), "127.0.0.1")
    with pytest.raises(Unrouted) as refused:
        alone.route(claim, Incoming("GET", "/", "", CIMultiDict()))
    assert refused.value.error.code == "MissingAction"
