"""What the store can be watched by: requests, bytes, latency and errors by operation, in Prometheus's text form.

    every answer ─► Metrics.note ─► GET /metrics on a port of its own (`metrics` of the configuration), which S3 does not share

Latency is the time from the head of a request to the head of its answer: bodies that are received count, those that are sent
do not, for the client's line decides how long that takes. Names of operations are the model's, so their number is bounded.
Source: "Exposition formats", Prometheus documentation, version 0.0.4.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

from eucapy.aws.message import Incoming, Outgoing
from eucapy.errors import ApiError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
PAGE = "WebsitePage"
UNKNOWN = "Unknown"
"""The operation of a request that was refused before it was known what it asks."""


class _Operation:
    """What is counted of one operation."""

    __slots__ = ("errors", "received", "seconds", "sent", "slots", "statuses")

    def __init__(self) -> None:
        self.statuses: dict[int, int] = {}
        self.errors: dict[str, int] = {}
        self.received = self.sent = 0
        self.seconds = 0.0
        self.slots = [0] * (len(BOUNDS_S) + 1)


class Metrics:
    """Counters of one process; they begin at zero with it."""

    def __init__(self) -> None:
        self._operations: dict[str, _Operation] = {}

    def note(self, operation: str, status: int, error: str | None, took_s: float, received: int, sent: int) -> None:
        """Count one answer. `error` is the error's code, `received` and `sent` the bytes of the bodies."""
        seen = self._operations.get(operation)
        if seen is None:
            seen = self._operations[operation] = _Operation()
        seen.statuses[status] = seen.statuses.get(status, 0) + 1
        if error is not None:
            seen.errors[error] = seen.errors.get(error, 0) + 1
        seen.received += received
        seen.sent += sent
        seen.seconds += took_s
        seen.slots[bisect_left(BOUNDS_S, took_s)] += 1

    def note_answer(
        self, operation: str, incoming: Incoming, outgoing: Outgoing, error: ApiError | None, now: float
    ) -> None:
        """Count what is about to be answered."""
        received, sent = body_bytes(incoming, outgoing)
        self.note(
            operation,
            outgoing.status,
            error.code if error is not None else None,
            max(0.0, now - incoming.now),
            received,
            sent,
        )

    def render(self) -> Iterator[str]:
        """The lines of what was counted."""
        operations = sorted(self._operations.items())
        yield from family("requests_total", "counter", "Answers by operation and status.")
        for name, seen in operations:
            yield from (line("requests_total", n, operation=name, status=s) for s, n in sorted(seen.statuses.items()))
        yield from family("errors_total", "counter", "Answers that were errors, by operation and code.")
        for name, seen in operations:
            yield from (line("errors_total", n, operation=name, code=c) for c, n in sorted(seen.errors.items()))
        yield from family("received_bytes_total", "counter", "Bytes of requests' bodies, as announced.")
        yield from (line("received_bytes_total", seen.received, operation=name) for name, seen in operations)
        yield from family("sent_bytes_total", "counter", "Bytes of answers' bodies, as announced.")
        yield from (line("sent_bytes_total", seen.sent, operation=name) for name, seen in operations)
        yield from family("request_seconds", "histogram", "From the head of a request to the head of its answer.")
        for name, seen in operations:
            total = 0
            for bound, count in zip((*BOUNDS_S, "+Inf"), seen.slots, strict=True):
                total += count
                yield line("request_seconds_bucket", total, operation=name, le=bound)
            yield line("request_seconds_sum", round(seen.seconds, 6), operation=name)
            yield line("request_seconds_count", total, operation=name)


def body_bytes(incoming: Incoming, outgoing: Outgoing) -> tuple[int, int]:
    """(received, sent): bytes of the two bodies, as they are announced."""
    received = (incoming.stream.length or 0) if incoming.stream is not None else len(incoming.body)
    body = outgoing.body
    sent = len(body) if isinstance(body, bytes | bytearray) else body.length or 0
    return received, 0 if incoming.method == "HEAD" else sent


def gauges(data: Path, metadata: Iterable[Path], connections: int, workers: Mapping[str, Any]) -> Iterator[str]:
    """What is so now: room on the disk, connections, and the numbers of what the workers did last (`Periodic.status`)."""
    disk = os.statvfs(data)
    now: tuple[tuple[str, int, str], ...] = (
        ("disk_bytes", disk.f_blocks * disk.f_frsize, "Size of the file system of the data folder."),
        ("disk_free_bytes", disk.f_bavail * disk.f_frsize, "What of it is free to the store, its reserve included."),
        ("metadata_bytes", sum(p.stat().st_size for p in metadata if p.exists()), "Size of the metadata's files."),
        ("connections", connections, "Open connections of the S3 port."),
    )
    for name, value, told in now:
        yield from family(name, "gauge", told)
        yield line(name, value)
    yield from family("worker", "gauge", "What a background worker did in its last pass, or has done in this one.")
    for worker, status in sorted(workers.items()):
        for what, number in _numbers(status):
            yield line("worker", number, worker=worker, what=what)


def application(now: Callable[[], Iterable[str]]) -> web.Application:
    """GET /metrics. `now()` gives the lines."""

    async def get(request: web.Request) -> web.Response:
        text = "".join(f"{said}\n" for said in now())
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    app = web.Application()
    app.router.add_get("/metrics", get)
    return app


def _numbers(status: Any) -> Iterator[tuple[str, float]]:
    if not isinstance(status, msgspec.Struct):
        return
    for name in status.__struct_fields__:
        value = getattr(status, name)
        if isinstance(value, bool | int | float):
            yield name, float(value) if isinstance(value, float) else int(value)


def family(name: str, kind: str, told: str) -> Iterator[str]:
    """The two lines that declare a metric."""
    yield f"# HELP eucapy_s3_{name} {told}"
    yield f"# TYPE eucapy_s3_{name} {kind}"


def line(name: str, value: float, **labels: object) -> str:
    """A sample."""
    said = ",".join(f'{label}="{_escaped(str(text))}"' for label, text in labels.items())
    return f"eucapy_s3_{name}{{{said}}} {value}" if said else f"eucapy_s3_{name} {value}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
