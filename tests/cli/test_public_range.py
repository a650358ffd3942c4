"""The range of public addresses: what is taken, what is refused and why, and what is chosen by itself."""

from __future__ import annotations

from ipaddress import IPv4Network

import pytest

from eucapy.cli.faststart.public_range import host_local, parse
from eucapy.cli.installation import CliError


@pytest.mark.parametrize(
    ("text", "first", "last", "count"),
    [
        ("192.168.1.100-192.168.1.120", "192.168.1.100", "192.168.1.120", 21),
        (" 10.0.0.250 - 10.0.1.3 ", "10.0.0.250", "10.0.1.3", 10),
        ("10.0.0.10-19", "10.0.0.10", "10.0.0.19", 10),
        ("10.0.0.0/28", "10.0.0.1", "10.0.0.14", 14),
    ],
)
def test_a_range_is_written_in_several_ways(text: str, first: str, last: str, count: int) -> None:
    found = parse(text)
    assert (str(found.first), str(found.last), found.count) == (first, last, count)
    assert parse(str(found)) == found


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("10.0.0.1-10.0.0.9", "at least 10"),
        ("10.0.0.20-10.0.0.1", "at least 10"),
        ("10.0.0.0/30", "at least 10"),
        ("10.0.0.0/8", "at most 65536"),
        ("ten addresses", "is not an address range"),
        ("10.0.0.1", "is not an address range"),
        ("10.0.0.300-10.0.1.20", "is not an address range"),
        ("127.0.0.1-127.0.0.50", "cannot be a guest's public address"),
        ("169.254.1.1-169.254.1.50", "cannot be a guest's public address"),
        ("224.0.0.1-224.0.0.50", "cannot be a guest's public address"),
        ("", "is not an address range"),
    ],
)
def test_what_cannot_be_a_range_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(CliError, match=reason):
        parse(text)


def test_the_range_chosen_by_itself_is_clear_of_every_network_of_the_machine() -> None:
    known = [IPv4Network("198.51.100.0/24"), IPv4Network("10.0.0.0/8")]
    chosen = host_local(known)
    assert chosen.count >= 10
    assert not any(chosen.overlaps(network) for network in known)


def test_a_machine_that_uses_every_candidate_is_asked_for_a_range() -> None:
    with pytest.raises(CliError, match="--public-range"):
        host_local([IPv4Network("198.51.100.128/25"), IPv4Network("203.0.113.0/24"), IPv4Network("192.0.2.0/24")])
