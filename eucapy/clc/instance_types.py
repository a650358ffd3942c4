"""The catalogue of instance types: what a type has (for placement and guests) and what AWS says of it (for the API).

Read once at start from `instance-types.toml` beside this file, or from the file that the option `instance_types` names;
the format is explained at the top of the file. `Catalogue` is immutable.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from eucapy.config import ConfigError

OWN = Path(__file__).with_name("instance-types.toml")


class EbsFigures(msgspec.Struct, frozen=True):
    """EbsOptimizedInfo: Mbit/s, MB/s and operations per second, at the base line and at most."""

    base_mbps: int
    base_mb_s: float
    base_iops: int
    most_mbps: int
    most_mb_s: float
    most_iops: int


class Family(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the sizes of a family share; a table of the file."""

    hypervisor: str
    current: bool
    architectures: tuple[str, ...]
    virtualization: tuple[str, ...]
    clock_ghz: float
    manufacturer: str
    threads_per_core: int
    ena: str
    ebs_optimized: str
    sizes: dict[str, tuple[int, int, str, int, int]]
    clocks_ghz: dict[str, float] = {}
    disks: dict[str, tuple[int, int]] = {}
    ebs: dict[str, tuple[int, float, int, int, float, int]] = {}
    free_tier: tuple[str, ...] = ()
    strategies: tuple[str, ...] = ("cluster", "partition", "spread")
    burstable: bool = False
    dedicated: bool = False
    ipv6: bool = True


class InstanceType(msgspec.Struct, frozen=True):
    """One type. `disk_gib` is the size of each of its `disk_count` instance-store disks."""

    name: str
    size: str
    family: Family
    vcpus: int
    memory_mib: int
    network: str
    interfaces: int
    addresses: int
    clock_ghz: float
    disk_count: int
    disk_gib: int
    ebs: EbsFigures | None

    @property
    def threads_per_core(self) -> int:
        return min(self.family.threads_per_core, self.vcpus)

    @property
    def cores(self) -> int:
        return self.vcpus // self.threads_per_core

    @property
    def burstable(self) -> bool:
        return self.family.burstable

    @property
    def credits(self) -> str:
        """The credit option of a launch that names none, as AWS sets it."""
        return "standard" if self.name.startswith("t2.") else "unlimited"

    @property
    def ebs_optimized_by_default(self) -> bool:
        return self.family.ebs_optimized == "default"


class Catalogue(Mapping[str, InstanceType]):
    """The types by name, in the order of the file."""

    def __init__(self, types: Mapping[str, InstanceType]) -> None:
        self._types = dict(types)

    def __getitem__(self, name: str) -> InstanceType:
        return self._types[name]

    def __iter__(self) -> Any:
        return iter(self._types)

    def __len__(self) -> int:
        return len(self._types)


def load(path: str | Path = "") -> Catalogue:
    """The catalogue of a TOML file; "" means the one that comes with the package. Raises ConfigError."""
    source = Path(path) if path else OWN
    try:
        families = msgspec.convert(tomllib.loads(source.read_text()), dict[str, Family])
    except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ConfigError(f"{source}: {error}") from error
    types: dict[str, InstanceType] = {}
    for name, family in families.items():
        strays = {*family.disks, *family.ebs, *family.clocks_ghz, *family.free_tier} - set(family.sizes)
        if strays:
            raise ConfigError(f"{source}: the family {name} has no size {', '.join(sorted(strays))}")
        for size in family.sizes:
            types[f"{name}.{size}"] = _of(name, size, family)
    return Catalogue(types)


def _of(name: str, size: str, family: Family) -> InstanceType:
    vcpus, memory_mib, network, interfaces, addresses = family.sizes[size]
    count, gib = family.disks.get(size, (0, 0))
    return InstanceType(
        name=f"{name}.{size}",
        size=size,
        family=family,
        vcpus=vcpus,
        memory_mib=memory_mib,
        network=network,
        interfaces=interfaces,
        addresses=addresses,
        clock_ghz=family.clocks_ghz.get(size, family.clock_ghz),
        disk_count=count,
        disk_gib=gib,
        ebs=EbsFigures(*family.ebs[size]) if size in family.ebs else None,
    )
