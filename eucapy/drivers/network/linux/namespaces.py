"""Namespaces: made as `ip netns` makes them, and turned into routers that trust nobody.

What the settings are for: no redirects (in a routed network every packet between guests leaves by another link than it
came, or by the very same); reverse path checks per link (`links.py`), so the sum over all links stays 0; errors carry the
address of the link that the packet came by, which is the guest's gateway. IPv6 is off, or routes as IPv4 does: no address
and no route of the kernel's own making, since nobody's advertisement is believed.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path

from eucapy.drivers.network import netns
from eucapy.drivers.network.linux.places import Place, Places
from eucapy.drivers.network.model import Namespace
from eucapy.run import run_now

SETTINGS = {
    "net/ipv4/ip_forward": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "1",
    "net/ipv4/conf/all/send_redirects": "0",
    "net/ipv4/conf/default/send_redirects": "0",
    "net/ipv4/conf/all/accept_redirects": "0",
    "net/ipv4/conf/default/accept_redirects": "0",
    "net/ipv4/conf/all/proxy_arp": "0",
    "net/ipv4/icmp_errors_use_inbound_ifaddr": "1",
}
_DISABLE6 = ("net/ipv6/conf/all/disable_ipv6", "net/ipv6/conf/default/disable_ipv6")
WITHOUT_IPV6 = {**SETTINGS, **dict.fromkeys(_DISABLE6, "1")}
_DEFAULTS6 = {
    "addr_gen_mode": "1",
    "accept_ra": "0",
    "accept_redirects": "0",
    "autoconf": "0",
    "accept_dad": "0",
    "dad_transmits": "0",
}
"""What every link of the namespace has before IPv6 is on, loopback too."""
WITH_IPV6 = {
    **SETTINGS,
    **{f"net/ipv6/conf/default/{name}": value for name, value in _DEFAULTS6.items()},
    "net/ipv6/conf/all/accept_redirects": "0",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/default/forwarding": "1",
    **dict.fromkeys(_DISABLE6, "0"),
}


def observe(place: Place, loopback_up: bool) -> Namespace:
    """The opened namespace; `ready` when every setting that the kernel has is as it must be."""
    found = place.read(list({**WITH_IPV6, **WITHOUT_IPV6}))
    ipv6 = found.get(_DISABLE6[0]) == "0"
    wanted = WITH_IPV6 if ipv6 else WITHOUT_IPV6
    ready = all(wanted[name] == value for name, value in found.items() if name in wanted)
    return Namespace(namespace=place.namespace, ready=ready and loopback_up, ipv6=ipv6)


def put(thing: Namespace, places: Places, inhabitant: Callable[[str], int | None]) -> None:
    """Make it if need be, and set it right. `inhabitant` tells of a process of ours that lives in the namespace: one that
    has lost its name is named again, with the guests' taps in it, which no other could have."""
    name = thing.namespace
    if netns.exists(name) and not _usable(name):
        run_now("ip", "netns", "delete", name)  # the name is left of one whose making was cut short
    if not netns.exists(name) and not _named_again(name, inhabitant):
        run_now("ip", "netns", "add", name)
    place = places[name]
    wanted = WITH_IPV6 if thing.ipv6 else WITHOUT_IPV6
    if thing.ipv6 and place.read([_DISABLE6[0]]) == {_DISABLE6[0]: "1"}:
        for link in place.ip.get_links():  # those that were there before have their settings from elsewhere
            for setting, value in _DEFAULTS6.items():
                place.write(f"net/ipv6/conf/{link.get_attr('IFLA_IFNAME')}/{setting}", value)
    for setting, value in place.read(list(wanted)).items():
        if wanted[setting] != value:
            place.write(setting, wanted[setting])
    place.ip.link("set", index=place.index("lo"), state="up")


def _named_again(name: str, inhabitant: Callable[[str], int | None]) -> bool:
    pid = inhabitant(name)
    if pid is None:
        return False
    try:
        theirs, ours = (Path(f"/proc/{who}/ns/net").stat().st_ino for who in (pid, "self"))
    except (FileNotFoundError, ProcessLookupError):
        return False
    if theirs == ours or run_now("ip", "netns", "attach", name, str(pid), check=False).status != 0:
        return False
    if inhabitant(name) == pid and netns.path(name).stat().st_ino == theirs:
        return True
    run_now("ip", "netns", "delete", name)  # the process ended meanwhile, and its number may be another's by now
    return False


def drop(thing: Namespace, places: Places) -> None:
    """Remove it with all that is in it; a guest's tap that is in it is lost, so callers make sure that none is."""
    places.forget(thing.namespace)
    if netns.exists(thing.namespace):
        run_now("ip", "netns", "delete", thing.namespace)


def _usable(name: str) -> bool:
    try:
        with netns.inside(name):
            return True
    except OSError as error:
        if error.errno == errno.EINVAL:  # a plain file, on which nothing was mounted
            return False
        raise
