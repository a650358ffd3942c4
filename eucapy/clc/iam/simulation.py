"""The policy simulator: SimulateCustomPolicy, SimulatePrincipalPolicy, GetContextKeysForCustomPolicy and
GetContextKeysForPrincipalPolicy.

Nothing is done and nothing is looked up but policies: the answer is the engine's (`aws/evaluation.py`) for policies, a
caller, resources and context keys that the request gives, with the statements that decided and where they stand in their
texts (`aws/policysources.py`). For each action there is one result, of all resources together (the most restrictive), and in
it one for each resource. What the service authorization reference calls the template of an action's resources is `*` here.
Source: their reference; "Testing IAM policies with the IAM policy simulator".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import msgspec

from eucapy.aws import policy as policies
from eucapy.aws import policygrammar, policysources
from eucapy.aws.evaluation import BOUNDARY, RESOURCE, Attached, Matched, Powers, Verdict, evaluate, explain
from eucapy.aws.policy import ALLOW, DENY, MalformedPolicy, Policy, Question
from eucapy.clc.context import Call
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import InvalidInput, NoSuchEntity, iam
from eucapy.clc.iam.simulated import Source, exclude, sources_of, text_of

_ACTION = re.compile(r"[A-Za-z0-9-]+:[A-Za-z0-9]+\Z", re.ASCII)
_CALLER = re.compile(r"arn:aws:iam::(\d{12}):(user|group|role|root)(?:/(?:.*/)?([^/*?]+))?\Z", re.ASCII)
_OWNER = re.compile(r"(?:arn:aws:iam::)?(\d{12})(?::root)?\Z", re.ASCII)
_ALLOWED, _EXPLICIT, _IMPLICIT = "allowed", "explicitDeny", "implicitDeny"
_STRICTEST = (_EXPLICIT, _IMPLICIT, _ALLOWED)
_HANDLED = {
    "EC2-VPC-InstanceStore": ("instance", "image", "security-group", "network-interface"),
    "EC2-VPC-InstanceStore-Subnet": ("instance", "image", "security-group", "network-interface", "subnet"),
    "EC2-VPC-EBS": ("instance", "image", "security-group", "network-interface", "volume"),
    "EC2-VPC-EBS-Subnet": ("instance", "image", "security-group", "network-interface", "subnet", "volume"),
}


class Simulation(msgspec.Struct, frozen=True, dict=True):
    """What is simulated. `organization`: for each level, from its root, the service control policies."""

    identity: tuple[Source, ...]
    boundary: Source | None
    organization: tuple[tuple[Source, ...], ...]
    resource: Source | None
    caller: str
    account: str
    owner: str
    context: Mapping[str, str | list[str]]

    @cached_property
    def powers(self) -> Powers:
        return Powers(_attached(self.identity), None if self.boundary is None else _attached((self.boundary,))[0])

    @cached_property
    def levels(self) -> tuple[Powers, ...]:
        return tuple(Powers(_attached(level)) for level in self.organization)

    @cached_property
    def resource_policy(self) -> Policy | None:
        return None if self.resource is None else policies.parse(self.resource.text)

    @cached_property
    def _places(self) -> Mapping[str, list[tuple[policysources.Place, policysources.Place]]]:
        return {each.id: policysources.positions(each.text) for each in self._sources()}

    @cached_property
    def _written(self) -> Mapping[str, str]:
        """Context keys as the policies write them, by lower-case name."""
        return {key.lower(): key for key in policysources.keys(each.text for each in self._sources())}

    def _sources(self) -> Iterable[Source]:
        yield from self.identity
        for each in (self.boundary, self.resource):
            if each is not None:
                yield each

    def question(self, action: str, resource: str) -> Question:
        return Question(self.caller, self.account, frozenset(), action, resource, self.context)

    def result(self, action: str, resource: str) -> dict[str, Any]:
        """Of one action on one resource: the members that both shapes of a result have."""
        asked = self.question(action, resource)
        answer: dict[str, Any] = {"MatchedStatements": [], "MissingContextValues": self._missing(action)}
        by_organization = [evaluate(level, asked) for level in self.levels]
        if by_organization:
            allowed = all(each.allowed for each in by_organization)
            answer["OrganizationsDecisionDetail"] = {"AllowedByOrganizations": allowed}
            if not allowed:
                explicit = any(each.explicit for each in by_organization)
                return answer | {"Decision": _EXPLICIT if explicit else _IMPLICIT}
        owner = self._owner(resource)
        verdict, matched = explain(self.powers, asked, resource_policy=self.resource_policy, resource_account=owner)
        effect = ALLOW if verdict.allowed else DENY
        if verdict.allowed or verdict.explicit:
            shown = [self._statement(each) for each in matched if each.effect == effect]
            answer["MatchedStatements"] = [each for at, each in enumerate(shown) if each not in shown[:at]]
        if self.boundary is not None:
            limits = {each.effect for each in matched if each.kind == BOUNDARY}
            answer["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": limits == {ALLOW}}
        if owner not in ("", self.account):
            own = evaluate(self.powers, asked)
            theirs = {each.effect for each in matched if each.kind == RESOURCE}
            of_resource = _EXPLICIT if DENY in theirs else _ALLOWED if ALLOW in theirs else _IMPLICIT
            answer["EvalDecisionDetails"] = {"IAM Policy": _decision(own), "Resource Policy": of_resource}
        return answer | {"Decision": _decision(verdict)}

    def _owner(self, resource: str) -> str:
        """Across accounts is only what has a resource's policy: the account that the ARN or the request says."""
        if self.resource is None:
            return ""
        parts = resource.split(":", 5)
        return (parts[4] if len(parts) == 6 else "") or self.owner

    def _missing(self, action: str) -> list[str]:
        asked = self.powers.keys(action)
        if self.resource_policy is not None:
            rules = [rule for rule in self.resource_policy.rules if rule.regards(action.lower())]
            asked = asked.union(*(rule.keys for rule in rules))
        return sorted(self._written.get(key, key) for key in asked if key not in self.context)

    def _statement(self, matched: Matched) -> dict[str, Any]:
        source = matched.source if matched.kind != RESOURCE or self.resource is None else self.resource.id
        (line, column), (end_line, end_column) = self._places[source][matched.index]
        return {
            "SourcePolicyId": source,
            "SourcePolicyType": "Resource Policy" if matched.kind == RESOURCE else "IAM Policy",
            "StartPosition": {"Line": line, "Column": column},
            "EndPosition": {"Line": end_line, "Column": end_column},
        }


@iam.action("SimulateCustomPolicy")
async def simulate_custom_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    if p.get("ResourcePolicy") and not p.get("CallerArn"):
        raise InvalidInput("CallerArn is required when ResourcePolicy is specified.")
    return _simulated(call, p, (), None, p.get("CallerArn") or "")


@iam.action("SimulatePrincipalPolicy")
async def simulate_principal_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """With the policies of a user (those of its groups too), of a group or of a role, and those of the request."""
    sources, boundary = await _of_principal(call, p)
    for identifier in p.get("PolicyExclusionList") or ():
        sources, boundary = exclude(identifier, sources, boundary)
    return _simulated(call, p, sources, boundary, p.get("CallerArn") or p["PolicySourceArn"])


@iam.action("GetContextKeysForCustomPolicy")
async def get_context_keys_for_custom_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    return {"ContextKeyNames": policysources.keys(each.text for each in _given(p, "PolicyInputList"))}


@iam.action("GetContextKeysForPrincipalPolicy")
async def get_context_keys_for_principal_policy(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    sources, _ = await _of_principal(call, p)
    return {"ContextKeyNames": policysources.keys(each.text for each in (*sources, *_given(p, "PolicyInputList")))}


# --- what a request gives ---------------------------------------------------------------------------------------------


async def _of_principal(call: Call, p: Mapping[str, Any]) -> tuple[tuple[Source, ...], Source | None]:
    found = _CALLER.match(p["PolicySourceArn"])
    if found is None or found[2] == "root" or found[3] is None:
        raise InvalidInput(f"Invalid Entity Arn: {p['PolicySourceArn']} does not clearly define entity type and name.")
    held = await sources_of(call.tx, found[1], found[2], found[3]) if found[1] == call.account else None
    if held is None:
        raise NoSuchEntity(f"The {found[2]} with name {found[3]} cannot be found.")
    row, sources = held
    bound: str = (row.boundary if found[2] != "group" else None) or ""
    text = await text_of(call.tx, bound) if bound else None
    return sources, None if text is None else Source(bound.rpartition("/")[2], text, arn=bound)


def _given(p: Mapping[str, Any], member: str) -> tuple[Source, ...]:
    return _read(p.get(member) or (), member)


def _read(texts: Iterable[str], name: str) -> tuple[Source, ...]:
    found = tuple(Source(f"{name}.{number}", text) for number, text in enumerate(texts, 1))
    for each in found:
        try:
            policygrammar.identity(each.text)
        except MalformedPolicy as error:
            raise InvalidInput(error.text) from error
    return found


def _simulated(
    call: Call, p: Mapping[str, Any], sources: tuple[Source, ...], boundary: Source | None, caller: str
) -> dict[str, Any]:
    simulation = _simulation(call, p, sources, boundary, caller)
    resources = p.get("ResourceArns") or ["*"]
    _check_resources(resources, p.get("ResourceHandlingOption"))
    for action in p["ActionNames"]:
        if not _ACTION.match(action):
            raise InvalidInput(f"Invalid Action: {action} is not the name of an action.")
    actions = [(f"{number:06}", action) for number, action in enumerate(p["ActionNames"])]

    def shown(each: tuple[str, str]) -> dict[str, Any]:
        return _result(simulation, each[1], resources)

    return listed(call, p, "EvaluationResults", actions, key=lambda each: each[0], shown=shown)


def _simulation(
    call: Call, p: Mapping[str, Any], sources: tuple[Source, ...], boundary: Source | None, caller: str
) -> Simulation:
    named = _CALLER.match(caller)
    if caller and named is None:
        raise InvalidInput(f"Invalid Entity Arn: {caller} does not clearly define entity type and name.")
    boundaries = _given(p, "PermissionsBoundaryPolicyInputList")
    if len(boundaries) > 1:
        raise InvalidInput("Only one permissions boundary policy can be specified.")
    account = call.account if named is None else named[1]
    owner = _OWNER.match(p.get("ResourceOwner") or account)
    if owner is None:
        raise InvalidInput(f"Invalid ResourceOwner: {p['ResourceOwner']} is not an account.")
    levels = [
        each.get("ServiceControlPolicyInputList") or () for each in p.get("OrderedOrganizationPolicyInputList") or ()
    ]
    resource = None
    if p.get("ResourcePolicy"):
        resource = Source("ResourcePolicy", p["ResourcePolicy"])
        try:
            policies.parse(resource.text)
        except MalformedPolicy as error:
            raise InvalidInput(error.text) from error
    return Simulation(
        identity=(*sources, *_given(p, "PolicyInputList")),
        boundary=boundaries[0] if boundaries else boundary,
        organization=tuple(_read(level, "ServiceControlPolicyInputList") for level in levels),
        resource=resource,
        caller=caller,
        account=account,
        owner=owner[1],
        context=_context(p.get("ContextEntries") or (), named, caller),
    )


def _context(
    entries: Iterable[Mapping[str, Any]], named: re.Match[str] | None, caller: str
) -> dict[str, str | list[str]]:
    """What the caller's ARN says, and over it the entries: several values, or one where its type is a list."""
    found: dict[str, str | list[str]] = {}
    if named is not None:
        found |= {"aws:principalarn": caller, "aws:principalaccount": named[1]}
        if named[2] == "user":
            found |= {"aws:username": named[3], "aws:principaltype": "User"}
    for entry in entries:
        values = list(entry.get("ContextKeyValues") or ())
        single = len(values) == 1 and not (entry.get("ContextKeyType") or "").endswith("List")
        found[(entry.get("ContextKeyName") or "").lower()] = values[0] if single else values
    return found


def _check_resources(resources: Sequence[str], handling: str | None) -> None:
    for resource in resources:
        if resource != "*" and not (resource.startswith("arn:") and resource.count(":") >= 5):
            raise InvalidInput(f"Invalid Resource Arn: {resource} is not in ARN format.")
    if handling is None:
        return
    wanted = _HANDLED.get(handling)
    if wanted is None:
        raise InvalidInput(f"Invalid ResourceHandlingOption: {handling}.")
    kinds = {each.rpartition(":")[2].partition("/")[0] for each in resources}
    missing = [each for each in wanted if each not in kinds]
    if missing:
        raise InvalidInput(f"ResourceHandlingOption {handling} requires resources of type {', '.join(missing)}.")


# --- what is answered -------------------------------------------------------------------------------------------------


def _result(simulation: Simulation, action: str, resources: Sequence[str]) -> dict[str, Any]:
    """The most restrictive of all resources; with one resource, that one."""
    each = [(resource, simulation.result(action, resource)) for resource in resources]
    decision = next(one for one in _STRICTEST if any(result["Decision"] == one for _, result in each))
    deciding = [result for _, result in each if result["Decision"] == decision]
    answer: dict[str, Any] = {
        "EvalActionName": action,
        "EvalResourceName": resources[0] if len(resources) == 1 else "*",
        "EvalDecision": decision,
        "MatchedStatements": _union(result["MatchedStatements"] for result in deciding),
        "MissingContextValues": _union(result["MissingContextValues"] for _, result in each),
    }
    for detail in ("OrganizationsDecisionDetail", "PermissionsBoundaryDecisionDetail"):
        if any(detail in result for _, result in each):
            found = [result[detail] for _, result in each if detail in result]
            answer[detail] = {name: all(one[name] for one in found) for name in found[0]}
    if resources == ["*"]:
        return answer
    details = [result["EvalDecisionDetails"] for _, result in each if "EvalDecisionDetails" in result]
    answer["EvalDecisionDetails"] = {
        name: next(one for one in _STRICTEST if any(detail[name] == one for detail in details))
        for name in _names(details)
    }
    answer["ResourceSpecificResults"] = [_specific(resource, result) for resource, result in each]
    return answer


def _names(details: Sequence[Mapping[str, str]]) -> Iterable[str]:
    return details[0] if details else ()


def _specific(resource: str, result: Mapping[str, Any]) -> dict[str, Any]:
    members = {name: value for name, value in result.items() if name not in ("Decision", "OrganizationsDecisionDetail")}
    return {"EvalResourceName": resource, "EvalResourceDecision": result["Decision"], **members}


def _union(lists: Iterable[list[Any]]) -> list[Any]:
    found: list[Any] = []
    for each in lists:
        found.extend(one for one in each if one not in found)
    return found


def _decision(verdict: Verdict) -> str:
    return _ALLOWED if verdict.allowed else _EXPLICIT if verdict.explicit else _IMPLICIT


def _attached(sources: Iterable[Source]) -> tuple[Attached, ...]:
    return tuple(Attached(each.id, policygrammar.identity(each.text)) for each in sources)
