"""The node controller: the contract's verbs, one loop, and a worker per instance with something to do.

An activation of the loop observes once and gives every instance that needs steps a worker. Workers run side by side, so
that one slow guest never keeps another; a worker that is still busy when the next activation comes goes on, and wakes
the loop when it is done. A step that fails is noted as the item's fault and tried again with growing pauses.
"""

from __future__ import annotations

import asyncio
import base64
import errno
import logging
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from eucapy.box import Box
from eucapy.clock import Clock
from eucapy.diskimage import BadImage
from eucapy.drivers.hypervisor.base import (
    Capabilities,
    DomainNotFound,
    DomainStatus,
    HypervisorDriver,
    HypervisorError,
    HypervisorUnavailable,
    Unsupported,
)
from eucapy.drivers.imaging.base import ImagingDriver, ImagingError, NoSpace
from eucapy.drivers.proxies.base import ProxyDriver, ProxyError
from eucapy.folders import ensure_folder, group_id
from eucapy.nc import disks, observe, planner
from eucapy.nc.captures import Captures
from eucapy.nc.config import Config
from eucapy.nc.executor import Executor, StillFetching
from eucapy.nc.image_cache import ImageCache
from eucapy.nc.records import Records
from eucapy.reconcile.backoff import Backoff
from eucapy.reconcile.loop import Loop
from eucapy.reconcile.traffic import TRAFFIC
from eucapy.wire.agent import SpecKeeper, StatusBoard
from eucapy.wire.contract import Ack, Cursor, Fault
from eucapy.wire.node import (
    Console,
    ImageRoot,
    InstanceSpec,
    InstanceStatus,
    NodeSpec,
    NodeStatus,
    Screenshot,
    Sensors,
)
from eucapy.wire.objects import Changed, ObjectFetcher

log = logging.getLogger(__name__)

WORKERS_PATIENCE_S = 2.0
MOST_WORKERS = 8
MOST_ROUNDS = 8
CONSOLE_KEEP_BYTES = 1 << 20
"""A console log keeps this much at least, and twice as much at most, a few seconds of a guest's writing aside."""
CONSOLES_PERIOD_S = 15.0
PERIOD_S = 10.0
RESUME_PAUSE_S = 5.0
"""Between two attempts to let a guest go on that waits for a disk."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class _Here(NamedTuple):
    """What one look at the host showed."""

    domains: Mapping[str, DomainStatus]
    proxies: observe.Proxies


class NodeController:
    """One host's agent."""

    def __init__(
        self,
        config: Config,
        hypervisor: HypervisorDriver,
        imaging: ImagingDriver,
        fetcher: ObjectFetcher,
        clock: Clock,
        proxies: ProxyDriver,
    ) -> None:
        data = Path(config.data)
        through = group_id(config.qemu_group)
        ensure_folder(data, through)
        self._config = config
        self._hypervisor = hypervisor
        self._clock = clock
        # An activation mostly waits for the hypervisor; the next guest should not wait as long again.
        self.loop = Loop("node", self._activate, period_s=PERIOD_S, longest_rest_s=0.1)
        self.consoles = Loop("console logs", self._trim_consoles, period_s=CONSOLES_PERIOD_S)
        self._keeper = SpecKeeper(data / "spec.json", NodeSpec, self.loop.wake)
        self._board = StatusBoard(NodeStatus(boot="", revision=0, generation=0, node=config.node))
        self._records = Records(data / "instances", through)
        self.box = Box.ensure(data / "sealing.key")
        """What secrets for this node are sealed for."""
        self._cache = ImageCache(data / "images", fetcher, config.image_cache_gib, self.loop.wake, through)
        self._proxies = proxies
        self._proxies.open(self.loop.wake)
        self._executor = Executor(hypervisor, imaging, self._cache, self._records, clock, config.mtu, proxies)
        self._backoff = Backoff(clock)
        self._faults: dict[str, Fault] = {}
        self._phases: dict[str, str] = {}
        self._workers: dict[str, asyncio.Task[bool]] = {}
        self._slots = asyncio.Semaphore(MOST_WORKERS)
        self._captures = Captures(self._make_capture, clock, self.loop.wake)
        self._resumed: dict[str, float] = {}
        """When each guest that waited for a disk was last let go on, by the monotonic clock."""
        self._capabilities: Capabilities | None = None
        self._events: asyncio.Task[None] | None = None
        self._graces = planner.Graces(config.stop_grace_s, config.terminate_grace_s)
        self.on_spec: Callable[[NodeSpec], Awaitable[None]] | None = None
        """Told of the spec at each activation: the metadata service follows it."""

    @property
    def spec(self) -> NodeSpec | None:
        return self._keeper.spec

    async def put_spec(self, spec: NodeSpec) -> Ack:
        return self._keeper.accept(spec)

    async def get_status(self, since: Cursor, wait_s: float) -> NodeStatus:
        return await self._board.wait(since, wait_s)

    async def console(self, instance_id: str, max_bytes: int) -> Console:
        if instance_id not in self._records.known():
            raise LookupError(f"{instance_id} is not on this node")
        try:
            content = await self._hypervisor.console_output(instance_id, max_bytes)
        except DomainNotFound:
            content = b""
        return Console(content=base64.b64encode(content).decode(), read_at=self._clock.time())

    async def screenshot(self, instance_id: str) -> Screenshot:
        try:
            picture = await self._hypervisor.screenshot(instance_id)
        except (DomainNotFound, Unsupported) as error:
            raise LookupError(str(error)) from error
        return Screenshot(content=base64.b64encode(picture.content).decode(), media_type=picture.media_type)

    def capture(self, instance_id: str, snapshot_id: str) -> Path:
        """The file of a capture. Raises LookupError."""
        if instance_id not in self._records.known():
            raise LookupError(f"{instance_id} is not on this node")
        folder = self._records.folder(instance_id)
        if snapshot_id not in observe.captures(folder):
            raise LookupError(f"there is no capture {snapshot_id} of {instance_id}")
        return disks.capture_path(folder, snapshot_id)

    async def sensors(self, instance_id: str) -> Sensors:
        try:
            return Sensors(values=await self._hypervisor.sensors(instance_id))
        except DomainNotFound as error:
            raise LookupError(str(error)) from error

    def start(self) -> None:
        """Run in the background of the current event loop."""
        self.loop.start()
        self.consoles.start()
        self._events = asyncio.create_task(self._listen(), name="hypervisor events")

    async def stop(self) -> None:
        """End the workers as a crash would; guests run on."""
        await self.loop.stop()
        await self.consoles.stop()
        tasks = [*self._workers.values(), *([self._events] if self._events else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._captures.stop()
        await self._cache.stop()
        self._proxies.close()
        await self._hypervisor.close()

    async def _listen(self) -> None:
        """Domain events are hints: each wakes the loop."""
        while True:
            try:
                async for _event in self._hypervisor.events():
                    self.loop.wake()
            except HypervisorError as error:
                log.warning("no events from the hypervisor", extra={"data": {"error": str(error)}})
            await asyncio.sleep(1.0)

    async def _activate(self) -> bool:
        spec = self._keeper.spec
        try:
            if self._capabilities is None:
                self._capabilities = await self._hypervisor.capabilities()
            here = await self._look()
        except HypervisorUnavailable as error:
            self._publish_fault(Fault(code="HypervisorUnavailable", message=str(error)))
            raise
        if spec is not None and self.on_spec is not None:
            await self.on_spec(spec)
        worked = False
        if spec is not None:
            worked = await self._work(spec, here)
            if worked:
                here = await self._look()
        self._evict(spec)
        self.loop.again_in(self._backoff.next_wait_s())
        self.loop.again_in(self._captures.next_wait_s())
        return self._publish(spec, here) or worked

    async def _look(self) -> _Here:
        domains = {domain.instance_id: domain for domain in await self._hypervisor.observe()}
        return _Here(domains, observe.proxies_by_instance(self._proxies.observe()))

    async def _look_again(self, instance: InstanceSpec, here: _Here) -> _Here:
        """What became of one instance since `here`."""
        name = instance.instance_id
        domain = await self._hypervisor.observe_one(name)
        attachments = {
            *here.proxies.get(name, ()),
            *(disk.attachment_id for disk in planner.volumes(instance).values()),
        }
        proxies = observe.proxies_by_instance(self._proxies.observe(attachments))
        return _Here({name: domain} if domain is not None else {}, proxies)

    async def _work(self, spec: NodeSpec, here: _Here) -> bool:
        for name in self._faults.keys() - spec.instances.keys() - self._workers.keys():
            self._rests(name)
        self._captures.keep({name: instance.captures for name, instance in spec.instances.items()})
        self._captures.end(spec.instances)
        for name in self._resumed.keys() - spec.instances.keys():
            del self._resumed[name]
        for instance in spec.instances.values():
            name = instance.instance_id
            if name in self._workers:
                continue
            steps = self._steps(instance, here)
            if not self._captures.follow(instance, [step for step in steps if isinstance(step, planner.Capture)]):
                continue
            if not _but_captures(steps):
                self._rests(name)
            elif self._backoff.ready(name):
                worker = asyncio.create_task(self._one(instance, here), name=f"instance {name}")
                self._workers[name] = worker
                worker.add_done_callback(lambda task, name=name: self._done(name, task))  # type: ignore[misc]
        begun = [*self._workers.values(), *self._captures.tasks()]
        if not begun:
            return False
        done, _busy = await asyncio.wait(begun, timeout=WORKERS_PATIENCE_S)
        return any(task.result() for task in done if not task.cancelled() and task.exception() is None)

    def _done(self, name: str, task: asyncio.Task[bool]) -> None:
        self._workers.pop(name, None)
        if not task.cancelled() and task.exception() is not None:
            log.error("worker failed", exc_info=task.exception(), extra={"data": {"instance": name}})
        self.loop.wake()

    def _seen(self, instance: InstanceSpec, here: _Here) -> planner.Seen:
        lost = self._captures.lost(instance.instance_id)
        asked = self._executor.asked(instance.instance_id)
        return observe.seen(
            instance, self._clock.time(), self._records, here.domains, self._cache, here.proxies, lost, asked
        )

    def _steps(self, instance: InstanceSpec, here: _Here) -> list[planner.Step]:
        view = self._seen(instance, here)
        steps = [self._paced(instance.instance_id, step) for step in planner.plan(instance, view, self._graces)]
        if not steps:
            self._phases.pop(instance.instance_id, None)
        for step in steps:
            if isinstance(step, planner.Wait):
                self._phases[instance.instance_id] = step.why
                self.loop.again_in(step.seconds)
        return [step for step in steps if not isinstance(step, planner.Wait)]

    def _paced(self, name: str, step: planner.Step) -> planner.Step:
        """A guest whose disk stays away (or full) stops again as soon as it goes on, and says so: not without end."""
        wait_s = self._resumed.get(name, float("-inf")) + RESUME_PAUSE_S - self._clock.monotonic()
        if isinstance(step, planner.Resume) and wait_s > 0:
            return planner.Wait(wait_s, "the guest waits for its disk")
        return step

    async def _one(self, instance: InstanceSpec, here: _Here) -> bool:
        """Steps of one instance until none is left; true when something was done. `here` is how it was just now."""
        name = instance.instance_id
        worked = False
        async with self._slots:
            for _round in range(MOST_ROUNDS):
                spec = self._keeper.spec
                instance = spec.instances.get(name, instance) if spec is not None else instance
                try:
                    here = await self._look_again(instance, here) if worked else here
                    steps = _but_captures(self._steps(instance, here))
                except HypervisorError as error:
                    self._failed(name, error)
                    return worked
                if not steps:
                    break
                for step in steps:
                    await TRAFFIC.give_way()
                    try:
                        await self._executor.apply(instance, step)
                    except StillFetching:
                        self._phases[name] = "fetching the image"
                        return worked
                    except (
                        HypervisorError,
                        ImagingError,
                        ProxyError,
                        Changed,
                        BadImage,
                        OSError,
                        ValueError,
                        RuntimeError,
                    ) as error:
                        self._failed(name, error)
                        return worked
                    except Exception as error:
                        log.exception("step failed", extra={"data": {"instance": name}})
                        self._failed(name, error)
                        return worked
                    if isinstance(step, planner.Resume):
                        self._resumed[name] = self._clock.monotonic()
                    worked = True
                if any(isinstance(step, planner.Detach | planner.UnplugNic | planner.Resume) for step in steps):
                    break  # the guest or its disk decides; events and the timer bring us back
        self._phases.pop(name, None)
        self._rests(name)
        return worked

    def _rests(self, name: str) -> None:
        """Nothing is left to do, whether a step of ours did it or not: what failed on the way is past."""
        self._faults.pop(name, None)
        self._backoff.succeeded(name)

    def _failed(self, name: str, error: Exception) -> None:
        wait_s = self._backoff.failed(name)
        fault = self._faults[name] = _fault(error)
        log.warning(
            "instance not as desired",
            extra={"data": {"instance": name, "code": fault.code, "error": str(error), "again_in_s": round(wait_s, 1)}},
        )

    async def _make_capture(self, instance: InstanceSpec, step: planner.Capture) -> Fault | None:
        try:
            await self._executor.apply(instance, step)
        except Exception as error:  # the boundary of a copy: whatever it is, it is tried again and then given up
            if not isinstance(error, HypervisorError | ImagingError | OSError):
                log.exception("copying failed", extra={"data": {"instance": instance.instance_id}})
            return _fault(error)
        return None

    async def _trim_consoles(self) -> bool:
        """A guest writes to its console without end; the disk must not fill with it."""
        trimmed = False
        for instance_id in self._records.known():
            console_log = disks.console_path(self._records.folder(instance_id))
            if disks.occupied_bytes(console_log) <= 2 * CONSOLE_KEEP_BYTES:
                continue
            try:
                await self._hypervisor.trim_console(instance_id, CONSOLE_KEEP_BYTES)
            except HypervisorError as error:
                log.warning("console not trimmed", extra={"data": {"instance": instance_id, "error": str(error)}})
            else:
                trimmed = True
        return trimmed

    def _evict(self, spec: NodeSpec | None) -> None:
        bases = {record.base for record in self._records.known().values()}
        removed = self._cache.evict(bases)
        if removed:
            log.info("images evicted", extra={"data": {"images": removed}})

    def _publish(self, spec: NodeSpec | None, here: _Here) -> bool:
        assert self._capabilities is not None
        instances = {}
        named = spec.instances if spec is not None else {}
        for name, instance in named.items():
            instances[name] = self._status(instance, here)
        strangers = (set(here.domains) | set(self._records.known())) - set(named)
        return self._board.publish(
            NodeStatus(
                boot="",
                revision=0,
                generation=self._keeper.generation,
                node=self._config.node,
                host=observe.host_facts(self._capabilities, self._config, self.box.public),
                instances=instances,
                strangers=tuple(sorted(strangers)),
                cached_images=tuple(self._cache.names()),
            )
        )

    def _status(self, instance: InstanceSpec, here: _Here) -> InstanceStatus:
        name = instance.instance_id
        view = self._seen(instance, here)
        phase = self._phases.get(name, "")
        if isinstance(instance.root, ImageRoot):
            percent = self._cache.percent(instance.root.source)
            phase = phase if percent is None else f"fetching the image, {percent // 10 * 10}%"
        return observe.instance_status(instance, view, self._faults.get(name), phase)

    def _publish_fault(self, fault: Fault) -> None:
        held = self._board.status
        self._board.publish(
            NodeStatus(
                boot="",
                revision=0,
                generation=self._keeper.generation,
                node=self._config.node,
                host=held.host,
                instances=held.instances,
                strangers=held.strangers,
                cached_images=held.cached_images,
                fault=fault,
            )
        )


def _but_captures(steps: list[planner.Step]) -> list[planner.Step]:
    return [step for step in steps if not isinstance(step, planner.Capture)]


def _fault(error: Exception) -> Fault:
    full = isinstance(error, NoSpace) or (isinstance(error, OSError) and error.errno in DISK_FULL)
    return Fault(
        code="NoSpace" if full else type(error).__name__,
        message=str(error),
        final=isinstance(error, Changed | BadImage),
    )
