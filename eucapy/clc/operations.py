"""What the operator does: accounts, users, keys, components. Plain functions; `operator.py` puts them on the wire."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from eucapy.clc import limits
from eucapy.clc.config import Config
from eucapy.clc.iam.access_keys import new_access_key
from eucapy.clc.store import account_policies, accounts, cloud_accounts, components, iam_names, iam_policies, powers
from eucapy.clc.store.cloud_accounts import ADMIN, CLOUD
from eucapy.database import Row, Tx

_USER = re.compile(r"[A-Za-z0-9+=,.@_-]{1,64}")


class Refused(Exception):
    """The operator asked for something that cannot be; `status` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Operations:
    """Each function runs in the transaction that it is given."""

    def __init__(self, config: Config, seal: Callable[[bytes], bytes], now: Callable[[], float]) -> None:
        self._config, self._seal, self._now = config, seal, now

    async def create_account(
        self, tx: Tx, name: str, account_id: str | None = None, key: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        """An account with its default VPC, its user `admin` and that user's first key (random unless given)."""
        if not cloud_accounts.is_name(name):
            raise Refused(400, f"{name!r} is no account name: lower-case letters, digits and hyphens, 63 at most")
        if await accounts.by_name(tx, name) is not None:
            raise Refused(409, f"there is an account {name} already")
        config = self._config
        account = await cloud_accounts.create(tx, name, config.region, config.zones, self._now(), account_id)
        user = await accounts.user(tx, account.id, ADMIN)
        assert user is not None
        return {
            "account": name,
            "account_id": account.id,
            "canonical_id": account.canonical_id,
            "user": ADMIN,
            **await self._key(tx, user, key),
        }

    async def list_accounts(self, tx: Tx) -> list[dict[str, Any]]:
        return [
            {"account": row.name, "account_id": row.id, "canonical_id": row.canonical_id}
            for row in await accounts.every(tx)
        ]

    async def delete_account(self, tx: Tx, name: str, recursive: bool) -> dict[str, Any]:
        """An account that has nothing any more; with `recursive` its users, groups, roles and policies go too."""
        account = await self._account(tx, name)
        if name == CLOUD:
            raise Refused(409, f"{CLOUD} is the cloud's own account")
        held = await cloud_accounts.what_holds(tx, account.id, recursive=recursive)
        if held:
            raise Refused(409, f"the account {name} still has {held}")
        await cloud_accounts.remove(tx, account.id)
        return {"account": name, "account_id": account.id}

    async def account_limits(self, tx: Tx, account_name: str, name: str, document: str) -> dict[str, Any]:
        """The account's policies that limit what it may have, after one of them was put (`document`) or removed (a name
        alone)."""
        account = await self._account(tx, account_name)
        if name and document:
            try:
                limits.parse(document)
            except limits.InvalidLimits as error:
                raise Refused(400, str(error)) from error
            await account_policies.put(tx, account.id, name, document)
        elif name and not await account_policies.remove(tx, account.id, name):
            raise Refused(404, f"the account {account_name} has no policy {name}")
        held = await account_policies.of(tx, account.id)
        return {"account": account.name, "policies": {row.name: row.document for row in held}}

    async def create_user(self, tx: Tx, account_name: str, name: str, policy: str) -> dict[str, Any]:
        """A user that may do `all` or `none`, with a key."""
        if policy not in ("all", "none"):
            raise Refused(400, f"the policy is all or none, not {policy!r}")
        if not _USER.fullmatch(name):
            raise Refused(400, f"{name!r} is no user name: letters, digits and +=,.@_- , 64 at most")
        account = await self._account(tx, account_name)
        if await iam_names.holder(tx, accounts.users, account.id, name) is not None:
            raise Refused(409, f"the account {account_name} has a user {name} already")
        user = await accounts.insert_user(tx, account.id, name, self._now())
        if policy == "all":
            await iam_policies.attach(tx, account.id, user.id, iam_policies.ADMINISTRATOR_ACCESS)
        return {"account": account.name, "account_id": account.id, "user": name, **await self._key(tx, user)}

    async def list_users(self, tx: Tx) -> list[dict[str, Any]]:
        names = {row.id: row.name for row in await accounts.every(tx)}
        return [
            {
                "account": names[row.account],
                "user": row.name,
                "user_id": row.id,
                "policy": "all" if await powers.administers(tx, row.id) else "none",
            }
            for row in await accounts.users_of(tx)
        ]

    async def create_key(self, tx: Tx, account_name: str, user_name: str) -> dict[str, Any]:
        """One more key for a user, two at most as in AWS."""
        account = await self._account(tx, account_name)
        user = await accounts.user(tx, account.id, user_name)
        if user is None:
            raise Refused(404, f"the account {account_name} has no user {user_name}")
        if len(await accounts.keys_of(tx, user.id)) >= 2:
            raise Refused(409, f"{user_name} has two keys already: remove one first")
        return {"account": account.name, "account_id": account.id, "user": user.name, **await self._key(tx, user)}

    async def replace_key(self, tx: Tx, account_name: str, user_name: str, key: tuple[str, str]) -> dict[str, Any]:
        """This key for a user, in the place of all that the user has. For clouds on a developer's machine: a key that
        somebody chose is no secret."""
        account = await self._account(tx, account_name)
        user = await accounts.user(tx, account.id, user_name)
        if user is None:
            raise Refused(404, f"the account {account_name} has no user {user_name}")
        for held in await accounts.keys_of(tx, user.id):
            await accounts.remove_key(tx, held.id)
        if await accounts.key(tx, key[0]) is not None:
            raise Refused(409, f"the access key id {key[0]} is another user's")
        return {"account": account.name, "account_id": account.id, "user": user.name, **await self._key(tx, user, key)}

    async def register(self, tx: Tx, body: dict[str, Any]) -> dict[str, Any]:
        """A cluster controller, a storage controller or a node, at its addresses."""
        kind, name, zone, url = (str(body.get(member) or "") for member in ("kind", "name", "zone", "url"))
        if kind not in ("cc", "sc", "nc"):
            raise Refused(400, f"{kind!r} is no kind of component: cc, sc or nc")
        if zone not in self._config.zones:
            raise Refused(400, f"{zone!r} is no zone of this cloud: {', '.join(self._config.zones)}")
        if not name or not url.startswith(("https://", "http://")):
            raise Refused(400, "a component has a name and an http(s) url")
        eucanetd_url, address = str(body.get("eucanetd_url") or ""), str(body.get("address") or "")
        if kind == "nc" and not (eucanetd_url and address):
            raise Refused(400, "a node has an eucanetd_url and an underlay address")
        await components.register(
            tx, kind, name, zone=zone, url=url, eucanetd_url=eucanetd_url, address=address, now=self._now()
        )
        return {"kind": kind, "name": name, "zone": zone, "url": url}

    async def list_components(self, tx: Tx) -> list[dict[str, Any]]:
        return [
            {
                "kind": row.kind,
                "name": row.name,
                "zone": row.zone,
                "url": row.url,
                "eucanetd_url": row.eucanetd_url,
                "address": row.address,
                "enabled": row.enabled,
            }
            for row in await components.every(tx)
        ]

    async def _account(self, tx: Tx, name: str) -> Row:
        account = await accounts.by_name(tx, name)
        if account is None:
            raise Refused(404, f"there is no account {name}")
        return account

    async def _key(self, tx: Tx, user: Row, key: tuple[str, str] | None = None) -> dict[str, str]:
        key_id, secret = key or new_access_key()
        await accounts.insert_key(tx, user.account, user.id, key_id, self._seal(secret.encode()), self._now())
        return {"access_key_id": key_id, "secret_access_key": secret}
