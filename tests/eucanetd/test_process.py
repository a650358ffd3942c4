"""eucanetd as a process of its own, in its host's namespace, spoken to over mutual TLS and killed without notice."""

from __future__ import annotations

import asyncio
import http.client
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from eucapy import config, pki
from eucapy.drivers.network import netns
from eucapy.eucanetd.config import Config
from eucapy.run import in_netns, spawn
from eucapy.wire import codec
from eucapy.wire.contract import Ack
from eucapy.wire.network import NetworkSpec, NetworkStatus
from tests.eucanetd.cloud import Node, network_cloud
from tests.eucanetd.specs import network, port, vpc
from tests.harness.topology import ask
from tests.harness.waiting import until

pytestmark = pytest.mark.host

PORT = 8778
ONE, TWO = port(1, "10.0.0.11"), port(2, "10.0.0.12")


class Process:
    """The daemon of one node; requests go to it inside the host's namespace."""

    def __init__(self, node: Node, folder: Path) -> None:
        self._host = node.host.name
        self._pki = folder / "pki"
        authority = pki.Authority.ensure(self._pki)
        for role in ("eucanetd", "cc", "nc"):
            authority.issue(role, role, ["127.0.0.1"])
        self._config = folder / "eucanetd.toml"
        settings = {
            "node": "node",
            "data": str(folder / "data"),
            "run": str(node.folder / "run"),
            "pki": str(self._pki),
            "port": PORT,
            "namespace_prefix": node.prefix,
            "underlay_address": node.host.underlay,
        }
        self._config.write_text(config.dump(settings))
        config.load(Config, self._config)
        self._log = folder / "log"
        self._running: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        argv = [sys.executable, "-m", "eucapy_services.eucanetd.main", "--config", str(self._config)]
        with self._log.open("ab") as output:
            self._running = spawn(in_netns(self._host, argv), output=output)
        await until(self._listens)

    def _listens(self) -> bool:
        assert self._running is not None and self._running.poll() is None, self._log.read_text()
        try:
            self.request("GET", "/v1/status")
        except ConnectionRefusedError:
            return False
        return True

    def request(self, method: str, path: str, body: bytes = b"", role: str = "cc") -> tuple[int, bytes]:
        context: ssl.SSLContext = pki.client_context(self._pki, role)

        def call() -> tuple[int, bytes]:
            connection = http.client.HTTPSConnection("127.0.0.1", PORT, context=context, timeout=30)
            try:
                connection.request(method, path, body)
                answer = connection.getresponse()
                return answer.status, answer.read()
            finally:
                connection.close()

        return netns.call_in(self._host, call)

    def put(self, spec: NetworkSpec) -> Ack:
        status, body = self.request("PUT", "/v1/spec", codec.encode(spec))
        assert status == 200, body
        return codec.decode(body, Ack)

    def status(self) -> NetworkStatus:
        return codec.decode(self.request("GET", "/v1/status")[1], NetworkStatus)

    def plugged(self, count: int) -> bool:
        return sum(each.plugged for each in self.status().ports.values()) == count

    async def end(self, *, kill: bool = False) -> int:
        """Its exit status."""
        assert self._running is not None
        if kill:
            self._running.kill()
        else:
            self._running.terminate()
        return await asyncio.to_thread(self._running.wait, 20)


async def test_a_node_is_told_once_and_packets_flow_over_the_daemons_death(tmp_path: Path) -> None:
    async with network_cloud() as cloud:
        daemon = Process(cloud.node, tmp_path)
        await daemon.start()
        try:
            assert daemon.put(network(1, [vpc()], [ONE, TWO])).generation == 1
            first, second = [await asyncio.to_thread(cloud.node.guest, each) for each in (ONE, TWO)]
            await until(lambda: daemon.plugged(2))
            second.serve(7)
            with first.connect("10.0.0.12", 7) as connection:
                await daemon.end(kill=True)
                assert ask(connection, "alone") == "10.0.0.11 alone"
                await daemon.start()
                await until(lambda: daemon.plugged(2))
                assert ask(connection, "again") == "10.0.0.11 again"
            assert await daemon.end() == 0
            assert first.ping("10.0.0.12")
        finally:
            await daemon.end(kill=True)


async def test_only_those_who_may_are_heard(tmp_path: Path) -> None:
    async with network_cloud() as cloud:
        daemon = Process(cloud.node, tmp_path)
        await daemon.start()
        try:
            assert daemon.request("PUT", "/v1/spec", codec.encode(network(1, [], [])), role="nc")[0] == 403
            assert daemon.status().generation == 0
        finally:
            await daemon.end(kill=True)
