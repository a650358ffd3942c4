"""Network namespaces by name, and sockets inside them.

A name stands for `/run/netns/<name>`, as with iproute2. Entering is a matter of one thread: whoever needs a socket in a
namespace makes it in a thread that is there for a moment, and uses it from anywhere afterwards, since a socket belongs to
the namespace it was made in.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

FOLDER = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

T = TypeVar("T")


def vpc_namespace(prefix: str, vpc_id: str) -> str:
    """The name of the namespace that holds a VPC on a node whose names begin with `prefix`."""
    return f"{prefix}{vpc_id}"


def path(netns: str) -> Path:
    return FOLDER / netns


def exists(netns: str) -> bool:
    return path(netns).exists()


def mark(prefix: str) -> str:
    """What tells the things of one cloud's agent from another's in a namespace that they share: four letters."""
    return hashlib.sha256(prefix.encode()).hexdigest()[:4]


def peer(prefix: str, vni: int) -> str:
    """The link in the node's namespace that leads to the namespace of the VPC with that VNI."""
    return f"e{mark(prefix)}v{vni:x}"


def peers(prefix: str) -> str:
    """What all names of `peer` begin with."""
    return f"e{mark(prefix)}v"


def peering(vni: int) -> str:
    """The link in a VPC's namespace that leads to the namespace of the peer with that VNI."""
    return f"peer{vni:x}"


def node_table(prefix: str) -> str:
    """The nftables table in the node's namespace."""
    return f"eucapy_{mark(prefix)}"


def vpc_of(prefix: str, netns: str) -> str | None:
    """The VPC that a namespace of this name holds for nodes with that prefix; None when it is another's."""
    vpc_id = netns.removeprefix(prefix)
    return vpc_id if netns.startswith(prefix) and vpc_id.startswith("vpc-") else None


def of_vpcs(prefix: str) -> list[str]:
    """The namespaces of VPCs that are there under this prefix, sorted."""
    try:
        return sorted(entry.name for entry in FOLDER.iterdir() if vpc_of(prefix, entry.name))
    except FileNotFoundError:
        return []


def _setns(fd: int) -> None:
    if _libc.setns(fd, _CLONE_NEWNET) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"setns: {os.strerror(code)}")


@contextlib.contextmanager
def inside(netns: str) -> Iterator[None]:
    """The calling thread is in the namespace for the length of the block ("": it stays where it is).

    For worker threads, never the event loop's. Raises OSError (FileNotFoundError when there is no such namespace).
    """
    if not netns:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        there = os.open(path(netns), os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(there)
        finally:
            os.close(there)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def call_in(netns: str, function: Callable[[], T]) -> T:
    """`function()` in the namespace, in a thread of its own. Blocks; raises what the function raises, or OSError."""
    results: list[T] = []
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with inside(netns):
                results.append(function())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work, name=f"netns {netns}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def listen_in(netns: str, address: str, port: int, backlog: int = 128) -> socket.socket:
    """A listening TCP socket, not blocking, made inside the namespace ("": here); for IPv6 alone where the address is one.

    The address need not be there yet. Raises FileNotFoundError when the namespace does not exist, OSError otherwise.
    """

    def make() -> socket.socket:
        listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
        try:
            if ":" in address:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.setsockopt(socket.SOL_IP, getattr(socket, "IP_FREEBIND", 15), 1)
            listener.bind((address, port))
            listener.listen(backlog)
            listener.setblocking(False)
        except OSError:
            listener.close()
            raise
        return listener

    return call_in(netns, make)
