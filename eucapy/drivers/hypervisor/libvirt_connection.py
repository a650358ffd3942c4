"""A connection to libvirt that cannot hang its user: each call runs in a thread of its own, under a time limit.

libvirt's calls block, some for as long as the daemon is stuck. A call that outlives its limit is given up
(HypervisorUnavailable) and its connection with it; keep-alive messages end the abandoned call within seconds, and its
daemon thread never holds up the end of the process. The next call opens a new connection.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from eucapy.drivers.hypervisor import libvirt_events
from eucapy.drivers.hypervisor.base import DomainNotFound, Event, EventKind, HypervisorError, HypervisorUnavailable

log = logging.getLogger(__name__)
T = TypeVar("T")
_KEEPALIVE_S, _KEEPALIVE_MISSES = 5, 3
_MOST_THREADS = 32
_AGAIN = {
    libvirt.VIR_ERR_NO_CONNECT,
    libvirt.VIR_ERR_INVALID_CONN,
    libvirt.VIR_ERR_RPC,
    libvirt.VIR_ERR_OPERATION_TIMEOUT,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE,
}


class Connection:
    """One connection at a time to `uri`, opened when it is first needed and again whenever it was lost."""

    def __init__(self, uri: str, *, limit_s: float = 30.0) -> None:
        self.uri = uri
        self._limit_s = limit_s
        self._current: Any = None
        self._closers: dict[Any, Callable[[], None]] = {}
        self._opening = threading.Lock()
        self._threads = 0
        self._closed = False
        self._listeners: dict[asyncio.Queue[Event], asyncio.AbstractEventLoop] = {}

    async def call(self, work: Callable[[Any], T], *, limit_s: float | None = None) -> T:
        """`work(virConnect)` in a thread. Raises DomainNotFound, HypervisorUnavailable, HypervisorError."""
        if self._threads >= _MOST_THREADS:
            raise HypervisorUnavailable(f"{self.uri}: {self._threads} calls are already waiting")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: Exception | None) -> None:
            self._threads -= 1
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def body() -> None:
            result: T | None = None
            error: Exception | None = None
            try:
                result = self._translated(work)
            except Exception as raised:  # handed to the caller, whatever it is
                error = raised
            try:
                loop.call_soon_threadsafe(settle, result, error)
            except RuntimeError:
                log.debug("libvirt answered after the event loop had ended")

        self._threads += 1
        threading.Thread(target=body, name="libvirt-call", daemon=True).start()
        limit = self._limit_s if limit_s is None else limit_s
        try:
            async with asyncio.timeout(limit):
                return await answer
        except TimeoutError as error:
            self._drop(self._current)
            raise HypervisorUnavailable(f"{self.uri}: no answer within {limit:g} s") from error

    def listen(self, queue: asyncio.Queue[Event]) -> None:
        """Put events of this and later connections into `queue`, from the running loop's side."""
        self._listeners[queue] = asyncio.get_running_loop()

    def forget(self, queue: asyncio.Queue[Event]) -> None:
        """The end of `listen`."""
        self._listeners.pop(queue, None)

    def close(self) -> None:
        """Let go of the daemon for good."""
        self._closed = True
        self._drop(self._current)

    def _translated(self, work: Callable[[Any], T]) -> T:
        connection = self._open()
        try:
            return work(connection)
        except libvirt.libvirtError as error:
            code, text = error.get_error_code(), error.get_error_message() or str(error)
            if code == libvirt.VIR_ERR_NO_DOMAIN:
                raise DomainNotFound(_named(text)) from error
            if code in _AGAIN or not _alive(connection):
                self._drop(connection)
                raise HypervisorUnavailable(f"{self.uri}: {text}") from error
            raise HypervisorError(text) from error

    def _open(self) -> Any:
        with self._opening:
            connection = self._current
            if connection is not None and _alive(connection):
                return connection
            if self._closed:
                raise HypervisorUnavailable(f"{self.uri}: closed")
            libvirt_events.ensure_running()
            try:
                connection = libvirt.open(self.uri)
                connection.setKeepAlive(_KEEPALIVE_S, _KEEPALIVE_MISSES)
                self._closers[connection] = libvirt_events.subscribe(connection, self._tell)
            except libvirt.libvirtError as error:
                raise HypervisorUnavailable(f"{self.uri}: {error.get_error_message() or error}") from error
            self._current = connection
        self._tell(Event(kind=EventKind.CONNECTED))
        return connection

    def _drop(self, connection: Any) -> None:
        """Never use it again. It is closed aside: closing can wait for a stuck daemon."""
        if connection is not None and connection is self._current:
            self._current = None
            if (close := self._closers.pop(connection, None)) is not None:
                threading.Thread(target=close, name="libvirt-close", daemon=True).start()
            self._tell(Event(kind=EventKind.DISCONNECTED))

    def _tell(self, event: Event) -> None:
        for queue, loop in list(self._listeners.items()):
            try:
                loop.call_soon_threadsafe(queue.put_nowait, event)
            except RuntimeError:
                self._listeners.pop(queue, None)


def _alive(connection: Any) -> bool:
    try:
        return bool(connection.isAlive())
    except libvirt.libvirtError:
        return False


def _named(text: str) -> str:
    """The domain's name out of libvirt's "Domain not found: no domain with matching name 'i-1'"."""
    return text.rpartition("'")[0].rpartition("'")[2] or text
