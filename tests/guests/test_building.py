"""The builders' parts: what goes into an image, in which order, under which key, and what is said when it cannot."""

from __future__ import annotations

import asyncio
import lzma
import os
import shutil
import stat
import struct
from pathlib import Path

import pytest

from eucapy.guests import menu, requirements
from eucapy.guests.build_cache import BuildCache, content_key, copy_sparse
from eucapy.guests.disk_image import kernel_arguments, master_boot_record
from eucapy.guests.initramfs import Entry, cpio
from eucapy.guests.kernel import Kernel, depends_on, merge_usr, module_bytes, unpack_modules
from eucapy.guests.programs import program_files
from eucapy.run import run


def kernel(folder: Path, dependencies: str) -> Kernel:
    modules = folder / "lib/modules/6.1"
    modules.mkdir(parents=True)
    (modules / "modules.dep").write_text(dependencies)
    return Kernel("linux-image-6.1", "6.1-1", "6.1", folder)


def test_modules_are_loaded_after_what_they_need(tmp_path: Path) -> None:
    linux = kernel(
        tmp_path,
        "kernel/net.ko: kernel/failover.ko kernel/virtio.ko kernel/ring.ko\n"
        "kernel/failover.ko:\n"
        "kernel/virtio.ko: kernel/ring.ko\n"
        "kernel/ring.ko:\n"
        "kernel/virtio-rng.ko.xz: kernel/virtio.ko kernel/ring.ko\n",
    )
    order = [path.name for path in linux.module_closure(["net", "built_in", "virtio_rng"])]
    assert sorted(order) == ["failover.ko", "net.ko", "ring.ko", "virtio-rng.ko.xz", "virtio.ko"]
    for first, then in [("ring.ko", "virtio.ko"), ("virtio.ko", "net.ko"), ("failover.ko", "net.ko")]:
        assert order.index(first) < order.index(then)
    assert order.index("virtio.ko") < order.index("virtio-rng.ko.xz")


async def test_modules_packed_with_zstd_are_unpacked_beside_files_that_are_not(tmp_path: Path) -> None:
    if shutil.which("zstd") is None:
        pytest.skip("needs zstd")
    (tmp_path / "kernel").mkdir()
    for name in ("modules.order", "kernel/virtio.ko", "kernel/net.ko"):
        (tmp_path / name).write_text(name)
    await run("zstd", "-q", "--rm", str(tmp_path / "kernel" / "virtio.ko"))
    await unpack_modules(tmp_path)
    found = {str(path.relative_to(tmp_path)): path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {name: name for name in ("modules.order", "kernel/virtio.ko", "kernel/net.ko")}


def test_the_meta_packages_kernel_and_its_modules_are_found() -> None:
    debian = "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-56-cloud-amd64\n"
    assert depends_on(debian, "linux-image-") == ["linux-image-6.1.0-56-cloud-amd64"]
    kernel = (
        "linux-image-5.15.0-1-generic\n  Depends: kmod\n |Depends: linux-base\n"
        "  Depends: linux-modules-5.15.0-1-generic\n  Suggests: linux-modules-extra-5.15.0-1-generic\n"
    )
    assert depends_on(kernel, "linux-modules-") == ["linux-modules-5.15.0-1-generic"]
    assert depends_on("linux-image-cloud-amd64\n", "linux-image-") == []


@pytest.mark.parametrize("packed_in", ["lib/modules", "usr/lib/modules"], ids=["Debian 12", "Debian 13"])
def test_modules_are_found_wherever_the_package_has_them(tmp_path: Path, packed_in: str) -> None:
    (tmp_path / packed_in / "6.1").mkdir(parents=True)
    merge_usr(tmp_path)
    assert Kernel("linux-image-6.1", "6.1-1", "6.1", tmp_path).modules.is_dir()


def test_a_packed_module_is_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.ko.xz").write_bytes(lzma.compress(b"ELF"))
    (tmp_path / "b.ko").write_bytes(b"ELF")
    assert module_bytes(tmp_path / "a.ko.xz") == module_bytes(tmp_path / "b.ko") == b"ELF"


async def test_the_archive_is_one_that_cpio_unpacks(tmp_path: Path) -> None:
    entries = [
        Entry("init", stat.S_IFREG | 0o755, b"#!/bin/sh\n"),
        Entry("bin", stat.S_IFDIR | 0o755),
        Entry("bin/sh", stat.S_IFLNK | 0o777, b"busybox"),
        Entry("bin/odd", stat.S_IFREG | 0o644, b"x" * 4093),
    ]
    archive = cpio(entries)
    assert archive == cpio(reversed(entries)), "the order of the entries must not matter"
    (tmp_path / "archive").write_bytes(archive)
    busybox = str(requirements.locate("busybox"))
    listing = await run(busybox, "cpio", "-i", "-t", "-F", str(tmp_path / "archive"))
    assert listing.stdout.split() == ["bin", "bin/odd", "bin/sh", "init"]
    (tmp_path / "out").mkdir()
    await run(busybox, "cpio", "-i", "-F", str(tmp_path / "archive"), cwd=tmp_path / "out")
    assert (tmp_path / "out/bin/odd").read_bytes() == b"x" * 4093
    assert (tmp_path / "out/bin/sh").readlink() == Path("busybox")
    assert (tmp_path / "out/init").stat().st_mode & 0o777 == 0o755


def test_the_first_sector_is_a_partition_table() -> None:
    record = master_boot_record(b"\xeb\xfe", 0x01020304, [(True, 0x0E, 2048, 49152), (False, 0x83, 51200, 81920)])
    assert len(record) == 512
    assert record[:2] == b"\xeb\xfe"
    assert record[510:] == b"\x55\xaa"
    assert struct.unpack("<I", record[440:444]) == (0x01020304,)
    assert (record[446], record[450]) == (0x80, 0x0E)
    # The initramfs writes the second partition's new length here.
    assert struct.unpack("<II", record[470:478]) == (51200, 81920)
    with pytest.raises(ValueError, match="440"):
        master_boot_record(bytes(441), 0, [])


def test_address_randomisation_is_off_only_for_emulation() -> None:
    assert "nokaslr" in kernel_arguments(emulated=True)
    assert "nokaslr" not in kernel_arguments(emulated=False)
    assert "mitigations=off" not in kernel_arguments(emulated=False)
    assert kernel_arguments(emulated=False, extra="quiet").endswith(" quiet")


def test_missing_programs_are_named_with_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements, "_SEARCH", "/nowhere")
    with pytest.raises(requirements.MissingPrograms) as raised:
        requirements.require(["syslinux", "mcopy"])
    assert str(raised.value) == "not installed: mcopy, syslinux. Install with: apt-get install mtools syslinux"


async def test_a_dynamic_program_brings_its_libraries() -> None:
    wanted = await program_files({"sbin/mke2fs": requirements.locate("mke2fs")})
    assert "sbin/mke2fs" in wanted
    assert any(name.startswith("lib/x86_64-linux-gnu/libc.so") for name in wanted)
    assert any(name.startswith("lib64/ld-linux") for name in wanted)
    assert all(path.is_file() for path in wanted.values())


def test_a_key_depends_on_every_part_and_on_contents_alone(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    first.write_text("same")
    second.write_text("same")
    assert content_key("x", files=[first]) == content_key("x", files=[second])
    assert content_key("ab", "c") != content_key("a", "bc")
    second.write_text("other")
    assert content_key("x", files=[first]) != content_key("x", files=[second])


async def test_a_build_is_made_once_however_many_ask(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path / "cache")
    made = 0

    async def build(folder: Path) -> None:
        nonlocal made
        made += 1
        await asyncio.sleep(0)
        (folder / "file").write_text("whole")

    paths = await asyncio.gather(*(cache.get("image", "key", build) for _ in range(5)))
    assert made == 1
    assert {(path / "file").read_text() for path in paths} == {"whole"}


async def test_a_build_that_fails_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path / "cache")

    async def fails(folder: Path) -> None:
        (folder / "half").write_text("half")
        raise RuntimeError("no")

    async def works(folder: Path) -> None:
        (folder / "file").write_text("whole")

    with pytest.raises(RuntimeError):
        await cache.get("image", "key", fails)
    assert [path.name for path in cache.root.iterdir() if path.is_dir()] == []
    assert [path.name for path in (await cache.get("image", "key", works)).iterdir()] == ["file"]


async def test_pruning_keeps_the_newest_of_its_name(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path / "cache")

    async def empty(_folder: Path) -> None:
        return None

    for age, (name, key) in enumerate([("starter", "c"), ("starter", "b"), ("starter", "a"), ("debian", "z")]):
        path = await cache.get(name, key, empty)
        os.utime(path, (1e9 - age, 1e9 - age))
    assert [path.name for path in cache.prune("starter")] == ["starter-b", "starter-a"]
    assert sorted(path.name for path in cache.root.iterdir() if path.is_dir()) == ["debian-z", "starter-c"]


def test_a_copy_leaves_holes_where_there_is_nothing(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(bytes(4 << 20) + b"end")
    with target.open("wb") as stream:
        stream.truncate(8 << 20)
    copy_sparse(source, target, offset=1 << 20)
    assert target.read_bytes()[5 << 20 :][:4] == b"end\0"
    assert target.stat().st_blocks * 512 < 1 << 20


def test_the_menu_names_its_choices() -> None:
    assert menu.choice("starter").build.__module__ == "eucapy.guests.starter"
    with pytest.raises(LookupError, match="starter, debian"):
        menu.choice("windows")
