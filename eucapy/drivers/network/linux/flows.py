"""Tracked connections that were translated by a mapping that is no more.

The kernel translates a connection as it did its first packet, whatever the rules say now: after an elastic address has
moved, an old connection would go on speaking for its former owner. EC2 cuts it; so do we, by forgetting it.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Collection
from typing import Any

from pyroute2 import NetlinkError
from pyroute2.netlink.nfnetlink.nfctsocket import NFCTAttrTuple, NFCTSocket

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux.places import Place


def forget_untrue(place: Place, published: Collection[tuple[str, str]]) -> int:
    """Forget the connections whose translation is not a (private, public) pair of `published`; returns how many."""
    true = set(published)
    with netns.inside(place.netns), contextlib.closing(NFCTSocket()) as tracker:  # it connects when it is first used
        untrue = [message for message in tracker.dump() if not true.issuperset(_translations(message))]
        for message in untrue:
            original = NFCTAttrTuple.from_netlink(message["nfgen_family"], message.get_attr("CTA_TUPLE_ORIG"))
            try:
                list(tracker.entry("del", tuple_orig=original))
            except NetlinkError as error:
                if error.code != errno.ENOENT:
                    raise
    return len(untrue)


def _translations(message: Any) -> list[tuple[str, str]]:
    """The (private, public) pairs that the connection's two directions show: at most one for each end."""
    (source, target), (answerer, answered) = _ends(message, "CTA_TUPLE_ORIG"), _ends(message, "CTA_TUPLE_REPLY")
    pairs = []
    if source != answered:
        pairs.append((source, answered))  # the source was translated on the way out
    if target != answerer:
        pairs.append((answerer, target))  # the target was translated on the way in
    return pairs


def _ends(message: Any, name: str) -> tuple[str, str]:
    addresses = message.get_attr(name).get_attr("CTA_TUPLE_IP")
    return addresses.get_attr("CTA_IP_V4_SRC"), addresses.get_attr("CTA_IP_V4_DST")
