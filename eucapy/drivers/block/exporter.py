"""Exports: one QEMU storage daemon per exported volume, which outlives the process that started it.

In the run folder each exported volume has a folder of its own: `nbd.sock` (the guest's QEMU connects here), `qmp.sock`
(we give orders here) and `pid`. Whoever may enter the run folder may reach the volumes: it is 0700, or 0750 with the group
that QEMU runs under. After a restart `adopt` finds the daemons that still run; the death of one is noticed at once
through its pidfd. Every layer is opened under its own name as node name, so that a snapshot can be told exactly what to
freeze.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import shutil
import signal
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eucapy.drivers.block.base import BadRequest, BlockError
from eucapy.drivers.block.qmp import Qmp, QmpError, QmpGone
from eucapy.run import RunError, run

log = logging.getLogger(__name__)

PROGRAM = "qemu-storage-daemon"
LONGEST_SOCKET_PATH = 107
QUIT_S = 20.0
MERGE = "merge"
JOB_POLL_S = 0.1
MERGE_BYTES_PER_S = 128 << 20
"""Guests keep the better part of the disk."""


class ExportFailed(BlockError):
    """The storage daemon could not be started, ordered or ended."""

    code = "ExportFailed"


@dataclass
class _Server:
    pid: int
    pidfd: int
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Exporter:
    """The storage daemons of one pool. `path_of` gives a layer's file."""

    def __init__(self, folder: Path, path_of: Callable[[str], Path], group_id: int | None = None) -> None:
        """`folder` must be short: a unix socket's path has at most 107 bytes. Raises BadRequest."""
        self._folder = folder
        self._path_of = path_of
        self._group_id = group_id
        self._servers: dict[str, _Server] = {}
        self._graphs: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._hurried: set[str] = set()
        """Volumes whose daemon is wanted for something that a merge gives way to."""
        self._on_change: Callable[[], None] = lambda: None
        longest = str(folder / ("v" * 25) / "nbd.sock")
        if len(longest.encode()) > LONGEST_SOCKET_PATH:
            raise BadRequest(f"the run folder {folder} is too long for the path of a socket")
        if not folder.is_absolute() or any(sign in str(folder) for sign in ",?#%"):
            raise BadRequest(f"the run folder {folder} must be absolute and without , ? # or %")

    def open(self, on_change: Callable[[], None]) -> None:
        """Make the run folder and find every daemon that runs."""
        self._on_change = on_change
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o750 if self._group_id is not None else 0o700)
        if self._group_id is not None:
            os.chown(self._folder, -1, self._group_id)
        for folder in self._folder.iterdir():
            if folder.is_dir():
                self._adopt(folder.name)

    def close(self) -> None:
        """Stop watching. The daemons go on."""
        for server in self._servers.values():
            self._forget(server)
        self._servers.clear()

    def address(self, volume_id: str) -> str:
        """The NBD address under which the volume is reachable now; "" when its daemon does not run."""
        if volume_id not in self._servers:
            return ""
        return f"nbd+unix:///{volume_id}?socket={self._folder / volume_id / 'nbd.sock'}"

    def running(self) -> set[str]:
        """The volumes whose daemon runs."""
        return set(self._servers)

    async def start(self, volume_id: str, chain: Sequence[str]) -> None:
        """Serve the volume whose layers are `chain`, head first. Raises ExportFailed."""
        if volume_id in self._servers:
            return
        folder = self._folder / volume_id
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        node = _chain_nodes([(layer, self._path_of(layer)) for layer in chain])
        try:
            await run(
                *(PROGRAM, "--daemonize", "--pidfile", str(folder / "pid")),
                *("--chardev", f"socket,id=orders,path={folder / 'qmp.sock'},server=on,wait=off"),
                *("--monitor", "chardev=orders"),
                *("--blockdev", json.dumps(node)),
                *("--nbd-server", f"addr.type=unix,addr.path={folder / 'nbd.sock'},max-connections=0"),
                *("--export", f"type=nbd,id=out,node-name={chain[0]},name={volume_id},writable=on"),
                timeout_s=30.0,
            )
        except RunError as error:
            raise ExportFailed(f"{volume_id}: {error.stderr.strip()[-500:]}") from error
        if self._group_id is not None:
            for path, mode in ((folder, 0o750), (folder / "nbd.sock", 0o660)):
                os.chown(path, -1, self._group_id)
                path.chmod(mode)
        if not self._adopt(volume_id):
            raise ExportFailed(f"{volume_id}: the storage daemon ended at once")

    async def stop(self, volume_id: str) -> None:
        """End the daemon after it has written everything down. Raises ExportFailed when it does not die."""
        async with self._undisturbed(volume_id):
            await self._end(volume_id)

    async def _end(self, volume_id: str) -> None:
        server = self._servers.get(volume_id)
        if server is not None:
            with contextlib.suppress(ExportFailed):
                async with self._orders(volume_id) as order:
                    await order("quit")
            if not await _ended(server, QUIT_S):
                log.warning("storage daemon killed", extra={"data": {"volume": volume_id, "pid": server.pid}})
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(server.pidfd, signal.SIGKILL)
                if not await _ended(server, QUIT_S):
                    raise ExportFailed(f"{volume_id}: the storage daemon {server.pid} does not end")
            self._drop(volume_id)
        shutil.rmtree(self._folder / volume_id, ignore_errors=True)

    async def put_over(self, volume_id: str, head: str, next_head: str, beneath: str) -> None:
        """Freeze the node `head` (over `beneath`, "" for none) and let the export go on in `next_head`, an empty layer
        over it. In-flight writes are in one or the other, flushed; done before, nothing happens. Raises ExportFailed."""
        async with self._undisturbed(volume_id), self._orders(volume_id) as order:
            exports = await order("query-block-exports")
            if [export["node-name"] for export in exports] != [next_head]:
                nodes = {node["node-name"] for node in await order("query-named-block-nodes", flat=True)}
                if next_head not in nodes:
                    await order("blockdev-add", **_node(next_head, self._path_of(next_head), backing=None))
                await order("blockdev-snapshot", node=head, overlay=next_head)
            frozen = _node(head, self._path_of(head), backing=beneath or None, read_only=True)
            await order("blockdev-reopen", options=[frozen])

    async def merge(self, volume_id: str, surplus: str, keeper: str, beneath: str) -> None:
        """Copy the node `surplus` into the frozen node `keeper` above it, which then stands on `beneath` ("" for nothing).

        Takes as long as the copying, and gives up, keeping what is copied, when a snapshot or the end of the export wants
        the daemon. Raises ExportFailed, also when the daemon dies meanwhile."""
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
            raise ExportFailed(f"{volume_id}: merging {surplus} into {keeper}: {failure}")

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
            except ExportFailed as error:
                log.warning("merge not ended", extra={"data": {"volume": volume_id, "reason": str(error)}})
            finally:
                self._hurried.discard(volume_id)

    async def tidy(self, volume_id: str, chain: Sequence[str]) -> None:
        """Close what an interrupted snapshot or merge left open: for writing, beneath the head, or at all, outside the
        chain. `chain` is the volume's, head first."""
        try:
            async with self._undisturbed(volume_id), self._orders(volume_id) as order:
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
        except ExportFailed as error:
            log.warning("daemon not tidied", extra={"data": {"volume": volume_id, "reason": str(error)}})

    @contextlib.asynccontextmanager
    async def _orders(self, volume_id: str) -> AsyncIterator[Qmp]:
        """A conversation with the volume's daemon, which takes one at a time: short ones only. Raises ExportFailed."""
        try:
            async with Qmp(self._folder / volume_id / "qmp.sock", timeout_s=60.0) as order:
                yield order
        except (QmpError, QmpGone) as error:
            raise ExportFailed(f"{volume_id}: {error}") from error

    async def _merge_ended(self, volume_id: str) -> str:
        """Wait for the merge, cancel it when somebody is in a hurry; returns why it failed, "" when it did not. Raises
        ExportFailed."""
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

    def _adopt(self, volume_id: str) -> bool:
        """Watch the daemon whose pid file lies in the volume's folder, if it is one of ours and alive."""
        pid_file = self._folder / volume_id / "pid"
        try:
            pid = int(pid_file.read_text())
            pidfd = os.pidfd_open(pid)
        except (OSError, ValueError):
            return False
        # The pidfd is held before the command line is read, so the number cannot pass to another process in between.
        if not _is_ours(pid, pid_file):
            os.close(pidfd)
            return False
        server = _Server(pid, pidfd)
        self._servers[volume_id] = server
        asyncio.get_running_loop().add_reader(pidfd, self._noticed_end, volume_id, server)
        return True

    def _noticed_end(self, volume_id: str, server: _Server) -> None:
        server.ended.set()
        asyncio.get_running_loop().remove_reader(server.pidfd)
        if self._servers.get(volume_id) is server:
            self._drop(volume_id)
            self._on_change()

    def _drop(self, volume_id: str) -> None:
        server = self._servers.pop(volume_id, None)
        if server is not None:
            self._forget(server)

    def _forget(self, server: _Server) -> None:
        if server.pidfd >= 0:
            asyncio.get_running_loop().remove_reader(server.pidfd)
            os.close(server.pidfd)
            server.pidfd = -1


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


def _is_ours(pid: int, pid_file: Path) -> bool:
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return Path(arguments[0].decode(errors="replace")).name == PROGRAM and os.fsencode(pid_file) in arguments


async def _ended(server: _Server, limit_s: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await server.ended.wait()
    return server.ended.is_set()
