"""Hosts and guests as network namespaces: an underlay, a public network, an outside world, and taps like QEMU's.

    [ wire: bridges under, pub ]        each host: eth0 10.8.0.N/24 on `under`, eth1 198.51.100.N/24 on `pub`
     │        │          │
    n1        n2       inet (198.51.100.254, and 203.0.113.1 behind it)

A `Guest` is a namespace with an `eth0` whose frames a thread carries to and from a tap in its host's namespace, as QEMU
does: the tap goes when the guest ends. Nothing here leaves these namespaces; closing the topology removes them all.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import select
import shutil
import socket
import struct
import threading
from collections.abc import Iterator
from types import TracebackType
from typing import TypeVar

import pytest

from eucapy.drivers.network import netns
from eucapy.run import Result, in_netns, run_now

NEEDED = ("nft", "dnsmasq", "ip", "busybox", "nsenter")

UNDERLAY = "10.8.0"
PUBLIC = "198.51.100"
INTERNET = f"{PUBLIC}.254"
FARAWAY = "203.0.113.1"

GATEWAY6 = "fe80::65:75ff:fe63:6100"
"""The router of every guest: its tap's end."""

PATIENCE = 10
"""Attempts of a second at what works: a guest that has just asked for an address in vain takes a while to ask again."""

_TUNSETIFF = 0x400454CA
_TAP_NO_PI = 0x1002

N = TypeVar("N", bound="Netns")


def skip_without_host() -> None:
    """Skip the test, with the reason, where namespaces cannot be made."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    missing = [name for name in NEEDED if shutil.which(name, path=os.defpath + ":/usr/sbin:/sbin") is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


class Netns:
    """A network namespace of a test; commands and sockets in it."""

    def __init__(self, name: str) -> None:
        self.name = name
        run_now("ip", "netns", "add", name)
        self.run("ip", "link", "set", "lo", "up")
        self._closing: list[socket.socket] = []

    def run(self, *argv: str, check: bool = True, stdin: str | None = None, timeout_s: float = 20.0) -> Result:
        return run_now(*in_netns(self.name, argv), check=check, stdin=stdin, timeout_s=timeout_s)

    def ping(self, target: str) -> bool:
        """An echo is answered, at last. Where no answer is expected: `gets_no_echo`."""
        return any(self._echo(target) for _ in range(PATIENCE))

    def gets_no_echo(self, target: str) -> bool:
        """One echo is not answered."""
        return not self._echo(target)

    def _echo(self, target: str) -> bool:
        return self.run("busybox", "ping", "-c", "1", "-W", "1", target, check=False).status == 0

    def serve(self, port: int, address: str = "") -> None:
        """An echo server for TCP, each line prefixed by the peer's address, until the namespace is closed."""
        listener = netns.listen_in(self.name, address, port)
        listener.setblocking(True)
        self._closing.append(listener)
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()

    def connect(self, target: str, port: int, timeout_s: float = 10.0) -> socket.socket:
        """Raises OSError (TimeoutError when nothing answers)."""

        def make() -> socket.socket:
            return socket.create_connection((target, port), timeout=timeout_s)

        return netns.call_in(self.name, make)

    def reaches(self, target: str, port: int) -> str:
        """The address that the server at (target, port) sees us come from; "" when it cannot be reached at all."""
        return next((seen for _ in range(PATIENCE) if (seen := self._seen_as(target, port))), "")

    def is_kept_from(self, target: str, port: int) -> bool:
        """No connection comes about."""
        return not self._seen_as(target, port)

    def _seen_as(self, target: str, port: int, timeout_s: float = 1.0) -> str:
        try:
            with self.connect(target, port, timeout_s) as connection:
                return ask(connection, "hello").split(" ")[0]
        except OSError:
            return ""

    def close(self) -> None:
        for listener in self._closing:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        run_now("ip", "netns", "delete", self.name)


def ask(connection: socket.socket, word: str) -> str:
    """One line there and back on a connection to `serve`."""
    connection.sendall(word.encode() + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        more = connection.recv(4096)
        if not more:
            raise ConnectionError("closed")
        answer += more
    return answer.decode().strip()


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            connection, peer = listener.accept()
        except OSError:
            return
        threading.Thread(target=_echo, args=(connection, peer[0]), daemon=True).start()


def _echo(connection: socket.socket, peer: str) -> None:
    with connection, contextlib.suppress(OSError):
        while line := connection.recv(4096):
            connection.sendall(f"{peer} ".encode() + line)


def open_tap(namespace: str, name: str) -> int:
    """Make a tap in the namespace, and hold it: it goes when the descriptor is closed."""

    def make() -> int:
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _TAP_NO_PI))
        return fd

    return netns.call_in(namespace, make)


class Guest(Netns):
    """A guest with one network interface, plugged into `host` by the tap `tap`."""

    def __init__(self, name: str, host: str, tap: str, mac: str) -> None:
        super().__init__(name)
        self.tap, self.mac = tap, mac
        for setting in ("all", "default"):
            self.run("sh", "-c", f"echo 1 > /proc/sys/net/ipv6/conf/{setting}/disable_ipv6")
        self._inside = open_tap(name, "eth0")
        self._outside = open_tap(host, tap)
        netns.call_in(host, lambda: run_now("ip", "link", "set", tap, "up"))
        self.run("ip", "link", "set", "eth0", "address", mac, "mtu", "1400", "up")
        self._stop_reader, self._stop_writer = os.pipe()
        self._carrier = threading.Thread(target=self._carry, name=f"tap {tap}", daemon=True)
        self._carrier.start()

    def configure(self, ip: str, gateway: str, prefix: int = 24) -> None:
        """Addresses by hand, as DHCP would give them."""
        self.run("ip", "addr", "add", f"{ip}/{prefix}", "dev", "eth0")
        self.run("ip", "route", "add", "default", "via", gateway)

    def enable_ipv6(self) -> None:
        """IPv6 as an ordinary machine has it: a link-local address, and an ear for routers."""
        for setting in ("eth0/accept_dad", "all/disable_ipv6", "default/disable_ipv6", "eth0/disable_ipv6"):
            self.run("sh", "-c", f"echo 0 > /proc/sys/net/ipv6/conf/{setting}")

    def configure6(self, *ips: str, router: str = GATEWAY6) -> None:
        """IPv6 by hand: addresses of its own, and everything else by the router."""
        self.enable_ipv6()
        for ip in ips:
            self.run("ip", "addr", "add", f"{ip}/128", "dev", "eth0", "nodad")
        self.run("ip", "-6", "route", "replace", "default", "via", router, "dev", "eth0")

    def power_off(self) -> None:
        """The end of QEMU: both descriptors closed, the tap gone."""
        if self._carrier.is_alive():
            os.write(self._stop_writer, b".")
            self._carrier.join()
            for fd in (self._inside, self._outside, self._stop_reader, self._stop_writer):
                os.close(fd)

    def close(self) -> None:
        self.power_off()
        super().close()

    def _carry(self) -> None:
        other = {self._inside: self._outside, self._outside: self._inside}
        while True:
            ready, _, _ = select.select([*other, self._stop_reader], [], [])
            if self._stop_reader in ready:
                return
            for fd in ready:
                # EIO: an end is down for the moment (a tap that is being moved); the frame is lost, as on a wire.
                with contextlib.suppress(BlockingIOError, OSError):
                    os.write(other[fd], os.read(fd, 65536))


class Host(Netns):
    """A host on both networks. Its number is the last octet of its addresses."""

    def __init__(self, name: str, wire: Netns, number: int) -> None:
        super().__init__(name)
        self.underlay, self.public = f"{UNDERLAY}.{number}", f"{PUBLIC}.{number}"
        self._plug(wire, number, "eth0", "under", f"{self.underlay}/24")
        self._plug(wire, number, "eth1", "pub", f"{self.public}/24")

    def _plug(self, wire: Netns, number: int, link: str, bridge: str, address: str) -> None:
        far = f"{bridge}{number}"
        wire.run("ip", "link", "add", far, "type", "veth", "peer", "name", link, "netns", self.name)
        wire.run("ip", "link", "set", far, "master", bridge, "up")
        self.run("ip", "addr", "add", address, "dev", link)
        self.run("ip", "link", "set", link, "up")


class Topology:
    """`with Topology(2) as net:` makes hosts n1 and n2, and the outside world `net.internet`."""

    def __init__(self, hosts: int = 2) -> None:
        self.tag = f"eut{secrets.token_hex(3)}"
        self._parts: list[Netns] = []
        self._guests = 0
        try:
            wire = self.wire = self._keep(Netns(f"{self.tag}-wire"))
            for bridge in ("under", "pub"):
                wire.run("ip", "link", "add", bridge, "type", "bridge", "forward_delay", "0")
                wire.run("ip", "link", "set", bridge, "up")
            self.hosts = [self._keep(Host(f"{self.tag}-n{n}", wire, n)) for n in range(1, hosts + 1)]
            self.internet = self._keep(Host(f"{self.tag}-inet", wire, 254))
            self.internet.run("ip", "addr", "add", f"{FARAWAY}/32", "dev", "lo")
            for host in self.hosts:
                host.run("ip", "route", "add", "default", "via", INTERNET)
        except BaseException:
            self.close()
            raise

    def _keep(self, part: N) -> N:
        self._parts.append(part)
        return part

    def guest(self, host: Host, tap: str, mac: str) -> Guest:
        """Start a guest on a host; its tap is there when this returns."""
        self._guests += 1
        return self._keep(Guest(f"{self.tag}-g{self._guests}", host.name, tap, mac))

    def close(self) -> None:
        while self._parts:
            self._parts.pop().close()

    def __enter__(self) -> Topology:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@contextlib.contextmanager
def topology(hosts: int = 2) -> Iterator[Topology]:
    """A topology for the length of a block, or a skipped test."""
    skip_without_host()
    with Topology(hosts) as made:
        yield made
