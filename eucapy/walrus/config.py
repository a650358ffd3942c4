"""The object store's options."""

from __future__ import annotations

from typing import Annotated

import msgspec

from eucapy.config import doc


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`etc/walrus.toml`."""

    data: Annotated[str, doc("Folder for blobs and, by default, the metadata.")] = "/var/lib/eucapy/walrus"
    region: Annotated[str, doc("The region that buckets without a LocationConstraint are in.")] = "us-east-1"
    host: Annotated[str, doc("Address that S3 is served at.")] = "127.0.0.1"
    port: Annotated[int, doc("TCP port of S3; 0: the kernel's choice.", ge=0, le=65535)] = 8780
    proxies: Annotated[
        list[str],
        doc(
            "Addresses of the cloud controllers that pass requests on; they are believed whom a request is from "
            "(aws:SourceIp), nobody else is."
        ),
    ] = msgspec.field(default_factory=list)
    domains: Annotated[list[str], doc("Host names under which buckets are hosts of their own: bucket.s3.<domain>.")] = (
        msgspec.field(default_factory=lambda: ["localhost"])
    )
    website_domains: Annotated[
        list[str],
        doc(
            "More names under which buckets are websites, bucket.<name>, beside s3-website.<domain>, "
            "s3-website-<region>.<domain> and s3-website.<region>.<domain> of every domain."
        ),
    ] = []
    pki: Annotated[
        str, doc("Folder with ca.pem, walrus-cert.pem and walrus-key.pem; empty: plain HTTP, for tests only.")
    ] = "/var/lib/eucapy/pki"
    internal_host: Annotated[str, doc("Address of the port for the cloud's components.")] = "127.0.0.1"
    internal_port: Annotated[int, doc("TCP port for the cloud's components (mutual TLS).", ge=0, le=65535)] = 8781
    clc_url: Annotated[
        str, doc("The cloud controller's internal port, which knows the access keys; empty: only `keys` are known.")
    ] = "https://127.0.0.1:8774"
    keys_outage_s: Annotated[
        float,
        doc("Seconds for which known access keys go on working while the cloud controller is not heard.", ge=0),
    ] = 600.0
    keys: Annotated[
        list[str],
        doc("Access keys known here, each ACCESSKEY,SECRET or ACCESSKEY,SECRET,ACCOUNT; used without clc_url."),
    ] = []
    database: Annotated[
        str,
        doc(
            "URL of the metadata: postgresql+asyncpg://user@host/name, a database of its own; empty: SQLite in the data folder."
        ),
    ] = ""
    blob_driver: Annotated[str, doc("Where the bytes are kept: files.")] = "files"
    reserve_mib: Annotated[
        int,
        doc(
            "Objects are refused while less than this is free, MiB (1/20 of a small disk), so that others can be deleted."
        ),
    ] = 256
    inline_kib: Annotated[int, doc("Objects up to this size are kept beside their metadata, KiB.", ge=0, le=1024)] = 16
    old_defaults: Annotated[
        bool,
        doc("New buckets as AWS made them until April 2023: with ACLs, and without a public access block."),
    ] = False
    keyring: Annotated[
        str, doc("File of the master keys of encrypted objects, made when there is none; empty: in the data folder.")
    ] = ""
    encrypt_by_default: Annotated[
        bool,
        doc("New buckets encrypt (SSE-S3), as AWS's have since January 2023; else only what asks for it is encrypted."),
    ] = False
    sweep_s: Annotated[float, doc("Pause between searches for blobs that a crash left behind, seconds.", gt=0)] = 3600.0
    sweep_grace_s: Annotated[float, doc("A blob without metadata is left alone for this long, seconds.", ge=0)] = 3600.0
    scrub_s: Annotated[float, doc("Pause between the passes that read all bytes and look for rot, seconds.", gt=0)] = (
        604800.0
    )
    scrub_mib_s: Annotated[float, doc("How fast such a pass reads, MiB a second on the average.", gt=0)] = 8.0
    inventory_s: Annotated[float, doc("Pause between looks for inventory reports that are due, seconds.", gt=0)] = (
        3600.0
    )
    lifecycle_s: Annotated[float, doc("Pause between passes over the buckets with lifecycle rules, seconds.", gt=0)] = (
        3600.0
    )
    lifecycle_day_s: Annotated[
        float,
        doc(
            "How long a day of a lifecycle rule is, seconds. Another than 86400 is for tests: ages then count exactly."
        ),
    ] = 86400.0
    hooks: Annotated[
        list[str],
        doc("Destinations of event notifications, each ARN=URL: events for that ARN are posted to the URL, as JSON."),
    ] = []
    log_delivery_s: Annotated[
        float, doc("Pause between deliveries of access logs to the buckets that are to have them, seconds.", gt=0)
    ] = 300.0
    access_log: Annotated[bool, doc("Write a line to the log for every request.")] = False
    metrics: Annotated[
        str, doc("HOST:PORT at which Prometheus finds GET /metrics, for example 127.0.0.1:8782; empty: nowhere.")
    ] = ""
    log_level: Annotated[str, doc("debug, info, warning or error.")] = "info"
