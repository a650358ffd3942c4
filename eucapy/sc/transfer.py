"""Brings an image of the object store, or a capture from a node, into a local file, within the size that the operator allows.

The bytes come through `eucapy/wire/objects.py`, which knows the store and compares what comes with what the spec names.
Whether they are an image is the driver's question. What goes wrong is said in the terms of a fault: a code, and whether
asking again may help.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from eucapy.wire.contract import Unreachable
from eucapy.wire.node import NodeSource, ObjectSource
from eucapy.wire.objects import CaptureFetcher, Changed, ObjectFetcher


class TransferError(Exception):
    """The image did not come. `final`: it never will as the spec names it."""

    def __init__(self, code: str, message: str, *, final: bool) -> None:
        self.code = code
        self.final = final
        super().__init__(message)


class Transfer:
    """Downloads of at most `largest_bytes`."""

    def __init__(self, objects: ObjectFetcher, captures: CaptureFetcher, largest_bytes: int) -> None:
        self._objects, self._captures = objects, captures
        self._largest_bytes = largest_bytes

    async def fetch(self, source: ObjectSource | NodeSource, target: Path, progress: Callable[[int], None]) -> None:
        """Write the object, or a node's capture, to `target`; `progress` in percent, at most 99 until it is there.

        Raises TransferError, and OSError when the local disk refuses."""
        size_bytes = source.fetched_bytes if isinstance(source, ObjectSource) else source.size_bytes
        if size_bytes > self._largest_bytes:
            message = f"the image has {size_bytes} bytes; at most {self._largest_bytes} are allowed"
            raise TransferError("ImageTooLarge", message, final=True)

        def told(done: int) -> None:
            progress(min(99, 100 * done // max(1, size_bytes)))

        try:
            if isinstance(source, NodeSource):
                await self._captures.fetch_capture(source, target, told)
            else:
                await self._objects.fetch(source, target, told)
        except Changed as error:
            raise TransferError("ImageChanged", str(error), final=True) from error
        except Unreachable as error:
            raise TransferError("StoreUnreachable", str(error), final=False) from error
