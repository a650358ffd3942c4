"""Boxes: what is sealed for one receiver opens for it alone, and for what it is about."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eucapy.box import BadBox, Box, seal

RECEIVER = Box(b"r" * 32)


@given(st.binary(max_size=2000), st.text(max_size=30))
def test_what_was_sealed_is_what_comes_out(content: bytes, about: str) -> None:
    assert RECEIVER.open(seal(RECEIVER.public, content, about), about) == content


def test_it_opens_for_no_other_receiver_and_about_nothing_else() -> None:
    sealed = seal(RECEIVER.public, b"secret", "i-1")
    for box, about in ((Box(b"o" * 32), "i-1"), (RECEIVER, "i-2"), (RECEIVER, "")):
        with pytest.raises(BadBox):
            box.open(sealed, about)


def test_a_changed_box_does_not_open() -> None:
    raw = bytearray(base64.b64decode(seal(RECEIVER.public, b"secret", "i-1")))
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 4
        with pytest.raises(BadBox):
            RECEIVER.open(base64.b64encode(changed).decode(), "i-1")


@pytest.mark.parametrize("sealed", ["", "x", "é", "AAAA", "A" * 200, base64.b64encode(bytes(100)).decode()])
def test_what_is_no_box_is_refused(sealed: str) -> None:
    with pytest.raises(BadBox):
        RECEIVER.open(sealed, "i-1")


def test_the_same_content_is_sealed_differently_each_time() -> None:
    assert seal(RECEIVER.public, b"secret", "i-1") != seal(RECEIVER.public, b"secret", "i-1")


def test_a_receiver_keeps_its_key_in_a_file_for_its_eyes_alone(tmp_path: Path) -> None:
    path = tmp_path / "sealing.key"
    first = Box.ensure(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert Box.ensure(path).open(seal(first.public, b"secret", "i-1"), "i-1") == b"secret"


@pytest.mark.parametrize("key", ["", "x", "AAAA", base64.b64encode(bytes(32)).decode()])
def test_nothing_is_sealed_for_what_is_no_key(key: str) -> None:
    with pytest.raises(ValueError):
        seal(key, b"secret", "i-1")
