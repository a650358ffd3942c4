"""Key pairs: CreateKeyPair, ImportKeyPair, DeleteKeyPair, DescribeKeyPairs.

The private half is made here, answered once, and kept nowhere. Key material: `eucapy/clc/ssh_keys.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from eucapy import ids
from eucapy.clc import ssh_keys
from eucapy.clc.context import Call
from eucapy.clc.ec2 import tags as tagging
from eucapy.clc.ec2.errors import (
    InvalidKeyFormat,
    InvalidKeyPairDuplicate,
    InvalidKeyPairNotFound,
    InvalidParameterValue,
)
from eucapy.clc.ec2.service import ec2
from eucapy.clc.store import filters, key_pairs
from eucapy.clc.store import tags as tag_rows
from eucapy.clc.store.tags import tag_filter
from eucapy.database import Row

LONGEST_NAME = 255


@ec2.action("CreateKeyPair")
async def create_key_pair(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name = _name(p["KeyName"])
    await _must_be_free(call, name)
    pair = await asyncio.to_thread(ssh_keys.create, p.get("KeyType") or "rsa", p.get("KeyFormat") or "pem", name)
    row = await key_pairs.insert(
        call.tx,
        account=call.account,
        name=name,
        key_type=pair.key_type,
        fingerprint=pair.fingerprint,
        public_key=pair.public_key,
        now=call.now,
    )
    return {**await _made(call, p, row), "KeyMaterial": pair.material}


@ec2.action("ImportKeyPair")
async def import_key_pair(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    name = _name(p["KeyName"])
    await _must_be_free(call, name)
    try:
        public = ssh_keys.parse(p["PublicKeyMaterial"], name)
    except ssh_keys.NotAKey as error:
        raise InvalidKeyFormat from error
    row = await key_pairs.insert(
        call.tx,
        account=call.account,
        name=name,
        key_type=public.key_type,
        fingerprint=public.fingerprint,
        public_key=public.public_key,
        now=call.now,
    )
    return await _made(call, p, row)


@ec2.action("DeleteKeyPair")
async def delete_key_pair(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """EC2 answers success for a key pair that does not exist, with its id only when it did."""
    if p.get("KeyPairId"):
        row = await key_pairs.by_id(call.tx, call.account, ids.check("key", p["KeyPairId"]))
    elif p.get("KeyName"):
        row = await key_pairs.by_name(call.tx, call.account, p["KeyName"])
    else:
        raise InvalidParameterValue("Either KeyName or KeyPairId must be provided")
    if row is None:
        return {"Return": True}
    await key_pairs.remove(call.tx, row.id)
    await tag_rows.remove(call.tx, row.id)
    return {"Return": True, "KeyPairId": row.id}


@ec2.action("DescribeKeyPairs")
async def describe_key_pairs(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    conditions = filters.where(key_pairs.FILTERS, p.get("Filters"), tags=tag_filter(key_pairs.key_pairs.c.id))
    names, wanted = p.get("KeyNames") or [], p.get("KeyPairIds") or []
    for key_id in wanted:
        ids.check("key", key_id)
    if names:
        conditions.append(key_pairs.key_pairs.c.name.in_(names))
    if wanted:
        conditions.append(key_pairs.key_pairs.c.id.in_(wanted))
    rows = await key_pairs.find(call.tx, call.account, conditions)
    if not p.get("Filters"):
        _all_found(names, [row.name for row in rows])
        _all_found(wanted, [row.id for row in rows])
    tags = await tag_rows.of(call.tx, [row.id for row in rows])
    return {"KeyPairs": [view(row, tags, p.get("IncludePublicKey", False)) for row in rows]}


def view(row: Row, tags: Mapping[str, list[dict[str, str]]], with_public_key: bool) -> dict[str, Any]:
    """A row as KeyPairInfo."""
    out: dict[str, Any] = {
        "KeyPairId": row.id,
        "KeyName": row.name,
        "KeyType": row.key_type,
        "KeyFingerprint": row.fingerprint,
        "Tags": tags.get(row.id, []),
        "CreateTime": row.created_at,
    }
    if with_public_key:
        out["PublicKey"] = row.public_key
    return out


async def _made(call: Call, p: Mapping[str, Any], row: Row) -> dict[str, Any]:
    values = tagging.from_specifications(p, "key-pair")
    await tag_rows.put(call.tx, call.account, "key-pair", row.id, values)
    return {
        "KeyPairId": row.id,
        "KeyName": row.name,
        "KeyFingerprint": row.fingerprint,
        "Tags": [{"Key": key, "Value": value} for key, value in sorted(values.items())] or None,
    }


async def _must_be_free(call: Call, name: str) -> None:
    if await key_pairs.by_name(call.tx, call.account, name) is not None:
        raise InvalidKeyPairDuplicate


def _all_found(wanted: Sequence[str], found: Sequence[str]) -> None:
    for name in wanted:
        if name not in found:
            raise InvalidKeyPairNotFound(name=name)


def _name(name: str) -> str:
    if not name or len(name) > LONGEST_NAME or not name.isascii() or name != name.strip():
        raise InvalidParameterValue(
            f"Value ({name}) for parameter KeyName is invalid. Up to 255 ASCII characters, without blanks at its ends."
        )
    return name
