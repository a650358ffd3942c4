"""Public addresses on the uplink: the node answers ARP or neighbour solicitations for each of them alone (never for a whole
link), and says so when one has just come to it, so that the neighbours' caches follow an address from node to node.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from pyroute2 import NetlinkError

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux import netlink
from eucapy.drivers.network.linux.places import OURS, Place, Places, gone
from eucapy.drivers.network.linux.routes import family
from eucapy.drivers.network.model import NODE, PublicAddress

NTF_PROXY = 0x08
_NDA_DST, _NDA_PROTOCOL = 1, 12
ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86DD
_ARP_REQUEST = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
_ALL_NODES = socket.inet_pton(socket.AF_INET6, "ff02::1")
_ICMPV6, _NEIGHBOUR_ADVERTISEMENT, _OVERRIDE, _ITS_MAC = 58, 136, 0x20000000, b"\2\1"


def observe(place: Place, names: dict[int, str]) -> set[PublicAddress]:
    """Those of every cloud on the node, always read anew: the kernel tells nobody when one comes or goes. `names` are all the
    links of the node's namespace, by index. One of IPv6 counts only where its link answers for others at all."""
    found = set()
    for each in (socket.AF_INET, socket.AF_INET6):
        for message in place.asking.dump(netlink.GETNEIGH, struct.pack("=BBHiHBB", each, 0, 0, 0, 0, NTF_PROXY, 0)):
            (index,) = struct.unpack_from("=i", message, 4)
            more = netlink.attributes(message, 12)
            if more.get(_NDA_PROTOCOL) == bytes((OURS,)) and index in names:
                ip = netlink.address(more.get(_NDA_DST))
                found.add(PublicAddress(namespace=NODE, link=names[index], ip=ip))
    deaf = {link for link in {thing.link for thing in found if ":" in thing.ip} if not _answers(place, link)}
    return {thing for thing in found if not (":" in thing.ip and thing.link in deaf)}


def _answers(place: Place, link: str) -> bool:
    setting = f"net/ipv6/conf/{link}/proxy_ndp"
    return place.read([setting]).get(setting) == "1"


def put(thing: PublicAddress, places: Places) -> None:
    place, kind = places[thing.namespace], family(thing.ip)
    if kind == socket.AF_INET6:
        place.write(f"net/ipv6/conf/{thing.link}/proxy_ndp", "1")
    place.write(f"net/{'ipv6' if kind == socket.AF_INET6 else 'ipv4'}/neigh/{thing.link}/proxy_delay", "0")
    request = {"ifindex": place.index(thing.link), "dst": thing.ip, "family": kind}
    place.ip.neigh("replace", flags=NTF_PROXY, protocol=OURS, **request)


def drop(thing: PublicAddress, places: Places) -> None:
    place = places[thing.namespace]
    link = place.link(thing.link)
    if link is None:
        return
    try:
        place.ip.neigh("del", ifindex=link["index"], dst=thing.ip, family=family(thing.ip), flags=NTF_PROXY)
    except NetlinkError as error:
        if not gone(error):
            raise


def announce(thing: PublicAddress, places: Places) -> None:
    """A gratuitous ARP request or an unsolicited neighbour advertisement on the uplink; a link without is left in peace."""
    place = places[thing.namespace]
    link = place.link(thing.link)
    mac = link.get_attr("IFLA_ADDRESS") if link is not None else None
    if not mac:
        return
    own = bytes.fromhex(mac.replace(":", ""))
    if family(thing.ip) == socket.AF_INET6:
        kind, frame = ETH_P_IPV6, advertisement(own, thing.ip)
    else:
        ip = socket.inet_aton(thing.ip)
        kind = ETH_P_ARP
        frame = b"\xff" * 6 + own + struct.pack("!H", ETH_P_ARP) + _ARP_REQUEST + own + ip + b"\0" * 6 + ip
    with netns.inside(place.netns):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind))
    with contextlib.closing(raw) as sender:
        sender.bind((thing.link, kind))
        sender.send(frame)


def advertisement(mac: bytes, ip: str) -> bytes:
    """The frame that tells all nodes of a link that the address is at that MAC: from the link-local address of the MAC, since
    what comes from a guest's address is not heard by other nodes."""
    target = socket.inet_pton(socket.AF_INET6, ip)
    source = b"\xfe\x80" + bytes(6) + bytes((mac[0] ^ 2,)) + mac[1:3] + b"\xff\xfe" + mac[3:]
    head = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE)
    body = head + target + _ITS_MAC + mac
    pseudo = source + _ALL_NODES + struct.pack("!II", len(body), _ICMPV6) + body
    total = sum(struct.unpack(f"!{len(pseudo) // 2}H", pseudo))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    body = body[:2] + struct.pack("!H", total) + body[4:]
    packet = struct.pack("!IHBB", 6 << 28, len(body), _ICMPV6, 255) + source + _ALL_NODES + body
    return b"\x33\x33\0\0\0\1" + mac + struct.pack("!H", ETH_P_IPV6) + packet
