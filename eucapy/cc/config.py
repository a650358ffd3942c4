"""The cluster controller's options."""

from __future__ import annotations

from typing import Annotated

import msgspec

from eucapy.config import doc


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`etc/cc.toml`."""

    zone: Annotated[str, doc("The availability zone that this controller serves.")] = "us-east-1a"
    data: Annotated[str, doc("Folder for the ledger.")] = "/var/lib/eucapy/cc"
    pki: Annotated[str, doc("Folder with ca.pem, cc-cert.pem and cc-key.pem; empty: plain HTTP, for tests only.")] = (
        "/var/lib/eucapy/pki"
    )
    host: Annotated[str, doc("Address that the cloud controller reaches this controller at.")] = "127.0.0.1"
    port: Annotated[int, doc("TCP port for the cloud controller.", ge=0, le=65535)] = 8775
    poll_s: Annotated[float, doc("Length of a long poll of a node, seconds.", gt=0)] = 20.0
    lost_after_s: Annotated[
        float, doc("A node that has not answered for this long is reported unreachable, seconds.", gt=0)
    ] = 5.0
    log_level: Annotated[str, doc("debug, info, warning or error.")] = "info"
