"""Every IAM operation that has a handler, asked by botocore's own client, in an order in which all of them succeed.

An operation that is new and has no line here fails the test of the list. What each answers is botocore's output shape with
every member that the model calls required.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any

from botocore.model import StructureShape
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from eucapy.clc import iam as service
from eucapy.clc import totp
from tests.clc.iam.asked import TRUST, allowing
from tests.clc.iam.test_credentials import certificate, pem
from tests.clc.iam.test_providers import metadata
from tests.harness.cloud import Cloud

KEY = ec.generate_private_key(ec.SECP256R1())
SSH = (
    rsa.generate_private_key(public_exponent=65537, key_size=2048)
    .public_key()
    .public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    .decode()
)
AWS_POLICY = "arn:aws:iam::aws:policy/ReadOnlyAccess"
TAGS = {"Tags": [{"Key": "a", "Value": "b"}]}
PASSWORD = "Correct-horse-7"
METADATA = "SAMLMetadataDocument"
"""A member that has angle brackets of its own."""

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("CreateAccountAlias", {"AccountAlias": "every-<number>"}),
    ("ListAccountAliases", {}),
    ("DeleteAccountAlias", {"AccountAlias": "every-<number>"}),
    ("UpdateAccountPasswordPolicy", {"AllowUsersToChangePassword": True}),
    ("GetAccountPasswordPolicy", {}),
    ("ChangePassword", {"OldPassword": PASSWORD, "NewPassword": "Another-horse-8"}),
    ("DeleteAccountPasswordPolicy", {}),
    ("CreateUser", {"UserName": "u", **TAGS}),
    ("GetUser", {"UserName": "u"}),
    ("ListUsers", {}),
    ("UpdateUser", {"UserName": "u", "NewPath": "/x/"}),
    ("CreateGroup", {"GroupName": "g"}),
    ("AddUserToGroup", {"GroupName": "g", "UserName": "u"}),
    ("GetGroup", {"GroupName": "g"}),
    ("ListGroups", {}),
    ("ListGroupsForUser", {"UserName": "u"}),
    ("UpdateGroup", {"GroupName": "g", "NewPath": "/x/"}),
    ("CreateRole", {"RoleName": "r", "AssumeRolePolicyDocument": TRUST, **TAGS}),
    ("GetRole", {"RoleName": "r"}),
    ("ListRoles", {}),
    ("UpdateRole", {"RoleName": "r", "Description": "d"}),
    ("UpdateRoleDescription", {"RoleName": "r", "Description": "e"}),
    ("UpdateAssumeRolePolicy", {"RoleName": "r", "PolicyDocument": TRUST}),
    ("CreateServiceLinkedRole", {"AWSServiceName": "autoscaling.amazonaws.com"}),
    ("DeleteServiceLinkedRole", {"RoleName": "AWSServiceRoleForAutoScaling"}),
    ("GetServiceLinkedRoleDeletionStatus", {"DeletionTaskId": "<DeletionTaskId>"}),
    ("CreateInstanceProfile", {"InstanceProfileName": "p", **TAGS}),
    ("AddRoleToInstanceProfile", {"InstanceProfileName": "p", "RoleName": "r"}),
    ("GetInstanceProfile", {"InstanceProfileName": "p"}),
    ("ListInstanceProfiles", {}),
    ("ListInstanceProfilesForRole", {"RoleName": "r"}),
    ("CreatePolicy", {"PolicyName": "m", "PolicyDocument": allowing("s3:*"), "Description": "d", **TAGS}),
    ("GetPolicy", {"PolicyArn": "<Arn>"}),
    ("ListPolicies", {"MaxItems": 3}),
    ("CreatePolicyVersion", {"PolicyArn": "<Arn>", "PolicyDocument": allowing("s3:Get*")}),
    ("GetPolicyVersion", {"PolicyArn": "<Arn>", "VersionId": "v2"}),
    ("ListPolicyVersions", {"PolicyArn": "<Arn>"}),
    ("SetDefaultPolicyVersion", {"PolicyArn": "<Arn>", "VersionId": "v2"}),
    ("DeletePolicyVersion", {"PolicyArn": "<Arn>", "VersionId": "v1"}),
    ("PutUserPermissionsBoundary", {"UserName": "u", "PermissionsBoundary": AWS_POLICY}),
    ("PutRolePermissionsBoundary", {"RoleName": "r", "PermissionsBoundary": AWS_POLICY}),
    *(
        (name.format(kind), {f"{kind}Name": kind[0].lower(), **params})
        for kind in ("User", "Group", "Role")
        for name, params in (
            ("Put{}Policy", {"PolicyName": "i", "PolicyDocument": allowing("s3:*")}),
            ("Get{}Policy", {"PolicyName": "i"}),
            ("List{}Policies", {}),
            ("Attach{}Policy", {"PolicyArn": "<Arn>"}),
            ("ListAttached{}Policies", {}),
        )
    ),
    ("ListEntitiesForPolicy", {"PolicyArn": "<Arn>"}),
    ("CreateAccessKey", {"UserName": "u"}),
    ("ListAccessKeys", {"UserName": "u"}),
    ("GetAccessKeyLastUsed", {"AccessKeyId": "<AccessKeyId>"}),
    ("UpdateAccessKey", {"UserName": "u", "AccessKeyId": "<AccessKeyId>", "Status": "Inactive"}),
    ("CreateLoginProfile", {"UserName": "u", "Password": PASSWORD}),
    ("GetLoginProfile", {"UserName": "u"}),
    ("UpdateLoginProfile", {"UserName": "u", "PasswordResetRequired": True}),
    ("UploadServerCertificate", {
        "ServerCertificateName": "c", "CertificateBody": certificate(KEY), "PrivateKey": pem(KEY), **TAGS,
    }),
    ("GetServerCertificate", {"ServerCertificateName": "c"}),
    ("ListServerCertificates", {}),
    ("UpdateServerCertificate", {"ServerCertificateName": "c", "NewPath": "/x/"}),
    ("UploadSigningCertificate", {"UserName": "u", "CertificateBody": certificate(KEY)}),
    ("ListSigningCertificates", {"UserName": "u"}),
    ("UpdateSigningCertificate", {"UserName": "u", "CertificateId": "<CertificateId>", "Status": "Inactive"}),
    ("UploadSSHPublicKey", {"UserName": "u", "SSHPublicKeyBody": SSH}),
    ("GetSSHPublicKey", {"UserName": "u", "SSHPublicKeyId": "<SSHPublicKeyId>", "Encoding": "PEM"}),
    ("ListSSHPublicKeys", {"UserName": "u"}),
    ("UpdateSSHPublicKey", {"UserName": "u", "SSHPublicKeyId": "<SSHPublicKeyId>", "Status": "Inactive"}),
    ("CreateServiceSpecificCredential", {"UserName": "u", "ServiceName": "codecommit.amazonaws.com"}),
    ("ListServiceSpecificCredentials", {"UserName": "u"}),
    *(
        (name, {"UserName": "u", "ServiceSpecificCredentialId": "<ServiceSpecificCredentialId>", **more})
        for name, more in (
            ("UpdateServiceSpecificCredential", {"Status": "Inactive"}),
            ("ResetServiceSpecificCredential", {}),
            ("DeleteServiceSpecificCredential", {}),
        )
    ),
    ("CreateVirtualMFADevice", {"VirtualMFADeviceName": "d", **TAGS}),
    ("ListVirtualMFADevices", {}),
    ("EnableMFADevice", {
        "UserName": "u", "SerialNumber": "<SerialNumber>",
        "AuthenticationCode1": "<code -1>", "AuthenticationCode2": "<code 0>",
    }),
    ("ListMFADevices", {"UserName": "u"}),
    ("GetMFADevice", {"SerialNumber": "<SerialNumber>"}),
    ("ResyncMFADevice", {
        "UserName": "u", "SerialNumber": "<SerialNumber>",
        "AuthenticationCode1": "<code 1>", "AuthenticationCode2": "<code 2>",
    }),
    ("CreateOpenIDConnectProvider", {"Url": "https://id.example.com", **TAGS}),
    ("GetOpenIDConnectProvider", {"OpenIDConnectProviderArn": "<OpenIDConnectProviderArn>"}),
    ("ListOpenIDConnectProviders", {}),
    *(
        (name, {"OpenIDConnectProviderArn": "<OpenIDConnectProviderArn>", **more})
        for name, more in (
            ("AddClientIDToOpenIDConnectProvider", {"ClientID": "a"}),
            ("RemoveClientIDFromOpenIDConnectProvider", {"ClientID": "a"}),
            ("UpdateOpenIDConnectProviderThumbprint", {"ThumbprintList": ["a" * 40]}),
        )
    ),
    ("CreateSAMLProvider", {"Name": "s", "SAMLMetadataDocument": metadata(), **TAGS}),
    ("GetSAMLProvider", {"SAMLProviderArn": "<SAMLProviderArn>"}),
    ("ListSAMLProviders", {}),
    ("UpdateSAMLProvider", {"SAMLProviderArn": "<SAMLProviderArn>", "SAMLMetadataDocument": metadata()}),
    *(
        (name.format(kind), {member: value, **more})
        for kind, member, value in (
            ("User", "UserName", "u"),
            ("Role", "RoleName", "r"),
            ("Policy", "PolicyArn", "<Arn>"),
            ("InstanceProfile", "InstanceProfileName", "p"),
            ("ServerCertificate", "ServerCertificateName", "c"),
            ("MFADevice", "SerialNumber", "<SerialNumber>"),
            ("OpenIDConnectProvider", "OpenIDConnectProviderArn", "<OpenIDConnectProviderArn>"),
            ("SAMLProvider", "SAMLProviderArn", "<SAMLProviderArn>"),
        )
        for name, more in (("Tag{}", TAGS), ("List{}Tags", {}), ("Untag{}", {"TagKeys": ["a"]}))
    ),
    ("GetAccountSummary", {}),
    ("GetAccountAuthorizationDetails", {}),
    ("GenerateCredentialReport", {}),
    ("GetCredentialReport", {}),
    ("GenerateServiceLastAccessedDetails", {"Arn": "arn:aws:iam::<number>:user/x/u", "Granularity": "ACTION_LEVEL"}),
    ("GetServiceLastAccessedDetails", {"JobId": "<JobId>"}),
    ("GetServiceLastAccessedDetailsWithEntities", {"JobId": "<JobId>", "ServiceNamespace": "iam"}),
    ("ListPoliciesGrantingServiceAccess", {
        "Arn": "arn:aws:iam::<number>:user/x/u", "ServiceNamespaces": ["s3", "ec2"],
    }),
    ("SimulateCustomPolicy", {"PolicyInputList": [allowing("s3:*")], "ActionNames": ["s3:GetObject"]}),
    ("SimulatePrincipalPolicy", {"PolicySourceArn": "arn:aws:iam::<number>:user/x/u", "ActionNames": ["s3:GetObject"]}),
    ("GetContextKeysForCustomPolicy", {"PolicyInputList": [allowing("s3:*")]}),
    ("GetContextKeysForPrincipalPolicy", {"PolicySourceArn": "arn:aws:iam::<number>:user/x/u"}),
    ("DeactivateMFADevice", {"UserName": "u", "SerialNumber": "<SerialNumber>"}),
    ("DeleteVirtualMFADevice", {"SerialNumber": "<SerialNumber>"}),
    ("DeleteOpenIDConnectProvider", {"OpenIDConnectProviderArn": "<OpenIDConnectProviderArn>"}),
    ("DeleteSAMLProvider", {"SAMLProviderArn": "<SAMLProviderArn>"}),
    ("DeleteSSHPublicKey", {"UserName": "u", "SSHPublicKeyId": "<SSHPublicKeyId>"}),
    ("DeleteSigningCertificate", {"UserName": "u", "CertificateId": "<CertificateId>"}),
    ("DeleteServerCertificate", {"ServerCertificateName": "c"}),
    ("DeleteLoginProfile", {"UserName": "u"}),
    ("DeleteAccessKey", {"UserName": "u", "AccessKeyId": "<AccessKeyId>"}),
    ("DeleteUserPermissionsBoundary", {"UserName": "u"}),
    ("DeleteRolePermissionsBoundary", {"RoleName": "r"}),
    *(
        (name.format(kind), {f"{kind}Name": kind[0].lower(), **params})
        for kind in ("User", "Group", "Role")
        for name, params in (("Delete{}Policy", {"PolicyName": "i"}), ("Detach{}Policy", {"PolicyArn": "<Arn>"}))
    ),
    ("DeletePolicy", {"PolicyArn": "<Arn>"}),
    ("RemoveRoleFromInstanceProfile", {"InstanceProfileName": "p", "RoleName": "r"}),
    ("DeleteInstanceProfile", {"InstanceProfileName": "p"}),
    ("RemoveUserFromGroup", {"GroupName": "g", "UserName": "u"}),
    ("DeleteRole", {"RoleName": "r"}),
    ("DeleteGroup", {"GroupName": "g"}),
    ("DeleteUser", {"UserName": "u"}),
]  # fmt: skip
"""`<member>` stands for what the last operation that made one answered as this member; `<code n>` for the device's code."""

MADE = {
    "Arn": "CreatePolicy", "AccessKeyId": "CreateAccessKey", "CertificateId": "UploadSigningCertificate",
    "SSHPublicKeyId": "UploadSSHPublicKey", "ServiceSpecificCredentialId": "CreateServiceSpecificCredential",
    "SerialNumber": "CreateVirtualMFADevice", "Base32StringSeed": "CreateVirtualMFADevice",
    "OpenIDConnectProviderArn": "CreateOpenIDConnectProvider", "SAMLProviderArn": "CreateSAMLProvider",
    "DeletionTaskId": "DeleteServiceLinkedRole", "JobId": "GenerateServiceLastAccessedDetails",
}  # fmt: skip


def test_the_list_has_every_operation(iam: Any) -> None:
    known = set(iam.meta.service_model.operation_names)
    assert {name for name, _ in CALLS} == set(service.load().actions()) & known


def test_each_is_answered_in_its_shape(shared: Cloud, iam: Any, number: str) -> None:
    iam.create_login_profile(UserName="admin", Password=PASSWORD)
    facts: dict[str, Any] = {"number": number}

    def filled(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {name: filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [filled(each) for each in value]
        return re.sub(r"<([\w -]+)>", place, value) if isinstance(value, str) else value

    def place(found: re.Match[str]) -> str:
        name, _, shift = found[1].partition(" ")
        if name != "code":
            return str(facts[name])
        step = int(shared.clock.time() // totp.STEP_S) + int(shift)
        return totp.shown_code(base64.b32decode(facts["Base32StringSeed"]), step)

    for name, params in CALLS:
        given = {key: each if key == METADATA else filled(each) for key, each in params.items()}
        model = iam.meta.service_model.operation_model(name)
        answer = iam._make_api_call(name, given)
        missing = list(absent(model.output_shape, answer)) if model.output_shape is not None else []
        assert not missing, f"{name} answers without {missing}"
        for member, maker in MADE.items():
            if maker == name:
                facts[member] = found(answer, member)


def absent(shape: Any, value: Any, path: str = "") -> Any:
    """Required members of an output that the answer does not have."""
    if isinstance(shape, StructureShape):
        for member in shape.required_members:
            if member not in value:
                yield f"{path}{member}"
        for member, inner in shape.members.items():
            if member in value:
                yield from absent(inner, value[member], f"{path}{member}.")
    elif shape.type_name == "list":
        for each in value:
            yield from absent(shape.member, each, path)


def found(answer: Mapping[str, Any], member: str) -> Any:
    """The member, at the top or one level below."""
    if member in answer:
        value = answer[member]
    else:
        value = next(each[member] for each in answer.values() if isinstance(each, Mapping) and member in each)
    return value.decode() if isinstance(value, bytes) else value
