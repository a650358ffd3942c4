"""The wire's schema is frozen: a change of it is visible in a diff. Rewrite with `EUCAPY_GOLDEN=write`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import msgspec
import pytest

from eucapy.wire import cluster, contract, flows, network, node, storage

GOLDEN = Path(__file__).parent / "golden"
PEERS: dict[str, tuple[type[msgspec.Struct], ...]] = {
    "contract": (contract.Ack, contract.Cursor),
    "cluster": (cluster.ClusterSpec, cluster.ClusterStatus),
    "node": (node.NodeSpec, node.NodeStatus, node.Console, node.Screenshot, node.Sensors),
    "network": (network.NetworkSpec, network.NetworkStatus),
    "flows": (flows.FlowPage,),
    "storage": (storage.StorageSpec, storage.StorageStatus),
}


@pytest.mark.parametrize("peer", PEERS)
def test_the_schema_is_the_frozen_one(peer: str) -> None:
    _refs, definitions = msgspec.json.schema_components(PEERS[peer], ref_template="#/{name}")
    for definition in definitions.values():
        definition.pop("description", None)
    text = json.dumps(definitions, indent=1, sort_keys=True) + "\n"
    path = GOLDEN / f"{peer}.json"
    if os.environ.get("EUCAPY_GOLDEN") == "write":
        path.write_text(text)
    assert path.read_text() == text, (
        "the wire changed: raise VERSION if a release speaks it, then rewrite the golden files"
    )
