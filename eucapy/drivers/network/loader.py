"""Which driver a name in the configuration stands for; the kernel's is imported only when it is asked for."""

from __future__ import annotations

from pathlib import Path

from eucapy.config import ConfigError
from eucapy.drivers.network.base import NetworkDriver


def load(name: str, *, prefix: str, folder: Path) -> NetworkDriver:
    """Raises ConfigError for a name that is no driver's."""
    if name == "linux":
        from eucapy.drivers.network.linux import LinuxNetwork

        return LinuxNetwork(prefix=prefix, folder=folder)
    if name == "fake":
        from eucapy.drivers.network.fake import FakeNetwork

        return FakeNetwork()
    raise ConfigError(f"driver = {name!r}: neither linux nor fake")
