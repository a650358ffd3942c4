"""`eucapy image list|menu|build|install|remove`: guest images made here, and put into the cloud of this machine.

An image is a file (built here from packages, given by path, or downloaded), uploaded to the bucket `eucapy-images` of
the operator's account and registered from there, so that every node can fetch it. Whoever has an account may launch it.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import re
import shutil
import time
import urllib.parse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eucapy.cli import output
from eucapy.cli.installation import CliError, Installation, Record
from eucapy.guests import foreign, menu
from eucapy.guests.build_cache import BuildCache
from eucapy.guests.errors import CannotBuild
from eucapy.guests.image import GuestImage
from eucapy.run import RunError

if TYPE_CHECKING:
    from types_boto3_ec2 import EC2Client

BUCKET = "eucapy-images"
Say = Callable[[str], None]
_AVAILABLE_WITHIN_S = 600.0
_ENDINGS = (".xz", ".gz", ".bz2", ".qcow2", ".img", ".raw", ".vmdk", ".vhd", ".vhdx", ".vdi")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9()\[\] ./'@_-]")
_LONGEST_NAME = 100
"""EC2 takes 128 characters, of these alone; a digest comes behind ours."""


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(prog="eucapy image", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    listing = actions.add_parser("list", help="the images of the cloud of this machine")
    listing.add_argument("--json", action="store_true")
    actions.add_parser("menu", help="the images that can be built here")
    build = actions.add_parser("build", help="build an image of the menu to a file")
    build.add_argument("name", choices=menu_names())
    build.add_argument("--output", type=Path, required=True, help="the file to write (qcow2)")
    install = actions.add_parser("install", help="put an image into the cloud: from the menu, a file or a URL")
    install.add_argument("source", help=f"{', '.join(menu_names())}, a path, or http(s)://…")
    install.add_argument("--name", help="the image's name; default made of the source")
    install.add_argument("--sha256", default="", help="refuse a file that has another checksum (hexadecimal)")
    remove = actions.add_parser("remove", help="deregister an image and remove its object")
    remove.add_argument("image_id")
    options = parser.parse_args(arguments[1:])
    installation = Installation(data)
    if options.action == "menu":
        rows = [{"name": offered.name, "what": offered.title, "takes": offered.cost} for offered in menu.CHOICES]
        print(output.table(rows))
    elif options.action == "list":
        output.rows(inventory(installation), key="images", json_wanted=options.json)
    elif options.action == "build":
        shutil.copyfile(build_image(options.name, installation, print), options.output)
        print(options.output)
    elif options.action == "install":
        print(install_image(installation, options.source, print, name=options.name or "", sha256=options.sha256))
    else:
        remove_image(installation, options.image_id)
    return 0


def client(installation: Installation, service: str) -> Any:
    """A boto3 client with the operator's keys for the cloud of this machine."""
    import boto3
    from botocore.config import Config

    variables = installation.environment()
    return boto3.client(
        service,  # type: ignore[call-overload]
        endpoint_url=variables["AWS_ENDPOINT_URL"],
        aws_access_key_id=variables["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_DEFAULT_REGION"],
        verify=variables.get("AWS_CA_BUNDLE"),
        config=Config(s3={"addressing_style": "path"}, retries={"mode": "standard"}),
    )


def inventory(installation: Installation) -> list[dict[str, object]]:
    """The operator's own images, newest first."""
    ec2: EC2Client = client(installation, "ec2")
    images = ec2.describe_images(Owners=["self"])["Images"]
    return [
        {"id": image["ImageId"], "name": image["Name"], "state": image["State"], "made": image["CreationDate"]}
        for image in sorted(images, key=lambda image: image["CreationDate"], reverse=True)
    ]


def menu_names() -> list[str]:
    """What can be built here."""
    return [offered.name for offered in menu.CHOICES]


def build_image(name: str, installation: Installation, say: Say) -> Path:
    """Build an image of the menu, or find it built; the qcow2 file. Raises CliError."""
    from eucapy.drivers.hypervisor.acceleration import detect

    cache = BuildCache(installation.folder("images"))

    async def build() -> GuestImage:
        return await menu.choice(name).build(cache, emulated=not (await detect()).kvm, progress=say)

    built = _made(build(), f"the image {name} cannot be built")
    cache.prune(name)
    return built.qcow2


def install_image(installation: Installation, source: str, say: Say, name: str = "", sha256: str = "") -> str:
    """Bring an image into the cloud and return its id; an image of the same name and content is found again.

    `sha256` (hexadecimal) is the checksum that a file or a download has to have. Raises CliError.
    """
    name = name or image_name(source)
    if source in menu_names():
        path = build_image(source, installation, say)
        image_id = _register(installation, path, f"{name}-{_digest(path)}", say)
    else:
        image_id = _install_foreign(installation, source, say, name, sha256)
    record: Record = installation.record()
    if record.images.get(name) != image_id:
        record.images[name] = image_id
        installation.save(record)
    return image_id


def _install_foreign(installation: Installation, source: str, say: Say, name: str, sha256: str) -> str:
    """An image made by others, from a file or a URL: looked at, made into a qcow2 of our own, and brought in. Nothing of
    it is kept here but what the cloud keeps."""
    if not _is_url(source) and not Path(source).is_file():
        raise CliError(f"{source} is neither a file, nor a URL, nor one of {', '.join(menu_names())}")
    known = _of_name(installation, _foreign_name(source, name, sha256))
    if known:
        return known
    cache = BuildCache(installation.folder("images"))
    taken = _made(foreign.take(cache, source, sha256=sha256, progress=say), f"{source} cannot be used")
    image_id = _register(installation, taken.qcow2, _foreign_name(source, name, sha256), say)
    shutil.rmtree(taken.qcow2.parent)
    return image_id


def _foreign_name(source: str, name: str, sha256: str = "") -> str:
    return f"{name}-{foreign.key(source, sha256)[:12]}"


def _made(making: Awaitable[GuestImage], failure: str) -> GuestImage:
    async def make() -> GuestImage:
        return await making

    try:
        return asyncio.run(make())
    except (CannotBuild, RunError, OSError) as error:
        raise CliError(f"{failure}: {error}") from error


def installed(installation: Installation, source: str) -> str | None:
    """The id of an image that an earlier run installed from `source` and that can still be launched."""
    if source not in menu_names():
        return _of_name(installation, _foreign_name(source, image_name(source)))
    image_id = installation.record().images.get(image_name(source))
    usable = {image["id"] for image in inventory(installation) if image["state"] == "available"}
    return image_id if image_id in usable else None


def _of_name(installation: Installation, name: str) -> str | None:
    found = [image["id"] for image in inventory(installation) if (image["name"], image["state"]) == (name, "available")]
    return str(found[0]) if found else None


def image_name(source: str) -> str:
    """What an image is called when nobody says otherwise: of letters that EC2 takes in a name."""
    if source in menu_names():
        return f"eucapy-{source}"
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(source).path) if _is_url(source) else source).name
    while name.lower().endswith(_ENDINGS):
        name = name.rpartition(".")[0]
    return _NOT_IN_NAMES.sub("-", name)[:_LONGEST_NAME] or "image"


def _is_url(source: str) -> bool:
    return urllib.parse.urlsplit(source).scheme in ("http", "https")


def remove_image(installation: Installation, image_id: str) -> None:
    """Deregister the image and remove its object, if it lies in our bucket. Raises CliError."""
    from botocore.exceptions import ClientError

    ec2: EC2Client = client(installation, "ec2")
    try:
        image = ec2.describe_images(ImageIds=[image_id])["Images"][0]
        ec2.deregister_image(ImageId=image_id)
    except ClientError as error:
        raise CliError(str(error)) from error
    bucket, _, key = image.get("ImageLocation", "").partition("/")
    if bucket == BUCKET:
        client(installation, "s3").delete_object(Bucket=bucket, Key=key)
    record = installation.record()
    record.images = {name: known for name, known in record.images.items() if known != image_id}
    installation.save(record)


def _register(installation: Installation, path: Path, name: str, say: Say) -> str:
    """Upload the file under that name and register it; the image's id once it can be launched."""
    from botocore.exceptions import BotoCoreError, ClientError

    ec2: EC2Client = client(installation, "ec2")
    s3 = client(installation, "s3")
    try:
        known = ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": [name]}])["Images"]
        if known and known[0]["State"] in ("available", "pending"):
            return _available(ec2, known[0]["ImageId"])
        buckets = {bucket["Name"] for bucket in s3.list_buckets()["Buckets"]}
        if BUCKET not in buckets:
            s3.create_bucket(Bucket=BUCKET)
        key = f"{name}{path.suffix or '.img'}"
        size = path.stat().st_size
        sent = 0

        def count(amount: int) -> None:
            nonlocal sent
            sent += amount
            say(f"uploaded {sent >> 20} of {size >> 20} MiB")

        s3.upload_file(str(path), BUCKET, key, Callback=count)
        say("registering")
        image_id = ec2.register_image(
            Name=name,
            Description=f"{name.rpartition('-')[0]}, installed by eucapy",
            ImageLocation=f"{BUCKET}/{key}",
            Architecture="x86_64",
            VirtualizationType="hvm",
        )["ImageId"]
        _available(ec2, image_id)
        ec2.modify_image_attribute(ImageId=image_id, LaunchPermission={"Add": [{"Group": "all"}]})
    except (ClientError, BotoCoreError) as error:
        raise CliError(f"the image {name} cannot be registered: {error}") from error
    return image_id


def _available(ec2: EC2Client, image_id: str) -> str:
    """Wait until the image can be launched. Raises CliError with the reason when it never will."""
    deadline = time.monotonic() + _AVAILABLE_WITHIN_S
    while time.monotonic() < deadline:
        image = ec2.describe_images(ImageIds=[image_id])["Images"][0]
        if image["State"] == "available":
            return image_id
        if image["State"] != "pending":
            reason = image.get("StateReason", {}).get("Message", image["State"])
            raise CliError(f"the image {image_id} cannot be used: {reason}")
        time.sleep(0.3)
    raise CliError(f"the image {image_id} is still pending after {_AVAILABLE_WITHIN_S:.0f} s")


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()[:12]
