"""How a request is answered, whatever the answer is."""

from __future__ import annotations

from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError


def answer(client: Any, action: str, parameters: dict[str, Any]) -> tuple[int, str, str]:
    """(HTTP status, code, message); the code is "" for a success."""
    try:
        done = getattr(client, xform_name(action))(**parameters)
    except ClientError as error:
        refused = error.response
        return refused["ResponseMetadata"]["HTTPStatusCode"], refused["Error"]["Code"], refused["Error"]["Message"]
    return done["ResponseMetadata"]["HTTPStatusCode"], "", ""
