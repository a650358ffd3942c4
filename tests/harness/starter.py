"""The starter image for tests that boot a guest: built once a machine, kept in the user's cache folder."""

from __future__ import annotations

import asyncio
import functools
import os
from pathlib import Path

import pytest

from eucapy.guests import starter
from eucapy.guests.build_cache import BuildCache
from eucapy.guests.errors import CannotBuild
from eucapy.guests.image import GuestImage


def cache_folder() -> Path:
    """Where built images are kept between runs; `EUCAPY_TEST_CACHE` puts it elsewhere."""
    named = os.environ.get("EUCAPY_TEST_CACHE")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "eucapy-tests"


@functools.cache
def starter_image() -> GuestImage:
    """The image made for emulation. Skips, with the reason, where it cannot be built."""
    cache = BuildCache(cache_folder())
    try:
        image = asyncio.run(starter.build(cache, emulated=True))
    except CannotBuild as error:
        pytest.skip(str(error))
    cache.prune(starter.NAME, keep=3)
    return image
