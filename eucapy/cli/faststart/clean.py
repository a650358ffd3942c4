"""`./faststart clean`: takes away everything that the installation made, and nothing else.

In an order that leaves nothing running without its keeper: programs, guests, volume exports, network, what was changed of
the host (`traces.py`), units and links, the AWS profile, and last the data folder with the record of all this. Every part is
found by what only this cloud has: its data folder (in the command lines of its processes), the prefix of its network
namespaces and what is named after it, and the list of files in its record. It can be run again after a failure.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from eucapy.cli.faststart import aws_profile, traces
from eucapy.cli.faststart.progress import Progress
from eucapy.cli.faststart.running import stop_programs
from eucapy.cli.faststart.systemd import Units
from eucapy.cli.installation import FOLDERS, Installation, Record
from eucapy.drivers.network import netns
from eucapy.drivers.network.base import StepFailed
from eucapy.drivers.network.removal import remove_now
from eucapy.run import RunError, run_now

TABLE_FAMILIES = ("inet", "arp")
_END_WITHIN_S = 10.0
_OWN_FILES = (*FOLDERS, "installation.json")


def clean(installation: Installation, progress: Progress) -> None:
    """Take the cloud in this data folder away. Raises CliError when there is none."""
    record = installation.record()
    with progress.step("stopping the cloud's programs"):
        stop_programs(installation, record)
    with progress.step("ending guests and volume exports") as step:
        step.result(f"{end_processes(installation.data)} processes")
    with progress.step("removing the network") as step:
        step.result(f"{remove_network(record)} namespaces")
    with progress.step("putting the host back") as step:
        step.result(", ".join(traces.put_back(record)) or "nothing to put back")
    if record.supervised_by == "systemd":
        with progress.step("removing the systemd units"):
            Units.of(installation, record).remove()
    if record.profile:
        with progress.step(f"removing the AWS profile {record.profile}"):
            aws_profile.remove(Path(record.profile_home), record.profile)
    for made in record.made:
        Path(made).unlink(missing_ok=True)
    with progress.step(f"removing {installation.data}") as step:
        left = remove_folder(installation.data)
        if left:
            step.result(f"kept, for it holds what is not ours: {', '.join(left)}")


def processes_below(data: Path) -> Iterator[int]:
    """Guests (QEMU), volume exporters, name servers and routers' voices of this cloud: programs that name a path below its
    folder."""
    marker = os.fsencode(f"{data}/")
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        names = [word.rpartition(b"/")[2] for word in words]
        ours = names[0].startswith((b"qemu-", b"dnsmasq")) or b"advertising.py" in names
        if ours and any(marker in word for word in words[1:]):
            yield int(entry.name)


def end_processes(data: Path) -> int:
    """End them, politely first; how many there were."""
    found = set(processes_below(data))
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in set(processes_below(data)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + _END_WITHIN_S
        while time.monotonic() < deadline and set(processes_below(data)):
            time.sleep(0.1)
    return len(found)


def remove_network(record: Record) -> int:
    """Remove this cloud's namespaces (with all links and rules in them) and its tables; how many namespaces."""
    found = netns.of_vpcs(record.prefix)
    if os.geteuid() == 0 and shutil.which("nft"):
        with contextlib.suppress(StepFailed, OSError):  # what is left is taken away below, all but its traces outside
            remove_now(record.prefix, Path("/run/eucapy") / record.prefix)
    for name in found:
        run_now("ip", "netns", "delete", name, check=False)
    for family in TABLE_FAMILIES:
        with contextlib.suppress(RunError):
            run_now("nft", "delete", "table", family, netns.node_table(record.prefix), check=False)
    return len(found)


def remove_folder(data: Path) -> list[str]:
    """Remove what is ours in the data folder, and the folder when nothing else is in it; what was left."""
    for mount in sorted(mounts_below(data), reverse=True):
        run_now("umount", "--lazy", mount, check=False)
    for name in _OWN_FILES:
        path = data / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    left = sorted(path.name for path in data.iterdir())
    if not left:
        data.rmdir()
    return left


def mounts_below(data: Path, table: Path = Path("/proc/self/mounts")) -> list[str]:
    """Mount points below the folder."""
    points = (line.split()[1] for line in table.read_text().splitlines())
    return [point for point in points if point.startswith(f"{data}/")]
