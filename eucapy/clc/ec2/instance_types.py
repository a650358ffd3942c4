"""DescribeInstanceTypes and DescribeInstanceTypeOfferings: the catalogue, as AWS shows it.

Facts: `eucapy/clc/instance_types.py`. The filters are matched against the very answer, along EC2's dotted names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.ec2 import capacity_views
from eucapy.clc.ec2.errors import InvalidInstanceType, InvalidParameterValue
from eucapy.clc.ec2.service import ec2
from eucapy.clc.ec2.zones import zone_ids
from eucapy.clc.instance_types import InstanceType
from eucapy.clc.store.filters import demanded, pattern

MOST = 100

_FILTERS = frozenset(
    {
        "auto-recovery-supported", "bare-metal", "burstable-performance-supported", "current-generation",
        "dedicated-hosts-supported", "ebs-info.attachment-limit-type",
        "ebs-info.ebs-optimized-info.baseline-bandwidth-in-mbps", "ebs-info.ebs-optimized-info.baseline-iops",
        "ebs-info.ebs-optimized-info.baseline-throughput-in-mbps",
        "ebs-info.ebs-optimized-info.maximum-bandwidth-in-mbps", "ebs-info.ebs-optimized-info.maximum-iops",
        "ebs-info.ebs-optimized-info.maximum-throughput-in-mbps", "ebs-info.ebs-optimized-support",
        "ebs-info.encryption-support", "ebs-info.maximum-ebs-attachments", "ebs-info.nvme-support",
        "free-tier-eligible", "hibernation-supported", "hypervisor", "instance-storage-info.disk.count",
        "instance-storage-info.disk.size-in-gb", "instance-storage-info.disk.type",
        "instance-storage-info.encryption-support", "instance-storage-info.nvme-support",
        "instance-storage-info.total-size-in-gb", "instance-storage-supported", "instance-type",
        "memory-info.size-in-mib", "network-info.bandwidth-weightings", "network-info.efa-info.maximum-efa-interfaces",
        "network-info.efa-supported", "network-info.ena-support", "network-info.encryption-in-transit-supported",
        "network-info.ipv4-addresses-per-interface", "network-info.ipv6-addresses-per-interface",
        "network-info.ipv6-supported", "network-info.maximum-network-cards", "network-info.maximum-network-interfaces",
        "network-info.flexible-ena-queues-support", "network-info.network-performance", "nitro-enclaves-support",
        "nitro-tpm-info.supported-versions", "nitro-tpm-support",
        "processor-info.supported-architecture", "processor-info.supported-features",
        "processor-info.sustained-clock-speed-in-ghz", "reboot-migration-support", "supported-boot-mode",
        "supported-root-device-type", "supported-usage-class", "supported-virtualization-type",
        "vcpu-info.default-cores", "vcpu-info.default-threads-per-core", "vcpu-info.default-vcpus",
        "vcpu-info.valid-cores", "vcpu-info.valid-threads-per-core",
    }
)  # fmt: skip

_SPELLED = {
    "baselinebandwidthinmbps": "BaselineBandwidthInMbps",
    "disk": "Disks",
    "supportedarchitecture": "SupportedArchitectures",
    "supportedbootmode": "SupportedBootModes",
    "supportedrootdevicetype": "SupportedRootDeviceTypes",
    "supportedusageclass": "SupportedUsageClasses",
    "supportedvirtualizationtype": "SupportedVirtualizationTypes",
}


@ec2.action("DescribeInstanceTypes")
async def describe_instance_types(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    wanted = p.get("InstanceTypes") or []
    unknown = sorted(set(wanted) - set(call.types))
    if unknown:
        raise InvalidInstanceType(f"The following supplied instance types do not exist: [{', '.join(unknown)}]")
    shown = [view(kind) for kind in call.types.values() if not wanted or kind.name in wanted]
    for name, values in demanded(p.get("Filters"), lambda name: name if name in _FILTERS else None):
        shown = [one for one in shown if _matches(one, name, values)]
    answer = paged(call, p, "InstanceTypes", sorted(shown, key=lambda one: str(one["InstanceType"])), "InstanceType")
    availability = bool(p.get("Availability"))
    if capacity_views.is_asked(call, availability):
        kinds = [call.types[one["InstanceType"]] for one in answer["InstanceTypes"]]
        answer["InstanceTypeDetails"] = await capacity_views.details(call, kinds, availability)
    return answer


@ec2.action("DescribeInstanceTypeOfferings")
async def describe_instance_type_offerings(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """Every type is offered in every zone of the region."""
    kind = p.get("LocationType") or "region"
    if kind == "region":
        places = [call.region]
    elif kind == "availability-zone":
        places = list(call.config.zones)
    elif kind == "availability-zone-id":
        places = list(zone_ids(call).values())
    else:
        places = []
    shown = [
        {"InstanceType": name, "LocationType": kind, "Location": place}
        for place in places
        for name in sorted(call.types)
    ]
    for member, values in demanded(p.get("Filters"), {"location": "Location", "instance-type": "InstanceType"}.get):
        patterns = [pattern(value) for value in values]
        shown = [one for one in shown if any(p.fullmatch(one[member]) for p in patterns)]
    return paged(call, p, "InstanceTypeOfferings", shown, None)


def view(kind: InstanceType) -> dict[str, Any]:
    """A type as InstanceTypeInfo: AWS's figures, and of its features those that this cloud has."""
    family, ebs = kind.family, kind.ebs
    nitro = family.hypervisor == "nitro"
    clock = {"SustainedClockSpeedInGhz": kind.clock_ghz} if kind.clock_ghz else {}
    out: dict[str, Any] = {
        "InstanceType": kind.name,
        "CurrentGeneration": family.current,
        "FreeTierEligible": kind.size in family.free_tier,
        "SupportedUsageClasses": ["on-demand", "spot"],
        "SupportedRootDeviceTypes": ["ebs", "instance-store"],
        "SupportedVirtualizationTypes": list(family.virtualization),
        "BareMetal": False,
        "Hypervisor": family.hypervisor,
        "ProcessorInfo": {
            "SupportedArchitectures": list(family.architectures),
            **clock,
            "Manufacturer": family.manufacturer,
        },
        "VCpuInfo": {
            "DefaultVCpus": kind.vcpus,
            "DefaultCores": kind.cores,
            "DefaultThreadsPerCore": kind.threads_per_core,
            **_valid_cpus(kind),
        },
        "MemoryInfo": {"SizeInMiB": kind.memory_mib},
        "InstanceStorageSupported": kind.disk_count > 0,
        "EbsInfo": {
            "EbsOptimizedSupport": family.ebs_optimized,
            "EncryptionSupport": "unsupported",
            "NvmeSupport": "unsupported",
        },
        "NetworkInfo": _network(kind),
        "PlacementGroupInfo": {"SupportedStrategies": list(family.strategies)},
        "HibernationSupported": False,
        "BurstablePerformanceSupported": family.burstable,
        "DedicatedHostsSupported": family.dedicated,
        "AutoRecoverySupported": nitro or kind.name.startswith("t2."),
        "SupportedBootModes": ["legacy-bios", "uefi"] if nitro else ["legacy-bios"],
        "NitroEnclavesSupport": "unsupported",
        "NitroTpmSupport": "unsupported",
    }
    if kind.disk_count:
        out["InstanceStorageInfo"] = {
            "TotalSizeInGB": kind.disk_count * kind.disk_gib,
            "Disks": [{"SizeInGB": kind.disk_gib, "Count": kind.disk_count, "Type": "ssd"}],
            "NvmeSupport": "unsupported",
            "EncryptionSupport": "unsupported",
        }
    if ebs is not None:
        out["EbsInfo"]["EbsOptimizedInfo"] = {
            "BaselineBandwidthInMbps": ebs.base_mbps,
            "BaselineThroughputInMBps": ebs.base_mb_s,
            "BaselineIops": ebs.base_iops,
            "MaximumBandwidthInMbps": ebs.most_mbps,
            "MaximumThroughputInMBps": ebs.most_mb_s,
            "MaximumIops": ebs.most_iops,
        }
    return out


def _valid_cpus(kind: InstanceType) -> dict[str, Any]:
    if (kind.burstable and kind.threads_per_core == 1) or not kind.family.current:
        return {}
    return {
        "ValidCores": [cores for cores in range(1, kind.cores + 1) if cores % 2 == 0 or kind.cores == 1 or cores == 1],
        "ValidThreadsPerCore": list(range(1, kind.threads_per_core + 1)),
    }


def _network(kind: InstanceType) -> dict[str, Any]:
    family = kind.family
    return {
        "NetworkPerformance": kind.network,
        "MaximumNetworkInterfaces": kind.interfaces,
        "MaximumNetworkCards": 1,
        "DefaultNetworkCardIndex": 0,
        "NetworkCards": [
            {
                "NetworkCardIndex": 0,
                "NetworkPerformance": kind.network,
                "MaximumNetworkInterfaces": kind.interfaces,
            }
        ],
        "Ipv4AddressesPerInterface": kind.addresses,
        "Ipv6AddressesPerInterface": kind.addresses if family.ipv6 else 0,
        "Ipv6Supported": family.ipv6,
        "EnaSupport": family.ena,
        "EfaSupported": False,
        "EncryptionInTransitSupported": False,
        "EnaSrdSupported": False,
    }


def _matches(shown: Mapping[str, Any], name: str, values: Any) -> bool:
    patterns = [pattern(str(value)) for value in values]
    return any(p.fullmatch(found) for found in _along(shown, name.split(".")) for p in patterns)


def _along(value: Any, path: list[str]) -> Iterator[str]:
    """The values at the end of a dotted filter name, as text."""
    if isinstance(value, list):
        for item in value:
            yield from _along(item, path)
    elif path and isinstance(value, Mapping):
        plain = path[0].replace("-", "")
        wanted = _SPELLED.get(plain, plain).lower()
        for name, item in value.items():
            if name.lower() == wanted:
                yield from _along(item, path[1:])
    elif not path:
        yield str(value).lower() if isinstance(value, bool) else re.sub(r"\.0$", "", str(value))


def paged(
    call: Call, p: Mapping[str, Any], member: str, shown: list[dict[str, Any]], exclusive: str | None
) -> dict[str, Any]:
    """The page that the request asks for; all, where it asks for none. `exclusive`: the list of names (in the singular) that no
    page goes with. Raises InvalidParameterValue."""
    limit, token = p.get("MaxResults"), p.get("NextToken")
    if exclusive and limit is not None and p.get(f"{exclusive}s"):
        raise InvalidParameterValue("The parameters maxResults and instanceTypes cannot be used together")
    if limit is None and token is None:
        return {member: shown}
    limit = MOST if limit is None else limit
    start = int(call.position(token)) if token else 0
    out: dict[str, Any] = {member: shown[start : start + limit]}
    if start + limit < len(shown):
        out["NextToken"] = call.token(str(start + limit))
    return out
