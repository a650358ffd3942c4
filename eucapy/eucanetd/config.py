"""eucanetd's configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from eucapy.config import doc


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`etc/eucanetd.toml`."""

    node: Annotated[str, doc("This node's name, as it is registered with the cloud controller.")] = "node1"
    data: Annotated[str, doc("Folder of the agent's own state: the accepted spec and what is laid out.")] = (
        "/var/lib/eucapy/eucanetd"
    )
    run: Annotated[str, doc("Folder for the resolvers' files.")] = "/run/eucapy/eucanetd"
    pki: Annotated[
        str, doc("Folder with ca.pem, eucanetd-cert.pem and eucanetd-key.pem; empty: plain HTTP, for tests only.")
    ] = "/var/lib/eucapy/pki"
    host: Annotated[str, doc("Address that the cluster controller reaches this node at.")] = "127.0.0.1"
    port: Annotated[int, doc("TCP port for the cluster controller.", ge=0, le=65535)] = 8778
    driver: Annotated[str, doc("Network driver: linux, or fake (nothing real; for trying out).")] = "linux"
    namespace_prefix: Annotated[
        str, doc("Prefix of the VPCs' network namespaces; the same as in nc.toml, and no other node's on this machine.")
    ] = "euca-"
    underlay_address: Annotated[
        str, doc("Address of this node that the other nodes send VXLAN to; empty: there are no others.")
    ] = ""
    vxlan_port: Annotated[int, doc("UDP port of VXLAN, the same on every node.", ge=1, le=65535)] = 4789
    public_interface: Annotated[
        str,
        doc(
            "Interface whose network the public addresses belong to: the node answers ARP for those of its guests. "
            "Empty: they are reached from this machine alone, or routed to it."
        ),
    ] = ""
    public_masquerade: Annotated[
        bool,
        doc(
            "Connections that guests open to the outside carry this node's address, not their public one: "
            "for a public range that the networks around do not route here."
        ),
    ] = False
    public_ipv6: Annotated[
        bool,
        doc(
            "Guests' IPv6 passes between this node and outside: the node forwards IPv6 and answers for their addresses on the "
            "public interface. Without, IPv6 stays inside VPCs."
        ),
    ] = False
    resolvers: Annotated[
        list[str],
        doc("DNS servers that the guests' resolver asks; empty: those of this machine that guests can reach."),
    ] = []
    guest_mtu: Annotated[
        int, doc("MTU of guests; 0: what fits into the underlay's with VXLAN around it.", ge=0, le=65535)
    ] = 0
    host_ports: Annotated[
        list[int], doc("TCP ports of this machine that guests may reach, as from outside (8773: the cloud's API).")
    ] = []
    transit_block: Annotated[
        str,
        doc(
            "Addresses of the links between VPCs and node, one for each VXLAN identifier; never seen outside, and of no "
            "other cloud on this machine. Empty: one of 240.0.0.0/8 to 254.0.0.0/8, chosen by namespace_prefix."
        ),
    ] = ""
    closed_networks: Annotated[
        list[str],
        doc(
            "Networks behind this node that guests may not reach from their public addresses (10.8.0.0/24: the underlay)."
        ),
    ] = []
    resolver_user: Annotated[
        str, doc("User that dnsmasq runs as; empty: nobody, or root where nobody could not read its files.")
    ] = ""
    resync_s: Annotated[
        float, doc("The loop looks at everything this often, in seconds, if nothing wakes it.", gt=0)
    ] = 30.0
    flow_records: Annotated[
        int, doc("Records of flow logs that a minute may have on this node; the largest stay, the log says so.", ge=1)
    ] = 65536
    log_level: Annotated[str, doc("debug, info, warning or error.")] = "info"
