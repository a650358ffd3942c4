"""Tags of what IAM holds: one row a tag, by the unique id (or, where there is none, the ARN) of what is tagged.

With `folding` (users and roles) a key is one whatever its case, and keeps the case that it was given last. They are apart
from EC2's tags (`tags.py`), whose DescribeTags must not show them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import sqlalchemy as sa

from eucapy.clc.store.base import metadata
from eucapy.database import Tx

iam_tags = sa.Table(
    "iam_tags",
    metadata,
    sa.Column("owner_id", sa.String(512), primary_key=True),
    sa.Column("folded", sa.String(128), primary_key=True),
    sa.Column("key", sa.String(128), nullable=False),
    sa.Column("value", sa.String(256), nullable=False),
)

_OF = (
    sa.select(iam_tags)
    .where(iam_tags.c.owner_id.in_(sa.bindparam("wanted", expanding=True)))
    .order_by(iam_tags.c.owner_id, iam_tags.c.folded)
)
_AT_ONCE = 500


async def put(tx: Tx, owner_id: str, tags: Mapping[str, str], *, folding: bool = False) -> None:
    await remove(tx, owner_id, tags, folding=folding)
    for key, value in tags.items():
        folded = key.lower() if folding else key
        await tx.run(sa.insert(iam_tags).values(owner_id=owner_id, folded=folded, key=key, value=value))


async def remove(tx: Tx, owner_id: str, keys: Iterable[str], *, folding: bool = False) -> None:
    folded = [key.lower() if folding else key for key in keys]
    await tx.run(sa.delete(iam_tags).where(iam_tags.c.owner_id == owner_id, iam_tags.c.folded.in_(folded)))


async def remove_all(tx: Tx, owner_id: str) -> None:
    await tx.run(sa.delete(iam_tags).where(iam_tags.c.owner_id == owner_id))


async def of(tx: Tx, owner_id: str) -> dict[str, str]:
    """Key to value, in the order of the keys."""
    return (await of_many(tx, [owner_id])).get(owner_id, {})


async def of_many(tx: Tx, owner_ids: Sequence[str]) -> dict[str, dict[str, str]]:
    """By owner; those without tags are absent."""
    found: dict[str, dict[str, str]] = {}
    for start in range(0, len(owner_ids), _AT_ONCE):
        for row in await tx.all(_OF, {"wanted": owner_ids[start : start + _AT_ONCE]}):
            found.setdefault(str(row.owner_id), {})[str(row.key)] = str(row.value)
    return found
