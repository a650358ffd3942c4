"""A client of QEMU's machine protocol over a unix socket, as far as a storage daemon is spoken to.

One connection per conversation, one command at a time, a time limit on each. QEMU's own errors are `QmpError` with its
class; a peer that is gone or silent is `QmpGone`.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from types import TracebackType
from typing import Any

LONGEST_LINE_BYTES = 16 * 1024 * 1024


class QmpError(Exception):
    """QEMU refused a command. `kind` is its error class."""

    def __init__(self, command: str, kind: str, description: str) -> None:
        self.kind = kind
        super().__init__(f"{command}: {description}")


class QmpGone(Exception):
    """Nobody answers on the socket."""


class Qmp:
    """`async with Qmp(path) as monitor: await monitor("query-version")`."""

    def __init__(self, path: Path, timeout_s: float = 10.0) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Qmp:
        try:
            async with asyncio.timeout(self._timeout_s):
                self._reader, self._writer = await asyncio.open_unix_connection(
                    str(self._path), limit=LONGEST_LINE_BYTES
                )
                await self._message()
            await self("qmp_capabilities")
        except (OSError, TimeoutError) as error:
            await self._close()
            raise QmpGone(f"{self._path}: {error or 'no answer'}") from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def __call__(self, command: str, **arguments: Any) -> Any:
        """The command's result. Raises QmpError, QmpGone. Underscores in argument names stand for hyphens."""
        assert self._writer is not None, "not connected"
        given = {name.replace("_", "-"): value for name, value in arguments.items()}
        try:
            async with asyncio.timeout(self._timeout_s):
                self._writer.write(json.dumps({"execute": command, "arguments": given}).encode() + b"\n")
                await self._writer.drain()
                while True:
                    message = await self._message()
                    if "return" in message:
                        return message["return"]
                    if "error" in message:
                        error = message["error"]
                        raise QmpError(command, str(error.get("class")), str(error.get("desc")))
        except (OSError, TimeoutError) as error:
            raise QmpGone(f"{self._path}: {command}: {error or 'no answer'}") from error

    async def _message(self) -> dict[str, Any]:
        assert self._reader is not None
        line = await self._reader.readline()
        if not line:
            raise ConnectionResetError("the connection ended")
        message = json.loads(line)
        assert isinstance(message, dict)
        return message

    async def _close(self) -> None:
        writer, self._reader, self._writer = self._writer, None, None
        if writer is not None:
            writer.close()
            try:
                await writer.wait_closed()
            except OSError:
                return
