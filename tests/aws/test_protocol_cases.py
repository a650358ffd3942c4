"""Protocol test cases, run backwards: what a client must send we must read, what it must read we must send.

The cases are JSON in the form of the SDKs' own protocol tests (a model, and per case parameters and the request, or a
response and its result). Ours are in `cases/`; with PROTOCOL_CASES=<directory> those of an SDK's sources run too
(`<directory>/input/*.json`, `<directory>/output/*.json`).
"""

import base64
import copy
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest
from botocore.awsrequest import HeadersDict
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.parsers import create_parser
from multidict import CIMultiDict

from eucapy.aws import cbor, forms, protocols
from eucapy.aws.message import Incoming
from eucapy.aws.models import Model
from eucapy.aws.resthttp import PathIndex
from eucapy.aws.timestamps import as_datetime

HERE = Path(__file__).parent / "cases"
ROOTS = [HERE, *([Path(os.environ["PROTOCOL_CASES"])] if os.environ.get("PROTOCOL_CASES") else [])]

# Cases that say what a client does on its own account, or that its parser, our judge, does not tell apart.
NOT_OURS = {
    # a token that the client makes up, a prefix of the endpoint's path, a body that it compresses: see test_bodies
    "QueryProtocolIdempotencyTokenAutoFill", "Ec2ProtocolIdempotencyTokenAutoFill", "RestXmlIdempotency",
    "Ec2ProtocolIdempotencyTokenAutoFillIsSet", "RestJsonQueryIdempotencyTokenAutoFill", "QueryIdempotencyTokenAutoFill",
    "RestJsonHostWithPath", "Ec2QueryEndpointTraitWithHostLabel",
    "SDKAppliedContentEncoding_ec2Query", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_ec2Query",
    "SDKAppliedContentEncoding_awsJson1_1", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_1",
    "SDKAppliedContentEncoding_awsJson1_0", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsJson1_0",
    "SDKAppliedContentEncoding_awsQuery", "SDKAppendsGzipAndIgnoresHttpProvidedEncoding_awsQuery",
    "SDKAppliedContentEncoding_restJson1", "SDKAppendedGzipAfterProvidedEncoding_restJson1",
    "SDKAppliedContentEncoding_restXml", "SDKAppendedGzipAfterProvidedEncoding_restXml",
    # a client that lets a header prefix take every header of the answer
    "HttpPrefixHeadersResponse",
}  # fmt: skip


def ignored(root: Path, kind: str) -> set[str]:
    """What the SDK's own runner leaves out, by id or by the suite's description."""
    path = root / "protocol-tests-ignore-list.json"
    if not path.exists():
        return set()
    lists = json.loads(path.read_text())
    names = set(lists["general"].get(kind, {}).get("suites", ()))
    for protocol in lists["protocols"].values():
        names |= set(protocol.get(kind, {}).get("cases", ())) | set(protocol.get(kind, {}).get("suites", ()))
    return names


def load(kind: str) -> list[Any]:
    found = []
    for root in ROOTS:
        left_out = NOT_OURS | ignored(root, kind)
        for path in sorted((root / kind).glob("*.json")):
            for number, suite in enumerate(json.loads(path.read_text())):
                for at, case in enumerate(suite["cases"]):
                    name = case.get("id", f"{number}.{at}")
                    if name not in left_out and suite["description"] not in left_out:
                        found.append(pytest.param(suite, case, id=f"{path.stem}-{name}"))
    return found


def model_of(suite: dict[str, Any], case: dict[str, Any]) -> Model:
    name = case["given"].get("name", "OperationName")
    description = {
        "metadata": {"apiVersion": "2020-01-01", "endpointPrefix": "cases", "serviceId": "cases", **suite["metadata"]},
        "operations": {name: {"http": {"method": "POST", "requestUri": "/"}, **case["given"], "name": name}},
        "shapes": copy.deepcopy(suite["shapes"]),
    }
    return Model(f"case-{id(case)}", description)


def expected(shape: Shape, value: Any) -> Any:
    """A case's JSON value as the program has it: blobs as bytes, times as datetimes, special floats as floats."""
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            return value
        return {k: expected(shape.members[k], v) for k, v in value.items() if v is not None}
    if isinstance(shape, ListShape):
        return [expected(shape.member, item) for item in value if item is not None]
    if isinstance(shape, MapShape):
        return {k: expected(shape.value, v) for k, v in value.items() if v is not None}
    if shape.type_name == "timestamp":
        return as_datetime(value)
    if shape.type_name == "blob":
        return value.encode() if isinstance(value, str) else value
    if shape.type_name in ("float", "double"):
        return float(value)
    return value


def same(left: Any, right: Any) -> bool:
    """Equality in which NaN is itself, and may be the word that JSON has for it."""
    if isinstance(left, str) and isinstance(right, float):
        left = float(left) if left in ("NaN", "Infinity", "-Infinity") else left
    if isinstance(left, float) and isinstance(right, float):
        return left == right or (left != left and right != right)
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


@pytest.mark.parametrize(("suite", "case"), load("input"))
def test_the_clients_request_is_read(suite: dict[str, Any], case: dict[str, Any]) -> None:
    model = model_of(suite, case)
    operation = model.operation(next(iter(model.names)))
    wire = case["serialized"]
    parts = urlsplit(wire.get("uri", "/"))
    body = wire.get("body", "").encode()
    if model.protocol == "smithy-rpc-v2-cbor":
        body = base64.b64decode(body)
    headers = CIMultiDict(wire.get("headers", {}))
    method = wire.get("method", operation.http_method)
    request = Incoming(method, parts.path or "/", parts.query, headers, body, None, wire.get("host", "localhost"))
    labels: dict[str, str] = {}
    if model.protocol.startswith("rest-"):
        found = PathIndex(model).match(method, request.path, request.query, headers)
        assert found is not None
        labels = found[1]
    form = forms.form(body.decode()) if model.protocol in ("ec2", "query") else {}
    seen = protocols.codec(operation, model.protocol).parse(request, form, labels)
    wanted = expected(operation.input, case["params"]) if operation.input is not None else {}
    drop_bound(operation.input, wanted)
    assert same(sendable(operation.input, seen), sendable(operation.input, wanted)), (seen, wanted)


def drop_bound(shape: StructureShape | None, value: dict[str, Any]) -> None:
    """A map of all query parameters: the cases disagree whether it repeats those that are members; ours does not."""
    bound = {
        member.serialization.get("name", name)
        for name, member in (shape.members.items() if shape is not None else ())
        if member.serialization.get("location") == "querystring" and member.type_name != "map"
    }
    for name, item in list(value.items()):
        assert shape is not None
        member = shape.members[name]
        if member.serialization.get("location") == "querystring" and member.type_name == "map":
            value[name] = {key: below for key, below in item.items() if key not in bound}


def sendable(shape: StructureShape | None, value: dict[str, Any]) -> dict[str, Any]:
    """Without what a request cannot say in every protocol: empty headers, lists, maps and bodies."""
    if shape is None:
        return {}
    kept = {}
    for name, item in value.items():
        location = shape.members[name].serialization.get("location")
        if location in ("header", "headers", "querystring") and item in ([], {}, ""):
            continue
        if shape.serialization.get("payload") == name and item in ("", b"", {}):
            continue
        if item in ([], {}) and location is None and shape.members[name].type_name in ("list", "map"):
            continue
        kept[name] = item
    return kept


@pytest.mark.parametrize(("suite", "case"), load("output"))
def test_the_client_reads_our_answer(suite: dict[str, Any], case: dict[str, Any]) -> None:
    if "error" in case:
        pytest.skip("errors have tests of their own")
    model = model_of(suite, case)
    operation = model.operation(next(iter(model.names)))
    shape = operation.output
    if operation.shape.has_event_stream_output:
        pytest.skip("no operation with an event stream is served")
    wanted = expected(shape, case["result"]) if shape is not None else {}
    sent = protocols.codec(operation, model.protocol).serialize(wanted, "request-id", "")
    response = case["response"]
    assert sent.status == response["status_code"]
    given = CIMultiDict(sent.headers)
    for name, value in response.get("headers", {}).items():
        if name.lower() in ("content-type", "x-amzn-requestid") or (
            model.protocol in ("rest-json", "rest-xml") and not bound_to_header(shape, name)
        ):
            continue
        if model.protocol.startswith("rest-"):
            assert given.get(name, "").replace(", ", ",") == value.replace(", ", ","), name
    if model.protocol == "query" and shape is not None and shape.members:
        shape.serialization.setdefault("resultWrapper", f"{operation.name}Result")
    parsed = create_parser(model.protocol).parse(
        {"status_code": sent.status, "headers": HeadersDict(sent.headers), "body": sent.body}, shape
    )
    parsed.pop("ResponseMetadata", None)
    payload = shape.serialization.get("payload") if shape is not None else None
    if payload and isinstance(parsed.get(payload), str) and shape is not None:
        parsed[payload] = expected(shape.members[payload], parsed[payload])
    assert same(utc(parsed), wanted), (parsed, wanted, sent.body)
    if shape is not None and response.get("body"):
        check_document(model.protocol, response["body"], bytes(sent.body))


def utc(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: utc(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [utc(item) for item in value if item is not None]
    return as_datetime(value) if hasattr(value, "astimezone") else value


def bound_to_header(shape: StructureShape | None, name: str) -> bool:
    if shape is None:
        return False
    for member_name, member in shape.members.items():
        wire = member.serialization.get("name", member_name).lower()
        location = member.serialization.get("location")
        if (location == "header" and name.lower() == wire) or (location == "headers" and name.lower().startswith(wire)):
            return True
    return False


def check_document(protocol: str, wanted: str, sent: bytes) -> None:
    """Our document says the same in the same form, apart from order and the envelope."""
    if protocol in ("ec2", "query", "rest-xml") and wanted.lstrip().startswith("<"):
        assert leaves(ElementTree.fromstring(sent)) >= leaves(ElementTree.fromstring(wanted)) - {
            "RequestId",
            "requestId",
        }
    elif protocol == "smithy-rpc-v2-cbor":
        assert isinstance(cbor.decode(sent), dict)


def leaves(root: ElementTree.Element) -> set[str]:
    """The names of all elements, without namespaces, the root and the envelope."""
    names = {element.tag.rpartition("}")[2] for element in root.iter()}
    return names - {root.tag.rpartition("}")[2], "ResponseMetadata"}
