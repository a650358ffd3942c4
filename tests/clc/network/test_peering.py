"""VPC peering connections through the API: from the request to what is shown when they are gone, and the routes to them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.clc.network.asking import code, error, named, own_vpc, without_metadata
from tests.harness.cloud import Cloud

ABSENT = "pcx-0123456789abcdef0"
DAY_S = 24 * 3600.0


@pytest.fixture
def one(ec2: Any) -> str:
    return own_vpc(ec2, "10.1.0.0/16")


@pytest.fixture
def two(ec2: Any) -> str:
    return own_vpc(ec2, "10.2.0.0/16")


def asked(ec2: Any, vpc_id: str, peer: str, **given: Any) -> str:
    made = ec2.create_vpc_peering_connection(VpcId=vpc_id, PeerVpcId=peer, **given)
    return str(made["VpcPeeringConnection"]["VpcPeeringConnectionId"])


def shown(ec2: Any, peering: str) -> dict[str, Any]:
    (found,) = ec2.describe_vpc_peering_connections(VpcPeeringConnectionIds=[peering])["VpcPeeringConnections"]
    return dict(found)


def status(ec2: Any, peering: str) -> tuple[str, str]:
    found = shown(ec2, peering)["Status"]
    return found["Code"], found["Message"]


def owner(ec2: Any) -> str:
    return str(ec2.describe_vpcs()["Vpcs"][0]["OwnerId"])


def test_a_request_waits_until_it_is_accepted(ec2: Any, one: str, two: str) -> None:
    me = owner(ec2)
    marked = [{"ResourceType": "vpc-peering-connection", "Tags": [{"Key": "a", "Value": "1"}]}]
    made = ec2.create_vpc_peering_connection(VpcId=one, PeerVpcId=two, TagSpecifications=marked)["VpcPeeringConnection"]
    peering = made["VpcPeeringConnectionId"]
    assert made["Status"] == {"Code": "initiating-request", "Message": f"Initiating Request to {me}"}
    waiting = shown(ec2, peering)
    assert waiting["Status"] == {"Code": "pending-acceptance", "Message": f"Pending Acceptance by {me}"}
    assert waiting["Tags"] == [{"Key": "a", "Value": "1"}]
    assert waiting["AccepterVpcInfo"] == {"OwnerId": me, "VpcId": two, "Region": "us-east-1"}
    assert waiting["RequesterVpcInfo"]["CidrBlock"] == "10.1.0.0/16"
    assert waiting["RequesterVpcInfo"]["CidrBlockSet"] == [{"CidrBlock": "10.1.0.0/16"}]
    assert "ExpirationTime" in waiting
    accepted = ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)["VpcPeeringConnection"]
    assert accepted == shown(ec2, peering)
    assert accepted["Status"] == {"Code": "active", "Message": "Active"}
    assert "ExpirationTime" not in accepted
    assert accepted["AccepterVpcInfo"]["CidrBlock"] == "10.2.0.0/16"
    assert set(accepted["AccepterVpcInfo"]["PeeringOptions"].values()) == {False}
    assert error(ec2.accept_vpc_peering_connection, VpcPeeringConnectionId=peering) == (
        "InvalidStateTransition",
        f"Invalid state transition for {peering}, attempted to transition from active to active",
    )


def test_the_request_can_be_refused(ec2: Any, one: str, two: str) -> None:
    peering = asked(ec2, one, two)
    assert ec2.reject_vpc_peering_connection(VpcPeeringConnectionId=peering)["Return"] is True
    assert status(ec2, peering)[0] == "rejected"
    assert error(ec2.delete_vpc_peering_connection, VpcPeeringConnectionId=peering) == (
        "InvalidStateTransition",
        f"Invalid state transition for {peering}, attempted to transition from rejected to deleting",
    )
    assert code(ec2.accept_vpc_peering_connection, VpcPeeringConnectionId=peering) == "InvalidStateTransition"
    assert asked(ec2, one, two) != peering, "one that has ended is in nobody's way"


def test_what_is_deleted_is_shown_for_a_while(region: Cloud, ec2: Any, one: str, two: str) -> None:
    peering = asked(ec2, one, two)
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    assert ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)["Return"] is True
    assert status(ec2, peering) == ("deleted", f"Deleted by {owner(ec2)}")
    assert code(ec2.delete_vpc_peering_connection, VpcPeeringConnectionId=peering) == "InvalidStateTransition"
    region.advance(3 * 3600)
    assert code(ec2.describe_vpc_peering_connections, VpcPeeringConnectionIds=[peering]) == (
        "InvalidVpcPeeringConnectionID.NotFound"
    )


def test_nobody_accepts_for_a_week(region: Cloud, ec2: Any, one: str, two: str) -> None:
    peering = asked(ec2, one, two)
    region.advance(6 * DAY_S)
    assert status(ec2, peering)[0] == "pending-acceptance"
    region.advance(1.5 * DAY_S)
    assert status(ec2, peering)[0] == "expired"
    assert code(ec2.accept_vpc_peering_connection, VpcPeeringConnectionId=peering) == "InvalidStateTransition"
    region.advance(2.5 * DAY_S)
    assert code(ec2.delete_vpc_peering_connection, VpcPeeringConnectionId=peering) == (
        "InvalidVpcPeeringConnectionID.NotFound"
    )


@pytest.mark.parametrize(
    "given",
    [
        {"PeerOwnerId": "999999999999"},
        {"PeerRegion": "eu-west-1"},
        {"PeerVpcId": "overlapping"},
        {"PeerVpcId": "itself"},
    ],
)
def test_a_request_that_cannot_be_met_fails(ec2: Any, one: str, two: str, given: dict[str, str]) -> None:
    chosen = {"overlapping": own_vpc(ec2, "10.1.128.0/20"), "itself": one}
    peer = chosen.get(given.get("PeerVpcId", ""), two)
    peering = asked(ec2, one, peer, **{name: value for name, value in given.items() if name != "PeerVpcId"})
    assert status(ec2, peering) == (
        "failed",
        "Failed due to incorrect VPC-ID, Account ID, or overlapping CIDR range",
    )
    assert code(ec2.accept_vpc_peering_connection, VpcPeeringConnectionId=peering) in (
        "InvalidStateTransition",
        "OperationNotPermitted",
    )
    assert code(ec2.delete_vpc_peering_connection, VpcPeeringConnectionId=peering) == "InvalidStateTransition"


def test_what_cannot_be_asked_for(ec2: Any, one: str, two: str) -> None:
    absent = "vpc-0123456789abcdef0"
    assert error(ec2.create_vpc_peering_connection, VpcId=one, PeerVpcId=absent) == (
        "InvalidVpcID.NotFound",
        f"The vpc ID '{absent}' does not exist",
    )
    assert code(ec2.create_vpc_peering_connection, VpcId=one) == "MissingParameter"
    for wrong in ({"PeerOwnerId": "1" * 13}, {"PeerOwnerId": "somebody"}, {"PeerRegion": "a" * 65}):
        assert code(ec2.create_vpc_peering_connection, VpcId=one, PeerVpcId=two, **wrong) == "InvalidParameterValue"
    assert code(ec2.accept_vpc_peering_connection, VpcPeeringConnectionId=ABSENT) == (
        "InvalidVpcPeeringConnectionID.NotFound"
    )
    asked(ec2, one, two)
    assert code(ec2.create_vpc_peering_connection, VpcId=two, PeerVpcId=one) == "VpcPeeringConnectionAlreadyExists"


def test_two_accounts(region: Cloud, account: str, ec2: Any, one: str) -> None:
    other = region.client("ec2", f"{account}-peer")
    theirs, me, they = own_vpc(other, "10.2.0.0/16"), owner(ec2), owner(other)
    peering = asked(ec2, one, theirs, PeerOwnerId=they)
    ec2.create_tags(Resources=[peering], Tags=[{"Key": "mine", "Value": "1"}])
    assert shown(other, peering)["Tags"] == [], "tags are the requester's"
    found = other.describe_vpc_peering_connections(Filters=[{"Name": "tag:mine", "Values": ["1"]}])
    assert found["VpcPeeringConnections"] == []
    assert error(ec2.accept_vpc_peering_connection, VpcPeeringConnectionId=peering) == (
        "OperationNotPermitted",
        f"User ({me}) cannot accept peering ({peering})",
    )
    assert code(ec2.reject_vpc_peering_connection, VpcPeeringConnectionId=peering) == "OperationNotPermitted"
    assert code(other.delete_vpc_peering_connection, VpcPeeringConnectionId=peering) == "OperationNotPermitted"
    assert code(other.delete_vpc, VpcId=theirs) == "DependencyViolation"
    stranger = region.client("ec2", f"{account}-stranger")
    assert stranger.describe_vpc_peering_connections()["VpcPeeringConnections"] == []
    assert code(stranger.accept_vpc_peering_connection, VpcPeeringConnectionId=peering) == (
        "InvalidVpcPeeringConnectionID.NotFound"
    )
    other.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    assert status(ec2, peering)[0] == "active"
    for client, side in ((ec2, "Accepter"), (other, "Requester")):
        options = {f"{side}PeeringConnectionOptions": {"AllowDnsResolutionFromRemoteVpc": False}}
        modify = client.modify_vpc_peering_connection_options
        assert code(modify, VpcPeeringConnectionId=peering, **options) == "OperationNotPermitted"
    other.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
    region.advance(3 * 3600)
    assert status(ec2, peering) == ("deleted", f"Deleted by {they}")
    assert code(other.describe_vpc_peering_connections, VpcPeeringConnectionIds=[peering]) == (
        "InvalidVpcPeeringConnectionID.NotFound"
    )
    region.advance(2 * DAY_S)
    assert ec2.describe_vpc_peering_connections()["VpcPeeringConnections"] == []
    assert ec2.describe_tags()["Tags"] == []


def test_options_are_off_and_cannot_be_switched_on(ec2: Any, one: str, two: str) -> None:
    peering = asked(ec2, one, two)
    off = {"AllowDnsResolutionFromRemoteVpc": False}
    modify = ec2.modify_vpc_peering_connection_options
    assert error(modify, VpcPeeringConnectionId=peering, RequesterPeeringConnectionOptions=off) == (
        "OperationNotPermitted",
        f"Peering {peering} is not active. Peering options can be added only to active peerings.",
    )
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    answer = modify(VpcPeeringConnectionId=peering, RequesterPeeringConnectionOptions=off)
    assert without_metadata(answer) == {"RequesterPeeringConnectionOptions": off}
    on = {"AllowDnsResolutionFromRemoteVpc": True}
    assert code(modify, VpcPeeringConnectionId=peering, AccepterPeeringConnectionOptions=on) == "UnsupportedOperation"
    assert code(modify, VpcPeeringConnectionId=peering) == "MissingParameter"


def test_filters(ec2: Any, one: str, two: str) -> None:
    three = own_vpc(ec2, "10.3.0.0/16")
    ec2.associate_vpc_cidr_block(VpcId=three, CidrBlock="10.30.0.0/16")
    first, second = asked(ec2, one, two), asked(ec2, two, three)
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=first)
    ec2.create_tags(Resources=[second], Tags=[{"Key": "mark", "Value": "x"}])
    expires = shown(ec2, second)["ExpirationTime"].strftime("%Y-%m-%dT%H:*")

    def found(name: str, value: str) -> set[str]:
        answer = ec2.describe_vpc_peering_connections(Filters=[{"Name": name, "Values": [value]}])
        return {each["VpcPeeringConnectionId"] for each in answer["VpcPeeringConnections"]}

    for name, value, wanted in [
        ("accepter-vpc-info.cidr-block", "10.2.0.0/16", {first}),
        ("accepter-vpc-info.cidr-block", "10.30.0.0/16", set()),
        ("accepter-vpc-info.owner-id", owner(ec2), {first, second}),
        ("accepter-vpc-info.vpc-id", three, {second}),
        ("expiration-time", expires, {second}),
        ("requester-vpc-info.cidr-block", "10.1.*", {first}),
        ("requester-vpc-info.owner-id", "999999999999", set()),
        ("requester-vpc-info.vpc-id", two, {second}),
        ("status-code", "active", {first}),
        ("status-message", "Pending*", {second}),
        ("vpc-peering-connection-id", first, {first}),
        ("tag:mark", "x", {second}),
        ("tag-key", "mark", {second}),
    ]:
        assert found(name, value) == wanted, name


def routes(ec2: Any, table: str) -> dict[str, tuple[str, str]]:
    (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    return {
        each["DestinationCidrBlock"]: (each["VpcPeeringConnectionId"], each["State"])
        for each in found["Routes"]
        if "VpcPeeringConnectionId" in each
    }


def test_routes_are_black_holes_while_the_peering_is_not_active(ec2: Any, one: str, two: str) -> None:
    peering = asked(ec2, one, two)
    table = ec2.create_route_table(VpcId=one)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.2.0.0/16", VpcPeeringConnectionId=peering)
    assert routes(ec2, table) == {"10.2.0.0/16": (peering, "blackhole")}
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    assert routes(ec2, table) == {"10.2.0.0/16": (peering, "active")}
    wanted = named(**{"route.vpc_peering_connection_id": peering})
    (found,) = ec2.describe_route_tables(Filters=wanted)["RouteTables"]
    assert found["RouteTableId"] == table
    assert ec2.describe_route_tables(Filters=named(**{"route.gateway_id": peering}))["RouteTables"] == []
    ec2.delete_vpc_peering_connection(VpcPeeringConnectionId=peering)
    assert routes(ec2, table) == {"10.2.0.0/16": (peering, "blackhole")}
    assert code(
        ec2.create_route, RouteTableId=table, DestinationCidrBlock="10.9.0.0/16", VpcPeeringConnectionId=peering
    ) == ("InvalidVpcPeeringConnectionID.NotFound")


def test_routes_lead_to_a_peering_of_the_tables_own_vpc(ec2: Any, one: str, two: str) -> None:
    table = ec2.create_route_table(VpcId=own_vpc(ec2, "10.4.0.0/16"))["RouteTable"]["RouteTableId"]
    peering = asked(ec2, one, two)
    assert error(
        ec2.create_route, RouteTableId=table, DestinationCidrBlock="10.2.0.0/16", VpcPeeringConnectionId=peering
    ) == (
        "InvalidParameterValue",
        f"route table {table} and vpc peering connection {peering} belong to different networks",
    )


def test_a_gateway_replaces_a_peering_only_where_it_may_lead(ec2: Any, one: str, two: str) -> None:
    peering = asked(ec2, one, two)
    table = ec2.create_route_table(VpcId=one)["RouteTable"]["RouteTableId"]
    door = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=door, VpcId=one)
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="10.2.0.0/16", VpcPeeringConnectionId=peering)
    given = {"RouteTableId": table, "DestinationCidrBlock": "10.2.0.0/16"}
    assert code(ec2.replace_route, **given, GatewayId=door) == "UnsupportedOperation"
    ec2.delete_route(**given)
    assert routes(ec2, table) == {}


def test_a_vpc_goes_and_takes_its_peerings_with_it(ec2: Any, one: str, two: str) -> None:
    peering = asked(ec2, one, two)
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    ec2.delete_vpc(VpcId=two)
    assert status(ec2, peering)[0] == "deleted"


def test_a_block_that_a_peer_has_is_not_added(ec2: Any, one: str, two: str) -> None:
    peering = asked(ec2, one, two)
    ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)
    ec2.associate_vpc_cidr_block(VpcId=two, CidrBlock="10.20.0.0/16")
    assert code(ec2.associate_vpc_cidr_block, VpcId=one, CidrBlock="10.20.16.0/20") == "InvalidVpc.Range"
    assert {each["CidrBlock"] for each in shown(ec2, peering)["AccepterVpcInfo"]["CidrBlockSet"]} == {
        "10.2.0.0/16",
        "10.20.0.0/16",
    }


def test_addresses_that_came_to_overlap_while_the_request_waited_make_it_fail(ec2: Any, one: str, two: str) -> None:
    peering = asked(ec2, one, two)
    ec2.associate_vpc_cidr_block(VpcId=two, CidrBlock="10.20.0.0/16")
    ec2.associate_vpc_cidr_block(VpcId=one, CidrBlock="10.20.16.0/20")
    accepted = ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)["VpcPeeringConnection"]
    assert accepted["Status"]["Code"] == "failed"


def test_an_account_asks_for_so_many_at_a_time(ec2: Any, one: str) -> None:
    for number in range(25):
        asked(ec2, one, own_vpc(ec2, f"10.{100 + number}.0.0/16"))
    another = own_vpc(ec2, "10.99.0.0/16")
    assert code(ec2.create_vpc_peering_connection, VpcId=one, PeerVpcId=another) == (
        "OutstandingVpcPeeringConnectionLimitExceeded"
    )


def test_policies_know_the_two_sides(region: Cloud, account: str, ec2: Any, one: str, two: str) -> None:
    """The caller may ask for one VPC as the peer, and for no other; and accept what comes from it."""
    iam, me = region.client("iam", account), owner(ec2)
    allowed = {
        "Effect": "Allow",
        "Action": "ec2:*VpcPeeringConnection",
        "Resource": "*",
    }
    denied = {
        "Effect": "Deny",
        "Action": "ec2:*VpcPeeringConnection",
        "Resource": f"arn:aws:ec2:us-east-1:{me}:vpc-peering-connection/*",
        "Condition": {"ArnNotEquals": {"ec2:AccepterVpc": f"arn:aws:ec2:us-east-1:{me}:vpc/{two}"}},
    }
    iam.create_user(UserName="peers")
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed, denied]})
    iam.put_user_policy(UserName="peers", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="peers")["AccessKey"]
    keys = {"access_key_id": key["AccessKeyId"], "secret_access_key": key["SecretAccessKey"]}
    user = region.client("ec2", account, keys=keys)
    three = own_vpc(ec2, "10.3.0.0/16")
    assert code(user.create_vpc_peering_connection, VpcId=one, PeerVpcId=three) == "UnauthorizedOperation"
    allowed_one, other = asked(user, one, two), asked(ec2, one, three)
    assert code(user.accept_vpc_peering_connection, VpcPeeringConnectionId=other) == "UnauthorizedOperation"
    user.accept_vpc_peering_connection(VpcPeeringConnectionId=allowed_one)
    assert status(ec2, allowed_one)[0] == "active"
