"""What guests are told of IPv6, message by message: router advertisements and DHCPv6 answers."""

from __future__ import annotations

import ipaddress
import json
import struct

import pytest

from eucapy.drivers.network.linux.advertising import (
    ADVERTISE,
    CLIENT_ID,
    CONFIRM,
    DECLINE,
    DNS,
    IA_ADDR,
    IA_NA,
    IA_PD,
    INFORMATION,
    NO_ADDRESSES,
    NOT_ON_LINK,
    RAPID,
    REBIND,
    RELEASE,
    RENEW,
    REPLY,
    REQUEST,
    SEARCH,
    SERVER_ID,
    SOLICIT,
    STATUS,
    SUCCESS,
    Orders,
    answer,
    read_orders,
    router_advertisement,
)

MAC = "02:65:75:63:61:00"
ORDERS = Orders(mac=MAC, mtu=1450, user="nobody", taps={}, dns=("2001:db8::53",), search=("ec2.internal",))
CLIENT, SERVER = b"\0\3\0\1abcdef", b"\0\3\0\1" + bytes.fromhex("026575636100")
IP, OTHER = "2001:db8:a::11", "2001:db8:a::99"


def option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def options(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at < len(data):
        code, length = struct.unpack_from("!HH", data, at)
        found.setdefault(code, data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def association(*ips: str, code: int = IA_NA) -> bytes:
    held = b"".join(option(IA_ADDR, ipaddress.IPv6Address(ip).packed + bytes(8)) for ip in ips)
    return option(code, b"\0\0\0\7" + bytes(8) + held)


def message(kind: int, *more: bytes, server: bytes | None = None) -> bytes:
    named = option(SERVER_ID, server) if server is not None else b""
    return bytes((kind,)) + b"xyz" + option(CLIENT_ID, CLIENT) + named + b"".join(more)


def given(said: bytes | None) -> dict[str, int]:
    """Address → how long it is valid, of the first association."""
    assert said is not None
    found, data, at = {}, options(said[4:])[IA_NA][12:], 0
    while at < len(data):
        code, length = struct.unpack_from("!HH", data, at)
        if code == IA_ADDR:
            _, valid_s = struct.unpack_from("!II", data, at + 20)
            found[str(ipaddress.IPv6Address(data[at + 4 : at + 20]))] = valid_s
        at += 4 + length
    return found


def test_the_router_is_the_link_and_no_prefix_is_told() -> None:
    told = router_advertisement(ORDERS)
    kind, _code, _sum, _hops, flags, lifetime_s = struct.unpack_from("!BBHBBH", told)
    assert (kind, flags & 0xC0, lifetime_s > 1800) == (134, 0xC0, True)
    kinds, at = {}, 16
    while at < len(told):
        kinds[told[at]] = told[at + 2 : at + told[at + 1] * 8]
        at += told[at + 1] * 8
    assert kinds == {1: bytes.fromhex("026575636100"), 5: struct.pack("!HI", 0, 1450)}


def test_who_asks_is_offered_and_given_the_addresses_of_the_port() -> None:
    offered = answer(message(SOLICIT, association()), [IP], ORDERS)
    assert offered is not None
    assert (offered[0], offered[1:4]) == (ADVERTISE, b"xyz")
    assert given(offered).keys() == {IP}
    told = options(offered[4:])
    assert (told[CLIENT_ID], told[SERVER_ID]) == (CLIENT, SERVER)
    assert told[DNS] == ipaddress.IPv6Address("2001:db8::53").packed
    assert told[SEARCH] == b"\3ec2\x08internal\0"
    granted = answer(message(REQUEST, association(IP), server=SERVER), [IP, OTHER], ORDERS)
    assert granted is not None
    assert granted[0] == REPLY
    assert given(granted).keys() == {IP, OTHER}


def test_who_is_in_a_hurry_is_given_at_once() -> None:
    said = answer(message(SOLICIT, association(), option(RAPID, b"")), [IP], ORDERS)
    assert said is not None
    assert said[0] == REPLY
    assert RAPID in options(said[4:])


@pytest.mark.parametrize("kind", [RENEW, REBIND])
def test_an_address_that_is_the_guests_no_more_is_ended(kind: int) -> None:
    server = SERVER if kind == RENEW else None
    found = given(answer(message(kind, association(IP, OTHER), server=server), [IP], ORDERS))
    assert found[IP] > 0
    assert found[OTHER] == 0


def test_everything_goes_into_one_association_and_there_are_no_prefixes() -> None:
    said = answer(message(SOLICIT, association(), association(), association(code=IA_PD)), [IP], ORDERS)
    assert said is not None
    assert said.count(ipaddress.IPv6Address(IP).packed) == 1
    assert options(said[4:])[IA_PD].endswith(option(STATUS, struct.pack("!H", 6)))


def test_a_port_without_addresses_is_told_so() -> None:
    said = answer(message(SOLICIT, association()), [], ORDERS)
    assert said is not None
    assert options(said[4:])[STATUS] == struct.pack("!H", NO_ADDRESSES)


@pytest.mark.parametrize(("ips", "status"), [((IP,), SUCCESS), ((IP, OTHER), NOT_ON_LINK)])
def test_who_asks_whether_his_addresses_still_hold_is_told(ips: tuple[str, ...], status: int) -> None:
    said = answer(message(CONFIRM, association(*ips)), [IP], ORDERS)
    assert said is not None
    assert options(said[4:])[STATUS] == struct.pack("!H", status)
    assert answer(message(CONFIRM, association()), [IP], ORDERS) is None


@pytest.mark.parametrize("kind", [RELEASE, DECLINE])
def test_what_is_given_back_is_acknowledged(kind: int) -> None:
    said = answer(message(kind, association(IP), server=SERVER), [IP], ORDERS)
    assert said is not None
    assert options(said[4:])[STATUS] == struct.pack("!H", SUCCESS)


def test_who_wants_to_know_only_the_rest_need_not_say_who_he_is() -> None:
    said = answer(bytes((INFORMATION,)) + b"xyz", [IP], ORDERS)
    assert said is not None
    assert options(said[4:]).keys() == {SERVER_ID, DNS, SEARCH}


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\1xy",
        bytes((SOLICIT,)) + b"xyz" + association(),
        message(SOLICIT, association(), server=SERVER),
        message(REQUEST, association()),
        message(REQUEST, association(), server=b"another"),
        message(RENEW, association(), server=b"another"),
        message(ADVERTISE, association(), server=SERVER),
        message(REPLY, association(), server=SERVER),
        message(12, association()),
        message(13, association()),
        message(200),
    ],
)
def test_what_is_not_for_us_is_not_answered(wrong: bytes) -> None:
    assert answer(wrong, [IP], ORDERS) is None


def test_messages_that_end_too_early_harm_nobody() -> None:
    whole = message(RENEW, association(IP, OTHER), association(code=IA_PD), server=SERVER)
    for length in range(len(whole)):
        answer(whole[:length], [IP], ORDERS)
        for kind in range(14):
            answer(bytes((kind,)) + whole[1:length], [IP], ORDERS)


def test_orders_are_read_and_what_are_none_are_refused() -> None:
    found = {"mac": MAC, "mtu": 1450, "user": "nobody", "taps": {"tap1": [IP]}, "dns": [], "search": []}
    assert read_orders(json.dumps(found)).taps == {"tap1": [IP]}
    with pytest.raises((ValueError, KeyError)):
        read_orders("{}")
    with pytest.raises(ValueError):
        read_orders(json.dumps(found)[:-5])
