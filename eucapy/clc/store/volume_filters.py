"""The filters of DescribeVolumes and DescribeVolumeStatus, compiled to SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from eucapy.clc.store import filters
from eucapy.clc.store.attachments import table as attachments
from eucapy.clc.store.tags import tag_filters
from eucapy.clc.store.volumes import table as volumes
from eucapy.lifecycle import volume as life


def _attached(build: filters.Filter) -> filters.Filter:
    """The volume's attachment is such a one."""
    return filters.exists(
        lambda values: sa.select(attachments.c.id).where(attachments.c.volume_id == volumes.c.id, build(values))
    )


FILTERS: dict[str, filters.Filter] = {
    "attachment.attach-time": _attached(filters.timestamp(attachments.c.attached_at)),
    "attachment.delete-on-termination": _attached(filters.boolean(attachments.c.delete_on_termination)),
    "attachment.device": _attached(filters.text(attachments.c.device)),
    "attachment.instance-id": _attached(filters.text(attachments.c.instance_id)),
    "attachment.status": _attached(filters.text(attachments.c.state)),
    "availability-zone": filters.text(volumes.c.zone),
    "create-time": filters.timestamp(volumes.c.created_at),
    "encrypted": filters.constant("false"),
    "fast-restored": filters.constant("false"),
    "multi-attach-enabled": filters.constant("false"),
    "operator.managed": filters.constant("false"),
    "operator.principal": filters.never,
    "size": filters.number(volumes.c.size_gib),
    "snapshot-id": filters.text(volumes.c.snapshot_id),
    "status": filters.text(volumes.c.state),
    "volume-id": filters.text(volumes.c.id),
    "volume-type": filters.text(volumes.c.volume_type),
    **tag_filters(volumes.c.id),
}

_HEALTH = {"ok": (life.AVAILABLE, life.IN_USE), "insufficient-data": (life.CREATING,), "impaired": (life.ERROR,)}


def health(state: str) -> str:
    """`volume-status.status` of a volume in a state."""
    return next(word for word, states in _HEALTH.items() if state in states)


WITH_HEALTH = tuple(state for states in _HEALTH.values() for state in states)
"""The states of the volumes that DescribeVolumeStatus shows."""


def _health(values: Sequence[str]) -> filters.Condition:
    """Any state whose health is one of the values, wildcards included."""
    return sa.or_(
        *(sa.and_(filters.constant(word)(values), volumes.c.state.in_(states)) for word, states in _HEALTH.items())
    )


def _any(*declared: filters.Filter) -> filters.Filter:
    """One of them holds."""
    return lambda values: sa.or_(*(build(values) for build in declared))


STATUS_FILTERS: dict[str, filters.Filter] = {
    "action.code": filters.never,
    "action.description": filters.never,
    "action.event-id": filters.never,
    "attachment-status.instance-id": _attached(filters.text(attachments.c.instance_id)),
    "attachment-status.io-performance": filters.never,
    "availability-zone": filters.text(volumes.c.zone),
    "event.description": filters.never,
    "event.event-id": filters.never,
    "event.event-type": filters.never,
    "event.not-after": filters.never,
    "event.not-before": filters.never,
    "volume-status.details-name": _any(filters.constant("io-enabled"), filters.constant("io-performance")),
    "volume-status.details-status": _any(
        lambda values: sa.and_(filters.constant("passed")(values), volumes.c.state.in_((life.AVAILABLE, life.IN_USE))),
        lambda values: sa.and_(filters.constant("failed")(values), volumes.c.state == life.ERROR),
        filters.constant("not-applicable"),
    ),
    "volume-status.status": _health,
}


def with_zone_ids(declared: Mapping[str, filters.Filter], zone_ids: Mapping[str, str]) -> dict[str, filters.Filter]:
    """`declared` and `availability-zone-id`; `zone_ids` maps AWS's short ids to zones."""
    return {**declared, "availability-zone-id": filters.mapped(volumes.c.zone, zone_ids)}
