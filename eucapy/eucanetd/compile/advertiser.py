"""Router advertisements and DHCPv6 of a VPC, as the orders of `drivers/network/linux/advertising.py`.

A guest learns its router by an advertisement and its addresses by DHCPv6, as in EC2; no prefix is advertised, so that it
makes no address itself and takes nobody to be on its link. Whose tap it is says whose addresses they are.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from eucapy.drivers.network.model import Advertiser, digest
from eucapy.eucanetd.compile import layout, text
from eucapy.eucanetd.compile.layout import Layout
from eucapy.wire.network import PortSpec, VpcSpec


def advertiser(vpc: VpcSpec, ports: Sequence[PortSpec], plan: Layout) -> Advertiser:
    """Raises ValueError for values that are no addresses or names."""
    domain = text.domain(vpc.dns_domain)
    orders = {
        "mac": layout.TAP_MAC,
        "mtu": plan.mtu,
        "user": plan.resolver_user,
        "dns": [text.ip6(server) for server in vpc.dns_servers if text.is6(server)],
        "search": [domain] if domain else [],
        "taps": {text.link(port.tap): [text.ip6(ip) for ip in port.ipv6s] for port in ports if port.ipv6s},
    }
    config = json.dumps(orders, indent=1, sort_keys=True) + "\n"
    return Advertiser(namespace=plan.namespace(vpc.vpc_id), digest=digest(config), config=config)
