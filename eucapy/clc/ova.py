"""An OVA: an archive (tar) that begins with a machine's description (OVF) and holds its disks. Read without unpacking it.

    disks = await read(part)           # [Member("vmdk", start=2048, length_bytes=…)], the disk to boot from first

`part(start, length)` gives bytes of the file. Only the members' headers and the description are read, so that an archive of
many GiB costs a few requests; the storage fetches each disk as the part of the object that it is. The archive is hostile:
counts and sizes are bounded, and what does not stand in it (another file, a parent) is refused.
Source: DMTF DSP0243, "Open Virtualization Format Specification".
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from eucapy.aws import xmlread
from eucapy.aws.errors import MalformedXML
from eucapy.aws.xmlread import Element

BLOCK = 512
MOST_MEMBERS = 64
LARGEST_DESCRIPTION = 1 << 20
LARGEST_EXTENDED = 64 << 10
_PLAIN = (tarfile.REGTYPE, tarfile.AREGTYPE)

Part = Callable[[int, int], Awaitable[bytes]]


class BadArchive(Exception):
    """It is no OVA that we take; the message says why, in words for its owner."""


@dataclass(frozen=True)
class Member:
    """A disk of the archive: its format, and where its bytes are."""

    format: str
    start: int
    length_bytes: int


async def read(part: Part, size_bytes: int) -> list[Member]:
    """The disks of the machine, in the order in which its controllers have them. Raises BadArchive."""
    members = await _members(part, size_bytes)
    if not members or not next(iter(members)).lower().endswith(".ovf"):
        raise BadArchive("The OVA does not begin with an OVF file")
    at, length = next(iter(members.values()))
    if length > LARGEST_DESCRIPTION:
        raise BadArchive("The OVF file is too large")
    return disks(await part(at, length), members)


def disks(description: bytes, members: dict[str, tuple[int, int]]) -> list[Member]:
    """The disks that an OVF file names, of the archive's members (name → start and length). Raises BadArchive."""
    try:
        root = xmlread.parse(description)
    except MalformedXML as error:
        raise BadArchive("The OVF file is no well-formed XML") from error
    if root.tag != "Envelope":
        raise BadArchive("The OVF file has no Envelope")
    if len(list(_all(root, "VirtualSystem"))) != 1:
        raise BadArchive("The OVF file must describe one virtual system")
    files = {_attribute(one, "id"): one for one in _all(root, "File")}
    found: dict[str, Member] = {}
    for disk in _all(root, "Disk"):
        reference = _attribute(disk, "fileRef")
        if not reference:
            raise BadArchive("An empty disk of the OVF file cannot be imported")
        if _attribute(disk, "parentRef"):
            raise BadArchive("A disk of the OVF file is the difference to a parent")
        found[_attribute(disk, "diskId")] = _member(disk, files.get(reference), members)
    if not found:
        raise BadArchive("The OVF file names no disk")
    order = [name for name in _in_hardware_order(root) if name in found]
    return [found[name] for name in dict.fromkeys([*order, *found])]


def _member(disk: Element, file: Element | None, members: dict[str, tuple[int, int]]) -> Member:
    name = _attribute(file, "href") if file is not None else ""
    if file is None or name not in members:
        raise BadArchive("A disk that the OVF file names is not in the OVA")
    if _attribute(file, "compression") not in ("", "identity") or _attribute(file, "chunkSize"):
        raise BadArchive("A disk of the OVA is compressed or in pieces")
    start, length = members[name]
    if length == 0:
        raise BadArchive("A disk of the OVA is empty")
    said = f"{_attribute(disk, 'format')} {name}".lower()
    for word, format in (("vmdk", "vmdk"), ("vhdx", "vhdx"), ("vhd", "vhd"), ("qcow", "qcow2"), (".raw", "raw")):
        if word in said:
            return Member(format, start, length)
    raise BadArchive("A disk of the OVA is in a format that is not supported")


def _in_hardware_order(root: Element) -> Iterator[str]:
    """Ids of disks as the virtual hardware has them, by controller and place."""
    placed: list[tuple[str, int, str]] = []
    for item in _all(root, "Item", "StorageItem"):
        values = {child.tag: child.text.strip() for child in item.children}
        reference = re.fullmatch(r"(?:ovf:)?/?/?disk/(.+)", values.get("HostResource", ""))
        if reference is not None:
            place = values.get("AddressOnParent", "")
            placed.append((values.get("Parent", ""), int(place) if place.isdecimal() else 0, reference[1]))
    return (name for _, _, name in sorted(placed, key=lambda one: one[:2]))


def _all(root: Element, *tags: str) -> Iterator[Element]:
    todo = [root]
    while todo:
        one = todo.pop(0)
        if one.tag in tags:
            yield one
        todo[:0] = one.children


def _attribute(one: Element | None, name: str) -> str:
    """Whatever prefix the namespace has here."""
    if one is None:
        return ""
    return next((value for key, value in one.attributes.items() if key.rpartition(":")[2] == name), "")


async def _members(part: Part, size_bytes: int) -> dict[str, tuple[int, int]]:
    """Plain files of the archive, in its order: name → start and length."""
    found: dict[str, tuple[int, int]] = {}
    at, name, size = 0, "", -1
    for _ in range(MOST_MEMBERS):
        if at + BLOCK > size_bytes:
            break
        block = await part(at, BLOCK)
        if not block.strip(b"\0"):
            break
        try:
            head = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
        except tarfile.HeaderError as error:
            raise BadArchive("The OVA is no archive that can be read") from error
        length = size if size >= 0 and head.type in _PLAIN else head.size
        at += BLOCK
        if length < 0 or at + length > size_bytes:
            raise BadArchive("The OVA is cut off")
        if head.type in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            if length > LARGEST_EXTENDED:
                raise BadArchive("The OVA has a member whose header is too large")
            name, size = _extended(head.type, await part(at, length), name, size)
        elif head.type in _PLAIN:
            found[(name or head.name).removeprefix("./")] = (at, length)
            name, size = "", -1
        elif head.type != tarfile.XGLTYPE:
            raise BadArchive("The OVA has a member that is no plain file")
        at += -(-length // BLOCK) * BLOCK
    else:
        raise BadArchive(f"The OVA has more than {MOST_MEMBERS} members")
    return found


def _extended(kind: bytes, content: bytes, name: str, size: int) -> tuple[str, int]:
    """Name and size as a header of the next member gives them."""
    if kind == tarfile.GNUTYPE_LONGNAME:
        return content.rstrip(b"\0").decode(errors="replace"), size
    for line in re.findall(rb"\d+ (path|size)=([^\n]*)\n", content):
        if line[0] == b"path":
            name = line[1].decode(errors="replace")
        elif line[1].isdigit():
            size = int(line[1])
    return name, size
