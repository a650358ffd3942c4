"""What only the libvirt driver can be asked: strangers on the host, a hung or lost daemon, disks that stop answering,
taps that were moved away."""

from __future__ import annotations

import asyncio
import os
import pwd
import signal
from pathlib import Path

import pytest
from pyroute2 import IPRoute, NetNS, netns

from eucapy.drivers.hypervisor.base import (
    Disk,
    DomainSpec,
    EventKind,
    FileSource,
    HypervisorUnavailable,
    NbdSource,
    Nic,
    Power,
    Reason,
)
from eucapy.drivers.hypervisor.libvirtd import QEMU_USER, Libvirtd
from eucapy.run import run
from tests.drivers.hypervisor.benches import LibvirtBench, libvirt_driver
from tests.drivers.hypervisor.test_contract import heard
from tests.harness.libvirtd import libvirtd

pytestmark = [pytest.mark.host, pytest.mark.guest]

DEVICES = {"null", "zero", "full", "random", "urandom", "ptmx", "kvm", "userfaultfd", "shm", "pts", "mqueue"}
STRANGER = """<domain type='qemu'><name>{name}</name><memory unit='MiB'>32</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='pc'>hvm</type></os></domain>"""


async def test_machines_of_others_are_neither_shown_nor_touched(libvirt_bench: LibvirtBench, daemon: Libvirtd) -> None:
    import libvirt

    connection = libvirt.open(daemon.uri)
    stranger = connection.defineXML(STRANGER.format(name="somebody-elses"))
    try:
        await libvirt_bench.driver.ensure_defined(libvirt_bench.spec("i-1"))
        assert [item.instance_id for item in await libvirt_bench.driver.observe()] == ["i-1"]
        await libvirt_bench.driver.undefine("i-1")
        assert connection.lookupByName("somebody-elses").name() == "somebody-elses"
    finally:
        stranger.undefine()
        connection.close()


async def test_a_daemon_that_hangs_costs_a_time_limit_and_no_more(
    libvirt_bench: LibvirtBench, daemon: Libvirtd
) -> None:
    driver = libvirt_driver(daemon, limit_s=0.5)
    await driver.ensure_defined(libvirt_bench.spec("i-1"))
    assert daemon.pid is not None
    os.kill(daemon.pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            with pytest.raises(HypervisorUnavailable):
                await driver.observe()
    finally:
        os.kill(daemon.pid, signal.SIGCONT)

    async def answers() -> bool:
        try:
            return [item.instance_id for item in await driver.observe()] == ["i-1"]
        except HypervisorUnavailable:
            return False

    await libvirt_bench.until("the driver answers again", answers)
    await driver.close()


async def test_a_daemon_that_was_away_is_found_again(libvirt_bench: LibvirtBench, daemon: Libvirtd) -> None:
    async with heard(libvirt_bench) as events:
        await libvirt_bench.blank("i-1")
        await daemon.kill()

        async def told(kind: EventKind, times: int) -> bool:
            return sum(event.kind is kind for event in events) >= times

        await libvirt_bench.until("told of the loss", lambda: told(EventKind.DISCONNECTED, 1))
        with pytest.raises(HypervisorUnavailable):
            await libvirt_bench.driver.observe()
        await daemon.start()
        await libvirt_bench.until("told of the return", lambda: told(EventKind.CONNECTED, 2))
        (seen,) = await libvirt_bench.driver.observe()
        assert seen.power is Power.RUNNING


async def test_a_disk_that_stops_answering_pauses_the_guest_and_loses_nothing(libvirt_bench: LibvirtBench) -> None:
    root = await libvirt_bench.overlay("root")
    socket = await libvirt_bench.export(root, "qcow2", "root")
    spec = libvirt_bench.spec("i-1", Disk(serial="root", source=NbdSource(str(socket), "root")))
    await libvirt_bench.driver.ensure_defined(spec)
    await libvirt_bench.driver.start("i-1")
    await libvirt_bench.until_console("i-1", "starter[")
    libvirt_bench.kill_exporters()
    seen = await libvirt_bench.until_power("i-1", Power.PAUSED)
    assert seen.reason is Reason.IO_ERROR
    await libvirt_bench.export(root, "qcow2", "root")

    async def ready() -> bool:
        # The first resume may only find that the old connection is dead, and pause again.
        await libvirt_bench.driver.resume("i-1")
        return b"READY" in await libvirt_bench.driver.console_output("i-1")

    await libvirt_bench.until("READY after the disk came back", ready)
    assert b"rror" not in await libvirt_bench.driver.console_output("i-1")


async def test_a_tap_may_live_in_another_namespace(libvirt_bench: LibvirtBench) -> None:
    name = f"eucapy-t{os.getpid()}"
    tap = f"th{os.getpid()}"
    netns.create(name)
    try:
        spec = libvirt_bench.spec("i-1", nics=(Nic(mac="52:54:00:aa:00:01", tap=tap),))
        await libvirt_bench.driver.ensure_defined(spec)
        await libvirt_bench.driver.start("i-1")
        await asyncio.to_thread(_move, tap, name)
        await libvirt_bench.restart()
        (seen,) = await libvirt_bench.driver.observe()
        assert (seen.power, seen.nics) == (Power.RUNNING, spec.nics)
        await libvirt_bench.driver.attach_disk("i-1", libvirt_bench.disk("vol1"))
        await libvirt_bench.driver.reset("i-1")
        await libvirt_bench.driver.destroy("i-1")
        assert not await asyncio.to_thread(_links, tap, name)
        await libvirt_bench.driver.start("i-1")
        (seen,) = await libvirt_bench.driver.observe()
        assert seen.power is Power.RUNNING
    finally:
        netns.remove(name)


async def test_a_guests_process_is_nobody_who_can_do_harm(libvirt_bench: LibvirtBench) -> None:
    """It is not root, cannot become it or start programs, and sees none of the host's devices."""
    await libvirt_bench.blank("i-1")
    process = Path(f"/proc/{libvirt_bench.qemu_pid('i-1')}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines() if ":\t" in line)
    user = pwd.getpwnam(QEMU_USER)
    assert (status["Uid"].split(), status["Gid"].split()) == ([str(user.pw_uid)] * 4, [str(user.pw_gid)] * 4)
    assert "0" not in status["Groups"].split()
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0
    assert (status["Seccomp"], status["NoNewPrivs"]) == ("2", "1")
    assert (process / "ns" / "mnt").readlink() != Path("/proc/self/ns/mnt").readlink()
    # libvirt carries along what is mounted below /dev, as a container's devices are.
    mounted = {Path(line.split()[4]) for line in Path("/proc/self/mountinfo").read_text().splitlines()}
    carried = {path.relative_to("/dev").parts[0] for path in mounted if Path("/dev") in path.parents}
    assert {path.name for path in (process / "root" / "dev").iterdir()} <= DEVICES | carried


async def test_a_guest_owns_its_disk_while_it_runs_and_never_what_others_read(
    libvirt_bench: LibvirtBench, image: Path
) -> None:
    await libvirt_bench.living("i-1")
    root = libvirt_bench.folder / "i-1.qcow2"
    assert root.stat().st_uid == pwd.getpwnam(QEMU_USER).pw_uid
    assert image.stat().st_uid == 0
    await libvirt_bench.driver.destroy("i-1")
    assert root.stat().st_uid == 0


async def test_what_a_disks_own_header_names_is_never_opened(libvirt_bench: LibvirtBench) -> None:
    """A guest that broke out of its machine writes another file's name into its disk: the next start does not read it."""
    await libvirt_bench.living("i-1")
    await libvirt_bench.driver.destroy("i-1")
    secret = libvirt_bench.folder / "secret"
    secret.write_bytes(b"secret" * 1000)
    secret.chmod(0o600)
    root = libvirt_bench.folder / "i-1.qcow2"
    await run("qemu-img", "rebase", "-u", "-b", str(secret), "-F", "raw", str(root))
    await libvirt_bench.driver.start("i-1")
    await libvirt_bench.until_console("i-1", "READY", times=2)
    assert secret.stat().st_uid == 0
    assert str(secret).encode() not in Path(f"/proc/{libvirt_bench.qemu_pid('i-1')}/cmdline").read_bytes()


def test_two_daemons_are_two_hosts(daemon: Libvirtd, folder: Path) -> None:
    name = f"eucapy-n{os.getpid()}"
    netns.create(name)
    try:
        with libvirtd(name) as other:
            asyncio.run(_on_two_hosts(daemon, other, folder, name))
    finally:
        netns.remove(name)


async def _on_two_hosts(daemon: Libvirtd, other: Libvirtd, folder: Path, name: str) -> None:
    tap = f"tn{os.getpid()}"
    blank = folder / "blank.raw"
    blank.write_bytes(bytes(1 << 20))
    here = libvirt_driver(daemon)
    there = libvirt_driver(other)
    spec = DomainSpec(
        instance_id="i-1",
        uuid="ec200000-2222-4000-8000-000000000000",
        vcpus=1,
        memory_mib=64,
        disks=(Disk(serial="root", source=FileSource(str(blank), "raw")),),
        nics=(Nic(mac="52:54:00:aa:00:01", tap=tap),),
        console_log=str(folder / "console.log"),
    )
    await there.ensure_defined(spec)
    await there.start("i-1")
    assert [item.power for item in await there.observe()] == [Power.RUNNING]
    assert await here.observe() == []
    assert await asyncio.to_thread(_links, tap, name) != []
    assert await asyncio.to_thread(_links, tap, None) == []
    await other.stop()
    await other.start()
    assert [item.power for item in await there.observe()] == [Power.RUNNING]
    await there.close()
    await here.close()


def _move(tap: str, name: str) -> None:
    with IPRoute() as here:
        (index,) = here.link_lookup(ifname=tap)
        here.link("set", index=index, net_ns_fd=name)


def _links(tap: str, name: str | None) -> list[int]:
    with IPRoute() if name is None else NetNS(name) as links:
        return list(links.link_lookup(ifname=tap))
