"""The fake hypervisor: domains kept in a folder, with the semantics of the real one and guests that behave or don't.

The domains are in a journal before a verb returns, so that a new `FakeHypervisor` over the same folder finds every machine
as it was: it stands for the host, not for the process. One process at a time uses a folder.

The guests: a machine that starts runs at once and writes `READY` to its console; it obeys the power button, a reboot
and the removal of a device at once, unless it was made `deaf`. What real guests and hosts do of themselves is done by
`guest_powers_off`, `guest_crashes`, `guest_writes`, `disk_fails`, `lets_go` and `host_restarts`; none of them is part
of the driver's interface.

Failures: `fail_at(n)` makes the n-th next verb fail (1 is the next one), before it did anything or, with `after=True`,
after it did everything and only the answer was lost: a driver's user must converge from both. `hang(True)` is a
hypervisor that is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from eucapy import diskimage
from eucapy.drivers.hypervisor import console_log
from eucapy.drivers.hypervisor.base import (
    Capabilities,
    Disk,
    DiskConflict,
    DomainNotFound,
    DomainSpec,
    DomainStatus,
    Event,
    EventKind,
    FileSource,
    HypervisorDriver,
    HypervisorError,
    HypervisorUnavailable,
    Nic,
    Picture,
    Power,
    Reason,
)
from eucapy.drivers.hypervisor.picture import png
from eucapy.drivers.journal import Journal

_HOT_DISKS = 20
_END = object()


class FakeDomain(msgspec.Struct, kw_only=True):
    """What the folder keeps of a domain. `now` is what runs; `later`, what the next start will be."""

    later: DomainSpec | None
    now: DomainSpec | None = None
    power: Power = Power.OFF
    reason: Reason = Reason.UNKNOWN
    deaf: bool = False
    starts: int = 0
    resets: int = 0
    grown: dict[str, int] = {}
    """Sizes that the running guest was told of, GiB, by serial number."""

    @property
    def spec(self) -> DomainSpec:
        """What runs, or what would."""
        spec = self.now or self.later
        assert spec is not None, "a domain without definition is gone once it is off"
        return spec


class FakeHypervisor(HypervisorDriver):
    """The host whose disk is `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        cpus: int = 64,
        memory_mib: int = 262144,
        check_files: bool = False,
        boot: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`boot` is awaited by every start, before anything is done: how long a machine takes."""
        self._cpus = cpus
        self._memory_mib = memory_mib
        self._check_files = check_files
        self._boot = boot
        self._queues: list[asyncio.Queue[object]] = []
        self._away = False
        self._fail_in: int | None = None
        self._fail_after = False
        self.calls: list[tuple[str, str]] = []
        """(verb, instance id) of every verb that changes something, in the order of the calls."""
        folder.mkdir(parents=True, exist_ok=True)
        self._domains = Journal(folder / "domains.jsonl", FakeDomain)
        self._domains.load()

    # The verbs.

    async def capabilities(self) -> Capabilities:
        with self._verb("capabilities"):
            return Capabilities(
                driver="fake",
                version="1",
                accelerated=False,
                acceleration_reason="nothing runs here",
                architectures=("x86_64",),
                cpus=self._cpus,
                memory_mib=self._memory_mib,
                cpu_model="fake",
                hot_disks=_HOT_DISKS,
                screenshots=True,
            )

    async def observe(self) -> list[DomainStatus]:
        with self._verb("observe"):
            return [_status(domain) for domain in self._domains.values()]

    async def observe_one(self, instance_id: str) -> DomainStatus | None:
        with self._verb("observe"):
            domain = self._domains.get(instance_id)
            return _status(domain) if domain is not None else None

    async def ensure_defined(self, spec: DomainSpec) -> None:
        with self._verb("ensure_defined", spec.instance_id):
            domain = self._domains.get(spec.instance_id)
            if domain is None:
                domain = self._domains[spec.instance_id] = FakeDomain(later=spec)
            elif domain.now is not None and domain.now.uuid != spec.uuid:
                raise HypervisorError(f"{spec.instance_id} runs under another uuid, {domain.now.uuid}")
            elif domain.now is None and domain.spec.uuid != spec.uuid:
                domain = self._domains[spec.instance_id] = FakeDomain(later=spec)
            domain.later = spec
            Path(spec.console_log).parent.mkdir(parents=True, exist_ok=True)
            self._domains.save(spec.instance_id)
            self._tell(EventKind.DEFINED, spec.instance_id)

    async def start(self, instance_id: str) -> None:
        if self._boot is not None:
            await self._boot()
        with self._verb("start", instance_id):
            domain = self._domain(instance_id)
            if domain.now is not None:
                return
            assert domain.later is not None
            self._check(domain.later)
            domain.now, domain.power, domain.reason = domain.later, Power.RUNNING, Reason.NONE
            domain.grown = {}
            domain.starts += 1
            self._domains.save(instance_id)
            self._boots(domain)
            self._tell(EventKind.STARTED, instance_id)

    async def shutdown(self, instance_id: str) -> None:
        with self._verb("shutdown", instance_id):
            domain = self._domain(instance_id)
            if domain.power is Power.RUNNING and not domain.deaf:
                self._stops(instance_id, Reason.SHUTDOWN)

    async def destroy(self, instance_id: str) -> None:
        with self._verb("destroy", instance_id):
            if self._domain(instance_id).now is not None:
                self._stops(instance_id, Reason.DESTROYED)

    async def reboot(self, instance_id: str) -> None:
        with self._verb("reboot", instance_id):
            domain = self._domain(instance_id)
            if domain.power is Power.RUNNING and not domain.deaf:
                self._reboots(instance_id, domain)

    async def reset(self, instance_id: str) -> None:
        with self._verb("reset", instance_id):
            domain = self._domain(instance_id)
            if domain.now is not None:
                self._reboots(instance_id, domain)

    async def resume(self, instance_id: str) -> None:
        with self._verb("resume", instance_id):
            domain = self._domain(instance_id)
            if domain.power is Power.PAUSED:
                domain.power, domain.reason = Power.RUNNING, Reason.NONE
                self._domains.save(instance_id)
                self._tell(EventKind.RESUMED, instance_id)

    async def undefine(self, instance_id: str) -> None:
        with self._verb("undefine", instance_id):
            domain = self._domains.get(instance_id)
            if domain is None:
                return
            if domain.now is not None:
                self._stops(instance_id, Reason.DESTROYED)
            del self._domains[instance_id]
            self._domains.save(instance_id)
            self._tell(EventKind.UNDEFINED, instance_id)

    async def attach_disk(self, instance_id: str, disk: Disk) -> None:
        with self._verb("attach_disk", instance_id):
            domain = self._domain(instance_id)
            now, later = _with(domain.now, disk), _with(domain.later, disk)
            added = now is not None and now is not domain.now
            if added:
                self._usable(disk)
            domain.now, domain.later = now, later
            self._domains.save(instance_id)
            if added:
                self._tell(EventKind.DISK_ADDED, instance_id, disk.serial)

    async def detach_disk(self, instance_id: str, serial: str) -> None:
        with self._verb("detach_disk", instance_id):
            domain = self._domain(instance_id)
            domain.later = _without(domain.later, serial)
            if not domain.deaf:
                self._lets_go(instance_id, domain, serial)
            self._domains.save(instance_id)

    async def attach_nic(self, instance_id: str, nic: Nic) -> None:
        with self._verb("attach_nic", instance_id):
            domain = self._domain(instance_id)
            now, later = _with_nic(domain.now, nic), _with_nic(domain.later, nic)
            added = now is not None and now is not domain.now
            domain.now, domain.later = now, later
            self._domains.save(instance_id)
            if added:
                self._tell(EventKind.NIC_ADDED, instance_id, nic.tap)

    async def detach_nic(self, instance_id: str, tap: str) -> None:
        with self._verb("detach_nic", instance_id):
            domain = self._domain(instance_id)
            domain.later = _without_nic(domain.later, tap)
            now = domain.now if domain.deaf else _without_nic(domain.now, tap)
            released = now is not domain.now
            domain.now = now
            self._domains.save(instance_id)
            if released:
                self._tell(EventKind.NIC_REMOVED, instance_id, tap)

    async def resize_disk(self, instance_id: str, serial: str, size_gib: int) -> None:
        with self._verb("resize_disk", instance_id):
            domain = self._domain(instance_id)
            if domain.now is not None and any(disk.serial == serial for disk in domain.now.disks):
                domain.grown[serial] = size_gib
                self._domains.save(instance_id)

    async def copy_disk(self, instance_id: str, serial: str, target: str) -> None:
        with self._verb("copy_disk", instance_id):
            now = self._domain(instance_id).now
            if now is None or all(disk.serial != serial for disk in now.disks):
                raise HypervisorError(f"{instance_id} is off, or has no disk {serial}")
            Path(target).write_bytes(diskimage.empty_qcow2(1 << 30))

    async def console_output(self, instance_id: str, max_bytes: int = 65536) -> bytes:
        with self._verb("console_output"):
            return console_log.tail(Path(self._domain(instance_id).spec.console_log), max_bytes)

    async def trim_console(self, instance_id: str, keep_bytes: int = 1 << 20) -> None:
        with self._verb("trim_console"):
            path = Path(self._domain(instance_id).spec.console_log)
        await console_log.trim(path, keep_bytes)

    async def screenshot(self, instance_id: str) -> Picture:
        with self._verb("screenshot"):
            if self._domain(instance_id).now is None:
                raise HypervisorError(f"{instance_id} is off")
            return png(b"P6\n8 8\n255\n" + bytes(8 * 8 * 3))

    async def sensors(self, instance_id: str) -> dict[str, float]:
        with self._verb("sensors"):
            domain = self._domain(instance_id)
            values = {"state.state": 1.0 if domain.now is not None else 5.0, "state.reason": 1.0}
            if domain.now is not None:
                values |= {"cpu.time": 1e9 * domain.starts, "vcpu.current": float(domain.now.vcpus)}
                values |= {"balloon.current": domain.now.memory_mib * 1024.0}
                values |= {"block.count": float(len(domain.now.disks)), "net.count": float(len(domain.now.nics))}
            return values

    async def events(self) -> AsyncIterator[Event]:
        queue: asyncio.Queue[object] = asyncio.Queue()
        self._queues.append(queue)
        if not self._away:
            queue.put_nowait(Event(kind=EventKind.CONNECTED))
        try:
            while isinstance(event := await queue.get(), Event):
                yield event
        finally:
            if queue in self._queues:
                self._queues.remove(queue)

    async def close(self) -> None:
        for queue in self._queues:
            queue.put_nowait(_END)

    # What guests and hosts do of themselves.

    def make_deaf(self, instance_id: str, deaf: bool = True) -> None:
        """The guest ignores the power button, reboots and the removal of devices, as one without an operating system."""
        self._domain(instance_id).deaf = deaf
        self._domains.save(instance_id)

    def guest_powers_off(self, instance_id: str) -> None:
        """`poweroff` inside the guest."""
        self._stops(instance_id, Reason.SHUTDOWN)

    def guest_crashes(self, instance_id: str) -> None:
        """Its machine ends by itself."""
        self._stops(instance_id, Reason.CRASHED)

    def guest_writes(self, instance_id: str, text: str) -> None:
        """Text on its serial console."""
        with Path(self._domain(instance_id).spec.console_log).open("a") as stream:
            stream.write(text)

    def disk_fails(self, instance_id: str, serial: str) -> None:
        """The disk no longer answers: the guest is paused until it is resumed."""
        domain = self._domain(instance_id)
        domain.power, domain.reason = Power.PAUSED, Reason.IO_ERROR
        self._domains.save(instance_id)
        self._tell(EventKind.IO_ERROR, instance_id, serial)
        self._tell(EventKind.PAUSED, instance_id)

    def lets_go(self, instance_id: str, serial: str) -> None:
        """A guest that was deaf to the removal of a disk consents after all."""
        self._lets_go(instance_id, self._domain(instance_id), serial)
        self._domains.save(instance_id)

    def host_restarts(self) -> None:
        """Power fails and returns: every machine is off, the definitions are there."""
        for instance_id, domain in list(self._domains.items()):
            domain.now, domain.power, domain.reason = None, Power.OFF, Reason.UNKNOWN
            self._domains.save(instance_id)

    # Failure injection.

    def fail_at(self, number: int, *, after: bool = False) -> None:
        """Fail the verb that is `number` calls away, once; `after` it took effect, or before."""
        if number < 1:
            raise ValueError("the next verb is number 1")
        self._fail_in, self._fail_after = number, after

    def hang(self, away: bool) -> None:
        """Be away (every verb is HypervisorUnavailable), or back."""
        if away != self._away:
            self._away = away
            self._tell(EventKind.DISCONNECTED if away else EventKind.CONNECTED)

    @contextmanager
    def _verb(self, name: str, instance_id: str = "") -> Iterator[None]:
        if self._away:
            raise HypervisorUnavailable("the fake hypervisor is away")
        if instance_id:
            self.calls.append((name, instance_id))
        failing = False
        if self._fail_in is not None:
            self._fail_in -= 1
            failing = self._fail_in == 0
            if failing:
                self._fail_in = None
        if failing and not self._fail_after:
            raise HypervisorUnavailable(f"failure injected before {name}")
        yield
        if failing:
            raise HypervisorUnavailable(f"failure injected after {name}")

    def _domain(self, instance_id: str) -> FakeDomain:
        try:
            return self._domains[instance_id]
        except KeyError:
            raise DomainNotFound(instance_id) from None

    def _check(self, spec: DomainSpec) -> None:
        for disk in spec.disks:
            self._usable(disk)

    def _usable(self, disk: Disk) -> None:
        """With `check_files`, a disk must be there as QEMU would insist."""
        path = disk.source.path if isinstance(disk.source, FileSource) else disk.source.socket
        if self._check_files and not Path(path).exists():
            raise HypervisorError(f"cannot open {path}: no such file")

    def _boots(self, domain: FakeDomain) -> None:
        with Path(domain.spec.console_log).open("a") as stream:
            stream.write(f"fake guest {domain.spec.instance_id}: boot {domain.starts + domain.resets}\nREADY\n")

    def _stops(self, instance_id: str, reason: Reason) -> None:
        domain = self._domain(instance_id)
        domain.now, domain.power, domain.reason = None, Power.OFF, reason
        self._domains.save(instance_id)
        self._tell(EventKind.CRASHED if reason is Reason.CRASHED else EventKind.STOPPED, instance_id)

    def _reboots(self, instance_id: str, domain: FakeDomain) -> None:
        domain.resets += 1
        self._domains.save(instance_id)
        self._boots(domain)
        self._tell(EventKind.REBOOTED, instance_id)

    def _lets_go(self, instance_id: str, domain: FakeDomain, serial: str) -> None:
        now = _without(domain.now, serial)
        if now is not domain.now:
            domain.now = now
            self._tell(EventKind.DISK_REMOVED, instance_id, serial)

    def _tell(self, kind: EventKind, instance_id: str = "", detail: str = "") -> None:
        for queue in self._queues:
            queue.put_nowait(Event(kind=kind, instance_id=instance_id, detail=detail))


def _status(domain: FakeDomain) -> DomainStatus:
    spec = domain.spec
    return DomainStatus(
        instance_id=spec.instance_id,
        uuid=spec.uuid,
        power=domain.power,
        reason=domain.reason,
        disks=spec.disks,
        nics=spec.nics,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        labels=spec.labels,
    )


def _with(spec: DomainSpec | None, disk: Disk) -> DomainSpec | None:
    """`spec` with the disk; the same object when it is there already. Raises DiskConflict, HypervisorError."""
    if spec is None:
        return None
    for present in spec.disks:
        if present.serial == disk.serial:
            if present != disk:
                raise DiskConflict(f"{spec.instance_id} has a disk {disk.serial} over {present.source}")
            return spec
    if len(spec.disks) >= _HOT_DISKS:
        raise HypervisorError(f"{spec.instance_id} has no room for another disk")
    return msgspec.structs.replace(spec, disks=(*spec.disks, disk))


def _without(spec: DomainSpec | None, serial: str) -> DomainSpec | None:
    """`spec` without the disk; the same object when it is not there."""
    if spec is None or all(disk.serial != serial for disk in spec.disks):
        return spec
    return msgspec.structs.replace(spec, disks=tuple(disk for disk in spec.disks if disk.serial != serial))


def _with_nic(spec: DomainSpec | None, nic: Nic) -> DomainSpec | None:
    """`spec` with the network card; the same object when it is there already."""
    if spec is None or any(present.tap == nic.tap for present in spec.nics):
        return spec
    return msgspec.structs.replace(spec, nics=(*spec.nics, nic))


def _without_nic(spec: DomainSpec | None, tap: str) -> DomainSpec | None:
    """`spec` without the network card; the same object when it is not there."""
    if spec is None or all(nic.tap != tap for nic in spec.nics):
        return spec
    return msgspec.structs.replace(spec, nics=tuple(nic for nic in spec.nics if nic.tap != tap))
