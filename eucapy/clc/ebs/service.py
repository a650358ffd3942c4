"""The service that the handlers of this folder register with, its error codes, and how they come to the snapshots meant.

Most errors carry a `Reason` beside their text; the reasons are the model's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from eucapy.aws.service import Service
from eucapy.clc.blocks import BLOCK_BYTES, Refused, Silent
from eucapy.clc.context import Call
from eucapy.clc.store import snapshots
from eucapy.database import Row
from eucapy.errors import ApiError
from eucapy.lifecycle import snapshot as life

ebs = Service("ebs", body_limit=2 * BLOCK_BYTES)


class ValidationException(ApiError):
    """The text is given where it is raised; see `invalid`."""


class ResourceNotFoundException(ApiError):
    status = 404
    message = "The snapshot '{snapshot}' does not exist."


class ConcurrentLimitExceededException(ApiError):
    message = "You have reached the limit of {most} pending snapshots for the account."


class InternalServerException(ApiError):
    """The storage does not answer: whoever asks again may have more luck, and SDKs do."""

    status = 500
    message = "An internal error has occurred."


def invalid(reason: str, text: str) -> ValidationException:
    """`reason` is one of the model's ValidationExceptionReason."""
    return ValidationException(text, fields={"Reason": reason})


def missing(snapshot_id: str) -> ResourceNotFoundException:
    return ResourceNotFoundException(snapshot=snapshot_id, fields={"Reason": "SNAPSHOT_NOT_FOUND"})


async def readable(call: Call, snapshot_id: str) -> Row:
    """A completed snapshot that the account may make volumes of. Raises ResourceNotFoundException, ValidationException."""
    row = await snapshots.visible(call.tx, call.account, snapshot_id)
    if row is None:
        raise missing(snapshot_id)
    if row.state != life.COMPLETED:
        raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot_id}' is in an invalid state: {row.state}.")
    return row


@asynccontextmanager
async def asking(snapshot_id: str) -> AsyncIterator[None]:
    """What the storage says no with, in the words of the API."""
    try:
        yield
    except LookupError as error:
        raise missing(snapshot_id) from error
    except Silent as error:
        raise InternalServerException from error
    except Refused as error:
        if error.code == "UnrelatedSnapshots":
            raise invalid("UNRELATED_SNAPSHOTS", "The specified snapshots are unrelated.") from error
        raise invalid("INVALID_SNAPSHOT_ID", f"The snapshot '{snapshot_id}' is not pending.") from error
