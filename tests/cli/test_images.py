"""Images made by others, brought into a cloud: named, looked at, found again."""

from __future__ import annotations

import http.server
import lzma
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from eucapy.cli import images
from eucapy.cli.faststart import layout
from eucapy.cli.installation import CliError, Installation, Record
from eucapy.guests import menu
from eucapy.guests.build_cache import BuildCache
from eucapy.guests.image import GuestImage
from eucapy.guests.progress import Progress
from eucapy.run import run_now
from tests.harness.cloud import Cloud

DISK = b"boot".ljust(2 << 20, b"\0")


@pytest.fixture
def installation(tmp_path: Path, cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Installation:
    """The record of a cloud on this machine; its API is that of the cloud in this process."""
    installation = Installation(tmp_path / "installed")
    layout.ensure_folders(installation)
    installation.save(Record())
    monkeypatch.setattr(images, "client", lambda _installation, service: cloud.client(service))
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=lambda _seconds: cloud.settle())
    monkeypatch.setattr(images, "time", clock)
    return installation


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, list[str]]]:
    """A web server with one packed image, and the requests that it got."""
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            body = lzma.compress(DISK)
            self.send_response(200 if self.path.startswith("/server%20") else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    thread.join()
    server.server_close()


def install(installation: Installation, source: object, **options: str) -> str:
    return images.install_image(installation, str(source), lambda _line: None, **options)


def names(installation: Installation) -> list[str]:
    return sorted(str(image["name"]).rpartition("-")[0] for image in images.inventory(installation))


def test_a_file_becomes_an_image_that_can_be_launched_and_is_found_again(
    installation: Installation, tmp_path: Path, cloud: Cloud
) -> None:
    source = tmp_path / "my disk.qcow2"
    source.write_bytes(DISK)
    image_id = install(installation, source)
    assert images.installed(installation, str(source)) == install(installation, source) == image_id
    assert names(installation) == ["my disk"]
    ec2 = cloud.client("ec2")
    found = ec2.run_instances(ImageId=image_id, InstanceType="t2.nano", MinCount=1, MaxCount=1)["Instances"][0]
    cloud.settle()
    shown = ec2.describe_instances(InstanceIds=[found["InstanceId"]])["Reservations"][0]["Instances"][0]
    assert shown["State"]["Name"] == "running"


def test_another_file_of_that_name_and_a_changed_one_are_other_images(
    installation: Installation, tmp_path: Path
) -> None:
    ids = set()
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "disk.img").write_bytes(DISK)
        ids.add(install(installation, tmp_path / folder / "disk.img"))
    (tmp_path / "a" / "disk.img").write_bytes(DISK * 2)
    ids.add(install(installation, tmp_path / "a" / "disk.img"))
    assert len(ids) == 3
    assert names(installation) == ["disk"] * 3


def test_a_url_is_fetched_once_and_unpacked(installation: Installation, served: tuple[str, list[str]]) -> None:
    base, asked = served
    image_id = install(installation, f"{base}/server%20amd64.qcow2.xz")
    assert install(installation, f"{base}/server%20amd64.qcow2.xz") == image_id
    assert asked == ["/server%20amd64.qcow2.xz"]
    assert names(installation) == ["server amd64"]


def test_an_image_of_the_menu_is_built_and_brought_in_once(
    installation: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []

    async def build(cache: BuildCache, *, emulated: bool, progress: Progress) -> GuestImage:
        async def make(folder: Path) -> None:
            (folder / "debian.qcow2").write_bytes(DISK)
            built.append(folder)

        folder = await cache.get("debian", "key", make)
        return GuestImage("debian", "", None, folder / "debian.qcow2", 2, 512, "debian", "")

    monkeypatch.setattr(menu, "CHOICES", (menu.Choice("debian", "Debian", "minutes", build),))
    assert images.installed(installation, "debian") is None
    image_id = install(installation, "debian")
    assert images.installed(installation, "debian") == install(installation, "debian") == image_id
    assert names(installation) == ["eucapy-debian"]
    assert len(built) == 1


def test_no_copy_stays_beside_the_object_store(installation: Installation, tmp_path: Path) -> None:
    (tmp_path / "disk.img").write_bytes(DISK)
    install(installation, tmp_path / "disk.img")
    assert [path for path in installation.folder("images").rglob("*") if path.stat().st_size > len("locked")] == []


def test_what_cannot_be_an_image_is_refused_in_plain_words(
    installation: Installation, tmp_path: Path, served: tuple[str, list[str]]
) -> None:
    with pytest.raises(CliError, match="neither a file, nor a URL, nor one of starter, debian"):
        install(installation, tmp_path / "nowhere.img")
    with pytest.raises(CliError, match="answers 404"):
        install(installation, f"{served[0]}/gone.img")
    (tmp_path / "base.raw").write_bytes(DISK)
    overlay = tmp_path / "overlay.qcow2"
    run_now("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(tmp_path / "base.raw"), "-F", "raw", str(overlay))
    with pytest.raises(CliError, match="refers to another file"):
        install(installation, overlay)
    with pytest.raises(CliError, match="the checksum is"):
        install(installation, tmp_path / "base.raw", sha256="0" * 64)
    assert names(installation) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("starter", "eucapy-starter"),
        ("/images/debian-12.5-amd64.qcow2", "debian-12.5-amd64"),
        ("https://example.org/a/server.img.xz?token=1", "server"),
        ("größe+1.raw", "gr--e-1"),
        ("https://example.org/", "image"),
    ],
)
def test_an_image_is_named_after_its_source_in_letters_that_ec2_takes(source: str, name: str) -> None:
    assert images.image_name(source) == name
