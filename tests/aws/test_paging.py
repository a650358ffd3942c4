"""Pages and client tokens: tokens cannot be read into, changed or carried elsewhere; equal requests have equal prints."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eucapy.aws.paging import InvalidNextToken, Pager, max_results
from eucapy.errors import ApiError

PAGER = Pager(b"secret")


@given(st.dictionaries(st.text(max_size=5), st.one_of(st.integers(-100, 100), st.text(max_size=9))))
def test_a_token_gives_its_state_back(state: dict[str, Any]) -> None:
    token = PAGER.seal("ec2:DescribeInstances", "1", state)
    assert PAGER.open("ec2:DescribeInstances", "1", token) == state


def test_no_token_is_the_first_page() -> None:
    assert PAGER.open("a", "1", None) is None
    assert PAGER.open("a", "1", "") is None


def test_a_token_is_of_one_operation_and_account() -> None:
    token = PAGER.seal("ec2:DescribeInstances", "1", {"after": "i-1"})
    for operation, account, pager in (
        ("ec2:DescribeVolumes", "1", PAGER),
        ("ec2:DescribeInstances", "2", PAGER),
        ("ec2:DescribeInstances", "1", Pager(b"other")),
    ):
        with pytest.raises(InvalidNextToken):
            pager.open(operation, account, token)


@pytest.mark.parametrize("token", ["x", "ä", "AAAA", base64.b64encode(b"0" * 40).decode(), "=" * 9, "A" * 5000])
def test_a_token_that_we_did_not_make_is_refused(token: str) -> None:
    with pytest.raises(InvalidNextToken):
        PAGER.open("a", "1", token)


def test_every_changed_byte_is_noticed() -> None:
    raw = base64.urlsafe_b64decode(PAGER.seal("a", "1", {"after": "i-1"}))
    for at in range(len(raw)):
        changed = raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :]
        with pytest.raises(InvalidNextToken):
            PAGER.open("a", "1", base64.urlsafe_b64encode(changed).decode())


def test_max_results() -> None:
    assert max_results({}) is None
    assert max_results({}, default=100) == 100
    assert max_results({"MaxResults": 5}) == 5
    for value, words in ((4, "greater than 5"), (1001, "less than 1000")):
        with pytest.raises(ApiError, match=words):
            max_results({"MaxResults": value})
    with pytest.raises(ApiError, match="The parameter instancesSet cannot be used with the parameter maxResults"):
        max_results({"MaxResults": 5, "InstanceIds": ["i-1"]}, never_with="InstanceIds")
    assert max_results({"MaxResults": 5, "InstanceIds": []}, never_with="InstanceIds") == 5
