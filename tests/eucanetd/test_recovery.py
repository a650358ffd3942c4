"""Killed at any step, with everything real; and remains of the past that must not be in the way."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from eucapy.drivers.network import netns
from eucapy.drivers.network.model import Step
from eucapy.run import run_now
from eucapy.wire.network import RemoteSpec
from tests.eucanetd.cloud import Node, network_cloud
from tests.eucanetd.specs import port, vpc
from tests.harness.topology import open_tap

pytestmark = pytest.mark.host

NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}
ONE = port(1, "10.0.0.11", public=(("10.0.0.11", "198.51.100.101"),))
VPC = vpc(remotes=(RemoteSpec(ip="10.0.0.99", node="n2"),))


class Killed(BaseException):
    """The process ends here."""


def kill_after(node: Node, count: int) -> list[Step]:
    """The agent takes `count` more steps and is no more; the list is of those that it took."""
    taken: list[Step] = []
    apply = node.driver.apply

    async def counting(steps: Sequence[Step]) -> None:
        for step in steps:
            if len(taken) == count:
                raise Killed
            await apply([step])
            taken.append(step)

    node.driver.apply = counting  # type: ignore[method-assign]
    return taken


async def test_killed_after_any_real_step_the_next_life_finishes_the_work() -> None:
    async with network_cloud() as cloud:
        node = cloud.node

        async def lay_out(kill_at: int) -> tuple[frozenset[object], int]:
            tap = open_tap(node.host.name, ONE.tap)
            try:
                taken = kill_after(node, kill_at)
                try:
                    await node.give([VPC], [ONE], nodes=NODES)
                except Killed:
                    await node.restart()
                    status = await node.settle()
                    assert status.ports["eni-1"].plugged, f"killed after {taken[-1:]}"
                return (await node.driver.observe()).things, len(taken)
            finally:
                await node.agent.close()
                os.close(tap)
                await node.remove_everything()
                shutil.rmtree(node.folder / "data")
                await node.restart()

        wanted, steps = await lay_out(10_000)
        assert steps > 20
        for count in range(steps):
            assert (await lay_out(count))[0] == wanted, f"killed after {count} steps"


async def test_a_vpc_comes_back_while_something_still_holds_its_former_namespace() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([VPC], [], nodes=NODES)
        holder = netns.listen_in(node.layout.namespace("vpc-a"), "169.254.169.254", 80)
        try:
            await node.give([], [])
            status = await node.give([VPC], [ONE], nodes=NODES)
            assert status.vpcs == ("vpc-a",)
            guest = node.guest(ONE)
            assert (await node.settle()).ports["eni-1"].plugged
            assert guest.ping("10.0.0.1")
        finally:
            holder.close()


async def test_a_namespace_whose_name_was_deleted_is_named_again_with_all_that_is_in_it() -> None:
    """`ip netns delete` takes the name: what still runs inside keeps the namespace, and the guests' taps with it."""
    two = port(2, "10.0.0.12")
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([VPC], [ONE, two], nodes=NODES)
        first, second = node.guest(ONE), node.guest(two)
        await node.settle()
        second.serve(80)
        name = node.layout.namespace("vpc-a")
        before = netns.path(name).stat().st_ino
        with first.connect("10.0.0.12", 80) as connection:
            run_now("ip", "netns", "delete", name)
            status = await node.settle()
            assert status.ports["eni-1"].plugged and status.fault is None
            assert netns.path(name).stat().st_ino == before
            connection.sendall(b"still\n")
            assert connection.recv(64)
        assert first.ping("10.0.0.12")
        await node.settle()
        assert not node.agent.loop.last.changed  # type: ignore[union-attr]


async def test_a_namespace_that_died_with_its_name_is_made_anew() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([VPC], [], nodes=NODES)
        name = node.layout.namespace("vpc-a")
        pid = int((node.folder / "run" / name / "pid").read_text())
        run_now("ip", "netns", "delete", name)
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        await node.settle()
        assert (await node.settle()).vpcs == ("vpc-a",)
        await node.give([VPC], [ONE], nodes=NODES)
        guest = node.guest(ONE)
        await node.settle()
        assert guest.ping("10.0.0.1")


async def test_a_resolver_that_died_is_started_again() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([VPC], [ONE], nodes=NODES)
        guest = node.guest(ONE)
        await node.settle()
        pid = int((node.folder / "run" / node.layout.namespace("vpc-a") / "pid").read_text())
        os.kill(pid, signal.SIGKILL)
        wait_for_end(pid)
        query = ("busybox", "nslookup", "-type=a", "instance-data.ec2.internal", "10.0.0.2")
        assert "169.254.169.254" not in guest.run(*query, check=False).stdout
        await node.settle()
        assert "169.254.169.254" in guest.run(*query, check=False).stdout


def wait_for_end(pid: int) -> None:
    """Until the process is gone, or a zombie that nobody has asked after yet."""
    stat = Path(f"/proc/{pid}/stat")
    while stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX":
        os.sched_yield()
