"""Block tokens and page tokens: sealed, for one snapshot and one place in it, and good for a while.

A block token lets nobody read anything: who asks for the block is asked for its rights like everybody. It says that the block
was listed, and for how long that counts.
"""

from __future__ import annotations

import base64
import binascii
import struct

from cryptography.exceptions import InvalidTag

from eucapy.clc.context import Call

BLOCKS_S = 7 * 86400.0
"""Source: "Read Amazon EBS snapshots", "Block tokens": seven days."""
PAGES_S = 3600.0
"""Source: ibid., "NextToken": sixty minutes."""
_BLOCK, _PAGE = 1, 2
_PLACE = struct.Struct(">BdQ")


class BadToken(Exception):
    """Not one of this cloud's, of something else, or too old."""


def of_block(call: Call, snapshot_id: str, index: int) -> str:
    return _sealed(call, _BLOCK, index, call.now + BLOCKS_S, snapshot_id)


def check_block(call: Call, token: str, snapshot_id: str, index: int) -> None:
    """Raises BadToken."""
    if _opened(call, _BLOCK, token, snapshot_id) != index:
        raise BadToken


def of_page(call: Call, snapshot_ids: tuple[str, ...], first: int) -> str:
    return _sealed(call, _PAGE, first, call.now + PAGES_S, "/".join(snapshot_ids))


def page(call: Call, token: str, snapshot_ids: tuple[str, ...]) -> int:
    """The block that the next page begins with. Raises BadToken."""
    return _opened(call, _PAGE, token, "/".join(snapshot_ids))


def _sealed(call: Call, kind: int, place: int, until: float, about: str) -> str:
    return base64.b64encode(call.seal(_PLACE.pack(kind, until, place) + about.encode())).decode()


def _opened(call: Call, kind: int, token: str, about: str) -> int:
    try:
        content = call.unseal(base64.b64decode(token, validate=True))
        seen, until, place = _PLACE.unpack_from(content)
    except (InvalidTag, ValueError, binascii.Error, struct.error):
        raise BadToken from None
    if seen != kind or until < call.now or content[_PLACE.size :] != about.encode():
        raise BadToken
    return int(place)
