"""The object store, put together and running: metadata, blobs, collector, the S3 port and the port for components.

start: blobs ready ─► schema current ─► collector, workers ─► S3 port ─► components' port
stop:  in reverse; requests under way end first
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

from aiohttp import web

from eucapy import pki
from eucapy.aws.chain import Chain
from eucapy.aws.http import Edge
from eucapy.aws.route import Router
from eucapy.clock import Clock
from eucapy.drivers.blob import loader
from eucapy.http import Limits, Server, Site
from eucapy.walrus import internal, metrics, webserver
from eucapy.walrus.bucketmetrics import BucketMetrics
from eucapy.walrus.clc_keys import ClcKeys
from eucapy.walrus.config import Config
from eucapy.walrus.context import Walrus
from eucapy.walrus.encryption import Default, dump_default
from eucapy.walrus.environment import Environment
from eucapy.walrus.finishing import Finisher
from eucapy.walrus.identity import Keys, StaticKeys
from eucapy.walrus.keyring import Keyring
from eucapy.walrus.room import Room
from eucapy.walrus.s3.registry import s3
from eucapy.walrus.store import engine, migrating
from eucapy.walrus.workers.collector import Collector
from eucapy.walrus.workers.inventory import InventoryWorker
from eucapy.walrus.workers.lifecycle import LifecycleWorker
from eucapy.walrus.workers.log_delivery import LogDelivery
from eucapy.walrus.workers.notifier import Notifier, read_hooks
from eucapy.walrus.workers.periodic import Periodic
from eucapy.walrus.workers.replicator import Replicator
from eucapy.walrus.workers.rewrapper import Rewrapper
from eucapy.walrus.workers.scrubber import Scrubber
from eucapy.wire.server import Listener

log = logging.getLogger(__name__)

READ_BUFFER_BYTES = 1 << 19
SHUTDOWN_S = 10.0
"""What requests under way have left when the process is told to end."""


class App:
    """The whole object store in this event loop. `port` and `internal_port` are those bound, after `start`.

    `keys` replaces what the configuration says of access keys (the cloud in one process gives its own).
    """

    def __init__(self, config: Config, clock: Clock, keys: Keys | None = None) -> None:
        self._config = config
        self._clock = clock
        self._given_keys = keys
        self._stack = AsyncExitStack()
        self.walrus: Walrus | None = None
        self.logs: LogDelivery | None = None
        self.workers: dict[str, Periodic] = {}
        self.port = 0
        self.internal_port = 0
        self.metrics_port = 0

    async def start(self) -> None:
        """Returns when requests are answered. Raises OSError where a port or the folder cannot be had."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        await self._stack.aclose()

    async def _start(self) -> None:
        config = self._config
        data = Path(config.data)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        blobs = loader.load(config.blob_driver, data / "blobs")
        await blobs.start()
        db = engine.open_store(config.database or f"sqlite:///{data.absolute()}/walrus.sqlite")
        self._stack.push_async_callback(db.close)
        await migrating.upgrade(db)
        collector = Collector(db, blobs, self._clock, config.sweep_s, config.sweep_grace_s)
        collector.start()
        self._stack.push_async_callback(collector.stop)
        keys = self._keys()
        notifier = Notifier(db, self._clock, read_hooks(config.hooks))
        notifier.start()
        self._stack.push_async_callback(notifier.stop)
        self.walrus = Walrus(
            db,
            blobs,
            collector,
            self._clock,
            config.region,
            config.inline_kib << 10,
            Keyring.ensure(Path(config.keyring) if config.keyring else data / "keyring.json"),
            old_defaults=config.old_defaults,
            accounts=keys.accounts(),
            default_encryption=dump_default(Default()) if config.encrypt_by_default else "",
            keys=keys,
            room=Room(data, config.reserve_mib << 20),
            notifier=notifier,
        )
        await self._start_workers(self.walrus)
        await self._serve_s3(self.walrus, keys)
        if config.pki or self._given_keys is not None:
            await self._serve_components(self.walrus)

    async def _start_workers(self, walrus: Walrus) -> None:
        config = self._config
        day_ms = int(config.lifecycle_day_s * 1000)
        place_file = Path(config.data) / "scrub.json"
        self.workers = {
            "lifecycle": LifecycleWorker(walrus.db, walrus.collector, walrus.clock, config.lifecycle_s, day_ms),
            "scrubber": Scrubber(walrus, place_file, config.scrub_s, config.scrub_mib_s * (1 << 20)),
            "inventory": InventoryWorker(walrus, Path(config.data), config.inventory_s),
            "replicator": Replicator(walrus),
            "rewrapper": Rewrapper(walrus, config.sweep_s),
        }
        for worker in self.workers.values():
            worker.start()
            self._stack.push_async_callback(worker.stop)

    def _keys(self) -> Keys:
        config = self._config
        if self._given_keys is not None:
            return self._given_keys
        if not config.clc_url:
            return StaticKeys(config.keys)
        tls = pki.client_context(Path(config.pki), "walrus") if config.pki else None
        keys = ClcKeys(config.clc_url, tls, self._clock, outage_s=config.keys_outage_s)
        keys.start()
        self._stack.push_async_callback(keys.close)
        return keys

    async def _serve_s3(self, walrus: Walrus, keys: Keys) -> None:
        config = self._config
        environment = Environment(walrus, keys, config.access_log)
        websites = [*webserver.hosts(config.domains, config.region), *config.website_domains]
        router = Router([s3], foreign=[webserver.SERVICE], domains=config.domains, websites=websites)
        self.logs = LogDelivery(walrus, config.log_delivery_s)
        self.logs.start()
        self._stack.push_async_callback(self.logs.stop)
        finisher = Finisher(walrus, self.logs, BucketMetrics(walrus) if config.metrics else None)
        chain = Chain(router, environment, region=config.region, clock=self._clock.time, finish=finisher.finish)
        website = webserver.WebServer(walrus, finisher)
        edge = Edge(chain, foreign={webserver.SERVICE: website.handle}, proxies=config.proxies)
        limits = Limits()
        server = edge.server(limits, read_bufsize=READ_BUFFER_BYTES)
        runner = web.ServerRunner(server, shutdown_timeout=SHUTDOWN_S)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = Site(runner, config.host, config.port, limits)
        await site.start()
        self.port = site.port
        log.info("S3 is served", extra={"data": {"host": config.host, "port": self.port}})
        if config.metrics:
            await self._serve_metrics(finisher, server)

    async def _serve_metrics(self, finisher: Finisher, server: Server) -> None:
        """Raises OSError where the address cannot be had, ValueError where it is none."""
        host, _, port = self._config.metrics.rpartition(":")
        data = Path(self._config.data)
        files = [data / f"walrus.sqlite{end}" for end in ("", "-wal")]

        def now() -> Iterator[str]:
            said = {name: worker.status() for name, worker in self.workers.items()}
            yield from finisher.render()
            yield from metrics.gauges(data, files, server.open_connections, said)

        limits = Limits()
        runner = web.AppRunner(metrics.application(now), access_log=None)
        await runner.setup()
        self._stack.push_async_callback(runner.cleanup)
        site = Site(runner, host.strip("[]"), int(port), limits)
        await site.start()
        self.metrics_port = site.port

    async def _serve_components(self, walrus: Walrus) -> None:
        config = self._config
        # Without certificates only inside the cloud in one process, on loopback: the store alone has no such port.
        tls = pki.server_context(Path(config.pki), "walrus") if config.pki else None
        listener = Listener(internal.application(walrus, self.workers), config.internal_host, config.internal_port, tls)
        self.internal_port = await listener.start()
        self._stack.push_async_callback(listener.stop)
