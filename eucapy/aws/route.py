"""Routing: which service and which operation a request is for, and in which protocol it speaks.

One endpoint serves every service. A request names its service in up to five ways, none of which can be trusted alone:
old clients sign for `undefined-PID` or for a host's label, S3 requests may come unsigned, form posts say `Action` and
`Version` only. So, in this order:

    X-Amz-Target's prefix, or the path /service/P/operation/O      JSON, CBOR
    the path prefix of Eucalyptus's clients, /services/compute      Query, S3
    the host's name: s3.…, bucket.s3.…, ec2.…
    the signature's scope, where it names a service that we serve
    Authorization: AWS …, or a presigned SigV2 query                S3
    Action (and Version) of the query string or the form            Query
    a scope that names none of ours, on a request that is not S3's   UnknownOperationException, which says so
    else S3, if it is served here, and MissingAction if not

`claim()` looks at the head of the request only, so that a body that streams is never read here; `route()` then finds the
operation, with the form for the Query protocols.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from functools import cached_property, lru_cache

import msgspec

from eucapy.aws import errors, forms
from eucapy.aws.bodies import INFLATED_LIMIT, inflated
from eucapy.aws.errors import ApiError
from eucapy.aws.message import Incoming
from eucapy.aws.models import Operation
from eucapy.aws.resthttp import PathIndex
from eucapy.aws.service import Handler, Service

_SMITHY = re.compile(r"/service/([^/]+)/operation/([^/]+)\Z")
_DATE = re.compile(r"\d{4}-\d\d-\d\d\Z", re.ASCII)
_PREFIX = re.compile(r"/services/([A-Za-z0-9_-]+)(/.*)?\Z")

# What Eucalyptus's clients call the services, in paths and host names.
_EUCALYPTUS = {
    "compute": "ec2", "eucalyptus": "ec2", "euare": "iam", "tokens": "sts", "objectstorage": "s3", "walrus": "s3",
    "loadbalancing": "elb", "cloudwatch": "cloudwatch", "autoscaling": "autoscaling",
    "cloudformation": "cloudformation", "sqs": "sqs", "simplequeue": "sqs",
}  # fmt: skip


class Claim(msgspec.Struct, frozen=True):
    """What the head of a request says: the service's name (None: see the form), the protocol, and the path and bucket
    once prefix and host are taken into account. `target` is the operation that JSON and CBOR name in the head."""

    service: str | None
    protocol: str
    path: str
    bucket: str | None = None
    target: str = ""
    scope: str = ""
    version: str = ""  # of JSON: "1.0" or "1.1"


class Route(msgspec.Struct, frozen=True):
    """Where a request goes. `operation` is None for a service's raw routes."""

    service: Service
    operation: Operation | None
    handler: Handler | None
    action: str
    protocol: str
    form: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    version: str = ""
    path: str = "/"


class Unrouted(Exception):
    """No operation; `error` is to be answered in `protocol` and in the words of `service`'s family (None: unknown)."""

    def __init__(self, error: ApiError, protocol: str, service: Service | None) -> None:
        super().__init__(str(error))
        self.error, self.protocol, self.service = error, protocol, service


def signature_scope(headers: Mapping[str, str], query: str) -> str:
    """The service in the credential scope of a SigV4 request, "" where there is none. Only a hint: nothing is checked."""
    value = headers.get("authorization")
    if value is None:
        if "X-Amz-Credential=" not in query:
            return ""
        value = query.partition("X-Amz-Credential=")[2].partition("&")[0].replace("%2F", "/").replace("%2f", "/")
    else:
        value = value.partition("Credential=")[2].partition(",")[0]
    parts = value.strip().split("/")
    return parts[-2].lower() if len(parts) >= 5 else ""


class Router:
    """Routes among `services`; `foreign` names services that are claimed here and answered elsewhere (S3 passed on).

    `domains` are the host names under which S3's virtual hosts live: `bucket.s3.<domain>`, and, on a request that is S3's
    for another reason, `bucket.<domain>`. `websites` are names under which buckets are websites, `bucket.<name>`: claimed for
    the foreign service `s3-website`.
    """

    def __init__(
        self,
        services: Iterable[Service],
        *,
        foreign: Collection[str] = (),
        domains: Iterable[str] = ("localhost",),
        websites: Iterable[str] = (),
    ) -> None:
        self.services = {service.name: service for service in services}
        self.foreign = frozenset(foreign)
        self._websites = tuple(f".{name.lower().strip('.')}" for name in websites)
        self._domains = tuple(sorted((d.lower().strip(".") for d in domains), key=len, reverse=True))
        self._paths: dict[str, PathIndex] = {}
        self._places = lru_cache(maxsize=1024)(self._host)
        self._prefixes: dict[str, Service] = {}
        self._scopes: dict[str, list[Service]] = {}
        for service in self.services.values():
            model = service.model
            if model.target_prefix:
                self._prefixes[model.target_prefix] = service
            for scope in {model.scope, service.name, *service.aliases}:
                self._scopes.setdefault(scope, []).append(service)

    @cached_property
    def _by_action(self) -> dict[str, list[Service]]:
        index: dict[str, list[Service]] = {}
        for service in self.services.values():
            if service.model.protocol in ("ec2", "query") or service.model.query_compatible:
                for name in service.model.names:
                    index.setdefault(name, []).append(service)
        return index

    @property
    def has_s3(self) -> bool:
        return "s3" in self.services or "s3" in self.foreign

    # --- the head

    def claim(self, method: str, path: str, query: str, headers: Mapping[str, str], host: str) -> Claim:
        """See the module's docstring. Raises Unrouted for a target, or a signature's service, that nobody serves."""
        if self._websites:
            name = host.partition(":")[0].lower()
            for suffix in self._websites:
                if name.endswith(suffix):
                    return Claim("s3-website", "rest-xml", path, name.removesuffix(suffix))
        scope = signature_scope(headers, query)
        target = headers.get("x-amz-target")
        if target is not None:
            return self._claim_target(target, headers, path, scope)
        if path.startswith("/service/") and (match := _SMITHY.match(path)):
            return self._claim_smithy(match.group(1), match.group(2), path, scope)
        named: str | None = None
        if path.startswith("/services/") and (match := _PREFIX.match(path)):
            found = _EUCALYPTUS.get(match.group(1).lower(), match.group(1).lower())
            if found in self.services or found in self.foreign:
                named, path = found, match.group(2) or "/"
        by_host, bucket = self._places(host)
        named = named or by_host
        if named is None and scope:
            if scope in self.foreign or scope in self.services:
                named = scope
            elif scope in self._scopes and len(self._scopes[scope]) == 1:
                named = self._scopes[scope][0].name
        if named is None and self.has_s3 and _is_s3(headers, query):
            named = "s3"
        has_form = _has_form(method, headers)
        if named == "s3" and self.has_s3 and not (scope not in ("", "s3") and (has_form or "Action=" in query)):
            return self._claim_s3(path, host, bucket, scope)
        service = self.services.get(named) if named else None
        if service is not None and service.model.protocol.startswith("rest-"):
            return Claim(service.name, service.model.protocol, path, scope=scope)
        if "Action=" in query or has_form or service is not None:
            return Claim(named if service is not None else None, "query", path, scope=scope)
        if self.has_s3:
            if scope not in ("", "s3") and scope not in self._scopes and "x-amz-content-sha256" not in headers:
                raise Unrouted(_not_served(scope), "rest-json", None)  # every signed request of S3 has that header
            return self._claim_s3(path, host, bucket, scope)
        return Claim(None, "query", path, scope=scope)

    def _claim_s3(self, path: str, host: str, bucket: str | None, scope: str) -> Claim:
        if bucket is None:
            name = host.partition(":")[0].lower()
            for domain in self._domains:
                if name.endswith("." + domain):
                    label = name[: -len(domain) - 1]
                    bucket = label if not (label == "s3" or label.startswith(("s3.", "s3-"))) else None
                    break
        if bucket is not None:
            path = f"/{bucket}{path}"
        return Claim("s3", "rest-xml", path, bucket, scope=scope)

    def _claim_target(self, target: str, headers: Mapping[str, str], path: str, scope: str) -> Claim:
        prefix, _, operation = target.rpartition(".")
        service = self._prefixes.get(prefix)
        version = "1.1" if "1.1" in headers.get("content-type", "") else "1.0"
        if service is None:
            raise Unrouted(_not_served(scope), "json", None)
        return Claim(service.name, "json", path, target=operation, scope=scope, version=version)

    def _claim_smithy(self, prefix: str, operation: str, path: str, scope: str) -> Claim:
        service = self._prefixes.get(prefix)
        if service is None:
            raise Unrouted(errors.UnknownOperationException(), "smithy-rpc-v2-cbor", None)
        return Claim(service.name, "smithy-rpc-v2-cbor", path, target=operation, scope=scope)

    def _host(self, host: str) -> tuple[str | None, str | None]:
        """(service, bucket) that the host's name tells, each None where it does not."""
        name = host.partition(":")[0].lower()
        if "." not in name or name.replace(".", "").isdigit():
            return None, None
        labels = name.split(".")
        # The bucket's own name may hold dots and even the label s3, so the known domains are tried first.
        for domain in self._domains:
            for suffix in (f"s3.{domain}", f"objectstorage.{domain}"):
                if name == suffix:
                    return "s3", None
                if name.endswith("." + suffix):
                    return "s3", name[: -len(suffix) - 1]
        for at, label in enumerate(labels):
            if (label == "s3" or label.startswith("s3-")) and at < len(labels) - 1 and self.has_s3:
                return "s3", ".".join(labels[:at]) or None
        first = labels[0]
        found = _EUCALYPTUS.get(first, first)
        if found in self.services:
            return found, None
        if first in self._scopes and len(self._scopes[first]) == 1:
            return self._scopes[first][0].name, None
        return None, None

    # --- the operation

    def route(self, claim: Claim, incoming: Incoming) -> Route:
        """The operation. Raises Unrouted, whose error is the service's "no such action"."""
        if claim.protocol == "query":
            return self._route_form(claim, incoming)
        assert claim.service is not None
        service = self.services[claim.service]
        if claim.protocol.startswith("rest-"):
            return self._route_path(service, claim, incoming)
        if claim.target not in service.model.names:
            raise Unrouted(service.no_such_action(claim.target, claim.protocol), claim.protocol, service)
        operation = service.model.operation(claim.target)
        handler = service.handler(claim.target)
        return Route(service, operation, handler, claim.target, claim.protocol, version=claim.version, path=claim.path)

    def _route_path(self, service: Service, claim: Claim, incoming: Incoming) -> Route:
        index = self._paths.get(service.name)
        if index is None:
            index = self._paths[service.name] = PathIndex(service.model)
        path = claim.path
        if service.name == "s3" and len(path) > 1 and path.endswith("/") and path.count("/") == 2:
            path = path[:-1]  # /bucket/ is the bucket; a key is never empty
        try:
            found = index.match(incoming.method, path, incoming.query, incoming.headers)
            labels = found[1] if found is not None else {}
            for raw in service.raw_routes:
                if raw.method == incoming.method:
                    given = labels or _bucket_and_key(path)
                    if raw.matches(incoming, given):
                        return Route(service, None, raw.handler, raw.name, claim.protocol, labels=given, path=path)
        except ApiError as error:
            raise Unrouted(error, claim.protocol, service) from None
        if found is None:
            refused: ApiError = errors.MethodNotAllowed(
                fields={"Method": incoming.method, "ResourceType": "OBJECT" if path.count("/") > 1 else "BUCKET"},
                headers={"Allow": ", ".join(index.methods)},
            )
            if service.family != "s3":
                refused = service.no_such_action(f"{incoming.method} {path}", claim.protocol)
            raise Unrouted(refused, claim.protocol, service)
        name = found[0]
        return Route(
            service,
            service.model.operation(name),
            service.handler(name),
            name,
            claim.protocol,
            labels=labels,
            path=path,
        )

    def _route_form(self, claim: Claim, incoming: Incoming) -> Route:
        try:
            form = forms.form(incoming.query) if incoming.query else {}
            if incoming.body:
                body = inflated(incoming.body, incoming.headers.get("content-encoding", ""), INFLATED_LIMIT)
                form.update(forms.form(body.decode()))
        except (ApiError, UnicodeDecodeError):
            service = self._guess(claim, "", "")
            raise Unrouted(errors.MalformedQueryString(), _query_protocol(service), service) from None
        action, version = form.get("Action", ""), form.get("Version", "")
        service = self._choose(claim, action, version)
        if service is None:
            guess = self._guess(claim, action, version)
            protocol = _query_protocol(guess)
            if not action:
                raise Unrouted(errors.MissingAction(), protocol, guess)
            error = guess.no_such_action(action, protocol, version) if guess else errors.InvalidAction(action=action)
            raise Unrouted(error, protocol, guess)
        protocol = _query_protocol(service)
        if version and _DATE.match(version) is None:
            raise Unrouted(
                errors.NoSuchVersion(version=version[:40], service=_service_title(service)), protocol, service
            )
        operation = service.model.operation(action)
        return Route(
            service, operation, service.handler(action), action, protocol, form=form, version=version, path=claim.path
        )

    def _choose(self, claim: Claim, action: str, version: str) -> Service | None:
        candidates = self._by_action.get(action, [])
        if not candidates:
            return None
        if claim.service is not None:
            named = [service for service in candidates if service.name == claim.service]
            if named:
                return named[0]
        if len(candidates) > 1 and claim.scope:
            scoped = [service for service in candidates if service in self._scopes.get(claim.scope, ())]
            candidates = scoped or candidates
        if len(candidates) > 1 and version:
            dated = [service for service in candidates if service.model.version == version]
            candidates = dated or candidates
        return min(candidates, key=lambda service: (service.name != "ec2", service.name))

    def _guess(self, claim: Claim, action: str, version: str) -> Service | None:
        """The service in whose words an unknown action is refused."""
        if claim.service is not None:
            return self.services.get(claim.service)
        scoped = self._scopes.get(claim.scope, [])
        dated = [service for service in self.services.values() if service.model.version == version]
        for found in ([s for s in scoped if s in dated], scoped, dated):
            if found:
                return found[0]
        return self.services.get("ec2")


def _bucket_and_key(path: str) -> dict[str, str]:
    bucket, _, key = path.lstrip("/").partition("/")
    labels = {"Bucket": forms.decode(bucket, plus=False)} if bucket else {}
    return {**labels, "Key": forms.decode(key, plus=False)} if key else labels


def _is_s3(headers: Mapping[str, str], query: str) -> bool:
    if headers.get("authorization", "").startswith("AWS "):
        return True
    return "AWSAccessKeyId=" in query and "Expires=" in query and "Action=" not in query


def _not_served(scope: str) -> ApiError:
    return errors.UnknownOperationException(f"The service {scope} is not served here." if scope else "")


def _has_form(method: str, headers: Mapping[str, str]) -> bool:
    return method == "POST" and headers.get("content-type", "").startswith("application/x-www-form-urlencoded")


def _query_protocol(service: Service | None) -> str:
    return "ec2" if service is None or service.name == "ec2" else "query"


def _service_title(service: Service) -> str:
    return "AmazonEC2" if service.name == "ec2" else service.model.service.metadata.get("serviceId", service.name)
