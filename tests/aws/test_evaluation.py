"""What policies of all kinds say together: AWS's documented cases as tables, and its words for each refusal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from eucapy.aws import policy as policies
from eucapy.aws.evaluation import TRUST, Attached, Powers, evaluate, explain, trusts
from eucapy.aws.policy import Policy, Question

OURS, THEIRS = "111122223333", "444455556666"
USER = f"arn:aws:iam::{OURS}:user/ann"
ROLE = f"arn:aws:iam::{OURS}:role/app/reader"
SESSION = f"arn:aws:sts::{OURS}:assumed-role/reader/s1"
FEDERATED = f"arn:aws:sts::{OURS}:federated-user/fred"
ROOT = f"arn:aws:iam::{OURS}:root"
KEY = "arn:aws:s3:::b/k"


def statement(effect: str = "Allow", action: Any = "s3:*", resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": resource} | more


def policy(*statements: dict[str, Any]) -> Policy:
    text = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
    return policies.parse(text, of_resource=any("Principal" in s or "NotPrincipal" in s for s in statements))


ALLOW, DENY, SILENT = policy(statement()), policy(statement("Deny")), policy(statement(action="ec2:*"))


def powers(identity: Policy | None = None, boundary: Policy | None = None, session: Policy | None = None) -> Powers:
    return Powers(
        () if identity is None else (Attached("inline i", identity),),
        None if boundary is None else Attached("arn:boundary", boundary),
        None if session is None else (Attached("session", session),),
    )


def question(arn: str = USER, action: str = "s3:GetObject", resource: str = KEY, **context: str) -> Question:
    parent = {SESSION: ROLE, FEDERATED: USER}.get(arn, "")
    account = "" if ":" not in arn else arn.split(":")[4]
    return Question(arn, account, frozenset(), action, resource, context, parent)


def bucket(principal: Any, effect: str = "Allow", **more: Any) -> Policy:
    return policy(statement(effect, Principal=principal, **more))


@pytest.mark.parametrize(
    ("arn", "names", "identity", "boundary", "session", "allowed"),
    [  # Source: "Resource-based policies and implicit denies in other policy types (same account)"
        (USER, USER, None, None, None, True),
        (USER, USER, SILENT, SILENT, None, True),
        (SESSION, ROLE, None, None, None, True),
        (SESSION, ROLE, SILENT, SILENT, SILENT, False),
        (SESSION, ROLE, SILENT, ALLOW, SILENT, False),
        (SESSION, ROLE, SILENT, ALLOW, ALLOW, True),
        (SESSION, SESSION, SILENT, SILENT, SILENT, True),
        (FEDERATED, USER, SILENT, SILENT, SILENT, False),
        (FEDERATED, USER, SILENT, ALLOW, ALLOW, True),
        (FEDERATED, FEDERATED, SILENT, SILENT, SILENT, True),
        (USER, OURS, None, None, None, False),  # the account is meant: it decides by its own policies
        (USER, OURS, ALLOW, None, None, True),
        (USER, "*", None, SILENT, None, True),
        (USER, f"arn:aws:iam::{OURS}:user/bob", None, None, None, False),
    ],
)
def test_a_resources_policy_and_what_the_others_do_not_say(
    arn: str, names: str, identity: Policy | None, boundary: Policy | None, session: Policy | None, allowed: bool
) -> None:
    asked = powers(identity, boundary, session)
    assert evaluate(asked, question(arn), resource_policy=bucket({"AWS": names})).allowed is allowed
    for denying in (powers(DENY, boundary, session), powers(identity, DENY, session), powers(identity, boundary, DENY)):
        verdict = evaluate(denying, question(arn), resource_policy=bucket({"AWS": names}))
        assert not verdict.allowed
        assert verdict.explicit


@pytest.mark.parametrize(
    ("identity", "names", "allowed"),
    [
        (ALLOW, {"AWS": OURS}, True),
        (ALLOW, {"AWS": USER}, True),
        (ALLOW, "*", True),
        (None, {"AWS": USER}, False),
        (None, "*", False),
        (SILENT, {"AWS": OURS}, False),
        (ALLOW, {"AWS": THEIRS}, False),
        (DENY, {"AWS": USER}, False),
    ],
)
def test_across_accounts_both_sides_must_consent(identity: Policy | None, names: Any, allowed: bool) -> None:
    verdict = evaluate(powers(identity), question(), resource_policy=bucket(names), resource_account=THEIRS)
    assert verdict.allowed is allowed


def test_across_accounts_a_boundary_and_a_session_limit_whoever_is_named() -> None:
    for limited in (powers(ALLOW, SILENT), powers(ALLOW, None, SILENT)):
        named = bucket({"AWS": SESSION})
        assert not evaluate(limited, question(SESSION), resource_policy=named, resource_account=THEIRS).allowed
        assert evaluate(limited, question(SESSION), resource_policy=named).allowed


@pytest.mark.parametrize(
    ("asked", "because"),
    [
        (powers(), "because no identity-based policy allows the s3:GetObject action"),
        (powers(ALLOW, SILENT), "because no permissions boundary allows the s3:GetObject action"),
        (powers(ALLOW, None, SILENT), "because no session policy allows the s3:GetObject action"),
        (powers(DENY), "with an explicit deny in an identity-based policy"),
        (powers(ALLOW, DENY), "with an explicit deny in a permissions boundary"),
        (powers(ALLOW, ALLOW, DENY), "with an explicit deny in a session policy"),
        (powers(ALLOW, ALLOW, ALLOW), ""),
    ],
)
def test_a_refusal_says_which_kind_of_policy_refuses(asked: Powers, because: str) -> None:
    assert evaluate(asked, question(SESSION)).because == because


def test_a_refusal_of_the_resource_names_its_policy() -> None:
    denied = evaluate(powers(ALLOW), question(), resource_policy=bucket("*", "Deny"))
    assert denied.because == "with an explicit deny in a resource-based policy"
    foreign = evaluate(powers(ALLOW), question(), resource_account=THEIRS)
    assert foreign.because == "because no resource-based policy allows the s3:GetObject action"


def test_nobody_has_only_what_the_resource_gives() -> None:
    assert evaluate(Powers(), question("anonymous"), resource_policy=bucket("*"), resource_account=OURS).allowed
    verdict = evaluate(Powers(), question("anonymous"), resource_policy=bucket({"AWS": OURS}), resource_account=OURS)
    assert verdict.because == "because no resource-based policy allows the s3:GetObject action"


def test_the_root_user_needs_no_policy_but_resources_may_deny_it() -> None:
    root = Powers(identity=(Attached("inline d", DENY),), boundary=Attached("b", DENY), root=True)
    assert evaluate(root, question(ROOT)).allowed
    assert not evaluate(root, question(ROOT), resource_policy=bucket("*", "Deny")).allowed
    assert not evaluate(root, question(ROOT), resource_account=THEIRS).allowed
    assert evaluate(root, question(ROOT), resource_policy=bucket({"AWS": OURS}), resource_account=THEIRS).allowed


def test_a_session_without_any_policy_of_a_federated_user_may_nothing() -> None:
    asked = Powers((Attached("inline i", ALLOW),), None, ())
    assert not evaluate(asked, question(FEDERATED)).allowed
    assert evaluate(asked, question(FEDERATED), resource_policy=bucket({"AWS": FEDERATED})).allowed


@pytest.mark.parametrize(
    ("spared", "denied"),
    [
        ([USER], False),
        ([ROOT], True),  # an account is its root user here
        ([ROLE, ROOT], True),
        (["*"], False),
    ],
)
def test_not_principal_spares_only_whom_it_names_one_by_one(spared: list[str], denied: bool) -> None:
    rule = policy(statement("Deny", NotPrincipal={"AWS": spared}))
    assert evaluate(powers(ALLOW), question(), resource_policy=rule).explicit is denied


def test_a_roles_sessions_are_spared_by_their_own_name() -> None:
    for spared, denied in (([ROLE], True), ([ROLE, SESSION], False)):
        rule = policy(statement("Deny", NotPrincipal={"AWS": spared}))
        assert evaluate(powers(ALLOW), question(SESSION), resource_policy=rule).explicit is denied


@pytest.mark.parametrize(
    ("names", "identity", "account", "because"),
    [
        ({"AWS": USER}, None, OURS, ""),
        ({"AWS": OURS}, ALLOW, OURS, ""),
        ({"AWS": OURS}, None, OURS, "because no identity-based policy allows the sts:AssumeRole action"),
        ({"AWS": USER}, None, THEIRS, "because no identity-based policy allows the sts:AssumeRole action"),
        ({"AWS": USER}, ALLOW, THEIRS, ""),
        ({"AWS": THEIRS}, ALLOW, OURS, "because no role trust policy allows the sts:AssumeRole action"),
    ],
)
def test_a_role_is_assumed_with_its_trust_and_the_callers_powers(
    names: Any, identity: Policy | None, account: str, because: str
) -> None:
    trust = policy(statement(action="sts:AssumeRole", Principal=names))
    asked = powers(identity and policy(statement(action="sts:AssumeRole")))
    asking = question(action="sts:AssumeRole", resource=f"arn:aws:iam::{account}:role/r")
    verdict = evaluate(asked, asking, resource_policy=trust, resource_account=account, kind=TRUST)
    assert verdict.because == because


def test_services_and_providers_are_trusted_by_name() -> None:
    trust = policy(
        statement(
            action="sts:AssumeRoleWithWebIdentity",
            Principal={"Federated": "accounts.google.com"},
            Condition={"StringEquals": {"accounts.google.com:aud": "app"}},
        ),
        statement(action="sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"}),
    )
    web = question("", "sts:AssumeRoleWithWebIdentity", **{"accounts.google.com:aud": "app"})
    assert trusts(trust, web, [("Federated", "accounts.google.com")]).allowed
    assert not trusts(trust, web, [("Federated", "www.amazon.com")]).allowed
    other = question("", "sts:AssumeRoleWithWebIdentity", **{"accounts.google.com:aud": "other"})
    refused = trusts(trust, other, [("Federated", "accounts.google.com")])
    assert refused.because == "because no role trust policy allows the sts:AssumeRoleWithWebIdentity action"
    assert trusts(trust, question("", "sts:AssumeRole"), [("Service", "ec2.amazonaws.com")]).allowed
    assert not trusts(trust, question("", "sts:AssumeRole"), [("Service", "lambda.amazonaws.com")]).allowed


def test_a_verdict_names_the_statements_that_decided_and_explain_all() -> None:
    two = policy(statement(action="s3:Get*", Sid="Reads"), statement(Sid="All"), statement(action="ec2:*", Sid="Other"))
    asked = powers(two)
    assert [each.sid for each in evaluate(asked, question()).matched] == ["Reads"]
    verdict, every = explain(asked, question(), resource_policy=bucket("*", "Deny", Sid="Closed"))
    assert verdict.explicit
    assert [(each.effect, each.source, each.index, each.sid) for each in every] == [
        ("Deny", "", 0, "Closed"),
        ("Allow", "inline i", 0, "Reads"),
        ("Allow", "inline i", 1, "All"),
    ]


def test_powers_tell_which_keys_an_action_depends_on() -> None:
    condition = {"StringEquals": {"aws:ResourceTag/team": "${aws:PrincipalTag/team}"}}
    asked = powers(
        policy(
            statement(action="ec2:Start*", resource="arn:aws:ec2:*:*:instance/${aws:username}", Condition=condition),
            statement(Condition={"Bool": {"aws:SecureTransport": "true"}}),
        )
    )
    assert asked.keys("ec2:StartInstances") == {"aws:resourcetag/team", "aws:principaltag/team", "aws:username"}
    assert asked.keys("s3:GetObject") == {"aws:securetransport"}
    assert asked.keys("iam:ListUsers") == frozenset()
