"""The cloud controller's options."""

from __future__ import annotations

from typing import Annotated

import msgspec

from eucapy.config import doc


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`etc/clc.toml`."""

    data: Annotated[str, doc("Folder for the database and the key that encrypts secrets in it.")] = (
        "/var/lib/eucapy/clc"
    )
    pki: Annotated[str, doc("Folder with ca.pem, clc-cert.pem and clc-key.pem.")] = "/var/lib/eucapy/pki"
    database: Annotated[
        str,
        doc(
            "Where the state is: empty for SQLite in the data folder, or postgresql+asyncpg://user:password@host/name."
        ),
    ] = ""
    region: Annotated[str, doc("The name of this region, as clients give it.")] = "us-east-1"
    zones: Annotated[list[str], doc("Availability zones; each has one cluster and one storage controller.")] = (
        msgspec.field(default_factory=lambda: ["us-east-1a"])
    )
    host: Annotated[str, doc("Address that the AWS endpoint listens on.")] = "127.0.0.1"
    port: Annotated[int, doc("TCP port of the AWS endpoint.", ge=0, le=65535)] = 8773
    endpoint: Annotated[str, doc("The endpoint's URL as clients reach it; empty: http://host:port.")] = ""
    tls_cert: Annotated[str, doc("PEM certificate chain for HTTPS on the AWS endpoint; empty: plain HTTP.")] = ""
    tls_key: Annotated[str, doc("PEM private key that belongs to tls_cert.")] = ""
    internal_host: Annotated[str, doc("Address of the port for components and the operator (mutual TLS).")] = (
        "127.0.0.1"
    )
    internal_port: Annotated[int, doc("TCP port for components and the operator.", ge=0, le=65535)] = 8774
    walrus_url: Annotated[str, doc("The object store's S3 port; S3 requests to the endpoint are passed on to it.")] = (
        "http://127.0.0.1:8780"
    )
    walrus_internal_url: Annotated[str, doc("The object store's port for components (mutual TLS).")] = (
        "https://127.0.0.1:8781"
    )
    public_ranges: Annotated[list[str], doc("Public addresses to give out: `first-last` or CIDR, each.")] = (
        msgspec.field(default_factory=list)
    )
    ipv6_pool: Annotated[
        str, doc("IPv6 addresses of this region, as one CIDR: every VPC that asks for IPv6 gets a /56 of them.")
    ] = "fd65:7563:6100::/40"
    instance_types: Annotated[
        str, doc("TOML catalogue of instance types; empty: the one that comes with the package.")
    ] = ""
    log_level: Annotated[str, doc("debug, info, warning or error.")] = "info"
    cpu_overcommit: Annotated[float, doc("Virtual processors given out for each real one of a node.", gt=0)] = 4.0
    shared_storage: Annotated[
        bool,
        doc(
            "Whether the storage controllers of all zones work on one and the same pool: a snapshot then serves every zone, "
            "as in AWS, and not only its own."
        ),
    ] = False
    vcpus_per_account: Annotated[
        int, doc("Virtual processors that an account's running instances may have together (VcpuLimitExceeded).", ge=1)
    ] = 100_000
    node_lost_after_s: Annotated[float, doc("Seconds without an answer after which a node counts as lost.", gt=0)] = (
        60.0
    )
    keep_terminated_s: Annotated[float, doc("Seconds for which a terminated instance stays visible.", ge=0)] = 3600.0
