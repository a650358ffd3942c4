"""The admin of a local cloud: the account that is there from the start, its key, and what a shell needs of both."""

from __future__ import annotations

import shlex

import msgspec

from eucapy import ledger
from eucapy.clc.store import accounts
from eucapy.clc.store.cloud_accounts import ADMIN
from eucapy.database import Tx

from .cloud import DevCloud

ACCOUNT = "eucalyptus"
ACCOUNT_ID = "123456789012"


class Admin(msgspec.Struct):
    """The admin's key, kept in the data folder so that a second start says the same."""

    account_id: str
    access_key_id: str
    secret_access_key: str

    @property
    def key(self) -> tuple[str, str]:
        return self.access_key_id, self.secret_access_key


async def ensure(cloud: DevCloud, chosen: tuple[str, str] | None) -> Admin:
    """The admin of the cloud's account, made at the first start; with the chosen key, when one is."""
    kept = ledger.Ledger(cloud.data / "admin.json", Admin)
    held = kept.read()
    if held is not None and chosen in (None, held.key):
        return held

    async def work(tx: Tx) -> Admin:
        operations = cloud.clc.operations
        if await accounts.by_name(tx, ACCOUNT) is None:
            made = await operations.create_account(tx, ACCOUNT, ACCOUNT_ID, key=chosen)
        elif chosen is not None:
            made = await operations.replace_key(tx, ACCOUNT, ADMIN, chosen)
        else:
            made = await operations.create_key(tx, ACCOUNT, ADMIN)
        return Admin(made["account_id"], made["access_key_id"], made["secret_access_key"])

    admin: Admin = await cloud.database.write(work)
    cloud.clc.keys.forget()
    kept.write(admin)
    return admin


def environment(endpoint: str, region: str, admin: Admin) -> str:
    """What a shell sources."""
    return (
        f"export AWS_ENDPOINT_URL={endpoint}\n"
        f"export AWS_ACCESS_KEY_ID={admin.access_key_id}\n"
        f"export AWS_SECRET_ACCESS_KEY={shlex.quote(admin.secret_access_key)}\n"
        f"export AWS_DEFAULT_REGION={region}\n"
        f"export AWS_REGION={region}\n"
    )
