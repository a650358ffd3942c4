"""How a request is answered, whatever the answer is."""

from __future__ import annotations

from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError
from botocore.handlers import inject_presigned_url_ec2


def answer(client: Any, action: str, parameters: dict[str, Any]) -> tuple[int, str, str]:
    """(HTTP status, code, message); the code is "" for a success."""
    # boto3 signs a copy's source region beforehand, and fails by itself where a request without one is to be seen.
    client.meta.events.unregister("before-call.ec2.CopySnapshot", inject_presigned_url_ec2)
    try:
        done = getattr(client, xform_name(action))(**parameters)
    except ClientError as error:
        refused = error.response
        return refused["ResponseMetadata"]["HTTPStatusCode"], refused["Error"]["Code"], refused["Error"]["Message"]
    return done["ResponseMetadata"]["HTTPStatusCode"], "", ""
