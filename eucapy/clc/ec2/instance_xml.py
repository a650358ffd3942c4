"""DescribeInstances' hot path: instances as finished XML.

Most of what is shown of an instance is shown of thousands of others as well. That is rendered once, by `view` and the
shape's own writer, as XML with holes, and kept under exactly the values that it was made of; an instance then costs its
rows and one filling of the holes:

    rows ──► key: what others have too ──► XML with holes (made when it is not there)
        └──► texts: what only this one has ──► filled in

What came out is kept as well, under the instance's revision (`store/revisions.py`), so that it is never stale. Both stores
are bounded, and a process that has nothing in them answers the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace
from typing import Any, Generic, TypeVar, cast

from eucapy.aws import xml, xmlholes
from eucapy.aws.timestamps import milliseconds
from eucapy.clc.context import Call
from eucapy.clc.ec2 import instance_views
from eucapy.clc.ec2.instance_views import HostNames, Parts
from eucapy.clc.ec2.zones import zone_ids
from eucapy.clc.store import instances, shown_instances
from eucapy.clc.store.shown_instances import OWN_INSTANCE, OWN_INTERFACE, OWN_VOLUME, Shown
from eucapy.database import Row

KEPT = 12_000
"""Most instances whose XML is kept; some 5 KiB each."""
KEPT_FORMS = 1_000
"""Most sets of shared values whose XML with holes is kept; as large."""

V = TypeVar("V")


class Shelf(dict[Any, V], Generic[V]):
    """A dictionary with room for so many; when it is full, what was put in first goes first."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self._room = room

    def put(self, key: Any, made: V) -> V:
        if len(self) >= self._room:
            del self[next(iter(self))]
        self[key] = made
        return made


_SHELF: Shelf[xml.Rendered] = Shelf(KEPT)
_FORMS: Shelf[xmlholes.Fill] = Shelf(KEPT_FORMS)


def forget() -> None:
    """As in a process that has just begun."""
    _SHELF.clear()
    _FORMS.clear()


async def rendered(call: Call, listed: Sequence[Row]) -> list[xml.Rendered]:
    """The instances as finished XML, in the order of `listed` (rows of `instances.page`)."""
    keys = [(row[0], row[-1]) for row in listed]  # id and revision: by place, which costs a tenth of by name
    found = [_SHELF.get(key) for key in keys]
    missing = [instance_id for (instance_id, _), held in zip(keys, found, strict=True) if held is None]
    if not missing:
        return cast("list[xml.Rendered]", found)
    new = await _made(call, missing)
    return [held or new[key[0]] for key, held in zip(keys, found, strict=True)]


async def _made(call: Call, wanted: Sequence[str]) -> dict[str, xml.Rendered]:
    parts = await shown_instances.of(call.tx, wanted)
    named = await instance_views.vpcs_with_names(call, {one.instance.vpc_id for one in parts})
    names = {flag: HostNames(call.region, flag) for flag in (False, True)}
    short = zone_ids(call)
    new: dict[str, xml.Rendered] = {}
    several: dict[str, int] = {}
    for one in parts:
        row = one.instance
        if any(nic.secondary_ips != "[]" or nic.ipv6s != "[]" for nic in one.interfaces):
            several[row[0]] = row[1]
            continue
        made = _filled(one, names[row.vpc_id in named], short.get(row.zone, ""))
        new[row[0]] = _SHELF.put((row[0], row[1]), made)
    if several:
        rows = list((await instances.by_ids(call.tx, list(several))).values())
        for row, view in zip(rows, await instance_views.shown(call, rows), strict=True):
            new[row.id] = _SHELF.put((row.id, several[row.id]), _writer()(view))
    return new


def _filled(shown: Shown, names: HostNames, zone_id: str) -> xml.Rendered:
    """The XML of an instance whose interfaces have one address each."""
    texts, key = _apart(shown, names)
    key = (key, names, zone_id)
    fill = _FORMS.get(key)
    if fill is None:
        fill = _FORMS.put(key, _form(shown, names, zone_id))
    return fill(texts)


def _apart(shown: Shown, names: HostNames) -> tuple[list[Any], Any]:
    """What only this instance shows, as it stands in the document, in the order of `_opened`; and what others do too,
    with which of its own members are there at all."""
    instance, interfaces, volumes, tagged = shown
    instance_id, _revision, token, index, launched, created = instance[:OWN_INSTANCE]
    texts: list[Any] = [instance_id, xml.escape(token), index, _time(launched), _time(created)]
    shared: list[Any] = [instance[OWN_INSTANCE:], not token]
    for nic in interfaces:
        _, nic_id, mac, ip, attachment, attached, public = nic[:OWN_INTERFACE]
        texts += (nic_id, mac, ip, names.inside(ip), attachment, _time(attached))
        if public is not None:
            texts += (public, names.outside(public))
        shared.append((nic[OWN_INTERFACE:], public is None, attached is None))
    for volume in volumes:
        texts += (volume[1], _time(volume[2]))
        shared.append(volume[OWN_VOLUME:])
    for _, name, value in tagged:
        texts += (xml.escape(name), xml.escape(value))
        shared.append((not name, not value))
    return texts, (len(interfaces), len(volumes), tuple(shared))


def _form(shown: Shown, names: HostNames, zone_id: str) -> xmlholes.Fill:
    """The XML of all instances that have the same key as this one, with holes."""
    texts, _key = _apart(shown, names)
    opened, opened_names = _opened(shown, names, iter(xmlholes.holes(len(texts))), zone_id)
    return xmlholes.cut(_writer()(instance_views.view(opened, opened_names)))


def _opened(shown: Shown, names: HostNames, holes: Iterator[str], zone_id: str) -> tuple[Parts, HostNames]:
    """The parts with a hole in the place of each value that `_apart` takes out, in its order. Empty values stay."""
    instance, interfaces, volumes, tagged = shown
    known: dict[str, str] = {}

    def hole(value: Any) -> Any:
        stand_in = next(holes)
        return value if value is None or value == "" else stand_in

    def named(value: str, name: str) -> str:
        stand_in: str = hole(value)
        known[stand_in] = hole(name)
        return stand_in

    row = SimpleNamespace(**instance._mapping)
    for member in ("id", "client_token", "launch_index", "launched_at", "created_at"):
        setattr(row, member, hole(getattr(row, member)))
    nics = []
    for given in interfaces:
        nic = SimpleNamespace(**given._mapping)
        nic.id, nic.mac = hole(nic.id), hole(nic.mac)
        nic.private_ip = named(nic.private_ip, names.inside(nic.private_ip))
        nic.attachment_id, nic.attached_at = hole(nic.attachment_id), hole(nic.attached_at)
        if nic.public_ip is not None:
            nic.public_ip = named(nic.public_ip, names.outside(nic.public_ip))
        nic.groups, nic.secondary_ips, nic.ipv6s = json.loads(nic.groups), (), ()
        nics.append(nic)
    disks = []
    for given in volumes:
        volume = SimpleNamespace(**given._mapping)
        volume.volume_id, volume.attached_at = hole(volume.volume_id), hole(volume.attached_at)
        disks.append(volume)
    tag_set = [{"Key": hole(tag.key), "Value": hole(tag.value)} for tag in tagged]
    return Parts(row, nics, disks, tag_set, (), zone_id), _Known(names.region, names.public, known)


@dataclass(frozen=True, slots=True)
class _Known(HostNames):
    """The holes for the names, by the holes for the addresses."""

    names: Mapping[str, str]

    def inside(self, private_ip: str) -> str:
        return self.names[private_ip]

    def outside(self, public_ip: str) -> str:
        return self.names[public_ip]


@lru_cache(maxsize=4096)
def _time(seconds: float | None) -> str:
    """A launch's instances have their times in common."""
    return "" if seconds is None else milliseconds(seconds)


@lru_cache(maxsize=1)
def _writer() -> Any:
    return xml.fragment("ec2", "Instance")
