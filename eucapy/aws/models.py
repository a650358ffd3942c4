"""Service models: botocore's descriptions of the AWS services, loaded at run time, one Model per service.

Nothing here knows a protocol: `protocols.py` compiles an Operation's shapes into a parser and a serializer on first use
and keeps them on the Operation. Operations that AWS does not have (Eucalyptus's account calls) come in by `extend`, in
the same JSON as botocore's files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache, cached_property
from typing import Any

from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape, StructureShape

from eucapy.aws.timestamps import Formatter, milliseconds, shortest

# Services whose answers write whole seconds as `.000Z` although their protocol would allow to leave them out.
_MILLISECONDS = frozenset({"ec2", "s3", "autoscaling", "cloudformation", "cloudwatch", "elb", "elbv2", "route53"})

# The codes that a service's errors had when it spoke Query, where botocore's file has lost them: clients ask for them still.
_QUERY_CODES = {
    "sqs": {
        name: f"AWS.SimpleQueueService.{code}"
        for name, code in {
            "BatchEntryIdsNotDistinct": "BatchEntryIdsNotDistinct",
            "BatchRequestTooLong": "BatchRequestTooLong",
            "EmptyBatchRequest": "EmptyBatchRequest",
            "InvalidBatchEntryId": "InvalidBatchEntryId",
            "MessageNotInflight": "MessageNotInflight",
            "PurgeQueueInProgress": "PurgeQueueInProgress",
            "QueueDeletedRecently": "QueueDeletedRecently",
            "QueueDoesNotExist": "NonExistentQueue",
            "TooManyEntriesInBatchRequest": "TooManyEntriesInBatchRequest",
            "UnsupportedOperation": "UnsupportedOperation",
        }.items()
    }
    | {"QueueNameExists": "QueueAlreadyExists"},
}

# The edge's own errors in the JSON protocols, and what the Query protocol calls them.
_COMMON_QUERY_CODES = {
    "AccessDeniedException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "SerializationException": "MalformedInput",
    "UnknownOperationException": "InvalidAction",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ValidationException": "ValidationError",
}

# The namespaces that botocore's files do not carry.
_NAMESPACES = {
    "s3": "http://s3.amazonaws.com/doc/2006-03-01/",
    "route53": "https://route53.amazonaws.com/doc/2013-04-01/",
    "sqs": "http://queue.amazonaws.com/doc/2012-11-05/",
}


class Operation:
    """One operation of a Model. `codecs` and `validator` are filled by `protocols.py` and `validate.py` on first use."""

    __slots__ = ("codecs", "http_method", "model", "name", "shape", "token_member", "uri", "validator")

    def __init__(self, model: Model, shape: OperationModel) -> None:
        self.model = model
        self.name: str = shape.name
        self.shape = shape
        self.http_method: str = shape.http.get("method", "POST")
        self.uri: str = shape.http.get("requestUri", "/")
        self.codecs: dict[str, Any] = {}
        self.validator: Any = None
        # The member that makes a repeated call idempotent: `ClientToken` and its like.
        self.token_member: str | None = next(iter(shape.idempotent_members), None)

    @property
    def input(self) -> StructureShape | None:
        shape: StructureShape | None = self.shape.input_shape
        return shape

    @property
    def output(self) -> StructureShape | None:
        shape: StructureShape | None = self.shape.output_shape
        return shape

    @property
    def streams_input(self) -> bool:
        """The request's body is a blob that may be larger than memory."""
        return bool(self.shape.has_streaming_input)

    @property
    def has_dry_run(self) -> bool:
        return self.input is not None and "DryRun" in self.input.members

    def __repr__(self) -> str:
        return f"Operation({self.model.name}:{self.name})"


class Model:
    """A service: its operations by name, its names on the wire, and its modeled errors."""

    def __init__(self, name: str, description: Mapping[str, Any]) -> None:
        self.name = name
        self.service = ServiceModel(description, name)
        metadata: Mapping[str, Any] = self.service.metadata
        self.version: str = metadata["apiVersion"]
        self.protocol: str = metadata["protocol"]
        self.protocols: tuple[str, ...] = tuple(metadata.get("protocols", (self.protocol,)))
        self.scope: str = metadata.get("signingName") or metadata["endpointPrefix"]
        self.target_prefix: str | None = metadata.get("targetPrefix")
        self.json_version: str = metadata.get("jsonVersion", "1.0")
        self.query_compatible = "awsQueryCompatible" in metadata
        self.is_global = "globalEndpoint" in metadata and name != "s3"
        namespace = metadata.get("xmlNamespace") or _NAMESPACES.get(name, "")
        self.namespace: str = namespace["uri"] if isinstance(namespace, Mapping) else namespace
        self.timestamp: Formatter = milliseconds if name in _MILLISECONDS else shortest
        self.names: frozenset[str] = frozenset(self.service.operation_names)
        self.compilers: dict[str, Any] = {}  # one a kind, made by the modules that need them
        self._operations: dict[str, Operation] = {}

    def operation(self, name: str) -> Operation:
        """Raises KeyError for a name that the model does not have."""
        found = self._operations.get(name)
        if found is None:
            if name not in self.names:
                raise KeyError(name)
            found = self._operations[name] = Operation(self, self.service.operation_model(name))
        return found

    def shape(self, name: str) -> Shape:
        return self.service.shape_for(name)

    @cached_property
    def errors(self) -> dict[str, StructureShape]:
        """Error shapes by shape name and by wire code, whichever a handler's error class is called."""
        error_shapes = [shape for shape in self.service.error_shapes if isinstance(shape, StructureShape)]
        result: dict[str, StructureShape] = {}
        for shape in error_shapes:
            result.setdefault(_QUERY_CODES.get(self.name, {}).get(shape.name, shape.error_code), shape)
        for shape in error_shapes:
            result[shape.name] = shape
        return result

    def error_name(self, code: str) -> str:
        """An error's name in the JSON protocols: its shape's, whether it is called by that or by its Query code."""
        shape = self.errors.get(code)
        return shape.name if shape is not None else code

    def query_code(self, code: str) -> str:
        """An error's code in the Query protocol, whether it is called by that or by its shape's name."""
        shape = self.errors.get(code)
        if shape is None:
            return _COMMON_QUERY_CODES.get(code, code)
        return _QUERY_CODES.get(self.name, {}).get(shape.name, shape.error_code)

    def __repr__(self) -> str:
        return f"Model({self.name} {self.version})"


def _description(name: str) -> dict[str, Any]:
    # A loader of our own: no search path of the user's may replace a model, and the raw JSON is not kept a second time.
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    description: dict[str, Any] = loader.load_service_model(name, "service-2")
    return description


@cache
def regions() -> frozenset[str]:
    """The names of AWS's regions, of all partitions."""
    loader = Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)
    partitions = loader.load_data("partitions")["partitions"]
    return frozenset(name for partition in partitions for name in partition["regions"] if not name.endswith("-global"))


_loaded: dict[tuple[str, frozenset[str]], Model] = {}
_extended: set[str] = set()


def load(name: str, extend: Mapping[str, Any] | None = None, without: Iterable[str] = ()) -> Model:
    """The model of botocore's service `name` ("ec2"), loaded once.

    `extend` adds {"operations": {...}, "shapes": {...}}, and {"members": {shape: {...}}} to shapes that are there. It
    belongs in the one place that declares the service: it takes part in the first load that has any, whoever loaded the
    plain model before. `without` removes operations; the model without them is another one than the whole. Raises
    botocore's UnknownServiceError.
    """
    gone = frozenset(without)
    model = _loaded.get((name, gone))
    if model is None or (extend and name not in _extended):
        if extend:
            _extended.add(name)
        description = _description(name)
        if extend:
            for section in ("operations", "shapes"):
                description[section] = {**description[section], **extend.get(section, {})}
            for shape, members in extend.get("members", {}).items():
                known = description["shapes"][shape]
                description["shapes"][shape] = {**known, "members": {**known["members"], **members}}
        if gone:
            description["operations"] = {k: v for k, v in description["operations"].items() if k not in gone}
        model = _loaded[name, gone] = Model(name, description)
    return model
