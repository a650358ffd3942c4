"""How an operation declares what it takes to be allowed: an IAM action on each resource that the request is about.

    "AttachVolume": needs(of("instance", "InstanceId"), of("volume", "VolumeId")),

A declaration turns the parameters of a request into `Ask`s: the operation's own action on every resource, further actions
(`ec2:CreateTags` for tags that come with a request, `iam:PassRole` for a role that is handed on) on theirs. All must be
allowed. Pure: what only rows know (tags of a resource, its VPC, whose an association id is) is left open here (`via`) and
filled in by `eucapy/clc/resource_facts.py`, where a policy asks for it.

Source: the "Actions, resources, and condition keys" tables of the Service Authorization Reference, one for each service.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

Facts = Mapping[str, "str | list[str]"]
Params = Mapping[str, Any]


class Scope(msgspec.Struct, frozen=True):
    """Where a request is made: whose account, in which region, and as which user ("" for none)."""

    account: str
    region: str
    user: str = ""
    user_path: str = "/"


class Kind(msgspec.Struct, frozen=True):
    """A resource type of a service. `arn` has `{region}`, `{account}` and `{id}`; `keys` are its condition keys, tags aside;
    `own` the one of them that is the id itself."""

    name: str
    arn: str
    own: str = ""
    keys: tuple[str, ...] = ()


class Touched(msgspec.Struct, frozen=True):
    """One resource of a request. `id` is "" for one that is still to be made; `via` says by what else `id` names it
    (an association, a name), where only rows know the resource. `facts` are condition keys that the request itself gives."""

    kind: Kind
    id: str = ""
    via: str = ""
    facts: Facts = {}

    def arn(self, scope: Scope) -> str:
        """An id that cannot be one (an ARN has no wildcards of its own) stands for itself: nothing matches it by chance."""
        return self.kind.arn.format(region=scope.region, account=scope.account, id=self.id or "*")


class Ask(msgspec.Struct, frozen=True):
    """One action on one resource; `touched` None: on no resource in particular ("*")."""

    action: str
    touched: Touched | None
    facts: Facts = {}


Target = Callable[[Params, Scope], Iterable[Touched]]
Further = Callable[[Params, Scope], Iterable[Ask]]
RequestFacts = Callable[[Params, Scope], Facts]


def _no_facts(p: Params, scope: Scope) -> Facts:
    return {}


def _nothing(p: Params, scope: Scope) -> Iterable[Touched]:
    return ()


class Declaration(msgspec.Struct, frozen=True):
    """What an operation needs. `kinds`: the resource types of its action; none: it is allowed on "*" alone. `says`:
    condition keys that the parameters give for every resource, `says_keys` their names. `further`: other actions,
    `also` the names of those. `free`: allowed to everybody who is somebody, whatever policies say. `action` where it is
    not the operation's name. `decides_itself`: the handler asks, because another policy has its say too."""

    targets: tuple[Target, ...] = ()
    kinds: tuple[Kind, ...] = ()
    says: RequestFacts = _no_facts
    says_keys: tuple[str, ...] = ()
    further: tuple[Further, ...] = ()
    free: bool = False
    action: str = ""
    also: tuple[str, ...] = ()
    decides_itself: bool = False

    def asks(self, service: str, operation: str, p: Params, scope: Scope) -> list[Ask]:
        """What has to be allowed for this request; the first that is refused is told."""
        if self.free or self.decides_itself:
            return []
        action = self.action or f"{service}:{operation}"
        facts = self.says(p, scope)
        asks = [Ask(action, touched, facts) for target in self.targets for touched in target(p, scope)]
        if not asks:
            asks.append(Ask(action, Touched(self.kinds[0]) if self.kinds else None, facts))
        for more in self.further:
            asks.extend(more(p, scope))
        return asks

    def resources(self, service: str, operation: str, p: Params, scope: Scope) -> list[Ask]:
        """As `asks`, of operations too that everybody may call or that ask for themselves."""
        if self.free or self.decides_itself:
            return [Ask(operation, touched) for target in self.targets for touched in target(p, scope)]
        return self.asks(service, operation, p, scope)

    def condition_keys(self) -> tuple[str, ...]:
        """The keys of its own that a condition on the action may use, those that every action has aside."""
        keys = [key for kind in self.kinds for key in (*(kind.keys), kind.own) if key]
        return tuple(sorted({*keys, *self.says_keys}))


def values(p: Any, path: str) -> list[Any]:
    """What stands at a dotted path; lists on the way are gone through. What is not there is left out."""
    found = [p]
    for name in path.split("."):
        found = [each.get(name) for each in found if isinstance(each, Mapping)]
        found = [inner for each in found for inner in (each if isinstance(each, list | tuple) else [each])]
    return [each for each in found if each not in (None, "")]


class Targets:
    """The targets of a service, by the names of its resource types."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self.kinds = {kind.name: kind for kind in kinds}

    def of(self, name: str, *paths: str, **via: str) -> tuple[Kind, Target]:
        """Resources that the request names; where it names none, any of the type. `via`: the member by which something
        else names one, and what that is."""
        return self._target(name, paths, via, required=True)

    def maybe(self, name: str, *paths: str, **via: str) -> tuple[Kind, Target]:
        """Resources that the request may name."""
        return self._target(name, paths, via, required=False)

    def new(self, name: str, facts: RequestFacts = _no_facts) -> tuple[Kind, Target]:
        """A resource that is to be made; its id is not known yet. `facts`: what the request says of it."""
        kind = self.kinds[name]
        return kind, lambda p, scope: (Touched(kind, facts={**facts(p, scope), **new_tags(p, name)}),)

    def new_as(self, name: str, path: str, facts: RequestFacts = _no_facts) -> tuple[Kind, Target]:
        """A resource that is to be made under a name that the request gives."""
        kind = self.kinds[name]
        return kind, lambda p, scope: (
            Touched(kind, str(p.get(path) or ""), "", {**facts(p, scope), **new_tags(p, name)}),
        )

    def via(self, name: str, path: str, how: str) -> tuple[Kind, Target]:
        """A resource that is to be made, of which only the rows of something that the request names know more."""
        kind = self.kinds[name]
        return kind, lambda p, scope: (Touched(kind, str(p.get(path) or ""), how, new_tags(p, name)),)

    def some(self, target: Target, *names: str) -> tuple[tuple[Kind, Target], ...]:
        """Resources of several types, found together."""
        first, *others = (self.kinds[name] for name in names)
        return (first, target), *((kind, _nothing) for kind in others)

    def _target(
        self, name: str, paths: tuple[str, ...], via: Mapping[str, str], *, required: bool
    ) -> tuple[Kind, Target]:
        kind = self.kinds[name]

        def touched(p: Params, scope: Scope) -> list[Touched]:
            # Both, where a request gives both: which of them the operation goes by is not known here.
            found = [(str(each), "") for path in paths for each in values(p, path)]
            found += [(str(each), how) for path, how in via.items() for each in values(p, path)]
            named = [Touched(kind, each, how) for each, how in dict.fromkeys(found)]
            return named or ([Touched(kind)] if required else [])

        return kind, touched


def needs(
    *targets: tuple[Kind, Target],
    says: RequestFacts = _no_facts,
    says_keys: Iterable[str] = (),
    further: Iterable[Further] = (),
    also: Iterable[str] = (),
    action: str = "",
) -> Declaration:
    """The operation's action on all the targets, and `further` ones; `also` names the actions of those."""
    return Declaration(
        targets=tuple(target for _, target in targets),
        kinds=tuple(dict.fromkeys(kind for kind, _ in targets)),
        says=says,
        says_keys=tuple(says_keys),
        further=tuple(further),
        also=tuple(also),
        action=action,
    )


ON_ALL = needs()
"""No resource types: a policy allows it on "*" alone."""
FREE = Declaration(free=True)
"""Nobody can be kept from it. Source: GetCallerIdentity, "No permissions are required to perform this operation"."""


def tag_facts(tags: Iterable[Mapping[str, Any]]) -> dict[str, str | list[str]]:
    """aws:RequestTag/… and aws:TagKeys of tags as requests give them."""
    found: dict[str, str | list[str]] = {}
    keys: list[str] = []
    for tag in tags:
        key = str(tag.get("Key") or "")
        keys.append(key)
        found[f"aws:requesttag/{key}".lower()] = str(tag.get("Value") or "")
    if keys:
        found["aws:tagkeys"] = keys
    return found


def new_tags(p: Params, name: str) -> dict[str, str | list[str]]:
    """The tags that a request gives to the new resources of a type (EC2's TagSpecifications), or to what it makes (Tags)."""
    tags = list(p.get("Tags") or ())
    for specification in p.get("TagSpecifications") or ():
        if (specification.get("ResourceType") or name) == name:
            tags.extend(specification.get("Tags") or ())
    return tag_facts(tags)
