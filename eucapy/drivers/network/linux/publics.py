"""Public addresses on the uplink: the node answers ARP for each of them alone (never proxy ARP for a whole link), and
says so when one has just come to it, so that the neighbours' caches follow an address from node to node.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from pyroute2 import NetlinkError
from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST
from pyroute2.netlink.rtnl import RTM_GETNEIGH
from pyroute2.netlink.rtnl.ndmsg import ndmsg

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux.places import OURS, Place, Places, gone
from eucapy.drivers.network.model import NODE, PublicAddress

NTF_PROXY = 0x08
ETH_P_ARP = 0x0806
_ARP_REQUEST = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)


def observe(place: Place, names: dict[int, str], others: set[str]) -> set[PublicAddress]:
    """`names` are all the links of the node's namespace, by index; `others` the addresses of another cloud's guests."""
    request = ndmsg()
    request["family"] = socket.AF_INET
    request["flags"] = NTF_PROXY
    place.ip.status["nlm_generator"] = True
    return {
        PublicAddress(namespace=NODE, link=names[message["ifindex"]], ip=message.get_attr("NDA_DST"))
        for message in list(place.ip.nlm_request(request, RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP))
        if message.get_attr("NDA_PROTOCOL") == OURS
        and message["ifindex"] in names
        and message.get_attr("NDA_DST") not in others
    }


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
