"""What the facts about a machine mean: refused, warned of, or fine, and always in words that say what to do."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from eucapy.cli.faststart.checks import Finding, Level, judge
from eucapy.cli.faststart.machine import Machine, gather, local_networks, package_mirror

GOOD = Machine(
    root=True,
    distribution="Debian GNU/Linux 12 (bookworm)",
    architecture="x86_64",
    processors=4,
    virtualization="vmx",
    kvm=True,
    kvm_reason="a trial machine ran under KVM",
    memory_mib=16000,
    available_memory_mib=12000,
    disk_free_gib=200.0,
    closed_folder="",
    resolves=("deb.debian.org", True),
    ports_taken=(),
    tun=True,
    namespaces=True,
    default_interface="eth0",
    systemd=True,
)


def finding(what: str, **changed: Any) -> Finding:
    return next(found for found in judge(dataclasses.replace(GOOD, **changed)) if found.what == what)


def test_a_good_machine_has_nothing_to_be_told() -> None:
    assert {found.level for found in judge(GOOD)} == {Level.GOOD}
    assert [found.advice for found in judge(GOOD) if found.advice] == []


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("root", {"root": False}),
        ("system", {"architecture": "aarch64"}),
        ("memory", {"memory_mib": 1024}),
        ("disk", {"disk_free_gib": 1.0}),
        ("folder", {"closed_folder": "/root"}),
        ("ports", {"ports_taken": (8773, 8774)}),
        ("network", {"tun": False}),
    ],
)
def test_what_a_cloud_cannot_do_without_stops_the_installation(what: str, changed: dict[str, Any]) -> None:
    found = finding(what, **changed)
    assert found.level is Level.MISSING
    assert found.advice


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("processor", {"virtualization": "", "kvm": False}),
        ("processor", {"kvm": False, "kvm_reason": "/dev/kvm is not there or not ours to open"}),
        ("memory", {"memory_mib": 3000}),
        ("disk", {"disk_free_gib": 8.0}),
        ("DNS", {"resolves": ("deb.debian.org", False)}),
        ("network", {"default_interface": ""}),
    ],
)
def test_what_only_makes_it_worse_is_a_warning_with_advice(what: str, changed: dict[str, Any]) -> None:
    found = finding(what, **changed)
    assert found.level is Level.WARNING
    assert found.advice


def test_a_kvm_device_that_no_guest_can_use_is_not_called_kvm() -> None:
    found = finding("processor", kvm=False, kvm_reason="a trial machine under kvm failed")
    assert "a trial machine under kvm failed" in found.found
    assert "emulated" in found.advice


def test_the_ports_in_use_are_named() -> None:
    assert "8773, 8774" in finding("ports", ports_taken=(8773, 8774)).found


def test_the_facts_of_this_machine_can_be_gathered() -> None:
    found = gather(Path("/nonexistent/folder"), [], "localhost")
    assert found.processors >= 1
    assert found.memory_mib > 100
    assert found.resolves == ("localhost", True)
    assert judge(found)


def test_a_folder_that_guests_processes_cannot_enter_is_named(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    tmp_path.chmod(0o711)
    assert gather(closed / "a" / "cloud", [], "localhost").closed_folder == str(closed)
    assert gather(Path("/var/lib/cloud"), [], "localhost").closed_folder == ""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "sources.list",
            "# deb http://old.example.org/debian stable main\ndeb http://mirror.example.org/debian x main\n",
        ),
        ("sources.list.d/d.sources", "Types: deb\nURIs: https://user@mirror.example.org:8080/debian\nSuites: x\n"),
    ],
)
def test_the_package_mirror_is_read_from_apts_own_configuration(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    assert package_mirror(tmp_path) == "mirror.example.org"


def test_local_networks_are_the_routes_without_the_default(tmp_path: Path) -> None:
    routes = tmp_path / "route"
    routes.write_text(
        "Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT\n"
        "eth0 00000000 0100A8C0 0003 0 0 0 00000000 0 0 0\n"
        "eth0 0000A8C0 00000000 0001 0 0 0 0000FFFF 0 0 0\n"
    )
    assert [(name, str(network)) for name, network in local_networks(routes)] == [("eth0", "192.168.0.0/16")]
