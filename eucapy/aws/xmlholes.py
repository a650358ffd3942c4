"""XML with holes: what many structures have in common, rendered once, to be filled with what differs.

    stand_ins = holes(2)
    fill = cut(render({"InstanceId": stand_ins[0], …}))     # `render` of `xml.fragment()`
    fill(("i-1", …))                                        # what `render` gives for these values, for a tenth of the time

A hole takes text as it stands in the document: escaped, times formatted. It never stands for nothing, because a structure
with and one without a member are different XML; which members are there is for the caller to tell apart.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from operator import itemgetter

from eucapy.aws.xml import Rendered

Fill = Callable[[Sequence[object]], Rendered]

# Nobody outside can know the mark of this process, so that no text from outside looks like a hole.
_MARK = f"hole-{secrets.token_hex(8)}-"
_HOLE = re.compile(rf"{_MARK}(\d+);")


def holes(count: int) -> list[Rendered]:
    """Stand-ins for the values 0 to `count - 1`: of scalar members, whatever their kind, booleans aside."""
    return [Rendered(f"{_MARK}{number};") for number in range(count)]


def cut(text: str) -> Fill:
    """The function that fills the holes of `text` with the values of these numbers."""
    pieces = _HOLE.split(text)
    literal = "%s".join(piece.replace("%", "%%") for piece in pieces[::2])
    wanted = [int(number) for number in pieces[1::2]]
    if not wanted:
        whole = Rendered(text)
        return lambda values: whole
    if len(wanted) == 1:
        (only,) = wanted
        return lambda values: Rendered(literal % (values[only],))
    pick = itemgetter(*wanted)
    return lambda values: Rendered(literal % pick(values))
