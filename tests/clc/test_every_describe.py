"""Every EC2 operation that describes: pages, filters and ids are EC2's own, whatever the operation.

What an operation takes is read from botocore's model, its documentation included (which filters there are, what MaxResults
does not go with), so that one that is added is held to the same without a line here. `IDS` has the codes of each kind of id.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.model import ListShape, Shape

from eucapy.clc.ec2 import load
from tests.clc.asking import answer
from tests.clc.launching import image
from tests.harness.cloud import Cloud

EC2 = load()
ZONE = "us-east-1a"
MANY = 7
"""More than the shortest page of any operation."""


def _codes(table: str) -> dict[str, tuple[str, str, str]]:
    rows = (line.split() for line in table.strip().splitlines())
    return {member: (prefix.removeprefix("-"), missing, malformed) for member, prefix, missing, malformed in rows}


IDS = _codes(
    """
AllocationIds eipalloc InvalidAllocationID.NotFound InvalidAllocationID.NotFound
AssociationIds iip-assoc NoSuchAssociation InvalidParameterValue
CapacityReservationIds cr InvalidCapacityReservationId.NotFound InvalidCapacityReservationId.Malformed
CarrierGatewayIds cagw InvalidCarrierGatewayID.NotFound InvalidCarrierGatewayID.Malformed
CustomerGatewayIds cgw InvalidCustomerGatewayID.NotFound InvalidCustomerGatewayId.Malformed
DescribePlacementGroups.GroupIds pg InvalidPlacementGroup.Unknown InvalidPlacementGroupId.Malformed
DhcpOptionsIds dopt InvalidDhcpOptionID.NotFound InvalidDhcpOptionsId.Malformed
EgressOnlyInternetGatewayIds eigw InvalidGatewayID.NotFound InvalidEgressOnlyInternetGatewayId.Malformed
FleetIds fleet InvalidFleetId.NotFound InvalidFleetId.Malformed
FlowLogIds fl InvalidFlowLogId.NotFound InvalidParameterValue
DescribeExportTasks.ExportTaskIds export-i InvalidExportTaskID.NotFound InvalidExportTaskID.Malformed
ExportImageTaskIds export-ami InvalidExportTaskID.NotFound InvalidExportTaskID.Malformed
DescribeImportImageTasks.ImportTaskIds import-ami InvalidConversionTaskId.Malformed InvalidConversionTaskId.Malformed
DescribeImportSnapshotTasks.ImportTaskIds import-snap InvalidConversionTaskId.Malformed InvalidConversionTaskId.Malformed
GroupIds sg InvalidGroup.NotFound InvalidGroupId.Malformed
HostIds h InvalidHostID.NotFound InvalidHostID.Malformed
ImageIds ami InvalidAMIID.NotFound InvalidAMIID.Malformed
InstanceConnectEndpointIds eice InvalidInstanceConnectEndpointId.NotFound InvalidInstanceConnectEndpointId.Malformed
InstanceIds i InvalidInstanceID.NotFound InvalidInstanceID.Malformed
InternetGatewayIds igw InvalidInternetGatewayID.NotFound InvalidInternetGatewayId.Malformed
KeyPairIds key InvalidKeyPair.NotFound InvalidKeyPair.NotFound
LaunchTemplateIds lt InvalidLaunchTemplateId.NotFound InvalidLaunchTemplateId.Malformed
LocalGatewayIds lgw InvalidLocalGatewayID.NotFound InvalidLocalGatewayID.Malformed
NatGatewayIds nat NatGatewayNotFound NatGatewayMalformed
NetworkAclIds acl InvalidNetworkAclID.NotFound InvalidNetworkAclId.Malformed
NetworkInterfaceIds eni InvalidNetworkInterfaceID.NotFound InvalidNetworkInterfaceId.Malformed
PrefixListIds pl InvalidPrefixListID.NotFound InvalidPrefixListId.Malformed
ReservedInstancesIds - InvalidReservedInstancesId InvalidReservedInstancesId
ReservedInstancesOfferingIds - InvalidReservedInstancesOfferingId InvalidReservedInstancesOfferingId
RouteTableIds rtb InvalidRouteTableID.NotFound InvalidRouteTableId.Malformed
SecurityGroupRuleIds sgr InvalidSecurityGroupRuleId.NotFound InvalidSecurityGroupRuleId.Malformed
SnapshotIds snap InvalidSnapshot.NotFound InvalidParameterValue
SpotFleetRequestIds sfr InvalidSpotFleetRequestId.NotFound InvalidSpotFleetRequestId.Malformed
SpotInstanceRequestIds sir InvalidSpotInstanceRequestID.NotFound InvalidSpotInstanceRequestID.Malformed
SubnetIds subnet InvalidSubnetID.NotFound InvalidSubnetID.Malformed
TransitGatewayAttachmentIds tgw-attach InvalidTransitGatewayAttachmentID.NotFound InvalidTransitGatewayAttachmentID.Malformed
TransitGatewayIds tgw InvalidTransitGatewayID.NotFound InvalidTransitGatewayID.Malformed
VolumeIds vol InvalidVolume.NotFound InvalidParameterValue
VpcEndpointIds vpce InvalidVpcEndpointId.NotFound InvalidVpcEndpointId.Malformed
VpcIds vpc InvalidVpcID.NotFound InvalidVpcID.Malformed
VpcPeeringConnectionIds pcx InvalidVpcPeeringConnectionID.NotFound InvalidVpcPeeringConnectionId.Malformed
VpnConnectionIds vpn InvalidVpnConnectionID.NotFound InvalidVpnConnectionID
VpnGatewayIds vgw InvalidVpnGatewayID.NotFound InvalidVpnGatewayID.Malformed
"""
)
"""Member → prefix (- for none), code for one that does not exist, code for what cannot be one. EC2 API reference, "Error
codes"."""

NO_IDS = {"OwnerIds", "RestorableByUserIds", "ZoneIds"}
"""Members that narrow what is shown: a value that nothing has shows nothing. (A zone has a code of its own.)"""

VALUES = {"group-id": "sg-0123456789abcdef0"}
"""What nothing has, for filters whose values are checked."""

WITHOUT_PAGINATOR = {"GetSubnetCidrReservations"}
"""botocore's client pages through these no more than by hand."""

TAKES_MORE = {"DescribeVpcEndpoints"}
"""`If the value is greater than 1,000, we return only 1,000 items.`"""


class World:
    """A cloud at rest with more than a page of everything."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud, self.ec2, self.stranger = cloud, cloud.client("ec2"), cloud.client("ec2", "stranger")
        self.required = _populate(cloud)

    def input(self, action: str) -> dict[str, Shape]:
        shape = self.ec2.meta.service_model.operation_model(action).input_shape
        return dict(shape.members) if shape is not None else {}

    def parameters(self, action: str) -> dict[str, Any]:
        """What the operation cannot do without."""
        shape = self.ec2.meta.service_model.operation_model(action).input_shape
        needed = shape.required_members if shape is not None else []
        return {**self.required.get(action, {}), **{name: self.required["every"][name] for name in needed}}

    def asked(self, action: str, **more: Any) -> tuple[int, str, str]:
        return answer(self.ec2, action, {**self.parameters(action), **more})

    def tokens(self, client: Any) -> dict[str, str]:
        """A token for the second page, of each operation that can be asked for pages."""
        found = {}
        for action in paged(self):
            method, least = getattr(client, _method(client, action)), least_page(self, action)
            token = method(**self.parameters(action), MaxResults=least).get("NextToken")
            if token:
                found[action] = token
        return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, new_database: Any) -> Iterator[World]:
    folder: Path = tmp_path_factory.mktemp("every") / "cloud"
    with new_database() as url, Cloud(folder, database=url) as cloud:
        yield World(cloud)


def _populate(cloud: Cloud) -> dict[str, Any]:
    ec2 = cloud.client("ec2")
    ami = image(cloud)
    own = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    placed = {"InstanceType": "t3.large", "Placement": {"AvailabilityZone": ZONE}}
    volumes = []
    for number in range(MANY):
        made = ec2.run_instances(ImageId=ami, MinCount=1, MaxCount=1, **placed)["Instances"][0]["InstanceId"]
        ec2.create_tags(Resources=[made], Tags=[{"Key": "Name", "Value": str(number)}])
        ec2.register_image(Name=f"another-{number}", ImageLocation="images-eucalyptus/starter.raw")
        volumes.append(ec2.create_volume(AvailabilityZone=ZONE, Size=1)["VolumeId"])
        vpc = ec2.create_vpc(CidrBlock=f"10.{number + 1}.0.0/16")["Vpc"]["VpcId"]
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.{number + 1}.1.0/24")
        ec2.create_internet_gateway()
        ec2.create_dhcp_options(DhcpConfigurations=[{"Key": "domain-name", "Values": [f"{number}.example.com"]}])
        ec2.allocate_address()
        listed = ec2.create_managed_prefix_list(
            PrefixListName=f"list-{number}",
            AddressFamily="IPv4",
            MaxEntries=2 * MANY,
            Entries=[{"Cidr": f"10.{block}.0.0/16"} for block in range(MANY)],
        )["PrefixList"]["PrefixListId"]
        ec2.create_security_group(GroupName=f"group-{number}", Description="d", VpcId=own)
        ec2.create_key_pair(KeyName=f"key-{number}", KeyType="ed25519")
        template = ec2.create_launch_template(
            LaunchTemplateName=f"template-{number}", LaunchTemplateData={"InstanceType": "t3.micro"}
        )["LaunchTemplate"]["LaunchTemplateId"]
    cloud.settle()
    for volume in volumes:
        ec2.create_snapshot(VolumeId=volume)
    for _ in range(MANY):
        ec2.create_launch_template_version(LaunchTemplateId=template, LaunchTemplateData={"ImageId": ami})
    cloud.settle()
    principal = cloud.client("sts").get_caller_identity()["Arn"]
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    group = ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
    return {
        "every": {
            "VpcId": own,
            "SubnetId": subnet,
            "PrincipalArn": principal,
            "GroupId": [group],
            "PrefixListId": listed,
            "ArchitectureTypes": ["x86_64"],
            "VirtualizationTypes": ["hvm"],
            "InstanceRequirements": {"VCpuCount": {"Min": 1}, "MemoryMiB": {"Min": 1}},
        },
        "DescribeImages": {"Owners": ["self"]},
        "DescribeSnapshots": {"OwnerIds": ["self"]},
        "DescribeLaunchTemplateVersions": {"LaunchTemplateId": template},
    }


def _method(client: Any, action: str) -> str:
    return next(name for name, operation in client.meta.method_to_api_mapping.items() if operation == action)


def describing(world: World) -> list[str]:
    """The operations of this cloud that show sets of things."""
    return [
        action
        for action in EC2.actions()
        if (action.startswith("Describe") and not action.endswith("Attribute")) or "NextToken" in world.input(action)
    ]


def paged(world: World) -> list[str]:
    return [action for action in describing(world) if "MaxResults" in world.input(action)]


def least_page(world: World, action: str) -> int:
    return int(world.input(action)["MaxResults"].metadata.get("min", 5))


def filters_member(world: World, action: str) -> str | None:
    return next((name for name in ("Filters", "Filter") if name in world.input(action)), None)


def documented_filters(shape: Shape) -> list[str]:
    """The names that the API reference lists, `tag:Owner` for tags in general. Lists in it are of a filter's values."""
    depth, names = 0, []
    for tag, name in re.findall(r"<(ul|/ul|li)>(?:\s*<p>\s*<code>([^<]+)</code>)?", shape.documentation):
        depth += {"ul": 1, "/ul": -1}.get(tag, 0)
        if name and depth == 1:
            name = name.strip()
            names.append("tag:Owner" if name.startswith("tag") and name not in ("tag-key", "tag-value") else name)
    return names


def ids_members(world: World, action: str) -> list[str]:
    return [
        name
        for name, shape in world.input(action).items()
        if isinstance(shape, ListShape)
        and name.endswith("Ids")
        and shape.member.type_name == "string"
        and name not in NO_IDS
    ]


def refused(world: World, cases: Iterator[tuple[str, dict[str, Any], set[str]]]) -> dict[Any, Any]:
    """The cases that were not refused with one of their codes."""
    failed = {}
    for action, more, codes in cases:
        status, code, message = world.asked(action, **more)
        if status != 400 or code not in codes or not message:
            failed[action, str(more)[:80]] = (status, code, message)
    return failed


def test_a_token_is_good_for_nothing_else(world: World) -> None:
    """Neither one that nobody made, nor another operation's, nor another account's."""
    own = world.tokens(world.ec2)
    cases = []
    for action in describing(world):
        if "NextToken" in world.input(action):
            other = next(token for name, token in own.items() if name != action)
            cases += [(action, {"NextToken": token}, {"InvalidNextToken"}) for token in ("banana", "\u00e9", other)]
    assert refused(world, iter(cases)) == {}
    failed = {}
    for action, token in own.items():
        given = {**world.parameters(action), "NextToken": token}
        if action in ("DescribeLaunchTemplateVersions", "GetManagedPrefixListEntries", "GetSecurityGroupsForVpc"):
            continue  # these begin with an id, which is no stranger's: the test of every action has them
        status, code, _ = answer(world.stranger, action, given)
        if (status, code) != (400, "InvalidNextToken"):
            failed[action] = (status, code)
    assert failed == {}


def test_a_page_has_its_bounds(world: World) -> None:
    def cases() -> Iterator[tuple[str, dict[str, Any], set[str]]]:
        for action in paged(world):
            wrong = [-1, 0] if action in TAKES_MORE else [-1, 0, 100_000]
            for value in wrong:
                yield action, {"MaxResults": value}, {"InvalidParameterValue"}

    assert refused(world, cases()) == {}
    assert len(paged(world)) > 20


def test_pages_and_ids_exclude_each_other_where_the_reference_says_so(world: World) -> None:
    def cases() -> Iterator[tuple[str, dict[str, Any], set[str]]]:
        for action in paged(world):
            text = world.input(action)["MaxResults"].documentation
            if "cannot specify this parameter and the" in text:
                for member in ids_members(world, action):
                    some = {member: [f"{IDS[member][0]}-0123456789abcdef0"], "MaxResults": 5}
                    yield action, some, {"InvalidParameterCombination"}

    assert len(list(cases())) >= 5
    assert refused(world, cases()) == {}


def test_paging_through_shows_each_item_once_and_in_the_same_order(world: World) -> None:
    several = set()
    walked = [action for action in paged(world) if action not in WITHOUT_PAGINATOR]
    for action in walked:
        name = _method(world.ec2, action)
        assert world.ec2.can_paginate(name), action
        paginator = world.ec2.get_paginator(name)
        given = world.parameters(action)
        key = paginator.result_keys[0].expression
        pages = [
            page[key] for page in paginator.paginate(**given, PaginationConfig={"PageSize": least_page(world, action)})
        ]
        whole = getattr(world.ec2, name)(**given)
        if whole.get("NextToken"):  # a page has a length even when none was asked for
            whole = {key: [item for page in paginator.paginate(**given) for item in page[key]]}
        assert [item for page in pages for item in page] == whole[key], action
        if len(pages) > 1:
            several.add(action)
            assert all(pages), action
    rest = set(walked) - several
    nothing = {action for action in rest if world.asked(action)[1] == "" and not _items(world, action)}
    assert rest - nothing == set()


def _items(world: World, action: str) -> list[Any]:
    """What there is at all."""
    name = _method(world.ec2, action)
    key = world.ec2.get_paginator(name).result_keys[0].expression
    found: list[Any] = getattr(world.ec2, name)(**world.parameters(action))[key]
    return found


def test_a_filter_that_there_is_not_is_refused_by_name(world: World) -> None:
    failed = {}
    for action in describing(world):
        member = filters_member(world, action)
        if member is not None:
            said = world.asked(action, **{member: [{"Name": "banana", "Values": ["x"]}]})
            if said != (400, "InvalidParameterValue", "The filter 'banana' is invalid"):
                failed[action] = said
    assert failed == {}


def test_a_filter_needs_values_and_takes_two_hundred(world: World) -> None:
    def cases() -> Iterator[tuple[str, dict[str, Any], set[str]]]:
        for action in describing(world):
            member = filters_member(world, action)
            if member is not None:
                name = (documented_filters(world.input(action)[member]) or ["tag-key"])[0]
                many = [str(number) for number in range(201)]
                yield action, {member: [{"Name": name, "Values": many}]}, {"FilterLimitExceeded"}
                yield action, {member: [{"Name": name, "Values": []}]}, {"InvalidParameterValue"}

    assert refused(world, cases()) == {}


def test_every_documented_filter_is_known(world: World) -> None:
    failed, count = {}, 0
    for action in describing(world):
        member = filters_member(world, action)
        names = documented_filters(world.input(action)[member]) if member is not None else []
        if names:  # together: the first that is not known is refused by its name
            asked = [{"Name": name, "Values": [VALUES.get(name, "nothing-has-this")]} for name in names]
            said = world.asked(action, **{str(member): asked})
            count += len(names)
            if said[0] != 200:
                failed[action] = said
    assert failed == {}
    assert count > 400


def test_an_id_that_does_not_exist_or_cannot_be_is_told_by_its_kind(world: World) -> None:
    def cases() -> Iterator[tuple[str, dict[str, Any], set[str]]]:
        for action in describing(world):
            for member in ids_members(world, action):
                prefix, absent, malformed = IDS.get(f"{action}.{member}") or IDS[member]
                unknown = f"{prefix}-0123456789abcdef0" if prefix else "0123abcd-0123-0123-0123-0123456789ab"
                yield action, {member: [unknown]}, {absent}
                yield action, {member: ["banana"]}, {malformed}

    assert refused(world, cases()) == {}
