"""Proxies as the node controller needs them: an export of another host, on a unix socket of this one.

A guest's QEMU takes up a volume through a unix socket. When the volume's storage is on another host, a proxy stands
between: it speaks TLS to the storage with this node's certificate, and when the way there breaks, it keeps the guest's
reads and writes waiting until it is back, instead of failing them.

    absent ──ensure──► there ──remove──► absent            its process may die at any moment: seen as not `running`,
                         ▲ └── refresh                     and `ensure` brings it back

* One proxy an attachment. It belongs to one instance; whose it is survives the process that made it, and so does the proxy.
* Every verb is idempotent. What a guest was told is written is written on the far side: a proxy holds nothing back.

Real: `storage_daemon.py`. Twin: `fake.py`. One suite for both: `tests/drivers/proxies/`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit


class ProxyError(Exception):
    """A verb could not be done now; asked again later it may."""


class BadExport(ValueError):
    """An export's address that this node cannot use."""


@dataclass(frozen=True)
class Export:
    """A volume of another host: where its storage listens, and the volume's name there."""

    host: str
    port: int
    name: str


@dataclass(frozen=True)
class ProxySeen:
    """A proxy that exists: whose it is, and to which address it leads."""

    instance_id: str
    address: str
    running: bool


class ProxyDriver(Protocol):
    """The verbs. Each may raise ProxyError."""

    def open(self, on_end: Callable[[], None]) -> None:
        """Find the proxies that are there. `on_end` is called when the process of one dies."""
        ...

    def close(self) -> None:
        """Stop watching. Proxies go on."""
        ...

    def observe(self, only: Collection[str] | None = None) -> Mapping[str, ProxySeen]:
        """Every proxy (or those of the attachments `only`), by attachment. No I/O: cheap."""
        ...

    def socket(self, attachment_id: str) -> Path:
        """Where the proxy of the attachment listens, there or not."""
        ...

    async def ensure(self, attachment_id: str, instance_id: str, address: str) -> None:
        """A running proxy that leads to `address` (`nbds://<host>:<port>/<name>`); one that leads elsewhere is replaced.
        Raises BadExport, and ProxyError while the storage cannot be reached or turns us away."""
        ...

    async def refresh(self, attachment_id: str) -> None:
        """Connect anew on both sides, so that the guest's next connection sees the volume's present size."""
        ...

    async def remove(self, attachment_id: str) -> None:
        """The end of the proxy. Removing what is not there succeeds."""
        ...


def is_elsewhere(address: str) -> bool:
    """Whether an export's address leads to another host."""
    return address.startswith("nbds://")


def parse(address: str) -> Export:
    """`nbds://<host>:<port>/<name>` taken apart. Raises BadExport."""
    parts = urlsplit(address)
    try:
        port = parts.port
    except ValueError:
        port = None
    name = parts.path.removeprefix("/")
    if not is_elsewhere(address) or not parts.hostname or not port or not name:
        raise BadExport(f"not an NBD server of another host: {address!r}")
    return Export(parts.hostname, port, name)
