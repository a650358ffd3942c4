"""CIDR reservations of subnets: nobody gets an address of one who did not name it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from eucapy.clc.store.free_numbers import without
from tests.clc.launching import error
from tests.harness.cloud import Cloud


def subnet(cloud: Cloud, cidr: str) -> str:
    ec2 = cloud.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    return str(ec2.create_subnet(VpcId=vpc, CidrBlock=cidr)["Subnet"]["SubnetId"])


def reserve(cloud: Cloud, subnet_id: str, cidr: str, kind: str = "explicit", **given: Any) -> dict[str, Any]:
    made = cloud.client("ec2").create_subnet_cidr_reservation(
        SubnetId=subnet_id, Cidr=cidr, ReservationType=kind, **given
    )
    return dict(made["SubnetCidrReservation"])


def test_what_is_reserved_is_chosen_for_nobody_and_given_to_who_asks(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    where = subnet(cloud, "10.77.1.0/28")  # .4 to .14 may be given out
    reserve(cloud, where, "10.77.1.8/29", "prefix")
    chosen = [ec2.create_network_interface(SubnetId=where)["NetworkInterface"]["PrivateIpAddress"] for _ in range(4)]
    assert sorted(chosen) == [f"10.77.1.{n}" for n in range(4, 8)]
    assert error(ec2.create_network_interface, SubnetId=where)[0] == "InsufficientFreeAddressesInSubnet"
    named = ec2.create_network_interface(SubnetId=where, PrivateIpAddress="10.77.1.9")
    assert named["NetworkInterface"]["PrivateIpAddress"] == "10.77.1.9"


def test_a_reservation_is_shown_filtered_and_deleted(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    where = subnet(cloud, "10.77.1.0/24")
    tags = [{"ResourceType": "subnet-cidr-reservation", "Tags": [{"Key": "of", "Value": "mine"}]}]
    first = reserve(cloud, where, "10.77.1.16/28", "prefix", Description="mine", TagSpecifications=tags)
    second = reserve(cloud, where, "10.77.1.200/32")
    assert first == {
        "SubnetCidrReservationId": first["SubnetCidrReservationId"],
        "SubnetId": where,
        "Cidr": "10.77.1.16/28",
        "ReservationType": "prefix",
        "OwnerId": cloud.account("eucalyptus")["account_id"],
        "Description": "mine",
        "Tags": [{"Key": "of", "Value": "mine"}],
    }
    shown = ec2.get_subnet_cidr_reservations(SubnetId=where)
    assert shown["SubnetIpv6CidrReservations"] == []
    assert sorted(one["Cidr"] for one in shown["SubnetIpv4CidrReservations"]) == ["10.77.1.16/28", "10.77.1.200/32"]
    explicit = [{"Name": "reservationType", "Values": ["explicit"]}]
    assert ec2.get_subnet_cidr_reservations(SubnetId=where, Filters=explicit)["SubnetIpv4CidrReservations"] == [second]
    gone = ec2.delete_subnet_cidr_reservation(SubnetCidrReservationId=first["SubnetCidrReservationId"])
    assert gone["DeletedSubnetCidrReservation"] == first
    assert error(ec2.delete_subnet_cidr_reservation, SubnetCidrReservationId=first["SubnetCidrReservationId"]) == (
        "InvalidSubnetCidrReservationID.NotFound",
        f"The subnet-cidr-reservation ID '{first['SubnetCidrReservationId']}' does not exist",
    )
    ec2.delete_subnet(SubnetId=where)


def test_what_is_refused(cloud: Cloud) -> None:
    ec2 = cloud.client("ec2")
    where = subnet(cloud, "10.77.1.0/24")
    reserve(cloud, where, "10.77.1.0/30")
    for cidr, message in (
        ("10.78.1.0/31", "Reservation CIDR should be within subnet CIDR block (10.77.1.0/24)"),
        ("10.77.1.2/31", "Reservation CIDR 10.77.1.2/31 has overlap with existing reserved CIDR block"),
    ):
        asked = {"SubnetId": where, "Cidr": cidr, "ReservationType": "prefix"}
        assert error(ec2.create_subnet_cidr_reservation, **asked) == ("InvalidParameterValue", message)


@given(st.integers(0, 20), st.integers(0, 20), st.sets(st.integers(0, 8)))
def test_spans_without_some_hold_exactly_the_rest(first: int, size: int, blocks: set[int]) -> None:
    taken = [(3 * n, 3 * n + 1) for n in sorted(blocks)]
    left = [n for begin, end in without((first, first + size), taken) for n in range(begin, end + 1)]
    assert left == [n for n in range(first, first + size + 1) if not any(b <= n <= e for b, e in taken)]
