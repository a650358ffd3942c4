"""What the facts about a machine mean for a cloud on it, in plain words. Pure: `judge(machine) -> [Finding]`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from eucapy.cli.faststart.machine import Machine

LEAST_MEMORY_MIB = 1800
GOOD_MEMORY_MIB = 3800
LEAST_DISK_GIB = 4.0
GOOD_DISK_GIB = 20.0


class Level(StrEnum):
    """`MISSING` stops the installation, `WARNING` does not."""

    GOOD = "good"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what was found, and what to do about it ("" when all is well)."""

    what: str
    level: Level
    found: str
    advice: str = ""


def judge(machine: Machine) -> list[Finding]:
    """Every finding, in the order in which a person wants to read them."""
    return [
        _root(machine),
        _system(machine),
        _processor(machine),
        _memory(machine),
        _disk(machine),
        _folder(machine),
        _names(machine),
        _ports(machine),
        _network(machine),
        _supervision(machine),
    ]


def _root(machine: Machine) -> Finding:
    if machine.root:
        return Finding("root", Level.GOOD, "yes")
    return Finding("root", Level.MISSING, "no", "The cloud makes networks and virtual machines: start it with sudo.")


def _system(machine: Machine) -> Finding:
    found = f"{machine.distribution}, {machine.architecture}"
    if machine.architecture != "x86_64":
        return Finding("system", Level.MISSING, found, "Only x86_64 (amd64) machines are supported.")
    return Finding("system", Level.GOOD, found)


def _processor(machine: Machine) -> Finding:
    count = f"{machine.processors} processor{'s' if machine.processors != 1 else ''}"
    if machine.kvm:
        return Finding(
            "processor", Level.GOOD, f"{count} with {machine.virtualization}: guests run at full speed (KVM)"
        )
    if machine.virtualization:
        return Finding(
            "processor",
            Level.WARNING,
            f"{count} with {machine.virtualization}, but KVM does not work: {machine.kvm_reason}",
            "Guests will be emulated, ten times slower or more. Load the kernel module (modprobe kvm_intel or kvm_amd) "
            "and start again to use the processor's virtualization.",
        )
    return Finding(
        "processor",
        Level.WARNING,
        f"{count} without vmx or svm",
        "Guests will be emulated, ten times slower or more; all else is the same. Virtualization is switched on in the "
        "machine's firmware, or in the settings of the virtual machine that this is (nested virtualization).",
    )


def _memory(machine: Machine) -> Finding:
    found = f"{machine.memory_mib / 1024:.1f} GiB, {machine.available_memory_mib / 1024:.1f} GiB of it free"
    if machine.memory_mib < LEAST_MEMORY_MIB:
        return Finding("memory", Level.MISSING, found, "At least 2 GiB are needed; the guests' memory comes on top.")
    if machine.memory_mib < GOOD_MEMORY_MIB:
        return Finding("memory", Level.WARNING, found, "Enough for the cloud and a few small guests; 4 GiB are better.")
    return Finding("memory", Level.GOOD, found)


def _disk(machine: Machine) -> Finding:
    found = f"{machine.disk_free_gib:.0f} GiB free"
    if machine.disk_free_gib < LEAST_DISK_GIB:
        return Finding("disk", Level.MISSING, found, f"At least {LEAST_DISK_GIB:.0f} GiB are needed; see --data.")
    if machine.disk_free_gib < GOOD_DISK_GIB:
        return Finding("disk", Level.WARNING, found, "Enough to start; images, volumes and objects will want more.")
    return Finding("disk", Level.GOOD, found)


def _folder(machine: Machine) -> Finding:
    if not machine.closed_folder:
        return Finding("folder", Level.GOOD, "guests' processes can reach it")
    return Finding(
        "folder",
        Level.MISSING,
        f"{machine.closed_folder} may be entered by its owner alone",
        "Guests' processes run as a user of their own and reach their disks through it: choose another place with --data, "
        f"or chmod o+x {machine.closed_folder}.",
    )


def _names(machine: Machine) -> Finding:
    name, resolves = machine.resolves
    if resolves:
        return Finding("DNS", Level.GOOD, f"{name} resolves")
    if not name:
        return Finding("DNS", Level.WARNING, "no package mirror is configured", "Full images are built from packages.")
    return Finding(
        "DNS",
        Level.WARNING,
        f"{name} does not resolve",
        "Packages and images cannot be downloaded: look at /etc/resolv.conf. What is here already will be used.",
    )


def _ports(machine: Machine) -> Finding:
    if not machine.ports_taken:
        return Finding("ports", Level.GOOD, "free")
    taken = ", ".join(map(str, machine.ports_taken))
    return Finding(
        "ports", Level.MISSING, f"in use: {taken}", "Stop what uses them (ss -ltnp shows it), or choose others: --port."
    )


def _network(machine: Machine) -> Finding:
    lacking = [what for what, there in (("/dev/net/tun", machine.tun), ("namespaces", machine.namespaces)) if not there]
    if lacking:
        return Finding(
            "network",
            Level.MISSING,
            f"the kernel has no {' and no '.join(lacking)}",
            "modprobe tun, or another kernel.",
        )
    if not machine.default_interface:
        return Finding(
            "network", Level.WARNING, "no default route", "Guests will reach this machine and each other only."
        )
    return Finding("network", Level.GOOD, f"{machine.default_interface} leads out")


def _supervision(machine: Machine) -> Finding:
    found = (
        "systemd runs the cloud's programs" if machine.systemd else "no systemd: the cloud supervises its own programs"
    )
    return Finding("supervision", Level.GOOD, found)
