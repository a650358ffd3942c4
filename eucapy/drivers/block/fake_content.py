"""What the fake's volumes and snapshots hold: words that guests wrote, one for each 4 KiB, and blocks that were put whole.

A block of 512 KiB that was put lies in a file named by its SHA-256; a word that is written later hides its 4 KiB of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from eucapy import ledger
from eucapy.drivers.block.base import BLOCK_BYTES

WORD_BYTES = 4096
WORDS = BLOCK_BYTES // WORD_BYTES
"""In a block."""
_ZEROS = hashlib.sha256(bytes(BLOCK_BYTES)).hexdigest()


class Content(msgspec.Struct, kw_only=True):
    """`blocks`: the words, by 4 KiB. `chunks`: SHA-256 of the blocks that were put, by block."""

    blocks: dict[int, str] = {}
    chunks: dict[int, str] = {}

    def held(self) -> set[int]:
        """The blocks of which something was ever written."""
        return {*self.chunks, *(number // WORDS for number in self.blocks)}

    def words(self, index: int) -> dict[int, str]:
        """The words in a block."""
        return {number: word for number, word in self.blocks.items() if number // WORDS == index}

    def put(self, index: int, name: str) -> None:
        """A whole block: the words that were there are past."""
        for number in self.words(index):
            del self.blocks[number]
        self.chunks[index] = name

    def is_equal(self, other: Content, index: int) -> bool:
        return self.words(index) == other.words(index) and self.chunks.get(index) == other.chunks.get(index)


class Chunks:
    """The files of blocks that were put."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, content: bytes) -> str:
        """Returns its name when the block is on disk."""
        name = hashlib.sha256(content).hexdigest()
        if name != _ZEROS and not (self._folder / name).exists():
            ledger.write_file(self._folder / name, content)
        return name

    def read(self, content: Content, index: int) -> bytes:
        """A block as it is seen."""
        name = content.chunks.get(index, _ZEROS)
        whole = bytearray(BLOCK_BYTES if name == _ZEROS else (self._folder / name).read_bytes())
        for number, word in content.words(index).items():
            at = number % WORDS * WORD_BYTES
            whole[at : at + WORD_BYTES] = word.encode().ljust(WORD_BYTES, b"\0")
        return bytes(whole)

    def word(self, content: Content, number: int) -> str:
        """What a guest reads at the start of a 4 KiB, up to its first zero byte."""
        if number in content.blocks or number // WORDS not in content.chunks:
            return content.blocks.get(number, "")
        at = number % WORDS * WORD_BYTES
        here = self.read(content, number // WORDS)[at : at + WORD_BYTES]
        return here.partition(b"\0")[0].decode(errors="replace")

    def collect(self, needed: Iterable[Content]) -> None:
        """Remove the files that nothing needs."""
        names = {name for content in needed for name in content.chunks.values()}
        if self._folder.is_dir():
            for path in self._folder.iterdir():
                if path.name not in names:
                    path.unlink()
