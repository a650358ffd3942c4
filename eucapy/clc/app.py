"""The cloud controller put together: edge, environment, loops, operator's port.

edge ─► chain ─► environment ─► handlers ─► store          loops ─► agents ─► cc, sc
   └► passage (S3 to walrus)                    ▲             │
                                                └── observe ──┘
"""

from __future__ import annotations

import ssl
from pathlib import Path

from aiohttp import web

from eucapy import pki
from eucapy.aws.chain import Chain
from eucapy.aws.http import Edge
from eucapy.aws.paging import Pager
from eucapy.aws.route import Router
from eucapy.aws.service import Service
from eucapy.clc import ebs, ec2, iam, instance_types, loops, sts
from eucapy.clc.agents import Agents, InstanceReads, SnapshotBlocks
from eucapy.clc.audit import AuditTrail
from eucapy.clc.authenticate import Keys
from eucapy.clc.config import Config
from eucapy.clc.ec2 import launch_template_versions
from eucapy.clc.environment import CloudEnvironment
from eucapy.clc.flow_delivery import Destinations
from eucapy.clc.iam import managed
from eucapy.clc.limits import Limits
from eucapy.clc.objects import WalrusObjects
from eucapy.clc.oidc import Issuers
from eucapy.clc.operations import Operations
from eucapy.clc.operator import OperatorPort
from eucapy.clc.passage import Passage
from eucapy.clc.reconcilers.key_use import WRITTEN_S, KeyUse
from eucapy.clc.refusing import Messages
from eucapy.clc.seal import Seal
from eucapy.clc.sessions import Sessions
from eucapy.clc.standing import Standings
from eucapy.clc.store import migrating
from eucapy.clc.stored_image_reader import StoredImageReader
from eucapy.clc.user_objects import UserObjects
from eucapy.clock import Clock
from eucapy.database import Database
from eucapy.reconcile.loop import Loop
from eucapy.reconcile.traffic import TRAFFIC

KEY_CHANGES = "keys"
"""What handlers wake when users or keys changed."""


def services() -> list[Service]:
    """Every service that is answered here, with its handlers registered."""
    return [ec2.load(), sts.load(), iam.load(), ebs.load()]


class CloudController:
    """`await open()`, then serve `edge` and `operator_port()`, and `start()` the loops."""

    def __init__(self, config: Config, database: Database, agents: Agents, clock: Clock) -> None:
        data = Path(config.data)
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.config, self.database, self.agents, self.clock = config, database, agents, clock
        self.seal = Seal.ensure(data / "secret.key")
        self.keys = Keys(database, self.seal)
        self.standings = Standings(database, managed.document)
        self.messages = Messages(self.seal)
        self.limits = Limits(database)
        sessions = Sessions(self.seal)
        self.issuers = Issuers(clock)
        self.loops, self._watches = loops.build(config, database, agents, clock, sessions, self.seal)
        self.key_use = KeyUse(database, config.region)
        self.loops.add(Loop("key_use", self.key_use, WRITTEN_S))
        self.operations = Operations(config, self.seal.seal, clock.time)
        self.audit = AuditTrail(data, config.region)
        self._passage = Passage(config.walrus_url)
        tls = pki.client_context(Path(config.pki), "clc") if config.pki else None
        self.objects = WalrusObjects(config.walrus_internal_url, tls)
        self.types = instance_types.load(config.instance_types)
        environment = CloudEnvironment(
            config=config,
            database=database,
            keys=self.keys,
            standings=self.standings,
            messages=self.messages,
            limits=self.limits,
            seal=self.seal,
            pager=Pager((data / "secret.key").read_bytes()),
            types=self.types,
            clock=clock,
            audit=self.audit,
            fire=self.fire,
            reads=InstanceReads(agents, list(config.zones)),
            blocks=SnapshotBlocks(agents),
            buckets=self.objects.buckets_of,
            stored=StoredImageReader(UserObjects(config.walrus_url, config.region, sessions, clock)),
            destinations=Destinations(config.walrus_internal_url, tls, config.region),
            sessions=sessions,
            issuers=self.issuers,
            served=TRAFFIC.served,
            used=self.key_use.note,
            effective={"ec2:RunInstances": launch_template_versions.as_carried_out},
        )
        router = Router(services(), foreign=["s3"])
        # Signatures are judged by the real time, whatever clock the cloud itself lives by.
        chain = Chain(router, environment, region=config.region)
        self.edge = Edge(chain, foreign={"s3": self._passage.handle})

    def fire(self, name: str) -> None:
        """A commit asks for a loop; keys are forgotten at once."""
        if name == KEY_CHANGES:
            self.keys.forget()
            self.standings.forget()
            self.limits.forget()
            self.loops.wake("role_credentials")
        else:
            self.loops.wake(name)

    async def open(self) -> None:
        """Bring the database to this version's schema."""
        await migrating.upgrade(self.database)

    def operator_port(self) -> web.Application:
        return OperatorPort(
            self.database,
            self.operations,
            self.keys,
            self.standings,
            self.limits,
            self.key_use,
            self.objects.buckets_of,
            lambda: self.fire(KEY_CHANGES),
            self.loops,
            self.loops.wake_all,
        ).application()

    def start(self) -> None:
        """Run the loops in the background of the current event loop."""
        self.audit.start()
        self.loops.start()
        for watch in self._watches:
            watch.start()

    async def stop(self) -> None:
        for watch in self._watches:
            await watch.stop()
        await self.loops.stop()
        await self.audit.stop()
        await self.issuers.close()
        await self._passage.close()


def api_tls(config: Config) -> ssl.SSLContext | None:
    """TLS of the AWS endpoint, when it is configured."""
    if not config.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(config.tls_cert, config.tls_key or None)
    return context
