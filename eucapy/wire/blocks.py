"""Snapshots by blocks of 512 KiB, between the cloud controller and a zone's storage: plain calls beside the two verbs.

A snapshot's content is no desired state: blocks are read as consoles are, and what somebody puts is kept in a draft, which the
spec then turns into a snapshot (`storage.WrittenSpec`). Each call may be made again.

    GET /v1/blocks/<snapshot>?first=&most=&than=     which blocks there are, or differ from those of `than`
    GET /v1/blocks/<snapshot>/<index>                512 KiB
    PUT /v1/blocks/<snapshot>/<index>                the same
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from eucapy.wire import codec
from eucapy.wire.contract import Message, Unreachable

PATH = "/v1/blocks/"
MOST = 10_000
"""Blocks that are listed at once."""


class BlockList(Message, frozen=True, kw_only=True):
    """Blocks by index, in order; `before`: those of them that the older one of two snapshots holds; `next`: from which on to
    ask again, None at the end."""

    indexes: tuple[int, ...]
    before: tuple[int, ...] = ()
    next: int | None = None


class Denial(Message, frozen=True, kw_only=True):
    """Why the storage will never do it."""

    code: str
    message: str


class Denied(Exception):
    """The storage will never do it; `code` is the block driver's."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BlockAccess(Protocol):
    """The calls. LookupError: there is no such snapshot. Denied; Unreachable."""

    async def list_blocks(self, snapshot_id: str, first: int, most: int, than: str = "") -> BlockList: ...

    async def read_block(self, snapshot_id: str, index: int) -> bytes: ...

    async def put_block(self, snapshot_id: str, index: int, content: bytes) -> None: ...


def add_routes(app: web.Application, access: BlockAccess) -> None:
    """The calls as requests to an agent's HTTP face."""

    async def listed(request: web.Request) -> web.Response:
        query = request.query
        first, most = int(query.get("first", "0")), min(MOST, int(query.get("most", str(MOST))))
        found = await access.list_blocks(request.match_info["snapshot"], first, most, query.get("than", ""))
        return web.Response(body=codec.encode(found), content_type="application/json")

    async def read(request: web.Request) -> web.Response:
        content = await access.read_block(request.match_info["snapshot"], int(request.match_info["index"]))
        return web.Response(body=content, content_type="application/octet-stream")

    async def put(request: web.Request) -> web.Response:
        content = await request.read()
        await access.put_block(request.match_info["snapshot"], int(request.match_info["index"]), content)
        return web.Response()

    app.router.add_get(PATH + "{snapshot}", _answering(listed))
    app.router.add_get(PATH + "{snapshot}/{index}", _answering(read))
    app.router.add_put(PATH + "{snapshot}/{index}", _answering(put))


_Handler = Callable[[web.Request], Awaitable[web.Response]]


def _answering(handler: _Handler) -> _Handler:
    async def answer(request: web.Request) -> web.Response:
        try:
            return await handler(request)
        except LookupError as error:
            return web.Response(status=404, text=str(error))
        except ValueError as error:
            return web.Response(status=400, text=str(error))
        except Denied as error:
            denial = Denial(code=error.code, message=str(error))
            return web.Response(status=409, body=codec.encode(denial), content_type="application/json")
        except Unreachable as error:
            return web.Response(status=502, text=str(error))

    return answer
