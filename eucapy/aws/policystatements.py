"""What a policy says, taken apart: `Policy`, `Statement`, and the `Question` that one is asked; and statements made ready
to be asked: a `Rule` is a statement whose patterns, conditions and principals are compiled. Pure.

`policy.parse` and `policygrammar.py` make policies of texts, `policy.decide` and `evaluation.py` answer questions. A rule is
asked in three steps, the cheapest first, so that whoever has many policies asks few of them much: `regards(action)` once
for an action (`evaluation.py` keeps the answer), then `applies(question)` for resource and conditions, and for a policy of
a resource `level(question)`, how the principal is meant.

Keys of a question's context are lower-case; a value is a text or a list of texts. What a key means, and which there are, is
the service's business.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property

import msgspec

from eucapy.aws import policyconditions
from eucapy.aws.errors import ApiError
from eucapy.aws.policyconditions import Condition
from eucapy.aws.policymatching import Context, Matcher, matcher, variables_in

ALLOW, DENY = "Allow", "Deny"
NEWEST, OLDEST = "2012-10-17", "2008-10-17"
VERSIONS = (NEWEST, OLDEST)
ACCOUNT = re.compile(r"\d{12}\Z", re.ASCII)
ARN = re.compile(r"arn:aws[a-z-]*:(?:iam|sts)::(\d{12}):(root|(?:user|role|assumed-role|federated-user)/[^*?]+)\Z")
"""Of a principal. Group 1 is its account, group 2 what follows."""


NOBODY, OF_ACCOUNT, OF_PARENT, DIRECT = 0, 1, 2, 3
"""How a statement names a principal: not at all; its account, which then decides itself; the role or user whose session it
is; itself, or everybody."""

_EVERYTHING = frozenset({"*", "**"})


class MalformedPolicy(ApiError):
    """The document is not a policy."""


class Statement(msgspec.Struct, frozen=True):
    """One statement. `principals` are (kind, value); None: the statement names none, as in a policy of an identity."""

    effect: str
    principals: tuple[tuple[str, str], ...] | None
    not_principal: bool
    actions: tuple[str, ...]
    not_action: bool
    resources: tuple[str, ...]
    not_resource: bool
    conditions: tuple[tuple[str, str, tuple[str, ...]], ...]  # operator, key, values
    sid: str = ""


class Policy(msgspec.Struct, frozen=True, dict=True):
    """A parsed document. Its rules are compiled when it is first asked, and once."""

    statements: tuple[Statement, ...]
    version: str = NEWEST
    """Policy variables are texts like others in a policy of the oldest version."""

    @cached_property
    def rules(self) -> tuple[Rule, ...]:
        return compiled(self)


class Question(msgspec.Struct, frozen=True):
    """May this principal do this to that?

    `account` is empty for an anonymous request; `ids` are other names that the principal's account goes by (S3's canonical
    id). `parent` is whose session the principal is: the role's ARN of an assumed role, the user's of a federated user.
    `kinds` are principals of other kinds that ask: ("Service", "ec2.amazonaws.com"), ("Federated", ARN of a provider).
    """

    arn: str
    account: str
    ids: frozenset[str]
    action: str
    resource: str
    context: Context
    parent: str = ""
    kinds: tuple[tuple[str, str], ...] = ()


class Rule:
    """A compiled statement. `index` is its place in its policy, from 0. What is asked after `regards` is compiled when it is
    first asked: most statements of most principals never are."""

    __slots__ = (
        "_accounts", "_actions", "_arns", "_canonical", "_conditions", "_everybody", "_exact", "_kinds", "_resources",
        "_variables", "_where_all", "deny", "index", "keys", "statement",
    )  # fmt: skip
    _resources: tuple[Matcher, ...]
    _conditions: tuple[Condition, ...] | None

    def __init__(self, statement: Statement, index: int, *, variables: bool) -> None:
        self.statement = statement
        self.index = index
        self.deny = statement.effect == DENY
        wild = [each.lower() for each in statement.actions if "*" in each or "?" in each]
        self._exact = frozenset(each.lower() for each in statement.actions)
        self._actions = tuple(matcher(each, variables=False) for each in wild)
        self._where_all = not statement.not_resource and not _EVERYTHING.isdisjoint(statement.resources)
        self._variables = variables
        self._conditions = None
        self.keys = _keys(statement) if variables else frozenset(key for _, key, _ in statement.conditions)
        self._name_principals(statement.principals or ())

    def _name_principals(self, principals: Sequence[tuple[str, str]]) -> None:
        self._everybody = ("AWS", "*") in principals
        self._kinds = frozenset(each for each in principals if each[0] not in ("AWS", "CanonicalUser"))
        self._canonical = frozenset(value for kind, value in principals if kind == "CanonicalUser")
        arns: set[str] = set()
        accounts: set[str] = set()
        for kind, value in principals:
            found = ARN.match(value) if kind == "AWS" else None
            if kind == "AWS" and ACCOUNT.match(value):
                accounts.add(value)
                arns.add(f"arn:aws:iam::{value}:root")
            elif found is not None:
                arns.add(value)
                if found.group(2) == "root":
                    accounts.add(found.group(1))
        self._arns, self._accounts = frozenset(arns), frozenset(accounts)

    def regards(self, action: str) -> bool:
        """Whether the statement is about the action, which comes in lower case."""
        found = action in self._exact or any(match(action, {}) for match in self._actions)
        return found != self.statement.not_action

    def applies(self, question: Question) -> bool:
        """Whether it is about the resource, and all conditions hold."""
        context = question.context
        if self._conditions is None:
            self._compile()
        if not self._where_all:
            resource = question.resource
            found = False
            for match in self._resources:
                if match(resource, context):
                    found = True
                    break
            if found == self.statement.not_resource:
                return False
        for holds in self._conditions or ():  # noqa: SIM110 -- a generator costs more than what it would ask
            if not holds(context):
                return False
        return True

    def _compile(self) -> None:
        statement, variables = self.statement, self._variables
        self._resources = tuple(matcher(each, variables=variables, arn=True) for each in statement.resources)
        self._conditions = tuple(
            policyconditions.compiled(operator, key, values, variables=variables)
            for operator, key, values in statement.conditions
        )

    def level(self, question: Question) -> int:
        """How the statement means the principal: NOBODY, OF_ACCOUNT, OF_PARENT or DIRECT.

        A statement with NotPrincipal means everybody but those it names one by one: an account that is named there is its
        root user alone, a role is not its sessions. Source: "NotPrincipal", IAM guide.
        """
        if self.statement.principals is None:
            return DIRECT
        if self.statement.not_principal:
            spared = self._is_named(question) or not self._canonical.isdisjoint(question.ids)
            return NOBODY if spared else DIRECT
        if self._is_named(question):
            return DIRECT
        if question.parent and question.parent in self._arns:
            return OF_PARENT
        if question.account in self._accounts or not self._canonical.isdisjoint(question.ids):
            return OF_ACCOUNT
        return NOBODY

    def _is_named(self, question: Question) -> bool:
        if self._everybody or (question.account != "" and question.arn in self._arns):
            return True
        return bool(question.kinds) and not self._kinds.isdisjoint(question.kinds)


def compiled(policy: Policy) -> tuple[Rule, ...]:
    """A rule for each statement, in their order."""
    variables = policy.version == NEWEST
    return tuple(Rule(each, index, variables=variables) for index, each in enumerate(policy.statements))


def _keys(statement: Statement) -> frozenset[str]:
    of_conditions = (policyconditions.keys_of(*condition) for condition in statement.conditions)
    return frozenset().union(*of_conditions, *map(variables_in, statement.resources))
