"""XML out: documents as AWS writes them, text that cannot break out of them, fragments that are rendered once."""

import datetime as dt
from xml.etree import ElementTree

import pytest

from eucapy.aws import models, protocols, timestamps
from eucapy.aws.message import Outgoing, Result
from eucapy.aws.xml import Rendered, escape, fragment

WHEN = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)


def sent(service: str, action: str, result: object, version: str = "") -> str:
    operation = models.load(service).operation(action)
    answer = protocols.codec(operation, models.load(service).protocol).serialize(result, "RID", version)
    assert isinstance(answer.body, bytes)
    return answer.body.decode()


def test_ec2s_document() -> None:
    result = {
        "Volumes": [{"VolumeId": "vol-1", "Size": 8, "Encrypted": False, "CreateTime": WHEN, "Tags": []}],
        "NextToken": None,
    }
    assert sent("ec2", "DescribeVolumes", result, "2014-10-01") == (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<DescribeVolumesResponse xmlns="http://ec2.amazonaws.com/doc/2014-10-01/"><requestId>RID</requestId><volumeSet><item>'
        "<volumeId>vol-1</volumeId><size>8</size><encrypted>false</encrypted><createTime>2026-01-02T03:04:05.678Z</createTime>"
        "<tagSet/></item></volumeSet></DescribeVolumesResponse>"
    )


def test_ec2s_void_operations_say_true() -> None:
    assert sent("ec2", "DeleteVolume", None) == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<DeleteVolumeResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
        "<requestId>RID</requestId><return>true</return></DeleteVolumeResponse>"
    )


def test_querys_document() -> None:
    assert sent("sts", "GetCallerIdentity", {"Account": "1"}) == (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>'
        "<Account>1</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>RID</RequestId></ResponseMetadata>"
        "</GetCallerIdentityResponse>"
    )
    assert "<DeleteUserResult>" not in sent("iam", "DeleteUser", None)


@pytest.mark.parametrize(
    ("action", "result", "wanted"),
    [
        ("ListBuckets", {"Buckets": []}, "<ListAllMyBucketsResult {ns}><Buckets/></ListAllMyBucketsResult>"),
        ("ListObjectsV2", {"Contents": [{"Key": "a", "ETag": '"e"', "LastModified": WHEN}], "IsTruncated": False},
         "<ListBucketResult {ns}><Contents><Key>a</Key><ETag>&quot;e&quot;</ETag>"
         "<LastModified>2026-01-02T03:04:05.678Z</LastModified></Contents><IsTruncated>false</IsTruncated></ListBucketResult>"),
        ("GetBucketLocation", {"LocationConstraint": "eu-west-1"}, "<LocationConstraint {ns}>eu-west-1</LocationConstraint>"),
        ("GetBucketLocation", {}, "<LocationConstraint {ns}></LocationConstraint>"),
        ("CreateMultipartUpload", {"UploadId": "u"},
         "<InitiateMultipartUploadResult {ns}><UploadId>u</UploadId></InitiateMultipartUploadResult>"),
        ("CopyObject", {"CopyObjectResult": {"ETag": "e"}}, "<CopyObjectResult {ns}><ETag>e</ETag></CopyObjectResult>"),
        ("GetObjectRetention", {"Retention": {"Mode": "GOVERNANCE"}}, "<Retention {ns}><Mode>GOVERNANCE</Mode></Retention>"),
        ("GetBucketAcl", {"Grants": [{"Grantee": {"Type": "Group", "URI": "u"}, "Permission": "READ"}]},
         '<AccessControlPolicy {ns}><AccessControlList><Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
         'xsi:type="Group"><URI>u</URI></Grantee><Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>'),
    ],
)  # fmt: skip
def test_s3s_documents(action: str, result: dict[str, object], wanted: str) -> None:
    document = wanted.replace("{ns}", 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"')
    assert sent("s3", action, result) == f'<?xml version="1.0" encoding="UTF-8"?>\n{document}'


def test_an_answer_without_a_document_has_no_body() -> None:
    operation = models.load("s3").operation("PutObject")
    answer = protocols.codec(operation, "rest-xml").serialize(
        {"ETag": '"e"', "Expiration": "a\r\nX-Evil: 1"}, "RID", ""
    )
    assert (answer.status, answer.body, answer.headers["ETag"]) == (200, b"", '"e"')
    assert answer.headers["x-amz-expiration"] == "a%0D%0AX-Evil: 1"
    assert (
        protocols.codec(models.load("s3").operation("DeleteBucket"), "rest-xml").serialize(None, "RID", "").status
        == 204
    )


def test_a_result_may_add_headers_and_a_status() -> None:
    for service, action in (
        ("sts", "GetCallerIdentity"),
        ("s3", "ListBuckets"),
        ("kms", "ListKeys"),
        ("ebs", "StartSnapshot"),
    ):
        model = models.load(service)
        codec = protocols.codec(model.operation(action), model.protocol)
        answer: Outgoing = codec.serialize(Result({}, {"x-a": "1"}, 202), "RID", "")
        assert (answer.status, answer.headers["x-a"]) == (202, "1")


@pytest.mark.parametrize(
    "text", ["<a>", "&amp;", 'say "x"', "a\x00b\x1fc", "\ufffe", "tab\tnew\nline\rend", "\ud800", "ä𝄞", ""]
)
def test_no_text_breaks_the_document(text: str) -> None:
    document = sent("ec2", "DescribeVolumes", {"Volumes": [{"VolumeId": text}]})
    found = ElementTree.fromstring(document).find(".//{*}volumeId")
    assert found is not None
    clean = "".join(c if c in "\t\n\r" or (c >= " " and c not in "\ufffe\ud800") else "�" for c in text)
    assert (found.text or "") == clean


def test_escape_leaves_what_is_plain() -> None:
    assert escape("plain text, 100 %") == "plain text, 100 %"


def test_a_fragment_stands_for_its_structure() -> None:
    volume = {"VolumeId": "vol-<1>", "Size": 8, "Tags": [{"Key": "a", "Value": "b"}]}
    made = fragment("ec2", "Volume")(volume)
    assert isinstance(made, Rendered)
    assert sent("ec2", "DescribeVolumes", {"Volumes": [made, volume]}) == sent(
        "ec2", "DescribeVolumes", {"Volumes": [volume, volume]}
    )
    with pytest.raises(TypeError):
        fragment("ec2", "VolumeList")


def test_a_member_that_the_shape_does_not_have_is_a_mistake_of_ours() -> None:
    for service, action in (
        ("ec2", "DescribeVolumes"),
        ("sts", "GetCallerIdentity"),
        ("s3", "GetObject"),
        ("kms", "ListKeys"),
    ):
        with pytest.raises(KeyError, match="no member 'Nonsense'"):
            sent(service, action, {"Nonsense": 1})


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-01-02T03:04:05Z", (2026, 1, 2, 3, 4, 5)), ("2026-01-02T03:04:05.5Z", (2026, 1, 2, 3, 4, 5, 500000)),
        ("2026-01-02", (2026, 1, 2)), ("20260102T030405Z", (2026, 1, 2, 3, 4, 5)),
        ("2026-01-02T05:04:05+02:00", (2026, 1, 2, 3, 4, 5)),
        ("Fri, 02 Jan 2026 03:04:05 GMT", (2026, 1, 2, 3, 4, 5)), ("1767323045", (2026, 1, 2, 3, 4, 5)),
    ],
)  # fmt: skip
def test_times_are_understood(text: str, wanted: tuple[int, ...]) -> None:
    assert timestamps.parse_any(text) == dt.datetime(*wanted, tzinfo=dt.UTC)  # type: ignore[misc, arg-type]


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01", "2026-01-02T25:00:00Z", "1e400", "nan", "9" * 40, "0001-01-01T00:00:00+23:00"]
)
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        timestamps.parse_any(text)


def test_times_are_written() -> None:
    assert timestamps.milliseconds(WHEN) == "2026-01-02T03:04:05.678Z"
    assert timestamps.milliseconds(0) == "1970-01-01T00:00:00.000Z"
    assert timestamps.shortest(WHEN.replace(microsecond=0)) == "2026-01-02T03:04:05Z"
    assert timestamps.http_date(WHEN) == "Fri, 02 Jan 2026 03:04:05 GMT"
    assert timestamps.epoch(WHEN) == 1767323045.679
    naive, east = dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    assert timestamps.as_datetime(naive) == timestamps.as_datetime(east) == dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
