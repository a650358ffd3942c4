"""The launch benchmark's own reckoning: what is started by hand, and what is made of the times. No guest is started here."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest

from benchmarks.launch import CommandOnly, Disk, Launched, by_hand, summary

DISK, CONSOLE = Path("/tmp/copy.qcow2"), Path("/tmp/console.log")
LIBVIRTS = [
    "/usr/bin/qemu-system-x86_64", "-name", "guest=i-1,debug-threads=on", "-S",
    "-object", '{"qom-type":"secret","id":"masterKey0","format":"raw","file":"/run/master-key.aes"}',
    "-object", '{"qom-type":"rng-random","id":"objrng0","filename":"/dev/urandom"}',
    "-machine", "pc-q35-7.2,usb=off", "-accel", "tcg", "-m", "512",
    "-chardev", "socket,id=charmonitor,fd=24,server=on,wait=off", "-mon", "chardev=charmonitor,id=monitor,mode=control",
    "-blockdev", '{"driver":"file","filename":"/data/images/base.qcow2","node-name":"libvirt-2-storage","read-only":true}',
    "-blockdev", '{"driver":"file","filename":"/data/instances/i-1/root.qcow2","node-name":"libvirt-1-storage"}',
    "-netdev", '{"type":"tap","fd":"25","vhost":true,"vhostfd":"27","id":"hostnet0"}',
    "-device", '{"driver":"virtio-net-pci","netdev":"hostnet0","id":"net0","mac":"02:00:00:00:00:01"}',
    "-add-fd", "set=0,fd=26,opaque=serial0-log",
    "-chardev", "null,id=charserial0,logfile=/dev/fdset/0,logappend=on", "-serial", "chardev:charserial0",
    "-chardev", "socket,id=charchannel0,fd=23,server=on,wait=off", "-sandbox", "on", "-msg", "timestamp=on",
]  # fmt: skip


def test_the_same_machine_starts_by_hand_with_nothing_of_libvirts() -> None:
    command = by_hand(LIBVIRTS, DISK, CONSOLE)
    text = " ".join(command)
    assert not [word for word in ("-S", "-mon", "-add-fd") if word in command]
    assert not [gone for gone in ("fd=", '"fd"', "masterKey0", "i-1") if gone in text]
    assert f"file,id=charserial0,path={CONSOLE}" in command
    assert "null,id=charchannel0" in command
    files = [json.loads(after)["filename"] for word, after in itertools.pairwise(command) if word == "-blockdev"]
    assert files == ["/data/images/base.qcow2", str(DISK)]
    kept = ["-machine", "pc-q35-7.2,usb=off", "-accel", "tcg", "-m", "512", "-sandbox", "on"]
    assert [word for word in command if word in kept] == kept
    assert '{"type": "hubport", "id": "hostnet0", "hubid": 0}' in command


def test_a_command_that_is_not_understood_is_not_started() -> None:
    with pytest.raises(CommandOnly):
        by_hand(["qemu", "-chardev", "stdio"], DISK, CONSOLE)


def test_what_the_cloud_adds_is_the_difference_of_the_medians() -> None:
    launches = [Launched(0.1, 0.5, first, first + 1) for first in (3.0, 9.0, 4.0)]
    assert "The cloud adds 1.00 s (to reach: ≤ 1): reached." in summary(launches, [2.0, 3.0, 8.0])
    assert "The cloud adds 2.50 s (to reach: ≤ 1): **missed**." in summary(launches, [1.0, 1.5, 8.0])
    assert Disk(Path("a"), "qcow2", 1).virtual_bytes == 1
