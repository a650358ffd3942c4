"""Which operation a REST request stands for: method, path and query string against the model's `requestUri` templates.

Templates with equal method and path are told apart by the literals of their query string (`?acl`, `?list-type=2`), then by
required members that are there (`uploadId`, `x-amz-copy-source`): PUT /b/k is PutObject, with `x-amz-copy-source`
CopyObject, with `partNumber` and `uploadId` UploadPart, with all three UploadPartCopy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property

from eucapy.aws import forms
from eucapy.aws.errors import InvalidURI, MalformedQueryString
from eucapy.aws.models import Model, Operation

_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")


class _Candidate:
    """An operation with what its request must have."""

    __slots__ = ("headers", "literals", "name", "query")

    def __init__(self, operation: Operation, literals: dict[str, str | None]) -> None:
        self.name = operation.name
        self.literals = literals
        required = operation.input.required_members if operation.input is not None else []
        members = operation.input.members if operation.input is not None else {}
        places = {name: members[name].serialization for name in required}
        self.query = [p.get("name", n) for n, p in places.items() if p.get("location") == "querystring"]
        self.headers = [p.get("name", n).lower() for n, p in places.items() if p.get("location") == "header"]

    @property
    def demands(self) -> int:
        return len(self.query) + len(self.headers)


class _Template:
    """All operations of one method and path, the most demanding first."""

    def __init__(self, path: str) -> None:
        self.pattern = re.compile(self._compile(path) + r"\Z", re.DOTALL)
        self.candidates: list[_Candidate] = []
        # More literal characters are more specific: /v1/queue before /{name}/queue before /{name}/{rest+}.
        bare = _LABEL.sub("", path)
        self.rank = (path.count("+}"), -path.count("/"), -len(bare))

    @staticmethod
    def _compile(path: str) -> str:
        out, at = "", 0
        for match in _LABEL.finditer(path):
            out += re.escape(path[at : match.start()])
            group = f"l{match.start()}"
            out += f"(?P<{group}>.+)" if match.group(2) else f"(?P<{group}>[^/]+)"
            at = match.end()
        return out + re.escape(path[at:])

    @cached_property
    def bare(self) -> list[_Candidate]:
        """The candidates for a request without a query string, by far the most."""
        return [candidate for candidate in self.candidates if not candidate.literals]

    @cached_property
    def _bare_met(self) -> list[_Candidate]:
        """Those of them that need no parameter, the most demanding first."""
        return sorted((c for c in self.bare if not c.query), key=lambda c: -c.demands)

    def _choose_bare(self, headers: Mapping[str, str]) -> _Candidate | None:
        """`choose` without a query string."""
        for candidate in self._bare_met:
            if all(name in headers for name in candidate.headers):
                return candidate
        if len(self.bare) < 2:
            return self._bare_met[0] if self._bare_met else None
        return min(self.bare, key=lambda c: c.demands)

    def choose(self, query: Mapping[str, str], headers: Mapping[str, str]) -> _Candidate | None:
        if not query:
            return self._choose_bare(headers)
        best: list[_Candidate] = []
        weight = -1
        for candidate in self.candidates:
            literals = candidate.literals
            if literals and any(k not in query or (v is not None and query[k] != v) for k, v in literals.items()):
                continue
            if len(literals) > weight:
                best, weight = [candidate], len(literals)
            elif len(literals) == weight:
                best.append(candidate)
        if len(best) < 2:
            # What is told from a request for nothing by its parameters alone (POST /b/k?uploadId=) is not meant without any.
            unmeant = not best or (not best[0].literals and best[0].query and query.keys().isdisjoint(best[0].query))
            return None if unmeant else best[0]
        met = [c for c in best if all(name in query for name in c.query) and all(name in headers for name in c.headers)]
        return max(met, key=lambda c: c.demands) if met else min(best, key=lambda c: c.demands)


class PathIndex:
    """The REST operations of a model."""

    def __init__(self, model: Model) -> None:
        self._methods: dict[str, list[_Template]] = {}
        self._labels: dict[int, list[tuple[str, str]]] = {}
        found: dict[tuple[str, str], _Template] = {}
        for name in sorted(model.names):
            operation = model.operation(name)
            if operation.shape.deprecated and self._has_heir(model, operation):
                continue
            path, _, query = operation.uri.partition("?")
            key = (operation.http_method, _LABEL.sub(lambda m: "{" + m.group(2) + "}", path))
            template = found.get(key)
            if template is None:
                template = found[key] = _Template(path)
                self._labels[id(template)] = [(f"l{m.start()}", m.group(1)) for m in _LABEL.finditer(path)]
                self._methods.setdefault(operation.http_method, []).append(template)
            literals: dict[str, str | None] = {}
            for part in query.split("&"):
                if part:
                    literal, has_value, value = part.partition("=")
                    literals[literal] = value if has_value else None
            template.candidates.append(_Candidate(operation, literals))
        for templates in self._methods.values():
            templates.sort(key=lambda template: template.rank)

    @staticmethod
    def _has_heir(model: Model, operation: Operation) -> bool:
        """Whether another operation, not deprecated, has the same method and URI."""
        return any(
            other.http_method == operation.http_method and other.uri == operation.uri and not other.shape.deprecated
            for other in (model.operation(name) for name in model.names)
        )

    @property
    def methods(self) -> list[str]:
        return sorted(self._methods)

    def match(
        self, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> tuple[str, dict[str, str]] | None:
        """(operation, decoded labels of the path), or None. `path` is as it came, percent-encoded.

        Raises InvalidURI for a path that is not UTF-8 after decoding.
        """
        names = forms.form(query) if query else {}
        for template in self._methods.get(method, ()):
            match = template.pattern.match(path)
            if match is None:
                continue
            chosen = template.choose(names, headers)
            if chosen is not None:
                try:
                    labels = {
                        label: forms.decode(match.group(group), plus=False)
                        for group, label in self._labels[id(template)]
                    }
                except MalformedQueryString:
                    raise InvalidURI() from None
                return chosen.name, labels
        return None
