"""Exports: one QEMU storage daemon per exported volume, which outlives the process that started it (`daemons.py`).

A node on the same host reaches a volume by a unix socket in the run folder. One on another host reaches it by TCP with TLS
only: it shows a certificate of the cloud's authority, and it must be that of the very node that the volume is exported for;
any other, and whoever shows none, is sent away before it hears a byte of the volume. Each such volume has a port of its
own, which it keeps when its daemon is started again, so that its client finds it.

    export ──► pace (a throttle filter, for what the volume may ask for) ──► head ──► layer ──► layer …

Every layer is opened under its own name as node name, so that a snapshot can be told exactly what to freeze.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eucapy.drivers.block.base import BadRequest
from eucapy.drivers.block.daemons import DaemonFailed, Daemons
from eucapy.drivers.block.qmp import Qmp, QmpError
from eucapy.folders import Owner
from eucapy.pace import UNLIMITED, Pace

log = logging.getLogger(__name__)

QUIT_S = 20.0
MERGE = "merge"
EXPORT = "out"
PACE = "pace"
JOB_POLL_S = 0.1
WITHDRAWN_S = 20.0
MERGE_BYTES_PER_S = 128 << 20
"""Guests keep the better part of the disk."""

_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class PortTaken(DaemonFailed):
    """Somebody else listens on the port."""


@dataclass(frozen=True)
class Remote:
    """How nodes on other hosts reach volumes: at `host`, each volume at a port of `ports`. `credentials` is a folder with
    our certificate under QEMU's names (`pki.qemu_credentials`)."""

    host: str
    ports: range
    credentials: Path


@dataclass(frozen=True)
class Listening:
    """Where a volume is served to the node `node` of another host."""

    node: str
    port: int


class Exporter:
    """The storage daemons of one pool. `path_of` gives a layer's file."""

    def __init__(
        self,
        folder: Path,
        path_of: Callable[[str], Path],
        group_id: int | None = None,
        remote: Remote | None = None,
        owner: Owner | None = None,
    ) -> None:
        """`folder` must be short (`daemons.py`), and `owner` able to read and write the layers.

        Without `remote` volumes stay on this host. Raises BadRequest."""
        self._daemons = Daemons(folder, group_id, owner)
        self._path_of = path_of
        self._remote = remote
        self._graphs: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._hurried: set[str] = set()
        """Volumes whose daemon is wanted for something that a merge gives way to."""

    @property
    def ports(self) -> range:
        """Of which exports to other hosts take one each. Raises BadRequest when there are no such exports."""
        return self._beyond().ports

    def open(self, on_change: Callable[[], None]) -> None:
        """Make the run folder and find every daemon that runs."""
        self._daemons.open(on_change)

    def close(self) -> None:
        """Stop watching. The daemons go on."""
        self._daemons.close()

    def address(self, volume_id: str, listening: Listening | None = None) -> str:
        """The NBD address under which the volume is reachable now; "" when its daemon does not run."""
        if volume_id not in self._daemons.running():
            return ""
        if listening is None:
            return f"nbd+unix:///{volume_id}?socket={self._daemons.socket(volume_id)}"
        host = self._beyond().host
        return f"nbds://{f'[{host}]' if ':' in host else host}:{listening.port}/{volume_id}"

    def running(self) -> set[str]:
        """The volumes whose daemon runs."""
        return self._daemons.running()

    async def start(
        self,
        volume_id: str,
        chain: Sequence[str],
        listening: Listening | None = None,
        pace: Pace = UNLIMITED,
    ) -> None:
        """Serve the volume whose layers are `chain`, head first: here, or to one node elsewhere (`check_node`). Raises
        DaemonFailed, PortTaken."""
        if volume_id in self._daemons.running():
            return
        layers = _chain_nodes([(layer, self._path_of(layer)) for layer in chain])
        group = {"qom-type": "throttle-group", "id": PACE, "limits": _limits(pace)}
        node = {"driver": "throttle", "node-name": PACE, "throttle-group": PACE, "file": layers}
        server = (
            ("--nbd-server", f"addr.type=unix,addr.path={self._daemons.socket(volume_id)},max-connections=0")
            if listening is None
            else self._tls_server(listening)
        )
        try:
            await self._daemons.start(
                volume_id,
                *("--object", json.dumps(group)),
                *("--blockdev", json.dumps(node)),
                *server,
                *("--export", f"type=nbd,id={EXPORT},node-name={PACE},name={volume_id},writable=on"),
            )
        except DaemonFailed as error:
            if listening is not None and "ddress already in use" in str(error):
                raise PortTaken(str(error)) from error
            raise

    def _tls_server(self, listening: Listening) -> tuple[str, ...]:
        """The server for one node: its certificate is asked for, and its subject must be the node's."""
        remote = self._beyond()
        credentials = {
            "qom-type": "tls-creds-x509",
            "id": "tls",
            "endpoint": "server",
            "dir": str(remote.credentials),
            "verify-peer": True,
        }
        only = {"qom-type": "authz-simple", "id": "node", "identity": f"O=eucapy,OU={listening.node},CN=nc"}
        address = {"type": "inet", "host": remote.host, "port": str(listening.port)}
        server = {"addr": address, "tls-creds": "tls", "tls-authz": "node", "max-connections": 0}
        return (
            *("--object", json.dumps(credentials), "--object", json.dumps(only)),
            *("--nbd-server", json.dumps(server)),
        )

    def check_node(self, node: str) -> None:
        """Whether a volume can be exported to the node of another host. Raises BadRequest."""
        self._beyond()
        if not _NODE_NAME.fullmatch(node):
            raise BadRequest(f"not a node's name: {node!r}")

    def _beyond(self) -> Remote:
        if self._remote is None:
            raise BadRequest("this storage has no certificate and serves its own host alone")
        return self._remote

    async def stop(self, volume_id: str) -> None:
        """End the daemon after it has written everything down. Raises DaemonFailed when it does not die."""
        async with self._undisturbed(volume_id):
            await self._daemons.end(volume_id, QUIT_S)

    async def set_pace(self, volume_id: str, pace: Pace) -> None:
        """How fast a served volume may be from now on. Raises DaemonFailed."""
        async with self._orders(volume_id) as order:
            await order("qom-set", path=f"/objects/{PACE}", property="limits", value=_limits(pace))

    async def grow(self, volume_id: str, size_bytes: int) -> None:
        """Make a served volume larger. Its clients lose their connection and see the new size with the next one; QEMU does
        not resize what it exports. Raises DaemonFailed."""
        async with self._undisturbed(volume_id):
            try:
                async with self._orders(volume_id) as order:
                    await withdraw(order)
                    await order("block_resize", node_name=PACE, size=size_bytes)
                    await _offer(order, volume_id)
            except BaseException:
                # A daemon that serves nothing would pass for a reachable volume: better none, which is started again.
                await self._daemons.end(volume_id, QUIT_S)
                raise

    async def put_over(self, volume_id: str, head: str, next_head: str, beneath: str) -> None:
        """Freeze the node `head` (over `beneath`, "" for none) and let the export go on in `next_head`, an empty layer
        over it. In-flight writes are in one or the other, flushed; done before, nothing happens. Raises DaemonFailed."""
        async with self._undisturbed(volume_id), self._orders(volume_id) as order:
            nodes = {node["node-name"]: node for node in await order("query-named-block-nodes", flat=True)}
            if next_head not in nodes:
                await order("blockdev-add", **_node(next_head, self._path_of(next_head), backing=None))
            if not nodes.get(next_head, {}).get("backing_file"):  # it stands on nothing yet
                await order("blockdev-snapshot", node=head, overlay=next_head)
            frozen = _node(head, self._path_of(head), backing=beneath or None, read_only=True)
            await order("blockdev-reopen", options=[frozen])

    async def merge(self, volume_id: str, surplus: str, keeper: str, beneath: str) -> None:
        """Copy the node `surplus` into the frozen node `keeper` above it, which then stands on `beneath` ("" for nothing).

        Takes as long as the copying, and gives up, keeping what is copied, when a snapshot or the end of the export wants
        the daemon. Raises DaemonFailed, also when the daemon dies meanwhile."""
        path = self._path_of(keeper)
        base: dict[str, Any] = {"base_node": beneath, "backing_file": self._path_of(beneath).name} if beneath else {}
        async with self._graphs[volume_id]:
            async with self._orders(volume_id) as order:
                await order("blockdev-reopen", options=[_node(keeper, path, backing=surplus)])
                await order(
                    "block-stream", device=keeper, job_id=MERGE, auto_dismiss=False, speed=MERGE_BYTES_PER_S, **base
                )
            failure = await self._merge_ended(volume_id)
            async with self._orders(volume_id) as order:
                stands_on = surplus if failure else beneath or None
                await order("blockdev-reopen", options=[_node(keeper, path, backing=stands_on, read_only=True)])
                if not failure:
                    await _forget_node(order, surplus)
        if failure:
            raise DaemonFailed(f"{volume_id}: merging {surplus} into {keeper}: {failure}")

    @contextlib.asynccontextmanager
    async def _undisturbed(self, volume_id: str) -> AsyncIterator[None]:
        """Nobody else changes the daemon's block graph meanwhile; a merge gives way. (A daemon of QEMU 7.2 does not survive
        a snapshot, or even a listing of its nodes, while it merges.)"""
        self._hurried.add(volume_id)
        try:
            async with self._graphs[volume_id]:
                yield
        finally:
            self._hurried.discard(volume_id)

    async def end_merges(self) -> None:
        """Cancel what an earlier life of ours had daemons merge; the layers' headers say how far it came."""
        for volume_id in self.running():
            self._hurried.add(volume_id)
            try:
                await self._merge_ended(volume_id)
            except DaemonFailed as error:
                log.warning("merge not ended", extra={"data": {"volume": volume_id, "reason": str(error)}})
            finally:
                self._hurried.discard(volume_id)

    async def tidy(self, volume_id: str, chain: Sequence[str]) -> None:
        """Close what an interrupted snapshot or merge left open: for writing, beneath the head, or at all, outside the
        chain; and offer the volume again if its growth was interrupted. `chain` is the volume's, head first."""
        try:
            async with self._undisturbed(volume_id), self._orders(volume_id) as order:
                if not await order("query-block-exports"):
                    await _offer(order, volume_id)
                nodes = {node["node-name"]: node for node in await order("query-named-block-nodes", flat=True)}
                for layer, beneath in list(itertools.pairwise([*chain, None]))[1:]:
                    if layer is not None and layer in nodes and not nodes[layer]["ro"]:
                        frozen = _node(layer, self._path_of(layer), backing=beneath, read_only=True)
                        await order("blockdev-reopen", options=[frozen])
                orphans = [name for name, node in nodes.items() if node["drv"] == "qcow2" and name not in chain]
                for _ in orphans:  # one may stand on another
                    for name in orphans:
                        with contextlib.suppress(QmpError):
                            await order("blockdev-del", node_name=name)
        except DaemonFailed as error:
            log.warning("daemon not tidied", extra={"data": {"volume": volume_id, "reason": str(error)}})

    def _orders(self, volume_id: str) -> contextlib.AbstractAsyncContextManager[Qmp]:
        return self._daemons.orders(volume_id)

    async def _merge_ended(self, volume_id: str) -> str:
        """Wait for the merge, cancel it when somebody is in a hurry; returns why it failed, "" when it did not. Raises
        DaemonFailed."""
        while True:
            async with self._orders(volume_id) as order:
                jobs = await order("query-jobs")
                if not jobs:
                    return "it is gone"
                if jobs[0]["status"] == "concluded":
                    await order("job-dismiss", id=MERGE)
                    return str(jobs[0].get("error", ""))
                if volume_id in self._hurried:
                    with contextlib.suppress(QmpError):  # it may end by itself in this moment
                        await order("block-job-cancel", device=MERGE, force=True)
            await asyncio.sleep(JOB_POLL_S)


def _node(name: str, path: Path, *, backing: Any, read_only: bool = False) -> dict[str, Any]:
    file = {"driver": "file", "filename": str(path), "discard": "unmap", "read-only": read_only}
    return {
        "driver": "qcow2",
        "node-name": name,
        "discard": "unmap",
        "read-only": read_only,
        "file": file,
        "backing": backing,
    }


def _chain_nodes(chain: Sequence[tuple[str, Path]]) -> dict[str, Any]:
    """The block graph of a chain, head first: the head writable, everything beneath read-only."""
    node: dict[str, Any] | None = None
    for depth, (name, path) in reversed(list(enumerate(chain))):
        node = _node(name, path, backing=node, read_only=depth > 0)
    assert node is not None, "a chain has at least one layer"
    return node


async def _forget_node(order: Qmp, name: str) -> None:
    """Close a node that nothing stands on. One that came with the daemon's start has gone by itself."""
    nodes = {node["node-name"] for node in await order("query-named-block-nodes", flat=True)}
    if name in nodes:
        await order("blockdev-del", node_name=name)


async def withdraw(order: Qmp) -> None:
    """End what a daemon exports; returns when its clients are cut off. Raises DaemonFailed."""
    for export in await order("query-block-exports"):
        await order("block-export-del", id=export["id"], mode="hard")
    for _ in range(round(WITHDRAWN_S / JOB_POLL_S)):
        if not await order("query-block-exports"):
            return
        await asyncio.sleep(JOB_POLL_S)
    raise DaemonFailed("the export does not end")


async def _offer(order: Qmp, volume_id: str) -> None:
    await order("block-export-add", type="nbd", id=EXPORT, node_name=PACE, name=volume_id, writable=True)


def _limits(pace: Pace) -> dict[str, int]:
    """QEMU's throttling. It takes no size of a request where requests are not limited; a burst of 1 s is none."""
    limits = {"iops-size": pace.request_bytes if pace.requests.per_s else 0}
    for name, flow in (("iops", pace.requests), ("bps", pace.data)):
        limits[f"{name}-total"] = flow.per_s
        limits[f"{name}-total-max"] = flow.burst_per_s
        limits[f"{name}-total-max-length"] = max(1, flow.burst_s)
    return limits
