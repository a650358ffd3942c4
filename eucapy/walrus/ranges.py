"""`Range: bytes=…` as S3 takes it: one range; several, or text of another form, are as if not said. Pure."""

from __future__ import annotations

import re

from eucapy.aws.errors import InvalidArgument, InvalidRequest
from eucapy.walrus.errors import InvalidRange

_RANGE = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*\Z", re.ASCII)
_COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)\Z", re.ASCII)


def parse(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, length) within an object of `size` bytes, or None for all of it. Raises InvalidRange."""
    match = _RANGE.match(header) if header else None
    if header is None or match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first and last and int(last) < int(first):
        return None
    if first:
        start = int(first)
        end = min(int(last), size - 1) if last else size - 1
    else:
        start, end = max(0, size - int(last)), size - 1
        if int(last) == 0:
            start = size
    if start >= size:
        raise InvalidRange(fields={"RangeRequested": header, "ActualObjectSize": size})
    return start, end - start + 1


def parse_copy(header: str | None, size: int) -> tuple[int, int]:
    """(start, length) of UploadPartCopy, whose range must be whole and lie inside the source.

    Raises InvalidArgument, also where it reaches past the end, and InvalidRequest where it begins there.
    """
    if header is None:
        return 0, size
    match = _COPY_RANGE.match(header)
    if match is None or int(match.group(2)) < int(match.group(1)):
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            fields={"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header},
        )
    first, last = int(match.group(1)), int(match.group(2))
    if first >= size:
        raise InvalidRequest("The specified copy range is invalid for the source object size")
    if last >= size:
        raise InvalidArgument(
            f"Range specified is not valid for source object of size: {size}",
            fields={"ArgumentName": "x-amz-copy-source-range", "ArgumentValue": header},
        )
    return first, last - first + 1
