"""IPv6 through boto3: blocks of VPCs and subnets, addresses of interfaces and instances, routes, egress-only gateways."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from typing import Any

import pytest

from tests.clc.network.asking import code, default_group, error, gateway, named, own_vpc, subnet
from tests.harness.cloud import Cloud

POOL = ipaddress.IPv6Network("fd65:7563:6100::/40")


def ipv6_vpc(ec2: Any, cidr: str = "10.0.0.0/16") -> str:
    made = ec2.create_vpc(CidrBlock=cidr, AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    return str(made["VpcId"])


def block_of(ec2: Any, vpc_id: str) -> str:
    (vpc,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    return str(vpc["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"])


def part(ec2: Any, vpc_id: str, number: int = 0) -> str:
    """A /64 of the VPC's block."""
    network = ipaddress.IPv6Network(block_of(ec2, vpc_id))
    return str(ipaddress.IPv6Network((int(network.network_address) + (number << 64), 64)))


def ipv6_subnet(ec2: Any, vpc_id: str, number: int = 0, assign: bool = False) -> str:
    place = subnet(ec2, vpc_id, f"10.0.{number + 1}.0/24")
    ec2.associate_subnet_cidr_block(SubnetId=place, Ipv6CidrBlock=part(ec2, vpc_id, number))
    if assign:
        ec2.modify_subnet_attribute(SubnetId=place, AssignIpv6AddressOnCreation={"Value": True})
    return place


def seen(ec2: Any, interface_id: str) -> dict[str, Any]:
    (found,) = ec2.describe_network_interfaces(NetworkInterfaceIds=[interface_id])["NetworkInterfaces"]
    return dict(found)


def interface(ec2: Any, place: str, **given: Any) -> dict[str, Any]:
    return dict(ec2.create_network_interface(SubnetId=place, **given)["NetworkInterface"])


@pytest.fixture
def vpc_id(ec2: Any) -> str:
    return ipv6_vpc(ec2)


# --- VPCs


def test_a_vpc_gets_a_block_of_the_regions_pool_that_it_is_told_of_once_it_is_there(ec2: Any) -> None:
    made = ec2.create_vpc(CidrBlock="10.0.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    (coming,) = made["Ipv6CidrBlockAssociationSet"]
    assert (coming["Ipv6CidrBlock"], coming["Ipv6CidrBlockState"]) == ("", {"State": "associating"})
    (vpc,) = ec2.describe_vpcs(VpcIds=[made["VpcId"]])["Vpcs"]
    (block,) = vpc["Ipv6CidrBlockAssociationSet"]
    assert block == {
        "AssociationId": coming["AssociationId"],
        "Ipv6CidrBlock": block["Ipv6CidrBlock"],
        "Ipv6CidrBlockState": {"State": "associated"},
        "NetworkBorderGroup": "us-east-1",
        "Ipv6Pool": "Amazon",
        "Ipv6AddressAttribute": "public",
        "IpSource": "amazon",
    }
    network = ipaddress.IPv6Network(block["Ipv6CidrBlock"])
    assert network.prefixlen == 56
    assert network.subnet_of(POOL)


def test_a_vpc_gets_ipv6_later_and_loses_it_when_no_subnet_has_of_it(ec2: Any) -> None:
    vpc_id = own_vpc(ec2)
    made = ec2.associate_vpc_cidr_block(VpcId=vpc_id, AmazonProvidedIpv6CidrBlock=True)
    association = made["Ipv6CidrBlockAssociation"]["AssociationId"]
    assert made["Ipv6CidrBlockAssociation"]["Ipv6CidrBlockState"] == {"State": "associating"}
    block = block_of(ec2, vpc_id)
    place = ipv6_subnet(ec2, vpc_id)
    assert error(ec2.disassociate_vpc_cidr_block, AssociationId=association) == (
        "InvalidCidrBlock.InUse",
        f"The vpc {vpc_id} currently has a subnet within CIDR block {block}",
    )
    (held,) = ec2.describe_subnets(SubnetIds=[place])["Subnets"]
    ec2.disassociate_subnet_cidr_block(AssociationId=held["Ipv6CidrBlockAssociationSet"][0]["AssociationId"])
    gone = ec2.disassociate_vpc_cidr_block(AssociationId=association)
    assert gone["Ipv6CidrBlockAssociation"]["Ipv6CidrBlockState"] == {"State": "disassociating"}
    (vpc,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    assert not vpc.get("Ipv6CidrBlockAssociationSet")
    assert code(ec2.disassociate_vpc_cidr_block, AssociationId=association) == (
        "InvalidVpcCidrBlockAssociationIdError.NotFound"
    )


def test_no_two_vpcs_have_addresses_in_common(region: Cloud, ec2: Any) -> None:
    other = region.client("ec2", "ipv6-neighbour")
    blocks = [block_of(client, ipv6_vpc(client)) for client in (ec2, ec2, other)]
    assert len(set(blocks)) == 3


def test_five_ipv6_blocks_are_the_most(ec2: Any, vpc_id: str) -> None:
    for _ in range(4):
        ec2.associate_vpc_cidr_block(VpcId=vpc_id, AmazonProvidedIpv6CidrBlock=True)
    assert error(ec2.associate_vpc_cidr_block, VpcId=vpc_id, AmazonProvidedIpv6CidrBlock=True) == (
        "CidrLimitExceeded",
        f"This network {vpc_id} has met its maximum number of allowed CIDRs: 5",
    )
    assert ec2.delete_vpc(VpcId=vpc_id)


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"Ipv6Pool": "ipv6pool-ec2-0123456789abcdef0"}, "UnsupportedOperation"),
        ({"AmazonProvidedIpv6CidrBlock": True, "CidrBlock": "10.1.0.0/16"}, "InvalidParameterCombination"),
        ({"AmazonProvidedIpv6CidrBlock": True, "Ipv6CidrBlockNetworkBorderGroup": "mars"}, "InvalidParameterValue"),
        ({}, "MissingParameter"),
    ],
)
def test_blocks_that_a_vpc_cannot_get(ec2: Any, given: dict[str, Any], refused: str) -> None:
    assert code(ec2.associate_vpc_cidr_block, VpcId=own_vpc(ec2), **given) == refused


def test_vpcs_and_subnets_are_found_by_their_ipv6_blocks(ec2: Any, vpc_id: str) -> None:
    block, place = block_of(ec2, vpc_id), ipv6_subnet(ec2, vpc_id)
    (vpc,) = ec2.describe_vpcs(VpcIds=[vpc_id])["Vpcs"]
    association = vpc["Ipv6CidrBlockAssociationSet"][0]["AssociationId"]
    for name, value in [
        ("ipv6-cidr-block", block),
        ("association-id", association),
        ("ipv6-pool", "Amazon"),
        ("state", "associated"),
    ]:
        wanted = [{"Name": f"ipv6-cidr-block-association.{name}", "Values": [value]}]
        assert [one["VpcId"] for one in ec2.describe_vpcs(Filters=wanted)["Vpcs"]] == [vpc_id], name
    wanted = [{"Name": "ipv6-cidr-block-association.ipv6-cidr-block", "Values": [part(ec2, vpc_id)]}]
    assert [one["SubnetId"] for one in ec2.describe_subnets(Filters=wanted)["Subnets"]] == [place]


def test_with_ipv6_the_default_acl_and_untouched_groups_let_it_out(ec2: Any) -> None:
    vpc_id = own_vpc(ec2)
    touched = ec2.create_security_group(GroupName="closed", Description="d", VpcId=vpc_id)["GroupId"]
    everything = [{"IpProtocol": "-1", "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.revoke_security_group_egress(GroupId=touched, IpPermissions=everything)
    closed = ec2.create_network_acl(VpcId=vpc_id)["NetworkAcl"]["NetworkAclId"]
    ec2.associate_vpc_cidr_block(VpcId=vpc_id, AmazonProvidedIpv6CidrBlock=True)
    later = ec2.create_security_group(GroupName="later", Description="d", VpcId=vpc_id)["GroupId"]

    def out(group: str) -> list[str]:
        (found,) = ec2.describe_security_groups(GroupIds=[group])["SecurityGroups"]
        return [
            each.get("CidrIp") or each["CidrIpv6"]
            for one in found["IpPermissionsEgress"]
            for each in (*one["IpRanges"], *one["Ipv6Ranges"])
        ]

    assert out(default_group(ec2, vpc_id)) == out(later) == ["0.0.0.0/0", "::/0"]
    assert out(touched) == []
    acls = {one["NetworkAclId"]: one for one in ec2.describe_network_acls(Filters=named(vpc_id=vpc_id))["NetworkAcls"]}
    for acl_id, acl in acls.items():
        for egress in (True, False):
            said = [
                (one["RuleNumber"], one["RuleAction"])
                for one in acl["Entries"]
                if one["Egress"] is egress and one.get("Ipv6CidrBlock") == "::/0"
            ]
            assert said == [(32768, "deny")] if acl_id == closed else [(101, "allow"), (32768, "deny")]


# --- subnets


def test_a_subnet_gets_its_block_at_birth_or_later(ec2: Any, vpc_id: str) -> None:
    born = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.0.9.0/24", Ipv6CidrBlock=part(ec2, vpc_id, 9))["Subnet"]
    (block,) = born["Ipv6CidrBlockAssociationSet"]
    assert block == {
        "AssociationId": block["AssociationId"],
        "Ipv6CidrBlock": part(ec2, vpc_id, 9),
        "Ipv6CidrBlockState": {"State": "associated"},
        "Ipv6AddressAttribute": "public",
        "IpSource": "amazon",
    }
    place = subnet(ec2, vpc_id)
    made = ec2.associate_subnet_cidr_block(SubnetId=place, Ipv6CidrBlock=part(ec2, vpc_id, 1))
    assert made["SubnetId"] == place
    assert made["Ipv6CidrBlockAssociation"]["Ipv6CidrBlockState"] == {"State": "associating"}
    second = error(ec2.associate_subnet_cidr_block, SubnetId=place, Ipv6CidrBlock=part(ec2, vpc_id, 2))
    assert second == ("CidrLimitExceeded", f"This subnet {place} has met its maximum number of allowed CIDRs: 1")


def test_blocks_that_a_subnet_cannot_have(ec2: Any, vpc_id: str) -> None:
    ipv6_subnet(ec2, vpc_id)
    place, block = subnet(ec2, vpc_id, "10.0.200.0/24"), block_of(ec2, vpc_id)
    taken, long = part(ec2, vpc_id), part(ec2, vpc_id, 5).replace("/64", "/80")
    for given, refused in [
        ("2001:db8::/64", ("InvalidSubnet.Range", "The CIDR '2001:db8::/64' is invalid.")),
        (taken, ("InvalidSubnet.Conflict", f"The CIDR '{taken}' conflicts with another subnet")),
        (block, ("InvalidParameterValue", f"invalid value for parameter ipv6-cidr-block: {block}")),
        (long, ("InvalidParameterValue", f"invalid value for parameter ipv6-cidr-block: {long}")),
        ("10.0.0.0/24", ("InvalidParameterValue", "invalid value for parameter ipv6-cidr-block: 10.0.0.0/24")),
        ("fe80::%eth0/64", ("InvalidParameterValue", "invalid value for parameter ipv6-cidr-block: fe80::%eth0/64")),
    ]:
        assert error(ec2.associate_subnet_cidr_block, SubnetId=place, Ipv6CidrBlock=given) == refused
    assert code(ec2.create_subnet, VpcId=vpc_id, CidrBlock="10.0.201.0/24", Ipv6Native=True) == "UnsupportedOperation"


def test_a_block_stays_while_new_interfaces_get_of_it_or_one_has(ec2: Any, vpc_id: str) -> None:
    place = ipv6_subnet(ec2, vpc_id, assign=True)
    (held,) = ec2.describe_subnets(SubnetIds=[place])["Subnets"]
    assert held["AssignIpv6AddressOnCreation"] is True
    association = held["Ipv6CidrBlockAssociationSet"][0]["AssociationId"]
    made = interface(ec2, place)
    assert error(ec2.disassociate_subnet_cidr_block, AssociationId=association) == (
        "InvalidCidrBlock.InUse",
        f"The subnet IPv6 CIDR block with association ID {association} may not be disassociated, because its subnet has "
        "assign-ipv6-address-on-creation set to true.",
    )
    ec2.modify_subnet_attribute(SubnetId=place, AssignIpv6AddressOnCreation={"Value": False})
    assert code(ec2.disassociate_subnet_cidr_block, AssociationId=association) == "InvalidCidrBlock.InUse"
    ec2.delete_network_interface(NetworkInterfaceId=made["NetworkInterfaceId"])
    gone = ec2.disassociate_subnet_cidr_block(AssociationId=association)
    assert gone["Ipv6CidrBlockAssociation"]["Ipv6CidrBlockState"] == {"State": "disassociating"}
    assert ec2.describe_subnets(SubnetIds=[place])["Subnets"][0]["Ipv6CidrBlockAssociationSet"] == []
    assert code(ec2.disassociate_subnet_cidr_block, AssociationId=association) == (
        "InvalidSubnetCidrBlockAssociationID.NotFound"
    )
    assert error(ec2.modify_subnet_attribute, SubnetId=place, AssignIpv6AddressOnCreation={"Value": True}) == (
        "InvalidParameterValue",
        "Invalid value 'true' for assign-ipv6-address-on-creation. Cannot set assign-ipv6-address-on-creation to true unless "
        f"the subnet ({place}) has an IPv6 CIDR block associated with it.",
    )


# --- interfaces


def test_an_interface_gets_addresses_by_name_by_number_and_by_its_subnets_wish(ec2: Any, vpc_id: str) -> None:
    place = ipv6_subnet(ec2, vpc_id, assign=True)
    network = ipaddress.IPv6Network(part(ec2, vpc_id))
    wanted = str(network[0x1234])
    named_ = interface(ec2, place, Ipv6Addresses=[{"Ipv6Address": wanted.upper()}])
    assert named_["Ipv6Addresses"] == [{"Ipv6Address": wanted, "IsPrimaryIpv6": False}]
    assert named_["Ipv6Address"] == wanted
    counted = interface(ec2, place, Ipv6AddressCount=3)
    by_itself = interface(ec2, place)
    none = interface(ec2, place, Ipv6AddressCount=0)
    assert [len(one["Ipv6Addresses"]) for one in (counted, by_itself, none)] == [3, 1, 0]
    every = {one["Ipv6Address"] for made in (named_, counted, by_itself) for one in made["Ipv6Addresses"]}
    assert len(every) == 5
    assert all(ipaddress.IPv6Address(ip) in network for ip in every)
    found = ec2.describe_network_interfaces(Filters=[{"Name": "ipv6-addresses.ipv6-address", "Values": [wanted]}])[
        "NetworkInterfaces"
    ]
    assert [one["NetworkInterfaceId"] for one in found] == [named_["NetworkInterfaceId"]]


def test_addresses_come_and_go(ec2: Any, vpc_id: str) -> None:
    place = ipv6_subnet(ec2, vpc_id)
    wanted = str(ipaddress.IPv6Network(part(ec2, vpc_id))[77])
    made = interface(ec2, place)["NetworkInterfaceId"]
    got = ec2.assign_ipv6_addresses(NetworkInterfaceId=made, Ipv6Addresses=[wanted])
    assert got["AssignedIpv6Addresses"] == [wanted]
    more = ec2.assign_ipv6_addresses(NetworkInterfaceId=made, Ipv6AddressCount=2)["AssignedIpv6Addresses"]
    assert [one["Ipv6Address"] for one in seen(ec2, made)["Ipv6Addresses"]] == [wanted, *more]
    other = interface(ec2, place)["NetworkInterfaceId"]
    assert error(ec2.assign_ipv6_addresses, NetworkInterfaceId=other, Ipv6Addresses=[wanted]) == (
        "InvalidIPAddress.InUse",
        f"Address {wanted} is in use.",
    )
    gone = ec2.unassign_ipv6_addresses(NetworkInterfaceId=made, Ipv6Addresses=[wanted, more[0]])
    assert gone["UnassignedIpv6Addresses"] == [wanted, more[0]]
    assert [one["Ipv6Address"] for one in seen(ec2, made)["Ipv6Addresses"]] == more[1:]
    assert code(ec2.unassign_ipv6_addresses, NetworkInterfaceId=made, Ipv6Addresses=[wanted]) == "InvalidParameterValue"
    ec2.assign_ipv6_addresses(NetworkInterfaceId=other, Ipv6Addresses=[wanted])


def test_addresses_that_a_block_cannot_give(ec2: Any, vpc_id: str) -> None:
    place, bare = ipv6_subnet(ec2, vpc_id), subnet(ec2, vpc_id, "10.0.77.0/24")
    network = ipaddress.IPv6Network(part(ec2, vpc_id))
    first, last = str(network[3]), str(network[-1])
    reserved = "is in subnet's reserved address range"
    for ip, message in [
        (first, f"Address {first} {reserved}"),
        (last, f"Address {last} {reserved}"),
        ("2001:db8::1", "Address 2001:db8::1 does not fall within the subnet's address range"),
        ("10.0.1.9", "Invalid IPv6 address: 10.0.1.9"),
        ("fe80::1%lo", "Invalid IPv6 address: fe80::1%lo"),
    ]:
        given = {"SubnetId": place, "Ipv6Addresses": [{"Ipv6Address": ip}]}
        assert error(ec2.create_network_interface, **given) == ("InvalidParameterValue", message)
    none = ("InvalidParameterValue", "The subnet has no IPv6 CIDR block associated with it.")
    assert error(ec2.create_network_interface, SubnetId=bare, Ipv6AddressCount=1) == none
    made = interface(ec2, bare)["NetworkInterfaceId"]
    assert error(ec2.assign_ipv6_addresses, NetworkInterfaceId=made, Ipv6AddressCount=1) == none
    assert code(ec2.assign_ipv6_addresses, NetworkInterfaceId=made) == "MissingParameter"
    for call, given in (
        (ec2.assign_ipv6_addresses, {"NetworkInterfaceId": made}),
        (ec2.create_network_interface, {"SubnetId": place}),
    ):
        assert code(call, **given, Ipv6AddressCount=-1) == "InvalidParameterValue"
    assert code(ec2.assign_ipv6_addresses, NetworkInterfaceId=made, Ipv6AddressCount=51) == (
        "PrivateIpAddressLimitExceeded"
    )


def test_a_primary_ipv6_address_stays(ec2: Any, vpc_id: str) -> None:
    place = ipv6_subnet(ec2, vpc_id)
    made = interface(ec2, place, Ipv6AddressCount=2, EnablePrimaryIpv6=True)
    assert [one["IsPrimaryIpv6"] for one in made["Ipv6Addresses"]] == [True, False]
    first, second = (one["Ipv6Address"] for one in made["Ipv6Addresses"])
    interface_id = made["NetworkInterfaceId"]
    assert code(ec2.unassign_ipv6_addresses, NetworkInterfaceId=interface_id, Ipv6Addresses=[first]) == (
        "InvalidParameterValue"
    )
    ec2.unassign_ipv6_addresses(NetworkInterfaceId=interface_id, Ipv6Addresses=[second])
    later = interface(ec2, place, Ipv6AddressCount=1)["NetworkInterfaceId"]
    ec2.modify_network_interface_attribute(NetworkInterfaceId=later, EnablePrimaryIpv6=True)
    assert seen(ec2, later)["Ipv6Addresses"][0]["IsPrimaryIpv6"] is True


# --- instances


def test_an_instance_has_ipv6_addresses_and_its_node_is_told(
    region: Cloud, ec2: Any, vpc_id: str, run: Callable[..., str]
) -> None:
    place = ipv6_subnet(ec2, vpc_id, assign=True)
    instance_id = run(SubnetId=place)
    (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
    shown = reservation["Instances"][0]
    (nic,) = shown["NetworkInterfaces"]
    (address,) = [one["Ipv6Address"] for one in nic["Ipv6Addresses"]]
    assert shown["Ipv6Address"] == address
    wanted = [{"Name": "network-interface.ipv6-addresses.ipv6-address", "Values": [address]}]
    (found,) = ec2.describe_instances(Filters=wanted)["Reservations"]
    assert found["Instances"][0]["InstanceId"] == instance_id
    node = region.node("node-a1")
    assert node.nc.spec is not None
    told = node.nc.spec.instances[instance_id].nics[0]
    assert (told.ipv6s, told.subnet_cidr6, told.vpc_cidrs6) == (
        (address,),
        part(ec2, vpc_id),
        (block_of(ec2, vpc_id),),
    )


def test_a_launch_names_or_counts_its_addresses(ec2: Any, vpc_id: str, run: Callable[..., str]) -> None:
    place = ipv6_subnet(ec2, vpc_id)
    wanted = str(ipaddress.IPv6Network(part(ec2, vpc_id))[0xABC])

    def addresses(instance_id: str) -> list[str]:
        (reservation,) = ec2.describe_instances(InstanceIds=[instance_id])["Reservations"]
        (nic,) = reservation["Instances"][0]["NetworkInterfaces"]
        return [one["Ipv6Address"] for one in nic["Ipv6Addresses"]]

    assert addresses(run(SubnetId=place, Ipv6Addresses=[{"Ipv6Address": wanted}])) == [wanted]
    assert len(addresses(run(SubnetId=place, Ipv6AddressCount=2))) == 2
    plug = {"DeviceIndex": 0, "SubnetId": place, "Ipv6AddressCount": 1, "PrimaryIpv6": True}
    assert len(addresses(run(NetworkInterfaces=[plug]))) == 1
    assert addresses(run(SubnetId=place)) == []


def test_launches_that_cannot_be_addressed(ec2: Any, vpc_id: str, image: str) -> None:
    bare = subnet(ec2, vpc_id)
    base = {"ImageId": image, "InstanceType": "t2.nano", "MinCount": 1, "MaxCount": 1}
    assert error(ec2.run_instances, **base, SubnetId=bare, Ipv6AddressCount=1) == (
        "InvalidParameterValue",
        "The subnet has no IPv6 CIDR block associated with it.",
    )
    plug = {"DeviceIndex": 0, "SubnetId": bare}
    assert code(ec2.run_instances, **base, NetworkInterfaces=[plug], Ipv6AddressCount=1) == (
        "InvalidParameterCombination"
    )
    assert code(ec2.run_instances, **base, NetworkInterfaces=[plug], EnablePrimaryIpv6=True) == (
        "InvalidParameterCombination"
    )
    two = {**base, "MinCount": 2, "MaxCount": 2, "SubnetId": bare, "Ipv6Addresses": [{"Ipv6Address": "2001:db8::9"}]}
    assert code(ec2.run_instances, **two) == "InvalidParameterCombination"


# --- routes


def routes(ec2: Any, table: str) -> dict[str, dict[str, str]]:
    (found,) = ec2.describe_route_tables(RouteTableIds=[table])["RouteTables"]
    return {one["DestinationIpv6CidrBlock"]: one for one in found["Routes"] if "DestinationIpv6CidrBlock" in one}


def test_ipv6_leaves_by_an_internet_gateway_or_an_egress_only_one(ec2: Any, vpc_id: str) -> None:
    door = gateway(ec2, vpc_id)
    table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    block = block_of(ec2, vpc_id)
    assert {to: one["GatewayId"] for to, one in routes(ec2, table).items()} == {block: "local"}
    ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0", GatewayId=door)
    assert routes(ec2, table)["::/0"] == {
        "DestinationIpv6CidrBlock": "::/0",
        "GatewayId": door,
        "Origin": "CreateRoute",
        "State": "active",
    }
    made = ec2.create_egress_only_internet_gateway(VpcId=vpc_id)["EgressOnlyInternetGateway"]
    outgoing = made["EgressOnlyInternetGatewayId"]
    ec2.replace_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0", EgressOnlyInternetGatewayId=outgoing)
    assert routes(ec2, table)["::/0"]["EgressOnlyInternetGatewayId"] == outgoing
    wanted = [{"Name": "route.egress-only-internet-gateway-id", "Values": [outgoing]}]
    assert [one["RouteTableId"] for one in ec2.describe_route_tables(Filters=wanted)["RouteTables"]] == [table]
    ec2.delete_egress_only_internet_gateway(EgressOnlyInternetGatewayId=outgoing)
    assert routes(ec2, table)["::/0"]["State"] == "blackhole"
    ec2.delete_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0")
    assert list(routes(ec2, table)) == [block]


def test_routes_of_ipv6_that_cannot_be(ec2: Any, vpc_id: str) -> None:
    door, table = gateway(ec2, vpc_id), ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    made = ec2.create_egress_only_internet_gateway(VpcId=vpc_id)["EgressOnlyInternetGateway"]
    outgoing, inside = made["EgressOnlyInternetGatewayId"], part(ec2, vpc_id)
    elsewhere = own_vpc(ec2, "10.9.0.0/16")
    foreign = ec2.create_egress_only_internet_gateway(VpcId=elsewhere)["EgressOnlyInternetGateway"]
    for given, refused in [
        ({"DestinationIpv6CidrBlock": inside, "GatewayId": door}, "InvalidParameterValue"),
        ({"DestinationIpv6CidrBlock": "nonsense", "GatewayId": door}, "InvalidParameterValue"),
        (
            {
                "DestinationIpv6CidrBlock": "::/0",
                "EgressOnlyInternetGatewayId": foreign["EgressOnlyInternetGatewayId"],
            },
            "InvalidParameterValue",
        ),
        ({"DestinationCidrBlock": "0.0.0.0/0", "EgressOnlyInternetGatewayId": outgoing}, "InvalidParameterValue"),
        ({"DestinationIpv6CidrBlock": "2001:db8::/32", "GatewayId": door}, "UnsupportedOperation"),
        (
            {"DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-0123456789abcdef0"},
            "InvalidGatewayID.NotFound",
        ),
        (
            {"DestinationIpv6CidrBlock": "::/0", "DestinationCidrBlock": "0.0.0.0/0", "GatewayId": door},
            "InvalidParameterCombination",
        ),
    ]:
        assert code(ec2.create_route, RouteTableId=table, **given) == refused, given
    ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock="::/0", GatewayId=door)
    assert code(ec2.create_route, RouteTableId=table, DestinationIpv6CidrBlock="0::/0", GatewayId=door) == (
        "RouteAlreadyExists"
    )


def test_a_peering_carries_ipv6_and_shows_its_blocks(ec2: Any, vpc_id: str) -> None:
    other = ipv6_vpc(ec2, "10.9.0.0/16")
    made = ec2.create_vpc_peering_connection(VpcId=vpc_id, PeerVpcId=other)["VpcPeeringConnection"]
    peering = made["VpcPeeringConnectionId"]
    shown = ec2.accept_vpc_peering_connection(VpcPeeringConnectionId=peering)["VpcPeeringConnection"]
    for side, owner in (("RequesterVpcInfo", vpc_id), ("AccepterVpcInfo", other)):
        assert shown[side]["Ipv6CidrBlockSet"] == [{"Ipv6CidrBlock": block_of(ec2, owner)}]
    table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
    there = block_of(ec2, other)
    ec2.create_route(RouteTableId=table, DestinationIpv6CidrBlock=there, VpcPeeringConnectionId=peering)
    assert routes(ec2, table)[there] == {
        "DestinationIpv6CidrBlock": there,
        "VpcPeeringConnectionId": peering,
        "Origin": "CreateRoute",
        "State": "active",
    }


def test_an_egress_only_gateway_as_ec2_shows_it(ec2: Any, vpc_id: str) -> None:
    tags = [{"Key": "Name", "Value": "out"}]
    made = ec2.create_egress_only_internet_gateway(
        VpcId=vpc_id,
        ClientToken="once",
        TagSpecifications=[{"ResourceType": "egress-only-internet-gateway", "Tags": tags}],
    )
    shown = made["EgressOnlyInternetGateway"]
    assert made["ClientToken"] == "once"
    assert shown == {
        "Attachments": [{"State": "attached", "VpcId": vpc_id}],
        "EgressOnlyInternetGatewayId": shown["EgressOnlyInternetGatewayId"],
        "Tags": tags,
    }
    found = ec2.describe_egress_only_internet_gateways(Filters=[{"Name": "tag:Name", "Values": ["out"]}])
    assert found["EgressOnlyInternetGateways"] == [shown]
    assert code(ec2.delete_vpc, VpcId=vpc_id) == "DependencyViolation"
    gone = {"EgressOnlyInternetGatewayId": shown["EgressOnlyInternetGatewayId"]}
    assert ec2.delete_egress_only_internet_gateway(**gone)["ReturnCode"] is True
    assert code(ec2.delete_egress_only_internet_gateway, **gone) == "InvalidGatewayID.NotFound"
    assert ec2.delete_vpc(VpcId=vpc_id)


# --- limits


def test_limits_of_rules_and_entries_are_of_each_family(ec2: Any, vpc_id: str) -> None:
    group = ec2.create_security_group(GroupName="full", Description="d", VpcId=vpc_id)["GroupId"]
    four = [{"CidrIp": f"10.{number}.0.0/16"} for number in range(60)]
    six = [{"CidrIpv6": f"2001:db8:{number:x}::/48"} for number in range(60)]
    for name, blocks in (("IpRanges", four), ("Ipv6Ranges", six)):
        rules = [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, name: blocks}]
        ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=rules)
    one_more = [{"IpProtocol": "tcp", "FromPort": 23, "ToPort": 23, "Ipv6Ranges": [{"CidrIpv6": "::/0"}]}]
    assert code(ec2.authorize_security_group_ingress, GroupId=group, IpPermissions=one_more) == (
        "RulesPerSecurityGroupLimitExceeded"
    )
    acl = ec2.create_network_acl(VpcId=vpc_id)["NetworkAcl"]["NetworkAclId"]
    entry = {"NetworkAclId": acl, "Protocol": "-1", "RuleAction": "allow", "Egress": False}
    for number in range(1, 20):
        ec2.create_network_acl_entry(**entry, RuleNumber=number, CidrBlock="10.0.0.0/8")
        ec2.create_network_acl_entry(**entry, RuleNumber=100 + number, Ipv6CidrBlock="::/0")
    for block in ({"CidrBlock": "10.0.0.0/8"}, {"Ipv6CidrBlock": "::/0"}):
        assert code(ec2.create_network_acl_entry, **entry, RuleNumber=500, **block) == "NetworkAclEntryLimitExceeded"
