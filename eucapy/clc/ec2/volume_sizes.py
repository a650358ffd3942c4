"""What EC2 allows a volume to be: sizes and performance by type. Pure. Source: EBS User Guide, "Amazon EBS volume types"."""

from __future__ import annotations

from dataclasses import dataclass

from eucapy.clc.ec2.errors import InvalidParameterCombination, InvalidParameterValue, MissingParameter


@dataclass(frozen=True)
class Limits:
    """Sizes in GiB; IOPS (None: not to be given) with their most per GiB; throughput in MiB/s."""

    smallest: int
    largest: int
    iops: tuple[int, int] | None = None
    iops_per_gib: int = 0
    iops_required: bool = False
    throughput: tuple[int, int] | None = None


MIB_PER_IOPS = 0.25
"""The most MiB/s of a gp3 volume for each of its IOPS."""
BASELINE_IOPS = 3000
"""Of a gp3 volume whose creator named none."""

LIMITS = {
    "standard": Limits(1, 1024),
    "gp2": Limits(1, 16384),
    "gp3": Limits(1, 16384, iops=(3000, 16000), iops_per_gib=500, throughput=(125, 1000)),
    "io1": Limits(4, 16384, iops=(100, 64000), iops_per_gib=50, iops_required=True),
    "io2": Limits(4, 16384, iops=(100, 64000), iops_per_gib=500, iops_required=True),
    "st1": Limits(125, 16384),
    "sc1": Limits(125, 16384),
}


def check(volume_type: str, size_gib: int, iops: int | None, throughput: int | None) -> None:
    """Raises InvalidParameterValue, InvalidParameterCombination, MissingParameter, as EC2 words them."""
    limits = LIMITS.get(volume_type)
    if limits is None:
        raise InvalidParameterValue(f"Invalid value '{volume_type}' for VolumeType.")
    if size_gib < limits.smallest:
        raise InvalidParameterValue(
            f"Volume of {size_gib}GiB is too small for volume type {volume_type}; minimum is {limits.smallest}GiB."
        )
    if size_gib > limits.largest:
        raise InvalidParameterValue(
            f"Volume of {size_gib}GiB is too large for volume type {volume_type}; maximum is {limits.largest}GiB."
        )
    _check_iops(volume_type, limits, size_gib, iops)
    if throughput is None:
        return
    if limits.throughput is None:
        raise InvalidParameterCombination(f"The parameter throughput is not supported for {volume_type} volumes.")
    least, most = limits.throughput
    if not least <= throughput <= most:
        raise InvalidParameterValue(
            f"Volume throughput of {throughput} MiB/s is not valid; it must be between {least} and {most} MiB/s."
        )
    ratio = throughput / (iops or BASELINE_IOPS)
    if ratio > MIB_PER_IOPS:
        raise InvalidParameterValue(
            f"Throughput (MiBps) to iops ratio of {ratio:f} is too high; maximum is {MIB_PER_IOPS:f} MiBps per iops."
        )


def _check_iops(volume_type: str, limits: Limits, size_gib: int, iops: int | None) -> None:
    if iops is None:
        if limits.iops_required:
            raise MissingParameter(f"The parameter iops must be specified for {volume_type} volumes.")
        return
    if limits.iops is None:
        raise InvalidParameterCombination(f"The parameter iops is not supported for {volume_type} volumes.")
    least, most = limits.iops
    if iops < least:
        raise InvalidParameterValue(f"Volume iops of {iops} is too low; minimum is {least}.")
    if iops > most:
        raise InvalidParameterValue(f"Volume iops of {iops} is too high; maximum is {most}.")
    if iops > least and iops > size_gib * limits.iops_per_gib:
        ratio = iops / size_gib
        raise InvalidParameterValue(
            f"Iops to volume size ratio of {ratio:f} is too high; maximum is {limits.iops_per_gib}."
        )
