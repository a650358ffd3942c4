"""ApiError: the one exception that reaches a client.

An error is a class and its name is the code that travels on the wire:

    class InsufficientInstanceCapacity(ApiError):
        status = 503
        message = "We currently do not have sufficient {type} capacity in {zone}."

    raise InsufficientInstanceCapacity(type="t2.micro", zone="us-east-1a")
    raise InvalidParameterValue("Value (x) for parameter y is invalid.")       # a literal message

A code that is not a Python name is given as an attribute: `code = "InvalidInstanceID.NotFound"`. Whatever else a handler
raises becomes InternalError with the request id; its detail goes to the log only. How an error looks in each protocol:
`eucapy/aws/errors.py`, where the edge's own error classes stand too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar


class ApiError(Exception):
    """Base of all errors that a client may see.

    `status` is the HTTP status, `message` a template that the constructor's keyword arguments fill. `fields` travel in the
    answer beside code and message (S3's `BucketName`, a JSON error's modeled members), `headers` as HTTP headers.
    """

    status: ClassVar[int] = 400
    code: ClassVar[str] = "ApiError"
    message: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            cls.code = cls.__name__

    def __init__(
        self,
        text: str | None = None,
        /,
        *,
        fields: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        **values: object,
    ) -> None:
        self.text = text if text is not None else self.message.format(**values)
        self.fields: dict[str, Any] = dict(fields or {})
        self.headers: dict[str, str] = dict(headers or {})
        super().__init__(self.text)

    @property
    def fault(self) -> str:
        """`Sender` when the caller is at fault, `Receiver` when we are (the words of AWS's Query protocol)."""
        return "Sender" if self.status < 500 else "Receiver"

    def __repr__(self) -> str:
        return f"{self.code}({self.text!r})"


class InternalError(ApiError):
    """Stands in for every exception that is not an ApiError; says nothing of the cause."""

    status = 500
    message = "An internal error has occurred"
