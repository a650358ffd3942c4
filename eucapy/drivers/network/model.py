"""The things a node's network is made of, as data: desired by `eucapy/eucanetd/compile`, observed by a driver.

A thing is a value with a place (`namespace`; "" is the node's own) and a `key` that says which thing it is; two things
with one key and different content are the same thing in two states. So planning is a comparison of two sets, and every
step is one of three verbs over a thing: `Put` makes it so, `Drop` removes it, `Announce` tells the neighbours.

Texts that programs read (rule sets, the resolver's files) are compared by a digest of their content, which the drivers
keep beside what they loaded.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

NODE = ""
"""The place of things that live in the node's own network namespace."""


def digest(*texts: str) -> str:
    """A short fingerprint of texts that a program reads."""
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


class LinkKind(StrEnum):
    """What kind of link a `Link` is. Taps are never made by us: they are adopted from the node's namespace."""

    TAP = "tap"
    VXLAN = "vxlan"
    VETH = "veth"
    VETH_PEER = "veth-peer"


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """A network namespace that routes: forwarding on, redirects off, IPv6 off or routed too, loopback up (all that is
    `ready`)."""

    namespace: str
    ready: bool = True
    ipv6: bool = False

    @property
    def key(self) -> Hashable:
        return ("namespace", self.namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A kernel setting, `key` as under /proc/sys with dots (`net.ipv4.ip_forward`)."""

    namespace: str
    name: str
    value: str

    @property
    def key(self) -> Hashable:
        return ("setting", self.namespace, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ruleset:
    """nftables text that replaces our tables of the namespace in one transaction: `eucapy` of the families inet and
    arp in a namespace of ours, and the name that `netns.node_table` gives in the node's.

    `published` lists the (private, public) address pairs that it translates: connections that were translated otherwise
    are forgotten when the rule set is loaded. None: the tracked connections there are none of our business.
    """

    namespace: str
    digest: str
    text: str = field(default="", compare=False, repr=False)
    published: tuple[tuple[str, str], ...] | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> Hashable:
        return ("ruleset", self.namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link, up. `proxy_arp`: the kernel answers ARP for what it routes elsewhere. `check_source`: IPv4 packets whose source
    is not routed back through the link are dropped. `ipv6`: it carries IPv6 and believes no router; without, none passes.

    A VXLAN link has `vni`, `local` and `port`, and sends through the node's namespace; a VETH has its other end `peer` in
    the namespace `far`, which is the node's or another of ours.
    """

    namespace: str
    name: str
    kind: LinkKind
    mtu: int
    mac: str
    proxy_arp: bool = False
    check_source: bool = True
    ipv6: bool = False
    vni: int = 0
    local: str = ""
    port: int = 0
    peer: str = field(default="", compare=False)
    far: str = field(default=NODE, compare=False)

    @property
    def key(self) -> Hashable:
        return ("link", self.namespace, self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbour:
    """A permanent neighbour: `ip` is at `mac` on the link, and nobody's ARP or neighbour advertisement can change that."""

    namespace: str
    link: str
    ip: str
    mac: str

    @property
    def key(self) -> Hashable:
        return ("neighbour", self.namespace, self.link, self.ip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forwarding:
    """On a VXLAN link: frames for `mac` go to the node whose underlay address is `node`."""

    namespace: str
    link: str
    mac: str
    node: str

    @property
    def key(self) -> Hashable:
        return ("forwarding", self.namespace, self.link, self.mac)


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address of the namespace itself, always as a /32 or /128 (no subnet is on-link here); a link-local one of IPv6 with
    its /64, by which guests' own are reached."""

    namespace: str
    link: str
    ip: str

    @property
    def key(self) -> Hashable:
        return ("address", self.namespace, self.link, self.ip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route. Without a `link` it is `unreachable`, or in another table than the main one "look further" (`throw`), unless it
    `refuses` there too; with `via` the next hop is taken to be on the link."""

    namespace: str
    to: str
    """CIDR; 0.0.0.0/0 and ::/0 are the default routes."""
    link: str = ""
    via: str = ""
    table: int = 0
    """0: the main one."""
    refuses: bool = False

    @property
    def key(self) -> Hashable:
        return ("route", self.namespace, self.table, self.to)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRule:
    """What comes from the block `source` is routed by a table of its own first, and by the main one for the rest."""

    namespace: str
    source: str
    table: int

    @property
    def key(self) -> Hashable:
        return ("source-rule", self.namespace, self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicAddress:
    """The node answers ARP or neighbour solicitations for `ip` on `link` (its uplink), and forwards what comes for it."""

    namespace: str
    link: str
    ip: str

    @property
    def key(self) -> Hashable:
        return ("public", self.namespace, self.link, self.ip)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What goes to and comes from our guests passes another's chain of the forward hook, whose policy is to drop."""

    namespace: str
    family: str
    table: str
    chain: str

    @property
    def key(self) -> Hashable:
        return ("passage", self.namespace, self.family, self.table, self.chain)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolver:
    """DHCP and DNS of a namespace. `config` is dnsmasq's file, in which {folder} stands for the folder of its files;
    `hosts` and `leases` are its host file and DHCP host file, which it takes over without a restart."""

    namespace: str
    config_digest: str
    hosts_digest: str
    config: str = field(default="", compare=False, repr=False)
    hosts: str = field(default="", compare=False, repr=False)
    leases: str = field(default="", compare=False, repr=False)

    @property
    def key(self) -> Hashable:
        return ("resolver", self.namespace)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advertiser:
    """Router advertisements and DHCPv6 of a namespace. `config` is its program's file, which it takes over without a
    restart."""

    namespace: str
    digest: str
    config: str = field(default="", compare=False, repr=False)

    @property
    def key(self) -> Hashable:
        return ("advertiser", self.namespace)


Thing: TypeAlias = (
    Namespace
    | Setting
    | Ruleset
    | Link
    | Neighbour
    | Forwarding
    | Address
    | Route
    | SourceRule
    | PublicAddress
    | Passage
    | Resolver
    | Advertiser
)

ORDER: tuple[type, ...] = (
    Namespace,
    Setting,
    Ruleset,
    Link,
    Neighbour,
    Forwarding,
    Address,
    Route,
    SourceRule,
    PublicAddress,
    Passage,
    Resolver,
    Advertiser,
)
"""Things are put in this order and dropped in the opposite one: rules stand before the first packet can come."""


@dataclass(frozen=True, slots=True)
class Put:
    """Make the thing so, whatever is there under its key. Done twice it is the same as once."""

    thing: Thing


@dataclass(frozen=True, slots=True)
class Drop:
    """Remove the thing; that it is already gone is no error."""

    thing: Thing


@dataclass(frozen=True, slots=True)
class Announce:
    """Tell the uplink's neighbours that a public address is here now (gratuitous ARP, unsolicited advertisement)."""

    thing: PublicAddress


Step: TypeAlias = Put | Drop | Announce


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What a driver found: our things, by place, and taps in the node's namespace that wait to be adopted.

    `broken` names the places that could not be read, with the reason; of these nothing is known. `mtus` has every address
    of the node's own namespace and the MTU of the link that carries it. `barriers` are (family, table, chain) of others'
    nftables chains that let nothing through the node unless they know it.
    """

    things: frozenset[Thing] = frozenset()
    waiting_taps: frozenset[str] = frozenset()
    mtus: dict[str, int] = field(default_factory=dict)
    barriers: frozenset[tuple[str, str, str]] = frozenset()
    broken: dict[str, str] = field(default_factory=dict)

    @property
    def namespaces(self) -> frozenset[str]:
        named = {thing.namespace for thing in self.things if isinstance(thing, Namespace)}
        return frozenset(named | (self.broken.keys() - {NODE}))

    def taps(self, namespace: str) -> frozenset[str]:
        """The taps that are in the namespace."""
        return frozenset(
            thing.name
            for thing in self.things
            if isinstance(thing, Link) and thing.kind is LinkKind.TAP and thing.namespace == namespace
        )
