"""What the metadata service answers: an instance's spec as EC2's tree. Pure.

A tree is nested dicts; a leaf is text or bytes. `lookup` finds a path in it; a folder answers its listing, one name a
line, folders with a slash at the end, as EC2 does. Source: EC2 user guide, "Instance metadata categories".
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

from eucapy.wire.node import InstanceSpec, MetadataSpec, NicSpec, RoleSecrets

VERSIONS = (
    "1.0",
    "2007-01-19",
    "2007-03-01",
    "2007-08-29",
    "2007-10-10",
    "2007-12-15",
    "2008-02-01",
    "2008-09-01",
    "2009-04-04",
    "2011-01-01",
    "2011-05-01",
    "2012-01-12",
    "2014-02-25",
    "2014-11-05",
    "2015-10-20",
    "2016-04-19",
    "2016-06-30",
    "2016-09-02",
    "2018-03-28",
    "2018-08-17",
    "2018-09-24",
    "2019-10-01",
    "2020-10-27",
    "2021-01-03",
    "2021-03-23",
    "2021-07-15",
    "2022-07-09",
    "2022-09-24",
    "latest",
)

Tree = dict[str, Any]


def tree(spec: InstanceSpec, signature: str = "", pkcs7: str = "", secrets: RoleSecrets | None = None) -> Tree:
    """Everything below `/latest/`. `signature` and `pkcs7` sign the identity document, when the cloud gave the node them;
    `secrets` are the credentials of the instance's role, opened."""
    root: Tree = {"meta-data": _meta_data(spec, secrets), "dynamic": _dynamic(spec, signature, pkcs7)}
    if spec.metadata.user_data is not None:
        root["user-data"] = base64.b64decode(spec.metadata.user_data)
    return root


def lookup(root: Tree, path: str) -> bytes | None:
    """The answer for a path below `/latest/` (`meta-data/ami-id`), or None: 404."""
    here: Any = root
    for name in [part for part in path.split("/") if part]:
        if not isinstance(here, dict) or name == "__name__":
            return None
        here = here.get(name)
        if here is None:
            return None
    if isinstance(here, dict):
        return _listing(here, path.strip("/")).encode()
    return here if isinstance(here, bytes) else str(here).encode()


def _listing(folder: Tree, path: str) -> str:
    if path == "meta-data/public-keys":
        # The listing names the key pairs; the folders are their indexes.
        return "\n".join(f"{index}={entry['__name__']}" for index, entry in folder.items())
    return "\n".join(
        f"{name}/" if isinstance(value, dict) else name for name, value in folder.items() if name != "__name__"
    )


def _meta_data(spec: InstanceSpec, secrets: RoleSecrets | None) -> Tree:
    metadata = spec.metadata
    nics = [nic for nic in spec.nics if not nic.gone]
    first = nics[0] if nics else None
    out: Tree = {
        "ami-id": metadata.image_id,
        "ami-launch-index": str(metadata.launch_index),
        "ami-manifest-path": "(unknown)",
        "block-device-mapping": dict(metadata.block_devices),
        "events": {"maintenance": {"history": "[]", "scheduled": "[]"}},
        "hostname": metadata.hostname,
        **({"iam": _iam(metadata, secrets)} if metadata.instance_profile_arn else {}),
        "instance-action": "none",
        "instance-id": spec.instance_id,
        "instance-life-cycle": "on-demand",
        "instance-type": metadata.instance_type,
        "local-hostname": metadata.hostname,
    }
    if first is not None:
        if first.ipv6s:
            out["ipv6"] = first.ipv6s[0]
        out["local-ipv4"] = first.private_ips[0]
        out["mac"] = first.mac
        out["network"] = {"interfaces": {"macs": {nic.mac: _nic(nic) for nic in nics}}}
    out["placement"] = {
        "availability-zone": metadata.zone,
        **({"availability-zone-id": metadata.zone_id} if metadata.zone_id else {}),
        "region": metadata.region,
    }
    out["profile"] = "default-hvm"
    if first is not None and first.public_ip:
        out["public-hostname"] = first.public_dns
        out["public-ipv4"] = first.public_ip
    if metadata.public_keys:
        out["public-keys"] = {
            str(index): {"__name__": name, "openssh-key": key.strip() + "\n"}
            for index, (name, key) in enumerate(metadata.public_keys)
        }
    out["reservation-id"] = metadata.reservation_id
    if first is not None:
        out["security-groups"] = "\n".join(first.group_names)
    out["services"] = {"domain": "amazonaws.com", "partition": "aws"}
    if metadata.options.tags and metadata.tags:
        out["tags"] = {"instance": dict(metadata.tags)}
    return out


def _iam(metadata: MetadataSpec, secrets: RoleSecrets | None) -> Tree:
    """The instance profile, and the credentials of its role. Source: EC2 user guide, "Retrieve security credentials from
    instance metadata"."""
    held = metadata.credentials
    out: Tree = {
        "info": _document(
            Code="Success",
            LastUpdated=_iso(held.issued_at if held is not None else metadata.instance_profile_at),
            InstanceProfileArn=metadata.instance_profile_arn,
            InstanceProfileId=metadata.instance_profile_id,
        )
    }
    if held is not None and secrets is not None:
        out["security-credentials"] = {
            held.role: _document(
                Code="Success",
                LastUpdated=_iso(held.issued_at),
                Type="AWS-HMAC",
                AccessKeyId=secrets.access_key_id,
                SecretAccessKey=secrets.secret,
                Token=secrets.token,
                Expiration=_iso(held.expires_at),
            )
        }
    return out


def _nic(nic: NicSpec) -> Tree:
    out: Tree = {
        "device-number": str(nic.device_index),
        "interface-id": nic.interface_id,
        "local-hostname": nic.private_dns,
        "local-ipv4s": "\n".join(nic.private_ips),
        "mac": nic.mac,
        "owner-id": nic.owner_id,
        "security-group-ids": "\n".join(nic.group_ids),
        "security-groups": "\n".join(nic.group_names),
        "subnet-id": nic.subnet_id,
        "subnet-ipv4-cidr-block": nic.subnet_cidr,
        "vpc-id": nic.vpc_id,
        "vpc-ipv4-cidr-block": nic.vpc_cidrs[0],
        "vpc-ipv4-cidr-blocks": "\n".join(nic.vpc_cidrs),
    }
    if nic.ipv6s:
        out["ipv6s"] = "\n".join(nic.ipv6s)
    if nic.subnet_cidr6:
        out["subnet-ipv6-cidr-blocks"] = nic.subnet_cidr6
    if nic.vpc_cidrs6:
        out["vpc-ipv6-cidr-blocks"] = "\n".join(nic.vpc_cidrs6)
    if nic.public_ip:
        out["ipv4-associations"] = {nic.public_ip: nic.private_ips[0]}
        out["public-hostname"] = nic.public_dns
        out["public-ipv4s"] = nic.public_ip
    return out


def identity_document(spec: InstanceSpec) -> str:
    """The instance identity document: fixed for the instance's life, keys sorted as EC2 sorts them."""
    metadata = spec.metadata
    return _document(
        accountId=metadata.account_id,
        architecture=metadata.architecture,
        availabilityZone=metadata.zone,
        billingProducts=None,
        devpayProductCodes=None,
        marketplaceProductCodes=None,
        imageId=metadata.image_id,
        instanceId=spec.instance_id,
        instanceType=metadata.instance_type,
        kernelId=None,
        pendingTime=_iso(metadata.launched_at),
        privateIp=spec.nics[0].private_ips[0] if spec.nics else None,
        ramdiskId=None,
        region=metadata.region,
        version="2017-09-30",
    )


def _document(**members: str | None) -> str:
    """JSON with the spaces that EC2 has in it: shell scripts cut it apart with sed."""
    return json.dumps(members, indent=2, separators=(",", " : "))


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _dynamic(spec: InstanceSpec, signature: str, pkcs7: str) -> Tree:
    identity: Tree = {"document": identity_document(spec)}
    if pkcs7:
        identity["pkcs7"] = pkcs7
    if signature:
        identity["signature"] = signature
    return {"instance-identity": identity}
