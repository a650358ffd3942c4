"""Structured logs: one JSON object a line on stderr (journald and files take it as it is).

Fields: `at` (UTC), `level`, `component`, `logger`, `message`, `request_id` within a request, and whatever was given as
`extra={"data": {...}}`.
Secrets never come here: callers log ids, never values.
"""

from __future__ import annotations

import json
import logging
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

from aiohttp.http_exceptions import HttpProcessingError

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id under which the request that is being served is answered; "" outside of one. Every line written meanwhile has it."""


class JsonFormatter(logging.Formatter):
    """Renders a record as one JSON line."""

    def __init__(self, component: str) -> None:
        super().__init__()
        self._component = component

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "component": self._component,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        data = getattr(record, "data", None)
        if isinstance(data, dict):
            line.update(data)
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class Gibberish(logging.Filter):
    """What comes to a port and is no HTTP is nobody's error: anybody could fill the disk with it, and it may hold secrets."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        return not isinstance(error, HttpProcessingError)


def setup(component: str, level: str = "info") -> None:
    """Send this process's logs to stderr as JSON lines."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(component))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("botocore", "boto3", "asyncio", "aiosqlite", "pyroute2", "alembic.runtime.plugins"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    served = logging.getLogger("aiohttp.server")
    served.filters[:] = [Gibberish()]
