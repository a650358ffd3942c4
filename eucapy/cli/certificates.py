"""`eucapy pki init`, `eucapy pki issue ROLE`, `eucapy pki show`: the cloud's own certificates.

A component's pair is issued on the machine that holds the authority and carried to its host by a safe way. Renewing is
issuing again; a daemon takes the new pair at its next start.
"""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from eucapy import pki
from eucapy.cli import output
from eucapy.cli.installation import CliError, Installation


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(prog="eucapy pki", description=__doc__)
    parser.add_argument("--folder", type=Path, help="default: pki in the cloud's folder")
    actions = parser.add_subparsers(dest="action", required=True)
    actions.add_parser("init", help="make the authority, if there is none")
    issue = actions.add_parser("issue", help="issue (or renew) the certificate of a role")
    issue.add_argument("role", choices=pki.ROLES)
    issue.add_argument("--name", default="", help="the component's name; default the role")
    issue.add_argument("--host", action="append", default=[], help="a host name or address it answers at; repeatable")
    issue.add_argument("--output", type=Path, help="where to write; default beside the authority")
    show = actions.add_parser("show", help="the certificates and when they end")
    show.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments[1:])
    folder = options.folder or Installation(data).folder("pki")
    if options.action == "init":
        pki.Authority.ensure(folder)
        print(folder / "ca.pem")
    elif options.action == "issue":
        _authority(folder).issue(options.role, options.name, options.host, options.output)
        print((options.output or folder) / f"{options.role}-cert.pem")
    else:
        output.rows(inventory(folder), key="certificates", json_wanted=options.json)
    return 0


def inventory(folder: Path) -> list[dict[str, object]]:
    """Each certificate of the folder: whose, for which hosts, and its end (UTC; `days` may be negative)."""
    found: list[dict[str, object]] = []
    for path in sorted(folder.glob("*.pem")):
        if path.name.endswith("-key.pem"):
            continue
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        end = certificate.not_valid_after_utc
        try:
            names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
            hosts = ",".join(str(name.value) for name in names)
        except x509.ExtensionNotFound:
            hosts = ""
        found.append(
            {
                "file": path.name,
                "hosts": hosts,
                "ends": end.isoformat(timespec="seconds"),
                "days": (end - datetime.now(UTC)).days,
            }
        )
    return found


def _authority(folder: Path) -> pki.Authority:
    try:
        return pki.Authority(folder)
    except FileNotFoundError as error:
        raise CliError(f"{folder} holds no certificate authority (eucapy pki init)") from error
