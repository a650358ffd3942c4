"""A zone's rows as the ClusterSpec that its cluster controller is sent. Pure; instances: `node.py`, ports: `network.py`."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from eucapy.wire import codec
from eucapy.wire.cluster import ClusterSpec, NodeEntry
from eucapy.wire.node import InstanceSpec


def entries(nodes: Iterable[Any], instances: Mapping[str, Iterable[InstanceSpec]]) -> dict[str, NodeEntry]:
    """The registered nodes (rows of kind nc), each with the instances that placement put there."""
    return {
        node.name: NodeEntry(
            node=node.name,
            nc_url=node.url,
            eucanetd_url=node.eucanetd_url,
            address=node.address,
            instances={spec.instance_id: spec for spec in instances.get(node.name, ())},
        )
        for node in nodes
    }


def fingerprint(spec: ClusterSpec, instances: Iterable[str]) -> str:
    """The digest of what the spec says, whatever its generation. `instances` are the digests (`codec.digest`) of its
    instances, in the order of the nodes and of each node's: whoever keeps them spares encoding thousands that stayed the same.
    """
    empty = {name: msgspec.structs.replace(entry, instances={}) for name, entry in spec.nodes.items()}
    rest = codec.digest(msgspec.structs.replace(spec, generation=0, nodes=empty))
    return hashlib.sha256("".join([rest, *instances]).encode()).hexdigest()
