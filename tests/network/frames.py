"""Frames by hand: what a guest puts on its wire and what it finds there, byte by byte, without any network stack.

Built: ARP, UDP, TCP, ICMP and bare IP of both versions over Ethernet, with right checksums. Read: the same, as `Packet`.
Whoever wants a wrong frame (a foreign source, a fragment, a VLAN tag, a header more) says so by arguments or wraps one.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass

BROADCAST = "ff:ff:ff:ff:ff:ff"

ARP, IPV4, IPV6, VLAN = 0x0806, 0x0800, 0x86DD, 0x8100
ICMP, TCP, UDP, GRE, ICMPV6 = 1, 6, 17, 47, 58
ECHO, ECHO_REPLY = 8, 0
ECHO6, ECHO_REPLY6 = 128, 129
ROUTER_SOLICITATION, ROUTER_ADVERTISEMENT, SOLICITATION, ADVERTISEMENT, REDIRECT = 133, 134, 135, 136, 137
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION = 0, 43, 44, 60
"""Headers between that of IPv6 and what it carries."""
SYN, ACK, SYN_ACK, PUSH_ACK = 0x02, 0x10, 0x12, 0x18
REQUEST, REPLY = 1, 2
"""Of ARP."""


@dataclass(frozen=True, slots=True)
class Packet:
    """An IP packet as it came. For ICMP the ports are type and identifier; `seq` and `ack` are TCP's, or ICMP's sequence."""

    source_mac: str
    target_mac: str
    source: str
    target: str
    protocol: int
    source_port: int = 0
    target_port: int = 0
    flags: int = 0
    seq: int = 0
    ack: int = 0
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP message as it came."""

    source_mac: str
    operation: int
    sender_mac: str
    sender: str
    target: str


def mac_bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _mac(raw: bytes) -> str:
    return raw.hex(":")


def _ip(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(target_mac: str, source_mac: str, kind: int, body: bytes) -> bytes:
    return mac_bytes(target_mac) + mac_bytes(source_mac) + struct.pack("!H", kind) + body


def arp(
    source_mac: str, operation: int, sender_mac: str, sender: str, target: str, target_mac: str = BROADCAST
) -> bytes:
    asked = "00:00:00:00:00:00" if operation == REQUEST else target_mac
    body = struct.pack("!HHBBH", 1, IPV4, 6, 4, operation)
    body += mac_bytes(sender_mac) + _ip(sender) + mac_bytes(asked) + _ip(target)
    return ethernet(target_mac, source_mac, ARP, body)


def ipv4(source: str, target: str, protocol: int, body: bytes, *, fragment: int = 0, identity: int = 0) -> bytes:
    """`fragment` is the header's word of flags and offset (0x2000: more follow)."""
    head = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), identity, fragment, 64, protocol, 0, _ip(source), _ip(target)
    )
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def ipv6(source: str, target: str, protocol: int, body: bytes, hops: int = 64) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(body), protocol, hops) + _ip(source) + _ip(target) + body


def ip(source: str, target: str, protocol: int, body: bytes) -> bytes:
    return (ipv6 if ":" in source else ipv4)(source, target, protocol, body)


def header(following: int, body: bytes, data: bytes = bytes(6)) -> bytes:
    """A hop-by-hop, routing or destination header before `body`, which is of the kind `following`."""
    return bytes((following, (len(data) - 6) // 8)) + data + body


def _pseudo(source: str, target: str, protocol: int, length: int) -> bytes:
    if ":" in source:
        return _ip(source) + _ip(target) + struct.pack("!II", length, protocol)
    return _ip(source) + _ip(target) + struct.pack("!BBH", 0, protocol, length)


def udp(source: str, target: str, source_port: int, target_port: int, payload: bytes) -> bytes:
    """An IP packet."""
    body = struct.pack("!HHHH", source_port, target_port, 8 + len(payload), 0) + payload
    found = checksum(_pseudo(source, target, UDP, len(body)) + body) or 0xFFFF
    return ip(source, target, UDP, body[:6] + struct.pack("!H", found) + body[8:])


def tcp(
    source: str,
    target: str,
    source_port: int,
    target_port: int,
    flags: int,
    seq: int,
    ack: int = 0,
    payload: bytes = b"",
) -> bytes:
    """An IP packet."""
    body = struct.pack("!HHIIBBHHH", source_port, target_port, seq, ack, 0x50, flags, 64000, 0, 0) + payload
    found = checksum(_pseudo(source, target, TCP, len(body)) + body)
    return ip(source, target, TCP, body[:16] + struct.pack("!H", found) + body[18:])


def icmp(
    source: str, target: str, kind: int, identifier: int, seq: int = 0, payload: bytes = b"", code: int = 0
) -> bytes:
    """An IPv4 packet."""
    body = struct.pack("!BBHHH", kind, code, 0, identifier, seq) + payload
    return ipv4(source, target, ICMP, body[:2] + struct.pack("!H", checksum(body)) + body[4:])


def icmp6(source: str, target: str, kind: int, body: bytes, code: int = 0, hops: int = 64) -> bytes:
    """An IPv6 packet; `body` is what follows type, code and checksum."""
    message = struct.pack("!BBH", kind, code, 0) + body
    found = checksum(_pseudo(source, target, ICMPV6, len(message)) + message)
    return ipv6(source, target, ICMPV6, message[:2] + struct.pack("!H", found) + message[4:], hops)


def read(frame: bytes) -> Packet | Arp | None:
    """What the frame is; None for what is neither IP nor ARP. Of IPv6 no header may lie between."""
    if len(frame) < 34:
        return None
    target_mac, source_mac, kind = _mac(frame[:6]), _mac(frame[6:12]), struct.unpack("!H", frame[12:14])[0]
    body = frame[14:]
    if kind == ARP:
        (operation,) = struct.unpack("!H", body[6:8])
        sender, target = (str(ipaddress.IPv4Address(body[at : at + 4])) for at in (14, 24))
        return Arp(source_mac, operation, _mac(body[8:14]), sender, target)
    if kind == IPV6 and len(body) >= 40:
        length = struct.unpack("!H", body[4:6])[0]
        protocol, source, target = body[6], *(str(ipaddress.IPv6Address(body[at : at + 16])) for at in (8, 24))
        rest = body[40 : 40 + length]
    elif kind == IPV4:
        length = struct.unpack("!H", body[2:4])[0]
        protocol, source, target = body[9], *(str(ipaddress.IPv4Address(body[at : at + 4])) for at in (12, 16))
        rest = body[(body[0] & 15) * 4 : length]
    else:
        return None
    base = (source_mac, target_mac, source, target, protocol)
    if protocol == UDP and len(rest) >= 8:
        source_port, target_port = struct.unpack("!HH", rest[:4])
        return Packet(*base, source_port, target_port, payload=rest[8:])
    if protocol == TCP and len(rest) >= 20:
        source_port, target_port, seq, ack, offset, flags = struct.unpack("!HHIIBB", rest[:14])
        return Packet(*base, source_port, target_port, flags, seq, ack, rest[(offset >> 4) * 4 :])
    if protocol in (ICMP, ICMPV6) and len(rest) >= 8:
        icmp_type, _code, _sum, identifier, seq = struct.unpack("!BBHHH", rest[:8])
        return Packet(*base, icmp_type, identifier, 0, seq, payload=rest[8:])
    return Packet(*base, payload=rest)
