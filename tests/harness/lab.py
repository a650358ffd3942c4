"""A laboratory: two nodes, a controller and an outside world as real hosts in network namespaces, with real guests.

    [controller]  clc cc sc walrus          10.8.0.3
    [n1]          libvirtd nc eucanetd      10.8.0.1, and 198.51.100.1 on the public network
    [n2]          libvirtd nc eucanetd      10.8.0.2, and 198.51.100.2
    [internet]    who logs in from outside  198.51.100.254

Each program is a process of its own with its own certificate, started and killed by name (`clc`, `nc@n1`, ...). boto3
reaches the endpoint through a relay on loopback. Nothing leaves the namespaces; closing the lab ends and removes it all.
"""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import sys
import tempfile
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import boto3
from botocore.config import Config as BotoConfig

from eucapy import config, pki
from eucapy.cli.faststart import clean
from eucapy.cli.installation import Record
from eucapy.cli.operator import Operator
from eucapy.drivers.hypervisor.libvirtd import QEMU_USER, Libvirtd
from eucapy.drivers.network import netns
from eucapy.guests.image import GuestImage
from eucapy.run import Child, Result, RunError, in_netns, run_now, spawn
from tests.harness.libvirtd import skip_without_host
from tests.harness.topology import Host, Topology
from tests.harness.waiting import wait_until

REGION = "us-east-1"
ZONE = "us-east-1a"
PUBLIC = "198.51.100.100-198.51.100.150"
PORTS = {"api": 8773, "operator": 8774, "cc": 8775, "sc": 8776, "nc": 8777, "eucanetd": 8778, "s3": 8780, "store": 8781}


class Relay:
    """A port on our loopback that leads into a namespace."""

    def __init__(self, namespace: str, address: str, port: int) -> None:
        self._target = (namespace, address, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        namespace, address, port = self._target
        with near:
            try:
                far = netns.call_in(namespace, lambda: socket.create_connection((address, port), timeout=10))
            except OSError:
                return
            with far:
                far.settimeout(None)
                back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                back.start()
                _pump(near, far)
                back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(65536):
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)


class Lab:
    """`with Lab() as lab:` everything is up, and the account `eucalyptus` is there."""

    def __init__(self, nodes: int = 2, **settings: dict[str, Any]) -> None:
        """`settings`: options per daemon that differ (`nc={"stop_grace_s": 20.0}`)."""
        skip_without_host()
        self.folder = Path(tempfile.mkdtemp(prefix="eulab"))
        self.folder.chmod(0o755)
        self.net = Topology(nodes + 1)
        self.nodes: dict[str, Host] = {f"n{i}": host for i, host in enumerate(self.net.hosts[:nodes], 1)}
        self.controller = self.net.hosts[nodes]
        self.tag = self.net.tag
        self._settings = settings
        self._argv: dict[str, list[str]] = {}
        self._children: dict[str, Child] = {}
        self._relays: list[Relay] = []
        self.daemons: dict[str, Libvirtd] = {}
        self.admin: dict[str, str] = {}

    def __enter__(self) -> Lab:
        try:
            self._lay_out()
            for name in self._argv:
                self.run(name)
            self._register()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def programs(self) -> list[str]:
        """Every program's name: `clc`, `cc`, `sc`, `walrus`, and `libvirtd@n1`, `nc@n1`, `eucanetd@n1` for each node."""
        return list(self._argv)

    def prefix(self, node: str) -> str:
        """What the names of the node's VPC namespaces begin with."""
        return f"{self.tag}-{node}-"

    def run(self, name: str) -> None:
        """Start a program that does not run."""
        with (self.folder / f"{name}.log").open("ab") as output:
            self._children[name] = spawn(self._argv[name], output=output)

    def kill(self, name: str) -> None:
        """SIGKILL, and wait for the end."""
        child = self._children.pop(name)
        child.kill()
        child.wait(30)

    def kill_all(self) -> None:
        """Every program of the cloud at once, libvirt's daemons too; guests live on."""
        children, self._children = self._children, {}
        for child in children.values():
            child.kill()
        for child in children.values():
            child.wait(30)

    def run_all(self) -> None:
        for name in self._argv:
            if name not in self._children:
                self.run(name)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def client(self, service: str, keys: dict[str, str] | None = None) -> Any:
        """A boto3 client; `keys` are the account's admin's unless given."""
        keys = keys or self.admin
        return boto3.client(
            service,
            endpoint_url=f"http://127.0.0.1:{self._relays[0].port}",
            region_name=REGION,
            aws_access_key_id=keys["access_key_id"],
            aws_secret_access_key=keys["secret_access_key"],
            config=BotoConfig(retries={"max_attempts": 8, "mode": "standard"}, connect_timeout=5, read_timeout=60),
        )

    def operator(self) -> Operator:
        return Operator(f"https://127.0.0.1:{self._relays[1].port}", pki.client_context(self.folder / "pki", "admin"))

    def image(self, image: GuestImage, name: str) -> str:
        """Upload and register a guest image; its AMI, available."""
        s3, ec2 = self.client("s3"), self.client("ec2")
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket="images")
        s3.upload_file(str(image.qcow2), "images", f"{name}.qcow2")
        ami: str = ec2.register_image(
            Name=name,
            ImageLocation=f"images/{name}.qcow2",
            RootDeviceName="/dev/sda1",
            Architecture="x86_64",
            VirtualizationType="hvm",
        )["ImageId"]
        ec2.get_waiter("image_available").wait(ImageIds=[ami], WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        return ami

    def key_pair(self, name: str = "lab") -> Path:
        """A new ED25519 key pair; the file of its private half."""
        material = self.client("ec2").create_key_pair(KeyName=name, KeyType="ed25519")["KeyMaterial"]
        path = self.folder / f"{name}.pem"
        path.write_text(material)
        path.chmod(0o600)
        return path

    def ssh(self, address: str, key: Path, command: str, user: str = "root", timeout_s: float = 30.0) -> Result:
        """Run a command in a guest, coming from outside. The status is ssh's: 255 when it could not be reached, 124 when
        the command was not done in time."""
        try:
            return self._ssh(address, key, command, user, timeout_s)
        except RunError as error:
            if error.status is not None:
                raise
            return Result(124, "", error.stderr)

    def _ssh(self, address: str, key: Path, command: str, user: str, timeout_s: float) -> Result:
        return run_now(
            *in_netns(
                self.net.internet.name,
                [
                    "ssh", "-F", "none", "-i", str(key), "-o", "StrictHostKeyChecking=no",
                    "-o", "UserKnownHostsFile=/dev/null", "-o", "ConnectTimeout=5", "-o", "BatchMode=yes",
                    "-o", "LogLevel=ERROR", f"{user}@{address}", command,
                ],
            ),
            check=False,
            timeout_s=timeout_s,
        )  # fmt: skip

    def log_in(self, address: str, key: Path, command: str = "true", user: str = "root", limit_s: float = 240) -> str:
        """`ssh` until it answers; what the command printed."""

        def once() -> Result | None:
            result = self.ssh(address, key, command, user)
            return result if result.status == 0 else None

        return wait_until(once, limit_s, 0.5).stdout

    def node_of(self, instance_id: str) -> str:
        """The node whose libvirt has the instance's domain running."""
        for name, daemon in self.daemons.items():
            listed = run_now("virsh", "-c", daemon.uri, "list", "--name", check=False)
            if instance_id in listed.stdout:
                return name
        raise LookupError(instance_id)

    def close(self) -> None:
        """Programs first, then guests, exports and networks, then the namespaces and the folder."""
        for name in ("nc", "eucanetd", "clc", "cc", "sc", "walrus"):
            for full in [child for child in self._children if child.split("@")[0] == name]:
                self._end(full)
        for node, daemon in self.daemons.items():
            if f"libvirtd@{node}" in self._children or daemon.socket.exists():
                self._end_guests(node, daemon)
        for full in list(self._children):
            self._end(full)
        clean.end_processes(self.folder)
        for node in self.nodes:
            clean.remove_network(Record(prefix=self.prefix(node)))
        for relay in self._relays:
            relay.close()
        self.net.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _end(self, name: str) -> None:
        child = self._children.pop(name)
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(signal.SIGTERM)
        try:
            child.wait(10)
        except Exception:
            child.kill()
            child.wait(10)

    def _end_guests(self, node: str, daemon: Libvirtd) -> None:
        if f"libvirtd@{node}" not in self._children:
            self.run(f"libvirtd@{node}")
            wait_until(daemon.socket.exists, 20)
        listed = run_now("virsh", "-c", daemon.uri, "list", "--name", check=False, timeout_s=30)
        for domain in listed.stdout.split():
            run_now("virsh", "-c", daemon.uri, "destroy", domain, check=False, timeout_s=30)

    def _lay_out(self) -> None:
        folder = self.folder / "pki"
        authority = pki.Authority.ensure(folder)
        for role in ("clc", "cc", "sc", "walrus", "admin"):
            authority.issue(role, role, [self.controller.underlay])
        python = sys.executable
        here = self.controller.underlay
        for name, options in self._control(here).items():
            path = self._write(name, name, {"pki": str(folder), "data": str(self.folder / name), **options})
            argv = [python, "-m", f"eucapy_services.{name}.main", "--config", str(path)]
            self._argv[name] = in_netns(self.controller.name, argv)
        for node, host in self.nodes.items():
            daemon = self.daemons[node] = Libvirtd(self.folder / node / "lv", netns=host.name)
            daemon.prepare()
            self._argv[f"libvirtd@{node}"] = daemon.argv()
            keys = self.folder / node / "pki"
            keys.mkdir(parents=True)
            shutil.copy(folder / "ca.pem", keys)
            for role in ("nc", "eucanetd"):
                authority.issue(role, node, [host.underlay], keys)
                options = self._on_node(node, host, daemon)[role]
                data = {"pki": str(keys), "data": str(self.folder / node / role), **options}
                path = self._write(role, f"{role}@{node}", data)
                argv = [python, "-m", f"eucapy_services.{role}.main", "--config", str(path)]
                self._argv[f"{role}@{node}"] = in_netns(host.name, argv)
        self._relays = [
            Relay(self.controller.name, here, PORTS["api"]),
            Relay(self.controller.name, here, PORTS["operator"]),
        ]

    def _control(self, here: str) -> dict[str, dict[str, Any]]:
        store = f"https://{here}:{PORTS['store']}"
        return {
            "walrus": {
                "host": here, "port": PORTS["s3"], "internal_host": here, "internal_port": PORTS["store"],
                "clc_url": f"https://{here}:{PORTS['operator']}",
            },
            "clc": {
                "host": here, "port": PORTS["api"], "internal_host": here, "internal_port": PORTS["operator"],
                "zones": [ZONE], "region": REGION, "walrus_url": f"http://{here}:{PORTS['s3']}",
                "walrus_internal_url": store, "public_ranges": [PUBLIC], "node_lost_after_s": 8.0,
            },
            "sc": {
                "host": here, "port": PORTS["sc"], "zone": ZONE, "walrus_internal_url": store, "export_group": QEMU_USER,
            },
            "cc": {"host": here, "port": PORTS["cc"], "zone": ZONE, "lost_after_s": 2.0},
        }  # fmt: skip

    def _on_node(self, node: str, host: Host, daemon: Libvirtd) -> dict[str, dict[str, Any]]:
        prefix = self.prefix(node)
        return {
            "nc": {
                "node": node, "host": host.underlay, "port": PORTS["nc"], "libvirt_uri": daemon.uri, "qemu_group": QEMU_USER,
                "namespace_prefix": prefix,
                "walrus_internal_url": f"https://{self.controller.underlay}:{PORTS['store']}",
            },
            "eucanetd": {
                "node": node, "host": host.underlay, "port": PORTS["eucanetd"], "namespace_prefix": prefix,
                "underlay_address": host.underlay, "public_interface": "eth1",
                "run": str(self.folder / node / "run"),
            },
        }  # fmt: skip

    def _write(self, daemon: str, name: str, options: dict[str, Any]) -> Path:
        path = self.folder / "etc" / f"{name}.toml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(config.dump({**options, **self._settings.get(daemon, {})}))
        return path

    def _register(self) -> None:
        operator = self.operator()
        wait_until(lambda: _answers(operator), 60)
        here = self.controller.underlay
        for kind in ("cc", "sc"):
            body = {"kind": kind, "name": kind, "zone": ZONE, "url": f"https://{here}:{PORTS[kind]}"}
            operator.post("/admin/components", body)
        for node, host in self.nodes.items():
            operator.post(
                "/admin/components",
                {
                    "kind": "nc", "name": node, "zone": ZONE, "url": f"https://{host.underlay}:{PORTS['nc']}",
                    "eucanetd_url": f"https://{host.underlay}:{PORTS['eucanetd']}", "address": host.underlay,
                },
            )  # fmt: skip
        self.admin = operator.post("/admin/accounts", {"name": "eucalyptus"})
        self.wait_for_nodes()

    def wait_for_nodes(self, limit_s: float = 90) -> None:
        """Until every node is up."""
        operator = self.operator()

        def all_up() -> bool:
            with contextlib.suppress(Exception):
                states = {n["node"]: n["state"] for n in operator.get("/admin/status")["nodes"]}
                return set(states) == set(self.nodes) and set(states.values()) == {"up"}
            return False

        wait_until(all_up, limit_s, 0.2)


def _answers(operator: Operator) -> bool:
    try:
        operator.get("/admin/accounts")
    except Exception:
        return False
    return True


def ping(lab: Lab, key: Path, source: str, target: str) -> bool:
    """Whether the guest at the public address `source` gets an echo from `target`."""
    return lab.ssh(source, key, f"ping -c 1 -W 3 {target}").status == 0
