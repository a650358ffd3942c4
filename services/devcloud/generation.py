"""How the data folder of a local cloud is laid out, as a number: one that was laid out otherwise is not begun with.

The cloud controller's database is migrated from one version to the next; what the fakes keep of disks and machines is not.
A database whose volumes and guests are nowhere would be worse than none.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from eucapy import ledger

GENERATION = 2
"""1: volumes of all zones in one pool, the fakes' state in one file each. 2: in journals."""


class Layout(msgspec.Struct):
    """`layout.json` in the data folder."""

    generation: int


class OtherLayout(Exception):
    """Another version of eucapy made this folder; the text says what to do."""


def require(data: Path) -> None:
    """Begin a new folder, or go on with one of this generation. Raises OtherLayout."""
    kept = ledger.Ledger(data / "layout.json", Layout)
    held = kept.read()
    generation = held.generation if held is not None else 0
    if held is None and not (data / "clc").exists():
        kept.write(Layout(GENERATION))
    elif generation != GENERATION:
        which = "an older" if generation < GENERATION else "a newer"
        raise OtherLayout(
            f"{which} eucapy made the cloud in {data}, and its disks are kept in another way here: "
            "name another folder with --data, or remove this one and begin anew"
        )
