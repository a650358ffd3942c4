"""The rules of a VPC's namespace: who may be the source of what, what guests may ask of us, security groups, public
addresses.

    prerouting  raw     sources     a tap's packets carry its own MAC and one of its own addresses
    prerouting  dstnat  arrivals    public → private, for what comes from the node
    input       filter  local       DHCP, DNS, metadata, echo to the gateway; nothing else of ours can be reached
    forward     -10     acls        stateless; between subnets (`acls.py`)
    forward     filter  egress      stateful; the source tap's groups
    forward     +10     ingress     stateful; the target tap's groups
    forward     +5 +15  flows       what flow logs are about (`flows.py`)
    postrouting srcnat  departures  private → public, for what leaves to it; a subnet → its NAT gateway, if that is here

Egress and ingress are two base chains, so that each has its own say: an accept ends only its own chain. A connection that
was accepted goes on when a rule is removed, as in EC2. What is addressed to a public address always leaves to the node and
comes back, even between two guests of one VPC: the target's groups see the public source address, as in EC2.
A port that has no tap yet stands in the rules already: there is no moment in which its guest is open. IPv6 is judged in the
same chains (`firewall6.py`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping, Sequence

from eucapy.drivers.network.model import Ruleset, digest
from eucapy.eucanetd.compile import drops, firewall6, flows, layout, peerings, permissions, text
from eucapy.eucanetd.compile.acls import acls
from eucapy.eucanetd.compile.layout import Layout
from eucapy.wire.network import GroupSpec, PortSpec, VpcSpec


def ruleset(
    vpc: VpcSpec, ports: Sequence[PortSpec], groups: Mapping[str, GroupSpec], plan: Layout, resolvers: Iterable[str]
) -> Ruleset:
    """The rule set of a VPC for the ports of it that this node has, in an order that does not depend on theirs.

    Raises ValueError for values that cannot stand in rules.
    """
    ports = sorted(ports, key=lambda port: port.interface_id)
    used = {group_id: groups[group_id] for port in ports for group_id in port.groups if group_id in groups}
    published = _published(ports) if vpc.internet else []
    translated = _translated(vpc) if vpc.internet else []
    ipv6 = plan.has_ipv6(vpc)
    numbers = _numbers(used)
    members = [(number, groups[group_id]) for group_id, number in numbers.items() if group_id in groups]
    body = "".join(
        [
            _arp(ports),
            "table inet eucapy {\n",
            drops.declared("spoofed", "refused_in", "refused_out"),
            _sets(vpc, ports, members, published, resolvers),
            firewall6.sets(ports, members, vpc, plan) if ipv6 else "",
            _group_chains(used, numbers, ipv6),
            _port_chains(ports, used),
            _nat_sets(translated),
            flows.flows(vpc, ports),
            acls(vpc, ports, ipv6),
            _base_chains(vpc, plan, nat=bool(translated), ipv6=ipv6),
            "}\n",
        ]
    )
    pairs = {*published, *_behind(vpc, ports, translated)}
    return Ruleset(namespace=plan.namespace(vpc.vpc_id), digest=digest(body), text=body, published=tuple(sorted(pairs)))


def _published(ports: Sequence[PortSpec]) -> list[tuple[str, str]]:
    return [(text.ip(private), text.ip(public)) for port in ports for private, public in port.public]


def _translated(vpc: VpcSpec) -> list[tuple[str, str]]:
    """(block, public address) of the subnets behind the NAT gateways that this node is."""
    blocks = {subnet.subnet_id: text.cidr(subnet.cidr) for subnet in vpc.subnets}
    return sorted(
        (blocks[subnet_id], text.ip(gateway.public_ip))
        for gateway in vpc.nat_gateways
        if not gateway.node
        for subnet_id in gateway.subnets
        if subnet_id in blocks
    )


def _behind(
    vpc: VpcSpec, ports: Sequence[PortSpec], translated: Sequence[tuple[str, str]]
) -> Iterable[tuple[str, str]]:
    """(private, public) of every address that a NAT gateway here speaks for: connections of others are forgotten."""
    if translated:
        every = {text.ip(ip) for port in ports for ip in port.private_ips}
        every |= {text.ip(one.ip) for one in vpc.remotes if not text.is6(one.ip)}
        for block, public in translated:
            network = ipaddress.IPv4Network(block)
            yield from ((ip, public) for ip in every if ipaddress.IPv4Address(ip) in network)


def _nat_sets(translated: Sequence[tuple[str, str]]) -> str:
    if not translated:
        return ""
    blocks = text.elements(block for block, _ in translated)
    pairs = text.elements(f"{block} : {public}" for block, public in translated)
    return (
        f"  set natted {{\n    type ipv4_addr\n    flags interval\n{blocks}  }}\n"
        f"  map to_gateway {{\n    type ipv4_addr : ipv4_addr\n    flags interval\n{pairs}  }}\n"
    )


def _numbers(used: Mapping[str, GroupSpec]) -> dict[str, int]:
    """The mark of each group that a rule refers to."""
    referred = {rule.group for group in used.values() for rule in (*group.ingress, *group.egress) if rule.group}
    return {group_id: number for number, group_id in enumerate(sorted(referred), start=1)}


def _own(ports: Sequence[PortSpec], *more: str) -> list[str]:
    return [
        f'"{text.link(port.tap)}" . {text.mac(port.mac)} . {address}'
        for port in ports
        for address in (*(text.ip(ip) for ip in port.private_ips), *more)
    ]


def _arp(ports: Sequence[PortSpec]) -> str:
    """0.0.0.0 asks whether an address is taken, before a guest takes it."""
    return (
        "table arp eucapy {\n"
        "  set own {\n    type ifname . ether_addr . ipv4_addr\n"
        f"{text.elements(_own(ports, '0.0.0.0'))}  }}\n"  # noqa: S104
        "  chain sources {\n"
        "    type filter hook input priority filter; policy drop;\n"
        "    iifname . arp saddr ether . arp saddr ip @own accept\n"
        "  }\n}\n"
    )


def _set(name: str, of: str, items: Iterable[str]) -> str:
    return f"  set {name} {{\n    type {of}\n{text.elements(items)}  }}\n"


def _map(name: str, of: str, items: Iterable[str]) -> str:
    return f"  map {name} {{\n    type {of}\n{text.elements(items)}  }}\n"


def _sets(
    vpc: VpcSpec,
    ports: Sequence[PortSpec],
    referred: Sequence[tuple[int, GroupSpec]],
    published: list[tuple[str, str]],
    resolvers: Iterable[str],
) -> str:
    members = [
        f"{number} . {text.ip(member)}"
        for number, group in referred
        for member in sorted(set(group.members))
        if not text.is6(member)
    ]
    macs = [(port, f'"{text.link(port.tap)}" . {text.mac(port.mac)}') for port in ports]
    return "".join(
        [
            _set("own", "ifname . ether_addr . ipv4_addr", _own(ports)),
            _set("macs", "ifname . ether_addr", [entry for _, entry in macs]),
            _set("routers", "ifname . ether_addr", [entry for port, entry in macs if not port.source_dest_check]),
            _set("members", "mark . ipv4_addr", members),
            _set("gateways", "ipv4_addr", sorted({text.ip(subnet.gateway) for subnet in vpc.subnets})),
            _set("resolvers", "ipv4_addr", sorted(resolvers)),
            _set("published", "ipv4_addr", sorted({private for private, _ in published})),
            _map("to_private", "ipv4_addr : ipv4_addr", [f"{public} : {private}" for private, public in published]),
            _map("to_public", "ipv4_addr : ipv4_addr", [f"{private} : {public}" for private, public in published]),
        ]
    )


def _chain(name: str, lines: Iterable[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _group_chains(used: Mapping[str, GroupSpec], numbers: Mapping[str, int], ipv6: bool) -> str:
    chains = []
    for group_id, group in sorted(used.items()):
        name = text.identifier(group_id)
        chains.append(_chain(f"in_{name}", permissions.accepts(group.ingress, "saddr", numbers, ipv6)))
        chains.append(_chain(f"out_{name}", permissions.accepts(group.egress, "daddr", numbers, ipv6)))
    return "".join(chains)


def _port_chains(ports: Sequence[PortSpec], used: Mapping[str, GroupSpec]) -> str:
    chains, verdicts = [], {"in": list[str](), "out": list[str]()}
    for port in ports:
        name = text.identifier(port.interface_id)
        for way, found in verdicts.items():
            jumps = [f"jump {way}_{text.identifier(group)}" for group in sorted(port.groups) if group in used]
            chains.append(_chain(f"{way}_{name}", jumps))
            found.append(f'"{text.link(port.tap)}" : jump {way}_{name}')
    maps = [_map(f"guests_{way}", "ifname : verdict", found) for way, found in verdicts.items()]
    return "".join(chains + maps)


def _base_chains(vpc: VpcSpec, plan: Layout, nat: bool, ipv6: bool) -> str:
    ours = ", ".join([f'"{layout.VXLAN}"', f'"{layout.UP}"', *peerings.links(vpc, plan)])
    ours = f"{{ {ours} }}"
    return "".join(
        [
            _chain("link_local6", firewall6.LINK_LOCAL) if ipv6 else "",
            _chain("sources6", firewall6.sources(vpc, plan, ours)) if ipv6 else "",
            _chain(
                "sources",
                [
                    "type filter hook prerouting priority raw; policy drop;",
                    'iifname "lo" accept',
                    f"meta nfproto ipv6 {'goto sources6' if ipv6 else 'drop'}",
                    *peerings.arriving(vpc, plan),
                    f"iifname {ours} icmp type redirect drop",
                    f"iifname {ours} accept",
                    "iifname . ether saddr . ip saddr @own accept",
                    "iifname . ether saddr @routers accept",
                    "ip saddr 0.0.0.0 ip daddr 255.255.255.255 udp sport 68 udp dport 67 "
                    "iifname . ether saddr @macs accept",
                    "goto drop_spoofed",
                ],
            ),
            _chain(
                "arrivals",
                [
                    "type nat hook prerouting priority dstnat; policy accept;",
                    f'iifname "{layout.UP}" dnat ip to ip daddr map @to_private',
                ],
            ),
            _chain(
                "local",
                [
                    "type filter hook input priority filter; policy drop;",
                    'iifname "lo" accept',
                    "ct state established,related accept",
                    f"iifname {ours} drop",
                    "udp sport 68 udp dport 67 accept",
                    "ip daddr @resolvers meta l4proto { tcp, udp } th dport 53 accept",
                    f"ip daddr {layout.METADATA} tcp dport 80 accept",
                    "ip daddr @gateways icmp type echo-request accept",
                    *(firewall6.LOCAL if ipv6 else ()),
                ],
            ),
            _chain(
                "egress",
                [
                    "type filter hook forward priority filter; policy drop;",
                    f"ip daddr {{ 127.0.0.0/8, 169.254.0.0/16, {text.cidr(plan.transit)} }} drop",
                    *((f'iifname "{layout.UP}" ip daddr @natted ct state established,related accept',) if nat else ()),
                    f'oifname "{layout.UP}" ip saddr != @published {"ip saddr != @natted " if nat else ""}drop',
                    f'iifname "{layout.UP}" ip daddr != @published drop',
                    *(firewall6.OUTSIDE if ipv6 else ()),
                    "tcp flags & (syn | rst) == syn tcp option maxseg size set rt mtu",
                    *peerings.crossing(vpc, plan),
                    "ct state established,related accept",
                    *flows.invalid(vpc, ours),
                    "ct state invalid drop",
                    *((firewall6.BEGUN_OUTSIDE,) if ipv6 else ()),
                    f"iifname {ours} accept",
                    "iifname vmap @guests_out",
                    *flows.refused(vpc, "flow_sent_refused"),
                    "goto drop_refused_out",
                ],
            ),
            _chain(
                "ingress",
                [
                    "type filter hook forward priority filter + 10; policy drop;",
                    "ct state established,related accept",
                    f"oifname {ours} accept",
                    "oifname vmap @guests_in",
                    *flows.refused(vpc, "flow_received_refused"),
                    "goto drop_refused_in",
                ],
            ),
            _chain(
                "departures",
                [
                    "type nat hook postrouting priority srcnat; policy accept;",
                    f'oifname "{layout.UP}" snat ip to ip saddr map @to_public',
                    *((f'oifname "{layout.UP}" snat ip to ip saddr map @to_gateway',) if nat else ()),
                ],
            ),
        ]
    )
