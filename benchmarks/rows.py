"""The figures that count: where each is found in the clients' lines, and what it has to reach.

The targets are the project's own, set above what the best peer reaches. CPU of the server's processes is what to compare
on a shared machine; requests per second only say how busy it was.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure. `member` of the lines of `test` whose fields are `where`, times `scale`."""

    title: str
    service: str
    test: str
    member: str
    unit: str
    target: float | None
    more: bool = False
    where: tuple[tuple[str, int], ...] = ()
    scale: float = 1.0

    def values(self, lines: Iterable[Mapping[str, Any]], server: str) -> list[float]:
        """One value a round; a line with errors counts for nothing."""
        return [
            float(line[self.member]) * self.scale
            for line in lines
            if line["service"] == self.service
            and line["label"] == server
            and line["test"] == self.test
            and not line.get("errors")
            and line.get(self.member) is not None
            and all(line.get(name) == value for name, value in self.where)
        ]

    def best(self, values: list[float]) -> float:
        return max(values) if self.more else min(values)

    def reached(self, values: list[float]) -> bool:
        """Whether the median does what is asked."""
        middle = statistics.median(values)
        return self.target is not None and (middle >= self.target if self.more else middle <= self.target)

    def times_better(self, ours: list[float], theirs: list[float]) -> float:
        """How many times better our median is than theirs; under 1 it is worse."""
        a, b = statistics.median(ours), statistics.median(theirs)
        if self.more:
            a, b = b, a
        return b / a if a else float("inf")


def _at(size: int) -> tuple[tuple[str, int], ...]:
    return (("at", size),)


def _with(concurrency: int) -> tuple[tuple[str, int], ...]:
    return (("conc", concurrency),)


_CPU = "server_cpu_us_per_op"
_MS = 1e-3

EC2 = (
    Row("DescribeInstances of 1,000", "ec2", "desc_all", "p50_ms", "ms", 60, where=_at(1000)),
    Row("… server CPU", "ec2", "desc_all", "server_cpu_ms", "ms", 25, where=_at(1000)),
    Row("… of 10,000 by pages of 1,000, server CPU a page", "ec2", "desc_all", "server_cpu_ms", "ms", 30,
        where=(*_at(10000), ("pages", 10)), scale=0.1),
    Row("one by id among 10", "ec2", "desc_one", "p50_ms", "ms", 2, where=_at(10)),
    Row("one by id among 1,000", "ec2", "desc_one", "p50_ms", "ms", 2, where=_at(1000)),
    Row("one by id among 10,000", "ec2", "desc_one", "p50_ms", "ms", 2, where=_at(10000)),
    Row("tag filter among 10,000, server CPU", "ec2", "desc_filter", _CPU, "ms", 3, where=_at(10000), scale=_MS),
    Row("GetCallerIdentity, 16 in flight", "ec2", "sts", "value", "req/s", 1500, True, where=_with(16)),
    Row("… server CPU", "ec2", "sts", _CPU, "µs", 450, where=_with(16)),
    Row("DescribeSecurityGroups of 500", "ec2", "sgs500", "p50_ms", "ms", 15),
    Row("CreateTags", "ec2", "tags", "value", "req/s", 500, True, where=_with(1)),
    Row("… server CPU", "ec2", "tags", _CPU, "µs", None, where=_with(1)),
    Row("CreateVolume", "ec2", "volume", "value", "req/s", 300, True, where=_with(1)),
    Row("… server CPU", "ec2", "volume", _CPU, "µs", None, where=_with(1)),
    Row("RunInstances, one a request", "ec2", "run", "value", "req/s", None, True, where=_with(1)),
    Row("RunInstances by 100, up to 1,000", "ec2", "run_batch", "value", "instances/s", None, True, where=_at(1000)),
    Row("RunInstances by 100, up to 10,000", "ec2", "run_batch", "value", "instances/s", None, True, where=_at(10000)),
    Row("memory with 1,000 instances", "ec2", "rss", "value", "MiB", None, where=_at(1000)),
    Row("memory with 10,000 instances", "ec2", "rss", "value", "MiB", None, where=_at(10000)),
)  # fmt: skip

S3 = (
    Row("GET 4 KiB, 16 in flight", "s3", "get4k", "value", "req/s", 1296, True, where=_with(16)),
    Row("… server CPU", "s3", "get4k", _CPU, "µs", 300, where=_with(16)),
    Row("HEAD, server CPU", "s3", "head4k", _CPU, "µs", 220, where=_with(16)),
    Row("PUT 4 KiB, 16 in flight", "s3", "put4k", "value", "req/s", 1500, True, where=_with(16)),
    Row("… server CPU", "s3", "put4k", _CPU, "µs", 500, where=_with(16)),
    Row("PUT 64 MiB", "s3", "put64m", "value", "MiB/s", 220, True),
    Row("… server CPU a MiB", "s3", "put64m", "server_cpu_ms_per_mib", "ms", 3.5),
    Row("GET 64 MiB", "s3", "get64m", "value", "MiB/s", None, True),
    Row("1 MiB ranges of 64 MiB", "s3", "range64m", "value", "req/s", 400, True),
    Row("multipart upload of 256 MiB", "s3", "mp256m", "value", "MiB/s", 180, True),
    Row("… its Complete", "s3", "mp256m_complete", "value", "ms", 15),
    Row("LIST of 10,000 keys", "s3", "list10k", "value", "ms", 150),
    Row("memory after the run", "s3", "rss", "value", "MiB", 150),
)

ROWS = {"ec2": EC2, "s3": S3}
