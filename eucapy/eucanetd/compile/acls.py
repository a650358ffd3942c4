"""Network ACLs in a VPC's rule set: judged packet by packet, without memory, as a packet leaves one subnet for another.

    forward  -10   acls ── from a tap of a guarded subnet ──► acl_from_<subnet>: to its own subnet? passes
                    │                                           │ jump acl_out_<acl>: allow returns, deny ends
                    │                                           ▼
                    └── from elsewhere (other taps, ─────────► acl_enter ── by target ──► acl_in_<acl>
                        VXLAN, the world)

Where a packet comes from is known by its tap, and over VXLAN by its source, which the other node has vouched for. A node
judges both ends of what its own guests send, and once more what comes in by VXLAN: a guest that may send any source
cannot claim to be in the subnet that it sends to. What a guest asks of the VPC itself (DHCP, DNS, metadata, the gateway's
echo) is not forwarded and so not judged, as in EC2. A VPC whose subnets are all open has none of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eucapy.eucanetd.compile import drops, layout, permissions, text
from eucapy.eucanetd.compile.flows import refused
from eucapy.wire.network import AclEntrySpec, PortSpec, SubnetSpec, VpcSpec

_REFUSED = "goto drop_refused_acl"
_PAIR6 = "ipv6_addr . ipv6_addr"


def acls(vpc: VpcSpec, ports: Sequence[PortSpec], ipv6: bool = False) -> str:
    """The part of the table; nothing where no subnet is guarded. `ipv6`: both families are there. Raises ValueError for
    values that make no rules."""
    known = {acl.acl_id: acl for acl in vpc.acls}
    guarded = sorted((subnet for subnet in vpc.subnets if subnet.acl), key=lambda subnet: subnet.subnet_id)
    if not guarded:
        return ""
    unknown = {subnet.acl for subnet in guarded} - known.keys()
    if unknown:
        raise ValueError(f"{vpc.vpc_id} does not say what {', '.join(sorted(unknown))} lets through")
    chains: list[str] = []
    no_entry = no_exit = _REFUSED
    if vpc.flow_logs:
        no_entry, no_exit = "goto acl_refused_in", "goto acl_refused_out"
        chains.append(_chain("acl_refused_in", [*refused(vpc, "flow_sent", "flow_received_refused"), _REFUSED]))
        chains.append(_chain("acl_refused_out", [*refused(vpc, "flow_sent_refused"), _REFUSED]))
    for acl_id in sorted({subnet.acl for subnet in guarded}):
        name = text.identifier(acl_id)
        chains.append(_chain(f"acl_in_{name}", _verdicts(known[acl_id].ingress, "saddr", "accept", no_entry, ipv6)))
        chains.append(_chain(f"acl_out_{name}", _verdicts(known[acl_id].egress, "daddr", "return", no_exit, ipv6)))
    within = f'iifname "{layout.VXLAN}"'
    blocks6 = [(text.cidr6(each.cidr6), each) for each in guarded if each.cidr6] if ipv6 else []
    return "".join(
        [
            drops.declared("refused_acl"),
            _set("acl_within", "ipv4_addr . ipv4_addr", (f"{_block(each)} . {_block(each)}" for each in guarded)),
            *((_set("acl_within6", _PAIR6, (f"{block} . {block}" for block, _ in blocks6)),) if ipv6 else ()),
            *chains,
            _map("acl_to", "ipv4_addr", (f"{_block(each)} : goto acl_in_{_acl(each)}" for each in guarded)),
            *(
                (_map("acl_to6", "ipv6_addr", (f"{block} : goto acl_in_{_acl(each)}" for block, each in blocks6)),)
                if ipv6
                else ()
            ),
            _chain("acl_enter", ["ip daddr vmap @acl_to", *(("ip6 daddr vmap @acl_to6",) if ipv6 else ())]),
            *(_chain(f"acl_from_{text.identifier(each.subnet_id)}", _leaving(each, ipv6)) for each in guarded),
            _taps(guarded, ports),
            _chain(
                "acls",
                [
                    "type filter hook forward priority filter - 10; policy accept;",
                    "iifname vmap @acl_from",
                    f"{within} ip saddr . ip daddr @acl_within accept",
                    *((f"{within} ip6 saddr . ip6 daddr @acl_within6 accept",) if ipv6 else ()),
                    "goto acl_enter",
                ],
            ),
        ]
    )


def _leaving(subnet: SubnetSpec, ipv6: bool) -> list[str]:
    own = [f"ip daddr {_block(subnet)} accept"]
    if ipv6 and subnet.cidr6:
        own.append(f"ip6 daddr {text.cidr6(subnet.cidr6)} accept")
    return [*own, f"jump acl_out_{_acl(subnet)}", "goto acl_enter"]


def _taps(guarded: Sequence[SubnetSpec], ports: Sequence[PortSpec]) -> str:
    names = {subnet.subnet_id: text.identifier(subnet.subnet_id) for subnet in guarded}
    items = [
        f'"{text.link(port.tap)}" : goto acl_from_{names[port.subnet_id]}' for port in ports if port.subnet_id in names
    ]
    return f"  map acl_from {{\n    type ifname : verdict\n{text.elements(items)}  }}\n"


def _verdicts(entries: Iterable[AclEntrySpec], other_end: str, allowed: str, refused: str, ipv6: bool) -> list[str]:
    """A line an entry, in their order, whichever family they are of; what is left is refused."""
    lines = []
    for entry in entries:
        of6 = text.is6(entry.cidr)
        match = permissions.matches(entry.protocol, entry.from_port, entry.to_port, of6)
        if match is None or (of6 and not ipv6):
            continue
        block = text.cidr6(entry.cidr) if of6 else text.cidr(entry.cidr)
        everywhere = block in (permissions.ANY, permissions.ANY6)
        where = permissions.any_of(block, ipv6) if everywhere else f"{'ip6' if of6 else 'ip'} {other_end} {block}"
        lines.append(" ".join(part for part in (match, where, allowed if entry.allow else refused) if part))
    return [*lines, refused]


def _block(subnet: SubnetSpec) -> str:
    return text.cidr(subnet.cidr)


def _acl(subnet: SubnetSpec) -> str:
    return text.identifier(subnet.acl)


def _set(name: str, of: str, items: Iterable[str]) -> str:
    return f"  set {name} {{\n    type {of}\n    flags interval\n{text.elements(items)}  }}\n"


def _map(name: str, of: str, items: Iterable[str]) -> str:
    return f"  map {name} {{\n    type {of} : verdict\n    flags interval\n{text.elements(items)}  }}\n"


def _chain(name: str, lines: Iterable[str]) -> str:
    return f"  chain {name} {{\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"
