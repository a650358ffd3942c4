"""What all policies that speak of a request say together, as AWS documents it. Pure.

    powers = Powers(identity=(Attached("arn:aws:iam::aws:policy/ReadOnlyAccess", policy),), boundary=…, session=…)
    verdict = evaluate(powers, question, resource_policy=bucket_policy, resource_account=owner)
    verdict.allowed, verdict.because        # False, "because no identity-based policy allows the s3:PutObject action"

    any policy denies                                            ─► no
    the resource's policy names the caller itself, same account  ─► yes (neither boundary nor session policies are asked)
    it names the role or user whose session the caller is        ─► as if an identity's policy allowed
    it names the account                                         ─► the account decides: an identity's policy must allow
    no identity's policy allows (the root user needs none)       ─► no
    there is a boundary, or there are session policies, and none of them allows ─► no
    the resource is another account's or a role, and its policy does not allow  ─► no
    else                                                         ─► yes

An anonymous request has no policies of its own: the resource's alone decides. `trusts` asks a role's trust policy about
principals that have no account: services, and who comes by an identity provider.

Powers remember, for each action, which of their statements speak of it, so that a question costs what few statements cost
however many policies are attached: keep a `Powers` as long as the policies stay what they are.
Source: "Policy evaluation logic" (and its table "Resource-based policies and implicit denies in other policy types"),
"Cross-account policy evaluation logic", "Troubleshoot access denied error messages", IAM guide.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from functools import cached_property

import msgspec

from eucapy.aws.policystatements import DIRECT, NOBODY, OF_PARENT, Policy, Question, Rule

IDENTITY, BOUNDARY, SESSION = "identity-based policy", "permissions boundary", "session policy"
RESOURCE, TRUST = "resource-based policy", "role trust policy"
_MOST_ACTIONS = 2048


class Attached(msgspec.Struct, frozen=True):
    """A policy and where it is from: its ARN, or "inline NAME"."""

    source: str
    policy: Policy


class Matched(msgspec.Struct, frozen=True):
    """A statement that spoke of the request. `kind`: IDENTITY, BOUNDARY, SESSION, RESOURCE or TRUST; `index` counts a
    policy's statements from 0; `source` is empty for the resource's own policy."""

    kind: str
    source: str
    index: int
    sid: str
    effect: str


class Verdict(msgspec.Struct, frozen=True):
    """`explicit`: a statement denies. `because` is empty with an allowed request; else it is how AWS's message of an access
    denied goes on after "User: … is not authorized to perform: … on resource: … "."""

    allowed: bool
    explicit: bool
    because: str
    matched: tuple[Matched, ...]


class _Ruling(msgspec.Struct, frozen=True):
    """A rule and the policy that it is from."""

    rule: Rule
    kind: str
    source: str

    def matched(self) -> Matched:
        statement = self.rule.statement
        return Matched(self.kind, self.source, self.rule.index, statement.sid, statement.effect)


class _Concerned(msgspec.Struct, frozen=True):
    """The rules that regard one action. None: there is no such policy, so that nothing is limited."""

    denies: tuple[_Ruling, ...]
    identity: tuple[_Ruling, ...]
    boundary: tuple[_Ruling, ...] | None
    session: tuple[_Ruling, ...] | None
    keys: frozenset[str]

    def all(self) -> Iterator[_Ruling]:
        yield from self.denies
        yield from self.identity
        yield from self.boundary or ()
        yield from self.session or ()


class Powers(msgspec.Struct, frozen=True, dict=True):
    """What a caller brings along. `session` None: no session policies were given; empty: the session may do nothing that a
    resource's policy does not allow to it by its own name. `root`: an account's root user, which needs no policy."""

    identity: tuple[Attached, ...] = ()
    boundary: Attached | None = None
    session: tuple[Attached, ...] | None = None
    root: bool = False

    @cached_property
    def _by_action(self) -> dict[str, _Concerned]:
        return {}

    def concerned(self, action: str) -> _Concerned:
        found = self._by_action.get(action)
        if found is None:
            if len(self._by_action) >= _MOST_ACTIONS:
                self._by_action.clear()
            found = self._by_action[action] = self._sorted(action.lower())
        return found

    def forget(self) -> None:
        """Sort anew what is asked next: for whoever measures."""
        self._by_action.clear()

    def _sorted(self, action: str) -> _Concerned:
        boundary = None if self.root else self.boundary
        identity = list(_regarding(() if self.root else self.identity, IDENTITY, action))
        limits = list(_regarding(() if boundary is None else (boundary,), BOUNDARY, action))
        session = list(_regarding(self.session or (), SESSION, action))
        return _Concerned(
            tuple(each for each in (*identity, *limits, *session) if each.rule.deny),
            tuple(each for each in identity if not each.rule.deny),
            None if boundary is None else tuple(each for each in limits if not each.rule.deny),
            None if self.session is None else tuple(each for each in session if not each.rule.deny),
            frozenset[str]().union(*(each.rule.keys for each in (*identity, *limits, *session))),
        )

    def keys(self, action: str) -> frozenset[str]:
        """The keys of a request's context that the answer for an action may depend on, in lower case: what is not among them
        need not be looked up."""
        return self.concerned(action).keys


def _regarding(policies: Iterable[Attached], kind: str, action: str) -> Iterator[_Ruling]:
    for attached in policies:
        for rule in attached.policy.rules:
            if rule.regards(action):
                yield _Ruling(rule, kind, attached.source)


def evaluate(
    powers: Powers,
    question: Question,
    *,
    resource_policy: Policy | None = None,
    resource_account: str = "",
    kind: str = RESOURCE,
) -> Verdict:
    """Whether the caller may. `resource_account` owns the resource; empty: the caller's own account does. `kind` TRUST: the
    policy is a role's trust policy (sts:AssumeRole and the like), without whose consent nobody may."""
    concerned = powers.concerned(question.action)
    granted, granting, denying = _asked(resource_policy, question, kind)
    for each in concerned.denies:
        if each.rule.applies(question):
            return _denied(each)
    if denying is not None:
        return _denied(denying)
    if not question.account:
        return _allowed(granting) if granting is not None else _silent(kind, question)
    foreign = resource_account not in ("", question.account)
    if granted == DIRECT and not foreign:
        return _allowed(granting)
    deciding = [granting]
    if not powers.root and (foreign or granted != OF_PARENT):
        deciding.append(_first(concerned.identity, question))
        if deciding[-1] is None:
            return _silent(IDENTITY, question)
    for limit, rulings in ((BOUNDARY, concerned.boundary), (SESSION, concerned.session)):
        if rulings is None:
            continue
        deciding.append(_first(rulings, question))
        if deciding[-1] is None:
            return _silent(limit, question)
    if granting is None and (foreign or kind == TRUST):
        return _silent(kind, question)
    return _allowed(*deciding)


def trusts(trust: Policy, question: Question, kinds: Collection[tuple[str, str]]) -> Verdict:
    """Whether a role's trust policy lets principals in that have no policies of their own, as `kinds` names them:
    ("Federated", the provider's ARN or its well-known name), ("Service", "ec2.amazonaws.com"). What the role's own account
    or another account's users may is asked of `evaluate`, with `kind=TRUST`."""
    asked = msgspec.structs.replace(question, arn="", account="", parent="", kinds=tuple(kinds))
    return evaluate(_NO_POWERS, asked, resource_policy=trust, kind=TRUST)


def explain(
    powers: Powers, question: Question, *, resource_policy: Policy | None = None, resource_account: str = ""
) -> tuple[Verdict, tuple[Matched, ...]]:
    """The verdict, and every statement of every policy that is about the request and whose conditions hold, the denying ones
    first: what AWS's simulator shows, and `eucapy explain`."""
    verdict = evaluate(powers, question, resource_policy=resource_policy, resource_account=resource_account)
    found = [each.matched() for each in powers.concerned(question.action).all() if each.rule.applies(question)]
    found.extend(each.matched() for each, level in _resource_rulings(resource_policy, question, RESOURCE))
    return verdict, tuple(sorted(found, key=lambda each: each.effect, reverse=True))


_NO_POWERS = Powers()


def _asked(policy: Policy | None, question: Question, kind: str) -> tuple[int, _Ruling | None, _Ruling | None]:
    """(how its best Allow means the caller, that Allow, the first Deny)."""
    granted, granting = NOBODY, None
    for ruling, level in _resource_rulings(policy, question, kind):
        if ruling.rule.deny:
            return granted, granting, ruling
        if level > granted:
            granted, granting = level, ruling
    return granted, granting, None


def _resource_rulings(policy: Policy | None, question: Question, kind: str) -> Iterator[tuple[_Ruling, int]]:
    if policy is None:
        return
    action = question.action.lower()
    for rule in policy.rules:
        if rule.regards(action):
            level = rule.level(question)
            if level != NOBODY and rule.applies(question):
                yield _Ruling(rule, kind, ""), level


def _first(rulings: Iterable[_Ruling], question: Question) -> _Ruling | None:
    for each in rulings:
        if each.rule.applies(question):
            return each
    return None


def _allowed(*rulings: _Ruling | None) -> Verdict:
    return Verdict(True, False, "", tuple(each.matched() for each in rulings if each is not None))


def _denied(ruling: _Ruling) -> Verdict:
    article = {IDENTITY: "an", TRUST: "the"}.get(ruling.kind, "a")
    return Verdict(False, True, f"with an explicit deny in {article} {ruling.kind}", (ruling.matched(),))


def _silent(kind: str, question: Question) -> Verdict:
    return Verdict(False, False, f"because no {kind} allows the {question.action} action", ())
