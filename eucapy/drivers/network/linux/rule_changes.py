"""From one rule set's text to another's: the few nftables statements that lie between. Pure.

A rule set is replaced whole when it has to be, and that costs its size and its counters. Most changes are a chain with other
rules or an element more in a set. The statements are for one transaction, in an order in which nothing is referred to before
it is there or removed while it is referred to:

    delete elements · empty chains · declare what is new, and the emptied chains' rules · add elements · delete what is gone

The texts are those of `eucanetd/compile`: tables of blocks (`chain`, `set`, `map`, `counter`), two spaces deep, and the
elements of a set a line each. What these words cannot say (another type, another hook, intervals, whose neighbours matter)
has no statements, and is replaced whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_TABLE = re.compile(r"table (\S+ \S+) \{")
_BLOCK = re.compile(r"  (chain|set|map|counter) (\S+) \{")

Name = tuple[str, str]
"""Kind and name of a block."""


@dataclass(frozen=True, slots=True)
class Block:
    """What is declared: `head` says what it is, `lines` what is in it, an element or a rule each."""

    head: tuple[str, ...]
    lines: tuple[str, ...]
    text: str


def statements(old: str, new: str) -> list[str] | None:
    """None: there is no way but to replace the whole."""
    before, after = _tables(old), _tables(new)
    if before is None or after is None or before.keys() != after.keys():
        return None
    found: list[str] = []
    for table in after:
        more = _between(table, before[table], after[table])
        if more is None:
            return None
        found += more
    return found


def _between(table: str, old: Mapping[Name, Block], new: Mapping[Name, Block]) -> list[str] | None:
    kept = [name for name in new if name in old and old[name] != new[name]]
    if any(old[name].head != new[name].head or "flags interval" in new[name].head for name in kept):
        return None
    chains = [name for name in kept if name[0] == "chain"]
    sets = [name for name in kept if name[0] in ("set", "map")]
    gone = [name for name in old if name not in new]
    declared = "".join(new[name].text for name in new if name not in old or name in chains)
    fewer = [(name, [_key(line) for line in _missing(old[kind, name], new[kind, name])]) for kind, name in sets]
    more = [(name, _missing(new[kind, name], old[kind, name])) for kind, name in sets]
    return [
        *(f"delete element {table} {name} {{ {', '.join(keys)} }}" for name, keys in fewer if keys),
        *(f"flush chain {table} {name}" for kind, name in (*chains, *gone) if kind == "chain"),
        *([f"table {table} {{\n{declared}}}"] if declared else []),
        *(f"add element {table} {name} {{ {', '.join(elements)} }}" for name, elements in more if elements),
        # Maps refer to chains, and nothing that stays refers to what goes.
        *(f"delete {kind} {table} {name}" for kind, name in sorted(gone, key=lambda name: name[0] == "chain")),
    ]


def _missing(block: Block, other: Block) -> list[str]:
    """The elements of the one that the other has not."""
    held = set(other.lines)
    return [line for line in block.lines if line not in held]


def _key(element: str) -> str:
    """An element of a map by what it is found by."""
    return element.partition(" : ")[0]


def _tables(text: str) -> dict[str, dict[Name, Block]] | None:
    """The blocks of each table, in their order; None for a text that is written otherwise."""
    tables: dict[str, dict[Name, Block]] = {}
    here: dict[Name, Block] | None = None
    name: Name | None = None
    held: list[str] = []
    for line in text.splitlines(keepends=True):
        bare = line.rstrip("\n")
        if name is not None and here is not None:
            held.append(line)
            if bare == "  }":
                here[name] = _block(name[0], held)
                name, held = None, []
        elif here is not None and (block := _BLOCK.fullmatch(bare)):
            name, held = (block[1], block[2]), [line]
        elif here is not None and bare == "}":
            here = None
        elif here is None and (table := _TABLE.fullmatch(bare)) and table[1] not in tables:
            here = tables[table[1]] = {}
        else:
            return None
    return tables if here is None else None


def _block(kind: str, held: list[str]) -> Block:
    body = [line.strip() for line in held[1:-1]]
    if kind == "chain":
        head = tuple(line for line in body if line.startswith("type "))
    elif "elements = {" in body:
        head = tuple(body[: body.index("elements = {")])
        body = [line.removesuffix(",") for line in body[len(head) + 1 : -1]]
    else:
        head, body = tuple(body), []
    return Block(head, tuple(body), "".join(held))
