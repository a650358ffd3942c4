"""What an archive of a snapshot is made of: a manifest and pieces. Pure.

    manifest    the SHA-256 of the rest, then deflated JSON: which blocks the snapshot has, and where they lie
    piece       up to PIECE_BLOCKS blocks, one behind the other, deflated; named by whose archive brought it and its SHA-256

A block that has no place in the manifest is zeros. A manifest names pieces that other snapshots' archives brought for the
blocks that it shares with them, and is whole without their manifests: nothing has to be followed through a chain. Blocks are
named in runs, so that the manifest of a full volume of 8 GiB has some 100 KiB.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Mapping, Sequence

import msgspec

from eucapy.drivers.block.base import BLOCK_BYTES

PIECE_BLOCKS = 8
"""4 MiB before they are deflated."""
_DIGEST_BYTES = 32
_LEVEL = 1
"""Of deflate: what keeps up with a disk."""


class Damaged(Exception):
    """The bytes are not those that were kept."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a block lies: the `at`-th of those in a piece."""

    piece: str
    at: int


class Run(msgspec.Struct, frozen=True, array_like=True):
    """`count` blocks from `first` on, which lie in this order in the piece of that number, from its `at`-th on."""

    first: int
    count: int
    piece: int
    at: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`parent`: the snapshot whose archive this one was made over, for whoever looks; nothing depends on it."""

    snapshot_id: str
    size_gib: int
    block_bytes: int = BLOCK_BYTES
    parent: str = ""
    pieces: tuple[str, ...] = ()
    runs: tuple[Run, ...] = ()

    def places(self) -> dict[int, Place]:
        """Where each block lies, by its index."""
        return {
            run.first + number: Place(self.pieces[run.piece], run.at + number)
            for run in self.runs
            for number in range(run.count)
        }


def manifest(snapshot_id: str, size_gib: int, places: Mapping[int, Place], parent: str = "") -> Manifest:
    """The manifest that says where these blocks lie."""
    pieces: dict[str, int] = {}
    runs: list[Run] = []
    for index in sorted(places):
        place = places[index]
        piece = pieces.setdefault(place.piece, len(pieces))
        last = runs[-1] if runs else None
        follows = last is not None and (last.first + last.count, last.piece, last.at + last.count)
        if last is not None and follows == (index, piece, place.at):
            runs[-1] = Run(last.first, last.count + 1, last.piece, last.at)
        else:
            runs.append(Run(index, 1, piece, place.at))
    return Manifest(snapshot_id=snapshot_id, size_gib=size_gib, parent=parent, pieces=tuple(pieces), runs=tuple(runs))


def packed_manifest(what: Manifest) -> bytes:
    packed = zlib.compress(msgspec.json.encode(what))
    return hashlib.sha256(packed).digest() + packed


def read_manifest(content: bytes) -> Manifest:
    """Raises Damaged."""
    digest, packed = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
    if hashlib.sha256(packed).digest() != digest:
        raise Damaged("a manifest is not what it was")
    try:
        found = msgspec.json.decode(zlib.decompress(packed), type=Manifest)
    except (zlib.error, msgspec.DecodeError) as error:
        raise Damaged(f"a manifest cannot be read: {error}") from error
    if found.block_bytes != BLOCK_BYTES or any(not 0 <= run.piece < len(found.pieces) for run in found.runs):
        raise Damaged(f"the manifest of {found.snapshot_id} is not one that this version reads")
    return found


def packed_piece(snapshot_id: str, blocks: Sequence[bytes]) -> tuple[str, bytes]:
    """A piece's name and content."""
    packed = zlib.compress(b"".join(blocks), _LEVEL)
    return f"{snapshot_id}.{hashlib.sha256(packed).hexdigest()}", packed


def owner(piece: str) -> str:
    """The snapshot whose archive brought the piece."""
    return piece.partition(".")[0]


def read_piece(name: str, content: bytes) -> list[bytes]:
    """Its blocks. Raises Damaged."""
    if hashlib.sha256(content).hexdigest() != name.partition(".")[2]:
        raise Damaged(f"the piece {name} is not what it was")
    try:
        whole = zlib.decompressobj().decompress(content, PIECE_BLOCKS * BLOCK_BYTES + 1)
    except zlib.error as error:
        raise Damaged(f"the piece {name} cannot be read: {error}") from error
    if not 0 < len(whole) <= PIECE_BLOCKS * BLOCK_BYTES or len(whole) % BLOCK_BYTES:
        raise Damaged(f"the piece {name} has {len(whole)} bytes")
    return [whole[at : at + BLOCK_BYTES] for at in range(0, len(whole), BLOCK_BYTES)]
