"""The edge's own errors, and how any ApiError looks on the wire in each protocol.

The error classes of a resource stand beside the resource; here are those that the chain itself raises. `render` is the
one place that writes errors. `BadValue` is the compiled readers' "this is not a number"; `reworded` gives it the words of
the service's family. Refusals of signatures have a table of their own: `refusals.py`.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from eucapy.aws.message import Outgoing
from eucapy.errors import ApiError, InternalError

if TYPE_CHECKING:
    from eucapy.aws.models import Model

__all__ = ["ApiError", "InternalError"]


class BadValue(Exception):
    """A value on the wire that does not have its member's type; `path` leads to it from the operation's input."""

    def __init__(self, value: Any, kind: str, path: list[str] | None = None) -> None:
        super().__init__(f"not a {kind}: {value!r:.80}")
        self.value, self.kind = value, kind
        self.path = path if path is not None else []


# --- the envelope -----------------------------------------------------------------------------------------------------


class InvalidAction(ApiError):
    message = "The action {action} is not valid for this web service."


class UnknownQueryAction(ApiError):
    code = "InvalidAction"
    message = "Could not find operation {action} for version {version}"


class MissingAction(ApiError):
    message = "The request must contain the parameter Action"
    code = "MissingAction"


class NoSuchVersion(ApiError):
    message = "The requested version ({version}) of service {service} does not exist"


class UnknownOperationException(ApiError):
    pass


class NotImplementedS3(ApiError):
    status = 501
    code = "NotImplemented"
    message = "A header you provided implies functionality that is not implemented"


class MethodNotAllowed(ApiError):
    status = 405
    message = "The specified method is not allowed against this resource."


class MalformedQueryString(ApiError):
    status = 400
    message = "The query string contains a syntax error."


class InvalidURI(ApiError):
    message = "Couldn't parse the specified URI."


class RequestEntityTooLarge(ApiError):
    status = 413
    message = "The request entity is larger than the {limit} bytes that this service takes."


class MaxMessageLengthExceeded(ApiError):
    message = "Your request was too big."


class IncompleteBody(ApiError):
    message = "You did not provide the number of bytes specified by the Content-Length HTTP header"


class RequestTimeout(ApiError):
    message = (
        "Your socket connection to the server was not read from or written to within the timeout period. "
        "Idle connections will be closed."
    )


class MissingContentLength(ApiError):
    status = 411
    message = "You must provide the Content-Length HTTP header."


# --- parameters -------------------------------------------------------------------------------------------------------


class MissingParameter(ApiError):
    message = "The request must contain the parameter {name}"


class UnknownParameter(ApiError):
    message = "The parameter {name} is not recognized"


class InvalidParameterValue(ApiError):
    message = "Value ({value}) for parameter {name} is invalid."


class InvalidParameterCombination(ApiError):
    message = "The parameter {first} cannot be used with the parameter {second}"


class ValidationError(ApiError):
    pass


class ValidationException(ApiError):
    pass


class MalformedInput(ApiError):
    message = "Invalid input"


class SerializationException(ApiError):
    pass


class MalformedXML(ApiError):
    message = "The XML you provided was not well-formed or did not validate against our published schema"


class InvalidArgument(ApiError):
    message = "Invalid Argument"


class InvalidRequest(ApiError):
    pass


# --- access -----------------------------------------------------------------------------------------------------------


class UnauthorizedOperation(ApiError):
    status = 403
    message = "You are not authorized to perform this operation."


class AccessDenied(ApiError):
    status = 403
    message = "Access Denied"


# --- words of the families --------------------------------------------------------------------------------------------

_KINDS = {
    "integer": "Integer", "long": "Long", "float": "Float", "double": "Double", "boolean": "Boolean",
    "timestamp": "Timestamp", "blob": "Blob", "string": "String", "list": "List", "map": "Map",
    "structure": "Structure",
}  # fmt: skip


def reworded(bad: BadValue, family: str) -> ApiError:
    """The family's error for a value of the wrong type."""
    value = f"{bad.value!s:.200}" if bad.value.__class__ is not dict else ""
    name = ".".join(bad.path)
    if family == "ec2":
        kind = _KINDS.get(bad.kind, bad.kind)
        return InvalidParameterValue(
            f"Value ({value}) for parameter {name} is invalid. Expected a value of type {kind}."
        )
    if family == "query":
        return MalformedInput()
    if family == "s3":
        if bad.path[:1] == ["header"] or bad.path[:1] == ["querystring"]:
            name = bad.path[-1]
            return InvalidArgument(
                f"Provided {name} not an integer or within integer range" if bad.kind in ("integer", "long") else None,
                fields={"ArgumentName": name, "ArgumentValue": value},
            )
        return MalformedXML()
    given = bad.value
    source = (
        "STRING_VALUE" if isinstance(given, str)
        else ("TRUE_VALUE" if given else "FALSE_VALUE") if isinstance(given, bool)
        else "NUMBER_VALUE" if isinstance(given, int | float)
        else None
    )  # fmt: skip
    if source is None or bad.kind in ("list", "map", "structure"):
        text = (
            "Unexpected field type" if isinstance(given, dict | list)
            else "Unrecognized collection type class java.lang.String"
        )  # fmt: skip
        return SerializationException(text)
    return SerializationException(f"{source} can not be converted to {_KINDS.get(bad.kind, 'a String')}")


_INTERNAL_WORDS = {
    "ec2": ("InternalError", "An internal error has occurred"),
    "s3": ("InternalError", "We encountered an internal error. Please try again."),
}
_INTERNAL_DEFAULT = (
    "InternalFailure",
    "The request processing has failed because of an unknown error, exception or failure.",
)


# --- on the wire ------------------------------------------------------------------------------------------------------

# The answer goes through expat or its like on the other side, so the characters that XML cannot hold must go.
_XML_SPECIAL = re.compile('[&<>"\r\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]')
_XML_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\r": "&#13;"}


def _xml(text: Any) -> str:
    return _XML_SPECIAL.sub(lambda match: _XML_NAMED.get(match.group(), "�"), str(text))


def _elements(fields: dict[str, Any]) -> str:
    return "".join(
        f"<{name}>{_xml(value)}</{name}>" if value.__class__ is not bool else f"<{name}>{str(value).lower()}</{name}>"
        for name, value in fields.items()
        if value is not None
    )


def render(
    error: ApiError,
    protocol: str,
    family: str,
    model: Model | None,
    request_id: str,
    host_id: str = "",
    head: bool = False,
) -> Outgoing:
    """The answer that carries `error`: `protocol` decides the form, `family` the words of an internal error.

    `head`: the request was HEAD, whose answer has no body. `host_id` is S3's x-amz-id-2.
    """
    code, text = error.code, error.text
    if isinstance(error, InternalError):
        code, text = _INTERNAL_WORDS.get(family, _INTERNAL_DEFAULT)
    if protocol == "ec2":
        body = (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Response><Errors><Error><Code>{_xml(code)}</Code>'
            f"<Message>{_xml(text)}</Message>{_elements(error.fields)}</Error></Errors>"
            f"<RequestID>{request_id}</RequestID></Response>"
        )
        return Outgoing(error.status, {"Content-Type": "text/xml;charset=UTF-8", **error.headers}, body.encode())
    if protocol == "query" or (protocol == "rest-xml" and family != "s3"):
        wire_code = model.query_code(code) if model is not None else code
        space = f' xmlns="{model.namespace}"' if model is not None and model.namespace else ""
        body = (
            f"<ErrorResponse{space}><Error><Type>{error.fault}</Type><Code>{_xml(wire_code)}</Code>"
            f"<Message>{_xml(text)}</Message>{_elements(error.fields)}</Error><RequestId>{request_id}</RequestId>"
            f"</ErrorResponse>"
        )
        return Outgoing(error.status, {"Content-Type": "text/xml", **error.headers}, body.encode())
    if protocol == "rest-xml":
        return _render_s3(error, code, text, request_id, host_id, head)
    return _render_document(error, code, text, protocol, model)


def _render_s3(error: ApiError, code: str, text: str, request_id: str, host_id: str, head: bool) -> Outgoing:
    headers = dict(error.headers)
    if head or error.status == 304:
        return Outgoing(error.status, headers, b"")
    body = (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{_xml(code)}</Code><Message>{_xml(text)}</Message>'
        f"{_elements(error.fields)}<RequestId>{request_id}</RequestId><HostId>{host_id}</HostId></Error>"
    )
    return Outgoing(error.status, {"Content-Type": "application/xml", **headers}, body.encode())


def _render_document(error: ApiError, code: str, text: str, protocol: str, model: Model | None) -> Outgoing:
    headers = dict(error.headers)
    shape = model.errors.get(code) if model is not None else None
    # A service that once spoke Query has two codes for an error: the shape's name, and the old one in a header.
    if model is not None and model.query_compatible:
        headers["x-amzn-query-error"] = f"{model.query_code(code)};{error.fault}"
    name = model.error_name(code) if model is not None else code
    message_key = "message"
    if shape is not None and "Message" in shape.members and "message" not in shape.members:
        message_key = "Message"
    document: dict[str, Any] = {"__type": name, message_key: text, **error.fields}
    if protocol == "smithy-rpc-v2-cbor":
        from eucapy.aws.cbor import encode

        headers |= {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}
        return Outgoing(error.status, headers, encode(document))
    headers["x-amzn-ErrorType"] = name
    version = model.json_version if model is not None else "1.0"
    headers["Content-Type"] = "application/json" if protocol == "rest-json" else f"application/x-amz-json-{version}"
    if protocol == "rest-json":
        del document["__type"]
    return Outgoing(error.status, headers, json.dumps(document, default=str).encode())
