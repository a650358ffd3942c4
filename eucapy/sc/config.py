"""The storage controller's options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

from eucapy.config import doc


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`etc/sc.toml`."""

    zone: Annotated[str, doc("Availability zone whose storage this is.")] = "us-east-1a"
    data: Annotated[str, doc("Folder for the accepted spec, downloads, and what the two folders below default to.")] = (
        "/var/lib/eucapy/sc"
    )
    pki: Annotated[str, doc("Folder with ca.pem, sc-cert.pem and sc-key.pem; empty: plain HTTP, for tests only.")] = (
        "/var/lib/eucapy/pki"
    )
    host: Annotated[str, doc("Address that the cloud controller reaches this storage at.")] = "127.0.0.1"
    port: Annotated[int, doc("TCP port for the cloud controller.", ge=0, le=65535)] = 8776
    walrus_internal_url: Annotated[str, doc("The object store's port for components.")] = "https://127.0.0.1:8781"
    archive: Annotated[
        bool,
        doc(
            "Whether snapshots are kept in the object store too, as changed blocks, from where a lost pool comes back."
        ),
    ] = True
    driver: Annotated[str, doc("Block driver: files (qcow2 files), or fake (nothing real; for trying out).")] = "files"
    pool: Annotated[str, doc("Folder that holds the volumes and snapshots; empty: `pool` in the data folder.")] = ""
    run: Annotated[
        str, doc("Folder for the sockets of exported volumes, at most 72 bytes long; empty: `run` in the data folder.")
    ] = ""
    export_group: Annotated[
        str, doc("Group that may connect to exported volumes, which QEMU runs under; empty: root alone.")
    ] = ""
    export_user: Annotated[
        str,
        doc("User that serves exported volumes, unprivileged, and owns their files, in `export_group`; empty: root."),
    ] = ""
    export_host: Annotated[
        str, doc("Address that nodes on other hosts reach exported volumes at, with TLS; empty: the same as `host`.")
    ] = ""
    export_ports: Annotated[
        str, doc("TCP ports for volumes exported to other hosts, FIRST-LAST; each such volume takes one.")
    ] = "20000-24095"
    reserve_gib: Annotated[
        int, doc("Nothing new is made while less than this is free on the pool's file system, GiB.", ge=0)
    ] = 1
    largest_image_gib: Annotated[int, doc("Images larger than this are refused, GiB.", ge=1)] = 256
    largest_disk_gib: Annotated[
        int, doc("Disks that an imported image holds may be this large, GiB; they take space as they are full.", ge=1)
    ] = 8192
    resync_s: Annotated[float, doc("Seconds after which the loop looks at everything if nothing woke it.", gt=0)] = 30.0
    log_level: Annotated[str, doc("debug, info, warning or error.")] = "info"

    @property
    def exports(self) -> range:
        """The ports of `export_ports`. Raises ValueError."""
        first, _, last = self.export_ports.partition("-")
        ports = range(int(first), int(last or first) + 1)
        if not ports or ports[0] < 1 or ports[-1] > 65535:
            raise ValueError(f"export_ports: {self.export_ports!r} is not FIRST-LAST of TCP ports")
        return ports

    @property
    def data_folder(self) -> Path:
        return Path(self.data)

    @property
    def pool_folder(self) -> Path:
        return Path(self.pool) if self.pool else self.data_folder / "pool"

    @property
    def run_folder(self) -> Path:
        return Path(self.run) if self.run else self.data_folder / "run"
