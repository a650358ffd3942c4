"""rest-xml bodies (S3, Route 53): the XML part of a REST request or answer; where the other members go: `rest.py`.

Roots of answers: S3 names them unlike the model's output shapes, and the model keeps quiet about it, so they stand in a
table here; clients that do not come from a model (s3cmd, gsutil, rclone) look at them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape

from eucapy.aws import xml, xmlread
from eucapy.aws.errors import BadValue, MalformedXML
from eucapy.aws.models import Operation
from eucapy.aws.query import scalar
from eucapy.aws.timestamps import PARSERS, parse_any
from eucapy.aws.xmlread import Element

Read = Callable[[list[Element]], Any]

_ROOTS = {
    "CompleteMultipartUpload": "CompleteMultipartUploadResult",
    "CreateMultipartUpload": "InitiateMultipartUploadResult",
    "DeleteObjects": "DeleteResult",
    "GetBucketAccelerateConfiguration": "AccelerateConfiguration",
    "GetBucketAcl": "AccessControlPolicy",
    "GetBucketCors": "CORSConfiguration",
    "GetBucketLifecycle": "LifecycleConfiguration",
    "GetBucketLifecycleConfiguration": "LifecycleConfiguration",
    "GetBucketLocation": "LocationConstraint",
    "GetBucketLogging": "BucketLoggingStatus",
    "GetBucketNotification": "NotificationConfiguration",
    "GetBucketNotificationConfiguration": "NotificationConfiguration",
    "GetBucketRequestPayment": "RequestPaymentConfiguration",
    "GetBucketTagging": "Tagging",
    "GetBucketVersioning": "VersioningConfiguration",
    "GetBucketWebsite": "WebsiteConfiguration",
    "GetObjectAcl": "AccessControlPolicy",
    "GetObjectAttributes": "GetObjectAttributesResponse",
    "GetObjectTagging": "Tagging",
    "ListBucketAnalyticsConfigurations": "ListBucketAnalyticsConfigurationResult",
    "ListBucketInventoryConfigurations": "ListInventoryConfigurationsResult",
    "ListBucketMetricsConfigurations": "ListMetricsConfigurationsResult",
    "ListBuckets": "ListAllMyBucketsResult",
    "ListMultipartUploads": "ListMultipartUploadsResult",
    "ListObjectVersions": "ListVersionsResult",
    "ListObjects": "ListBucketResult",
    "ListObjectsV2": "ListBucketResult",
    "ListParts": "ListPartsResult",
}
_PAYLOAD_ROOTS = {"UploadPartCopy": "CopyPartResult", "CopyObject": "CopyObjectResult"}


class XmlReaderCompiler:
    """Compiles input shapes to readers. A reader gets all elements of one name, for flattened lists repeat theirs."""

    def __init__(self) -> None:
        self._structures: dict[str, Read] = {}

    def reader(self, shape: Shape) -> Read:
        if isinstance(shape, StructureShape):
            return self._structures.get(shape.name) or self._structure(shape)
        if isinstance(shape, ListShape):
            return self._list(shape)
        if isinstance(shape, MapShape):
            return self._map(shape)
        read = scalar(shape.type_name)
        if shape.type_name == "string":
            return lambda elements: elements[0].text
        if shape.type_name == "timestamp":
            return _timestamp(shape)
        return lambda elements: read(elements[0].text.strip())

    def _structure(self, shape: StructureShape) -> Read:
        wire: dict[str, tuple[str, Shape]] = {}
        attributes: dict[str, str] = {}
        for name, member in shape.members.items():
            own = member.serialization
            if own.get("location") in ("uri", "querystring", "header", "headers"):
                continue
            if own.get("xmlAttribute"):
                attributes[own["name"]] = name
                continue
            tag = own.get("name", name)
            if isinstance(member, ListShape) and own.get("flattened"):
                # The model's name of the items and the protocol's differ; clients send either.
                inner = member.member.serialization.get("name", tag)
                wire[inner.rpartition(":")[2]] = (name, member)
            wire[tag.rpartition(":")[2]] = (name, member)
        made: dict[str, tuple[str, Read]] = {}

        def read(elements: list[Element]) -> dict[str, Any]:
            element = elements[0]
            groups: dict[str, list[Element]] = {}
            for child in element.children:
                groups.setdefault(child.tag, []).append(child)
            result: dict[str, Any] = {}
            for tag, group in groups.items():
                entry = made.get(tag)
                if entry is None:
                    if tag not in wire:
                        continue
                    name, member = wire[tag]
                    entry = made[tag] = (name, self.reader(member))
                try:
                    result[entry[0]] = entry[1](group)
                except BadValue as error:
                    error.path.insert(0, tag)
                    raise
            for key, name in attributes.items():
                if key in element.attributes:
                    result[name] = element.attributes[key]
            return result

        self._structures[shape.name] = read
        return read

    def _list(self, shape: ListShape) -> Read:
        inner = shape.member.serialization.get("name", "member")
        flat = bool(shape.serialization.get("flattened"))
        member: Read | None = None

        def read(elements: list[Element]) -> list[Any]:
            nonlocal member
            if member is None:
                member = self.reader(shape.member)
            item = member
            if flat:
                return [item([element]) for element in elements]
            return [item([child]) for child in elements[0].children if child.tag == inner]

        return read

    def _map(self, shape: MapShape) -> Read:
        key_tag = shape.key.serialization.get("name", "key")
        value_tag = shape.value.serialization.get("name", "value")
        flat = bool(shape.serialization.get("flattened"))
        key = self.reader(shape.key)
        value: Read | None = None

        def read(elements: list[Element]) -> dict[Any, Any]:
            nonlocal value
            if value is None:
                value = self.reader(shape.value)
            result = {}
            for entry in elements if flat else elements[0].children:
                found = {child.tag: child for child in entry.children}
                if key_tag not in found or value_tag not in found:
                    raise BadValue("", "map")
                result[key([found[key_tag]])] = value([found[value_tag]])
            return result

        return read


def _timestamp(shape: Shape) -> Read:
    given = shape.serialization.get("timestampFormat", "").lower()
    parse = PARSERS[given] if given else parse_any

    def read(elements: list[Element]) -> Any:
        text = elements[0].text.strip()
        try:
            return parse(text)
        except ValueError:
            raise BadValue(text, "timestamp") from None

    return read


def body_reader(operation: Operation, shape: Shape) -> Callable[[bytes], Any]:
    """The reader of a document whose root stands for `shape`. Raises MalformedXML, BadValue."""
    compiler: XmlReaderCompiler = operation.model.compilers.setdefault("xml in", XmlReaderCompiler())
    read = compiler.reader(shape)
    root_tag = shape.serialization.get("name")
    strict = operation.model.name == "s3"

    def parse(document: bytes) -> Any:
        root = xmlread.parse(document)
        if strict and root_tag is not None and root.tag != root_tag.rpartition(":")[2]:
            raise MalformedXML()
        return read([root])

    return parse


def body_writer(
    operation: Operation, shape: StructureShape, payload: str | None
) -> Callable[[Mapping[str, Any]], bytes]:
    """The writer of an answer's document: of the whole output, or of its member `payload`."""
    model = operation.model
    compiler = xml.compiler(model)
    if payload is None:
        tag = shape.serialization.get("name") or _ROOTS.get(operation.name) or f"{operation.name}Response"
    else:
        tag = shape.serialization.get("name") or _PAYLOAD_ROOTS.get(operation.name) or payload
    own = xml.namespace(shape)
    declared = "" if own or not model.namespace else xml.attribute("xmlns", model.namespace)
    if model.name == "s3" and operation.name == "GetBucketLocation":
        # The only document whose root holds the text itself.
        def write_location(result: Mapping[str, Any]) -> bytes:
            place = xml.escape(result.get("LocationConstraint") or "")
            return f'<?xml version="1.0" encoding="UTF-8"?>\n<{tag}{declared}>{place}</{tag}>'.encode()

        return write_location
    write = compiler.element(shape, tag, declared)
    return lambda result: f'<?xml version="1.0" encoding="UTF-8"?>\n{write(result)}'.encode()
