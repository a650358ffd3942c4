"""The data folder of a cloud: folders, certificates, and a configuration file a daemon.

Everything is ensured: what is there stays, also an operator's edits of a configuration file; only the values that this
installation itself chose (addresses, ports, folders, the public range) are brought up to date in it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eucapy import config, pki
from eucapy.cli.configuration import check_file
from eucapy.cli.faststart.programs import hypervisor_of
from eucapy.cli.faststart.traces import STORAGE_USER
from eucapy.cli.installation import FOLDERS, Installation, Record
from eucapy.cli.programs import DAEMONS
from eucapy.drivers.hypervisor.libvirtd import QEMU_USER
from eucapy.ledger import write_file


def ensure_folders(installation: Installation) -> None:
    """The data folder and those in it; only root looks inside."""
    installation.data.mkdir(parents=True, exist_ok=True)
    installation.data.chmod(0o711)
    for name in FOLDERS:
        folder = installation.folder(name)
        if name in ("nc", "sc") and folder.exists():
            continue  # these open a way for guests' QEMU processes themselves
        folder.mkdir(exist_ok=True)
        folder.chmod(0o711 if name == "run" else 0o700)  # name servers run as somebody else


def ensure_certificates(installation: Installation, record: Record) -> list[str]:
    """The authority, and a certificate for every role that has none yet; the roles that were issued."""
    folder = installation.folder("pki")
    authority = pki.Authority.ensure(folder)
    issued = [role for role in pki.ROLES if not (folder / f"{role}-cert.pem").exists()]
    for role in issued:
        authority.issue(role, record.node if role in ("nc", "eucanetd") else role, [record.address])
    return issued


def ensure_configuration(installation: Installation, record: Record) -> list[Path]:
    """Write each daemon's file; the files that changed. Raises CliError when a daemon would refuse one."""
    changed: list[Path] = []
    for daemon in DAEMONS:
        path = installation.folder("etc") / f"{daemon}.toml"
        there = installation.settings(daemon) if path.exists() else {}
        merged = {**there, **choices(installation, record)[daemon]}
        if merged != there:
            write_file(path, _document(daemon, merged).encode(), mode=0o600)
            changed.append(path)
        check_file(daemon, path)
    return changed


def choices(installation: Installation, record: Record) -> dict[str, dict[str, Any]]:
    """The options that this installation decides, per daemon."""
    ports = record.ports
    data = {name: str(installation.folder(name)) for name in DAEMONS}
    shared = {"pki": str(installation.folder("pki"))}
    walrus_internal = f"https://127.0.0.1:{ports.walrus_internal}"
    return {
        "clc": {
            **shared,
            "data": data["clc"],
            "region": record.region,
            "zones": [record.zone],
            "host": record.address,
            "port": ports.api,
            "internal_port": ports.operator,
            "walrus_url": f"http://127.0.0.1:{ports.walrus}",
            "walrus_internal_url": walrus_internal,
            "public_ranges": [record.public_range],
        },
        "walrus": {
            **shared,
            "data": data["walrus"],
            "region": record.region,
            "port": ports.walrus,
            "internal_port": ports.walrus_internal,
            "clc_url": f"https://127.0.0.1:{ports.operator}",
            "proxies": ["127.0.0.1"],
        },
        "cc": {**shared, "data": data["cc"], "zone": record.zone, "port": ports.cc},
        "sc": {
            **shared,
            "data": data["sc"],
            "zone": record.zone,
            "port": ports.sc,
            "walrus_internal_url": walrus_internal,
            "export_group": QEMU_USER,
            "export_user": STORAGE_USER,
        },
        "nc": {
            **shared,
            "data": data["nc"],
            "node": record.node,
            "port": ports.nc,
            "walrus_internal_url": walrus_internal,
            "libvirt_uri": hypervisor_of(installation.data).uri,
            "qemu_group": QEMU_USER,
            "proxy_user": STORAGE_USER,
            "acceleration": record.acceleration,
            "namespace_prefix": record.prefix,
        },
        "eucanetd": {
            **shared,
            "data": data["eucanetd"],
            "node": record.node,
            "port": ports.eucanetd,
            "namespace_prefix": record.prefix,
            "run": str(installation.folder("run") / "eucanetd"),
            "public_interface": record.public_interface,
            "public_masquerade": record.public_is_local,
            "host_ports": [ports.api],
        },
    }


def components(record: Record) -> list[dict[str, Any]]:
    """What the cloud controller has to be told of: the bodies of `POST /admin/components`."""
    ports = record.ports
    return [
        {"kind": "cc", "name": f"cc-{record.zone}", "zone": record.zone, "url": f"https://127.0.0.1:{ports.cc}"},
        {"kind": "sc", "name": f"sc-{record.zone}", "zone": record.zone, "url": f"https://127.0.0.1:{ports.sc}"},
        {
            "kind": "nc",
            "name": record.node,
            "zone": record.zone,
            "url": f"https://127.0.0.1:{ports.nc}",
            "eucanetd_url": f"https://127.0.0.1:{ports.eucanetd}",
            "address": "127.0.0.1",
        },
    ]


def prefix_for(data: Path, default_data: Path) -> str:
    """The prefix of network namespaces' names: short, and another for a second cloud on the same host."""
    if data == default_data:
        return "euca-"
    return f"euca{hashlib.sha256(os.fsencode(data)).hexdigest()[:3]}-"


def _document(daemon: str, values: Mapping[str, Any]) -> str:
    head = f"# {daemon} of this cloud. Every option, its meaning and its default: eucapy config sample {daemon}\n\n"
    return head + config.dump(dict(values))
