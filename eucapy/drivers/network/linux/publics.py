"""Public addresses on the uplink: the node answers ARP for each of them alone (never proxy ARP for a whole link), and
says so when one has just come to it, so that the neighbours' caches follow an address from node to node.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from pyroute2 import NetlinkError

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux import netlink
from eucapy.drivers.network.linux.places import OURS, Place, Places, gone
from eucapy.drivers.network.model import NODE, PublicAddress

NTF_PROXY = 0x08
_NDA_DST, _NDA_PROTOCOL = 1, 12
ETH_P_ARP = 0x0806
_ARP_REQUEST = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)


def observe(place: Place, names: dict[int, str]) -> set[PublicAddress]:
    """Those of every cloud on the node, always read anew: the kernel tells nobody when one comes or goes. `names` are all the
    links of the node's namespace, by index."""
    found = set()
    for message in place.asking.dump(
        netlink.GETNEIGH, struct.pack("=BBHiHBB", socket.AF_INET, 0, 0, 0, 0, NTF_PROXY, 0)
    ):
        (index,) = struct.unpack_from("=i", message, 4)
        more = netlink.attributes(message, 12)
        if more.get(_NDA_PROTOCOL) == bytes((OURS,)) and index in names:
            ip = netlink.address(more.get(_NDA_DST))
            found.add(PublicAddress(namespace=NODE, link=names[index], ip=ip))
    return found


def put(thing: PublicAddress, places: Places) -> None:
    place = places[thing.namespace]
    place.write(f"net/ipv4/neigh/{thing.link}/proxy_delay", "0")
    place.ip.neigh("replace", ifindex=place.index(thing.link), dst=thing.ip, flags=NTF_PROXY, protocol=OURS)


def drop(thing: PublicAddress, places: Places) -> None:
    place = places[thing.namespace]
    link = place.link(thing.link)
    if link is None:
        return
    try:
        place.ip.neigh("del", ifindex=link["index"], dst=thing.ip, flags=NTF_PROXY)
    except NetlinkError as error:
        if not gone(error):
            raise


def announce(thing: PublicAddress, places: Places) -> None:
    """A gratuitous ARP request on the uplink; a link without ARP is left in peace."""
    place = places[thing.namespace]
    link = place.link(thing.link)
    mac = link.get_attr("IFLA_ADDRESS") if link is not None else None
    if not mac:
        return
    own = bytes.fromhex(mac.replace(":", ""))
    ip = socket.inet_aton(thing.ip)
    frame = b"\xff" * 6 + own + struct.pack("!H", ETH_P_ARP) + _ARP_REQUEST + own + ip + b"\0" * 6 + ip
    with netns.inside(place.netns):
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    with contextlib.closing(raw) as sender:
        sender.bind((thing.link, ETH_P_ARP))
        sender.send(frame)
