"""The audit trail: one JSON line a request, who did what from where and how it ended; never a parameter's value.

Lines are gathered and written a few times a second, so that the trail costs no request its latency; a crash may lose the
last moment of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from pathlib import Path

import msgspec

from eucapy.aws.chain import AuditRecord
from eucapy.clc.context import Principal

log = logging.getLogger(__name__)

FLUSH_S = 0.5
LARGEST_FILE_BYTES = 64 << 20
FILES = 8


class AuditTrail:
    """Appends to `audit.jsonl` in `folder`; full files are kept as `audit.jsonl.1` and so on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "audit.jsonl"
        self._lines: list[AuditRecord] = []
        self._task: asyncio.Task[None] | None = None

    def note(self, record: AuditRecord) -> None:
        """Cheap; never raises."""
        self._lines.append(record)

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="audit")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self.flush()

    def flush(self) -> None:
        """Write what was gathered."""
        if not self._lines:
            return
        lines, self._lines = self._lines, []
        content = b"".join(msgspec.json.encode(_line(record)) + b"\n" for record in lines)
        try:
            if self._path.exists() and self._path.stat().st_size > LARGEST_FILE_BYTES:
                self._rotate()
            with self._path.open("ab") as stream:
                stream.write(content)
        except OSError:
            log.exception("the audit trail cannot be written")

    def _rotate(self) -> None:
        for number in range(FILES - 1, 0, -1):
            older = self._path.with_name(f"{self._path.name}.{number}")
            if older.exists():
                older.rename(self._path.with_name(f"{self._path.name}.{number + 1}"))
        self._path.rename(self._path.with_name(f"{self._path.name}.1"))
        with contextlib.suppress(FileNotFoundError):
            self._path.with_name(f"{self._path.name}.{FILES}").unlink()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            self.flush()


def _line(record: AuditRecord) -> dict[str, object]:
    principal = record.identity.principal
    return {
        "at": round(record.started, 3),
        "service": record.service,
        "action": record.action,
        "request": record.request_id,
        "account": record.identity.account,
        "principal": principal.arn if isinstance(principal, Principal) else "",
        "key": record.identity.access_key_id,
        "from": record.remote,
        "agent": record.agent,
        "status": record.status,
        "error": record.error_code,
        "took_ms": round(record.duration_s * 1000, 2),
    }
