"""libvirt's XML as typed objects: a `DomainSpec` becomes a domain document, a document becomes what we want to know.

Everything libvirt-specific about how our machines look is here. The choices, and why:

- Machine `pc`: PCI slots take disks while the machine runs without being set up beforehand (q35 needs spare root ports).
- Under KVM the guest sees the host's processor. Under emulation it sees `EMULATED_CPU`, the oldest model that satisfies
  x86-64-v2, which the current enterprise distributions insist on.
- SMBIOS says what AWS's own machines say (vendor "Amazon EC2", the type as product name, uuid equal to serial and
  starting with ec2): cloud-init, ds-identify, systemd-detect-virt and the AWS agents look there.
- A file disk's whole chain stands in the document, so nobody follows what is written in the file itself; libvirt gives
  the head to QEMU's user for as long as the guest runs, and leaves what it stands on alone, for other guests read it too.
- A file disk uses the host's page cache (copy-on-write chains profit); an NBD disk does not, and an error *stops* the
  guest instead of reaching it, so that a restart of the exporter costs time, never data.
- The tap is made and removed by libvirt. It may be moved to another network namespace while the domain runs.
- The first serial port goes to a file from the first byte on; guests without a screen still have one for screenshots.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass

from eucapy.drivers.hypervisor.base import Disk, DomainSpec, FileSource, HypervisorError, NbdSource, Nic

NAMESPACE = "urn:eucapy:domain:1"
EMULATED_CPU = "Nehalem"
AGENT_CHANNEL = "org.qemu.guest_agent.0"
_NIC_ALIAS = "ua-nic-"
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
ET.register_namespace("eucapy", NAMESPACE)


@dataclass(frozen=True)
class DomainView:
    """What we read from a domain's document."""

    instance_id: str
    uuid: str
    vcpus: int
    memory_mib: int
    disks: tuple[Disk, ...]
    nics: tuple[Nic, ...]
    labels: dict[str, str]
    console_log: str
    targets: dict[str, str]
    """Serial number → libvirt's name of the disk (`vdb`)."""
    nic_aliases: dict[str, str]
    """Tap → libvirt's alias of the network card; "" in a definition that gives none."""


def domain(spec: DomainSpec, *, kvm: bool) -> str:
    """The document that defines `spec`."""
    root = ET.Element("domain", {"type": "kvm" if kvm else "qemu"})
    _text(root, "name", spec.instance_id)
    _text(root, "uuid", spec.uuid)
    own = ET.SubElement(ET.SubElement(root, "metadata"), f"{{{NAMESPACE}}}instance", {"id": spec.instance_id})
    for key, value in sorted(spec.labels.items()):
        ET.SubElement(own, f"{{{NAMESPACE}}}label", {"name": key}).text = value
    _text(root, "memory", str(spec.memory_mib), unit="MiB")
    _text(root, "vcpu", str(spec.vcpus))
    root.append(_sysinfo(spec))
    os = ET.SubElement(root, "os")
    _text(os, "type", "hvm", arch="x86_64", machine="pc")
    ET.SubElement(os, "smbios", {"mode": "sysinfo"})
    features = ET.SubElement(root, "features")
    for name in ("acpi", "apic"):
        ET.SubElement(features, name)
    root.append(_cpu(kvm=kvm))
    clock = ET.SubElement(root, "clock", {"offset": "utc"})
    ET.SubElement(clock, "timer", {"name": "rtc", "tickpolicy": "catchup"})
    ET.SubElement(clock, "timer", {"name": "pit", "tickpolicy": "delay"})
    ET.SubElement(clock, "timer", {"name": "hpet", "present": "no"})
    for event, action in (("poweroff", "destroy"), ("reboot", "restart"), ("crash", "destroy")):
        _text(root, f"on_{event}", action)
    devices = ET.SubElement(root, "devices")
    for number, item in enumerate(spec.disks):
        devices.append(disk_element(item, target_name(number), boot=number == 0))
    devices.extend(_nic(item) for item in spec.nics)
    devices.extend(_fittings(spec))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode")


def disk(item: Disk, target: str) -> str:
    """The document of one disk, as attaching and detaching take it."""
    return ET.tostring(disk_element(item, target), encoding="unicode")


def disk_element(item: Disk, target: str, *, boot: bool = False) -> ET.Element:
    """`<disk>` for `item` under libvirt's name `target`."""
    network = isinstance(item.source, NbdSource)
    root = ET.Element("disk", {"type": "network" if network else "file", "device": "disk"})
    driver = {"name": "qemu", "discard": "unmap"}
    if isinstance(item.source, NbdSource):
        driver |= {"type": "raw", "cache": "none", "error_policy": "stop", "rerror_policy": "stop"}
        source = ET.Element("source", {"protocol": "nbd", "name": item.source.export})
        ET.SubElement(source, "host", {"transport": "unix", "socket": item.source.socket})
    else:
        driver |= {"type": item.source.format, "cache": "writeback", "detect_zeroes": "unmap"}
        source = ET.Element("source", {"file": item.source.path})
    ET.SubElement(root, "driver", driver)
    root.append(source)
    if isinstance(item.source, FileSource):
        root.append(_backing(item.source.backing))
    ET.SubElement(root, "target", {"dev": target, "bus": "virtio"})
    ET.SubElement(root, "alias", {"name": alias(item.serial)})
    _text(root, "serial", item.serial)
    if item.read_only:
        ET.SubElement(root, "readonly")
    if boot:
        ET.SubElement(root, "boot", {"order": "1"})
    return root


def _backing(source: FileSource | None) -> ET.Element:
    """`<backingStore>` for what a file stands on; the empty one ends the chain, where libvirt would else look itself."""
    if source is None:
        return ET.Element("backingStore")
    root = ET.Element("backingStore", {"type": "file"})
    ET.SubElement(root, "format", {"type": source.format})
    file = ET.SubElement(root, "source", {"file": source.path})
    ET.SubElement(file, "seclabel", {"model": "dac", "relabel": "no"})
    root.append(_backing(source.backing))
    return root


def backup(targets: Mapping[str, str], serial: str, path: str) -> str:
    """The document that has one disk of a running domain copied into a file. `targets`: libvirt's names by serial number."""
    root = ET.Element("domainbackup", {"mode": "push"})
    disks = ET.SubElement(root, "disks")
    for name, target in sorted(targets.items()):
        if name != serial:
            ET.SubElement(disks, "disk", {"name": target, "backup": "no"})
            continue
        disk = ET.SubElement(disks, "disk", {"name": target, "backup": "yes", "type": "file"})
        ET.SubElement(disk, "driver", {"type": "qcow2"})
        ET.SubElement(disk, "target", {"file": path})
    return ET.tostring(root, encoding="unicode")


def nic(item: Nic) -> str:
    """The document of one network card, as attaching and detaching take it."""
    return ET.tostring(_nic(item), encoding="unicode")


def target_name(number: int) -> str:
    """libvirt's name of the disk with this number, from 0: vda ... vdz, vdaa ..."""
    name = ""
    number += 1
    while number:
        number, letter = divmod(number - 1, 26)
        name = _LETTERS[letter] + name
    return "vd" + name


def free_target(used: set[str]) -> str:
    """The first name that no disk has."""
    number = 0
    while target_name(number) in used:
        number += 1
    return target_name(number)


def read_domain(document: str) -> DomainView | None:
    """What a domain's document says; None when it is not one of ours."""
    root = ET.fromstring(document)  # noqa: S314 - libvirt's own output
    own = root.find(f"metadata/{{{NAMESPACE}}}instance")
    if own is None:
        return None
    disks: list[Disk] = []
    targets: dict[str, str] = {}
    for element in root.findall("devices/disk"):
        item = _read_disk(element)
        if item is not None:
            disks.append(item)
            targets[item.serial] = _need(element.find("target"), "disk target").get("dev", "")
    log = root.find("devices/serial/log")
    cards = root.findall("devices/interface")
    return DomainView(
        instance_id=own.get("id", ""),
        uuid=root.findtext("uuid", ""),
        vcpus=int(root.findtext("vcpu", "0")),
        memory_mib=int(root.findtext("memory", "0")) >> 10,  # libvirt answers in KiB, whatever it was given
        disks=tuple(disks),
        nics=tuple(_read_nic(element) for element in cards),
        labels={item.get("name", ""): item.text or "" for item in own.findall(f"{{{NAMESPACE}}}label")},
        console_log="" if log is None else log.get("file", ""),
        targets=targets,
        nic_aliases={_read_nic(element).tap: _alias_of(element) for element in cards},
    )


def alias(serial: str) -> str:
    """The name under which libvirt's events speak of the disk; libvirt leaves the prefix to its users."""
    return "ua-" + serial


def serial_of_alias(name: str) -> str:
    """The serial number behind `alias`; "" for a device that is not one of our disks."""
    return name[3:] if name.startswith("ua-") and not tap_of_alias(name) else ""


def nic_alias(tap: str) -> str:
    """The same for a network card. libvirt overlooks a name with other characters than letters, digits, `-` and `_`; no
    disk's serial number begins like this."""
    return f"{_NIC_ALIAS}{tap}"


def tap_of_alias(name: str) -> str:
    """The tap behind `nic_alias`; "" for a device that is not one of our network cards."""
    return name.removeprefix(_NIC_ALIAS) if name.startswith(_NIC_ALIAS) else ""


def _alias_of(element: ET.Element) -> str:
    found = element.find("alias")
    return "" if found is None else found.get("name", "")


def _read_disk(element: ET.Element) -> Disk | None:
    """None for a disk that is not of our making (no serial number, or a kind we never use)."""
    source, serial = element.find("source"), element.findtext("serial")
    if source is None or not serial:
        return None
    read_only = element.find("readonly") is not None
    if element.get("type") == "file":
        kind = _need(element.find("driver"), "disk driver").get("type", "raw")
        file = FileSource(source.get("file", ""), kind, _read_backing(element))
        return Disk(serial=serial, source=file, read_only=read_only)
    host = source.find("host")
    if source.get("protocol") == "nbd" and host is not None and host.get("transport") == "unix":
        nbd = NbdSource(host.get("socket", ""), source.get("name", ""))
        return Disk(serial=serial, source=nbd, read_only=read_only)
    return None


def _read_backing(element: ET.Element) -> FileSource | None:
    backing = element.find("backingStore")
    source = None if backing is None else backing.find("source")
    if backing is None or source is None:
        return None
    kind = _need(backing.find("format"), "format of a backing file").get("type", "raw")
    return FileSource(source.get("file", ""), kind, _read_backing(backing))


def _read_nic(element: ET.Element) -> Nic:
    target, mtu = element.find("target"), element.find("mtu")
    return Nic(
        mac=_need(element.find("mac"), "interface mac").get("address", ""),
        tap="?" if target is None else target.get("dev", "?"),
        mtu=None if mtu is None else int(mtu.get("size", "0")),
    )


def _nic(item: Nic) -> ET.Element:
    root = ET.Element("interface", {"type": "ethernet"})
    ET.SubElement(root, "mac", {"address": item.mac})
    ET.SubElement(root, "target", {"dev": item.tap, "managed": "yes"})
    ET.SubElement(root, "model", {"type": "virtio"})
    ET.SubElement(root, "alias", {"name": nic_alias(item.tap)})
    if item.mtu is not None:
        ET.SubElement(root, "mtu", {"size": str(item.mtu)})
    ET.SubElement(root, "rom", {"enabled": "no"})
    return root


def _sysinfo(spec: DomainSpec) -> ET.Element:
    root = ET.Element("sysinfo", {"type": "smbios"})
    tables = {
        "bios": {"vendor": "Amazon EC2", "version": "1.0"},
        "system": {
            "manufacturer": "Amazon EC2",
            "product": spec.instance_type or "eucapy",
            "serial": spec.uuid,
            "uuid": spec.uuid,
        },
        "baseBoard": {"manufacturer": "Amazon EC2", "asset": spec.instance_id},
        "chassis": {"manufacturer": "Amazon EC2", "asset": "Amazon EC2"},
    }
    for table, entries in tables.items():
        element = ET.SubElement(root, table)
        for name, value in entries.items():
            _text(element, "entry", value, name=name)
    return root


def _cpu(*, kvm: bool) -> ET.Element:
    if kvm:
        return ET.Element("cpu", {"mode": "host-passthrough", "check": "none", "migratable": "on"})
    root = ET.Element("cpu", {"mode": "custom", "match": "exact", "check": "none"})
    _text(root, "model", EMULATED_CPU, fallback="allow")
    return root


def _fittings(spec: DomainSpec) -> list[ET.Element]:
    serial = ET.Element("serial", {"type": "pty"})
    ET.SubElement(serial, "log", {"file": spec.console_log, "append": "on"})
    ET.SubElement(serial, "target", {"port": "0"})
    console = ET.Element("console", {"type": "pty"})
    ET.SubElement(console, "target", {"type": "serial", "port": "0"})
    agent = ET.Element("channel", {"type": "unix"})
    ET.SubElement(agent, "target", {"type": "virtio", "name": AGENT_CHANNEL})
    rng = ET.Element("rng", {"model": "virtio"})
    _text(rng, "backend", "/dev/urandom", model="random")
    balloon = ET.Element("memballoon", {"model": "virtio"})
    ET.SubElement(balloon, "stats", {"period": "60"})
    video = ET.Element("video")
    ET.SubElement(video, "model", {"type": "vga", "vram": "16384"})
    usb = ET.Element("controller", {"type": "usb", "model": "none"})  # its polling costs an idle guest processor time
    return [serial, console, agent, rng, balloon, video, usb]


def _text(parent: ET.Element, tag: str, text: str, /, **attributes: str) -> None:
    ET.SubElement(parent, tag, attributes).text = text


def _need(element: ET.Element | None, what: str) -> ET.Element:
    if element is None:
        raise HypervisorError(f"a domain's document has no {what}")
    return element
