"""DHCP and DNS of a VPC, as files of dnsmasq.

Addresses are leased by MAC address alone (images that were cloned share client identifiers), only to ports that the spec
names, and answered by broadcast: a unicast offer would need a neighbour entry of dnsmasq's own making, and ours are
permanent. Guests get a router and no classless routes, as in EC2.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence

from eucapy.drivers.network.model import Resolver, digest
from eucapy.eucanetd.compile import layout, text
from eucapy.eucanetd.compile.layout import Layout
from eucapy.wire.network import PortSpec, SubnetSpec, VpcSpec

LEASE_S = 3600
TTL_S = 60


def resolver_addresses(vpc: VpcSpec) -> list[str]:
    """Where the VPC's resolver answers: base plus two of every block and subnet, and EC2's link-local one."""
    blocks = [*vpc.cidrs, *(subnet.cidr for subnet in vpc.subnets)]
    return sorted({layout.RESOLVER, *(layout.subnet_resolver(block) for block in blocks)})


def resolver(vpc: VpcSpec, ports: Sequence[PortSpec], plan: Layout) -> Resolver:
    """Raises ValueError for values that cannot stand in dnsmasq's files."""
    config = _config(vpc, plan)
    hosts = "".join(_hosts(vpc))
    leases = "".join(sorted(_leases(ports)))
    return Resolver(
        namespace=plan.namespace(vpc.vpc_id),
        config_digest=digest(config),
        hosts_digest=digest(hosts, leases),
        config=config,
        hosts=hosts,
        leases=leases,
    )


def _config(vpc: VpcSpec, plan: Layout) -> str:
    domain = text.domain(vpc.dns_domain)
    lines = [
        f"user={plan.resolver_user}",
        "pid-file={folder}/pid",
        "bind-dynamic",
        "interface=*",
        *(f"except-interface={name}" for name in (layout.LOOPBACK, layout.VXLAN, layout.UP)),
        *(f"listen-address={address}" for address in resolver_addresses(vpc)),
        "no-resolv",
        "no-poll",
        "no-hosts",
        "addn-hosts={folder}/hosts",
        "domain-needed",
        "bogus-priv",
        f"local-ttl={TTL_S}",
        *(f"server={text.ip(server)}" for server in plan.upstream),
        "dhcp-authoritative",
        "dhcp-broadcast",
        "dhcp-ignore-clid",
        "dhcp-ignore=tag:!known",
        "dhcp-hostsfile={folder}/leases",
        "dhcp-leasefile={folder}/leases.db",
        "dhcp-lease-max=65536",
        "no-ping",
        "quiet-dhcp",
        f"dhcp-option=option:mtu,{plan.mtu}",
        *_options(vpc),
    ]
    if not vpc.dns:
        lines.append("port=0")
    if domain:
        lines += [f"domain={domain}", "expand-hosts"]
        if domain.split(".")[-1] == "internal":
            lines.append(f"local=/{domain}/")
    for subnet in sorted(vpc.subnets, key=lambda each: each.subnet_id):
        lines += _range(vpc, subnet)
    return "\n".join(lines) + "\n"


def _options(vpc: VpcSpec) -> Iterable[str]:
    """The DHCP options that a VPC's options set names beside domain and resolver."""
    for name, servers in (("ntp-server", vpc.ntp_servers), ("netbios-ns", vpc.netbios_servers)):
        if servers:
            yield f"dhcp-option=option:{name},{','.join(text.ip(server) for server in servers)}"
    if vpc.netbios_node_type:
        yield f"dhcp-option=option:netbios-nodetype,{int(vpc.netbios_node_type)}"


def _range(vpc: VpcSpec, subnet: SubnetSpec) -> list[str]:
    block = ipaddress.IPv4Network(subnet.cidr)
    tag = text.identifier(subnet.subnet_id)
    servers = [text.ip(server) for server in vpc.dns_servers if not text.is6(server)] or [
        layout.subnet_resolver(subnet.cidr)
    ]
    return [
        f"dhcp-range=set:{tag},{block.network_address},static,{block.netmask},{LEASE_S}",
        f"dhcp-option=tag:{tag},option:router,{text.ip(subnet.gateway)}",
        f"dhcp-option=tag:{tag},option:dns-server,{','.join(servers)}",
    ]


def _hosts(vpc: VpcSpec) -> Iterable[str]:
    yield f"{layout.METADATA} instance-data\n"
    for name, ip in sorted(vpc.names):
        yield f"{text.either(ip)} {text.label(name)}\n"


def _leases(ports: Sequence[PortSpec]) -> Iterable[str]:
    for port in ports:
        name = port.hostname.split(".")[0]
        words = [text.mac(port.mac), text.ip(port.private_ips[0]), *([text.label(name)] if name else [])]
        yield ",".join(words) + "\n"
