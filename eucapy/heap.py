"""The garbage collector of a process that serves.

What a program has loaded when it begins to serve (service models, routes, statements: some hundred thousand objects) never
becomes garbage. Looking at all of it again whenever enough new objects have come to be stops every request for as long as
a slow request takes.
"""

from __future__ import annotations

import gc

YOUNG = 10_000
"""New objects between two looks at the youngest ones: an answer of a thousand rows is no reason for ten."""


def settled() -> None:
    """Call once, when the program is ready to serve: the collector leaves alone what is there by now."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 10, 10)
