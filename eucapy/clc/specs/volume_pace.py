"""How fast a volume of a type is: EC2's performance as the pace that the storage enforces. Pure.

    gp2        3 IOPS per GiB (100 to 16,000), bursts of 3,000 out of 5.4 million credits; 128 MiB/s up to 170 GiB, then 250
    gp3        the IOPS and the MiB/s that were asked for
    io1        the IOPS; 256 KiB each up to 500 MiB/s, then 16 KiB each up to 1,000 MiB/s
    io2        the IOPS; 256 KiB each up to 4,000 MiB/s
    st1, sc1   40 and 12 MiB/s per TiB, bursts of 250 and 80 per TiB (500 and 250 at most) out of 1 TiB of credit per TiB
    standard   200 IOPS, 90 MiB/s

On solid state disks a request of more than 256 KiB counts as several. Full buckets are what a volume begins with, also when
its server begins anew. Source: EBS User Guide, "Amazon EBS volume types", "I/O characteristics and monitoring".
"""

from __future__ import annotations

from eucapy.pace import UNLIMITED, Flow, Pace

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
REQUEST_BYTES = 256 * KIB
GP2_BURST, GP2_CREDITS = 3000, 5_400_000
GP2_SMALL_GIB = 170
GP3_IOPS, GP3_MIB = 3000, 125
DISKS = {"st1": (40, 250, 500, 500), "sc1": (12, 80, 192, 250)}
"""By type: MiB/s per TiB, bursting MiB/s per TiB, and the most of both."""


def pace(volume_type: str, size_gib: int, iops: int | None, throughput: int | None) -> Pace:
    """`iops` and `throughput` (MiB/s) as DescribeVolumes shows them. A type that is not known has no limit."""
    if volume_type == "gp2":
        base = iops or max(100, min(16000, 3 * size_gib))
        return _solid(base, 128 if size_gib <= GP2_SMALL_GIB else 250, GP2_BURST, GP2_CREDITS // GP2_BURST)
    if volume_type == "gp3":
        return _solid(iops or GP3_IOPS, throughput or GP3_MIB)
    if volume_type == "io1" and iops:
        return _solid(iops, _whole_mib(min(iops * REQUEST_BYTES, max(500 * MIB, min(1000 * MIB, iops * 16 * KIB)))))
    if volume_type == "io2" and iops:
        return _solid(iops, _whole_mib(min(iops * REQUEST_BYTES, 4000 * MIB)))
    if volume_type in DISKS:
        return _spinning(size_gib, *DISKS[volume_type])
    if volume_type == "standard":
        return Pace(requests=Flow(per_s=200), data=Flow(per_s=90 * MIB), request_bytes=REQUEST_BYTES)
    return UNLIMITED


def _solid(iops: int, throughput_mib: int, burst: int = 0, burst_s: int = 0) -> Pace:
    bursts = burst > iops
    requests = Flow(per_s=iops, burst_per_s=burst if bursts else 0, burst_s=burst_s if bursts else 0)
    return Pace(requests=requests, data=Flow(per_s=throughput_mib * MIB), request_bytes=REQUEST_BYTES)


def _whole_mib(bytes_per_s: int) -> int:
    return bytes_per_s // MIB


def _spinning(size_gib: int, base: int, burst: int, most: int, most_burst: int) -> Pace:
    per_s = min(most * MIB, base * MIB * size_gib // 1024)
    burst_per_s = min(most_burst * MIB, burst * MIB * size_gib // 1024)
    if burst_per_s <= per_s:
        return Pace(data=Flow(per_s=per_s))
    return Pace(data=Flow(per_s=per_s, burst_per_s=burst_per_s, burst_s=size_gib * GIB // burst_per_s))
