"""The metadata service: 169.254.169.254, answered on the node itself, from the ledger's spec alone.

It listens inside each VPC's network namespace; a guest is known by that VPC and by the source address of its packets,
which eucanetd lets no other guest use. So nobody reads another's metadata, VPCs with the same addresses do not meet, and
guests keep their metadata while every other part of the cloud is away.

IMDSv2: `PUT /latest/api/token` gives a token that is bound to the instance and to its time to live; the answer leaves
with the instance's hop limit as its IP time to live, so that it does not get past that many routers. A request that came
through a proxy (`X-Forwarded-For`) gets none. With `HttpTokens=required` nothing is answered without one. Source: EC2
user guide, "Use the Instance Metadata Service to access instance metadata".

The credentials of an instance's role come sealed in its spec and are opened here, for the guest alone; new ones come long
before the old ones end (`clc/reconcilers/role_credentials.py`).
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
import secrets
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from aiohttp import web

from eucapy import ledger
from eucapy.box import BadBox, Box
from eucapy.http import Limits, Server, bound_by, listen
from eucapy.nc import metadata_tree
from eucapy.wire.node import InstanceSpec, NodeSpec, RoleSecrets

log = logging.getLogger(__name__)

ADDRESS = "169.254.169.254"
LONGEST_TOKEN_S = 21600
LIMITS = Limits(idle_s=20.0, untaken_s=20.0, most=4096, most_of_one=64)
"""Of each VPC's listener, for guests are not to be trusted: none of them takes the others' metadata away, or our files."""
_TTL_HEADER = "X-aws-ec2-metadata-token-ttl-seconds"
_TOKEN_HEADER = "X-aws-ec2-metadata-token"  # noqa: S105
_DEFAULT_IP_TTL = 64

Listen = Callable[[str, str, int], socket.socket]
"""(namespace, address, port) → a listening socket inside it; raises OSError while there is none."""


class Tokens:
    """Session tokens without a table: expiry and a MAC over it and the instance's id, under a key of the node."""

    def __init__(self, key: bytes, now: Callable[[], float] = time.time) -> None:
        self._key, self._now = key, now

    @classmethod
    def ensure(cls, path: Path) -> Tokens:
        """With the key in the file `path`, made now if there is none; tokens survive a restart."""
        if not path.exists():
            ledger.write_file(path, secrets.token_bytes(32))
        return cls(path.read_bytes())

    def issue(self, instance_id: str, ttl_s: int) -> str:
        expires = struct.pack(">Q", int(self._now()) + ttl_s) + secrets.token_bytes(4)
        return _b64(expires + self._mac(instance_id, expires))

    def valid(self, instance_id: str, token: str) -> bool:
        try:
            raw = _unb64(token)
        except ValueError:
            return False
        expires, mac = raw[:12], raw[12:]
        if len(expires) != 12 or not hmac.compare_digest(mac, self._mac(instance_id, expires)):
            return False
        return bool(self._now() < struct.unpack(">Q", expires[:8])[0])

    def _mac(self, instance_id: str, expires: bytes) -> bytes:
        return hmac.digest(self._key, instance_id.encode() + b"\0" + expires, "sha256")[:30]


class MetadataService:
    """Listeners follow the spec: one in each VPC that has an instance here."""

    def __init__(
        self, listen: Listen, namespace: Callable[[str], str], port: int, tokens: Tokens, box: Box | None = None
    ) -> None:
        """`box` opens the credentials of the instances' roles; they are held open in memory alone."""
        self._listen, self._namespace, self._port, self._tokens = listen, namespace, port, tokens
        self._box = box
        self._instances: dict[tuple[str, str], InstanceSpec] = {}
        self._trees: dict[str, tuple[InstanceSpec, metadata_tree.Tree]] = {}
        self._servers: dict[str, tuple[asyncio.Server, int]] = {}
        self._runners: dict[str, web.ServerRunner] = {}
        self._wanted: frozenset[str] = frozenset()
        self._task: asyncio.Task[None] | None = None

    async def follow(self, spec: NodeSpec) -> None:
        """Take over who is here. Cheap when nothing changed."""
        self._instances = {
            (nic.vpc_id, ip): instance
            for instance in spec.instances.values()
            if not instance.gone
            for nic in instance.nics
            for ip in nic.private_ips
        }
        self._trees = {key: held for key, held in self._trees.items() if key in spec.instances}
        self._wanted = frozenset(vpc for vpc, _ip in self._instances)
        if self._task is None:
            self._task = asyncio.create_task(self._keep_listening(), name="metadata listeners")
        await self.ensure_listening()

    async def ensure_listening(self) -> None:
        """Open what is missing, close what nobody needs, reopen what stands in a namespace that was made anew."""
        for vpc in list(self._servers):
            server, inode = self._servers[vpc]
            if vpc not in self._wanted or _inode(self._namespace(vpc)) != inode or not server.is_serving():
                await self._close(vpc)
        for vpc in self._wanted - set(self._servers):
            namespace = self._namespace(vpc)
            try:
                listener = await asyncio.to_thread(self._listen, namespace, ADDRESS, self._port)
            except OSError as error:
                log.debug("no metadata listener yet", extra={"data": {"vpc": vpc, "error": str(error)}})
                continue
            bound_by(listener, LIMITS)
            handlers = Server(lambda request, vpc=vpc: self._handle(request, vpc), LIMITS)  # type: ignore[misc]
            runner = web.ServerRunner(handlers, access_log=None)
            await runner.setup()
            assert runner.server is not None
            serving = await listen(runner.server, listener, LIMITS)
            self._runners[vpc] = runner
            self._servers[vpc] = (serving, _inode(namespace))
            log.info("metadata service listens", extra={"data": {"vpc": vpc}})

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        for vpc in list(self._servers):
            await self._close(vpc)

    async def answer(self, request: web.BaseRequest, instance: InstanceSpec | None) -> web.Response:
        """One request of one guest (None: nobody we know)."""
        if instance is None:
            return _plain(404, "Not Found")
        options = instance.metadata.options
        if not options.enabled:
            return _plain(403, "Forbidden")
        path = request.path
        if request.method == "PUT":
            return self._token(request, instance, path)
        if request.method not in ("GET", "HEAD"):
            return _plain(405, "Method Not Allowed", {"Allow": "OPTIONS, GET, HEAD, PUT"})
        token = request.headers.get(_TOKEN_HEADER)
        if token is None and options.tokens_required:
            return _plain(401, "Unauthorized")
        if token is not None and not self._tokens.valid(instance.instance_id, token):
            return _plain(401, "Unauthorized")
        return self._read(instance, path)

    def _token(self, request: web.BaseRequest, instance: InstanceSpec, path: str) -> web.Response:
        if path.rstrip("/") != "/latest/api/token":
            return _plain(405, "Method Not Allowed", {"Allow": "OPTIONS, GET, HEAD"})
        if "X-Forwarded-For" in request.headers:
            return _plain(403, "Forbidden")
        try:
            ttl_s = int(request.headers.get(_TTL_HEADER, ""))
        except ValueError:
            return _plain(400, "Bad Request")
        if not 1 <= ttl_s <= LONGEST_TOKEN_S:
            return _plain(400, "Bad Request")
        _set_ip_ttl(request, instance.metadata.options.hop_limit)
        return _plain(200, self._tokens.issue(instance.instance_id, ttl_s), {_TTL_HEADER: str(ttl_s)})

    def _read(self, instance: InstanceSpec, path: str) -> web.Response:
        parts = [part for part in path.split("/") if part]
        if not parts:
            return _plain(200, "\n".join(metadata_tree.VERSIONS))
        if parts[0] not in metadata_tree.VERSIONS:
            return _plain(404, "Not Found")
        held = self._trees.get(instance.instance_id)
        if held is None or held[0] is not instance:
            held = (instance, metadata_tree.tree(instance, secrets=self._secrets(instance)))
            self._trees[instance.instance_id] = held
        content = metadata_tree.lookup(held[1], "/".join(parts[1:]))
        if content is None:
            return _plain(404, "Not Found")
        kind = "application/octet-stream" if parts[1:] == ["user-data"] else "text/plain"
        etag = hashlib.md5(content).hexdigest()
        return web.Response(body=content, content_type=kind, headers={"ETag": f'"{etag}"', "Server": "EC2ws"})

    def _secrets(self, instance: InstanceSpec) -> RoleSecrets | None:
        held = instance.metadata.credentials
        if held is None or self._box is None:
            return None
        try:
            return msgspec.json.decode(self._box.open(held.sealed, instance.instance_id), type=RoleSecrets)
        except (BadBox, msgspec.MsgspecError) as error:
            log.warning(
                "credentials that are not for this node",
                extra={"data": {"instance": instance.instance_id, "error": str(error)}},
            )
            return None

    async def _handle(self, request: web.BaseRequest, vpc: str) -> web.Response:
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        source = peer[0] if peer else ""
        _set_ip_ttl(request, _DEFAULT_IP_TTL)
        return await self.answer(request, self._instances.get((vpc, source)))

    async def _keep_listening(self) -> None:
        """Namespaces come and go with eucanetd; look again often, it costs next to nothing."""
        while True:
            await asyncio.sleep(0.25 if self._wanted - set(self._servers) else 2.0)
            try:
                await self.ensure_listening()
            except OSError:
                log.exception("metadata listeners")

    async def _close(self, vpc: str) -> None:
        server, _inode_then = self._servers.pop(vpc)
        server.close()
        await self._runners.pop(vpc).cleanup()


def _set_ip_ttl(request: web.BaseRequest, ttl: int) -> None:
    wire = request.transport.get_extra_info("socket") if request.transport is not None else None
    if wire is not None and wire.family == socket.AF_INET:
        wire.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, ttl)


def _inode(namespace: str) -> int:
    try:
        return Path("/run/netns", namespace).stat().st_ino
    except OSError:
        return 0


def _plain(status: int, text: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, text=text, headers={"Server": "EC2ws", **(headers or {})})


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode()


def _unb64(text: str) -> bytes:
    return base64.b64decode(text.encode(), altchars=b"-_", validate=True)
