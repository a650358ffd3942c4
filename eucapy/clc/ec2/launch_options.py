"""What a launch says of the machine itself: counts, type, user data, metadata options and the many small settings. Pure.

`parse` turns RunInstances' parameters into columns of `instances`, or raises EC2's error. What this cloud does not have
(spot, dedicated hosts, hibernation, enclaves, Elastic Inference …) is refused, never accepted and forgotten.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eucapy.clc.ec2.errors import (
    InstanceLimitExceeded,
    InvalidParameterCombination,
    InvalidParameterValue,
    InvalidUserDataMalformed,
    Unsupported,
)
from eucapy.clc.instance_types import Catalogue, InstanceType

DEFAULT_TYPE = "m1.small"
MOST_AT_ONCE = 1000
"""Instances that one request launches; MaxCount may be more. What AWS's token bucket for RunInstances holds."""
MOST_USER_DATA = 16 * 1024
MOST_HOPS = 64

_NOT_HERE = (
    "CapacityReservationTarget", "ElasticGpuSpecification", "ElasticInferenceAccelerators", "InstanceMarketOptions",
    "KernelId", "LicenseSpecifications", "RamdiskId", "SecondaryInterfaces",
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """The parsed half of a launch that needs no look at the database."""

    kind: InstanceType
    least: int
    most: int
    columns: dict[str, Any]


def parse(
    p: Mapping[str, Any], types: Catalogue, image_imds: str = "", preferred: Mapping[str, Any] | None = None
) -> Machine:
    """`image_imds` is the image's ImdsSupport: `v2.0` makes tokens required unless the launch says otherwise, or the account
    in `preferred` (some of the columns of the metadata options)."""
    _refuse(p)
    least, most = _counts(p["MinCount"], p["MaxCount"])
    kind = instance_type(p.get("InstanceType") or DEFAULT_TYPE, types)
    cores, threads = cpus(kind, p.get("CpuOptions") or {})
    dns = p.get("PrivateDnsNameOptions") or {}
    columns: dict[str, Any] = {
        "cores": cores,
        "threads": threads,
        "capacity_reservation": (p.get("CapacityReservationSpecification") or {}).get(
            "CapacityReservationPreference", "open"
        ),
        "auto_recovery": (p.get("MaintenanceOptions") or {}).get("AutoRecovery", "default"),
        "hostname_type": dns.get("HostnameType") or "ip-name",
        "name_a_record": bool(dns.get("EnableResourceNameDnsARecord", False)),
        "credits": _credits(kind, p.get("CreditSpecification")),
        "ena": kind.family.ena != "unsupported",
        "instance_type": kind.name,
        "vcpus": cores * threads,
        "memory_mib": kind.memory_mib,
        "user_data": user_data(p.get("UserData")),
        "shutdown_behavior": p.get("InstanceInitiatedShutdownBehavior") or "stop",
        "keep_from_termination": bool(p.get("DisableApiTermination", False)),
        "keep_from_stop": bool(p.get("DisableApiStop", False)),
        "monitoring": bool((p.get("Monitoring") or {}).get("Enabled", False)),
        "ebs_optimized": bool(p.get("EbsOptimized", False)) or kind.ebs_optimized_by_default,
        **metadata_columns(p.get("MetadataOptions") or {}, {**_metadata_defaults(image_imds), **(preferred or {})}),
    }
    return Machine(kind, least, most, columns)


def instance_type(name: str, types: Catalogue) -> InstanceType:
    """Raises InvalidParameterValue for a type that is not in the catalogue."""
    if name not in types:
        raise InvalidParameterValue(f"Invalid value '{name}' for InstanceType.")
    return types[name]


def user_data(encoded: str | None) -> str | None:
    """The Base64 text in canonical form, its bytes at most 16 KiB."""
    if encoded is None:
        return None
    try:
        raw = base64.b64decode("".join(encoded.split()), validate=True)
    except (binascii.Error, ValueError):
        raise InvalidUserDataMalformed from None
    if len(raw) > MOST_USER_DATA:
        raise InvalidParameterValue(f"User data is limited to {MOST_USER_DATA} bytes")
    return base64.b64encode(raw).decode()


def metadata_columns(options: Mapping[str, Any], held: Mapping[str, Any]) -> dict[str, Any]:
    """EC2's metadata options as columns; what they do not say stays as `held` (the same columns) has it."""
    hops = options.get("HttpPutResponseHopLimit")
    if hops is not None and not 1 <= hops <= MOST_HOPS:
        raise InvalidParameterValue(
            f"The HttpPutResponseHopLimit value is not valid. Specify a value between 1 and {MOST_HOPS}."
        )
    endpoint, ipv6, tags = (options.get(name) for name in ("HttpEndpoint", "HttpProtocolIpv6", "InstanceMetadataTags"))
    if endpoint == "disabled" and (options.get("HttpTokens") or hops):
        raise InvalidParameterCombination(
            "HttpTokens and HttpPutResponseHopLimit cannot be specified when HttpEndpoint is disabled"
        )
    return {
        "metadata_enabled": endpoint == "enabled" if endpoint else held["metadata_enabled"],
        "metadata_tokens": options.get("HttpTokens") or held["metadata_tokens"],
        "metadata_hops": hops if hops is not None else held["metadata_hops"],
        "metadata_ipv6": ipv6 == "enabled" if ipv6 else held["metadata_ipv6"],
        "metadata_tags": tags == "enabled" if tags else held["metadata_tags"],
    }


def check_architecture(kind: InstanceType, architecture: str) -> None:
    """Raises InvalidParameterValue when the type cannot run an image of the architecture."""
    if architecture not in kind.family.architectures:
        raise InvalidParameterValue(
            f"The architecture '{','.join(kind.family.architectures)}' of the specified instance type does not match the "
            f"architecture '{architecture}' of the specified AMI. Specify an instance type and an AMI that have matching "
            "architectures, and try again. You can use 'describe-instance-types' or 'describe-images' to discover the "
            "architecture of the instance type or AMI."
        )


def _metadata_defaults(image_imds: str) -> dict[str, Any]:
    strict = image_imds == "v2.0"
    return {
        "metadata_enabled": True,
        "metadata_tokens": "required" if strict else "optional",
        "metadata_hops": 2 if strict else 1,
        "metadata_ipv6": False,
        "metadata_tags": False,
    }


def _refuse(p: Mapping[str, Any]) -> None:
    for name in _NOT_HERE:
        if p.get(name):
            raise Unsupported(f"The parameter {name} is not supported in this region.")
    if (p.get("HibernationOptions") or {}).get("Configured"):
        raise Unsupported("Hibernation is not supported in this region.")
    if (p.get("EnclaveOptions") or {}).get("Enabled"):
        raise Unsupported("Nitro Enclaves are not supported in this region.")
    if (p.get("CapacityReservationSpecification") or {}).get("CapacityReservationTarget"):
        raise Unsupported("Capacity Reservations are not supported in this region.")
    if (p.get("CpuOptions") or {}).get("AmdSevSnp") == "enabled":
        raise Unsupported("AMD SEV-SNP is not supported in this region.")
    placement = p.get("Placement") or {}
    if placement.get("Tenancy") not in (None, "", "default") or any(
        placement.get(name) for name in ("HostId", "HostResourceGroupArn", "Affinity", "SpreadDomain")
    ):
        raise Unsupported


def _counts(least: int, most: int) -> tuple[int, int]:
    for name, value in (("minCount", least), ("maxCount", most)):
        if value < 1:
            raise InvalidParameterValue(f"Value ({value}) for parameter {name} is invalid. {name} must be at least 1.")
    if most < least:
        raise InvalidParameterCombination(f"Min count ({least}) must not exceed max count ({most})")
    if least > MOST_AT_ONCE:
        raise InstanceLimitExceeded(count=least, limit=MOST_AT_ONCE)
    return least, min(most, MOST_AT_ONCE)


def cpus(kind: InstanceType, options: Mapping[str, Any]) -> tuple[int, int]:
    """(cores, threads of each) that the CPU options ask for: both or none. Raises EC2's errors for more than the type has."""
    cores, threads = options.get("CoreCount"), options.get("ThreadsPerCore")
    if cores is None and threads is None:
        return kind.cores, kind.threads_per_core
    if cores is None or threads is None:
        raise InvalidParameterCombination("CoreCount and ThreadsPerCore must be specified together")
    if not 1 <= cores <= kind.cores:
        raise InvalidParameterValue(f"{cores} is not a valid core count for the instance type {kind.name}.")
    if not 1 <= threads <= kind.threads_per_core:
        raise InvalidParameterValue(f"{threads} is not a valid number of threads per core for {kind.name}.")
    return cores, threads


def _credits(kind: InstanceType, specification: Mapping[str, Any] | None) -> str:
    wanted = (specification or {}).get("CpuCredits")
    if not kind.burstable:
        if wanted:
            raise InvalidParameterCombination(
                "The specified instance type does not support CPU credits; CreditSpecification applies to T2, T3 and T3a."
            )
        return ""
    if wanted not in (None, "standard", "unlimited"):
        raise InvalidParameterValue(f"Invalid value '{wanted}' for CreditSpecification.CpuCredits")
    return wanted or kind.credits
