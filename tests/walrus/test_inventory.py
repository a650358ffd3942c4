"""Inventory through boto3: the report lists what is there, says so truly, and comes when it is due."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import json
from typing import Any

import pytest

from eucapy.walrus.workers import inventory
from tests.walrus.conftest import Refused
from tests.walrus.server import Store

DAY_S = 86_400
_numbers = itertools.count(1)


def configuration(target: str, **said: Any) -> dict[str, Any]:
    place = {"Bucket": f"arn:aws:s3:::{target}", "Format": "CSV", "Prefix": "reports"}
    return {
        "Destination": {"S3BucketDestination": place}, "IsEnabled": True, "Id": "all", "IncludedObjectVersions": "Current",
        "Schedule": {"Frequency": "Daily"}, **said,
    }  # fmt: skip


def put(s3: Any, bucket: str, given: dict[str, Any]) -> None:
    s3.put_bucket_inventory_configuration(Bucket=bucket, Id=given["Id"], InventoryConfiguration=given)


def manifests(s3: Any, target: str) -> list[dict[str, Any]]:
    """Every manifest, after its checksum was compared."""
    found = []
    for entry in s3.list_objects_v2(Bucket=target).get("Contents", []):
        if entry["Key"].endswith("manifest.json"):
            text = s3.get_object(Bucket=target, Key=entry["Key"])["Body"].read()
            checksum = s3.get_object(Bucket=target, Key=entry["Key"].replace(".json", ".checksum"))["Body"].read()
            assert hashlib.md5(text).hexdigest().encode() == checksum
            found.append(json.loads(text))
    return found


def lines(s3: Any, target: str, manifest: dict[str, Any]) -> list[dict[str, str]]:
    (file,) = manifest["files"]
    packed = s3.get_object(Bucket=target, Key=file["key"])["Body"].read()
    assert (len(packed), hashlib.md5(packed).hexdigest()) == (file["size"], file["MD5checksum"])
    rows = csv.reader(io.StringIO(gzip.decompress(packed).decode()))
    return [dict(zip(manifest["fileSchema"].split(", "), row, strict=True)) for row in rows]


@pytest.fixture
def pair(still: Store) -> tuple[str, str]:
    source, target = f"listed-{next(_numbers)}", f"reports-{next(_numbers)}"
    for name in (source, target):
        still.s3.create_bucket(Bucket=name)
    return source, target


def test_a_report_lists_what_is_there_and_comes_once_a_day(
    still: Store, pair: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inventory, "PAGE_ROWS", 3)
    s3, (source, target) = still.s3, pair
    for n in range(7):
        s3.put_object(Bucket=source, Key=f"k {n}é", Body=b"x" * n, ServerSideEncryption="AES256")
    s3.put_object(Bucket=source, Key="other", Body=b"")
    fields = ["Size", "ETag", "EncryptionStatus", "StorageClass"]
    put(s3, source, configuration(target, OptionalFields=fields, Filter={"Prefix": "k"}))
    assert still.work("inventory") + len(manifests(s3, target)) >= 1
    assert still.work("inventory") == 0  # not twice a day
    (manifest,) = manifests(s3, target)
    assert (manifest["sourceBucket"], manifest["destinationBucket"]) == (source, f"arn:aws:s3:::{target}")
    found = lines(s3, target, manifest)
    assert [(row["Key"], row["Size"]) for row in found] == [(f"k%20{n}%C3%A9", str(n)) for n in range(7)]
    assert {row["EncryptionStatus"] for row in found} == {"SSE-S3"}
    assert found[1]["ETag"] == hashlib.md5(b"x").hexdigest()
    still.advance(DAY_S)
    assert still.work("inventory") == 1
    assert len(manifests(s3, target)) == 2


def test_with_all_versions_each_has_its_line(still: Store, pair: tuple[str, str]) -> None:
    s3, (source, target) = still.s3, pair
    s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Enabled"})
    versions = [s3.put_object(Bucket=source, Key="k", Body=b"x")["VersionId"] for _ in range(2)]
    marker = s3.delete_object(Bucket=source, Key="k")["VersionId"]
    put(s3, source, configuration(target, IncludedObjectVersions="All"))
    still.work("inventory")
    (manifest,) = manifests(s3, target)
    seen = [(row["VersionId"], row["IsLatest"], row["IsDeleteMarker"]) for row in lines(s3, target, manifest)]
    assert seen == [(marker, "true", "true"), (versions[1], "false", "false"), (versions[0], "false", "false")]


def test_what_is_switched_off_or_cannot_be_delivered_is_not_made(still: Store, pair: tuple[str, str]) -> None:
    s3, (source, target) = still.s3, pair
    put(s3, source, configuration(target, IsEnabled=False))
    assert still.work("inventory") == 0
    put(s3, source, configuration("there-is-no-such-bucket"))
    assert still.work("inventory") == 0
    still.other.create_bucket(Bucket="somebody-elses")
    put(s3, source, configuration("somebody-elses"))
    assert still.work("inventory") == 0
    assert "Contents" not in still.other.list_objects_v2(Bucket="somebody-elses")
    put(s3, source, configuration(target))
    assert still.work("inventory") == 1  # at the next pass after it was mended


def test_configurations_are_kept_by_id(s3: Any, bucket: str, refused: Refused) -> None:
    for name in ("b", "a"):
        put(s3, bucket, configuration(bucket, Id=name))
    listed = s3.list_bucket_inventory_configurations(Bucket=bucket)
    assert [each["Id"] for each in listed["InventoryConfigurationList"]] == ["a", "b"]
    found = s3.get_bucket_inventory_configuration(Bucket=bucket, Id="a")["InventoryConfiguration"]
    assert found == configuration(bucket, Id="a")
    s3.delete_bucket_inventory_configuration(Bucket=bucket, Id="a")
    for call in (s3.get_bucket_inventory_configuration, s3.delete_bucket_inventory_configuration):
        with refused("NoSuchConfiguration", 404):
            call(Bucket=bucket, Id="a")


@pytest.mark.parametrize(
    ("wrong", "code", "status"),
    [
        ({"IncludedObjectVersions": "Some"}, "MalformedXML", 400),
        ({"Schedule": {"Frequency": "Hourly"}}, "MalformedXML", 400),
        ({"Destination": {"S3BucketDestination": {"Bucket": "b", "Format": "CSV"}}}, "InvalidS3DestinationBucket", 400),
        (
            {"Destination": {"S3BucketDestination": {"Bucket": "arn:aws:s3:::b", "Format": "ORC"}}},
            "NotImplemented",
            501,
        ),
        ({"OptionalFields": ["ObjectAccessControlList"]}, "NotImplemented", 501),
    ],
)
def test_a_configuration_that_means_nothing_is_refused(
    s3: Any, bucket: str, refused: Refused, wrong: dict[str, Any], code: str, status: int
) -> None:
    with refused(code, status):
        put(s3, bucket, configuration(bucket, **wrong))
