"""Images made by others, from a file or a URL: fetched, unpacked, looked at, and made into a qcow2 of our own.

What comes from outside is not trusted: its format is taken from QEMU's own probe once and then pinned, and an image
that refers to other files (a backing file, an external data file, VMDK extents) is refused, because it could read any
file of the host.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import json
import lzma
import shutil
from pathlib import Path
from typing import Any

import aiohttp

from eucapy.guests import requirements
from eucapy.guests.build_cache import BuildCache, content_key
from eucapy.guests.errors import CannotBuild
from eucapy.guests.image import GuestImage
from eucapy.guests.progress import Progress, silent
from eucapy.run import RunError, run

FORMATS = ("raw", "qcow2", "vmdk", "vpc", "vhdx", "vdi")
_PACKED = {b"\x1f\x8b": gzip.GzipFile, b"\xfd7zXZ\x00": lzma.LZMAFile, b"BZh": bz2.BZ2File}
_CHUNK = 1 << 20


class ForeignImageError(CannotBuild):
    """The image cannot be fetched, is not what it should be, or must not be used; the message says which."""


async def take(cache: BuildCache, source: str, *, sha256: str = "", progress: Progress = silent) -> GuestImage:
    """The image at `source`, a path or an http(s) URL; plain or packed by gzip, xz or bzip2.

    With `sha256` (hexadecimal, of the file as fetched) anything else is refused. Raises ForeignImageError,
    MissingPrograms.
    """
    requirements.require(["qemu-img"])
    name = Path(source.partition("?")[0]).name or "image"

    async def make(folder: Path) -> None:
        fetched = folder / "fetched"
        if source.startswith(("http://", "https://")):
            await _download(source, fetched, progress)
        else:
            _copy(source, fetched)
        if sha256 and _sha256(fetched) != sha256.lower():
            raise ForeignImageError(f"{source}: the checksum is {_sha256(fetched)}, not {sha256.lower()}")
        plain = _unpacked(fetched, folder / "plain", progress)
        info = await _inspect(plain)
        progress("converting the image")
        argv = ["-f", info["format"], "-O", "qcow2", str(plain), str(folder / "image.qcow2")]
        await run("qemu-img", "convert", *argv, timeout_s=3600)
        for path in (fetched, plain):
            path.unlink(missing_ok=True)

    folder = await cache.get("foreign", key(source, sha256), make)
    qcow2 = folder / "image.qcow2"
    size = json.loads((await run("qemu-img", "info", "--output=json", str(qcow2))).stdout)["virtual-size"]
    return GuestImage(
        name=name.split(".")[0],
        description=f"from {name}",
        raw=None,
        qcow2=qcow2,
        size_mib=-(-size // (1 << 20)),
        memory_mib=512,
        login="",
        ready_line="",
    )


def key(source: str, sha256: str = "") -> str:
    """What tells one image from the next: its place, and for a local file its size and time as well."""
    return content_key(source, sha256, *_identity(source))


def _identity(source: str) -> tuple[str, ...]:
    """What tells one version of a local file from the next."""
    path = Path(source)
    if source.startswith(("http://", "https://")) or not path.exists():
        return ()
    found = path.stat()
    return (str(found.st_size), str(found.st_mtime_ns))


async def _download(url: str, target: Path, progress: Progress) -> None:
    limits = aiohttp.ClientTimeout(total=None, sock_connect=30, sock_read=60)
    try:
        async with aiohttp.ClientSession(timeout=limits) as session, session.get(url) as response:
            if response.status != 200:
                raise ForeignImageError(f"{url}: the server answers {response.status}")
            total, done, told = response.content_length or 0, 0, -1
            with target.open("wb") as stream:
                async for chunk in response.content.iter_chunked(_CHUNK):
                    stream.write(chunk)
                    done += len(chunk)
                    if total and (percent := done * 10 // total * 10) != told:
                        told = percent
                        progress(f"downloading {url}: {percent}%")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise ForeignImageError(f"{url}: {error}") from error


def _copy(source: str, target: Path) -> None:
    try:
        target.symlink_to(Path(source).resolve(strict=True))
    except OSError as error:
        raise ForeignImageError(f"{source}: {error.strerror}") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _unpacked(path: Path, target: Path, progress: Progress) -> Path:
    with path.open("rb") as stream:
        start = stream.read(8)
    for magic, opener in _PACKED.items():
        if start.startswith(magic):
            progress("unpacking the image")
            try:
                with opener(path) as packed, target.open("wb") as plain:
                    shutil.copyfileobj(packed, plain, _CHUNK)
            except (OSError, EOFError, lzma.LZMAError) as error:
                raise ForeignImageError(f"the image is packed, and damaged: {error}") from error
            return target
    return path


async def _inspect(path: Path) -> dict[str, Any]:
    """QEMU's view of the image. Raises ForeignImageError for one that is damaged or reaches out of itself."""
    try:
        shown = await run("qemu-img", "info", "-U", "--output=json", str(path))
    except RunError as error:
        raise ForeignImageError(f"QEMU cannot read the image: {error.stderr.strip()[-300:]}") from error
    info: dict[str, Any] = json.loads(shown.stdout)
    details = info.get("format-specific", {}).get("data", {})
    if info["format"] not in FORMATS:
        raise ForeignImageError(f"an image of format {info['format']} is not one of {', '.join(FORMATS)}")
    if "backing-filename" in info or details.get("data-file") or info.get("encrypted"):
        raise ForeignImageError("the image refers to another file, or is encrypted")
    extents = details.get("extents", [])
    if any(Path(extent.get("filename", "")).name != path.name for extent in extents):
        raise ForeignImageError("the image is in several files")
    if info["virtual-size"] < 1 << 20:
        raise ForeignImageError("the image is smaller than a disk can be")
    return info
