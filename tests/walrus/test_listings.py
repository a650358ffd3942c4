"""Listings through boto3: pages, prefixes, delimiters, encodings, markers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.walrus.conftest import Refused
from tests.walrus.server import Store
from tests.walrus.signing import Signer, path_of

KEYS = ["a/1", "a/2", "a/b/3", "b", "c d", "é/x", "z%/y", "z"]


@pytest.fixture
def filled(s3: Any, bucket: str) -> str:
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    return bucket


def all_of(pages: Any) -> tuple[list[str], list[str]]:
    keys: list[str] = []
    prefixes: list[str] = []
    for page in pages:
        keys += [found["Key"] for found in page.get("Contents", [])]
        prefixes += [found["Prefix"] for found in page.get("CommonPrefixes", [])]
    return keys, prefixes


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2", "list_object_versions"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_pages_make_the_whole(s3: Any, filled: str, operation: str, size: int) -> None:
    pages = s3.get_paginator(operation).paginate(Bucket=filled, PaginationConfig={"PageSize": size})
    member = "Versions" if operation == "list_object_versions" else "Contents"
    assert [found["Key"] for page in pages for found in page.get(member, [])] == sorted(KEYS, key=str.encode)


@pytest.mark.parametrize("operation", ["list_objects", "list_objects_v2"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("prefix", "delimiter", "keys", "prefixes"),
    [
        ("", "/", ["b", "c d", "z"], ["a/", "z%/", "é/"]),
        ("a/", "/", ["a/1", "a/2"], ["a/b/"]),
        ("a", "/", [], ["a/"]),
        ("a/b", "", ["a/b/3"], []),
        ("z", "%/", ["z"], ["z%/"]),
        ("nothing", "/", [], []),
        ("", " ", ["a/1", "a/2", "a/b/3", "b", "z", "z%/y", "é/x"], ["c "]),
    ],
)
def test_prefix_and_delimiter(
    s3: Any, filled: str, operation: str, size: int, prefix: str, delimiter: str, keys: list[str], prefixes: list[str]
) -> None:
    pages = s3.get_paginator(operation).paginate(
        Bucket=filled, Prefix=prefix, Delimiter=delimiter, PaginationConfig={"PageSize": size}
    )
    assert all_of(pages) == (keys, prefixes)


def test_the_answer_repeats_what_was_asked(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled, Prefix="a/", Delimiter="/", MaxKeys=2, StartAfter="a/0", FetchOwner=True)
    assert (page["Name"], page["Prefix"], page["Delimiter"], page["StartAfter"]) == (filled, "a/", "/", "a/0")
    assert (page["MaxKeys"], page["KeyCount"], page["IsTruncated"]) == (2, 2, True)
    assert page["Contents"][0]["Owner"]["ID"]
    entry = s3.list_objects_v2(Bucket=filled)["Contents"][0]
    assert "Owner" not in entry
    assert (entry["Size"], entry["StorageClass"]) == (3, "STANDARD")
    first = s3.list_objects(Bucket=filled)["Contents"][0]
    assert first["Owner"]["ID"]


def test_start_after_and_marker_name_any_place(s3: Any, filled: str) -> None:
    after = s3.list_objects_v2(Bucket=filled, StartAfter="a/2x")
    assert next(found["Key"] for found in after["Contents"]) == "a/b/3"
    behind = s3.list_objects(Bucket=filled, Marker="b")
    assert next(found["Key"] for found in behind["Contents"]) == "c d"


def test_zero_keys_are_no_page(s3: Any, filled: str) -> None:
    page = s3.list_objects_v2(Bucket=filled, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"], page["MaxKeys"]) == (0, False, 0)


def test_a_page_never_holds_more_than_a_thousand(store: Store, s3: Any, bucket: str) -> None:
    upload_all(store, bucket, 1003)
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)
    assert (len(page["Contents"]), page["MaxKeys"], page["IsTruncated"]) == (1000, 1000, True)
    rest = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
    assert (len(rest["Contents"]), rest["IsTruncated"]) == (3, False)


def upload_all(store: Store, bucket: str, count: int) -> None:
    """Many objects, written straight into the metadata."""
    from eucapy.database import Tx
    from eucapy.walrus.store import buckets, content, objects
    from eucapy.walrus.store.objects import New

    async def work(tx: Tx) -> None:
        found = await buckets.by_name(tx, bucket)
        assert found is not None
        for n in range(count):
            await objects.put(
                tx, found, New(b"%06d" % n, 1, 0, "d41d8cd98f00b204e9800998ecf8427e", "{}", content.EMPTY)
            )

    assert store.app.walrus is not None
    store.run(store.app.walrus.db.write(work))


@pytest.mark.parametrize(
    ("query", "argument"),
    [
        ("max-keys=-1", "max-keys"),
        ("encoding-type=xml", "encoding-type"),
        ("continuation-token=%21%21&list-type=2", "continuation-token"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(store: Store, bucket: str, query: str, argument: str) -> None:
    status, answer, _ = Signer(store.port).request("GET", path_of(bucket), query)
    assert (status, b"<Code>InvalidArgument</Code>" in answer) == (400, True), answer
    assert argument.encode() in answer


def test_names_are_encoded_when_asked(store: Store, filled: str) -> None:
    _, plain, _ = Signer(store.port).request("GET", path_of(filled), "prefix=c")
    _, encoded, _ = Signer(store.port).request("GET", path_of(filled), "encoding-type=url&prefix=c")
    assert b"<Key>c d</Key>" in plain
    assert b"<Key>c%20d</Key>" in encoded
    assert b"<EncodingType>url</EncodingType>" in encoded


def test_versions_page_inside_a_key(s3: Any, bucket: str, refused: Refused) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    expected: list[tuple[str, str]] = []
    for key in ("a", "b"):
        made = [s3.put_object(Bucket=bucket, Key=key, Body=b"%d" % n)["VersionId"] for n in range(3)]
        expected += [(key, version) for version in reversed(made)]
    marker = s3.delete_object(Bucket=bucket, Key="a")["VersionId"]
    for size in (1, 2, 5, 100):
        seen: list[tuple[str, str]] = []
        latest: list[str] = []
        markers: list[str] = []
        pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": size})
        for page in pages:
            seen += [(found["Key"], found["VersionId"]) for found in page.get("Versions", [])]
            latest += [found["VersionId"] for found in page.get("Versions", []) if found["IsLatest"]]
            markers += [found["VersionId"] for found in page.get("DeleteMarkers", []) if found["IsLatest"]]
        assert seen == expected, size
        assert (latest, markers) == ([expected[3][1]], [marker]), size
    with refused("InvalidArgument", 400):
        s3.list_object_versions(Bucket=bucket, VersionIdMarker=marker)
