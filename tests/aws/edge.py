"""A small cloud of one account behind the edge: services with a few handlers, and requests to it without a network."""

import asyncio
import datetime as dt
from typing import Any
from urllib.parse import urlsplit

from botocore import auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from multidict import CIMultiDict

from eucapy.aws.bodies import BytesReader
from eucapy.aws.chain import AuditRecord, Chain, Request
from eucapy.aws.credentials import Credential
from eucapy.aws.errors import AccessDenied, ApiError, UnauthorizedOperation
from eucapy.aws.http import Edge
from eucapy.aws.message import Incoming, Outgoing, Result
from eucapy.aws.route import Router
from eucapy.aws.service import Handler, Service

KEY, SECRET, ACCOUNT = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "123456789012"
REGION = "us-east-1"

ec2 = Service("ec2", open_enums=("InstanceType",))
sts = Service("sts")
iam = Service("iam")
s3 = Service("s3", without=("ListDirectoryBuckets", "CreateSession", "WriteGetObjectResponse"), body_limit=4 << 20)
sqs = Service("sqs")
kms = Service("kms")
cloudwatch = Service("cloudwatch")
elb = Service("elb")
elbv2 = Service("elbv2")
autoscaling = Service("autoscaling")
route53 = Service("route53")
ebs = Service("ebs")
SERVICES = (ec2, sts, iam, s3, sqs, kms, cloudwatch, elb, elbv2, autoscaling, route53, ebs)


class NoSuchThing(ApiError):
    status = 404
    code = "InvalidThing.NotFound"
    message = "The thing '{name}' does not exist"


class NoSuchKey(ApiError):
    status = 404
    message = "The specified key does not exist."


@ec2.action("DescribeRegions", "DescribeInstances", "DeleteVolume", "CreateVolume", "RunInstances")
async def echo(request: Request, p: dict[str, Any]) -> Any:
    """Answers nothing; the environment keeps what was asked."""
    if p.get("VolumeId") == "vol-fault":
        raise RuntimeError("secret detail")
    if p.get("VolumeId") == "vol-gone":
        raise NoSuchThing(name="vol-gone")


@sts.action("GetCallerIdentity")
async def get_caller_identity(request: Request, p: dict[str, Any]) -> dict[str, Any]:
    return {"Account": request.identity.account, "UserId": ACCOUNT, "Arn": "arn:aws:iam::123456789012:root"}


@sts.action("AssumeRoleWithWebIdentity", anonymous=True)
@iam.action("CreateUser", "ListUsers")
@sqs.action("CreateQueue")
@kms.action("CreateKey", "DescribeKey")
@cloudwatch.action("PutMetricData")
@elb.action("DescribeLoadBalancers")
@elbv2.action("DescribeLoadBalancers")
@autoscaling.action("DescribeTags")
@s3.action("ListObjectsV2", "DeleteObjects", "PutBucketTagging", "GetObjectAttributes")
async def nothing(request: Request, p: dict[str, Any]) -> None:
    if p.get("UserName") == "gone":
        raise NoSuchThing(name="<gone>")
    if p.get("QueueName") == "gone":
        raise QueueDoesNotExist()


class QueueDoesNotExist(ApiError):
    message = "The specified queue does not exist."


@s3.action("ListBuckets")
async def list_buckets(request: Request, p: dict[str, Any]) -> dict[str, Any]:
    return {"Buckets": [{"Name": "b", "CreationDate": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}]}


@s3.action("PutObject", "UploadPart")
async def put(request: Request, p: dict[str, Any]) -> Result:
    body = p["Body"]
    data = await body.read_all(1 << 30)
    environment.objects[p["Bucket"], p["Key"]] = data
    environment.trailers = dict(body.trailers)
    return Result({"ETag": '"etag"'}, {"x-extra": "1"})


@s3.action("GetObject")
async def get(request: Request, p: dict[str, Any]) -> dict[str, Any]:
    if (p["Bucket"], p["Key"]) not in environment.objects:
        raise NoSuchKey(fields={"Key": p["Key"]})
    data = environment.objects[p["Bucket"], p["Key"]]
    return {"Body": data, "ContentLength": len(data), "Metadata": {"m": "ä\nb"}}


@s3.action("HeadObject")
async def head(request: Request, p: dict[str, Any]) -> dict[str, Any]:
    found = await get(request, p)
    return {name: value for name, value in found.items() if name != "Body"}


class Environment:
    """One account, its keys, and everything that was asked."""

    def __init__(self) -> None:
        self.keys = {
            KEY: Credential(KEY, SECRET, ACCOUNT, "root"),
            "AKIAINACTIVE": Credential("AKIAINACTIVE", SECRET, ACCOUNT, "root", active=False),
            "ASIATEMPORARY": Credential("ASIATEMPORARY", SECRET, ACCOUNT, "role", "the-token", 2_000_000_000.0),
            "ASIAEXPIRED": Credential("ASIAEXPIRED", SECRET, ACCOUNT, "role", "the-token", 1_000.0),
        }
        self.objects: dict[tuple[str, str], bytes] = {}
        self.trailers: dict[str, str] = {}
        self.requests: list[Request] = []
        self.records: list[AuditRecord] = []
        self.denied: set[str] = set()

    async def credential(self, access_key_id: str, session_token: str | None) -> Credential | None:
        return self.keys.get(access_key_id)

    async def authorize(self, request: Request) -> None:
        if request.identity.anonymous and request.action != "AssumeRoleWithWebIdentity":
            raise AccessDenied()
        if request.action in self.denied:
            raise UnauthorizedOperation()

    async def invoke(self, request: Request, handler: Handler) -> Any:
        self.requests.append(request)
        return await handler.function(request, request.params)

    def audit(self, record: AuditRecord) -> None:
        self.records.append(record)


environment = Environment()
router = Router(SERVICES, domains=("localhost",))


def now() -> float:
    return dt.datetime.now(dt.UTC).timestamp()


chain = Chain(router, environment, region=REGION)
edge = Edge(chain)


def fresh() -> Environment:
    """Forget everything that was asked so far."""
    environment.__init__()  # type: ignore[misc]
    return environment


def signed(
    method: str, url: str, *, service: str = "ec2", body: bytes = b"", headers: dict[str, str] | None = None,
    key: str = KEY, secret: str = SECRET, token: str | None = None, region: str = REGION, signer: Any = None,
) -> AWSRequest:  # fmt: skip
    """A request as botocore's own signer signs it."""
    request = AWSRequest(method, url, data=body, headers=headers or {})
    request.headers["Host"] = urlsplit(url).netloc
    credentials = Credentials(key, secret, token)
    (signer or (auth.S3SigV4Auth if service == "s3" else auth.SigV4Auth))(credentials, service, region).add_auth(
        request
    )
    return request


def form(action: str, version: str = "2016-11-15", **params: str) -> bytes:
    from urllib.parse import urlencode

    return urlencode({"Action": action, "Version": version, **params}).encode()


FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}


def as_incoming(request: AWSRequest, at: float | None = None) -> Incoming:
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    headers = CIMultiDict((k, v.decode() if isinstance(v, bytes) else str(v)) for k, v in prepared.headers.items())
    body = prepared.body or b""
    body = body.encode() if isinstance(body, str) else body
    return Incoming(
        prepared.method, parts.path or "/", parts.query, headers, body, None, headers.get("host", parts.netloc), "http",
        "127.0.0.1", now() if at is None else at, "0123456789ABCDEF",
    )  # fmt: skip


def ask(request: AWSRequest | Incoming, at: float | None = None) -> Outgoing:
    """The edge's answer."""
    sent = as_incoming(request, at) if isinstance(request, AWSRequest) else request
    claim = router.claim(sent.method, sent.path, sent.query, sent.headers, sent.host)
    if claim.service == "s3":
        sent = changed(sent, body=b"", stream=BytesReader(sent.body))
    return asyncio.run(chain.answer(claim, sent))


def changed(sent: Incoming, **fields: Any) -> Incoming:
    """A request with some of its fields replaced."""
    return Incoming(**{name: fields.get(name, getattr(sent, name)) for name in Incoming.__struct_fields__})


def text(answer: Outgoing) -> str:
    assert isinstance(answer.body, bytes)
    return answer.body.decode()
