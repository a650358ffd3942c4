"""Reading snapshots: ListSnapshotBlocks, ListChangedBlocks, GetSnapshotBlock.

What is listed are blocks that were ever written; what is not listed are zeros. Between two snapshots of one lineage the blocks
are listed that may differ: they were written between the two, or on the way to one of them.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from eucapy.clc.blocks import BLOCK_BYTES, BLOCKS_IN_GIB, Listed
from eucapy.clc.context import Call, Later
from eucapy.clc.ebs import tokens
from eucapy.clc.ebs.service import asking, ebs, invalid, readable

MOST = 10_000
"""Blocks in a page where the request does not say. Source: ListSnapshotBlocks, "MaxResults"."""


@ebs.action("ListSnapshotBlocks")
async def list_snapshot_blocks(call: Call, p: Mapping[str, Any]) -> Later:
    row = await readable(call, p["SnapshotId"])
    snapshot_id, zone, size_gib = str(row.id), str(row.zone), int(row.size_gib)
    first, most = _first(call, p, (snapshot_id,)), p.get("MaxResults") or MOST

    async def work() -> Mapping[str, Any]:
        async with asking(snapshot_id):
            found = await call.blocks.listed(zone, snapshot_id, first, most)
        shown = [
            {"BlockIndex": index, "BlockToken": tokens.of_block(call, snapshot_id, index)} for index in found.indexes
        ]
        return {"Blocks": shown, **_page(call, found, (snapshot_id,), size_gib)}

    return Later(work)


@ebs.action("ListChangedBlocks")
async def list_changed_blocks(call: Call, p: Mapping[str, Any]) -> Later:
    """The model does not require FirstSnapshotId, the API does."""
    if not p.get("FirstSnapshotId"):
        raise invalid("INVALID_PARAMETER_VALUE", "FirstSnapshotId must be specified.")
    older, row = await readable(call, p["FirstSnapshotId"]), await readable(call, p["SecondSnapshotId"])
    if older.zone != row.zone:
        raise invalid("UNRELATED_SNAPSHOTS", "The specified snapshots are unrelated.")
    older_id, snapshot_id, zone, size_gib = str(older.id), str(row.id), str(row.zone), int(row.size_gib)
    first, most = _first(call, p, (older_id, snapshot_id)), p.get("MaxResults") or MOST

    def shown(index: int, found: Listed) -> dict[str, Any]:
        view: dict[str, Any] = {"BlockIndex": index, "SecondBlockToken": tokens.of_block(call, snapshot_id, index)}
        if index in found.before:
            view["FirstBlockToken"] = tokens.of_block(call, older_id, index)
        return view

    async def work() -> Mapping[str, Any]:
        async with asking(snapshot_id):
            found = await call.blocks.listed(zone, snapshot_id, first, most, older_id)
        changed = [shown(index, found) for index in found.indexes]
        return {"ChangedBlocks": changed, **_page(call, found, (older_id, snapshot_id), size_gib)}

    return Later(work)


@ebs.action("GetSnapshotBlock")
async def get_snapshot_block(call: Call, p: Mapping[str, Any]) -> Later:
    row = await readable(call, p["SnapshotId"])
    snapshot_id, zone, index = str(row.id), str(row.zone), p["BlockIndex"]
    if index >= row.size_gib * BLOCKS_IN_GIB:
        raise invalid("INVALID_BLOCK", f"The block index {index} is past the end of the snapshot.")
    try:
        tokens.check_block(call, p["BlockToken"], snapshot_id, index)
    except tokens.BadToken:
        raise invalid("INVALID_BLOCK_TOKEN", "The block token is invalid or has expired.") from None

    async def work() -> Mapping[str, Any]:
        async with asking(snapshot_id):
            content = await call.blocks.read(zone, snapshot_id, index)
        return {
            "DataLength": len(content),
            "BlockData": content,
            "Checksum": base64.b64encode(hashlib.sha256(content).digest()).decode(),
            "ChecksumAlgorithm": "SHA256",
        }

    return Later(work)


def _first(call: Call, p: Mapping[str, Any], snapshot_ids: tuple[str, ...]) -> int:
    """The block that the page begins with. Of a request with NextToken, StartingBlockIndex is ignored."""
    if not p.get("NextToken"):
        return int(p.get("StartingBlockIndex") or 0)
    try:
        return tokens.page(call, p["NextToken"], snapshot_ids)
    except tokens.BadToken:
        raise invalid("INVALID_PAGE_TOKEN", "The page token is invalid or has expired.") from None


def _page(call: Call, found: Listed, snapshot_ids: tuple[str, ...], size_gib: int) -> dict[str, Any]:
    page: dict[str, Any] = {"ExpiryTime": call.now + tokens.BLOCKS_S, "VolumeSize": size_gib, "BlockSize": BLOCK_BYTES}
    if found.next is not None:
        page["NextToken"] = tokens.of_page(call, snapshot_ids, found.next)
    return page
