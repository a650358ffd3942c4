"""What a service of the cloud delivers into a bucket, in its own name: flow logs.

    GET  /internal/deliveries/<bucket>/<key>?service=S&account=A&source=ARN   {"account": the bucket's, "lets_in": bool}
    PUT  /internal/deliveries/<bucket>/<key>?service=S&account=A&source=ARN   the body becomes the object

The bucket's policy alone lets a service in: as the principal `{"Service": S}`, on whose behalf aws:SourceAccount and
aws:SourceArn say, with the ACL bucket-owner-full-control; the object is its owner's. 403: it does not; 404: there is no such
bucket.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from aiohttp import web

from eucapy.aws import policy as policies
from eucapy.aws.errors import AccessDenied
from eucapy.aws.message import Incoming
from eucapy.aws.policy import Question
from eucapy.aws.policyconditions import Context
from eucapy.errors import ApiError
from eucapy.walrus import access
from eucapy.walrus.context import Call, Walrus
from eucapy.walrus.errors import NoSuchBucket
from eucapy.walrus.identity import Principal
from eucapy.walrus.internal_uploads import Body
from eucapy.walrus.s3 import objects
from eucapy.walrus.store import buckets
from eucapy.walrus.store.buckets import Bucket
from eucapy.walrus.store.objects import Version

PATH = "/internal/deliveries/"
CALLERS = frozenset({"clc"})
_ACL = "bucket-owner-full-control"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCall(Call):
    """A request of a service on behalf of an account."""

    service: str
    account: str
    source: str

    def may(
        self, bucket: Bucket, version: Version | None = None, *, key: str | None = None, action: str | None = None
    ) -> bool:
        held = access.load(bucket.access).policy
        if held is None:
            return False
        asked = action or access.action_of(self.operation, version=False)
        name = key if key is not None or action is not None else self.params.get("Key")
        of_nobody = ("aws:principalarn", "aws:principalaccount", "aws:sourceip")
        context: Context = {
            **{name: value for name, value in self._keys(bucket, version).items() if name not in of_nobody},
            "aws:sourceaccount": self.account,
            "aws:sourcearn": self.source,
            "aws:principalisawsservice": "true",
            "aws:principalservicename": self.service,
            "aws:principaltype": "Service",
        }
        resource = f"arn:aws:s3:::{bucket.name}" + ("" if name is None else f"/{name}")
        kinds = (("Service", self.service),)
        question = Question(self.service, "", frozenset(), f"s3:{asked}", resource, context, kinds=kinds)
        return policies.decide(access.parsed(held), question) == policies.ALLOW


def add_routes(app: web.Application, walrus: Walrus) -> None:
    async def put(request: web.Request) -> web.Response:
        try:
            etag = await _put(walrus, request)
        except ApiError as error:
            return _refused(error)
        return web.Response(headers={"ETag": etag})

    async def get(request: web.Request) -> web.Response:
        try:
            call, bucket = await _call(walrus, request)
        except ApiError as error:
            return _refused(error)
        said = {"account": bucket.account, "lets_in": call.may(bucket)}
        return web.Response(body=msgspec.json.encode(said), content_type="application/json")

    app.router.add_put(PATH + "{bucket}/{key:.+}", put)
    app.router.add_get(PATH + "{bucket}/{key:.+}", get, allow_head=False)


async def _put(walrus: Walrus, request: web.Request) -> str:
    call, bucket = await _call(walrus, request)
    if not call.may(bucket):
        raise AccessDenied()
    answer = await objects.put(call, dict(call.params), Body(request))
    return str(answer["ETag"])


async def _call(walrus: Walrus, request: web.Request) -> tuple[ServiceCall, Bucket]:
    name, key = request.match_info["bucket"], request.match_info["key"]
    bucket = await walrus.db.read(lambda tx: buckets.by_name(tx, name))
    if bucket is None:
        raise NoSuchBucket(fields={"BucketName": name})
    params = {"Bucket": name, "Key": key, "ACL": _ACL, "ContentType": "application/octet-stream"}
    incoming = Incoming("PUT", f"/{name}/{key}", "", {}, remote="", now=walrus.clock.time(), scheme="https")
    owner = Principal(bucket.account, bucket.owner, f"arn:aws:iam::{bucket.account}:root")
    said: Mapping[str, str] = request.query
    call = ServiceCall(
        walrus,
        owner,
        incoming,
        "PutObject",
        params,
        service=said.get("service", ""),
        account=said.get("account", ""),
        source=said.get("source", ""),
    )
    return call, bucket


def _refused(error: ApiError) -> web.Response:
    return web.Response(status=error.status, text=f"{error.code}: {error.text}\n", headers=error.headers)
