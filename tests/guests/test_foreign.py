"""Images made by others: what is taken, and what is refused."""

from __future__ import annotations

import gzip
import hashlib
import lzma
from pathlib import Path

import pytest
from aiohttp import web

from eucapy.guests.build_cache import BuildCache
from eucapy.guests.foreign import ForeignImageError, take
from eucapy.run import run

CONTENT = b"boot".ljust(1 << 20, b"\0") + b"data".ljust(1 << 20, b"\0")


@pytest.fixture
def cache(tmp_path: Path) -> BuildCache:
    return BuildCache(tmp_path / "cache")


async def content(qcow2: Path) -> bytes:
    raw = qcow2.with_suffix(".check")
    await run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(qcow2), str(raw))
    return raw.read_bytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress], ids=["plain", "gzip", "xz"])
async def test_a_file_becomes_a_qcow2_however_it_is_packed(
    cache: BuildCache, tmp_path: Path, pack: type[bytes]
) -> None:
    source = tmp_path / "cloud-image.img"
    packed = pack(CONTENT)
    source.write_bytes(packed)
    image = await take(cache, str(source))
    assert (image.name, image.size_mib) == ("cloud-image", 2)
    assert await content(image.qcow2) == CONTENT
    assert source.read_bytes() == packed


async def test_a_changed_file_is_taken_anew(cache: BuildCache, tmp_path: Path) -> None:
    source = tmp_path / "image.raw"
    source.write_bytes(CONTENT)
    first = await take(cache, str(source))
    assert (await take(cache, str(source))).qcow2 == first.qcow2
    source.write_bytes(CONTENT + CONTENT)
    assert (await take(cache, str(source))).size_mib == 4


async def test_an_image_comes_from_a_url_and_its_checksum_is_kept_to(cache: BuildCache) -> None:
    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=CONTENT) if request.path == "/image.raw" else web.Response(status=404)

    runner = web.ServerRunner(web.Server(serve))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        with pytest.raises(ForeignImageError, match="checksum"):
            await take(cache, f"{url}/image.raw", sha256="00" * 32)
        with pytest.raises(ForeignImageError, match="answers 404"):
            await take(cache, f"{url}/none.raw")
        told: list[str] = []
        digest = hashlib.sha256(CONTENT).hexdigest()
        image = await take(cache, f"{url}/image.raw", sha256=digest.upper(), progress=told.append)
        assert await content(image.qcow2) == CONTENT
        assert any(line.endswith("100%") for line in told)
    finally:
        await runner.cleanup()
    with pytest.raises(ForeignImageError):
        await take(cache, f"{url}/image.raw")


async def test_an_image_that_reads_other_files_is_refused(cache: BuildCache, tmp_path: Path) -> None:
    secret = tmp_path / "secret.raw"
    secret.write_bytes(CONTENT)
    overlay = tmp_path / "overlay.qcow2"
    await run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(secret), "-F", "raw", str(overlay))
    with pytest.raises(ForeignImageError, match="refers to another file"):
        await take(cache, str(overlay))
    external = tmp_path / "external.qcow2"
    await run("qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={secret}", str(external), "2M")
    with pytest.raises(ForeignImageError, match="refers to another file"):
        await take(cache, str(external))
    split = tmp_path / "split.vmdk"
    split.write_text(
        '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        f'RW 4096 FLAT "{secret}" 0\nddb.adapterType = "ide"\n'
    )
    with pytest.raises(ForeignImageError, match="several files"):
        await take(cache, str(split))


@pytest.mark.parametrize(
    "damaged", [b"", b"x" * 512, b"\x1f\x8bxxxx", gzip.compress(CONTENT)[:-9], b"QFI\xfb" * 400000]
)
async def test_what_is_no_image_is_refused(cache: BuildCache, tmp_path: Path, damaged: bytes) -> None:
    source = tmp_path / "image"
    source.write_bytes(damaged)
    with pytest.raises(ForeignImageError):
        await take(cache, str(source))


async def test_a_file_that_is_not_there_says_so(cache: BuildCache, tmp_path: Path) -> None:
    with pytest.raises(ForeignImageError, match="No such file"):
        await take(cache, str(tmp_path / "none"))
