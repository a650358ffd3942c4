"""The node controller as a process: `python -m eucapy_services.nc.main --config etc/nc.toml`."""

from __future__ import annotations

from pathlib import Path

from eucapy import pki
from eucapy.clock import SystemClock
from eucapy.drivers.hypervisor import loader
from eucapy.drivers.imaging.base import ImagingDriver
from eucapy.drivers.imaging.fake import FakeImaging
from eucapy.drivers.imaging.qemu_img import QemuImg
from eucapy.drivers.network.netns import listen_in, vpc_namespace
from eucapy.drivers.proxies.base import ProxyDriver
from eucapy.drivers.proxies.fake import FakeProxies
from eucapy.drivers.proxies.storage_daemon import StorageDaemonProxies
from eucapy.folders import ensure_folder, group_id, owner
from eucapy.nc.agent import NodeController
from eucapy.nc.app import app
from eucapy.nc.config import Config
from eucapy.nc.metadata import MetadataService, Tokens
from eucapy.process import forever, run_daemon
from eucapy.wire.objects import WalrusFetcher
from eucapy.wire.server import Listener


async def serve(config: Config) -> None:
    """Run until cancelled; guests are not touched at the end."""
    folder, data = Path(config.pki), Path(config.data)
    data.mkdir(parents=True, exist_ok=True)
    hypervisor = loader.load(
        config.hypervisor, uri=config.libvirt_uri, folder=data / "hypervisor", acceleration=config.acceleration
    )
    imaging: ImagingDriver = FakeImaging() if config.hypervisor == "fake" else QemuImg()
    client_tls = pki.client_context(folder, "nc") if config.pki else None
    fetcher = WalrusFetcher(config.walrus_internal_url, client_tls)
    controller = NodeController(config, hypervisor, imaging, fetcher, SystemClock(), _proxies(config))
    metadata = MetadataService(
        listen_in,
        lambda vpc_id: vpc_namespace(config.namespace_prefix, vpc_id),
        config.metadata_port,
        Tokens.ensure(data / "metadata.key"),
        controller.box,
    )
    if config.metadata_port:
        controller.on_spec = metadata.follow
    listener = Listener(
        app(controller), config.host, config.port, pki.server_context(folder, "nc") if config.pki else None
    )
    await listener.start()
    controller.start()
    try:
        await forever()
    finally:
        await listener.stop()
        await metadata.stop()
        await controller.stop()


def _proxies(config: Config) -> ProxyDriver:
    """As real as the hypervisor."""
    data = Path(config.data)
    run = Path(config.run) if config.run else data / "run"
    if config.hypervisor == "fake":
        return FakeProxies(run)
    group = group_id(config.qemu_group)
    user = owner(config.proxy_user, group)
    ensure_folder(data, group)
    credentials = pki.qemu_credentials(Path(config.pki), "nc", data / "tls", user) if config.pki else None
    return StorageDaemonProxies(run, credentials, group, user)


if __name__ == "__main__":
    run_daemon("nc", Config, serve)
