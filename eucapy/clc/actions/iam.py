"""What each IAM operation takes to be allowed. Source: "Actions, resources, and condition keys for AWS IAM".

A request names users, groups, roles, profiles and server certificates without their paths, which their ARNs have: the row
tells (`via` "path"). Managed policies, MFA devices and identity providers are named by their ARNs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from eucapy.clc.actions.declaration import (
    ON_ALL,
    Ask,
    Declaration,
    Facts,
    Kind,
    Params,
    Scope,
    Target,
    Targets,
    Touched,
    needs,
    new_tags,
    tag_facts,
)

_TAG_KEYS = ("aws:RequestTag/${TagKey}", "aws:TagKeys")
_TAGGED_KEYS = ("aws:ResourceTag/${TagKey}", "iam:ResourceTag/${TagKey}")


def _named(name: str, *keys: str) -> Kind:
    return Kind(name, f"arn:aws:iam::{{account}}:{name}/{{id}}", "", keys)


TARGETS = Targets(
    (
        _named("user", *_TAGGED_KEYS),
        _named("group"),
        _named("role", *_TAGGED_KEYS),
        _named("instance-profile", *_TAGGED_KEYS),
        _named("server-certificate", "aws:ResourceTag/${TagKey}"),
        _named("policy", *_TAGGED_KEYS),
        _named("mfa", "aws:ResourceTag/${TagKey}"),
        _named("oidc-provider", "aws:ResourceTag/${TagKey}"),
        _named("saml-provider", "aws:ResourceTag/${TagKey}"),
    )
)
KINDS = TARGETS.kinds
_MEMBERS = {
    "user": "UserName",
    "group": "GroupName",
    "role": "RoleName",
    "instance-profile": "InstanceProfileName",
    "server-certificate": "ServerCertificateName",
}
BY_ARN = {
    "policy": "PolicyArn",
    "mfa": "SerialNumber",
    "oidc-provider": "OpenIDConnectProviderArn",
    "saml-provider": "SAMLProviderArn",
}
PATH = "path"


def _of(name: str) -> tuple[Kind, Target]:
    """What is there already; a user that is not named is the caller."""
    kind = KINDS[name]
    if name in BY_ARN:
        member = BY_ARN[name]
        return kind, lambda p, scope: (_by_arn(kind, str(p.get(member) or "")),)
    member = _MEMBERS[name]

    def touched(p: Params, scope: Scope) -> Iterable[Touched]:
        given = str(p.get(member) or "")
        if given or name != "user" or not scope.user:
            yield Touched(kind, given, PATH if given else "")
        else:
            yield Touched(kind, f"{scope.user_path[1:]}{scope.user}", PATH)

    return kind, touched


def _by_arn(kind: Kind, arn: str) -> Touched:
    """The ARN as it was given: of another account's policy, or AWS's own, too."""
    return Touched(Kind(kind.name, "{id}", kind.own, kind.keys), arn) if arn else Touched(kind)


def _named_by_arn(p: Params, scope: Scope) -> Iterable[Touched]:
    """Whatever the ARN names; what it is no ARN of the handler tells."""
    yield _by_arn(KINDS["policy"], str(p.get("Arn") or ""))


def _new(name: str, member: str = "") -> tuple[Kind, Target]:
    """What is to be made, with the path that the request gives it."""
    kind, named = KINDS[name], member or _MEMBERS[name]

    def touched(p: Params, scope: Scope) -> Iterable[Touched]:
        path = str(p.get("Path") or "/")
        yield Touched(kind, f"{path[1:]}{p.get(named) or '*'}", "", new_tags(p, ""))

    return kind, touched


def _provider_url(p: Params, scope: Scope) -> Iterable[Touched]:
    url = str(p.get("Url") or "").partition("://")[2]
    yield Touched(KINDS["oidc-provider"], url, "", new_tags(p, ""))


def _linked_role(p: Params, scope: Scope) -> Iterable[Touched]:
    yield Touched(KINDS["role"], f"aws-service-role/{p.get('AWSServiceName') or '*'}/*")


def _said(p: Params, scope: Scope) -> Facts:
    facts = tag_facts(p.get("Tags") or ())
    if p.get("TagKeys"):
        facts["aws:tagkeys"] = [str(each) for each in p["TagKeys"]]
    for key, member in (
        ("iam:policyarn", "PolicyArn"),
        ("iam:awsservicename", "AWSServiceName"),
        ("iam:permissionsboundary", "PermissionsBoundary"),
    ):
        if p.get(member):
            facts[key] = str(p[member])
    return facts


def _renamed(name: str, operation: str) -> dict[str, Declaration]:
    """A new name or path is a new ARN, on which it has to be allowed too. Source: UpdateUser, UpdateGroup,
    UpdateServerCertificate: "appropriate permissions on both the source object and the target object"."""
    kind, member = KINDS[name], _MEMBERS[name]

    def target(p: Params, scope: Scope) -> Iterable[Touched]:
        if p.get(f"New{member}") or p.get("NewPath"):
            said = (p.get(member), p.get(f"New{member}"), p.get("NewPath"))
            yield Touched(kind, "\n".join(str(each or "") for each in said), "to be renamed")

    return {operation: needs(_of(name), (kind, target), says=_said)}


def _user_of_key(p: Params, scope: Scope) -> Iterable[Touched]:
    yield Touched(KINDS["user"], str(p.get("AccessKeyId") or ""), "access key")


def _listed(name: str, *operations: str) -> dict[str, Declaration]:
    """Lists, of which a policy may allow what is below a path. AWS names the path in its refusals."""
    kind = Kind(name, f"arn:aws:iam::{{account}}:{name}{{id}}")
    return dict.fromkeys(
        operations, needs((kind, lambda p, scope: (Touched(kind, str(p.get("PathPrefix") or "/")),)), says=_said)
    )


def _passes(p: Params, scope: Scope) -> Iterable[Ask]:
    """AddRoleToInstanceProfile hands the role on to EC2."""
    yield Ask("iam:PassRole", Touched(KINDS["role"], str(p.get("RoleName") or ""), PATH),
              {"iam:passedtoservice": "ec2.amazonaws.com"})  # fmt: skip


def _each(
    target: Callable[[str], tuple[Kind, Target]], name: str, *operations: str, keys: Iterable[str] = ()
) -> dict[str, Declaration]:
    return dict.fromkeys(operations, needs(target(name), says=_said, says_keys=keys))


_BOUNDARY, _POLICY = ("iam:PermissionsBoundary",), ("iam:PolicyARN", "iam:PermissionsBoundary")

DECLARED: dict[str, Declaration] = {
    **_each(_new, "user", "CreateUser", keys=(*_TAG_KEYS, *_BOUNDARY)),
    **_each(_new, "role", "CreateRole", keys=(*_TAG_KEYS, *_BOUNDARY)),
    **_each(_new, "group", "CreateGroup"),
    **_each(_new, "instance-profile", "CreateInstanceProfile", keys=_TAG_KEYS),
    **_each(_new, "server-certificate", "UploadServerCertificate", keys=_TAG_KEYS),
    "CreatePolicy": needs(_new("policy", "PolicyName"), says=_said, says_keys=_TAG_KEYS),
    "CreateSAMLProvider": needs(_new("saml-provider", "Name"), says=_said, says_keys=_TAG_KEYS),
    "CreateVirtualMFADevice": needs(_new("mfa", "VirtualMFADeviceName"), says=_said, says_keys=_TAG_KEYS),
    "CreateOpenIDConnectProvider": needs(
        (KINDS["oidc-provider"], _provider_url), says=_said, says_keys=_TAG_KEYS
    ),
    "CreateServiceLinkedRole": needs(
        (KINDS["role"], _linked_role), says=_said, says_keys=("iam:AWSServiceName",)
    ),
    **_each(
        _of, "user",
        "ChangePassword", "CreateAccessKey", "CreateLoginProfile", "DeactivateMFADevice", "DeleteAccessKey",
        "DeleteLoginProfile", "DeleteSSHPublicKey", "DeleteSigningCertificate", "DeleteUser", "EnableMFADevice",
        "GetLoginProfile", "GetMFADevice", "GetSSHPublicKey", "GetUser", "GetUserPolicy", "ListAccessKeys",
        "ListAttachedUserPolicies", "ListGroupsForUser", "ListMFADevices", "ListSSHPublicKeys",
        "ListSigningCertificates", "ListUserPolicies", "ListUserTags", "ResyncMFADevice", "UpdateAccessKey",
        "UpdateLoginProfile", "UpdateSSHPublicKey", "UpdateSigningCertificate", "UploadSSHPublicKey",
        "UploadSigningCertificate",
    ),
    "GetAccessKeyLastUsed": needs((KINDS["user"], _user_of_key), says=_said),
    **_renamed("user", "UpdateUser"),
    **_renamed("group", "UpdateGroup"),
    **_renamed("server-certificate", "UpdateServerCertificate"),
    **_each(_of, "user", "TagUser", "UntagUser", keys=_TAG_KEYS),
    **_each(
        _of, "user", "CreateServiceSpecificCredential", "DeleteServiceSpecificCredential",
        "ListServiceSpecificCredentials", "ResetServiceSpecificCredential", "UpdateServiceSpecificCredential",
        keys=("iam:ServiceSpecificCredentialServiceName",),
    ),
    **_each(
        _of, "user", "DeleteUserPermissionsBoundary", "DeleteUserPolicy", "PutUserPermissionsBoundary",
        "PutUserPolicy", keys=_BOUNDARY,
    ),
    **_each(_of, "user", "AttachUserPolicy", "DetachUserPolicy", keys=_POLICY),
    **_each(
        _of, "group",
        "AddUserToGroup", "DeleteGroup", "DeleteGroupPolicy", "GetGroup", "GetGroupPolicy",
        "ListAttachedGroupPolicies", "ListGroupPolicies", "PutGroupPolicy", "RemoveUserFromGroup",
    ),
    **_each(_of, "group", "AttachGroupPolicy", "DetachGroupPolicy", keys=_POLICY[:1]),
    **_each(
        _of, "role",
        "DeleteServiceLinkedRole", "GetRolePolicy", "ListAttachedRolePolicies", "ListInstanceProfilesForRole",
        "ListRolePolicies", "ListRoleTags",
    ),
    **_each(_of, "role", "TagRole", "UntagRole", keys=_TAG_KEYS),
    **_each(
        _of, "role",
        "DeleteRole", "DeleteRolePermissionsBoundary", "DeleteRolePolicy", "GetRole", "PutRolePermissionsBoundary",
        "PutRolePolicy", "UpdateAssumeRolePolicy", "UpdateRole", "UpdateRoleDescription", keys=_BOUNDARY,
    ),
    **_each(_of, "role", "AttachRolePolicy", "DetachRolePolicy", keys=_POLICY),
    **_each(
        _of, "instance-profile",
        "DeleteInstanceProfile", "GetInstanceProfile", "ListInstanceProfileTags", "RemoveRoleFromInstanceProfile",
    ),
    **_each(_of, "instance-profile", "TagInstanceProfile", "UntagInstanceProfile", keys=_TAG_KEYS),
    "AddRoleToInstanceProfile": needs(
        _of("instance-profile"), says=_said, further=(_passes,), also=("iam:PassRole",)
    ),
    **_each(
        _of, "policy",
        "CreatePolicyVersion", "DeletePolicy", "DeletePolicyVersion", "GetPolicy", "GetPolicyVersion",
        "ListEntitiesForPolicy", "ListPolicyTags", "ListPolicyVersions", "SetDefaultPolicyVersion",
    ),
    **_each(_of, "policy", "TagPolicy", "UntagPolicy", keys=_TAG_KEYS),
    **_each(_of, "mfa", "DeleteVirtualMFADevice", "ListMFADeviceTags"),
    **_each(_of, "mfa", "TagMFADevice", "UntagMFADevice", keys=_TAG_KEYS),
    **_each(
        _of, "oidc-provider",
        "AddClientIDToOpenIDConnectProvider", "DeleteOpenIDConnectProvider", "GetOpenIDConnectProvider",
        "ListOpenIDConnectProviderTags", "RemoveClientIDFromOpenIDConnectProvider",
        "UpdateOpenIDConnectProviderThumbprint",
    ),
    **_each(_of, "oidc-provider", "TagOpenIDConnectProvider", "UntagOpenIDConnectProvider", keys=_TAG_KEYS),
    **_each(_of, "saml-provider", "DeleteSAMLProvider", "GetSAMLProvider", "ListSAMLProviderTags", "UpdateSAMLProvider"),
    **_each(_of, "saml-provider", "TagSAMLProvider", "UntagSAMLProvider", keys=_TAG_KEYS),
    **_each(
        _of, "server-certificate",
        "DeleteServerCertificate", "GetServerCertificate", "ListServerCertificateTags",
    ),
    **_each(_of, "server-certificate", "TagServerCertificate", "UntagServerCertificate", keys=_TAG_KEYS),
    **dict.fromkeys(
        (
            "CreateAccountAlias", "DeleteAccountAlias", "DeleteAccountPasswordPolicy", "GenerateCredentialReport",
            "GetAccountAuthorizationDetails", "GetAccountPasswordPolicy",
            "GetAccountSummary", "GetContextKeysForCustomPolicy", "GetContextKeysForPrincipalPolicy",
            "GetCredentialReport", "GetServiceLastAccessedDetails", "GetServiceLastAccessedDetailsWithEntities",
            "GetServiceLinkedRoleDeletionStatus", "ListAccountAliases", "ListOpenIDConnectProviders",
            "ListSAMLProviders", "ListVirtualMFADevices",
            "SetSecurityTokenServicePreferences", "SimulateCustomPolicy", "SimulatePrincipalPolicy",
            "UpdateAccountPasswordPolicy",
        ),
        ON_ALL,
    ),
    **dict.fromkeys(
        ("GenerateServiceLastAccessedDetails", "ListPoliciesGrantingServiceAccess"),
        needs(*TARGETS.some(_named_by_arn, "user", "group", "role", "policy")),
    ),
    **_listed("user", "ListUsers"),
    **_listed("group", "ListGroups"),
    **_listed("role", "ListRoles"),
    **_listed("policy", "ListPolicies"),
    **_listed("instance-profile", "ListInstanceProfiles"),
    **_listed("server-certificate", "ListServerCertificates"),
    # Eucalyptus's own: `eucapy/clc/iam/cloud_accounts.py`.
    **dict.fromkeys(
        (
            "CreateAccount", "DeleteAccount", "ListAccounts", "PutAccountPolicy", "GetAccountPolicy",
            "ListAccountPolicies", "DeleteAccountPolicy",
        ),
        ON_ALL,
    ),
}  # fmt: skip
