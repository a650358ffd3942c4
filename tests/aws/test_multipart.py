"""Forms: whatever pieces a body comes in, its fields and its file are the same, and what is no form is refused."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eucapy.aws.bodies import BodyReader
from eucapy.aws.errors import ApiError
from eucapy.aws.multipart import MOST_FIELD_BYTES, boundary_of, read_form

B = b"frontier"


class InPieces(BodyReader):
    """A body that arrives `count` bytes at a time."""

    def __init__(self, data: bytes, count: int) -> None:
        super().__init__(len(data))
        self._pieces = [data[at : at + count] for at in range(0, len(data), count)]

    async def _next(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def field(name: bytes, value: bytes) -> bytes:
    return b'--%s\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (B, name, value)


def upload(value: bytes, filename: bytes = b' filename="f.txt"') -> bytes:
    head = b"--%s\r\nContent-Type: text/plain\r\ncontent-disposition: form-data; name=file;%s\r\n\r\n" % (B, filename)
    return head + value + b"\r\n--" + B


def parse(body: bytes, count: int = 7) -> tuple[dict[str, str], str | None, bytes | None]:
    """(fields, name of the file, its bytes)"""

    async def work() -> tuple[dict[str, str], str | None, bytes | None]:
        form = await read_form(InPieces(body, count), B)
        if form.file is None:
            return dict(form.fields), None, None
        pieces = []
        while piece := await form.file.read():
            pieces.append(piece)
        return dict(form.fields), form.file.name, b"".join(pieces)

    return asyncio.run(work())


@given(st.binary(max_size=300), st.integers(1, 90))
def test_a_file_is_what_was_sent_however_it_arrives(value: bytes, count: int) -> None:
    value = value.replace(B, b"") + b"\r\n--front"
    body = b"preamble\r\n" + field(b"Key", b"a\r\nb") + field(b"empty", b"") + upload(value) + b"--\r\n"
    assert parse(body, count) == ({"key": "a\r\nb", "empty": ""}, "f.txt", value)


def test_what_follows_the_file_is_ignored() -> None:
    assert parse(field(b"a", b"1") + upload(b"x") + b"\r\n" + field(b"b", b"2") + b"--" + B + b"--") == (
        {"a": "1"},
        "f.txt",
        b"x",
    )


@pytest.mark.parametrize(
    ("given_name", "name"),
    [(b"", None), (b' filename=""', ""), (rb' filename="C:\dir\x.txt"', "x.txt"), (b' filename="a/b \xc3\xa4"', "b ä"),
     (b' filename="say \\"hi\\".txt"', 'say "hi".txt')],
)  # fmt: skip
def test_the_files_name_is_its_last_part(given_name: bytes, name: str | None) -> None:
    assert parse(upload(b"x", given_name) + b"--")[1] == name


def test_a_form_may_have_no_file_and_a_field_twice() -> None:
    assert parse(field(b"a", b"1") + field(b"A", b"2") + b"--" + B + b"--") == ({"a": "1"}, None, None)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedPOSTRequest"),
        (b"no form at all", "MalformedPOSTRequest"),
        (field(b"a", b"1"), "MalformedPOSTRequest"),
        (field(b"a", b"1") + b"--" + B + b"\r\n\r\nno name\r\n--" + B + b"--", "MalformedPOSTRequest"),
        (upload(b"x")[:-4], "MalformedPOSTRequest"),
        (upload(b"x") + b"y" * (2 << 20), "MalformedPOSTRequest"),
        (field(b"a", b"x" * MOST_FIELD_BYTES) + upload(b"x"), "MaxPostPreDataLengthExceededError"),
        (field(b"a", b"x" * 9000) * 3 + upload(b"x"), "MaxPostPreDataLengthExceededError"),
        (b"x" * (MOST_FIELD_BYTES * 2), "MaxPostPreDataLengthExceededError"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, code: str) -> None:
    with pytest.raises(ApiError) as caught:
        parse(body, 4096)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "boundary"),
    [
        ("multipart/form-data; boundary=abc", b"abc"),
        ('Multipart/Form-Data; charset=x; Boundary="a b;c"', b"a b;c"),
        ("multipart/form-data", None),
        ("multipart/mixed; boundary=abc", None),
        ("application/json", None),
    ],
)
def test_the_boundary_stands_in_the_content_type(text: str, boundary: bytes | None) -> None:
    assert boundary_of(text) == boundary
