"""What the cloud changes of the host is put back: all that it changed, and nothing else."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eucapy.cli.faststart import traces
from eucapy.cli.installation import Installation, Record
from eucapy.run import run_now


class Machine:
    """A host on paper."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.users: set[str] = set()
        self.addresses = ["10.0.0.5/24"]
        self.links, self.namespaces, self.processes = folder / "net", folder / "netns", folder / "proc"
        for made in (self.links, self.namespaces, self.processes):
            made.mkdir()
        self.forwarding, self.owner = folder / "ip_forward", folder / "package"
        self.forwarding.write_text("0\n")
        monkeypatch.setattr(traces, "FORWARDING", self.forwarding)
        monkeypatch.setattr(traces, "_LINKS", self.links)
        monkeypatch.setattr(traces, "_NAMESPACES", self.namespaces)
        monkeypatch.setattr(traces, "_PROCESSES", self.processes)
        monkeypatch.setattr(traces, "_OWNER", self.owner)
        monkeypatch.setattr(traces.libvirtd, "ensure_qemu_user", lambda: self.users.add("libvirt-qemu"))
        monkeypatch.setattr(traces, "run_now", self._run)
        monkeypatch.setattr(pwd, "getpwnam", self._user)

    def _user(self, name: str) -> Any:
        if name not in self.users:
            raise KeyError(name)
        return SimpleNamespace(pw_uid=os.getuid())

    def _run(self, *argv: str) -> Any:
        match argv:
            case ("userdel", name):
                self.users.remove(name)
            case ("useradd", *_, name):
                self.users.add(name)
            case ("ip", "-json", *_):
                info = [
                    {"local": one.partition("/")[0], "prefixlen": int(one.partition("/")[2])} for one in self.addresses
                ]
                return SimpleNamespace(stdout=json.dumps([{"ifname": "lo", "addr_info": [{}, *info]}]))
            case ("ip", "address", "add", address, "dev", "lo"):
                self.addresses.append(address)
            case ("ip", "address", "delete", address, "dev", "lo"):
                self.addresses.remove(address)
            case _:
                raise AssertionError(argv)
        return SimpleNamespace(stdout="")

    @property
    def as_it_was(self) -> bool:
        return not self.users and self.forwarding.read_text() == "0\n"


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    folder = tmp_path / "host"
    folder.mkdir()
    return Machine(folder, monkeypatch)


def used(machine: Machine, data: Path) -> Record:
    """A cloud was installed, started twice, and has run."""
    installation = Installation(data)
    installation.save(Record())
    for _ in range(2):
        record = installation.record()
        traces.note_and_prepare(installation, record)
        machine.forwarding.write_text("1\n")
    assert machine.users == {"libvirt-qemu", traces.STORAGE_USER}
    return installation.record()


def test_a_host_is_as_it_was(machine: Machine, tmp_path: Path) -> None:
    record = used(machine, tmp_path / "cloud")
    assert len(traces.put_back(record)) == 3
    assert machine.as_it_was
    assert traces.put_back(record) == []


def test_what_was_so_before_stays_so(machine: Machine, tmp_path: Path) -> None:
    machine.users |= {"libvirt-qemu", traces.STORAGE_USER}
    machine.forwarding.write_text("1\n")
    assert traces.put_back(used(machine, tmp_path / "cloud")) == []
    assert (machine.users, machine.forwarding.read_text()) == ({"libvirt-qemu", traces.STORAGE_USER}, "1\n")


def test_a_user_of_running_programs_stays(machine: Machine, tmp_path: Path) -> None:
    record = used(machine, tmp_path / "cloud")
    (machine.processes / "4711").mkdir()
    assert traces.put_back(record) == ["IP forwarding is off again"]
    assert machine.users == {"libvirt-qemu", traces.STORAGE_USER}


def test_a_user_that_a_package_looks_after_by_now_stays(machine: Machine, tmp_path: Path) -> None:
    record = used(machine, tmp_path / "cloud")
    machine.owner.touch()
    traces.put_back(record)
    assert machine.users == {"libvirt-qemu"}


@pytest.mark.parametrize("other", ["bridge", "namespace"])
def test_forwarding_that_others_may_need_by_now_stays(machine: Machine, tmp_path: Path, other: str) -> None:
    record = used(machine, tmp_path / "cloud")
    folder = machine.links / "docker0" / "bridge" if other == "bridge" else machine.namespaces / "lab"
    folder.mkdir(parents=True)
    traces.put_back(record)
    assert machine.forwarding.read_text() == "1\n"


def test_a_host_with_loopback_alone_gets_an_address_to_talk_with_guests_from(machine: Machine, tmp_path: Path) -> None:
    machine.addresses = []
    record = used(machine, tmp_path / "cloud")
    assert machine.addresses == [traces.OWN_ADDRESS]
    traces.put_back(record)
    assert machine.addresses == []


def test_a_host_that_has_an_address_gets_no_other(machine: Machine, tmp_path: Path) -> None:
    record = used(machine, tmp_path / "cloud")
    machine.addresses.append(traces.OWN_ADDRESS)  # somebody else's doing
    traces.put_back(record)
    assert machine.addresses == ["10.0.0.5/24", traces.OWN_ADDRESS]


ALONE = """
set -e
ip link set lo up
ip link add guests type veth peer name transit
ip link set guests up && ip link set transit up
ip route add 240.0.0.1/32 dev guests && ip route add 198.51.100.57/32 via 240.0.0.1 dev guests
ip route get 198.51.100.57
ip address add {address} dev lo
ip route get 198.51.100.57
"""


@pytest.mark.host
def test_the_kernel_takes_that_address_for_the_way_to_guests() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: makes a network namespace")
    script = ALONE.format(address=traces.OWN_ADDRESS)
    before, after = run_now("unshare", "--net", "sh", "-c", script).stdout.split("198.51.100.57 via")[1:]
    assert (" src " in before, " src 192.0.0.8 " in after) == (False, True)
