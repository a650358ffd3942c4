"""Buckets as websites: index, error and redirects, as a browser sees them at the website endpoint."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from typing import Any

import pytest

from eucapy.walrus import website
from tests.walrus.conftest import Refused
from tests.walrus.server import Store

INDEX = {"IndexDocument": {"Suffix": "index.html"}}
ERROR = {**INDEX, "ErrorDocument": {"Key": "error.html"}}


class Browser:
    """Asks the website endpoint of one bucket."""

    def __init__(self, store: Store, bucket: str) -> None:
        self.port = store.port
        self.host = f"{bucket}.s3-website-us-east-1.localhost"

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str], str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            given = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, headers={"Host": self.host, **given})
            answer = connection.getresponse()
            body = answer.read().decode()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, body
        finally:
            connection.close()

    def goes_to(self, path: str) -> tuple[int, str]:
        status, headers, body = self.get(path)
        assert body == ""
        return status, headers["location"]


@pytest.fixture
def public(s3: Any, bucket: str) -> str:
    """A bucket whose objects everybody may read, and list."""
    s3.delete_public_access_block(Bucket=bucket)
    allow(s3, bucket, "s3:GetObject", "s3:ListBucket")
    return bucket


def allow(s3: Any, bucket: str, *actions: str) -> None:
    arn = f"arn:aws:s3:::{bucket}"
    statement = {"Effect": "Allow", "Principal": "*", "Action": actions, "Resource": [arn, f"{arn}/*"]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


def set_up(s3: Any, bucket: str, configuration: Mapping[str, Any], **pages: str) -> None:
    s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=configuration)
    for name, text in pages.items():
        key = name.replace("__", "/").replace("_", ".")
        s3.put_object(Bucket=bucket, Key=key, Body=text.encode(), ContentType="text/html")


def test_a_configuration_is_kept_as_it_was_put_and_goes(s3: Any, bucket: str, refused: Refused) -> None:
    with refused("NoSuchWebsiteConfiguration", 404):
        s3.get_bucket_website(Bucket=bucket)
    rules = [
        {"Condition": {"KeyPrefixEquals": "a/"}, "Redirect": {"ReplaceKeyPrefixWith": ""}},
        {"Redirect": {"HostName": "h", "Protocol": "https", "HttpRedirectCode": "307", "ReplaceKeyWith": "k"}},
    ]
    for configuration in ({**ERROR, "RoutingRules": rules}, {"RedirectAllRequestsTo": {"HostName": "h"}}):
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=configuration)
        answer = s3.get_bucket_website(Bucket=bucket)
        assert {name: value for name, value in answer.items() if name != "ResponseMetadata"} == configuration
    s3.delete_bucket_website(Bucket=bucket)
    with refused("NoSuchWebsiteConfiguration", 404):
        s3.get_bucket_website(Bucket=bucket)


@pytest.mark.parametrize(
    ("wrong", "code", "text"),
    [
        ({}, "InvalidArgument", "A value for IndexDocument Suffix must be provided"),
        ({"IndexDocument": {"Suffix": "/i"}}, "InvalidArgument", "The IndexDocument Suffix is not well formed"),
        ({"IndexDocument": {"Suffix": ""}}, "InvalidArgument", "The IndexDocument Suffix is not well formed"),
        ({"RedirectAllRequestsTo": {"HostName": "h"}, **INDEX}, "InvalidArgument", "cannot be provided in conjunction"),
        ({"RedirectAllRequestsTo": {"HostName": "h", "Protocol": "ftp"}}, "InvalidRequest", "Invalid protocol"),
        ({**INDEX, "RoutingRules": []}, "MalformedXML", "not well-formed"),
        ({**INDEX, "RoutingRules": [{"Redirect": {"ReplaceKeyWith": "a", "ReplaceKeyPrefixWith": "b"}}]},
         "InvalidRequest", "You can only define ReplaceKeyPrefix or ReplaceKey"),
        ({**INDEX, "RoutingRules": [{"Condition": {}, "Redirect": {"HostName": "h"}}]}, "InvalidRequest", "empty"),
        ({**INDEX, "RoutingRules": [{"Redirect": {"HttpRedirectCode": "200"}}]}, "InvalidRequest", "(200) is not valid"),
        ({**INDEX, "RoutingRules": [{"Condition": {"HttpErrorCodeReturnedEquals": "302"},
                                     "Redirect": {"HostName": "h"}}]}, "InvalidRequest", "(302) is not valid"),
        ({**INDEX, "RoutingRules": [{"Redirect": {"HostName": "h"}}] * 51}, "InvalidRequest", "limit of 50"),
    ],
)  # fmt: skip
def test_what_is_no_website_is_refused(
    s3: Any, bucket: str, refused: Refused, wrong: dict[str, Any], code: str, text: str
) -> None:
    with refused(code, 400) as caught:
        s3.put_bucket_website(Bucket=bucket, WebsiteConfiguration=wrong)
    assert text in caught.value.response["Error"]["Message"]


def test_pages_and_indexes_are_served(s3: Any, store: Store, public: str) -> None:
    set_up(s3, public, INDEX, index_html="top", docs__index_html="docs", page_html="page")
    browser = Browser(store, public)
    for path, text in (("/", "top"), ("/docs/", "docs"), ("/page.html", "page"), ("/page.html?any=query&acl", "page")):
        status, headers, body = browser.get(path)
        assert (status, headers["content-type"], body) == (200, "text/html", text)
    assert browser.goes_to("/docs") == (302, "/docs/")
    etag = s3.head_object(Bucket=public, Key="page.html")["ETag"]
    assert browser.get("/page.html", If_None_Match=etag)[0] == 304
    assert browser.get("/page.html", Range="bytes=1-2")[::2] == (206, "ag")
    status, headers, body = browser.get("/page.html", "HEAD")
    assert (status, headers["etag"], headers["content-length"], body) == (200, etag, "4", "")


@pytest.mark.parametrize("host", ["s3-website.localhost", "s3-website.us-east-1.localhost:80"])
def test_the_endpoint_has_the_names_that_regions_give_it(s3: Any, store: Store, public: str, host: str) -> None:
    set_up(s3, public, INDEX, index_html="top")
    browser = Browser(store, public)
    browser.host = f"{public}.{host}"
    assert browser.get("/")[2] == "top"


def test_what_is_not_there_is_told_in_html(s3: Any, store: Store, public: str) -> None:
    browser = Browser(store, public)
    status, headers, body = browser.get("/<x>")
    assert (status, headers["x-amz-error-code"]) == (404, "NoSuchWebsiteConfiguration")
    assert "<li>Message: The specified bucket does not have a website configuration</li>" in body
    set_up(s3, public, INDEX)
    for path, key in (("/", "index.html"), ("/%3Cx%3E", "&lt;x&gt;"), ("/dir/", "dir/index.html")):
        status, headers, body = browser.get(path)
        assert (status, headers["content-type"]) == (404, "text/html; charset=utf-8")
        assert body.startswith(
            "<html>\n<head><title>404 Not Found</title></head>\n<body>\n<h1>404 Not Found</h1>\n<ul>\n"
        )
        assert (
            f"<li>Code: NoSuchKey</li>\n<li>Message: The specified key does not exist.</li>\n<li>Key: {key}</li>"
            in body
        )
        assert f"<li>RequestId: {headers['x-amz-request-id']}</li>" in body
    browser.host = "no-such-bucket-here.s3-website-us-east-1.localhost"
    assert "<li>Code: NoSuchBucket</li>" in browser.get("/")[2]
    for method in ("POST", "PUT", "DELETE"):
        status, _, body = browser.get("/x", method)
        assert status == 405
        assert f"<li>Method: {method}</li>\n<li>ResourceType: OBJECT</li>" in body


def test_the_error_document_comes_with_the_errors_status(s3: Any, store: Store, public: str) -> None:
    browser = Browser(store, public)
    set_up(s3, public, ERROR)
    status, _, body = browser.get("/absent")
    assert status == 404
    assert "<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>" in body
    assert "<li>Key: error.html</li>" in body
    set_up(s3, public, ERROR, error_html="sorry")
    assert browser.get("/absent", Range="bytes=0-1", If_None_Match="*")[::2] == (404, "sorry")
    allow(s3, public, "s3:GetObject")
    assert browser.get("/absent")[::2] == (403, "sorry")
    s3.put_object(Bucket=public, Key="error.html", Body=b"x", WebsiteRedirectLocation="/elsewhere")
    assert browser.goes_to("/absent") == (301, "/elsewhere")


def test_what_is_not_public_is_not_shown(s3: Any, store: Store, bucket: str) -> None:
    set_up(s3, bucket, INDEX, index_html="secret")
    status, _, body = Browser(store, bucket).get("/")
    assert status == 403
    assert "<li>Code: AccessDenied</li>" in body
    assert "secret" not in body


def test_objects_and_whole_sites_send_elsewhere(s3: Any, store: Store, public: str) -> None:
    browser = Browser(store, public)
    set_up(s3, public, INDEX)
    for body in (b"", b"x" * 100_000):
        s3.put_object(Bucket=public, Key="old", Body=body, WebsiteRedirectLocation="http://new.example/")
        assert browser.goes_to("/old") == (301, "http://new.example/")
    set_up(s3, public, {"RedirectAllRequestsTo": {"HostName": "new.example"}})
    assert browser.goes_to("/a%20b/c?d=e") == (301, "http://new.example/a%20b/c?d=e")
    set_up(s3, public, {"RedirectAllRequestsTo": {"HostName": "new.example", "Protocol": "https"}})
    assert browser.goes_to("/") == (301, "https://new.example/")


def test_rules_send_elsewhere_in_their_order(s3: Any, store: Store, public: str) -> None:
    rules = [
        rule({"ReplaceKeyWith": "both.html"}, "both/", "404"),
        rule({"HostName": "h.example"}, "host/"),
        rule({"ReplaceKeyPrefixWith": "new/"}, "old/"),
        rule({"ReplaceKeyPrefixWith": ""}, "cut/off/"),
        rule({"Protocol": "https", "HttpRedirectCode": "307"}, "safe/"),
        rule({"ReplaceKeyWith": "lost.html"}, None, "404"),
    ]
    set_up(s3, public, {**ERROR, "RoutingRules": rules}, error_html="sorry", both__here_html="here")
    browser = Browser(store, public)
    own = f"http://{browser.host}"
    for path, status, location in (
        ("/both/x", 301, f"{own}/both.html"),
        ("/host/key%20a?b=c", 301, "http://h.example/host/key%20a?b=c"),
        ("/old/old/x", 301, f"{own}/new/old/x"),
        ("/cut/off/x", 301, f"{own}/x"),
        ("/safe/x", 307, f"https://{browser.host}/safe/x"),
        ("/absent", 301, f"{own}/lost.html"),
    ):
        assert browser.goes_to(path) == (status, location)
    assert browser.get("/both/here.html")[2] == "here"


def test_a_rule_without_a_condition_is_for_every_key() -> None:
    site = website.of_configuration({**INDEX, "RoutingRules": [{"Redirect": {"HostName": "h"}}]})
    assert website.choose(site, "any") is not None
    assert website.choose(site, "any", 404) is None


def test_cross_origin_rules_hold_for_pages_too(s3: Any, store: Store, public: str) -> None:
    set_up(s3, public, INDEX, index_html="top")
    allowed = {"AllowedMethods": ["GET"], "AllowedOrigins": ["http://o"]}
    s3.put_bucket_cors(Bucket=public, CORSConfiguration={"CORSRules": [allowed]})
    browser = Browser(store, public)
    for method, more in (("GET", {}), ("OPTIONS", {"Access_Control_Request_Method": "GET"})):
        status, headers, _ = browser.get("/", method, Origin="http://o", **more)
        assert (status, headers["access-control-allow-origin"]) == (200, "http://o")


def rule(redirect: Mapping[str, str], prefix: str | None = None, error: str | None = None) -> dict[str, Any]:
    condition = {"KeyPrefixEquals": prefix, "HttpErrorCodeReturnedEquals": error}
    return {"Condition": {name: value for name, value in condition.items() if value}, "Redirect": redirect}
