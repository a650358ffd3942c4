"""OVAs are read without unpacking: which disks, where, in which order; and what is refused."""

from __future__ import annotations

import io
import tarfile

import pytest

from eucapy.clc import ova
from eucapy.clc.ova import BadArchive, Member
from tests.clc.importing import archive, description


async def read(content: bytes) -> list[Member]:
    asked: list[int] = []

    async def part(start: int, length: int) -> bytes:
        asked.append(length)
        assert sum(asked) < 1 << 20, "an archive is not read whole"
        return content[start : start + length]

    return await ova.read(part, len(content))


async def test_the_disks_are_parts_of_the_file() -> None:
    first, second = b"KDMV" + b"1" * 3_000_000, b"KDMV" + b"2" * 700
    content = archive({"a.ovf": description("one.vmdk", "two.vmdk"), "one.vmdk": first, "two.vmdk": second})
    found = await read(content)
    assert [one.format for one in found] == ["vmdk", "vmdk"]
    assert [content[one.start : one.start + one.length_bytes] for one in found] == [first, second]


async def test_the_hardware_says_which_disk_comes_first() -> None:
    content = archive(
        {"a.ovf": description("data.vmdk", "root.vmdk", order=(1, 0)), "data.vmdk": b"d" * 10, "root.vmdk": b"r" * 20}
    )
    assert [one.length_bytes for one in await read(content)] == [20, 10]


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
async def test_every_kind_of_tar(form: int) -> None:
    name = "a machine with a name that is long, " * 2 + ".vmdk"
    content = archive({"a.ovf": description(name), name: b"x" * 5000}, form)
    assert [one.length_bytes for one in await read(content)] == [5000]


def link() -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, kind in (("a.ovf", tarfile.REGTYPE), ("one.vmdk", tarfile.SYMTYPE)):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
    return stream.getvalue()


ONE = description("one.vmdk")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not begin with an OVF"),
        (b"PK\3\4" + bytes(2000), "no archive"),
        (archive({"one.vmdk": b"x", "a.ovf": ONE}), "does not begin with an OVF"),
        (archive({"a.ovf": b"<Envelope", "one.vmdk": b"x"}), "well-formed"),
        (archive({"a.ovf": b"<!DOCTYPE x [<!ENTITY a SYSTEM '/etc/passwd'>]><Envelope>&a;</Envelope>"}), "well-formed"),
        (archive({"a.ovf": b"<html/>"}), "no Envelope"),
        (archive({"a.ovf": ONE, "two.vmdk": b"x"}), "not in the OVA"),
        (archive({"a.ovf": description("/etc/passwd")}), "not in the OVA"),
        (archive({"a.ovf": description(), "one.vmdk": b"x"}), "names no disk"),
        (archive({"a.ovf": ONE, "one.vmdk": b""}), "empty"),
        (archive({"a.ovf": description("one.iso", format="iso"), "one.iso": b"x"}), "not supported"),
        (archive({"a.ovf": ONE.replace(b"ovf:href", b'ovf:compression="gzip" ovf:href'), "one.vmdk": b"x"}), "compressed"),
        (archive({"a.ovf": ONE.replace(b"ovf:fileRef", b'ovf:parentRef="d" ovf:fileRef'), "one.vmdk": b"x"}), "parent"),
        (archive({"a.ovf": ONE.replace(b"VirtualSystem", b"Many"), "one.vmdk": b"x"}), "one virtual"),
        (archive({f"{n}": b"" for n in range(80)}), "more than 64"),
        (archive({"a.ovf": ONE, "one.vmdk": b"x" * 9000})[:6000], "cut off"),
        (link(), "no plain file"),
    ],
)  # fmt: skip
async def test_what_is_no_good_archive_is_refused(content: bytes, why: str) -> None:
    with pytest.raises(BadArchive, match=why):
        await read(content)


async def test_no_damage_makes_more_than_a_refusal() -> None:
    whole = archive({"a.ovf": ONE, "one.vmdk": b"x" * 3000})
    for at in range(0, len(whole) - 9, 97):
        try:
            await read(whole[:at] + b"\xff" * 9 + whole[at + 9 :])
            await read(whole[:at])
        except BadArchive:
            continue
