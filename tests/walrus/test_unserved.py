"""What of S3's model is left out: each operation has its reason, and none of them does half a thing."""

from __future__ import annotations

from typing import Any

import pytest

from eucapy.walrus.s3 import registry
from eucapy.walrus.s3.unserved import OLDER_NAMES, UNSERVED
from tests.walrus.conftest import Refused


def test_every_operation_is_served_or_its_reason_is_told() -> None:
    served = set(registry.s3.actions())
    assert served | set(UNSERVED) == set(registry.s3.operations())
    assert not served & set(UNSERVED)
    assert set(OLDER_NAMES.values()) <= served


@pytest.mark.parametrize(
    ("method", "members"),
    [
        ("get_object_torrent", {"Key": "k"}),
        ("restore_object", {"Key": "k", "RestoreRequest": {"Days": 1}}),
        ("rename_object", {"Key": "k", "RenameSource": "b/other"}),
        ("create_session", {}),
        ("get_bucket_abac", {}),
        ("put_bucket_accelerate_configuration", {"AccelerateConfiguration": {"Status": "Enabled"}}),
        (
            "put_bucket_analytics_configuration",
            {"Id": "a", "AnalyticsConfiguration": {"Id": "a", "StorageClassAnalysis": {}}},
        ),
    ],
)
def test_what_is_left_out_answers_501(
    s3: Any, bucket: str, refused: Refused, method: str, members: dict[str, Any]
) -> None:
    with refused("NotImplemented", 501):
        getattr(s3, method)(Bucket=bucket, **members)


@pytest.mark.parametrize("kind", ["analytics", "intelligent_tiering"])
@pytest.mark.parametrize("verb", ["get", "delete"])
def test_a_configuration_that_cannot_be_set_is_never_there(
    s3: Any, bucket: str, refused: Refused, kind: str, verb: str
) -> None:
    with refused("NoSuchConfiguration", 404):
        getattr(s3, f"{verb}_bucket_{kind}_configuration")(Bucket=bucket, Id="a")
