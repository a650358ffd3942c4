"""DecodeAuthorizationMessage: what EC2 said of a refusal, sealed. How such a message is made: `clc/refusing.py`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eucapy.clc.context import Call
from eucapy.clc.refusing import UnreadableMessage
from eucapy.clc.sts.service import InvalidAuthorizationMessageException, sts


@sts.action("DecodeAuthorizationMessage")
async def decode_authorization_message(call: Call, p: Mapping[str, Any]) -> dict[str, Any]:
    """The details of a refusal in the caller's account. Raises InvalidAuthorizationMessageException."""
    try:
        return {"DecodedMessage": call.decoded(p["EncodedMessage"])}
    except UnreadableMessage as error:
        raise InvalidAuthorizationMessageException from error
