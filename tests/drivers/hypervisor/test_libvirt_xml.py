"""Documents for libvirt: the golden ones are to be read in a diff (`EUCAPY_REWRITE_GOLDEN=1` writes them anew)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from eucapy.drivers.hypervisor import libvirt_xml
from eucapy.drivers.hypervisor.base import Disk, DomainSpec, FileSource, NbdSource, Nic, disk_serial, ec2_uuid

GOLDEN = Path(__file__).parent / "golden"

SPEC = DomainSpec(
    instance_id="i-0123456789abcdef0",
    uuid="ec2e1916-9099-4caf-8d21-012345abcdef",
    vcpus=2,
    memory_mib=1024,
    disks=(
        Disk(
            serial="root",
            source=FileSource(
                "/var/lib/eucapy/i-0123456789abcdef0/root.qcow2",
                backing=FileSource("/var/lib/eucapy/images/0123.raw", "raw"),
            ),
        ),
        Disk(serial="vol0a1b2c3d4e5f60718", source=NbdSource("/run/eucapy/vol.sock", "vol-0a1b2c3d4e5f60718")),
    ),
    nics=(Nic(mac="02:aa:bb:cc:dd:ee", tap="veni0123456789a", mtu=1450),),
    console_log="/var/lib/eucapy/i-0123456789abcdef0/console.log",
    instance_type="t3.micro",
    labels={"starts": "1"},
)


@pytest.mark.parametrize("kvm", [True, False], ids=["kvm", "emulation"])
def test_the_document_of_a_domain_is_the_golden_one(kvm: bool) -> None:
    golden = GOLDEN / f"domain-{'kvm' if kvm else 'emulation'}.xml"
    document = libvirt_xml.domain(SPEC, kvm=kvm) + "\n"
    if os.environ.get("EUCAPY_REWRITE_GOLDEN"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(document)
    assert document == golden.read_text()


def test_a_document_is_read_back_as_what_it_was_made_from() -> None:
    document = libvirt_xml.domain(SPEC, kvm=False).replace('<memory unit="MiB">1024', '<memory unit="KiB">1048576')
    view = libvirt_xml.read_domain(document)
    assert view is not None
    assert (view.instance_id, view.uuid, view.vcpus, view.memory_mib) == (SPEC.instance_id, SPEC.uuid, 2, 1024)
    assert (view.disks, view.nics, view.labels) == (SPEC.disks, SPEC.nics, SPEC.labels)
    assert view.console_log == SPEC.console_log
    assert view.targets == {"root": "vda", "vol0a1b2c3d4e5f60718": "vdb"}


def test_text_from_outside_stays_text() -> None:
    hostile = '"/><disk type="file"/>&lt;'
    spec = DomainSpec(
        instance_id="i-1",
        uuid=SPEC.uuid,
        vcpus=1,
        memory_mib=64,
        disks=SPEC.disks,
        console_log="/a&b<c>",
        instance_type=hostile,
        labels={hostile: hostile},
    )
    view = libvirt_xml.read_domain(libvirt_xml.domain(spec, kvm=False))
    assert view is not None
    assert (view.labels, view.console_log, view.disks) == ({hostile: hostile}, "/a&b<c>", SPEC.disks)


def test_a_document_without_our_metadata_is_not_ours() -> None:
    assert libvirt_xml.read_domain("<domain><name>i-1</name></domain>") is None


def test_disk_names_count_like_libvirts() -> None:
    names = [libvirt_xml.target_name(number) for number in (0, 1, 25, 26, 27, 51, 52, 701, 702)]
    assert names == ["vda", "vdb", "vdz", "vdaa", "vdab", "vdaz", "vdba", "vdzz", "vdaaa"]
    assert libvirt_xml.free_target({"vda", "vdc"}) == "vdb"


def test_serials_and_uuids_are_those_of_aws() -> None:
    assert disk_serial("vol-0123456789abcdef0") == "vol0123456789abcdef0"
    assert ec2_uuid("12345678-9099-4CAF-8d21-012345abcdef") == "ec245678-9099-4caf-8d21-012345abcdef"


@pytest.mark.parametrize("serial", ["", "with space", "vol-0123456789abcdef0", 'a"b', "a.b"])
def test_a_serial_that_a_guest_could_not_see_whole_is_refused(serial: str) -> None:
    with pytest.raises(ValueError, match="disk serial"):
        Disk(serial=serial, source=FileSource("/x"))
