"""Registered components: which agents there are, where they listen, and what they were last sent.

`generation` and `digest` belong to the agent's spec: the generation grows exactly when the content does, and it is
committed before the spec is sent, so that after a crash the same content goes out under the same number.
"""

from __future__ import annotations

import sqlalchemy as sa

from eucapy.clc.store.base import created_column, metadata
from eucapy.database import Row, Tx

components = sa.Table(
    "components",
    metadata,
    sa.Column("kind", sa.String(10), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("zone", sa.String(64), nullable=False, server_default=""),
    sa.Column("url", sa.String(256), nullable=False),
    sa.Column("eucanetd_url", sa.String(256), nullable=False, server_default=""),
    sa.Column("address", sa.String(64), nullable=False, server_default=""),
    sa.Column("enabled", sa.Boolean, nullable=False, server_default=sa.true()),
    created_column(),
)

specs = sa.Table(
    "specs",
    metadata,
    sa.Column("agent", sa.String(80), primary_key=True),
    sa.Column("generation", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)


async def register(
    tx: Tx, kind: str, name: str, *, zone: str, url: str, now: float, eucanetd_url: str = "", address: str = ""
) -> None:
    """Add a component, or say anew where it is. `kind`: cc, sc or nc (a node, with its eucanetd)."""
    values = {"zone": zone, "url": url, "eucanetd_url": eucanetd_url, "address": address}
    changed = await tx.run(
        sa.update(components).where(components.c.kind == kind, components.c.name == name).values(**values)
    )
    if not changed:
        await tx.run(sa.insert(components).values(kind=kind, name=name, created_at=now, enabled=True, **values))


async def of_kind(tx: Tx, kind: str, zone: str | None = None) -> list[Row]:
    statement = sa.select(components).where(components.c.kind == kind).order_by(components.c.name)
    if zone is not None:
        statement = statement.where(components.c.zone == zone)
    return list(await tx.all(statement))


async def every(tx: Tx) -> list[Row]:
    return list(await tx.all(sa.select(components).order_by(components.c.kind, components.c.name)))


async def generation(tx: Tx, agent: str, digest: str) -> int:
    """The generation for a spec of this content: the last one if the content is the last one, else the next."""
    row = await tx.first(sa.select(specs).where(specs.c.agent == agent))
    if row is None:
        await tx.run(sa.insert(specs).values(agent=agent, generation=1, digest=digest))
        return 1
    if row.digest == digest:
        return int(row.generation)
    await tx.run(sa.update(specs).where(specs.c.agent == agent).values(generation=row.generation + 1, digest=digest))
    return int(row.generation) + 1


async def skip_to(tx: Tx, agent: str, held: int) -> None:
    """The agent holds a newer generation than ours (our database was restored): the next spec goes past it."""
    await tx.run(
        sa.update(specs)
        .where(specs.c.agent == agent, specs.c.generation <= held)
        .values(generation=held + 1, digest="")
    )
