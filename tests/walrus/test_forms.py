"""Browser uploads: boto3's presigned forms, with every field and every condition, and what an unsigned form may."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from typing import Any

import pytest

from tests.walrus.server import KEY, OTHER_KEY, OTHER_SECRET, Store, client

B = "----frontier"
TAGS = "<Tagging><TagSet><Tag><Key>a</Key><Value>1 + 2</Value></Tag></TagSet></Tagging>"


class Poster:
    """Sends forms, and keeps the last answer."""

    def __init__(self, store: Store) -> None:
        self.port = store.port
        self.status, self.headers, self.body = 0, dict[str, str](), ""

    def send(
        self,
        bucket: str,
        fields: Mapping[str, str],
        file: bytes | None = b"bytes",
        filename: str | None = "f.txt",
        content_type: str = f"multipart/form-data; boundary={B}",
    ) -> int:
        body = b""
        for name, value in fields.items():
            body += f'--{B}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        if file is not None:
            named = "" if filename is None else f'; filename="{filename}"'
            body += f'--{B}\r\nContent-Disposition: form-data; name="file"{named}\r\n\r\n'.encode() + file + b"\r\n"
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", f"/{bucket}", body + f"--{B}--\r\n".encode(), {"Content-Type": content_type})
        answer = connection.getresponse()
        self.status, self.body = answer.status, answer.read().decode()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        connection.close()
        return self.status

    def element(self, name: str) -> str | None:
        found = re.search(f"<{name}>(.*?)</{name}>", self.body)
        return found.group(1) if found else None


@pytest.fixture
def post(store: Store) -> Poster:
    return Poster(store)


def presigned(s3: Any, bucket: str, key: str, fields: Mapping[str, str] = {}, *conditions: Any) -> dict[str, str]:
    """The fields of a form that allows exactly `fields`, and whatever else the conditions allow."""
    given = [{name: value} for name, value in fields.items()]
    form: dict[str, str] = s3.generate_presigned_post(bucket, key, dict(fields), [*given, *conditions])["fields"]
    return form


@pytest.mark.parametrize("version", ["s3v4", "s3"])
@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_signed_form_stores_the_file(store: Store, bucket: str, post: Poster, version: str, size: int) -> None:
    signer = client(store.port, signature_version=version)
    said = {"Content-Type": "text/x-mine", "x-amz-meta-color": "blå", "Cache-Control": "no-store", "tagging": TAGS}
    file = bytes(range(256)) * (size // 256) + b"\r\n--"[: size % 256]
    assert post.send(bucket, presigned(signer, bucket, "k/${filename}", said), file) == 204
    assert post.body == ""
    found = store.s3.get_object(Bucket=bucket, Key="k/f.txt")
    assert found["Body"].read() == file
    assert (found["ContentType"], found["CacheControl"]) == ("text/x-mine", "no-store")
    assert post.headers["etag"] == found["ETag"]
    assert post.headers["location"] == f"http://127.0.0.1:{store.port}/{bucket}/k%2Ff.txt"
    assert store.s3.get_object_tagging(Bucket=bucket, Key="k/f.txt")["TagSet"] == [{"Key": "a", "Value": "1 + 2"}]
    signer.close()


def test_a_file_without_a_name_leaves_the_key_as_it_is(s3: Any, bucket: str, post: Poster) -> None:
    assert post.send(bucket, presigned(s3, bucket, "as-${filename}"), filename=None) == 204
    assert s3.list_objects_v2(Bucket=bucket)["Contents"][0]["Key"] == "as-${filename}"


def test_the_answer_is_the_one_that_the_form_asks_for(s3: Any, bucket: str, post: Poster, store: Store) -> None:
    for status, then in (("200", 200), ("201", 201), ("404", 204)):
        assert post.send(bucket, presigned(s3, bucket, "ä b", {"success_action_status": status})) == then
    post.send(bucket, presigned(s3, bucket, "ä <b>", {"success_action_status": "201"}))
    assert post.element("Key") == "ä &lt;b&gt;"
    assert post.element("Bucket") == bucket
    assert post.element("ETag") == s3.head_object(Bucket=bucket, Key="ä <b>")["ETag"].replace('"', "&quot;")
    assert post.element("Location") == f"http://127.0.0.1:{store.port}/{bucket}/%C3%A4%20%3Cb%3E"
    for target, then_to in (
        ("http://after.example/x", f"http://after.example/x?bucket={bucket}&key=a%2Fb&etag=%22"),
        ("http://after.example/?q=1", f"http://after.example/?q=1&bucket={bucket}&key=a%2Fb&etag=%22"),
    ):
        assert post.send(bucket, presigned(s3, bucket, "a/b", {"success_action_redirect": target})) == 303
        assert post.headers["location"].startswith(then_to)
    assert post.send(bucket, presigned(s3, bucket, "a/b", {"success_action_redirect": "no url"})) == 204


@pytest.mark.parametrize(
    ("fields", "conditions", "size", "code", "text"),
    [
        ({}, [["content-length-range", 10, 20]], 9, "EntityTooSmall", "smaller than"),
        ({}, [["content-length-range", 10, 20]], 21, "EntityTooLarge", "exceeds"),
        ({}, [["content-length-range", 10, 100_000]], 200_000, "EntityTooLarge", "exceeds"),
        ({}, [["content-length-range", 100_001, 100_002]], 100_000, "EntityTooSmall", "smaller than"),
        ({}, [["content-length-range", "x", 20]], 1, "AccessDenied", '["content-length-range", "x", 20]'),
        ({}, [["content-length-range", -1, 20]], 1, "InvalidPolicyDocument", "content-length-range"),
        ({"acl": "private"}, [], 1, "AccessDenied", "Extra input fields: acl"),
        ({"acl": "private"}, [["starts-with", "$acl", "pub"]], 1, "AccessDenied", '["starts-with", "$acl", "pub"]'),
        ({"acl": "private"}, [["eq", "acl", "private"]], 1, "AccessDenied", '["eq", "acl", "private"]'),
        ({"acl": "private"}, [{"acl": "private", "x": "y"}], 1, "InvalidPolicyDocument", "exactly one property"),
        ({}, [{"bucket": "another"}], 1, "AccessDenied", '["eq", "$bucket", "another"]'),
        ({"tagging": "no xml"}, [["starts-with", "$tagging", ""]], 1, "MalformedXML", "not well-formed"),
        ({"x-amz-storage-class": "FAST"}, [{"x-amz-storage-class": "FAST"}], 1, "InvalidStorageClass", "not valid"),
        ({"x-amz-checksum-crc32": "AAAAAA=="}, [], 1, "BadDigest", "CRC32"),
    ],
)
def test_a_form_that_breaks_its_policy_is_refused(
    s3: Any, bucket: str, post: Poster, fields: dict[str, str], conditions: list[Any], size: int, code: str, text: str
) -> None:
    form = presigned(s3, bucket, "k", {}, *conditions)
    assert post.send(bucket, {**form, **fields}, b"x" * size) in (400, 403)
    assert post.element("Code") == code
    assert text in (post.element("Message") or "").replace("&quot;", '"')
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_a_form_that_is_none_is_refused(s3: Any, store: Store, bucket: str, post: Poster) -> None:
    signer = client(store.port, signature_version="s3v4")
    form = presigned(signer, bucket, "k")
    signer.close()
    without_key = {name: value for name, value in form.items() if name != "key"}
    unsigned = {name: value for name, value in form.items() if name != "x-amz-signature"}
    wrong = {**form, "x-amz-signature": "0" * 64}
    stranger = {**form, "x-amz-credential": form["x-amz-credential"].replace(KEY, "AKIASTRANGER")}
    assert post.send(bucket, without_key) == 400
    assert "a field named 'key'" in post.body
    assert post.send(bucket, unsigned) == 400
    assert "a field named 'X-Amz-Signature'" in post.body
    assert post.send(bucket, wrong) == 403
    assert post.element("Code") == "SignatureDoesNotMatch"
    assert post.send(bucket, stranger) == 403
    assert post.element("Code") == "InvalidAccessKeyId"
    assert post.send(bucket, form, file=None) == 400
    assert "exactly one file upload" in post.body
    assert post.send(bucket, form, content_type="application/json") == 412
    assert "enclosure-type multipart/form-data" in post.body
    assert post.send("no-such-bucket-here", presigned(s3, "no-such-bucket-here", "k")) == 404
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket)


def test_who_signs_the_form_writes_the_object(s3: Any, store: Store, bucket: str, post: Poster) -> None:
    other = client(store.port, OTHER_KEY, OTHER_SECRET)
    assert post.send(bucket, presigned(other, bucket, "k")) == 403
    assert post.send(bucket, {"key": "k"}) == 403
    assert post.element("Code") == "AccessDenied"
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_acl(Bucket=bucket, ACL="public-read-write")
    assert post.send(bucket, {"key": "nobodys", "acl": "public-read"}) == 204
    assert s3.get_object(Bucket=bucket, Key="nobodys")["Body"].read() == b"bytes"
    assert post.send(bucket, presigned(other, bucket, "others")) == 204
    assert other.get_object(Bucket=bucket, Key="others")["Body"].read() == b"bytes"
    other.close()


def test_a_versioned_bucket_tells_the_version(s3: Any, bucket: str, post: Poster) -> None:
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    post.send(bucket, presigned(s3, bucket, "k"))
    assert post.headers["x-amz-version-id"] == s3.head_object(Bucket=bucket, Key="k")["VersionId"]
