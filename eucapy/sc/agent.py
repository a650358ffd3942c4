"""The storage controller as an agent: takes the zone's storage spec, makes it true item by item, tells what is.

    put_spec ─► keeper (ledger) ─► loop: observe ─► plan ─► one task an item ─► observe ─► board ─► get_status

Promises beyond those of every agent (`eucapy/wire/contract.py`):

* An item that takes long, or fails, keeps nobody else: each item's steps run in a task of their own, a failing item waits
  longer each time, and one whose fault is final is not tried again until what is wanted of it changes.
* Nothing is done in a pool other than the one this agent worked in before. A file system that is not mounted would look
  like an empty pool, and its volumes would be made again, empty; instead the status carries a fault.
* Killed at any moment, the next life goes on from the spec in the ledger; the driver's verbs are idempotent.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from eucapy.clock import Clock
from eucapy.drivers.block.base import BlockDriver, BlockError, NoSpace, NoSuchSnapshot, PoolSeen
from eucapy.ledger import Ledger
from eucapy.reconcile.backoff import Backoff
from eucapy.reconcile.loop import Loop
from eucapy.reconcile.traffic import TRAFFIC
from eucapy.run import RunError
from eucapy.sc import observe
from eucapy.sc.executor import Executor, Told
from eucapy.sc.planner import (
    CopySnapshot,
    CreateVolume,
    ImportSnapshot,
    KeepSnapshot,
    Plan,
    RestoreSnapshot,
    SealSnapshot,
    Step,
    TakeSnapshot,
    Upload,
    archive_item,
    plan,
)
from eucapy.sc.transfer import TransferError
from eucapy.wire.agent import SpecKeeper, StatusBoard
from eucapy.wire.blocks import BlockList, Denied
from eucapy.wire.contract import Ack, Cursor, Fault, Unreachable
from eucapy.wire.storage import StorageSpec, StorageStatus

log = logging.getLogger(__name__)

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
MOST_TRIES_WITHOUT_ROOM = 10
"""With the pauses between them about three minutes; then what shall be made is given up, with the reason."""
PATIENCE_S = 0.25
"""An activation waits this long for the steps it began; what takes longer wakes the loop when it is done."""


class Home(msgspec.Struct, frozen=True):
    """The pool that this agent works in."""

    pool_id: str


@dataclass(frozen=True)
class _Failure:
    steps: tuple[Step, ...]
    fault: Fault
    tries: int
    """How often in a row there was no room for it."""


class StorageController:
    """`StorageAgent` over a block driver."""

    def __init__(
        self,
        zone: str,
        state: Path,
        driver: BlockDriver,
        executor: Executor,
        clock: Clock,
        resync_s: float = 30.0,
        is_here: Callable[[str], bool] = lambda address: True,
    ) -> None:
        """`is_here` tells whether a node's address is this host's own (`hosts.py`)."""
        self._zone = zone
        self._is_here = is_here
        self._driver = driver
        self._executor = executor
        self._home: Ledger[Home] = Ledger(state / "pool.json", Home)
        self._backoff = Backoff(clock)
        self._failures: dict[str, _Failure] = {}
        self._progress: dict[str, tuple[int, str]] = {}
        """How far items are that take long: percents and stage."""
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._importing: set[str] = set()
        """Those of the tasks that may be called off."""
        self.loop = Loop("storage", self._activate, period_s=resync_s)
        self._keeper = SpecKeeper(state / "spec.json", StorageSpec, self.loop.wake)
        self._board = StatusBoard(StorageStatus(boot="", revision=0, generation=self._keeper.generation, zone=zone))

    async def open(self) -> None:
        """Take the pool over. Call before the loop starts. Raises PoolLost."""
        self._executor.open()
        await self._driver.open(self.loop.wake)

    async def close(self) -> None:
        """End; steps under way are cancelled, which they survive like a crash. Exports go on."""
        await self.loop.stop()
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._driver.close()

    async def put_spec(self, spec: StorageSpec) -> Ack:
        return self._keeper.accept(spec)

    async def get_status(self, since: Cursor, wait_s: float) -> StorageStatus:
        return await self._board.wait(since, wait_s)

    async def list_blocks(self, snapshot_id: str, first: int, most: int, than: str = "") -> BlockList:
        with _told():
            found = await self._driver.held_blocks(snapshot_id, first, most, than)
        return BlockList(indexes=found.indexes, before=tuple(sorted(found.before)), next=found.next)

    async def read_block(self, snapshot_id: str, index: int) -> bytes:
        with _told():
            return await self._driver.read_block(snapshot_id, index)

    async def put_block(self, snapshot_id: str, index: int, content: bytes) -> None:
        """Kept in a draft, whether or not a spec names the snapshot yet."""
        fault, spec = self._board.status.fault, self._keeper.spec
        if fault is not None:
            raise Unreachable(fault.message)
        item = spec.snapshots.get(snapshot_id) if spec is not None else None
        if item is not None and (item.gone or item.written is None or item.written.abandoned):
            raise Denied("SnapshotNotFound", f"{snapshot_id} is not being written")
        with _told():
            await self._driver.put_block(snapshot_id, index, content)

    async def _activate(self) -> bool:
        spec = self._keeper.spec
        seen = await self._driver.observe()
        fault = self._foreign_pool(spec, seen)
        if fault is not None:
            self._board.publish(msgspec.structs.replace(self._board.status, fault=fault))
            return False
        elsewhere = self._elsewhere(spec)
        await self._call_off(spec)
        uploaded, archives = self._executor.uploads.done, self._executor.archives
        todo = Plan()
        if spec is not None:
            capabilities, kept = self._driver.capabilities, archives.seen if archives is not None else None
            given_up = {item: failure.fault for item, failure in self._failures.items() if failure.fault.final}
            todo = plan(spec, seen, capabilities, elsewhere, uploaded.keys(), kept, archives is not None, given_up)
        self._forget_past(todo)
        begun = [self._begin(item, steps) for item, steps in todo.steps.items() if self._may_begin(item, steps)]
        if begun:
            await asyncio.wait(begun, timeout=PATIENCE_S)
            seen = await self._driver.observe()
        faults = {**todo.faults, **{item: failure.fault for item, failure in self._failures.items()}}
        self._board.publish(
            observe.status(
                self._zone,
                spec,
                seen,
                faults,
                self._progress,
                elsewhere,
                self._tasks,
                uploaded,
                archives.seen if archives is not None else None,
                archives is not None,
            )
        )
        self._plan_retries()
        return bool(begun)

    async def _call_off(self, spec: StorageSpec | None) -> None:
        """End the imports and uploads of snapshots that are no longer wanted; what they had made is found by the next look."""
        tombs = [name for name, item in spec.snapshots.items() if item.gone] if spec is not None else []
        tombs += [archive_item(name) for name in tombs]
        tombs += [name for name, item in spec.uploads.items() if item.gone] if spec is not None else []
        ended = [self._tasks[name] for name in tombs if name in self._tasks and name in self._importing]
        for task in ended:
            task.cancel()
        if ended:
            await asyncio.wait(ended)

    def _elsewhere(self, spec: StorageSpec | None) -> frozenset[str]:
        """The nodes of the spec's exports that are on other hosts."""
        exports = [export for item in spec.volumes.values() for export in item.exports] if spec is not None else []
        addresses = {export.node: export.node_address for export in exports}
        return frozenset(node for node, address in addresses.items() if not self._is_here(address))

    def _foreign_pool(self, spec: StorageSpec | None, seen: PoolSeen) -> Fault | None:
        """Why nothing may be done in this pool; None when it is ours, or becomes ours now."""
        home = self._home.read()
        if home is None:
            if spec is not None:
                self._home.write(Home(seen.pool_id))
            return None
        if home.pool_id == seen.pool_id:
            return None
        log.error("another pool", extra={"data": {"expected": home.pool_id, "found": seen.pool_id}})
        return Fault(code="PoolLost", message="the pool is not the one that was used before; is it mounted?")

    def _may_begin(self, item: str, steps: tuple[Step, ...]) -> bool:
        if item in self._tasks:
            return False
        failure = self._failures.get(item)
        if failure is None or failure.steps != steps:
            return True
        return not failure.fault.final and self._backoff.ready(item)

    def _begin(self, item: str, steps: tuple[Step, ...]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._work(item, steps), name=f"storage {item}")
        self._tasks[item] = task
        if any(isinstance(step, ImportSnapshot | Upload | KeepSnapshot | RestoreSnapshot) for step in steps):
            self._importing.add(item)
        task.add_done_callback(lambda _: self._ended(item))
        return task

    def _ended(self, item: str) -> None:
        self._tasks.pop(item, None)
        self._importing.discard(item)
        self._progress.pop(item, None)
        self.loop.wake()

    async def _work(self, item: str, steps: tuple[Step, ...]) -> None:
        """An item's steps in order; a failure ends them and is kept until they succeed or are no longer wanted."""
        step = steps[0]
        try:
            for step in steps:
                await TRAFFIC.give_way()
                log.info("step", extra={"data": {"item": item, "step": str(step)}})
                await self._executor.apply(step, self._told_progress(item))
        except NoSpace as error:
            self._found_no_room(item, steps, step, str(error))
        except (BlockError, TransferError) as error:
            self._failed(item, steps, Fault(code=error.code, message=str(error), final=error.final))
        except (RunError, OSError) as error:
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                self._found_no_room(item, steps, step, str(error))
            else:
                self._failed(item, steps, Fault(code="StorageFailure", message=str(error)))
        except Exception as error:  # the boundary of an item's work: a defect in it must not end the others
            log.exception("step failed unexpectedly", extra={"data": {"item": item}})
            self._failed(item, steps, Fault(code="InternalError", message=type(error).__name__))
        else:
            self._failures.pop(item, None)
            self._backoff.succeeded(item)

    def _found_no_room(self, item: str, steps: tuple[Step, ...], step: Step, reason: str) -> None:
        """What is there already waits for room as long as it takes; nobody waits for ever for what shall be made."""
        held = self._failures.get(item)
        tries = held.tries + 1 if held is not None and held.steps == steps else 1
        makes = isinstance(step, CreateVolume | TakeSnapshot | CopySnapshot | ImportSnapshot | SealSnapshot | Upload)
        makes = makes or (isinstance(step, RestoreSnapshot) and bool(step.zone))  # for a volume here of another zone's
        final = makes and tries >= MOST_TRIES_WITHOUT_ROOM
        self._failed(item, steps, Fault(code=NoSpace.code, message=reason, final=final), tries)

    def _failed(self, item: str, steps: tuple[Step, ...], fault: Fault, tries: int = 0) -> None:
        wait_s = self._backoff.failed(item)
        self._failures[item] = _Failure(steps, fault, tries)
        log.warning(
            "step failed",
            extra={"data": {"item": item, "code": fault.code, "reason": fault.message, "again_in_s": round(wait_s, 1)}},
        )

    def _told_progress(self, item: str) -> Told:
        def told(percent: int, stage: str = "") -> None:
            before, at_stage = self._progress.get(item, (0, ""))
            if percent // 5 > before // 5 or stage != at_stage:
                self.loop.wake()
            self._progress[item] = (percent, stage)

        return told

    def _forget_past(self, todo: Plan) -> None:
        """Failures of items for which nothing is to be done any more."""
        for item in set(self._failures) - set(todo.steps) - set(self._tasks):
            del self._failures[item]
            self._backoff.succeeded(item)

    def _plan_retries(self) -> None:
        """Come back when the first failed item may be tried again."""
        if any(not failure.fault.final and item not in self._tasks for item, failure in self._failures.items()):
            wait_s = self._backoff.next_wait_s()
            self.loop.again_in(max(0.1, wait_s) if wait_s is not None else None)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What goes wrong with a block, in the words of the wire."""
    try:
        yield
    except NoSuchSnapshot as error:
        raise LookupError(str(error)) from error
    except BlockError as error:
        if error.final:
            raise Denied(error.code, str(error)) from error
        raise Unreachable(str(error)) from error
    except OSError as error:
        log.warning("block", extra={"data": {"reason": str(error)}})
        raise Unreachable(f"{type(error).__name__}: {error}") from error
