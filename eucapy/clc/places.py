"""Where an object lies: bucket and key, as requests name them or by a URL of S3. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit


@dataclass(frozen=True)
class Place:
    """An object's name."""

    bucket: str
    key: str


def place_of(url: str, endpoints: tuple[str, ...]) -> Place | None:
    """The object that a URL of S3 names: `s3://bucket/key`, or one of the `endpoints` (URLs) with the bucket in the path or
    before the host. None for any other."""
    parts = urlsplit(url)
    path = unquote(parts.path).lstrip("/")
    if parts.scheme == "s3":
        return Place(parts.netloc, path) if parts.netloc and path else None
    if parts.scheme not in ("http", "https"):
        return None
    for endpoint in endpoints:
        host = urlsplit(endpoint).netloc.lower()
        if parts.netloc.lower() == host:
            bucket, _, key = path.partition("/")
            return Place(bucket, key) if bucket and key else None
        if host and parts.netloc.lower().endswith(f".{host}"):
            return Place(parts.netloc[: -len(host) - 1], path) if path else None
    return None
