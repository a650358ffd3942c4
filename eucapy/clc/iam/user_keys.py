"""SSH public keys of users, and their passwords for single services (service-specific credentials).

Both are kept for AWS's own clients: CodeCommit, Keyspaces and Bedrock are not served here, so that the credentials open
nothing in this cloud.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from eucapy.clc.context import Call
from eucapy.clc.iam import users
from eucapy.clc.iam.paging import listed
from eucapy.clc.iam.service import LimitExceeded, NoSuchEntity, iam
from eucapy.clc.store import accounts, iam_user_keys
from eucapy.clc.store.iam_names import principal_id
from eucapy.clc.store.iam_user_keys import service_credentials, ssh_keys
from eucapy.database import Row
from eucapy.errors import ApiError

SSH_KEYS_PER_USER = 5
CREDENTIALS_PER_SERVICE = 2
DAY_S = 86400
_SERVICES = ("codecommit.amazonaws.com", "cassandra.amazonaws.com", "bedrock.amazonaws.com")
_WITH_ALIAS = "bedrock.amazonaws.com"


class InvalidPublicKey(ApiError):
    message = "The public key is invalid or unsupported."


class DuplicateSSHPublicKey(ApiError):
    message = "The SSH public key is already associated with the specified IAM user."


class UnrecognizedPublicKeyEncoding(ApiError):
    message = "The public key encoding format is unsupported or unrecognized."


@iam.action("UploadSSHPublicKey")
async def upload(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p["UserName"])
    fingerprint = _fingerprint(_key(p["SSHPublicKeyBody"]))
    held = await iam_user_keys.of(call.tx, ssh_keys, user.id)
    if any(row.fingerprint == fingerprint for row in held):
        raise DuplicateSSHPublicKey
    if len(held) >= SSH_KEYS_PER_USER:
        raise LimitExceeded(quota="SSHPublicKeysPerUser", most=SSH_KEYS_PER_USER)
    new = principal_id("APKA")
    await iam_user_keys.insert(
        call.tx, ssh_keys, id=new, account=call.account, user_id=user.id, body=p["SSHPublicKeyBody"].strip(),
        fingerprint=fingerprint, active=True, created_at=call.now,
    )  # fmt: skip
    row = await _require_ssh(call, user, new)
    return {"SSHPublicKey": {**_ssh_view(user, row), "Fingerprint": row.fingerprint, "SSHPublicKeyBody": row.body}}


@iam.action("GetSSHPublicKey")
async def get(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p["UserName"])
    row = await _require_ssh(call, user, p["SSHPublicKeyId"])
    body = _encoded(_key(row.body), p["Encoding"], row.body)
    return {"SSHPublicKey": {**_ssh_view(user, row), "Fingerprint": row.fingerprint, "SSHPublicKeyBody": body}}


@iam.action("ListSSHPublicKeys")
async def list_ssh(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p.get("UserName"))
    held = await iam_user_keys.of(call.tx, ssh_keys, user.id)
    return listed(call, p, "SSHPublicKeys", held, key=_age, shown=lambda row: _ssh_view(user, row))


@iam.action("UpdateSSHPublicKey")
async def update_ssh(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _require_ssh(call, await users.require(call, p["UserName"]), p["SSHPublicKeyId"])
    await iam_user_keys.update(call.tx, ssh_keys, row.id, active=p["Status"] == "Active")
    return {}


@iam.action("DeleteSSHPublicKey")
async def delete_ssh(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _require_ssh(call, await users.require(call, p["UserName"]), p["SSHPublicKeyId"])
    await iam_user_keys.remove(call.tx, ssh_keys, row.id)
    return {}


async def _require_ssh(call: Call, user: Row, key_id: str) -> Row:
    row = await iam_user_keys.by_id(call.tx, ssh_keys, user.id, key_id)
    if row is None:
        raise NoSuchEntity(f"The Public Key with id {key_id} cannot be found.")
    return row


def _key(body: str) -> rsa.RSAPublicKey:
    """IAM takes RSA of 2048 to 16384 bits, as OpenSSH or PEM. Raises InvalidPublicKey, UnrecognizedPublicKeyEncoding."""
    text = body.strip().encode()
    try:
        if text.startswith(b"ssh-"):
            key: Any = serialization.load_ssh_public_key(text)
        elif text.startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(text)
        else:
            raise UnrecognizedPublicKeyEncoding
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidPublicKey from error
    if not isinstance(key, rsa.RSAPublicKey) or not 2048 <= key.key_size <= 16384:
        raise InvalidPublicKey
    return key


def _fingerprint(key: rsa.RSAPublicKey) -> str:
    """MD5 of the key as OpenSSH has it, in pairs."""
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    digest = hashlib.md5(base64.b64decode(line.split()[1]), usedforsecurity=False).hexdigest()
    return ":".join(digest[at : at + 2] for at in range(0, len(digest), 2))


def _encoded(key: rsa.RSAPublicKey, encoding: str, body: str) -> str:
    if encoding == "SSH" and body.startswith("ssh-"):
        return body
    form = serialization.PublicFormat
    if encoding == "SSH":
        return key.public_bytes(serialization.Encoding.OpenSSH, form.OpenSSH).decode()
    return key.public_bytes(serialization.Encoding.PEM, form.SubjectPublicKeyInfo).decode()


def _ssh_view(user: Row, row: Row) -> dict[str, Any]:
    return {
        "UserName": user.name,
        "SSHPublicKeyId": row.id,
        "Status": "Active" if row.active else "Inactive",
        "UploadDate": row.created_at,
    }


def _age(row: Row) -> str:
    return f"{row.created_at:020.6f} {row.id}"


# --- service-specific credentials -------------------------------------------------------------------------------------


@iam.action("CreateServiceSpecificCredential")
async def create_credential(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The password is answered once."""
    user, service = await users.require(call, p["UserName"]), _supported(p["ServiceName"])
    held = [row for row in await iam_user_keys.of(call.tx, service_credentials, user.id) if row.service == service]
    if len(held) >= CREDENTIALS_PER_SERVICE:
        raise LimitExceeded(quota="ServiceSpecificCredentialsPerUser", most=CREDENTIALS_PER_SERVICE)
    middle = "+" + str(len(held)) if held and service != _WITH_ALIAS else ""
    name = f"{user.name}{middle}-at-{call.account}"
    if any(row.service_user == name for row in held):
        name = f"{user.name}+{secrets.randbelow(9000) + 1000}-at-{call.account}"
    secret, new = _password(), principal_id("ACCA")
    days = p.get("CredentialAgeDays")
    await iam_user_keys.insert(
        call.tx, service_credentials, id=new, account=call.account, user_id=user.id, service=service,
        service_user=f"{service} {name}", sealed_secret=call.seal(secret.encode()), active=True, created_at=call.now,
        expires_at=call.now + days * DAY_S if days else None,
    )  # fmt: skip
    row = await _require_credential(call, user, new)
    return {"ServiceSpecificCredential": {**_credential_view(user, row), **_secret(service, secret)}}


@iam.action("ListServiceSpecificCredentials")
async def list_credentials(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """A page that is the last one says nothing of being cut, as AWS's does not here."""
    asked = [await users.require(call, p.get("UserName"))]
    if p.get("ServiceName") is not None:
        _supported(p["ServiceName"])
    if p.get("AllUsers"):
        asked = await accounts.users_of(call.tx, call.account)
    found = [
        (user, row)
        for user in asked
        for row in await iam_user_keys.of(call.tx, service_credentials, user.id)
        if p.get("ServiceName") in (None, row.service)
    ]
    answer = listed(
        call, p, "ServiceSpecificCredentials", sorted(found, key=lambda entry: _age(entry[1])),
        key=lambda entry: _age(entry[1]), shown=lambda entry: _credential_view(*entry),
    )  # fmt: skip
    return {name: value for name, value in answer.items() if value is not False}


def _supported(service: str) -> str:
    if service not in _SERVICES:
        raise NoSuchEntity(f"No such service {service} is supported for Service Specific Credentials")
    return service


@iam.action("UpdateServiceSpecificCredential")
async def update_credential(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _named_credential(call, p)
    await iam_user_keys.update(call.tx, service_credentials, row.id, active=p["Status"] == "Active")
    return {}


@iam.action("ResetServiceSpecificCredential")
async def reset_credential(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    user = await users.require(call, p.get("UserName"))
    row = await _named_credential(call, p)
    secret = _password()
    await iam_user_keys.update(call.tx, service_credentials, row.id, sealed_secret=call.seal(secret.encode()))
    return {"ServiceSpecificCredential": {**_credential_view(user, row), **_secret(row.service, secret)}}


@iam.action("DeleteServiceSpecificCredential")
async def delete_credential(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    row = await _named_credential(call, p)
    await iam_user_keys.remove(call.tx, service_credentials, row.id)
    return {}


async def _named_credential(call: Call, p: Mapping[str, Any]) -> Row:
    user = await users.require(call, p.get("UserName"))
    return await _require_credential(call, user, p["ServiceSpecificCredentialId"])


async def _require_credential(call: Call, user: Row, wanted: str) -> Row:
    row = await iam_user_keys.by_id(call.tx, service_credentials, user.id, wanted)
    if row is None:
        raise NoSuchEntity(f"No such credential {wanted} exists")
    return row


def _password() -> str:
    return base64.b64encode(secrets.token_bytes(33)).decode()


def _secret(service: str, secret: str) -> dict[str, str]:
    return {"ServiceCredentialSecret" if service == _WITH_ALIAS else "ServicePassword": secret}


def _credential_view(user: Row, row: Row) -> dict[str, Any]:
    name = row.service_user.partition(" ")[2]
    shown = {
        "UserName": user.name,
        "Status": "Active" if row.active else "Inactive",
        "ServiceCredentialAlias" if row.service == _WITH_ALIAS else "ServiceUserName": name,
        "CreateDate": row.created_at,
        "ServiceSpecificCredentialId": row.id,
        "ServiceName": row.service,
    }
    if row.expires_at is not None:
        shown["ExpirationDate"] = row.expires_at
    return shown
