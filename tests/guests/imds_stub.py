"""A metadata service for one guest, strict as AWS's with tokens required, that remembers what it was asked."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

VERSIONS = ("2009-04-04", "2016-09-02", "2018-09-24", "2021-03-23", "latest")
Tree = dict[str, "Tree | str | bytes"]


@dataclass
class MetadataStub:
    """The service and its data; `tree` is everything under /<version>/."""

    tree: Tree
    tokens: bool = True
    """False: an old service that knows no tokens."""
    port: int = 0
    asked: list[str] = field(default_factory=list)
    _valid: set[str] = field(default_factory=set)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request."""
        self.asked.append(f"{request.method} {request.path}")
        if request.method == "PUT":
            if not self.tokens or request.path != "/latest/api/token":
                return web.Response(status=405)
            if not request.headers.get("X-aws-ec2-metadata-token-ttl-seconds", "").isdigit():
                return web.Response(status=400)
            token = secrets.token_urlsafe(30)
            self._valid.add(token)
            return web.Response(text=token)
        if self.tokens and request.headers.get("X-aws-ec2-metadata-token") not in self._valid:
            return web.Response(status=401)
        parts = [part for part in request.path.split("/") if part]
        if not parts:
            return web.Response(text="\n".join(VERSIONS))
        if parts[0] not in VERSIONS:
            return web.Response(status=404)
        node: Tree | str | bytes = self.tree
        for part in parts[1:]:
            if not isinstance(node, dict) or part not in node:
                return web.Response(status=404)
            node = node[part]
        if isinstance(node, bytes):
            return web.Response(body=node, content_type="application/octet-stream")
        return web.Response(text=node if isinstance(node, str) else self._listing(parts, node))

    @staticmethod
    def _listing(parts: list[str], node: Tree) -> str:
        if parts[-1] == "public-keys":
            return "\n".join(f"{number}=key-{number}" for number in node)
        return "\n".join(name + ("/" if isinstance(value, dict) else "") for name, value in node.items())


def instance(instance_id: str, public_key: str, user_data: bytes | None, *, mac: str) -> Tree:
    """The tree of a small instance."""
    interface: Tree = {"device-number": "0", "local-ipv4s": "169.254.2.15", "mac": mac}
    interface["subnet-ipv4-cidr-block"] = "169.254.0.0/16"
    meta: Tree = {
        "ami-id": "ami-12345678",
        "block-device-mapping": {"ami": "vda", "root": "/dev/vda"},
        "hostname": "ip-10-0-0-15.ec2.internal",
        "instance-id": instance_id,
        "instance-type": "t3.micro",
        "local-hostname": "ip-10-0-0-15.ec2.internal",
        "local-ipv4": "169.254.2.15",
        "mac": mac,
        "network": {"interfaces": {"macs": {mac: interface}}},
        "placement": {"availability-zone": "us-east-1a", "region": "us-east-1"},
        "public-keys": {"0": {"openssh-key": public_key}},
        "services": {"domain": "amazonaws.com", "partition": "aws"},
    }
    document = f'{{"instanceId": "{instance_id}", "region": "us-east-1"}}'
    tree: Tree = {"meta-data": meta, "dynamic": {"instance-identity": {"document": document}}}
    if user_data is not None:
        tree["user-data"] = user_data
    return tree


@asynccontextmanager
async def serving(stub: MetadataStub) -> AsyncIterator[MetadataStub]:
    """The service on a loopback port: a new one, or again the one it had before."""
    server = web.Server(stub.answer)
    runner = web.ServerRunner(server)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", stub.port)
    await site.start()
    stub.port = runner.addresses[0][1]
    try:
        yield stub
    finally:
        await runner.cleanup()
