"""Links that S3's clients sign in advance: parameters that stand for headers.

Who makes a link puts the headers of its request into the query string (`x-amz-acl=private&x-amz-meta-a=1`): boto3 in links of
version 2, the SDKs for JavaScript and Ruby in all of theirs; who follows it sends none of them. S3 takes them as sent.

Not so tags, encryption and checksums, which it looks for among the headers alone: a checksum in a link is of the body that was
not there when it was signed, and S3 stores what comes (aws-sdk-js-v3 issues 3496 and 4694, pull request 1701).

Conditions (`If-None-Match=*`) come so too, in links of version 4.

A parameter given twice has its last value, here and in the text that version 2 signs, which covers no other: what is not
signed must not decide. A header that is sent as well wins, in both places.
"""

from __future__ import annotations

import msgspec
from multidict import CIMultiDict

from eucapy.aws import forms
from eucapy.aws.message import Incoming

_OF_THE_SIGNATURE = frozenset(
    {
        "x-amz-algorithm", "x-amz-content-sha256", "x-amz-credential", "x-amz-date", "x-amz-decoded-content-length",
        "x-amz-expires", "x-amz-security-token", "x-amz-signature", "x-amz-signedheaders", "x-amz-trailer",
    }
)  # fmt: skip
_HEADERS_ONLY = (
    "x-amz-checksum-", "x-amz-copy-source", "x-amz-sdk-checksum-algorithm", "x-amz-server-side-encryption",
    "x-amz-tagging",
)  # fmt: skip


def amz_parameters(query: str) -> dict[str, str]:
    """The x-amz- parameters of a query string, by lower-case name. Raises MalformedQueryString."""
    return _parameters(query, "x-amz-")


def _parameters(query: str, start: str) -> dict[str, str]:
    parts = (part.partition("=") for part in query.split("&") if part[: len(start)].lower() == start)
    return {forms.decode(name).lower(): forms.decode(value) for name, _, value in parts}


def with_headers(incoming: Incoming) -> Incoming:
    """A request by link with the headers that its parameters stand for."""
    sent = incoming.headers
    said = amz_parameters(incoming.query)
    if "x-amz-signature" in said:  # version 4 signs the whole query
        said |= _parameters(incoming.query, "if-")
    meant = {
        name: value
        for name, value in said.items()
        if name not in _OF_THE_SIGNATURE and not name.startswith(_HEADERS_ONLY) and name not in sent
    }
    if not meant:
        return incoming
    headers = CIMultiDict(sent)
    headers.update(meant)
    return msgspec.structs.replace(incoming, headers=headers)
