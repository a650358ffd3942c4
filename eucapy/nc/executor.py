"""One step at a time, without choices: what each step of the planner does on the host."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import singledispatchmethod

import msgspec

from eucapy import ledger
from eucapy.clock import Clock
from eucapy.drivers.hypervisor.base import HypervisorDriver, disk_serial
from eucapy.drivers.imaging.base import ImagingDriver
from eucapy.drivers.proxies.base import ProxyDriver, is_elsewhere
from eucapy.nc import disks, planner
from eucapy.nc.image_cache import ImageCache
from eucapy.nc.records import Records
from eucapy.wire.node import DiskSpec, InstanceSpec

log = logging.getLogger(__name__)

FETCH_PATIENCE_S = 1.0


class StillFetching(Exception):
    """The image is on its way; the instance's other steps come when it is there."""


class Executor:
    """Applies steps to one instance; raises what the drivers raise."""

    def __init__(
        self,
        hypervisor: HypervisorDriver,
        imaging: ImagingDriver,
        cache: ImageCache,
        records: Records,
        clock: Clock,
        mtu: int,
        proxies: ProxyDriver,
    ) -> None:
        self._hypervisor = hypervisor
        self._imaging = imaging
        self._cache = cache
        self._records = records
        self._clock = clock
        self._proxies = proxies
        self._mtu = mtu or None
        self._asked: dict[str, dict[str, float]] = {}

    def asked(self, instance_id: str) -> Mapping[str, float]:
        """When the guest was last asked to let go of a device: as far as this process knows, for asking twice is no harm."""
        return self._asked.get(instance_id, {})

    async def apply(self, spec: InstanceSpec, step: planner.Step) -> None:
        """Do the step."""
        log.info("step", extra={"data": {"instance": spec.instance_id, "step": type(step).__name__}})
        await self._apply(step, spec)

    @singledispatchmethod
    async def _apply(self, step: planner.Step, spec: InstanceSpec) -> None:
        raise TypeError(f"no such step: {step!r}")

    @_apply.register
    async def _(self, step: planner.FetchImage, spec: InstanceSpec) -> None:
        if self._cache.find(step.source) is not None:
            return  # another instance's worker fetched it since this was planned
        self._cache.fetch(step.source)
        await self._cache.settle(step.source, FETCH_PATIENCE_S)
        if self._cache.find(step.source) is None:
            raise self._cache.failure(step.source) or StillFetching

    @_apply.register
    async def _(self, step: planner.MakeRoot, spec: InstanceSpec) -> None:
        cached = self._cache.find(step.root.source)
        if cached is None:
            raise StillFetching
        self._cache.touch(step.root.source)
        self._note(spec, base=cached.path.name)
        size = max(step.root.size_gib << 30, cached.facts.virtual_bytes)
        path = disks.root_path(self._records.folder(spec.instance_id))
        await self._imaging.overlay(cached.path, cached.facts.format, path, size)

    @_apply.register
    async def _(self, step: planner.MakeEphemeral, spec: InstanceSpec) -> None:
        self._note(spec)
        folder = self._records.folder(spec.instance_id)
        await self._imaging.empty(disks.ephemeral_path(folder, step.name), step.size_gib << 30)

    @_apply.register
    async def _(self, step: planner.Start, spec: InstanceSpec) -> None:
        self._asked.pop(spec.instance_id, None)
        record = self._records.get(spec.instance_id)
        fresh = record.starts < spec.starts
        self._note(
            spec,
            starts=spec.starts,
            starting=True,
            # A power-on is a reboot too: what was asked for before it is done with it.
            reboots=spec.reboots,
            asked_at=0.0,
            ended="",
            disk_gib={disk.attachment_id: disk.size_gib for disk in spec.disks},
            attachments={serial: disk.attachment_id for serial, disk in planner.volumes(spec).items()},
            started_at=self._clock.time() if fresh or not record.started_at else record.started_at,
        )
        base = self._cache.path(record.base) if record.base else None
        folder = self._records.folder(spec.instance_id)
        await self._hypervisor.ensure_defined(disks.domain(spec, folder, base, self._proxies.socket, self._mtu))
        await self._hypervisor.start(spec.instance_id)
        self._note(spec, starting=False)

    @_apply.register
    async def _(self, step: planner.NoteStarted, spec: InstanceSpec) -> None:
        self._note(spec, starting=False)

    @_apply.register
    async def _(self, step: planner.Ask, spec: InstanceSpec) -> None:
        await self._hypervisor.shutdown(spec.instance_id)
        self._note(spec, asked_at=self._clock.time())

    @_apply.register
    async def _(self, step: planner.Cut, spec: InstanceSpec) -> None:
        await self._hypervisor.destroy(spec.instance_id)

    @_apply.register
    async def _(self, step: planner.NoteEnd, spec: InstanceSpec) -> None:
        self._note(spec, ended="guest")

    @_apply.register
    async def _(self, step: planner.NoteStopped, spec: InstanceSpec) -> None:
        self._note(spec, asked_at=0.0)

    @_apply.register
    async def _(self, step: planner.Reboot, spec: InstanceSpec) -> None:
        await self._hypervisor.reboot(spec.instance_id)
        self._note(spec, reboots=step.reboots)

    @_apply.register
    async def _(self, step: planner.Resume, spec: InstanceSpec) -> None:
        await self._hypervisor.resume(spec.instance_id)

    @_apply.register
    async def _(self, step: planner.Attach, spec: InstanceSpec) -> None:
        serial = disk_serial(step.disk.volume_id)
        self._asked.get(spec.instance_id, {}).pop(serial, None)
        known = self._records.get(spec.instance_id).attachments
        self._note(spec, attachments={**known, serial: step.disk.attachment_id})
        await self._hypervisor.attach_disk(spec.instance_id, disks.volume_disk(step.disk, self._proxies.socket))
        self._note_size(spec, step.disk)

    @_apply.register
    async def _(self, step: planner.Resize, spec: InstanceSpec) -> None:
        if is_elsewhere(step.disk.export):
            await self._proxies.refresh(step.disk.attachment_id)
        serial = disk_serial(step.disk.volume_id)
        await self._hypervisor.resize_disk(spec.instance_id, serial, step.disk.size_gib)
        self._note_size(spec, step.disk)

    @_apply.register
    async def _(self, step: planner.OpenProxy, spec: InstanceSpec) -> None:
        await self._proxies.ensure(step.disk.attachment_id, spec.instance_id, step.disk.export)

    @_apply.register
    async def _(self, step: planner.CloseProxy, spec: InstanceSpec) -> None:
        await self._proxies.remove(step.attachment_id)

    @_apply.register
    async def _(self, step: planner.Detach, spec: InstanceSpec) -> None:
        await self._hypervisor.detach_disk(spec.instance_id, step.serial)
        self._asked.setdefault(spec.instance_id, {})[step.serial] = self._clock.time()

    @_apply.register
    async def _(self, step: planner.PlugNic, spec: InstanceSpec) -> None:
        self._asked.get(spec.instance_id, {}).pop(step.nic.tap, None)
        await self._hypervisor.attach_nic(spec.instance_id, disks.network_card(step.nic, self._mtu))

    @_apply.register
    async def _(self, step: planner.UnplugNic, spec: InstanceSpec) -> None:
        await self._hypervisor.detach_nic(spec.instance_id, step.tap)
        self._asked.setdefault(spec.instance_id, {})[step.tap] = self._clock.time()

    @_apply.register
    async def _(self, step: planner.NoteResting, spec: InstanceSpec) -> None:
        self._note(spec, asked_at=self._clock.time())

    @_apply.register
    async def _(self, step: planner.Capture, spec: InstanceSpec) -> None:
        folder = self._records.folder(spec.instance_id)
        path = disks.capture_path(folder, step.snapshot_id)
        self._note(spec, captured=True)
        if step.live:
            beside = path.with_name(f".{path.name}.new")
            try:
                await self._hypervisor.copy_disk(spec.instance_id, planner.ROOT_SERIAL, str(beside))
                ledger.sync_file(beside)
            except BaseException:
                # A disk that is full stays so for the guests on it, too, as long as half a copy lies there.
                beside.unlink(missing_ok=True)
                raise
            beside.rename(path)
            ledger.sync_folder(folder)
        else:
            name = self._records.get(spec.instance_id).base
            base = self._cache.path(name) if name else None
            await self._imaging.flatten(disks.root_path(folder), base, base.suffix[1:] if base else "", path)

    @_apply.register
    async def _(self, step: planner.DropCapture, spec: InstanceSpec) -> None:
        disks.capture_path(self._records.folder(spec.instance_id), step.snapshot_id).unlink(missing_ok=True)

    @_apply.register
    async def _(self, step: planner.EndCaptures, spec: InstanceSpec) -> None:
        for leftover in self._records.folder(spec.instance_id).glob(".*.capture.new"):
            leftover.unlink()
        self._note(spec, captured=False)

    @_apply.register
    async def _(self, step: planner.Undefine, spec: InstanceSpec) -> None:
        await self._hypervisor.undefine(spec.instance_id)

    @_apply.register
    async def _(self, step: planner.RemoveFiles, spec: InstanceSpec) -> None:
        self._asked.pop(spec.instance_id, None)
        self._records.remove(spec.instance_id)

    def _note_size(self, spec: InstanceSpec, disk: DiskSpec) -> None:
        known = self._records.get(spec.instance_id).disk_gib
        self._note(spec, disk_gib={**known, disk.attachment_id: disk.size_gib})

    def _note(self, spec: InstanceSpec, **changes: object) -> None:
        record = self._records.get(spec.instance_id)
        self._records.put(msgspec.structs.replace(record, **changes))
