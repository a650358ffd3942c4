"""The storage controller's composition: driver, fetcher, executor, agent and its HTTPS face, from a configuration."""

from __future__ import annotations

from pathlib import Path

from eucapy import pki
from eucapy.clock import SystemClock
from eucapy.drivers.block import loader
from eucapy.drivers.block.base import GIB, BadRequest
from eucapy.drivers.block.exporter import Remote
from eucapy.drivers.imaging.fake_conversion import FakeConverter
from eucapy.drivers.imaging.qemu_conversion import QemuConverter
from eucapy.folders import NoSuchGroup, NoSuchUser, ensure_folder, group_id, owner
from eucapy.sc.agent import StorageController
from eucapy.sc.archive import Archive
from eucapy.sc.archives import Archives
from eucapy.sc.config import Config
from eucapy.sc.executor import Executor
from eucapy.sc.hosts import own_address
from eucapy.sc.transfer import Transfer
from eucapy.sc.uploads import Uploads
from eucapy.wire import blocks
from eucapy.wire.archive import WalrusArchive
from eucapy.wire.objects import WalrusFetcher
from eucapy.wire.server import Listener, application
from eucapy.wire.storage import StorageSpec
from eucapy.wire.uploads import WalrusSender

CALLERS = frozenset({"clc", "admin"})


class StorageControllerApp:
    """`start`, then `stop`."""

    def __init__(self, config: Config) -> None:
        """Raises BadRequest for a configuration that no driver takes."""
        certificates = Path(config.pki) if config.pki else None
        if config.export_user and not config.export_group:
            raise BadRequest("export_user: it needs export_group, through which it comes to the volumes' files")
        try:
            ensure_folder(config.data_folder, group_id(config.export_group))
            remote = _remote(config, certificates)
        except (NoSuchGroup, NoSuchUser) as error:
            raise BadRequest(str(error)) from error
        driver = loader.load(
            config.driver,
            config.pool_folder,
            config.run_folder,
            export_group=config.export_group,
            export_user=config.export_user,
            reserve_gib=config.reserve_gib,
            remote=remote,
        )
        store_tls = pki.client_context(certificates, "sc") if certificates is not None else None
        store = WalrusFetcher(config.walrus_internal_url, store_tls)
        transfer = Transfer(store, store, config.largest_image_gib * GIB)
        converter = QemuConverter(config.largest_disk_gib * GIB) if config.driver != "fake" else FakeConverter()
        uploads = Uploads(WalrusSender(config.walrus_internal_url, store_tls), config.data_folder / "uploads")
        archives = None
        if config.archive:
            kept = WalrusArchive(config.walrus_internal_url, store_tls)
            archives = Archives(Archive(kept, driver, config.zone))
        executor = Executor(driver, transfer, converter, uploads, config.data_folder / "downloads", archives)
        self.agent = StorageController(
            config.zone, config.data_folder, driver, executor, SystemClock(), config.resync_s, is_here=own_address
        )
        face = application(self.agent, StorageSpec, CALLERS)
        blocks.add_routes(face, self.agent)
        self._listener = Listener(
            face,
            config.host,
            config.port,
            pki.server_context(certificates, "sc") if certificates is not None else None,
        )

    async def start(self) -> int:
        """Take the pool over, run the loop, listen; returns the port. Raises PoolLost, OSError."""
        await self.agent.open()
        self.agent.loop.start()
        return await self._listener.start()

    async def stop(self) -> None:
        await self._listener.stop()
        await self.agent.close()


def _remote(config: Config, certificates: Path | None) -> Remote | None:
    """How nodes on other hosts reach volumes; None without certificates. Raises BadRequest."""
    try:
        ports = config.exports
    except ValueError as error:
        raise BadRequest(str(error)) from error
    if certificates is None:
        return None
    user = owner(config.export_user, group_id(config.export_group))
    credentials = pki.qemu_credentials(certificates, "sc", config.data_folder / "tls", user)
    return Remote(config.export_host or config.host, ports, credentials)
