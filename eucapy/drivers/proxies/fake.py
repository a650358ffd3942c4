"""The fake proxies: their semantics in a journal, without any process. They survive restarts.

`unreachable` holds the addresses whose storage does not answer; `kill` is the death of a proxy's process.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import msgspec

from eucapy.drivers.journal import Journal
from eucapy.drivers.proxies import base
from eucapy.drivers.proxies.base import ProxyError, ProxySeen


class FakeProxy(msgspec.Struct, frozen=True):
    """What the folder keeps of a proxy."""

    instance_id: str
    address: str
    running: bool = True


class FakeProxies:
    """The proxies of the host whose disk is `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._proxies = Journal(folder / "proxies.jsonl", FakeProxy)
        self._on_end: Callable[[], None] = lambda: None
        self.unreachable: set[str] = set()
        self.refreshed: list[str] = []

    def open(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._proxies.load()

    def close(self) -> None:
        self._on_end = lambda: None
        self._proxies.close()

    def observe(self, only: Collection[str] | None = None) -> Mapping[str, ProxySeen]:
        names = self._proxies.keys() if only is None else [name for name in only if name in self._proxies]
        held = {name: self._proxies[name] for name in names}
        return {name: ProxySeen(one.instance_id, one.address, one.running) for name, one in held.items()}

    def socket(self, attachment_id: str) -> Path:
        return self._folder / attachment_id / "nbd.sock"

    async def ensure(self, attachment_id: str, instance_id: str, address: str) -> None:
        base.parse(address)
        if address in self.unreachable:
            raise ProxyError(f"{address}: connection refused")
        self._put(attachment_id, FakeProxy(instance_id, address))

    async def refresh(self, attachment_id: str) -> None:
        if attachment_id not in self._proxies:
            raise ProxyError(f"there is no proxy for {attachment_id}")
        self.refreshed.append(attachment_id)

    async def remove(self, attachment_id: str) -> None:
        if self._proxies.pop(attachment_id, None) is not None:
            self._proxies.save(attachment_id)

    def kill(self, attachment_id: str) -> None:
        """The process of the proxy dies."""
        self._put(attachment_id, msgspec.structs.replace(self._proxies[attachment_id], running=False))
        self._on_end()

    def _put(self, attachment_id: str, proxy: FakeProxy) -> None:
        self._proxies[attachment_id] = proxy
        self._proxies.save(attachment_id)
