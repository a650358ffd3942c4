"""The hypervisor driver over libvirt and QEMU.

The verbs, each a blocking function of a connection, run through `libvirt_connection.py`, which keeps them off the event
loop and under a time limit. How a machine looks is `libvirt_xml.py`; what happens to it, `libvirt_events.py`; KVM or
emulation, `acceleration.py`; a daemon of our own, `libvirtd.py`.

A domain's name is its instance's id; its document carries the id too, and domains without it are not ours.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import libvirt
import libvirt_qemu

from eucapy.drivers.hypervisor import console_log, libvirt_xml
from eucapy.drivers.hypervisor.acceleration import Acceleration, detect
from eucapy.drivers.hypervisor.base import (
    Capabilities,
    Disk,
    DiskConflict,
    DomainNotFound,
    DomainSpec,
    DomainStatus,
    Event,
    HypervisorDriver,
    HypervisorError,
    HypervisorUnavailable,
    Nic,
    Picture,
    Power,
    Reason,
)
from eucapy.drivers.hypervisor.libvirt_connection import Connection
from eucapy.drivers.hypervisor.picture import png

# A new daemon first asks every emulator what it can do, for seconds; QEMU opens every disk before it answers.
_START_LIMIT_S = 120.0
_STOP_LIMIT_S = 60.0  # libvirt gives QEMU 10 s to go by itself, and a disk that hangs takes longer
_MOST_DISKS = 20  # the PCI slots of a `pc` machine that our other devices leave free
_CPU_TIME = 4  # its place in what `virDomain.info()` answers; nanoseconds
_COPY_POLL_S = 0.5
_RECONNECT_PAUSES_S = (0.0, 0.1, 0.5, 1.0, 2.0)
"""Between QEMU's attempts to see a disk's new size, through a new connection to the disk's server."""
_RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 5.0)
_LIVE, _CONFIG = libvirt.VIR_DOMAIN_AFFECT_LIVE, libvirt.VIR_DOMAIN_AFFECT_CONFIG


class LibvirtDriver(HypervisorDriver):
    """Domains of the libvirt daemon at `uri`."""

    def __init__(self, uri: str, *, acceleration: str = "auto", limit_s: float = 30.0) -> None:
        self._connection = Connection(uri, limit_s=limit_s)
        self._mode = acceleration
        self._acceleration: Acceleration | None = None
        self._closed = asyncio.Event()

    async def capabilities(self) -> Capabilities:
        found = await self._accelerated()
        version, info = await self._connection.call(
            lambda conn: (conn.getVersion(), conn.getInfo()), limit_s=_START_LIMIT_S
        )
        facts = await asyncio.to_thread(_host_facts)
        return Capabilities(
            driver="libvirt",
            version=f"QEMU {version // 1000000}.{version // 1000 % 1000}.{version % 1000}",
            accelerated=found.kvm,
            acceleration_reason=found.reason,
            architectures=(info[0],),
            cpus=info[2],
            memory_mib=facts[0],
            cpu_model=facts[1],
            hot_disks=_MOST_DISKS,
            screenshots=True,
        )

    async def observe(self) -> list[DomainStatus]:
        return await self._connection.call(_observe)

    async def observe_one(self, instance_id: str) -> DomainStatus | None:
        return await self._connection.call(lambda conn: _observe_one(conn, instance_id))

    async def ensure_defined(self, spec: DomainSpec) -> None:
        Path(spec.console_log).parent.mkdir(parents=True, exist_ok=True)
        document = libvirt_xml.domain(spec, kvm=(await self._accelerated()).kvm)
        await self._connection.call(lambda conn: _define(conn, spec, document), limit_s=_START_LIMIT_S)

    async def start(self, instance_id: str) -> None:
        await self._connection.call(lambda conn: _start(conn.lookupByName(instance_id)), limit_s=_START_LIMIT_S)

    async def shutdown(self, instance_id: str) -> None:
        flags = libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        await self._running(instance_id, lambda domain: domain.shutdownFlags(flags))

    async def destroy(self, instance_id: str) -> None:
        await self._running(instance_id, lambda domain: domain.destroy(), limit_s=_STOP_LIMIT_S)

    async def reboot(self, instance_id: str) -> None:
        await self._running(instance_id, lambda domain: domain.reboot(libvirt.VIR_DOMAIN_REBOOT_ACPI_POWER_BTN))

    async def reset(self, instance_id: str) -> None:
        await self._running(instance_id, lambda domain: domain.reset())

    async def resume(self, instance_id: str) -> None:
        def work(domain: Any) -> None:
            if domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                domain.resume()

        await self._running(instance_id, work)

    async def undefine(self, instance_id: str) -> None:
        await self._connection.call(lambda conn: _undefine(conn, instance_id), limit_s=_STOP_LIMIT_S)

    async def attach_disk(self, instance_id: str, disk: Disk) -> None:
        await self._connection.call(lambda conn: _attach(conn.lookupByName(instance_id), disk))

    async def detach_disk(self, instance_id: str, serial: str) -> None:
        await self._connection.call(lambda conn: _detach(conn.lookupByName(instance_id), serial))

    async def attach_nic(self, instance_id: str, nic: Nic) -> None:
        await self._connection.call(lambda conn: _attach_nic(conn.lookupByName(instance_id), nic))

    async def detach_nic(self, instance_id: str, tap: str) -> None:
        await self._connection.call(lambda conn: _detach_nic(conn.lookupByName(instance_id), tap))

    async def resize_disk(self, instance_id: str, serial: str, size_gib: int) -> None:
        pauses = list(_RECONNECT_PAUSES_S)
        while True:
            try:
                await self._running(instance_id, lambda domain: _resize(domain, serial, size_gib << 30))
            except HypervisorError as error:
                if not pauses or isinstance(error, DomainNotFound | HypervisorUnavailable):
                    raise
                await asyncio.sleep(pauses.pop(0))
            else:
                return

    async def copy_disk(self, instance_id: str, serial: str, target: str) -> None:
        await self._connection.call(lambda conn: _begin_copy(conn.lookupByName(instance_id), serial, target))
        try:
            while not await self._connection.call(lambda conn: _copied(conn.lookupByName(instance_id))):  # noqa: ASYNC110
                await asyncio.sleep(_COPY_POLL_S)
        except asyncio.CancelledError:
            with contextlib.suppress(HypervisorError):
                await self._connection.call(lambda conn: _end_copy(conn.lookupByName(instance_id)))
            raise

    async def console_output(self, instance_id: str, max_bytes: int = 65536) -> bytes:
        path = await self._console_path(instance_id)
        return await asyncio.to_thread(console_log.tail, path, max_bytes)

    async def trim_console(self, instance_id: str, keep_bytes: int = 1 << 20) -> None:
        await console_log.trim(await self._console_path(instance_id), keep_bytes)

    async def screenshot(self, instance_id: str) -> Picture:
        data = await self._connection.call(lambda conn: _screenshot(conn, conn.lookupByName(instance_id)))
        return await asyncio.to_thread(png, data)

    async def sensors(self, instance_id: str) -> dict[str, float]:
        def work(conn: Any) -> dict[str, float]:
            domain = conn.lookupByName(instance_id)
            # Without control groups newer versions leave the time out of the statistics.
            found = {"cpu.time": float(domain.info()[_CPU_TIME])}
            for _domain, values in conn.domainListGetStats([domain], 0, 0):
                found |= {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
            return found

        return await self._connection.call(work)

    async def events(self) -> AsyncIterator[Event]:
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._connection.listen(queue)
        closed = asyncio.ensure_future(self._closed.wait())
        failures = 0
        try:
            while not self._closed.is_set():
                pause = None
                try:
                    # Cheap when connected; opens (and tells so) when not.
                    await self._connection.call(lambda conn: conn.getLibVersion())
                    failures = 0
                except HypervisorUnavailable:
                    pause = _RECONNECT_S[min(failures, len(_RECONNECT_S) - 1)]
                    failures += 1
                arrival = asyncio.ensure_future(queue.get())
                try:
                    await asyncio.wait({arrival, closed}, timeout=pause, return_when=asyncio.FIRST_COMPLETED)
                    if not arrival.done():
                        continue
                    yield arrival.result()
                finally:
                    arrival.cancel()
                while not queue.empty():
                    yield queue.get_nowait()
        finally:
            closed.cancel()
            self._connection.forget(queue)

    async def close(self) -> None:
        self._closed.set()
        self._connection.close()

    async def _accelerated(self) -> Acceleration:
        if self._acceleration is None:
            self._acceleration = await detect(self._mode)
        return self._acceleration

    async def _console_path(self, instance_id: str) -> Path:
        document = await self._connection.call(lambda conn: str(conn.lookupByName(instance_id).XMLDesc(0)))
        view = libvirt_xml.read_domain(document)
        if view is None or not view.console_log:
            raise HypervisorError(f"{instance_id} has no console log")
        return Path(view.console_log)

    async def _running(self, instance_id: str, work: Any, *, limit_s: float | None = None) -> None:
        """`work(domain)` when it runs; a domain that stops on its own meanwhile is no error."""

        def body(conn: Any) -> None:
            domain = conn.lookupByName(instance_id)
            try:
                if domain.isActive():
                    work(domain)
            except libvirt.libvirtError as error:
                if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID or domain.isActive():
                    raise

        await self._connection.call(body, limit_s=limit_s)


def _observe(conn: Any) -> list[DomainStatus]:
    seen = [_status(domain) for domain in conn.listAllDomains(0)]
    return [status for status in seen if status is not None]


def _observe_one(conn: Any, instance_id: str) -> DomainStatus | None:
    try:
        domain = conn.lookupByName(instance_id)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    return _status(domain)


def _status(domain: Any) -> DomainStatus | None:
    """None for a domain that is not ours, or went since it was found."""
    try:
        view = libvirt_xml.read_domain(domain.XMLDesc(0))
        state, reason = domain.state()
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    if view is None:
        return None
    power, why = _power(state, reason)
    return DomainStatus(
        instance_id=view.instance_id,
        uuid=view.uuid,
        power=power,
        reason=why,
        disks=view.disks,
        nics=view.nics,
        vcpus=view.vcpus,
        memory_mib=view.memory_mib,
        labels=view.labels,
    )


def _power(state: int, reason: int) -> tuple[Power, Reason]:
    if state == libvirt.VIR_DOMAIN_SHUTOFF:
        return Power.OFF, _OFF_REASONS.get(reason, Reason.UNKNOWN)
    if state == libvirt.VIR_DOMAIN_CRASHED:
        return Power.OFF, Reason.CRASHED
    if state == libvirt.VIR_DOMAIN_PAUSED:
        if reason in _PASSING:
            return Power.RUNNING, Reason.NONE
        io_error = reason == libvirt.VIR_DOMAIN_PAUSED_IOERROR
        return Power.PAUSED, Reason.IO_ERROR if io_error else Reason.UNKNOWN
    if state == libvirt.VIR_DOMAIN_PMSUSPENDED:
        return Power.PAUSED, Reason.UNKNOWN
    return Power.RUNNING, Reason.NONE


_OFF_REASONS = {
    libvirt.VIR_DOMAIN_SHUTOFF_SHUTDOWN: Reason.SHUTDOWN,
    libvirt.VIR_DOMAIN_SHUTOFF_DESTROYED: Reason.DESTROYED,
    libvirt.VIR_DOMAIN_SHUTOFF_CRASHED: Reason.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF_FAILED: Reason.CRASHED,  # QEMU was killed
}
# Pauses of a machine on its way up, or between the two halves of a reboot.
_PASSING = {libvirt.VIR_DOMAIN_PAUSED_STARTING_UP, libvirt.VIR_DOMAIN_PAUSED_SHUTTING_DOWN}


def _define(conn: Any, spec: DomainSpec, document: str) -> None:
    present = _lookup(conn, spec.instance_id)
    if present is not None and present.UUIDString() != spec.uuid:
        if present.isActive():
            raise HypervisorError(f"{spec.instance_id} runs under another uuid, {present.UUIDString()}")
        _forget(present)
    conn.defineXML(document)


def _start(domain: Any) -> None:
    try:
        if not domain.isActive():
            domain.create()
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_OPERATION_INVALID or not domain.isActive():
            raise


def _undefine(conn: Any, instance_id: str) -> None:
    domain = _lookup(conn, instance_id)
    if domain is None:
        return
    if domain.isPersistent():
        _forget(domain)
    # Without a definition it is gone once it is off.
    try:
        if domain.isActive():
            domain.destroy()
    except libvirt.libvirtError as error:
        if error.get_error_code() not in (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID):
            raise


def _forget(domain: Any) -> None:
    domain.undefineFlags(
        libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
        | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
        | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
    )


def _attach(domain: Any, disk: Disk) -> None:
    now, later = _views(domain)
    flags = 0
    for view, flag in ((now, _LIVE), (later, _CONFIG)):
        if view is None:
            continue
        present = next((item for item in view.disks if item.serial == disk.serial), None)
        if present is None:
            flags |= flag
        elif present != disk:
            raise DiskConflict(f"{view.instance_id} has a disk {disk.serial} over {present.source}")
    if flags:
        used = {name for view in (now, later) if view is not None for name in view.targets.values()}
        domain.attachDeviceFlags(libvirt_xml.disk(disk, libvirt_xml.free_target(used)), flags)


def _detach(domain: Any, serial: str) -> None:
    now, later = _views(domain)
    if later is not None and serial in later.targets:
        domain.detachDeviceAlias(libvirt_xml.alias(serial), _CONFIG)
    if now is not None and serial in now.targets:
        _ask_to_let_go(domain, libvirt_xml.alias(serial))


def _ask_to_let_go(domain: Any, alias: str) -> None:
    try:
        # By its alias libvirt only asks, and does not wait for the guest's consent.
        domain.detachDeviceAlias(alias, _LIVE)
    except libvirt.libvirtError as error:
        gone = error.get_error_code() == libvirt.VIR_ERR_DEVICE_MISSING or "no device found" in str(error)
        if not gone and "unplug" not in str(error):
            raise  # else: gone since we looked, or asked before and still thinking about it


def _attach_nic(domain: Any, nic: Nic) -> None:
    now, later = _views(domain)
    flags = 0
    for view, flag in ((now, _LIVE), (later, _CONFIG)):
        if view is not None and nic.tap not in view.nic_aliases:
            flags |= flag
    if flags:
        domain.attachDeviceFlags(libvirt_xml.nic(nic), flags)


def _detach_nic(domain: Any, tap: str) -> None:
    now, later = _views(domain)
    for view, flag in ((later, _CONFIG), (now, _LIVE)):
        if view is None or tap not in view.nic_aliases:
            continue
        if flag == _LIVE:
            _ask_to_let_go(domain, view.nic_aliases[tap])
        else:
            card = next(nic for nic in view.nics if nic.tap == tap)
            domain.detachDeviceFlags(libvirt_xml.nic(card), flag)


def _resize(domain: Any, serial: str, size_bytes: int) -> None:
    now, _later = _views(domain)
    if now is None or serial not in now.targets:
        return
    # QEMU connects to the server again at the next request only, and until then knows the old size. No request of ours
    # reaches a disk through libvirt's own interface, so it is made through QEMU's: it reads a sector for nobody. It may only
    # find that the old connection is dead, or the server not ready yet: then QEMU refuses the new size.
    read = f'qemu-io -d /machine/peripheral/{libvirt_xml.alias(serial)}/virtio-backend "read 0 512"'
    libvirt_qemu.qemuMonitorCommand(domain, read, libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP)
    domain.blockResize(now.targets[serial], size_bytes, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)


def _begin_copy(domain: Any, serial: str, target: str) -> None:
    now, _later = _views(domain)
    if now is None or serial not in now.targets:
        raise HypervisorError(f"{domain.name()} is off, or has no disk {serial}")
    _end_copy(domain)  # of an earlier life of ours, whose file nobody knows any more
    Path(target).unlink(missing_ok=True)
    domain.backupBegin(libvirt_xml.backup(now.targets, serial, target), None)


def _end_copy(domain: Any) -> None:
    if domain.isActive() and domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE:
        domain.abortJob()


def _copied(domain: Any) -> bool:
    """Whether the copy is complete. Raises HypervisorError when it ended otherwise."""
    if domain.jobInfo()[0] != libvirt.VIR_DOMAIN_JOB_NONE:
        return False
    ended = domain.jobStats(libvirt.VIR_DOMAIN_JOB_STATS_COMPLETED)
    if ended.get("operation") != libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP or not ended.get("success"):
        raise HypervisorError(f"{domain.name()}: the copy of its disk failed: {ended.get('errmsg', 'no reason given')}")
    return True


def _views(domain: Any) -> tuple[libvirt_xml.DomainView | None, libvirt_xml.DomainView | None]:
    """The running machine (None when off) and the one of the next start (None when it has no definition any more)."""
    now = libvirt_xml.read_domain(domain.XMLDesc(0)) if domain.isActive() else None
    later = None
    if domain.isPersistent():
        later = libvirt_xml.read_domain(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
    return now, later


def _screenshot(conn: Any, domain: Any) -> bytes:
    if not domain.isActive():
        raise HypervisorError(f"{domain.name()} is off")
    stream = conn.newStream(0)
    domain.screenshot(stream, 0, 0)
    content = bytearray()
    while part := stream.recv(1 << 18):
        content += part
    stream.finish()
    return bytes(content)


def _lookup(conn: Any, instance_id: str) -> Any:
    try:
        return conn.lookupByName(instance_id)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _host_facts() -> tuple[int, str]:
    """Memory in MiB and the processor's name. libvirt's own figure counts the memory of one NUMA cell."""
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    names = (line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name"))
    return int(memory.split()[1]) >> 10, next(names, ":").partition(":")[2].strip()
