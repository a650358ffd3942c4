"""eucanetd's composition: driver, agent and its HTTPS face, from a configuration."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

from eucapy import pki
from eucapy.clock import SystemClock
from eucapy.drivers.network import netns
from eucapy.drivers.network.loader import load
from eucapy.eucanetd.agent import NetworkController
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.config import Config
from eucapy.wire.network import NetworkSpec
from eucapy.wire.server import Listener, application, flow_reads

log = logging.getLogger(__name__)

CALLERS = frozenset({"cc", "clc", "admin"})

RESOLV_CONF = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""Where this machine's DNS servers stand; the second where a stub on loopback stands in the first."""


class EucanetdApp:
    """`start`, then `stop`."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError, LedgerDamaged."""
        driver = load(config.driver, prefix=config.namespace_prefix, folder=Path(config.run))
        self.agent = NetworkController(
            config.node,
            Path(config.data),
            driver,
            layout_of(config),
            SystemClock(),
            config.resync_s,
            most_flows=config.flow_records,
        )
        self._listener = Listener(
            application(self.agent, NetworkSpec, CALLERS, flow_reads(self.agent)),
            config.host,
            config.port,
            pki.server_context(Path(config.pki), "eucanetd") if config.pki else None,
        )

    async def start(self) -> int:
        """Run the loop, listen; returns the port. Raises OSError."""
        port = await self._listener.start()
        self.agent.open()
        return port

    async def stop(self) -> None:
        await self._listener.stop()
        await self.agent.close()


def layout_of(config: Config) -> Layout:
    """The compiler's view of the configuration."""
    return Layout(
        prefix=config.namespace_prefix,
        underlay=config.underlay_address,
        vxlan_port=config.vxlan_port,
        uplink=config.public_interface,
        masquerade=config.public_masquerade,
        transit=config.transit_block or _transit_block(config.namespace_prefix),
        upstream=tuple(config.resolvers) or machine_resolvers(),
        resolver_user=config.resolver_user or _resolver_user(Path(config.run)),
        closed=tuple(config.closed_networks),
        host_ports=tuple(config.host_ports),
        guest_mtu=config.guest_mtu,
        public6=config.public_ipv6,
    )


def machine_resolvers(files: tuple[Path, ...] = RESOLV_CONF) -> tuple[str, ...]:
    """This machine's own IPv4 DNS servers. One on loopback cannot be reached from a VPC's namespace and is left out."""
    for path in files:
        if not path.exists():
            continue
        words = (line.split() for line in path.read_text().splitlines())
        servers = [row[1] for row in words if len(row) >= 2 and row[0] == "nameserver"]
        usable = tuple(server for server in servers if ":" not in server and not server.startswith("127."))
        if usable:
            return usable
    return ()


def _transit_block(prefix: str) -> str:
    """Of the fifteen blocks that nobody uses; 255.0.0.0/8 has the broadcast address."""
    return f"{240 + int(netns.mark(prefix), 16) % 15}.0.0.0/8"


def _resolver_user(run: Path) -> str:
    """`nobody`, if it can look into the folder when the host files have changed; else root, and the log says so."""
    closed = [folder for folder in run.parents if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH]
    if not closed:
        return "nobody"
    log.warning("dnsmasq runs as root: others cannot look into this folder", extra={"data": {"folder": str(closed[0])}})
    return "root"
