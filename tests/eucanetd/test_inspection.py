"""`eucapy network`: what it says of a node is what the node has, and it changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from eucapy import config
from eucapy.cli.main import main
from eucapy.drivers.network.fake import FakeNetwork
from eucapy.drivers.network.linux import counters
from eucapy.drivers.network.model import Route
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.inspection import inspect, line
from eucapy.ledger import Ledger
from eucapy.wire.network import NetworkSpec
from tests.eucanetd.cloud import network_cloud
from tests.eucanetd.specs import network, port, vpc, vpc6

ONE, TWO = port(1, "10.0.0.11"), port(2, "10.0.0.12")


def test_a_thing_is_one_line() -> None:
    assert line(Route(namespace="n", to="10.0.0.11/32", link="tap1")) == "route 10.0.0.11/32 link=tap1"


async def test_what_a_node_was_told_and_has_not_is_the_difference(tmp_path: Path) -> None:
    Ledger(tmp_path / "spec.json", NetworkSpec).write(network(7, [vpc()], [ONE]))
    driver = FakeNetwork()
    seen = await inspect(tmp_path, driver, Layout())
    assert seen.generation == 7
    assert "address lo 169.254.169.254" in seen.plan("vpc-a")
    assert seen.changes("vpc-a")[0].startswith("+ namespace")
    assert driver.steps_taken == 0


async def test_what_a_node_has_of_ipv6_is_shown(tmp_path: Path) -> None:
    dual = port(1, "10.0.0.11", ipv6s=("2001:db8:a::11",), way6="internet")
    Ledger(tmp_path / "spec.json", NetworkSpec).write(network(7, [vpc6()], [dual]))
    driver = FakeNetwork()
    driver.plug(dual.tap)
    shown = (await inspect(tmp_path, driver, Layout(public6=True, uplink="eth1"))).plan("vpc-a")
    for words in (
        "namespace ready=True ipv6=True",
        "address tap1 fe80::65:75ff:fe63:6100",
        "address lo 2001:db8:a::1",
        "neighbour tap1 2001:db8:a::11 mac=02:00:00:00:00:01",
        "route 2001:db8:a::11/128 link=tap1",
        "route 2001:db8:a::/56",
        "public eth1 2001:db8:a::11",
    ):
        assert words in shown
    assert any(each.startswith("advertiser digest=") for each in shown)


def settings(folder: Path) -> str:
    path = folder / "eucanetd.toml"
    path.write_text(config.dump({"data": str(folder), "run": str(folder / "run"), "driver": "fake", "pki": ""}))
    return str(path)


def test_the_command_shows_plan_and_difference(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = settings(tmp_path)
    assert main(["network", "diff", "node", "--json", "--config", file]) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["generation"], answer["faults"], answer["strangers"]) == (0, {}, [])
    assert [each[:9] for each in answer["diff"]["node"]] == ["+ setting", "+ ruleset"]
    Ledger(tmp_path / "spec.json", NetworkSpec).write(network(3, [vpc()], [ONE]))
    assert main(["network", "plan", "vpc-a", "--config", file]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[:2] == ["generation 3", "vpc-a"]
    assert any("route 10.0.0.0/16" in each for each in shown)


def test_what_is_not_here_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["network", "plan", "vpc-z", "--config", settings(tmp_path)]) == 1
    assert capsys.readouterr().err == "eucapy: vpc-z is not on this node\n"
    assert main(["network", "plan", "--config", str(tmp_path / "none.toml")]) == 1
    assert "no such file" in capsys.readouterr().err


@pytest.mark.host
async def test_a_node_at_rest_shows_no_difference_and_what_others_undid_is_one() -> None:
    async with network_cloud() as cloud:
        node = cloud.node
        await node.give([vpc()], [ONE, TWO])
        first = node.guest(ONE)
        node.guest(TWO)
        await node.settle()
        data, namespace = node.folder / "data", node.layout.namespace("vpc-a")
        seen = await inspect(data, node.driver, node.layout)
        assert (seen.steps, seen.strangers) == ({}, ())
        assert "route 10.0.0.11/32 link=tap1" in seen.plan("vpc-a")

        node.host.run("nsenter", f"--net=/run/netns/{namespace}", "ip", "route", "del", "10.0.0.12")
        seen = await inspect(data, node.driver, node.layout)
        assert seen.changes("vpc-a") == ["+ route 10.0.0.12/32 link=tap2"]
        await node.settle()

        assert first.ping("10.0.0.12")
        before = counters.drops(namespace)
        first.run("ip", "addr", "add", "10.0.0.77/32", "dev", "eth0")
        first.run("busybox", "ping", "-c1", "-W1", "-I", "10.0.0.77", "10.0.0.12", check=False)
        after = counters.drops(namespace)
        assert after["spoofed"] > before["spoofed"]
        assert after["refused_in"] == before["refused_in"]
        by_link = counters.drops_by_link(namespace)
        assert by_link == {ONE.tap: {"spoofed": after["spoofed"] - before["spoofed"]}}
        assert seen.interfaces == {ONE.tap: ONE.interface_id, TWO.tap: TWO.interface_id}
