"""Values for any shape of a model: one full value, or hypothesis strategies; and how to compare two of them."""

import datetime as dt
import string
from typing import Any

from botocore.model import ListShape, MapShape, Shape, StructureShape
from hypothesis import strategies as st

UTC = dt.UTC
MOMENT = dt.datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
TEXT = 'a<b>&"c" ä€𝄞 +%/'
DEEPEST = 5


def full(shape: Shape, depth: int = 0, text: str = TEXT) -> Any:
    """A value with every member set, down to a depth where recursion is cut."""
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            return {"any": ["thing", 1, True, None]}
        members = {n: m for n, m in shape.members.items() if not m.serialization.get("eventstream")}
        if depth >= DEEPEST:
            members = {n: m for n, m in members.items() if not isinstance(m, StructureShape | ListShape | MapShape)}
        if shape.is_tagged_union:
            members = dict(list(members.items())[:1])
        made = {name: full(member, depth + 1, text) for name, member in members.items()}
        return {name: value for name, value in made.items() if not empty(value)}
    if isinstance(shape, ListShape):
        return [full(shape.member, depth + 1, text), full(shape.member, depth + 1, text)]
    if isinstance(shape, MapShape):
        return {"one": full(shape.value, depth + 1, text), "two": full(shape.value, depth + 1, text)}
    return {
        "boolean": True, "integer": 7, "long": 1 << 40, "float": 1.5, "double": -2.25, "timestamp": MOMENT,
        "blob": b"\x00\xffblob",
    }.get(shape.type_name, text)  # fmt: skip


def empty(value: Any) -> bool:
    """Holds nothing that the Query protocols could send."""
    if isinstance(value, dict):
        return all(empty(item) for item in value.values())
    return isinstance(value, list) and all(empty(item) for item in value)


def pruned(value: Any) -> Any:
    """The value without its empty lists and structures, which the Query protocols cannot tell from absent ones."""
    if isinstance(value, dict):
        return {key: pruned(item) for key, item in value.items() if not empty(item)}
    return [pruned(item) for item in value if not empty(item)] if isinstance(value, list) else value


_SAFE = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=12)
_WORDS = (
    st.text(string.ascii_letters + string.digits + " -_.~/+%:", min_size=1, max_size=12).map(str.strip).filter(bool)
)


def values(shape: Shape, depth: int = 0, words: bool = False) -> st.SearchStrategy[Any]:
    """Any value of the shape; `words` keeps strings within what a header can carry."""
    if isinstance(shape, StructureShape):
        if shape.is_document_type:
            return st.just({"a": 1})
        if depth > 3:
            return st.just({})
        required = {
            n: values(shape.members[n], depth + 1, words or _in_head(shape.members[n])) for n in shape.required_members
        }
        optional = {
            n: values(m, depth + 1, words or _in_head(m))
            for n, m in shape.members.items()
            if n not in required and not m.serialization.get("eventstream")
        }
        if shape.is_tagged_union:
            return st.one_of([st.fixed_dictionaries({n: s}) for n, s in {**required, **optional}.items()])
        return st.fixed_dictionaries(required, optional={k: optional[k] for k in list(optional)[:12]})
    if isinstance(shape, ListShape):
        return st.lists(values(shape.member, depth + 1, words), min_size=1, max_size=3)
    if isinstance(shape, MapShape):
        keys = st.text(string.ascii_lowercase, min_size=1, max_size=6)
        return st.dictionaries(keys, values(shape.value, depth + 1, words), min_size=1, max_size=3)
    kind = shape.type_name
    if kind == "boolean":
        return st.booleans()
    if kind == "integer":
        return st.integers(-(1 << 31), (1 << 31) - 1)
    if kind == "long":
        return st.integers(-(1 << 63), (1 << 63) - 1)
    if kind in ("float", "double"):
        return st.floats(allow_nan=False, allow_infinity=False, width=32)
    if kind == "timestamp":
        moments = st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2200, 1, 1))
        return moments.map(lambda t: t.replace(microsecond=0, tzinfo=UTC))
    if kind == "blob":
        return st.binary(max_size=20)
    return _WORDS if words else _SAFE


def _in_head(shape: Shape) -> bool:
    return shape.serialization.get("location") in ("uri", "querystring", "header", "headers")


def plain(value: Any) -> Any:
    """A value in a form that compares: times in UTC, file-like bodies read."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.astimezone(UTC)
    return value
