"""What tests of imports begin with: a bucket, disks in it, and the service role that reads them."""

from __future__ import annotations

import io
import json
import tarfile
from typing import Any

from tests.drivers.imaging.foreign import descriptor, vmdk
from tests.harness.cloud import Cloud

BUCKET = "importkvm"
GIB = 1 << 30
VMDK = vmdk(descriptor("streamOptimized"), capacity=3 * GIB // 512)
"""A disk of 3 GiB."""


def trust(service: str = "vmie.amazonaws.com", external_id: str = "vmimport") -> str:
    """The trust policy of the User Guide."""
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": external_id}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def access(bucket: str = BUCKET, *actions: str) -> str:
    """The role's policy of the User Guide."""
    resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    wanted = list(actions or ("s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket"))
    ec2 = ["ec2:ModifySnapshotAttribute", "ec2:CopySnapshot", "ec2:RegisterImage", "ec2:Describe*"]
    statements: list[dict[str, Any]] = [
        {"Effect": "Allow", "Action": wanted, "Resource": resources},
        {"Effect": "Allow", "Action": ec2, "Resource": "*"},
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def export_access(bucket: str = BUCKET) -> str:
    """The role's policy for exports, of the same guide."""
    return access(bucket, "s3:GetBucketLocation", "s3:GetObject", "s3:ListBucket", "s3:PutObject", "s3:GetBucketAcl")


def role(cloud: Cloud, name: str = "vmimport", policy: str = "", account: str = "eucalyptus", **trusted: str) -> None:
    """The service role, with what the User Guide says unless other policies are given."""
    iam = cloud.client("iam", account)
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=trust(**trusted))
    iam.put_role_policy(RoleName=name, PolicyName="vmimport", PolicyDocument=policy or access())


def upload(cloud: Cloud, key: str, body: bytes, account: str = "eucalyptus") -> dict[str, str]:
    """An object in the bucket, as a UserBucket."""
    s3 = cloud.client("s3", account)
    if BUCKET not in [one["Name"] for one in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    return {"S3Bucket": BUCKET, "S3Key": key}


def strangers(cloud: Cloud) -> list[str]:
    """What the storage holds that nobody wants."""
    from eucapy.wire.contract import Cursor

    found: list[str] = []
    for zone in cloud.dev.zones.values():
        found += cloud.run(zone.storage.get_status(Cursor(), 0.0)).strangers
    return found


def description(*files: str, format: str = "vmdk", order: tuple[int, ...] = ()) -> bytes:
    """An OVF file of one machine with these disks; `order`: their places at the controller."""
    places = order or tuple(range(len(files)))
    parts = [
        '<?xml version="1.0"?><ovf:Envelope xmlns:ovf="http://schemas.dmtf.org/ovf/envelope/1"><ovf:References>',
        *(f'<ovf:File ovf:id="f{n}" ovf:href="{name}"/>' for n, name in enumerate(files)),
        "</ovf:References><ovf:DiskSection>",
        *(
            f'<ovf:Disk ovf:diskId="d{n}" ovf:fileRef="f{n}" ovf:capacity="1" '
            f'ovf:format="http://www.vmware.com/interfaces/specifications/{format}.html#streamOptimized"/>'
            for n in range(len(files))
        ),
        '</ovf:DiskSection><ovf:VirtualSystem ovf:id="vm"><ovf:VirtualHardwareSection>',
        *(
            f"<Item><AddressOnParent>{place}</AddressOnParent><HostResource>ovf:/disk/d{n}</HostResource>"
            f"<Parent>3</Parent><ResourceType>17</ResourceType></Item>"
            for n, place in enumerate(places)
        ),
        "</ovf:VirtualHardwareSection></ovf:VirtualSystem></ovf:Envelope>",
    ]
    return "".join(parts).encode()


def archive(members: dict[str, bytes], form: int = tarfile.USTAR_FORMAT) -> bytes:
    """A tar of these files, in their order."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()
