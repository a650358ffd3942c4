"""The storage controller's configuration."""

from __future__ import annotations

from typing import Annotated

import msgspec

from eucapy.config import doc


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`etc/sc.toml`."""

    zone: Annotated[str, doc("Availability zone whose storage this is.")] = "us-east-1a"
    listen_host: Annotated[str, doc("Address that the cloud controller connects to.")] = "127.0.0.1"
    listen_port: Annotated[int, doc("TCP port of the agent's interface.", ge=0, le=65535)] = 8776
    certificates: Annotated[str, doc("Folder with ca.pem, sc-cert.pem and sc-key.pem.")] = "/etc/eucapy/pki"
    state: Annotated[str, doc("Folder of the agent's own state: the accepted spec and what it works on.")] = (
        "/var/lib/eucapy/sc"
    )
    driver: Annotated[str, doc("Block driver: files (qcow2 files), or fake (nothing real; for trying out).")] = "files"
    pool: Annotated[str, doc("Folder that holds the volumes and snapshots.")] = "/var/lib/eucapy/sc/pool"
    run: Annotated[str, doc("Folder for the sockets of exported volumes: short, absolute, on this host only.")] = (
        "/run/eucapy/sc"
    )
    export_group: Annotated[
        str, doc("Group that may connect to exported volumes, which QEMU runs under; empty: root alone.")
    ] = ""
    reserve_gib: Annotated[
        int, doc("Nothing new is made while less than this is free on the pool's file system, in GiB.", ge=0)
    ] = 1
    walrus: Annotated[str, doc("The object store's internal address, from which images are fetched.")] = (
        "https://127.0.0.1:8775"
    )
    largest_image_gib: Annotated[int, doc("Images larger than this are refused, in GiB.", ge=1)] = 256
    resync_s: Annotated[
        float, doc("The loop looks at everything this often, in seconds, if nothing wakes it.", gt=0)
    ] = 30.0
    log_level: Annotated[str, doc("debug, info, warning or error.")] = "info"
