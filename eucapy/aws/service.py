"""Service: one AWS service that we serve, and the registry of the handlers that give its operations a meaning.

    ec2 = Service("ec2")

    @ec2.action("CreateVolume")
    async def create_volume(call: Call, p: CreateVolumeRequestTypeDef) -> VolumeTypeDef: ...

A handler gets whatever the environment's `invoke` calls it with (for the cloud controller: its Call) and the parsed,
validated parameters under the model's member names; it returns a dict of the output shape, None for an empty answer, or a
`message.Result` to add headers or change the status. It raises ApiErrors.

An operation without a handler answers the service's "no such action", never an empty success. Registering a name that the
model does not have, or one twice, is an error at import.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import cached_property
from typing import Any, TypeVar

import msgspec

from eucapy.aws import errors, models
from eucapy.aws.errors import ApiError
from eucapy.aws.message import Incoming
from eucapy.aws.models import Model

Function = Callable[..., Awaitable[Any]]
F = TypeVar("F", bound=Function)

MIB = 1 << 20

# How errors are worded and parameters checked: ec2, s3, query (IAM, STS …) or json (every newer service).
_FAMILIES = {"ec2": "ec2", "s3": "s3", "cloudwatch": "query"}


class Handler(msgspec.Struct, frozen=True):
    """A registered function. `unchecked`: top-level members whose enums, ranges and patterns the function checks itself,
    with a code of its own. `worded`: those whose absence it refuses in words of its own. `anonymous`: the operation may
    come unsigned. `unsigned`: the chain looks for no signature, because there is none (a preflight) or the function knows
    where it is (a form)."""

    name: str
    function: Function
    unchecked: frozenset[str] = frozenset()
    worded: frozenset[str] = frozenset()
    anonymous: bool = False
    unsigned: bool = False


class RawRoute(msgspec.Struct, frozen=True):
    """An operation that no model has (S3's browser upload, CORS preflight): found by method and a predicate of the
    request; its parameters are the labels of the path, and the body is the stream."""

    name: str
    method: str
    matches: Callable[[Incoming, Mapping[str, str]], bool]
    handler: Handler


class Service:
    """One service. `open_enums` names enum shapes whose values are ours to decide (instance types of the catalogue). `terse`:
    its validation errors repeat no values (IAM, by answers recorded in 2026)."""

    def __init__(
        self,
        name: str,
        *,
        extend: Mapping[str, Any] | None = None,
        without: Iterable[str] = (),
        family: str | None = None,
        open_enums: Iterable[str] = (),
        body_limit: int = MIB,
        aliases: Iterable[str] = (),
        terse: bool = False,
    ) -> None:
        self.name = name
        self.terse = terse
        self.aliases = frozenset(aliases)
        self.body_limit = body_limit
        self.open_enums = frozenset(open_enums)
        self._family, self._extend, self._without = family, extend, tuple(without)
        self._handlers: dict[str, Handler] = {}
        self.raw_routes: list[RawRoute] = []

    @cached_property
    def model(self) -> Model:
        return models.load(self.name, self._extend, self._without)

    @cached_property
    def family(self) -> str:
        if self._family is not None:
            return self._family
        if self.name in _FAMILIES:
            return _FAMILIES[self.name]
        return "query" if self.model.protocol in ("query", "rest-xml") else "json"

    def action(
        self, *names: str, unchecked: Iterable[str] = (), worded: Iterable[str] = (), anonymous: bool = False
    ) -> Callable[[F], F]:
        """Register a handler for one or more operations."""

        def register(function: F) -> F:
            for name in names:
                if name not in self.model.names:
                    raise ValueError(f"{self.name} has no operation {name}")
                if name in self._handlers:
                    raise ValueError(f"{self.name}:{name} has a handler already")
                self._handlers[name] = Handler(name, function, frozenset(unchecked), frozenset(worded), anonymous)
            return function

        return register

    def raw(
        self,
        name: str,
        method: str,
        matches: Callable[[Incoming, Mapping[str, str]], bool],
        *,
        anonymous: bool = True,
        unsigned: bool = False,
    ) -> Callable[[F], F]:
        """Register a handler for requests that no model describes; asked before the model's operations."""

        def register(function: F) -> F:
            handler = Handler(name, function, anonymous=anonymous, unsigned=unsigned)
            self.raw_routes.append(RawRoute(name, method, matches, handler))
            return function

        return register

    def handler(self, name: str) -> Handler | None:
        return self._handlers.get(name)

    def actions(self) -> list[str]:
        """Names of the operations that have a handler, sorted; the source of `docs/compatibility.md`."""
        return sorted(self._handlers)

    def operations(self) -> list[str]:
        """Names of all operations that AWS has, sorted."""
        return sorted(self.model.names)

    def no_such_action(self, name: str, protocol: str, version: str = "") -> ApiError:
        """The answer to an operation that does not exist or has no handler."""
        if self.family == "s3":
            return errors.NotImplementedS3()
        if protocol == "ec2":
            return errors.InvalidAction(action=name)
        if protocol == "query":
            return errors.UnknownQueryAction(action=name, version=version or self.model.version)
        return errors.UnknownOperationException(f"The requested operation {name} is not supported.")

    def __repr__(self) -> str:
        return f"Service({self.name})"
