"""What can be built here, for those who offer a choice (the installer, the administration tool)."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Protocol

from eucapy.guests import debian, starter
from eucapy.guests.build_cache import BuildCache
from eucapy.guests.image import GuestImage
from eucapy.guests.progress import Progress


class Builder(Protocol):
    """`build` of the builder's module."""

    def __call__(self, cache: BuildCache, *, emulated: bool, progress: Progress) -> Awaitable[GuestImage]: ...


@dataclass(frozen=True)
class Choice:
    """An image that can be made: its name, what it is, and what making it costs."""

    name: str
    title: str
    cost: str
    build: Builder


CHOICES = (
    Choice(starter.NAME, "starter: a tiny guest with an ssh server, for first steps", "seconds, 80 MB", starter.build),
    Choice(debian.NAME, "Debian with cloud-init, as on AWS", "minutes, 1 GB while building", debian.build),
)


def choice(name: str) -> Choice:
    """The choice called `name`. Raises LookupError, listing the names."""
    for offered in CHOICES:
        if offered.name == name:
            return offered
    raise LookupError(f"no image is called {name!r}: {', '.join(offered.name for offered in CHOICES)}")
