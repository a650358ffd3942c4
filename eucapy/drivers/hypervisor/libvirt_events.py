"""libvirt's events: the one thread that libvirt needs to run callbacks, and their translation into `Event`.

libvirt's event loop is one per process and must be registered before the first connection is opened; it also carries
keep-alive messages and streams. Callbacks arrive in that thread; they only translate and hand over.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from collections.abc import Callable
from typing import Any

import libvirt

from eucapy.drivers.hypervisor.base import Event, EventKind
from eucapy.drivers.hypervisor.libvirt_xml import serial_of_alias, tap_of_alias

log = logging.getLogger(__name__)
Listener = Callable[[Event], None]


@functools.cache
def silence() -> None:
    """Keep libvirt from writing errors to stderr; they come as exceptions too."""
    libvirt.registerErrorHandler(lambda _context, _error: None, None)


@functools.cache
def ensure_running() -> None:
    """Start the thread, once a process; before any connection is opened."""
    silence()
    libvirt.virEventRegisterDefaultImpl()
    # libvirt's loop sleeps until one of its timers is due; without any it may sleep through what it should notice.
    libvirt.virEventAddTimeout(1000, lambda _timer, _opaque: None, None)
    threading.Thread(target=_run, name="libvirt-events", daemon=True).start()


def _run() -> None:
    while True:
        try:
            libvirt.virEventRunDefaultImpl()
        except libvirt.libvirtError:
            log.exception("libvirt's event loop")


def subscribe(connection: Any, listener: Listener) -> Callable[[], None]:
    """Call `listener` (in libvirt's thread) with each event of the connection, its end included.

    The result closes the connection; it may block as long as the daemon does.
    """

    def lifecycle(_conn: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        kind = _lifecycle_kind(event, detail)
        if kind is not None:
            listener(Event(kind=kind, instance_id=domain.name()))

    def reboot(_conn: Any, domain: Any, _opaque: Any) -> None:
        listener(Event(kind=EventKind.REBOOTED, instance_id=domain.name()))

    def io_error(_conn: Any, domain: Any, source: str, device: str, action: int, reason: str, _opaque: Any) -> None:
        del source, action
        detail = f"{serial_of_alias(device)}: {reason}" if reason else serial_of_alias(device)
        listener(Event(kind=EventKind.IO_ERROR, instance_id=domain.name(), detail=detail))

    def device(disk: EventKind, card: EventKind) -> Callable[..., None]:
        def callback(_conn: Any, domain: Any, name: str, _opaque: Any) -> None:
            if serial := serial_of_alias(name):
                listener(Event(kind=disk, instance_id=domain.name(), detail=serial))
            elif tap := tap_of_alias(name):
                listener(Event(kind=card, instance_id=domain.name(), detail=tap))

        return callback

    callbacks = (
        (libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, lifecycle),
        (libvirt.VIR_DOMAIN_EVENT_ID_REBOOT, reboot),
        (libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON, io_error),
        (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_ADDED, device(EventKind.DISK_ADDED, EventKind.NIC_ADDED)),
        (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED, device(EventKind.DISK_REMOVED, EventKind.NIC_REMOVED)),
        (libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED, device(EventKind.DISK_REFUSED, EventKind.NIC_REFUSED)),
    )
    numbers = [connection.domainEventRegisterAny(None, number, callback, None) for number, callback in callbacks]
    connection.registerCloseCallback(lambda *_: listener(Event(kind=EventKind.DISCONNECTED)), None)

    def close() -> None:
        # Each registration holds the connection open. A dead connection refuses all of it, which is as good.
        for end in (
            *(functools.partial(connection.domainEventDeregisterAny, n) for n in numbers),
            connection.unregisterCloseCallback,
            connection.close,
        ):
            with contextlib.suppress(libvirt.libvirtError):
                end()

    return close


def _lifecycle_kind(event: int, detail: int) -> EventKind | None:
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED and detail in (
        libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED,
        libvirt.VIR_DOMAIN_EVENT_STOPPED_FAILED,
    ):
        return EventKind.CRASHED
    return _LIFECYCLE.get(event)


_LIFECYCLE = {
    libvirt.VIR_DOMAIN_EVENT_DEFINED: EventKind.DEFINED,
    libvirt.VIR_DOMAIN_EVENT_UNDEFINED: EventKind.UNDEFINED,
    libvirt.VIR_DOMAIN_EVENT_STARTED: EventKind.STARTED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED: EventKind.STOPPED,
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED: EventKind.PAUSED,
    libvirt.VIR_DOMAIN_EVENT_RESUMED: EventKind.RESUMED,
    libvirt.VIR_DOMAIN_EVENT_CRASHED: EventKind.CRASHED,
}
