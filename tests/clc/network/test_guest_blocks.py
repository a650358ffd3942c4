"""Every node is told which public addresses are guests', so that it knows a guest of another node when it sees one."""

from __future__ import annotations

import ipaddress

import pytest

from eucapy.clc.store.ipv6_blocks import pool
from eucapy.clc.store.public_ranges import blocks
from tests.harness.cloud import Cloud


def test_ranges_and_blocks_become_blocks_with_exactly_their_addresses() -> None:
    assert blocks(["10.9.0.0/24"]) == ["10.9.0.0/24"]
    found = [ipaddress.IPv4Network(block) for block in blocks(["10.9.0.100-10.9.0.119", "10.9.1.7-10.9.1.7"])]
    addresses = {str(address) for block in found for address in block}
    assert addresses == {*(f"10.9.0.{last}" for last in range(100, 120)), "10.9.1.7"}
    with pytest.raises(ValueError):
        blocks(["10.9.0.9-10.9.0.1"])


def test_a_node_without_guests_is_told(cloud: Cloud) -> None:
    cloud.settle()
    told = {
        node.eucanetd._keeper.spec.guest_blocks
        for zone in cloud.dev.zones.values()
        for node in zone.nodes.values()
        if node.eucanetd._keeper.spec is not None
    }
    assert told == {(*blocks(cloud.dev.config.public_ranges), cloud.dev.config.ipv6_pool)}


@pytest.mark.parametrize("text", ["fd00::/60", "fe80::/40", "ff00::/40", "10.0.0.0/8", "fd00::1/40", "nonsense"])
def test_a_pool_that_no_vpc_can_get_a_block_of_is_refused_at_the_start(text: str) -> None:
    with pytest.raises(ValueError):
        pool(text)
