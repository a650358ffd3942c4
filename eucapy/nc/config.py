"""The node controller's options."""

from __future__ import annotations

from typing import Annotated

import msgspec

from eucapy.config import doc


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`etc/nc.toml`."""

    node: Annotated[str, doc("This node's name, as it is registered with the cloud controller.")] = "node1"
    data: Annotated[str, doc("Folder for the ledger, the guests' local disks and the image cache.")] = (
        "/var/lib/eucapy/nc"
    )
    pki: Annotated[str, doc("Folder with ca.pem, nc-cert.pem and nc-key.pem; empty: plain HTTP, for tests only.")] = (
        "/var/lib/eucapy/pki"
    )
    host: Annotated[str, doc("Address that the cluster controller reaches this node at.")] = "127.0.0.1"
    port: Annotated[int, doc("TCP port for the cluster controller.", ge=0, le=65535)] = 8777
    walrus_internal_url: Annotated[str, doc("The object store's port for components.")] = "https://127.0.0.1:8781"
    hypervisor: Annotated[str, doc("Hypervisor driver: libvirt or fake.")] = "libvirt"
    libvirt_uri: Annotated[str, doc("Connection of the libvirt driver.")] = "qemu:///system"
    qemu_group: Annotated[
        str, doc("Group of guests' QEMU processes, which may pass through the folders of disks; empty: root alone.")
    ] = ""
    proxy_user: Annotated[
        str, doc("User that takes up volumes of other hosts, unprivileged, in `qemu_group`; empty: root.")
    ] = ""
    run: Annotated[
        str,
        doc(
            "Folder for the sockets of volumes from other hosts, at most 72 bytes long; empty: `run` in the data folder."
        ),
    ] = ""
    acceleration: Annotated[str, doc("kvm, emulation, or auto: KVM where the processor really offers it.")] = "auto"
    namespace_prefix: Annotated[str, doc("Prefix of the VPCs' network namespaces; the same as in eucanetd.toml.")] = (
        "euca-"
    )
    metadata_port: Annotated[
        int, doc("Port of the metadata service inside the VPCs' namespaces; 0 turns the service off.", ge=0, le=65535)
    ] = 80
    mtu: Annotated[int, doc("MTU told to guests; 0: the interface's default.", ge=0)] = 0
    image_cache_gib: Annotated[
        int, doc("Cached images past this size are removed, the longest unused first, GiB.", ge=1)
    ] = 40
    stop_grace_s: Annotated[
        float, doc("Seconds that a guest has to shut itself down before its power is cut.", ge=0)
    ] = 120.0
    terminate_grace_s: Annotated[float, doc("The same, when the instance is terminated.", ge=0)] = 15.0
    reserve_memory_mib: Annotated[
        int,
        doc(
            "Memory kept for the host itself, MiB; the node offers the rest, and placement gives out all of that.", ge=0
        ),
    ] = 512
    log_level: Annotated[str, doc("debug, info, warning or error.")] = "info"
