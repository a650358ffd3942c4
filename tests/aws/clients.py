"""botocore's own serializers and parsers, turned against the edge without a network between."""

from typing import Any
from urllib.parse import urlsplit

from botocore.awsrequest import HeadersDict, create_request_object, prepare_request_dict
from botocore.parsers import create_parser
from botocore.serialize import create_serializer
from multidict import CIMultiDict

from eucapy.aws import protocols
from eucapy.aws.message import Incoming, Outgoing
from eucapy.aws.models import Operation
from eucapy.aws.route import Route, Router

NOW = 1_800_000_000.0


def request(operation: Operation, params: dict[str, Any], protocol: str | None = None, host: str = "") -> Incoming:
    """What botocore's client would send, unsigned."""
    serializer = create_serializer(protocol or operation.model.protocol, include_validation=False)
    made = serializer.serialize_to_request(params, operation.shape)
    return incoming(made, host or f"{operation.model.scope}.localhost")


def incoming(made: dict[str, Any], host: str) -> Incoming:
    """A serialized request of botocore as an Incoming."""
    prepare_request_dict(made, endpoint_url=f"http://{host}")
    prepared = create_request_object(made).prepare()
    parts = urlsplit(prepared.url)
    headers = CIMultiDict((k, v.decode() if isinstance(v, bytes) else str(v)) for k, v in prepared.headers.items())
    headers.setdefault("Host", parts.netloc)
    body = prepared.body or b""
    if isinstance(body, str):
        body = body.encode()
    elif hasattr(body, "read"):
        body = body.read()
    return Incoming(
        prepared.method, parts.path or "/", parts.query, headers, bytes(body), None, parts.netloc, "http", "127.0.0.1", NOW,
        "0123456789",
    )  # fmt: skip


def route(router: Router, sent: Incoming) -> Route:
    claim = router.claim(sent.method, sent.path, sent.query, sent.headers, sent.host)
    return router.route(claim, sent)


def parsed(router: Router, sent: Incoming) -> tuple[Route, dict[str, Any]]:
    """How the edge understands a request."""
    found = route(router, sent)
    assert found.operation is not None
    return found, protocols.codec(found.operation, found.protocol).parse(sent, found.form, found.labels)


def answer(
    operation: Operation, result: dict[str, Any], protocol: str | None = None, version: str = ""
) -> dict[str, Any]:
    """What botocore's client makes of the edge's answer."""
    protocol = protocol or operation.model.protocol
    sent = protocols.codec(operation, protocol).serialize(result, "0123456789", version)
    return read(operation, protocol, sent)


def read(operation: Operation, protocol: str, sent: Outgoing, shape: Any = None) -> dict[str, Any]:
    if protocol == "query" and operation.output is not None and shape is None:
        # Models of services that no longer speak Query by default have lost the wrapper that their clients expect.
        operation.output.serialization.setdefault("resultWrapper", f"{operation.name}Result")
    response = {"status_code": sent.status, "headers": HeadersDict(sent.headers), "body": sent.body}
    result = create_parser(protocol).parse(response, shape if shape is not None else operation.output)
    result.pop("ResponseMetadata", None)
    return dict(result)
