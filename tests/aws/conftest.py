"""The edge on a real socket, for tests with real clients."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from eucapy.aws.http import serving
from tests.aws.edge import edge


@pytest.fixture(scope="session")
def live() -> Iterator[str]:
    """The URL of the edge, served in a thread of its own."""
    ready, stop = threading.Event(), asyncio.Event()
    state: dict[str, object] = {}

    async def serve() -> None:
        state["loop"] = asyncio.get_running_loop()
        async with serving(edge, "127.0.0.1", 0) as (host, port):
            state["url"] = f"http://{host}:{port}"
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(20)
    yield str(state["url"])
    state["loop"].call_soon_threadsafe(stop.set)  # type: ignore[attr-defined]
    thread.join(20)
