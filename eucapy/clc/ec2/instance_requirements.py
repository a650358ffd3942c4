"""GetInstanceTypesFromInstanceRequirements: which types of the catalogue have what a client wants of a machine.

`meets` is pure. Source: InstanceRequirementsRequest, EC2 API Reference: burstable and bare metal types are left out unless
they are asked for, all else that is not said is any. This cloud has no prices, so that its price protection leaves nothing
out. What the catalogue does not know (baseline network bandwidth, performance factors) is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from eucapy.aws.paging import max_results
from eucapy.clc.context import Call
from eucapy.clc.ec2.errors import InvalidParameterCombination, InvalidParameterValue, Unsupported
from eucapy.clc.ec2.instance_types import paged
from eucapy.clc.ec2.service import ec2
from eucapy.clc.instance_types import InstanceType
from eucapy.clc.store.filters import pattern

_UNKNOWN = ("NetworkBandwidthGbps", "BaselinePerformanceFactors")

_RANGES: dict[str, Callable[[InstanceType], float]] = {
    "VCpuCount": lambda kind: kind.vcpus,
    "MemoryMiB": lambda kind: kind.memory_mib,
    "MemoryGiBPerVCpu": lambda kind: kind.memory_mib / 1024 / kind.vcpus,
    "NetworkInterfaceCount": lambda kind: kind.interfaces,
    "TotalLocalStorageGB": lambda kind: kind.disk_count * kind.disk_gib,
    "BaselineEbsBandwidthMbps": lambda kind: kind.ebs.base_mbps if kind.ebs is not None else 0,
    "AcceleratorCount": lambda kind: 0,
    "AcceleratorTotalMemoryMiB": lambda kind: 0,
}
"""What has a Min and a Max, and how much of it a type has."""

_HAS: dict[str, tuple[str, Callable[[InstanceType], bool]]] = {
    "BareMetal": ("excluded", lambda kind: False),
    "BurstablePerformance": ("excluded", lambda kind: kind.burstable),
    "LocalStorage": ("included", lambda kind: kind.disk_count > 0),
}
"""What is `included`, `required` or `excluded`: which of them where the request says nothing, and whether a type has it."""

_ONE_OF: dict[str, Callable[[InstanceType], frozenset[str]]] = {
    "CpuManufacturers": lambda kind: frozenset({kind.family.manufacturer.lower()}),
    "InstanceGenerations": lambda kind: frozenset({"current" if kind.family.current else "previous"}),
    "LocalStorageTypes": lambda kind: frozenset({"ssd"} if kind.disk_count else ()),
    "AcceleratorTypes": lambda kind: frozenset(),
    "AcceleratorManufacturers": lambda kind: frozenset(),
    "AcceleratorNames": lambda kind: frozenset(),
}
"""Of what one of the values wanted is enough, and which a type has."""


@ec2.action("GetInstanceTypesFromInstanceRequirements")
async def get_instance_types_from_instance_requirements(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    wanted = p["InstanceRequirements"]
    _check(wanted)
    max_results(dict(p), low=1)  # raises for what is no page
    architectures, virtualization = frozenset(p["ArchitectureTypes"]), frozenset(p["VirtualizationTypes"])
    found = [
        {"InstanceType": name}
        for name, kind in sorted(call.types.items())
        if not architectures.isdisjoint(kind.family.architectures)
        and not virtualization.isdisjoint(kind.family.virtualization)
        and meets(kind, wanted)
    ]
    return paged(call, p, "InstanceTypes", found, None)


def meets(kind: InstanceType, wanted: Mapping[str, Any]) -> bool:
    """Whether the type has everything that an InstanceRequirements wants."""
    if wanted.get("RequireHibernateSupport") or wanted.get("RequireEncryptionInTransit"):
        return False
    allowed, excluded = wanted.get("AllowedInstanceTypes"), wanted.get("ExcludedInstanceTypes")
    return (
        all(_within(wanted.get(name) or {}, of(kind)) for name, of in _RANGES.items())
        and all(_as_wished(wanted.get(name) or usual, has(kind)) for name, (usual, has) in _HAS.items())
        and all(not wanted.get(name) or not of(kind).isdisjoint(wanted[name]) for name, of in _ONE_OF.items())
        and (not allowed or _named(kind, allowed))
        and not (excluded and _named(kind, excluded))
    )


def _check(wanted: Mapping[str, Any]) -> None:
    for name in _UNKNOWN:
        if wanted.get(name):
            raise Unsupported(f"The parameter {name} is not supported in this region.")
    if wanted.get("AllowedInstanceTypes") and wanted.get("ExcludedInstanceTypes"):
        raise InvalidParameterCombination(
            "The parameters AllowedInstanceTypes and ExcludedInstanceTypes cannot be used together."
        )
    for name in _RANGES:
        bounds = wanted.get(name) or {}
        least, most = bounds.get("Min"), bounds.get("Max")
        if least is not None and least < 0:
            raise InvalidParameterValue(f"Value ({least}) for parameter {name}.Min is invalid.")
        if most is not None and most < (least or 0):
            raise InvalidParameterValue(f"Value ({most}) for parameter {name}.Max is invalid.")


def _within(bounds: Mapping[str, float], figure: float) -> bool:
    least, most = bounds.get("Min"), bounds.get("Max")
    return (least is None or figure >= least) and (most is None or figure <= most)


def _as_wished(wish: str, has: bool) -> bool:
    return has if wish == "required" else not has if wish == "excluded" else True


def _named(kind: InstanceType, names: list[str]) -> bool:
    """`*` stands for any text."""
    return any(pattern(name).fullmatch(kind.name) for name in names)
