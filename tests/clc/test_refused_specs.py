"""Agents that hold something newer than the cloud controller knows of: a database was restored, a node was moved."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.clc.launching import image, launch, node_of, state
from tests.harness.cloud import Cloud
from tests.harness.postgres import NewDatabase


@pytest.fixture
def small(tmp_path: Path, new_database: NewDatabase) -> Any:
    """One zone with one node."""
    with new_database() as url, Cloud(tmp_path / "cloud", database=url, zones=("a",), nodes_per_zone=1) as running:
        yield running


def generation(cloud: Cloud) -> int:
    (zone,) = cloud.dev.zones.values()
    return int(zone.cluster._keeper.generation)


def hand(cloud: Cloud, agent: Any, generation: int, **changes: Any) -> None:
    """The agent's ledger holds what a cloud wrote there that ours knows nothing of."""
    agent._keeper._spec = msgspec.structs.replace(agent._keeper.spec, generation=generation, **changes)
    agent._keeper._ledger.write(agent._keeper._spec)


@pytest.mark.parametrize("which", ["nc", "eucanetd"])
@pytest.mark.parametrize("lead", [1, 1000], ids=["the same generation, other content", "a far newer generation"])
def test_a_node_that_refuses_is_told_again_under_a_newer_generation(small: Cloud, which: str, lead: int) -> None:
    cloud = small
    (instance_id,) = launch(cloud, image(cloud))
    node = node_of(cloud, instance_id)
    emptied = {"instances": {}} if which == "nc" else {"ports": {}}
    hand(cloud, getattr(node, which), generation(cloud) + lead - 1, **emptied)
    cloud.reboot()
    cloud.settle()
    assert generation(cloud) > lead
    told = getattr(cloud.node(node.name), which)._keeper.spec
    assert instance_id in (told.instances if which == "nc" else {port.instance_id for port in told.ports.values()})
    ec2 = cloud.client("ec2")
    ec2.stop_instances(InstanceIds=[instance_id])
    cloud.settle()
    assert state(cloud, instance_id) == "stopped"


def test_what_a_refusal_costs_is_one_generation_not_a_race(small: Cloud) -> None:
    cloud = small
    (instance_id,) = launch(cloud, image(cloud))
    hand(cloud, node_of(cloud, instance_id).nc, 500, instances={})
    cloud.client("ec2").reboot_instances(InstanceIds=[instance_id])
    cloud.settle()
    healed = generation(cloud)
    assert 500 < healed < 510
    for _ in range(3):
        cloud.advance(60)
    assert generation(cloud) == healed


def test_a_restored_database_takes_the_cloud_over_and_destroys_nothing(tmp_path: Path) -> None:
    """What the older database does not know is a stranger to it: it runs on, untouched, and new work is done."""
    with Cloud(tmp_path / "cloud", zones=("a",), nodes_per_zone=1) as cloud:
        image_id = image(cloud)
        (known,) = launch(cloud, image_id)
        database = tmp_path / "cloud" / "clc" / "eucapy.sqlite"
        cloud.run(cloud.dev.__aexit__(None, None, None))
        shutil.copy(database, tmp_path / "backup.sqlite")
        cloud.boot()
        cloud.settle()
        (forgotten,) = launch(cloud, image_id)
        cloud.client("ec2").reboot_instances(InstanceIds=[known])
        cloud.settle()
        cloud.run(cloud.dev.__aexit__(None, None, None))
        for part in database.parent.glob("eucapy.sqlite*"):
            part.unlink()
        shutil.copy(tmp_path / "backup.sqlite", database)
        cloud.boot()
        cloud.settle()
        assert state(cloud, known) == "running"
        (node,) = next(iter(cloud.dev.zones.values())).nodes.values()
        domains = {domain.instance_id: domain.power for domain in cloud.run(node.hypervisor.observe())}
        assert domains == {known: "running", forgotten: "running"}
        (later,) = launch(cloud, image_id)
        assert state(cloud, later) == "running"
