"""The access advisor tells which services somebody may use, and which were used last, when and by whom."""

from __future__ import annotations

from typing import Any

from eucapy.clc import actions
from eucapy.clc.iam import access_advisor
from tests.clc.iam.asked import TRUST, allowing, error
from tests.clc.iam.test_credentials import user_of
from tests.harness.cloud import Cloud


def report(iam: Any, arn: str, **more: Any) -> dict[str, dict[str, Any]]:
    """A new report's services by their names."""
    job = iam.generate_service_last_accessed_details(Arn=arn, **more)["JobId"]
    answer = iam.get_service_last_accessed_details(JobId=job)
    assert (answer["JobStatus"], answer["IsTruncated"]) == ("COMPLETED", False)
    assert answer["JobType"] == more.get("Granularity", "SERVICE_LEVEL")
    return {each["ServiceNamespace"]: each for each in answer["ServicesLastAccessed"]}


def test_what_a_user_may_and_what_it_used(shared: Cloud, iam: Any, number: str) -> None:
    user = user_of(shared, iam, "u", "iam:List*", "s3:*")
    arn = f"arn:aws:iam::{number}:user/u"
    assert {name: each["TotalAuthenticatedEntities"] for name, each in report(iam, arn).items()} == {"iam": 0, "s3": 0}
    before = shared.clock.time()
    user.list_users()
    assert error(user.get_account_summary)[0] == "AccessDenied"
    shared.settle()
    found = report(iam, arn)
    assert "LastAuthenticated" not in found["s3"]
    used = found["iam"]
    assert (used["ServiceName"], used["LastAuthenticatedEntity"], used["LastAuthenticatedRegion"]) == (
        "AWS Identity and Access Management", arn, "us-east-1",
    )  # fmt: skip
    assert used["TotalAuthenticatedEntities"] == 1 and used["LastAuthenticated"].timestamp() >= int(before)
    assert "TrackedActionsLastAccessed" not in used
    tracked = report(iam, arn, Granularity="ACTION_LEVEL")["iam"]["TrackedActionsLastAccessed"]
    last = {each["ActionName"]: each.get("LastAccessedEntity") for each in tracked}
    assert (last["ListUsers"], last["ListRoles"]) == (arn, None)
    assert all(name.startswith("List") for name in last)


def test_a_group_stands_for_its_users_and_a_policy_for_whoever_has_it(shared: Cloud, iam: Any, number: str) -> None:
    policy = iam.create_policy(PolicyName="lists", PolicyDocument=allowing("iam:ListUsers"))["Policy"]["Arn"]
    group = iam.create_group(GroupName="g")["Group"]["Arn"]
    iam.attach_group_policy(GroupName="g", PolicyArn=policy)
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="r", PolicyArn=policy)
    clients = {name: user_of(shared, iam, name, "ec2:Describe*") for name in ("busy", "idle")}
    for name in clients:
        iam.add_user_to_group(GroupName="g", UserName=name)
    clients["busy"].list_users()
    shared.settle()
    busy, idle = (f"arn:aws:iam::{number}:user/{name}" for name in ("busy", "idle"))
    for arn, held in ((group, [busy, idle]), (policy, [role, busy, idle])):
        job = iam.generate_service_last_accessed_details(Arn=arn)["JobId"]
        (service,) = iam.get_service_last_accessed_details(JobId=job)["ServicesLastAccessed"]
        assert (service["LastAuthenticatedEntity"], service["TotalAuthenticatedEntities"]) == (busy, 1)
        asked = {"JobId": job, "ServiceNamespace": "iam"}
        entities = iam.get_service_last_accessed_details_with_entities(**asked)["EntityDetailsList"]
        assert [each["EntityInfo"]["Arn"] for each in entities] == held
        assert [each["EntityInfo"]["Arn"] for each in entities if "LastAuthenticated" in each] == [busy]
        first = iam.get_service_last_accessed_details_with_entities(**asked, MaxItems=1)
        rest = iam.get_service_last_accessed_details_with_entities(**asked, Marker=first["Marker"])
        assert first["EntityDetailsList"] + rest["EntityDetailsList"] == entities
        none = iam.get_service_last_accessed_details_with_entities(JobId=job, ServiceNamespace="s3")
        assert none["EntityDetailsList"] == []


def test_uses_end_with_their_user_and_with_time(shared: Cloud, iam: Any, number: str) -> None:
    user, arn = user_of(shared, iam, "u", "iam:ListUsers"), f"arn:aws:iam::{number}:user/u"
    user.list_users()
    shared.settle()
    (key,) = iam.list_access_keys(UserName="u")["AccessKeyMetadata"]
    iam.delete_access_key(UserName="u", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="u", PolicyName="p")
    iam.delete_user(UserName="u")
    user_of(shared, iam, "u", "iam:ListUsers")
    assert report(iam, arn)["iam"]["TotalAuthenticatedEntities"] == 0


def test_what_is_no_report(shared: Cloud, iam: Any, number: str) -> None:
    unknown = "01234567-89ab-4cde-8f01-23456789abcd"
    absent = f"arn:aws:iam::{number}:user/nobody"
    refused = error(iam.generate_service_last_accessed_details, Arn=absent)
    assert refused == ("NoSuchEntity", "The user with name nobody cannot be found.")
    other = f"arn:aws:iam::{shared.account('somebody-else')['account_id']}:user/admin"
    assert error(iam.generate_service_last_accessed_details, Arn=other)[0] == "InvalidInput"
    gone = f"arn:aws:iam::{number}:policy/gone"
    assert error(iam.generate_service_last_accessed_details, Arn=gone)[0] == "NoSuchEntity"
    assert error(iam.get_service_last_accessed_details, JobId=unknown)[0] == "NoSuchEntity"
    mine = iam.generate_service_last_accessed_details(Arn="arn:aws:iam::aws:policy/IAMFullAccess")["JobId"]
    theirs = shared.client("iam", "somebody-else")
    assert error(theirs.get_service_last_accessed_details, JobId=mine)[0] == "NoSuchEntity"
    with_entities = iam.get_service_last_accessed_details_with_entities
    assert error(with_entities, JobId=mine, ServiceNamespace="nothing")[0] == "InvalidInput"


def test_a_report_of_one_may_be_allowed_and_of_another_not(shared: Cloud, iam: Any, number: str) -> None:
    user = user_of(shared, iam, "u", "sts:GetCallerIdentity")
    arn = f"arn:aws:iam::{number}:user/u"
    document = allowing("iam:GenerateServiceLastAccessedDetails", resource=arn)
    iam.put_user_policy(UserName="u", PolicyName="q", PolicyDocument=document)
    assert user.generate_service_last_accessed_details(Arn=arn)["JobId"]
    role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    assert error(user.generate_service_last_accessed_details, Arn=role)[0] == "AccessDenied"


def test_no_service_of_the_cloud_is_left_out() -> None:
    assert set(access_advisor.SERVICES) == {*actions.services(), "s3"}
