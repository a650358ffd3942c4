"""Proxies by QEMU's storage daemon: one process an attachment, with an NBD client on one side and a server on the other.

It connects with TLS, shows the node's certificate and insists that the far side has the cloud's for the address that it
listens at. With `reconnect-delay` requests wait while the connection is down; after that they fail, QEMU stops the guest,
and the node controller has it go on when the storage is back. The processes are kept by `drivers/block/daemons.py`; beside
each lies `proxy.json`, which says whose it is and where it leads.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from eucapy.drivers.block.daemons import DaemonFailed, Daemons
from eucapy.drivers.block.exporter import withdraw
from eucapy.drivers.proxies import base
from eucapy.drivers.proxies.base import ProxyError, ProxySeen
from eucapy.folders import Owner
from eucapy.ledger import Ledger, LedgerDamaged

RECONNECT_S = 120
"""How long a guest's requests wait for the storage before they fail and the guest is stopped."""
OPEN_S = 5
QUIT_S = 3.0
"""A daemon that waits for its far side does not hear us; nothing is lost when it is killed."""
_FAR, _OUT = "far", "out"


class Proxy(msgspec.Struct, frozen=True):
    """`proxy.json`."""

    instance_id: str
    address: str


class StorageDaemonProxies:
    """The proxies whose sockets lie in `folder` (`daemons.py` says how short its path must be). `credentials`: a folder
    with the node's certificate under QEMU's names, None where there is none. Raises BadRequest."""

    def __init__(
        self, folder: Path, credentials: Path | None, group_id: int | None = None, owner: Owner | None = None
    ) -> None:
        """`owner`: the user that the daemons run as, who can read `credentials`."""
        self._daemons = Daemons(folder, group_id, owner)
        self._credentials = credentials
        self._held: dict[str, Proxy] = {}

    def open(self, on_end: Callable[[], None]) -> None:
        self._daemons.open(on_end)
        for name in self._daemons.left():
            try:
                held = self._ledger(name).read()
            except LedgerDamaged:
                held = None
            # Without a record: died before it was written, or after it was removed. Nobody's, and removed by `ensure`.
            if held is not None:
                self._held[name] = held

    def close(self) -> None:
        self._daemons.close()

    def observe(self, only: Collection[str] | None = None) -> Mapping[str, ProxySeen]:
        names = self._held.keys() if only is None else [name for name in only if name in self._held]
        held, running = {name: self._held[name] for name in names}, self._daemons.running()
        return {name: ProxySeen(one.instance_id, one.address, name in running) for name, one in held.items()}

    def socket(self, attachment_id: str) -> Path:
        return self._daemons.socket(attachment_id)

    async def ensure(self, attachment_id: str, instance_id: str, address: str) -> None:
        base.parse(address)
        wanted = Proxy(instance_id, address)
        if attachment_id in self._daemons.running():
            if self._held.get(attachment_id) == wanted:
                return
            await self.remove(attachment_id)
        self._ledger(attachment_id).write(wanted)
        self._held[attachment_id] = wanted
        try:
            await self._daemons.start(
                attachment_id,
                *("--object", json.dumps(self._tls())),
                *("--blockdev", json.dumps(_client(address))),
                *("--nbd-server", f"addr.type=unix,addr.path={self.socket(attachment_id)},max-connections=0"),
                *("--export", json.dumps({"type": "nbd", **_server(address)})),
            )
        except DaemonFailed as error:
            raise ProxyError(str(error)) from error

    async def refresh(self, attachment_id: str) -> None:
        held = self._held.get(attachment_id)
        if held is None:
            raise ProxyError(f"there is no proxy for {attachment_id}")
        try:
            async with self._daemons.orders(attachment_id) as order:
                await withdraw(order)
                await order("blockdev-del", node_name=_FAR)
                await order("blockdev-add", **_client(held.address))
                await order("block-export-add", type="nbd", **_server(held.address))
        except DaemonFailed as error:
            # Half a proxy would pass for a whole one: better none, which is started again.
            with contextlib.suppress(DaemonFailed):
                await self._daemons.end(attachment_id, QUIT_S)
                self._ledger(attachment_id).write(held)
            raise ProxyError(str(error)) from error

    async def remove(self, attachment_id: str) -> None:
        try:
            await self._daemons.end(attachment_id, QUIT_S)
        except DaemonFailed as error:
            raise ProxyError(str(error)) from error
        self._held.pop(attachment_id, None)

    def _ledger(self, attachment_id: str) -> Ledger[Proxy]:
        return Ledger(self._daemons.folder(attachment_id) / "proxy.json", Proxy)

    def _tls(self) -> dict[str, Any]:
        if self._credentials is None:
            raise ProxyError("this node has no certificate, and volumes of other hosts are reached with one only")
        folder = str(self._credentials)
        return {"qom-type": "tls-creds-x509", "id": "tls", "endpoint": "client", "dir": folder, "verify-peer": True}


def _client(address: str) -> dict[str, Any]:
    export = base.parse(address)
    return {
        "driver": "nbd",
        "node-name": _FAR,
        "server": {"type": "inet", "host": export.host, "port": str(export.port)},
        "export": export.name,
        "tls-creds": "tls",
        "reconnect-delay": RECONNECT_S,
        "open-timeout": OPEN_S,
        "discard": "unmap",
    }


def _server(address: str) -> dict[str, Any]:
    return {"id": _OUT, "node-name": _FAR, "name": base.parse(address).name, "writable": True}
