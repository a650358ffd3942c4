"""One VPC on one node: its namespace with everything in it, and its things in the node's namespace.

Links, addresses and routes follow the taps that are there; rules, DHCP and DNS follow the spec, so that a guest finds them
ready.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence, Set

from eucapy.drivers.network.model import (
    NODE,
    Address,
    Forwarding,
    Link,
    LinkKind,
    Namespace,
    Neighbour,
    PublicAddress,
    Route,
    SourceRule,
    Thing,
)
from eucapy.eucanetd.compile import firewall, firewall6, layout, resolver, text
from eucapy.eucanetd.compile.advertiser import advertiser
from eucapy.eucanetd.compile.layout import Layout
from eucapy.wire.network import GroupSpec, NatGatewaySpec, PeeringSpec, PortSpec, VpcSpec

LINK_LOCAL = "169.254.0.0/16"


def compile_vpc(
    vpc: VpcSpec,
    ports: Sequence[PortSpec],
    groups: Mapping[str, GroupSpec],
    nodes: Mapping[str, str],
    plan: Layout,
    taps: Set[str],
    joined: Set[str] = frozenset(),
) -> frozenset[Thing]:
    """What there shall be for the VPC. `ports` are those of it that this node has, `taps` the taps that are on the node
    now, `nodes` the underlay addresses, `joined` the peers that are laid out here and name this VPC too. Raises ValueError
    for a spec that makes no sense."""
    namespace = plan.namespace(vpc.vpc_id)
    resolvers = resolver.resolver_addresses(vpc)
    plugged = [port for port in ports if port.tap in taps]
    ipv6 = plan.has_ipv6(vpc)
    things: set[Thing] = {
        Namespace(namespace=namespace, ipv6=ipv6),
        firewall.ruleset(vpc, ports, groups, plan, resolvers),
        resolver.resolver(vpc, ports, plan),
        *(Address(namespace=namespace, link=layout.LOOPBACK, ip=ip) for ip in (layout.METADATA, *resolvers)),
        *(Route(namespace=namespace, to=text.cidr(block)) for block in (*vpc.cidrs, LINK_LOCAL)),
    }
    for port in plugged:
        things |= set(_port(vpc, port, plan))
    things |= set(_uplink(vpc, plugged, plan))
    if ipv6:
        things |= set(_blocks6(vpc, plan))
        things.add(advertiser(vpc, ports, plan))
    peers = [peer for peer in vpc.peerings if peer.vpc_id in joined]
    for peer in peers:
        things |= set(_pair(vpc, peer, plan))
    things |= set(_subnet_ways(vpc, peers, nodes, plan))
    if plan.underlay:
        local = {text.either(ip) for port in plugged for ip in (*port.private_ips, *port.ipv6s)}
        things |= set(_overlay(vpc, nodes, local, plan))
    return frozenset(things)


def _port(vpc: VpcSpec, port: PortSpec, plan: Layout) -> Iterator[Thing]:
    namespace = plan.namespace(vpc.vpc_id)
    gateways = [subnet.gateway for subnet in vpc.subnets if subnet.subnet_id == port.subnet_id]
    if not gateways:
        raise ValueError(f"{port.interface_id} is in subnet {port.subnet_id}, which {vpc.vpc_id} has not")
    yield Link(
        namespace=namespace,
        name=port.tap,
        kind=LinkKind.TAP,
        mtu=plan.mtu,
        mac=layout.TAP_MAC,
        proxy_arp=True,
        check_source=port.source_dest_check,
        ipv6=plan.has_ipv6(vpc),
    )
    yield Address(namespace=namespace, link=port.tap, ip=text.ip(gateways[0]))
    for ip in port.private_ips:
        yield Neighbour(namespace=namespace, link=port.tap, ip=text.ip(ip), mac=text.mac(port.mac))
        yield Route(namespace=namespace, to=f"{text.ip(ip)}/32", link=port.tap)
    if plan.has_ipv6(vpc):
        yield Address(namespace=namespace, link=port.tap, ip=layout.link_local(layout.TAP_MAC))
        for ip in port.ipv6s:
            yield Neighbour(namespace=namespace, link=port.tap, ip=text.ip6(ip), mac=text.mac(port.mac))
            yield Route(namespace=namespace, to=f"{text.ip6(ip)}/128", link=port.tap)


def _blocks6(vpc: VpcSpec, plan: Layout) -> Iterator[Thing]:
    """What is nobody's in the VPC's IPv6 blocks, and the address that the namespace itself speaks from."""
    namespace = plan.namespace(vpc.vpc_id)
    for block in vpc.cidrs6:
        yield Route(namespace=namespace, to=text.cidr6(block))
    for subnet in vpc.subnets:
        if subnet.cidr6:
            own = layout.subnet_gateway6(text.cidr6(subnet.cidr6))
            yield Address(namespace=namespace, link=layout.LOOPBACK, ip=own)


def _uplink(vpc: VpcSpec, plugged: Sequence[PortSpec], plan: Layout) -> Iterator[Thing]:
    """The pair to the node's namespace, and the public addresses that come by it."""
    namespace, peer, own = plan.namespace(vpc.vpc_id), plan.peer(vpc.vni), plan.transit_address(vpc.vni)
    ipv6 = plan.has_ipv6(vpc) and plan.public6
    yield Link(
        namespace=namespace, name=layout.UP, kind=LinkKind.VETH, mac=layout.UP_MAC, mtu=plan.mtu, ipv6=ipv6, peer=peer
    )
    yield Address(namespace=namespace, link=layout.UP, ip=own)
    yield Neighbour(namespace=namespace, link=layout.UP, ip=plan.transit_gateway, mac=layout.PEER_MAC)
    yield Route(namespace=namespace, to="0.0.0.0/0", link=layout.UP, via=plan.transit_gateway)
    yield Link(namespace=NODE, name=peer, kind=LinkKind.VETH_PEER, mac=layout.PEER_MAC, mtu=plan.mtu, ipv6=ipv6)
    yield Neighbour(namespace=NODE, link=peer, ip=own, mac=layout.UP_MAC)
    yield Route(namespace=NODE, to=f"{own}/32", link=peer)
    for public in public_addresses(vpc, plugged):
        yield Route(namespace=NODE, to=f"{public}/32", link=peer, via=own)
        if plan.uplink:
            yield PublicAddress(namespace=NODE, link=text.link(plan.uplink), ip=public)
    if ipv6:
        there, here = layout.link_local(layout.PEER_MAC), layout.link_local(layout.UP_MAC)
        yield Neighbour(namespace=namespace, link=layout.UP, ip=there, mac=layout.PEER_MAC)
        yield Route(namespace=namespace, to="::/0", link=layout.UP, via=there)
        yield Neighbour(namespace=NODE, link=peer, ip=here, mac=layout.UP_MAC)
        for public in public_addresses6(vpc, plugged, plan):
            yield Route(namespace=NODE, to=f"{public}/128", link=peer, via=here)
            if plan.uplink:
                yield PublicAddress(namespace=NODE, link=text.link(plan.uplink), ip=public)


def public_addresses6(vpc: VpcSpec, plugged: Sequence[PortSpec], plan: Layout) -> list[str]:
    """IPv6 addresses alive here that speak with outside: guests' own."""
    return firewall6.outward(plugged, plan) if plan.has_ipv6(vpc) else []


def public_addresses(vpc: VpcSpec, plugged: Sequence[PortSpec]) -> list[str]:
    """Public addresses that are alive here, in a VPC that has an internet gateway: of ports that are plugged, and of the NAT
    gateways that this node is."""
    if not vpc.internet:
        return []
    ports = {text.ip(public) for port in plugged for _, public in port.public}
    return sorted(ports | {text.ip(gateway.public_ip) for gateway in vpc.nat_gateways if not gateway.node})


def _overlay(vpc: VpcSpec, nodes: Mapping[str, str], local: Set[str], plan: Layout) -> Iterator[Thing]:
    """The VXLAN device, and a route for every address of the VPC on another node. A local address wins over a remote."""
    namespace = plan.namespace(vpc.vpc_id)
    yield Link(
        namespace=namespace,
        name=layout.VXLAN,
        kind=LinkKind.VXLAN,
        mtu=plan.mtu,
        mac=layout.vtep_mac(plan.underlay),
        vni=vpc.vni,
        local=text.ip(plan.underlay),
        port=plan.vxlan_port,
        check_source=not vpc.peerings,
        ipv6=plan.has_ipv6(vpc),
    )
    reached: set[str] = set()
    for remote in vpc.remotes:
        node, of6 = nodes.get(remote.node), text.is6(remote.ip)
        if node is None or node == plan.underlay or (of6 and not plan.has_ipv6(vpc)):
            continue
        ip = text.either(remote.ip)
        if ip in local:
            continue
        reached.add(text.ip(node))
        via = layout.link_local(layout.vtep_mac(node)) if of6 else text.ip(node)
        yield Route(namespace=namespace, to=f"{ip}/{128 if of6 else 32}", link=layout.VXLAN, via=via)
    reached |= {text.ip(nodes[gateway.node]) for gateway in _far_gateways(vpc, nodes)}
    for node in sorted(reached):
        mac = layout.vtep_mac(node)
        yield Neighbour(namespace=namespace, link=layout.VXLAN, ip=node, mac=mac)
        if plan.has_ipv6(vpc):
            yield Neighbour(namespace=namespace, link=layout.VXLAN, ip=layout.link_local(mac), mac=mac)
        yield Forwarding(namespace=namespace, link=layout.VXLAN, mac=mac, node=node)


def _pair(vpc: VpcSpec, peer: PeeringSpec, plan: Layout) -> Iterator[Thing]:
    """This VPC's end of the pair to a peer. Its rules say what may come by it (`firewall.py`): answers may go another way."""
    namespace, link = plan.namespace(vpc.vpc_id), plan.peering(peer.vni)
    yield Link(
        namespace=namespace,
        name=link,
        kind=LinkKind.VETH,
        mtu=plan.mtu,
        mac=layout.peering_mac(vpc.vni),
        check_source=False,
        ipv6=plan.has_ipv6(vpc),
        peer=plan.peering(vpc.vni),
        far=plan.namespace(peer.vpc_id),
    )
    mac = layout.peering_mac(peer.vni)
    yield Neighbour(namespace=namespace, link=link, ip=plan.transit_address(peer.vni), mac=mac)
    if plan.has_ipv6(vpc):
        yield Neighbour(namespace=namespace, link=link, ip=layout.link_local(mac), mac=mac)


def _subnet_ways(
    vpc: VpcSpec, peers: Sequence[PeeringSpec], nodes: Mapping[str, str], plan: Layout
) -> Iterator[Route | SourceRule]:
    """What a subnet sends to peers, and to a NAT gateway on another node, by a routing table of the subnet, whose number is
    the subnet's address; what stays in the VPC goes by the main table as ever. Where a peer is named and not there, nothing
    goes."""
    namespace = plan.namespace(vpc.vpc_id)
    ways: dict[str, dict[str, tuple[str, str]]] = {}
    for gateway in _far_gateways(vpc, nodes) if plan.underlay else ():
        for subnet_id in gateway.subnets:
            ways.setdefault(subnet_id, {})["0.0.0.0/0"] = (layout.VXLAN, text.ip(nodes[gateway.node]))
    for peer in peers:
        for route in peer.routes:
            way = (plan.peering(peer.vni), plan.transit_address(peer.vni))
            if text.is6(route.to):
                way = (way[0], layout.link_local(layout.peering_mac(peer.vni)))
            ways.setdefault(route.subnet_id, {})[_block(route.to)] = way
    closed: dict[str, set[str]] = {}
    absent = [route for peer in vpc.peerings if peer not in peers for route in peer.routes]
    for route in (*vpc.black_holes, *absent):
        closed.setdefault(route.subnet_id, set()).add(_block(route.to))
    for subnet in vpc.subnets:
        if subnet.subnet_id not in ways and subnet.subnet_id not in closed:
            continue
        source = text.cidr(subnet.cidr)
        table = int(ipaddress.IPv4Network(source).network_address)
        ipv6 = plan.has_ipv6(vpc) and bool(subnet.cidr6)
        for block in (*vpc.cidrs, LINK_LOCAL, *(vpc.cidrs6 if ipv6 else ())):
            yield Route(namespace=namespace, to=_block(block), table=table)
        for to, (link, via) in ways.get(subnet.subnet_id, {}).items():
            if ipv6 or not text.is6(to):
                yield Route(namespace=namespace, to=to, link=link, via=via, table=table)
        for to in closed.get(subnet.subnet_id, ()):
            if ipv6 or not text.is6(to):
                yield Route(namespace=namespace, to=to, table=table, refuses=True)
        yield SourceRule(namespace=namespace, source=source, table=table)
        if ipv6:
            yield SourceRule(namespace=namespace, source=text.cidr6(subnet.cidr6), table=table)


def _block(block: str) -> str:
    return text.cidr6(block) if text.is6(block) else text.cidr(block)


def _far_gateways(vpc: VpcSpec, nodes: Mapping[str, str]) -> list[NatGatewaySpec]:
    return [gateway for gateway in vpc.nat_gateways if gateway.node in nodes and vpc.internet]
