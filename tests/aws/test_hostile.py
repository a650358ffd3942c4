"""Whatever a stranger sends, the answer is an AWS error and never a 500, and nothing runs without a signature."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from eucapy.aws import cbor, forms, xmlread
from eucapy.aws.errors import BadValue
from eucapy.aws.json import decode
from eucapy.aws.message import Incoming, Outgoing
from eucapy.aws.route import Unrouted
from eucapy.errors import ApiError
from tests.aws.edge import FORM, ask, environment, form, fresh, now, router, signed

QUIET = settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def _fresh() -> None:
    fresh()


def answer(sent: Incoming) -> Outgoing | None:
    try:
        router.claim(sent.method, sent.path, sent.query, sent.headers, sent.host)
    except Unrouted as refused:
        assert refused.error.status < 500
        return None
    return ask(sent)


HEADERS = st.dictionaries(
    st.sampled_from([
        "authorization", "x-amz-date", "date", "x-amz-content-sha256", "content-type", "x-amz-target", "x-amz-security-token",
        "smithy-protocol", "content-encoding", "x-amz-decoded-content-length", "x-amz-trailer", "content-length",
    ]),
    st.one_of(
        st.text(max_size=40),
        st.sampled_from([
            "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=x", "AWS a:b",
            "AWS4-HMAC-SHA256 ", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "UNSIGNED-PAYLOAD", "application/x-amz-json-1.1",
            "application/x-www-form-urlencoded", "TrentService.CreateKey", "gzip", "rpc-v2-cbor", "20260101T000000Z",
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request, SignedHeaders=é, Signature=ß",
        ]),
    ),
    max_size=6,
)  # fmt: skip
TARGETS = st.one_of(
    st.text(max_size=30).map(lambda t: "/" + t),
    st.sampled_from([
        "/", "/b/k", "/b?list-type=2", "/?Action=DescribeInstances&Version=2016-11-15", "/%ff", "/b/%00", "/services/compute",
        "/service/GraniteServiceVersion20100801/operation/PutMetricData", "/b/k?X-Amz-Signature=1&X-Amz-Algorithm=x",
        "/b/k?X-Amz-Signature=%ff", "/b/k?AWSAccessKeyId=a&Signature=b&Expires=1e9", "/b?max-keys=" + "9" * 5000,
        "/?Action=DescribeInstances&AWSAccessKeyId=a&Signature=b&SignatureVersion=2&Timestamp=0000-00-00T00:00:00Z",
    ]),
)  # fmt: skip


@QUIET
@given(
    st.sampled_from(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS"]), TARGETS, HEADERS, st.binary(max_size=60),
    st.sampled_from(["localhost", "b.s3.localhost", "ec2.localhost", "", "...", "s3.", "127.0.0.1:1"]),
)  # fmt: skip
def test_no_unsigned_request_is_answered_with_more_than_a_refusal(
    method: str, target: str, headers: dict[str, str], body: bytes, host: str
) -> None:
    path, _, query = target.partition("?")
    given_headers = CIMultiDict({**headers, "Host": host})
    sent = Incoming(method, path, query, given_headers, body, None, host, now=now(), request_id="0" * 16)
    got = answer(sent)
    assert got is None or (400 <= got.status < 502 and got.status != 500)
    assert not environment.requests


NAMES = st.lists(
    st.sampled_from(["Filter", "1", "2", "Name", "Value", "InstanceId", "0", "-1", "x", "", "９", "Version"]),
    min_size=1,
    max_size=5,
).map(".".join)


@QUIET
@given(st.dictionaries(NAMES, st.text(max_size=12), max_size=6))
def test_no_signed_form_breaks_the_parser(params: dict[str, str]) -> None:
    body = form("DescribeInstances", **{k: v for k, v in params.items() if k not in ("Version",)})
    assert ask(signed("POST", "http://localhost/", body=body, headers=dict(FORM))).status in (200, 400)


@QUIET
@given(st.binary(max_size=200))
def test_no_bytes_break_the_decoders(data: bytes) -> None:
    for read in (cbor.decode, decode, xmlread.parse, lambda raw: forms.form(raw.decode("latin-1"))):
        try:
            read(data)
        except ApiError as error:
            assert error.status < 500


CBOR_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | st.text(max_size=9) | st.binary(max_size=9)
    | st.floats(allow_nan=False),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text(max_size=5), below, max_size=4),
    max_leaves=20,
)  # fmt: skip


@QUIET
@given(CBOR_VALUES)
def test_cbor_survives_both_ways(value: object) -> None:
    assert cbor.decode(cbor.encode(value)) == value


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff", b"\x9b" + b"\xff" * 8, b"\xbb" + b"\xff" * 8, b"\x5b" + b"\xff" * 8, b"\x81" * 5000 + b"\x00",
     b"\x9f" * 5000, b"\xd8\x23\x61a", b"\xc4\x82\x1b" + b"\xff" * 8 + b"\x01", b"\xc1\x61a",
     b"\xc1\xfb" + b"\x7f" + b"\xef" * 7,
     b"\xa1\x01\x02", b"\x00\x00", b"\xf8\x20", b"\x62\xff\xfe", b"\x7f\x41a\xff", b"\x1c"],
)  # fmt: skip
def test_broken_or_dangerous_cbor_is_refused(data: bytes) -> None:
    with pytest.raises(ApiError) as error:
        cbor.decode(data)
    assert error.value.code == "SerializationException"


BOMB = b"""<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Tagging>&b;</Tagging>"""


@pytest.mark.parametrize(
    "document",
    [BOMB, b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', b"<!DOCTYPE x><x/>", b"<a>" * 100 + b"</a>" * 100, b"<a>&b;</a>",
     b"<a/>" * 2, b"", b"  ", b"<a", b'<?xml version="1.0" encoding="utf-7"?><a/>', b"<a>\x00</a>", b"<a><b></a></b>",
     b"<a>" + b"<b/>" * 100_001 + b"</a>"],
)  # fmt: skip
def test_hostile_xml_is_refused(document: bytes) -> None:
    with pytest.raises(ApiError) as error:
        xmlread.parse(document)
    assert error.value.code == "MalformedXML"


def test_namespaces_and_whitespace_are_taken_as_s3_takes_them() -> None:
    root = xmlread.parse(b'<?xml version="1.0"?><x:Tagging xmlns:x="u"> <x:Key a="1"> k&amp;&#97; </x:Key></x:Tagging>')
    assert (root.tag, root.children[0].tag, root.children[0].text) == ("Tagging", "Key", " k&a ")


def test_json_that_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(ApiError):
        decode(b"[" * 100_000)


def test_a_form_of_too_many_or_too_deep_names_is_refused() -> None:
    with pytest.raises(ApiError):
        forms.form("a=1&" * 30_000)
    deep = form("DescribeInstances", **{".".join(["Filter"] * 100): "1"})
    assert ask(signed("POST", "http://localhost/", body=deep, headers=dict(FORM))).status == 400


def test_a_leaf_and_a_branch_of_one_name_do_not_break_the_form() -> None:
    names = ["Filter=1", "Filter.1=2", "Filter.1.Name=x", "Filter.1.Value.1=y", "Filter.1.Value=z"]
    for seed in range(20):
        random.Random(seed).shuffle(names)
        body = form("DescribeInstances") + b"&" + "&".join(names).encode()
        assert ask(signed("POST", "http://localhost/", body=body, headers=dict(FORM))).status in (200, 400)


def test_a_bad_value_knows_where_it_was() -> None:
    assert str(BadValue("x" * 500, "integer")).startswith("not a integer: 'xxx")
