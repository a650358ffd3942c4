"""The website endpoint: buckets as hosts of pages, for browsers, unsigned.

    bucket.s3-website.<domain>, bucket.s3-website-<region>.<domain>, bucket.s3-website.<region>.<domain>

Pages are read as GetObject reads them for somebody unknown: the bucket's policy and ACLs decide. What goes wrong is told in
HTML, with the bucket's own error document where there is one. Rules: `website.py`.
Source: "Website endpoints", "Configuring a custom error document", S3 user guide.
"""

from __future__ import annotations

import html
import http
import logging
from collections.abc import Iterable
from typing import Any

import msgspec
from aiohttp import web

from eucapy.aws import forms, protocols
from eucapy.aws.chain import host_id
from eucapy.aws.errors import MalformedQueryString
from eucapy.aws.http import incoming_of, send
from eucapy.aws.message import Incoming, Outgoing, Result
from eucapy.aws.route import Claim
from eucapy.database import Tx
from eucapy.errors import ApiError, InternalError
from eucapy.walrus import errors, sending, website
from eucapy.walrus.context import Call, Walrus
from eucapy.walrus.finishing import Finisher
from eucapy.walrus.identity import ANONYMOUS
from eucapy.walrus.s3 import cors, reading
from eucapy.walrus.s3.service import s3
from eucapy.walrus.s3.websites import SETTING
from eucapy.walrus.store import buckets
from eucapy.walrus.website import Website

log = logging.getLogger(__name__)

SERVICE = "s3-website"


def hosts(domains: Iterable[str], region: str) -> list[str]:
    """The names under which websites are, for an endpoint at `domains`."""
    return [
        f"{label}.{domain}" for domain in domains for label in (SERVICE, f"{SERVICE}-{region}", f"{SERVICE}.{region}")
    ]


class WebServer:
    """Answers what the router claims for `s3-website`."""

    def __init__(self, walrus: Walrus, finisher: Finisher) -> None:
        self._walrus = walrus
        self._finisher = finisher

    async def handle(self, request: web.BaseRequest, claim: Claim) -> web.StreamResponse:
        incoming = incoming_of(request, self._walrus.clock.time())
        bucket = claim.bucket or ""
        outgoing, error = await self._answer(incoming, bucket)
        outgoing = await self._finisher.finish_page(incoming, bucket, outgoing, error)
        return await send(request, "s3", outgoing, incoming.request_id)

    async def _answer(self, incoming: Incoming, bucket: str) -> tuple[Outgoing, ApiError | None]:
        try:
            if incoming.method == "OPTIONS":
                call = Call(self._walrus, ANONYMOUS, incoming, "OptionsObject", {})
                return await cors.preflight(call, {"Bucket": bucket, "Key": incoming.path[1:]}), None
            if incoming.method not in ("GET", "HEAD"):
                fields = {"Method": incoming.method, "ResourceType": "OBJECT"}
                raise errors.MethodNotAllowed(fields=fields, headers={"Allow": "GET, HEAD, OPTIONS"})
            return await self._page(incoming, bucket)
        except ApiError as error:
            return _told(error, incoming), error
        except Exception:
            log.exception("request %s failed inside: a page of %s", incoming.request_id, bucket)
            return _told(InternalError(), incoming), InternalError()

    async def _page(self, incoming: Incoming, bucket: str) -> tuple[Outgoing, ApiError | None]:
        site = await self._site(bucket)
        try:
            key = forms.decode(incoming.path[1:], plus=False)
        except MalformedQueryString:
            raise errors.NoSuchKey(fields={"Key": incoming.path[1:]}) from None
        if site.redirect_all_requests_to is not None:
            to = website.location_of_all(site.redirect_all_requests_to, key, incoming.scheme, incoming.query)
            return _redirect(301, to), None
        rule = website.choose(site, key)
        if rule is not None:
            return _by_rule(rule, key, incoming), None
        suffix = site.index_document.suffix if site.index_document is not None else ""
        page = key + suffix if not key or key.endswith("/") else key
        try:
            return await self._object(incoming, bucket, page), None
        except ApiError as error:
            if error.status < 400 or error.status in (412, 416):
                raise
            if page == key and error.status in (403, 404) and await self._exists(incoming, bucket, f"{key}/{suffix}"):
                return _redirect(302, f"{incoming.path}/"), None
            rule = website.choose(site, key, error.status)
            if rule is not None:
                return _by_rule(rule, key, incoming), None
            return await self._error_page(site, incoming, bucket, error), error

    async def _site(self, name: str) -> Website:
        """Raises NoSuchBucket, NoSuchWebsiteConfiguration."""

        async def work(tx: Tx) -> str | None:
            bucket = await buckets.by_name(tx, name)
            if bucket is None:
                raise errors.NoSuchBucket(fields={"BucketName": name})
            return await buckets.setting(tx, bucket, SETTING)

        document = await self._walrus.db.read(work)
        if document is None:
            raise errors.NoSuchWebsiteConfiguration(fields={"BucketName": name})
        return website.load(document)

    async def _object(self, incoming: Incoming, bucket: str, key: str) -> Outgoing:
        """The object as an answer, or where it says that its page is. Raises what GetObject raises."""
        operation = s3.model.operation("HeadObject" if incoming.method == "HEAD" else "GetObject")
        codec = protocols.codec(operation, "rest-xml")
        plain = msgspec.structs.replace(incoming, query="")
        p = codec.parse(plain, {}, {"Bucket": bucket, "Key": key})
        call = Call(self._walrus, ANONYMOUS, plain, operation.name, p)
        answer = await (reading.head_object if incoming.method == "HEAD" else reading.get_object)(call, p)
        values: Any = answer.values if isinstance(answer, Result) else answer
        elsewhere = values.get("WebsiteRedirectLocation")
        if elsewhere:
            body = values.get("Body")
            if isinstance(body, sending.Stream):
                body.close()
            return _redirect(301, elsewhere)
        return codec.serialize(answer, incoming.request_id, "")

    async def _exists(self, incoming: Incoming, bucket: str, key: str) -> bool:
        """Whether somebody unknown may read that object."""
        p = {"Bucket": bucket, "Key": key}
        call = Call(self._walrus, ANONYMOUS, incoming, "GetObject", p)
        try:
            await call.read(lambda tx: reading.find(tx, call, p))
        except ApiError:
            return False
        return True

    async def _error_page(self, site: Website, incoming: Incoming, bucket: str, error: ApiError) -> Outgoing:
        if site.error_document is None:
            return _told(error, incoming)
        headers = {name: value for name, value in incoming.headers.items() if name.lower() in ("host", "user-agent")}
        unconditional = msgspec.structs.replace(incoming, headers=headers)
        key = site.error_document.key
        try:
            page = await self._object(unconditional, bucket, key)
        except ApiError as nested:
            return _told(error, incoming, (nested, key))
        if page.status != 200:
            return page
        return msgspec.structs.replace(page, status=error.status, headers={**page.headers, **_error_headers(error)})


def _redirect(status: int, location: str) -> Outgoing:
    return Outgoing(status, {"Location": location})


def _by_rule(rule: website.RoutingRule, key: str, incoming: Incoming) -> Outgoing:
    location = website.location(rule, key, incoming.scheme, incoming.host, incoming.query)
    return _redirect(int(rule.redirect.http_redirect_code or 301), location)


def _error_headers(error: ApiError) -> dict[str, str]:
    return {"x-amz-error-code": error.code, "x-amz-error-message": error.text}


def _told(error: ApiError, incoming: Incoming, nested: tuple[ApiError, str] | None = None) -> Outgoing:
    """An error as a page. `nested`: why the error document cannot be shown, and its key."""
    if error.status == 304:
        return Outgoing(304, dict(error.headers))
    title = f"{error.status} {http.HTTPStatus(error.status).phrase}"
    fields = {"Code": error.code, "Message": error.text, **error.fields}
    fields |= {"RequestId": incoming.request_id, "HostId": host_id(incoming.request_id)}
    page = f"<html>\n<head><title>{title}</title></head>\n<body>\n<h1>{title}</h1>\n{_list(fields)}"
    if nested is not None:
        page += "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>\n"
        page += _list({"Code": nested[0].code, "Message": nested[0].text, "Key": nested[1]})
    body = (page + "<hr/>\n</body>\n</html>\n").encode("utf-8", "replace")
    headers = {"Content-Type": "text/html; charset=utf-8", **error.headers, **_error_headers(error)}
    return Outgoing(error.status, headers, b"" if incoming.method == "HEAD" else body)


def _list(fields: dict[str, Any]) -> str:
    return (
        "<ul>\n"
        + "".join(f"<li>{name}: {html.escape(str(value))}</li>\n" for name, value in fields.items())
        + "</ul>\n"
    )
