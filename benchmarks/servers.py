"""What is measured: each server fresh, over an empty folder, on a free port of loopback.

    with start("eucapy", "ec2", settings) as server:
        server.endpoint, server.pid, server.access_key, server.image_id …

`eucapy` is `eucapy dev`: the whole cloud in one process, its agents and loops included, on a real database; for S3 it is
the object store's own process. The process that is measured is the server's tree, whatever it starts.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3.session

from benchmarks import peers
from eucapy.run import Child, StillRunning, spawn

NAMES = ("eucapy", "moto", "ministack")
UP_S = 60.0
IMAGE_BYTES = 1 << 20
NODES_PER_ZONE = 2


@dataclass(frozen=True)
class Settings:
    """What the servers of a run share. `new_database` gives an empty database for each eucapy (a PostgreSQL URL), or ""
    for a file of SQLite in its folder."""

    cache: Path
    new_database: Callable[[], str] = str
    nodes: int = NODES_PER_ZONE


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    name: str
    endpoint: str
    pid: int
    access_key: str = "test"
    secret_key: str = "test"
    image_id: str = "ami-12c6146b"
    largest: int = 10_000
    """The most instances that are tried: moto needs minutes for more than 1,000."""


@dataclass(frozen=True)
class _Command:
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    access_key: str = "test"
    secret_key: str = "test"


@contextmanager
def start(name: str, service: str, settings: Settings) -> Iterator[Server]:
    """The server `name` for `ec2` or `s3`; it ends, and its data goes, with the block."""
    folder = Path(tempfile.mkdtemp(prefix=f"bench-{name}-"))
    port = _free_port()
    command = _command(name, service, port, folder, settings)
    with (folder / "log").open("wb") as log:
        child = spawn(command.argv, output=log, env=command.env)
    try:
        endpoint = f"http://127.0.0.1:{port}"
        _wait(child, endpoint, folder)
        if name == "eucapy" and service == "ec2":
            keys = _environment(child, folder)
            image_id = _image(endpoint, *keys)
            yield Server(name, endpoint, child.pid, *keys, image_id=image_id)
        else:
            largest = 1_000 if name == "moto" else 10_000
            yield Server(name, endpoint, child.pid, command.access_key, command.secret_key, largest=largest)
    finally:
        _end(child)
        shutil.rmtree(folder, ignore_errors=True)


def _command(name: str, service: str, port: int, folder: Path, settings: Settings) -> _Command:
    python, data = sys.executable, folder / "data"
    if name == "moto":
        return _Command([str(peers.ensure(name, settings.cache)), "-H", "127.0.0.1", "-p", str(port)])
    if name == "ministack":
        env = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "S3_PERSIST": "1", "S3_DATA_DIR": str(data)}
        return _Command([str(peers.ensure(name, settings.cache))], env)
    if service == "s3":
        key = ("AKIAEUCAPYBENCHMARKS", "a-key-of-the-benchmarks")
        argv = [python, "-m", "eucapy_services.walrus.main", "--port", str(port), "--data", str(data)]
        return _Command([*argv, "--key", ",".join(key)], {}, *key)
    argv = [python, "-m", "eucapy_services.devcloud.main", "--port", str(port), "--data", str(data)]
    argv += ["--env-file", str(folder / "env"), "--nodes", str(settings.nodes)]
    database = settings.new_database()
    return _Command([*argv, "--database", database] if database else argv)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(child: Child, endpoint: str, folder: Path) -> None:
    """Until the server answers anything at all."""
    until = time.monotonic() + UP_S
    while time.monotonic() < until:
        if child.poll() is not None:
            raise RuntimeError(f"the server ended: {(folder / 'log').read_text(errors='replace')[-2000:]}")
        with contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError):
            try:
                urllib.request.urlopen(endpoint, timeout=2).close()
            except urllib.error.HTTPError:
                return  # an answer nevertheless
            return
        time.sleep(0.1)
    raise TimeoutError(f"{endpoint} does not answer within {UP_S:g} s")


def _environment(child: Child, folder: Path) -> tuple[str, str]:
    """The admin's keys, once `eucapy dev` has written them."""
    until = time.monotonic() + UP_S
    while time.monotonic() < until and child.poll() is None:
        with contextlib.suppress(FileNotFoundError):
            found = dict(re.findall(r"export (\w+)=(\S+)", (folder / "env").read_text()))
            return found["AWS_ACCESS_KEY_ID"], found["AWS_SECRET_ACCESS_KEY"]
        time.sleep(0.05)
    raise TimeoutError("eucapy dev wrote no environment file")


def _image(endpoint: str, access_key: str, secret_key: str) -> str:
    """A registered image: an empty disk of 1 MiB."""
    session: Any = boto3.session.Session()

    def client(service: str) -> Any:
        return session.client(
            service,
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=access_key,
            aws_secret_access_key=secret_key,
        )

    s3, ec2 = client("s3"), client("ec2")
    s3.create_bucket(Bucket="images")
    s3.put_object(Bucket="images", Key="empty.raw", Body=bytes(IMAGE_BYTES))
    image_id: str = ec2.register_image(Name="empty", ImageLocation="images/empty.raw")["ImageId"]
    ec2.get_waiter("image_available").wait(ImageIds=[image_id], WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    return image_id


def _end(child: Child) -> None:
    with contextlib.suppress(ProcessLookupError):
        child.send_signal(signal.SIGTERM)
    try:
        child.wait(15)
    except StillRunning:
        child.kill()
        child.wait(15)
