"""`python -m benchmarks.launch`: from RunInstances to the guest's own first line, and the same QEMU started by hand.

A laboratory of one node (the six programs as processes, real libvirt, the starter image) launches an instance; what its
QEMU was started with is read from the kernel. The same command is then started by hand over a fresh copy-on-write disk of
the same image. Rounds alternate, so that a change of the machine's mood meets both. Needs root, libvirt and QEMU.

The clock starts with the request, by hand with the process; it stops when the guest's first line is in the console log.
What the cloud adds is the difference of the medians; the time until QEMU's process is there shows which half adds it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eucapy.run import Child, run_now, spawn

FIRST_LINE = re.compile(rb"starter\[|Linux version")
"""The starter's kernel is quiet: its init is the first to speak, before it asks the network for anything."""
LIMIT_S = 240.0
LOOK_S = 0.002
TARGET_S = 1.0


@dataclass(frozen=True)
class Launched:
    """Seconds since the request, and the QEMU that it led to."""

    answered: float
    qemu: float
    first_line: float
    running: float


@dataclass(frozen=True)
class Disk:
    """A copy-on-write disk: its image, that one's format, and how large it looks."""

    base: Path
    format: str
    virtual_bytes: int


class CommandOnly(Exception):
    """The command line has something that this benchmark does not know how to start by hand."""


def by_hand(argv: Sequence[str], disk: Path, console: Path) -> list[str]:
    """libvirt's command line, to be started without libvirt: the same machine over another disk, its console in a file.

    What libvirt handed over as open files (monitor, tap, vhost) stays away: a monitor of our own is not needed, and a
    network card keeps its device with nothing plugged into it. `-S` goes too, because nobody would tell it to continue.
    """
    out: list[str] = []
    rest = iter(argv)
    for word in rest:
        if word in ("-S", "-mon", "-add-fd"):
            if word != "-S":
                next(rest)
            continue
        if word in ("-name", "-object", "-chardev", "-netdev", "-blockdev"):
            value = _argument(word, next(rest), disk, console)
            out += [] if value is None else [word, value]
            continue
        out.append(word)
    return out


def _argument(word: str, value: str, disk: Path, console: Path) -> str | None:
    if word == "-name":
        return "by-hand"
    if word == "-object" and '"secret"' in value:
        return None
    if word == "-chardev":
        name = _id(value)
        return f"file,id={name},path={console}" if "serial" in name else f"null,id={name}"
    if word == "-netdev":
        hub = int(re.sub(r"\D", "", _id(value)) or 0)
        return json.dumps({"type": "hubport", "id": _id(value), "hubid": hub})
    if word == "-blockdev" and '"filename":' in value and "root.qcow2" in value:
        node = json.loads(value)
        node["filename"] = str(disk)
        return json.dumps(node)
    return value


def _id(value: str) -> str:
    """The `id` of an option, in either of QEMU's forms."""
    if value.startswith("{"):
        return str(json.loads(value)["id"])
    found = re.search(r"\bid=([^,]+)", value)
    if found is None:
        raise CommandOnly(value)
    return found[1]


def first_line_at(console: Path, until: float) -> float:
    """The moment (of `time.monotonic`) when the guest's first line is there. Raises TimeoutError."""
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError):
            if FIRST_LINE.search(console.read_bytes()):
                return time.monotonic()
        time.sleep(LOOK_S)
    raise TimeoutError(f"no first line in {console}")


def process_of(instance_id: str, until: float) -> int:
    """The QEMU of an instance, once there is one."""
    wanted = f"guest={instance_id},".encode()
    while time.monotonic() < until:
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if wanted in (entry / "cmdline").read_bytes():
                        return int(entry.name)
        time.sleep(LOOK_S)
    raise TimeoutError(f"no QEMU of {instance_id}")


def begun_at(pid: int) -> float:
    """When a process began, by `time.monotonic`, to a hundredth of a second."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    since_boot = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic() - (since_boot - ticks / os.sysconf("SC_CLK_TCK"))


class Cloud:
    """The laboratory, with an image."""

    def __init__(self, lab: Any, ami: str) -> None:
        self._lab, self._ami = lab, ami
        self._ec2 = lab.client("ec2")

    def launch(self) -> tuple[Launched, list[str], Disk]:
        """One launch: its times, QEMU's command line and its root disk. The instance is gone afterwards."""
        begun = time.monotonic()
        made = self._ec2.run_instances(ImageId=self._ami, MinCount=1, MaxCount=1, InstanceType="t2.nano")
        answered = time.monotonic()
        instance_id = made["Instances"][0]["InstanceId"]
        console = self._lab.folder / "n1" / "nc" / "instances" / instance_id / "console.log"
        first = first_line_at(console, begun + LIMIT_S)
        pid = process_of(instance_id, begun + LIMIT_S)
        argv = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        self._wait("instance_running", instance_id)
        running = time.monotonic()
        times = Launched(answered - begun, begun_at(pid) - begun, first - begun, running - begun)
        disk = disk_of(console.with_name("root.qcow2"))
        self._ec2.terminate_instances(InstanceIds=[instance_id])
        self._wait("instance_terminated", instance_id)
        return times, argv, disk

    def _wait(self, waiter: str, instance_id: str) -> None:
        self._ec2.get_waiter(waiter).wait(InstanceIds=[instance_id], WaiterConfig={"Delay": 1, "MaxAttempts": 120})


def disk_of(path: Path) -> Disk:
    """What a copy-on-write disk stands on."""
    facts = json.loads(run_now("qemu-img", "info", "-U", "--output=json", str(path)).stdout)
    return Disk(Path(facts["full-backing-filename"]), facts["backing-filename-format"], facts["virtual-size"])


def start_by_hand(argv: Sequence[str], like: Disk) -> float:
    """Seconds from the start of the process to the guest's first line."""
    with tempfile.TemporaryDirectory(prefix="bench-launch-") as name:
        folder = Path(name)
        disk, console = folder / "root.qcow2", folder / "console.log"
        over = ["-b", str(like.base), "-F", like.format]
        run_now("qemu-img", "create", "-q", "-f", "qcow2", *over, str(disk), str(like.virtual_bytes))
        command = by_hand(argv, disk, console)
        begun = time.monotonic()
        with (folder / "qemu.log").open("wb") as log:
            child = spawn(command, output=log)
        try:
            return _first_line_of(child, console, folder / "qemu.log", begun)
        finally:
            child.kill()
            child.wait(30)


def _first_line_of(child: Child, console: Path, log: Path, begun: float) -> float:
    while True:
        with contextlib.suppress(TimeoutError):
            return first_line_at(console, time.monotonic() + 1.0) - begun
        if child.poll() is not None or time.monotonic() - begun > LIMIT_S:
            raise RuntimeError(f"QEMU by hand: {log.read_text(errors='replace')[-1000:]}")


@contextlib.contextmanager
def laboratory() -> Iterator[Cloud]:
    """The six programs on one node, with the starter image."""
    from tests.harness.lab import Lab
    from tests.harness.starter import starter_image

    image = starter_image()
    with Lab(nodes=1) as lab:
        yield Cloud(lab, lab.image(image, "starter"))


def summary(launches: Sequence[Launched], hands: Sequence[float]) -> str:
    """The table."""

    def row(name: str, values: Sequence[float]) -> str:
        return f"| {name} | {statistics.median(values):.2f} | {min(values):.2f} |"

    added = statistics.median(one.first_line for one in launches) - statistics.median(hands)
    lines = ["| seconds | median | best |", "|---|---|---|"]
    lines.append(row("RunInstances → its answer", [one.answered for one in launches]))
    lines.append(row("RunInstances → QEMU's process", [one.qemu for one in launches]))
    lines.append(row("RunInstances → the guest's first line", [one.first_line for one in launches]))
    lines.append(row("RunInstances → `running` seen by a waiter of 1 s", [one.running for one in launches]))
    lines.append(row("the same QEMU by hand → the guest's first line", hands))
    verdict = "reached" if added <= TARGET_S else "**missed**"
    lines += ["", f"The cloud adds {added:.2f} s (to reach: ≤ {TARGET_S:g}): {verdict}."]
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 1 when it could not be measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.launch", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count, after one that fills the caches (5)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the laboratory goes with us, whoever ends us
    launches: list[Launched] = []
    hands: list[float] = []
    with laboratory() as cloud:
        for turn in range(options.rounds + 1):
            times, argv, disk = cloud.launch()
            hand = start_by_hand(argv, disk)
            print(json.dumps({"round": turn, **asdict(times), "by_hand": hand}), file=sys.stderr, flush=True)
            if turn:
                launches.append(times)
                hands.append(hand)
    print(summary(launches, hands))
    return 0


if __name__ == "__main__":
    sys.exit(main())
