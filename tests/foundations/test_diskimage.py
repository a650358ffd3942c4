"""Images come from strangers: whatever one claims to be, no file of the host is reached through it, and no size is believed."""

from __future__ import annotations

import contextlib
import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eucapy import diskimage
from eucapy.diskimage import BadImage, ImageFacts, inspect, refuse_data_file
from eucapy.run import run_now

MIB = 1 << 20


@pytest.fixture
def make(tmp_path: Path) -> object:
    """`make("create", ...)`: an image as qemu-img makes it; its bytes."""
    if shutil.which("qemu-img") is None:
        pytest.skip("needs qemu-img")

    def image(*options: str, size: str = "1M") -> bytes:
        path = tmp_path / "image"
        run_now("qemu-img", "create", "-q", *options, str(path), *([size] if size else []))
        return path.read_bytes()

    return image


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file of the host's own."""
    path = tmp_path / "secret"
    path.write_bytes(b"root:x:" * 1000 + bytes(MIB))
    return path


def judged(image: bytes, claimed: str = "") -> ImageFacts:
    return inspect(image[: diskimage.HEADER_BYTES], len(image), claimed)


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_a_qcow2_image_that_stands_alone_is_taken(make, compat: str) -> None:  # type: ignore[no-untyped-def]
    assert judged(make("-f", "qcow2", "-o", f"compat={compat}")) == ImageFacts("qcow2", MIB)


def test_raw_bytes_are_a_disk_whatever_they_look_like() -> None:
    assert judged(b"\0" * 1000) == ImageFacts("raw", 1024)
    assert judged(b"QFI\xfb" + bytes(1020), "raw") == ImageFacts("raw", 1024)


@pytest.mark.parametrize("compat", ["0.10", "1.1"])
def test_a_backing_file_is_refused(make, secret: Path, compat: str) -> None:  # type: ignore[no-untyped-def]
    image = make("-f", "qcow2", "-o", f"compat={compat}", "-b", str(secret), "-F", "raw", size="")
    with pytest.raises(BadImage, match="backing file"):
        judged(image)


def test_a_backing_file_that_is_described_as_json_is_refused_too(make) -> None:  # type: ignore[no-untyped-def]
    backing = 'json:{"driver":"file","filename":"/etc/shadow"}'
    with pytest.raises(BadImage, match="backing file"):
        judged(make("-u", "-f", "qcow2", "-b", backing, "-F", "raw"))


@pytest.mark.parametrize("raw", ["on", "off"])
def test_an_external_data_file_is_refused(make, secret: Path, raw: str) -> None:  # type: ignore[no-untyped-def]
    image = make("-f", "qcow2", "-o", f"data_file={secret},data_file_raw={raw}")
    with pytest.raises(BadImage, match="external file"):
        judged(image)
    with pytest.raises(BadImage, match="external file"):
        refuse_data_file(image)
    quiet = bytearray(image)
    struct.pack_into(">Q", quiet, 72, 0)  # the feature bit is gone, the name is still there
    for look in (judged, refuse_data_file):
        with pytest.raises(BadImage, match="external file"):
            look(bytes(quiet))


def test_a_disk_of_our_own_may_have_its_backing_file(make, secret: Path) -> None:  # type: ignore[no-untyped-def]
    refuse_data_file(make("-f", "qcow2", "-b", str(secret), "-F", "raw", size=""))


@pytest.mark.parametrize("size", [0, 511, (16 << 40) + 512, 1 << 60, (1 << 64) - 512])
def test_a_size_that_no_disk_has_is_refused(make, size: int) -> None:  # type: ignore[no-untyped-def]
    image = bytearray(make("-f", "qcow2"))
    struct.pack_into(">Q", image, 24, size)
    with pytest.raises(BadImage):
        judged(bytes(image))


def test_a_raw_image_larger_than_any_disk_is_refused() -> None:
    with pytest.raises(BadImage, match="16 TiB"):
        inspect(b"\0" * 512, (16 << 40) + 1, "raw")


@pytest.mark.parametrize("magic", [b"KDMV", b"# Disk DescriptorFile", b"vhdxfile", b"conectix"])
def test_formats_that_can_name_other_files_are_refused(magic: bytes) -> None:
    with pytest.raises(BadImage, match="not supported"):
        judged(magic + bytes(1024))


@given(st.binary(max_size=300), st.sampled_from(["", "raw", "qcow2"]))
def test_no_bytes_do_more_than_to_be_refused(data: bytes, claimed: str) -> None:
    for image in (data, b"QFI\xfb" + data, b"QFI\xfb\0\0\0\x03" + data):
        for look in (lambda image=image: judged(image, claimed), lambda image=image: refuse_data_file(image)):
            with contextlib.suppress(BadImage):
                look()
