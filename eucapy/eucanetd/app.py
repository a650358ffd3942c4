"""eucanetd's composition: driver, agent and its HTTPS face, from a configuration."""

from __future__ import annotations

import stat
from pathlib import Path

from eucapy import pki
from eucapy.clock import SystemClock
from eucapy.config import ConfigError
from eucapy.drivers.network.loader import load
from eucapy.eucanetd.agent import NetworkController
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.config import Config
from eucapy.wire.network import NetworkSpec
from eucapy.wire.server import Listener, application

CALLERS = frozenset({"cc", "clc", "admin"})

RESOLV_CONF = (Path("/etc/resolv.conf"), Path("/run/systemd/resolve/resolv.conf"))
"""Where this machine's DNS servers stand; the second where a stub on loopback stands in the first."""


class EucanetdApp:
    """`start`, then `stop`."""

    def __init__(self, config: Config) -> None:
        """Raises ConfigError, LedgerDamaged."""
        run = Path(config.run)
        if config.driver == "linux" and config.resolver_user != "root":
            _require_open_folders(run)
        driver = load(config.driver, prefix=config.namespace_prefix, folder=run)
        self.agent = NetworkController(
            config.node, Path(config.data), driver, layout_of(config), SystemClock(), config.resync_s
        )
        self._listener = Listener(
            application(self.agent, NetworkSpec, CALLERS),
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
        transit=config.transit_block,
        upstream=tuple(config.resolvers) or machine_resolvers(),
        resolver_user=config.resolver_user,
        host_ports=tuple(config.host_ports),
        guest_mtu=config.guest_mtu,
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


def _require_open_folders(run: Path) -> None:
    for folder in (run, *run.parents):
        if folder.exists() and not folder.stat().st_mode & stat.S_IXOTH:
            raise ConfigError(f"run = {str(run)!r}: {folder} is closed to the resolvers' user (chmod o+x {folder})")
