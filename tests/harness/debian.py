"""The full Debian image with cloud-init for tests that boot it: built once a machine, as the starter image is."""

from __future__ import annotations

import asyncio
import functools

import pytest

from eucapy.guests import debian
from eucapy.guests.build_cache import BuildCache
from eucapy.guests.errors import CannotBuild
from eucapy.guests.image import GuestImage
from tests.harness.starter import cache_folder


@functools.cache
def debian_image() -> GuestImage:
    """The image made for emulation. Skips, with the reason, where it cannot be built."""
    try:
        return asyncio.run(debian.build(BuildCache(cache_folder()), emulated=True))
    except CannotBuild as error:
        pytest.skip(str(error))
