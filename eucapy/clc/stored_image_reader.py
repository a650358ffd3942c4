"""Reads a stored image's manifest (`stored_image.py`) out of a bucket, with the rights of whoever asks."""

from __future__ import annotations

from dataclasses import dataclass

from eucapy.clc import stored_image
from eucapy.clc.actors import Actor
from eucapy.clc.places import Place
from eucapy.clc.stored_image import FOOTER_BYTES, Manifest, NotStored
from eucapy.clc.user_objects import Refused, UserObjects


@dataclass(frozen=True)
class Found:
    """The object as it was: who fetches its disks names it by the ETag."""

    manifest: Manifest
    etag: str
    size_bytes: int


@dataclass(frozen=True)
class Missing:
    """`status` of the object store (403, 404), 0 for an object that is no stored image."""

    status: int
    reason: str


class StoredImageReader:
    """What `CreateRestoreImageTask` asks aside."""

    def __init__(self, objects: UserObjects) -> None:
        self._objects = objects

    async def read(self, who: Actor, bucket: str, key: str) -> Found | Missing:
        """Raises Unreachable."""
        place = Place(bucket, key)
        try:
            first = await self._objects.read(who, place, 0, 1)
            end = first.size_bytes
            footer = await self._objects.read(who, place, max(0, end - FOOTER_BYTES), FOOTER_BYTES)
            length = stored_image.manifest_bytes(footer.head, end)
            text = await self._objects.read(who, place, end - FOOTER_BYTES - length, length)
            manifest = stored_image.decode(text.head, end)
        except Refused as error:
            return Missing(error.status, str(error))
        except NotStored as error:
            return Missing(0, str(error))
        if not first.etag == footer.etag == text.etag:
            return Missing(0, "it was replaced while it was read")
        return Found(manifest, first.etag, end)
