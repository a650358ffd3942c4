"""How a launch template and a request become one request. Pure.

What the request says overrides what the template says, parameter by parameter. Of the lists, block devices are matched by
device name, network interfaces by device index and tags by resource type and key, so that a launch can change one and keep
the others; security groups are replaced as a whole, whether they are named or identified. Structures that hold
independent settings (placement, metadata options, monitoring …) are overridden setting by setting. Source: EC2 User Guide,
"Launch EC2 instances using a launch template".

A new version on the base of another takes over whatever it does not say itself, parameter by parameter, apart from the
snapshots of the block devices (CreateLaunchTemplateVersion, "SourceVersion").
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

_RENAMED = {"RamDiskId": "RamdiskId", "ElasticGpuSpecifications": "ElasticGpuSpecification"}
"""Members that RunInstances calls otherwise."""

_SETTINGS = frozenset(
    {
        "CapacityReservationSpecification", "CpuOptions", "EnclaveOptions", "HibernationOptions", "MaintenanceOptions",
        "MetadataOptions", "Monitoring", "NetworkPerformanceOptions", "Placement", "PrivateDnsNameOptions",
    }
)  # fmt: skip

_EITHER_OR = (
    frozenset({"SecurityGroupIds", "SecurityGroups"}),
    frozenset({"InstanceType", "InstanceRequirements"}),
)
"""Members of which the request's one replaces whichever the template has."""

_SAME: dict[str, Callable[[Mapping[str, Any]], Hashable]] = {
    "BlockDeviceMappings": lambda entry: entry.get("DeviceName"),
    "NetworkInterfaces": lambda entry: entry.get("DeviceIndex"),
}
"""Lists whose entries are overridden one by one, and what tells which is which."""


def as_request(template: Mapping[str, Any], request: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of RunInstances: the request's, and what the template adds to them."""
    base = {_RENAMED.get(name, name): value for name, value in template.items()}
    said = {name: value for name, value in request.items() if value not in (None, "", [], {})}
    for group in _EITHER_OR:
        if group & said.keys():
            base = {name: value for name, value in base.items() if name not in group}
    merged = {**base, **request}
    for name in base:
        if name not in said:
            merged[name] = base[name]
        elif name in _SAME:
            merged[name] = _by_entry(base[name], said[name], _SAME[name])
        elif name == "TagSpecifications":
            merged[name] = _tags(base[name], said[name])
        elif name in _SETTINGS:
            merged[name] = {**base[name], **said[name]}
    return merged


def inherited(source: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """The data of a new version that is based on `source`."""
    base = dict(source)
    if base.get("BlockDeviceMappings"):
        base["BlockDeviceMappings"] = [_without_snapshot(entry) for entry in base["BlockDeviceMappings"]]
    for group in _EITHER_OR:
        if group & data.keys():
            base = {name: value for name, value in base.items() if name not in group}
    return {**base, **data}


def _by_entry(
    base: Sequence[Mapping[str, Any]],
    said: Sequence[Mapping[str, Any]],
    key: Callable[[Mapping[str, Any]], Hashable],
) -> list[dict[str, Any]]:
    """The template's entries in their order, each with what the request says of it, then the request's own."""
    overriding = {key(entry): entry for entry in said}
    kept = [_over(entry, overriding[key(entry)]) if key(entry) in overriding else dict(entry) for entry in base]
    known = {key(entry) for entry in base}
    return kept + [dict(entry) for entry in said if key(entry) not in known]


def _over(entry: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any]:
    if said.get("NoDevice") is not None or said.get("VirtualName"):
        return dict(said)  # another kind of entry, of which the template's settings are none
    out = {name: value for name, value in entry.items() if name not in ("NoDevice", "VirtualName")}
    for name, value in said.items():
        out[name] = {**out.get(name, {}), **value} if isinstance(value, Mapping) else value
    return out


def _tags(base: Sequence[Mapping[str, Any]], said: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    values: dict[str, dict[str, Mapping[str, Any]]] = {}
    for specification in (*base, *said):
        kind = values.setdefault(specification.get("ResourceType") or "", {})
        kind.update({tag.get("Key") or "": tag for tag in specification.get("Tags") or ()})
    return [{"ResourceType": kind, "Tags": list(tags.values())} for kind, tags in values.items()]


def _without_snapshot(entry: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(entry)
    if "Ebs" in out:
        out["Ebs"] = {name: value for name, value in out["Ebs"].items() if name != "SnapshotId"}
    return out
