"""What users prove themselves with: access keys, passwords, MFA devices, certificates, SSH keys."""

from __future__ import annotations

import base64
import csv
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from eucapy.clc import totp
from eucapy.clc.iam import passwords
from tests.clc.iam.asked import allowing, error, trusting
from tests.clc.sts.granting import with_credentials
from tests.harness.cloud import Cloud

GOOD = "Correct-horse-7"


def user_of(shared: Cloud, iam: Any, name: str, *actions: str) -> Any:
    """A client of a new user that may do these."""
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=allowing(*actions))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return shared.client(
        "iam", keys={"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}
    )


# --- access keys ------------------------------------------------------------------------------------------------------


def test_a_user_has_two_keys_and_an_inactive_one_is_refused(shared: Cloud, iam: Any) -> None:
    user = user_of(shared, iam, "u", "iam:ListUsers")
    iam.create_access_key(UserName="u")
    assert error(iam.create_access_key, UserName="u") == (
        "LimitExceeded", "Cannot exceed quota for AccessKeysPerUser: 2",
    )  # fmt: skip
    first = user.meta.client._request_signer._credentials.access_key if hasattr(user.meta, "client") else None
    held = iam.list_access_keys(UserName="u")["AccessKeyMetadata"]
    first = first or held[0]["AccessKeyId"]
    assert user.list_users()["Users"]
    iam.update_access_key(UserName="u", AccessKeyId=first, Status="Inactive")
    assert error(user.list_users)[0] == "InvalidClientTokenId"
    iam.update_access_key(UserName="u", AccessKeyId=first, Status="Active")
    assert user.list_users()["Users"]
    iam.delete_access_key(UserName="u", AccessKeyId=first)
    assert error(user.list_users)[0] == "InvalidClientTokenId"
    absent = ("NoSuchEntity", f"The Access Key with id {first} cannot be found.")
    assert error(iam.update_access_key, UserName="u", AccessKeyId=first, Status="Active") == absent


def test_when_a_key_was_used_is_known_a_little_later(shared: Cloud, iam: Any) -> None:
    user_of(shared, iam, "idle", "iam:ListUsers")
    user = user_of(shared, iam, "u", "iam:ListUsers")
    user.list_users()
    shared.settle()
    used = {}
    for name in ("u", "idle"):
        key = iam.list_access_keys(UserName=name)["AccessKeyMetadata"][0]["AccessKeyId"]
        answer = iam.get_access_key_last_used(AccessKeyId=key)
        assert answer["UserName"] == name
        used[name] = answer["AccessKeyLastUsed"]
    assert used["idle"] == {"ServiceName": "N/A", "Region": "N/A"}
    assert (used["u"]["ServiceName"], used["u"]["Region"]) == ("iam", "us-east-1") and used["u"]["LastUsedDate"]
    refused = error(iam.get_access_key_last_used, AccessKeyId="AKIAIOSFODNN7EXAMPLE")
    assert refused[0] == "AccessDenied" and refused[1].endswith("on resource: access key AKIAIOSFODNN7EXAMPLE")


def test_uses_on_the_object_store_are_uses(shared: Cloud, iam: Any, number: str) -> None:
    """Of a user's key, and of a role by one of its sessions."""
    iam.create_user(UserName="u")
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=allowing("s3:ListAllMyBuckets", "sts:AssumeRole"))
    made = iam.create_access_key(UserName="u")["AccessKey"]
    keys = {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=trusting({"AWS": f"arn:aws:iam::{number}:root"}))
    role = f"arn:aws:iam::{number}:role/r"
    session = shared.client("sts", keys=keys).assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    shared.client("s3", keys=keys).list_buckets()
    s3 = with_credentials(shared, "s3", session)
    assert error(s3.list_buckets)[0] == "AccessDenied"  # a try is a use
    shared.settle()
    used = iam.get_access_key_last_used(AccessKeyId=made["AccessKeyId"])["AccessKeyLastUsed"]
    assert (used["ServiceName"], used["Region"]) == ("s3", "us-east-1") and used["LastUsedDate"]
    assert iam.get_role(RoleName="r")["Role"]["RoleLastUsed"]["LastUsedDate"]


# --- passwords --------------------------------------------------------------------------------------------------------


def test_a_login_profile_lives_and_its_user_changes_the_password(shared: Cloud, iam: Any) -> None:
    user = user_of(shared, iam, "u", "iam:ChangePassword")
    made = iam.create_login_profile(UserName="u", Password=GOOD, PasswordResetRequired=True)["LoginProfile"]
    assert made["PasswordResetRequired"] is True
    assert error(iam.create_login_profile, UserName="u", Password=GOOD) == (
        "EntityAlreadyExists", "Login Profile for user u already exists.",
    )  # fmt: skip
    wrong = error(user.change_password, OldPassword="nonsense-1A", NewPassword="Another-one-8")
    assert wrong == ("AccessDenied", "The old password was incorrect.")
    user.change_password(OldPassword=GOOD, NewPassword="Another-one-8")
    assert iam.get_login_profile(UserName="u")["LoginProfile"]["PasswordResetRequired"] is False
    iam.update_login_profile(UserName="u", PasswordResetRequired=True)
    user.change_password(OldPassword="Another-one-8", NewPassword=GOOD)
    iam.delete_login_profile(UserName="u")
    absent = ("NoSuchEntity", "Login Profile for User u cannot be found.")
    assert error(iam.get_login_profile, UserName="u") == absent
    assert error(user.change_password, OldPassword=GOOD, NewPassword="Another-one-8") == absent


async def test_a_password_is_kept_so_that_only_itself_matches() -> None:
    kept = await passwords.hashed(GOOD)
    assert GOOD not in kept and kept != await passwords.hashed(GOOD)
    assert kept == await passwords.hashed(GOOD, kept) != await passwords.hashed(GOOD + " ", kept)
    assert await passwords.matches(GOOD, kept)
    assert not await passwords.matches(GOOD + " ", kept)


def test_a_password_being_computed_keeps_nobody_waiting(
    shared: Cloud, iam: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hash takes a while and the database has one writer: it is not the request that computes a hash."""
    for name in ("slow", "quick"):
        iam.create_user(UserName=name)
    begun, go_on, scrypt = threading.Event(), threading.Event(), passwords._scrypt

    def slowly(*given: Any) -> bytes:
        begun.set()
        assert go_on.wait(60)
        return scrypt(*given)

    monkeypatch.setattr(passwords, "_scrypt", slowly)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(iam.create_login_profile, UserName="slow", Password=GOOD)
        try:
            assert begun.wait(60)
            iam.tag_user(UserName="quick", Tags=[{"Key": "a", "Value": "b"}])
            assert not asked.done()
        finally:
            go_on.set()
        assert asked.result(60)["LoginProfile"]["UserName"] == "slow"
    assert iam.get_login_profile(UserName="slow")["LoginProfile"]["UserName"] == "slow"


RULES = {
    "MinimumPasswordLength": 10, "RequireSymbols": True, "RequireNumbers": True, "RequireUppercaseCharacters": True,
    "RequireLowercaseCharacters": True,
}  # fmt: skip


@pytest.mark.parametrize(
    ("password", "rules", "broken"),
    [
        ("Ab1!Ab1!", None, ""),
        ("Ab1!Ab1", None, "Password should have a minimum length of 8"),
        ("abcdefg1", None, "Password should contain a minimum of three of the following mix of character types"),
        ("abcdefgh", {"MinimumPasswordLength": 6}, ""),
        ("Ab1!Ab1!Ab", RULES, ""),
        ("Ab1!Ab1!A", RULES, "Password should have a minimum length of 10"),
        ("ab1!ab1!ab", RULES, "Password should have at least one uppercase letter"),
        ("AB1!AB1!AB", RULES, "Password should have at least one lowercase letter"),
        ("Abc!Abc!Ab", RULES, "Password should have at least one number"),
        ("Ab1cAb1cAb", RULES, "Password should have at least one of the following characters"),
    ],
)
def test_what_a_password_must_have(password: str, rules: dict[str, Any] | None, broken: str) -> None:
    found = passwords.breaks(password, rules)
    assert found.startswith(broken) and bool(found) == bool(broken)


def test_the_accounts_policy_is_enforced_and_remembers(iam: Any, number: str) -> None:
    absent = ("NoSuchEntity", f"The Password Policy with domain name {number} cannot be found.")
    assert error(iam.get_account_password_policy) == absent
    iam.update_account_password_policy(**RULES, PasswordReusePrevention=2, MaxPasswordAge=90)
    got = iam.get_account_password_policy()["PasswordPolicy"]
    assert {key: value for key, value in got.items() if key != "AllowUsersToChangePassword"} == {
        **RULES,
        "PasswordReusePrevention": 2,
        "MaxPasswordAge": 90,
        "ExpirePasswords": True,
    }
    iam.create_user(UserName="u")
    assert error(iam.create_login_profile, UserName="u", Password="short")[0] == "PasswordPolicyViolation"
    iam.create_login_profile(UserName="u", Password=GOOD)
    iam.update_login_profile(UserName="u", Password=GOOD + "2")
    again = "Password should not be one of the previously used passwords."
    for former in (GOOD, GOOD + "2"):
        refused = error(iam.update_login_profile, UserName="u", Password=former)
        assert refused == ("PasswordPolicyViolation", again)
    iam.update_login_profile(UserName="u", Password=GOOD + "3")
    iam.update_login_profile(UserName="u", Password=GOOD)
    iam.update_account_password_policy()
    assert iam.get_account_password_policy()["PasswordPolicy"]["MinimumPasswordLength"] == 6
    iam.delete_account_password_policy()
    assert error(iam.get_account_password_policy) == absent


# --- MFA --------------------------------------------------------------------------------------------------------------


def test_the_codes_are_those_of_the_standard() -> None:
    """RFC 6238, appendix B, SHA-1: the last six digits."""
    seed = b"12345678901234567890"
    for moment, code in ((59, "287082"), (1111111109, "081804"), (20000000000, "353130")):
        assert totp.shown_code(seed, moment // totp.STEP_S) == code


def codes(device: dict[str, Any], at: float, behind: int = 0) -> dict[str, str]:
    seed, step = base64.b32decode(device["Base32StringSeed"]), int(at // totp.STEP_S) - behind
    return {
        "AuthenticationCode1": totp.shown_code(seed, step - 1),
        "AuthenticationCode2": totp.shown_code(seed, step),
    }


def test_a_device_is_enabled_by_two_codes_in_a_row(shared: Cloud, iam: Any, number: str) -> None:
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone", Path="/x/")["VirtualMFADevice"]
    serial = device["SerialNumber"]
    assert serial == f"arn:aws:iam::{number}:mfa/x/phone" and device["QRCodePNG"].startswith(b"\x89PNG")
    iam.create_user(UserName="u")
    name = {"UserName": "u", "SerialNumber": serial}
    now = shared.clock.time()
    good = codes(device, now)
    for bad in (
        {"AuthenticationCode1": good["AuthenticationCode2"], "AuthenticationCode2": good["AuthenticationCode1"]},
        {"AuthenticationCode1": good["AuthenticationCode1"], "AuthenticationCode2": good["AuthenticationCode1"]},
        codes(device, now, behind=100),
    ):
        assert error(iam.enable_mfa_device, **name, **bad) == (
            "InvalidAuthenticationCode", "Authentication code for device is not valid",
        )  # fmt: skip
    assert iam.list_virtual_mfa_devices(AssignmentStatus="Unassigned")["VirtualMFADevices"] == [
        {"SerialNumber": serial}
    ]
    iam.enable_mfa_device(**name, **good)
    (listed,) = iam.list_mfa_devices(UserName="u")["MFADevices"]
    assert (listed["SerialNumber"], listed["UserName"]) == (serial, "u")
    (assigned,) = iam.list_virtual_mfa_devices(AssignmentStatus="Assigned")["VirtualMFADevices"]
    assert assigned["User"]["UserName"] == "u"
    assert error(iam.enable_mfa_device, **name, **good) == ("EntityAlreadyExists", "MFA Device is already in use.")
    assert error(iam.delete_virtual_mfa_device, SerialNumber=serial)[0] == "DeleteConflict"
    iam.resync_mfa_device(**name, **codes(device, now, behind=5))
    iam.deactivate_mfa_device(**name)
    absent = ("NoSuchEntity", f"MFA Device with serial number {serial} does not exist.")
    assert error(iam.deactivate_mfa_device, **name) == absent
    iam.delete_virtual_mfa_device(SerialNumber=serial)
    assert error(iam.delete_virtual_mfa_device, SerialNumber=serial) == absent


def test_a_code_counts_once_and_only_for_its_user(shared: Cloud, iam: Any) -> None:
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="phone")["VirtualMFADevice"]
    assert error(iam.create_virtual_mfa_device, VirtualMFADeviceName="phone") == (
        "EntityAlreadyExists",
        "MFADevice entity at the same path and name already exists.",
    )
    serial, seed = device["SerialNumber"], base64.b32decode(device["Base32StringSeed"])
    for name in ("u", "v"):
        iam.create_user(UserName=name)
    now = shared.clock.time()
    iam.enable_mfa_device(UserName="u", SerialNumber=serial, **codes(device, now))
    ids = {name: iam.get_user(UserName=name)["User"]["UserId"] for name in ("u", "v")}

    def check(name: str, code: str, at: float) -> bool:
        clc = shared.dev.clc
        return shared.run(
            shared.dev.database.write(lambda tx: totp.check(tx, clc.seal.unseal, at, ids[name], serial, code))
        )

    later = now + 90
    code = totp.shown_code(seed, int(later // totp.STEP_S))
    assert not check("v", code, later)
    assert not check("u", totp.shown_code(seed, int(later // totp.STEP_S) + 3), later)
    assert check("u", code, later)
    assert not check("u", code, later)
    assert not check("u", totp.shown_code(seed, int(later // totp.STEP_S) - 1), later)


# --- certificates and keys --------------------------------------------------------------------------------------------


def certificate(key: ec.EllipticCurvePrivateKey, days: int = 30) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
    start = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(start)
        .not_valid_after(start + timedelta(days=days)).sign(key, hashes.SHA256())
    )  # fmt: skip
    return made.public_bytes(serialization.Encoding.PEM).decode()


def pem(key: Any) -> str:
    form = serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode())


def test_a_server_certificate_goes_with_its_key_and_the_key_never_comes_back(shared: Cloud, iam: Any) -> None:
    key, other = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    body = certificate(key)
    upload = {"ServerCertificateName": "web", "CertificateBody": body, "Path": "/lb/"}
    assert error(iam.upload_server_certificate, **upload, PrivateKey=pem(other))[0] == "KeyPairMismatch"
    junk = {**upload, "CertificateBody": "junk"}
    assert error(iam.upload_server_certificate, **junk, PrivateKey=pem(key))[0] == "MalformedCertificate"
    made = iam.upload_server_certificate(**upload, PrivateKey=pem(key), CertificateChain=certificate(other))
    facts = made["ServerCertificateMetadata"]
    assert facts["ServerCertificateId"].startswith("ASCA") and facts["Expiration"] == datetime(2026, 1, 31, tzinfo=UTC)
    got = iam.get_server_certificate(ServerCertificateName="web")["ServerCertificate"]
    assert got["CertificateBody"].strip() == body.strip() and "PrivateKey" not in got
    iam.update_server_certificate(ServerCertificateName="web", NewServerCertificateName="www", NewPath="/")
    assert iam.list_server_certificates()["ServerCertificateMetadataList"][0]["ServerCertificateName"] == "www"
    iam.delete_server_certificate(ServerCertificateName="www")
    assert error(iam.get_server_certificate, ServerCertificateName="www") == (
        "NoSuchEntity", "The Server Certificate with name www cannot be found.",
    )  # fmt: skip


def test_two_signing_certificates_a_user(iam: Any) -> None:
    iam.create_user(UserName="u")
    key = ec.generate_private_key(ec.SECP256R1())
    bodies = [certificate(key, days) for days in (1, 2, 3)]
    first = iam.upload_signing_certificate(UserName="u", CertificateBody=bodies[0])["Certificate"]
    assert error(iam.upload_signing_certificate, UserName="u", CertificateBody=bodies[0])[0] == "DuplicateCertificate"
    iam.upload_signing_certificate(UserName="u", CertificateBody=bodies[1])
    assert error(iam.upload_signing_certificate, UserName="u", CertificateBody=bodies[2]) == (
        "LimitExceeded", "Cannot exceed quota for CertificatesPerUser: 2",
    )  # fmt: skip
    name = {"UserName": "u", "CertificateId": first["CertificateId"]}
    iam.update_signing_certificate(**name, Status="Inactive")
    held = {
        each["CertificateId"]: each["Status"] for each in iam.list_signing_certificates(UserName="u")["Certificates"]
    }
    assert held[first["CertificateId"]] == "Inactive" and len(held) == 2
    iam.delete_signing_certificate(**name)
    absent = ("NoSuchEntity", f"The Certificate with id {first['CertificateId']} cannot be found.")
    assert error(iam.delete_signing_certificate, **name) == absent


def test_ssh_keys_come_back_in_both_encodings(iam: Any) -> None:
    iam.create_user(UserName="u")
    public = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    line = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
    spki = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
    made = iam.upload_ssh_public_key(UserName="u", SSHPublicKeyBody=line)["SSHPublicKey"]
    assert made["SSHPublicKeyId"].startswith("APKA") and len(made["Fingerprint"]) == 47
    again = error(iam.upload_ssh_public_key, UserName="u", SSHPublicKeyBody=spki)
    assert again[0] == "DuplicateSSHPublicKey"
    name = {"UserName": "u", "SSHPublicKeyId": made["SSHPublicKeyId"]}
    assert iam.get_ssh_public_key(**name, Encoding="SSH")["SSHPublicKey"]["SSHPublicKeyBody"] == line
    assert iam.get_ssh_public_key(**name, Encoding="PEM")["SSHPublicKey"]["SSHPublicKeyBody"].strip() == spki.strip()
    iam.update_ssh_public_key(**name, Status="Inactive")
    assert iam.list_ssh_public_keys(UserName="u")["SSHPublicKeys"][0]["Status"] == "Inactive"
    iam.delete_ssh_public_key(**name)
    assert error(iam.get_ssh_public_key, **name, Encoding="SSH")[0] == "NoSuchEntity"


def test_passwords_for_single_services(iam: Any, number: str) -> None:
    iam.create_user(UserName="u")
    made = iam.create_service_specific_credential(UserName="u", ServiceName="codecommit.amazonaws.com")
    first = made["ServiceSpecificCredential"]
    assert first["ServiceUserName"] == f"u-at-{number}" and first["ServicePassword"]
    name = {"UserName": "u", "ServiceSpecificCredentialId": first["ServiceSpecificCredentialId"]}
    assert (
        iam.reset_service_specific_credential(**name)["ServiceSpecificCredential"]["ServicePassword"]
        != (first["ServicePassword"])
    )
    iam.update_service_specific_credential(**name, Status="Inactive")
    (listed,) = iam.list_service_specific_credentials(UserName="u")["ServiceSpecificCredentials"]
    assert listed["Status"] == "Inactive" and "ServicePassword" not in listed
    answer = iam.list_service_specific_credentials(UserName="u", ServiceName="cassandra.amazonaws.com")
    assert (answer["ServiceSpecificCredentials"], "IsTruncated" in answer) == ([], False)
    assert error(iam.list_service_specific_credentials, UserName="u", ServiceName="lambda.amazonaws.com") == (
        "NoSuchEntity", "No such service lambda.amazonaws.com is supported for Service Specific Credentials",
    )  # fmt: skip
    assert error(iam.create_service_specific_credential, UserName="u", ServiceName="lambda.amazonaws.com") == (
        "NoSuchEntity", "No such service lambda.amazonaws.com is supported for Service Specific Credentials",
    )  # fmt: skip
    held = "Cannot delete entity, must remove referenced objects first."
    assert error(iam.delete_user, UserName="u") == ("DeleteConflict", held)
    iam.delete_service_specific_credential(**name)
    iam.delete_user(UserName="u")


# --- the account ------------------------------------------------------------------------------------------------------


def test_the_credential_report_has_a_line_for_everybody(iam: Any) -> None:
    assert error(iam.get_credential_report)[0] == "ReportNotPresent"
    iam.create_user(UserName="u")
    iam.create_login_profile(UserName="u", Password=GOOD)
    iam.create_access_key(UserName="u")
    assert iam.generate_credential_report()["State"] == "STARTED"
    assert iam.generate_credential_report()["State"] == "COMPLETE"
    report = iam.get_credential_report()
    lines = {line["user"]: line for line in csv.DictReader(report["Content"].decode().splitlines())}
    assert set(lines) == {"<root_account>", "admin", "u"}
    assert (lines["u"]["password_enabled"], lines["admin"]["password_enabled"]) == ("true", "false")
    assert (lines["u"]["access_key_1_active"], lines["u"]["access_key_2_active"]) == ("true", "false")
    assert abs(datetime.fromisoformat(lines["u"]["user_creation_time"]).timestamp() - time.time()) < 86400 * 2


def test_everybody_and_every_policy_in_one_answer(iam: Any) -> None:
    iam.create_user(UserName="u", Tags=[{"Key": "a", "Value": "b"}])
    iam.create_group(GroupName="g")
    iam.add_user_to_group(GroupName="g", UserName="u")
    iam.put_group_policy(GroupName="g", PolicyName="i", PolicyDocument=allowing("s3:*"))
    arn = iam.create_policy(PolicyName="p", PolicyDocument=allowing("s3:*"))["Policy"]["Arn"]
    iam.attach_user_policy(UserName="u", PolicyArn=arn)
    pages = iam.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 2})
    whole = pages.build_full_result()
    users = {each["UserName"]: each for each in whole["UserDetailList"]}
    assert users["u"]["GroupList"] == ["g"] and users["u"]["Tags"] == [{"Key": "a", "Value": "b"}]
    assert users["u"]["AttachedManagedPolicies"] == [{"PolicyName": "p", "PolicyArn": arn}]
    (group,) = whole["GroupDetailList"]
    assert group["GroupPolicyList"][0]["PolicyDocument"]["Statement"][0]["Action"] == ["s3:*"]
    assert [each["PolicyName"] for each in whole["Policies"]] == ["p", "AdministratorAccess"]
    filtered = iam.get_account_authorization_details(Filter=["Group"])
    assert (len(filtered["GroupDetailList"]), filtered["UserDetailList"], filtered["Policies"]) == (1, [], [])
