"""Flow logs through the API: what can be asked for, EC2's refusals, describing, deleting; and who is told what to watch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from eucapy.clc import flow_fields
from tests.clc.network.asking import error, named, own_vpc, subnet, without_metadata
from tests.harness.cloud import Cloud

ABSENT = "fl-0123456789abcdef0"
ALL_FIELDS = " ".join(f"${{{name}}}" for name in flow_fields.VERSION_OF)


@pytest.fixture
def bucket(region: Cloud, account: str) -> str:
    """A bucket of the account's."""
    region.client("s3", account).create_bucket(Bucket=f"logs-{account}")
    return f"logs-{account}"


@pytest.fixture
def vpc_id(ec2: Any) -> str:
    return own_vpc(ec2)


@pytest.fixture
def make(ec2: Any, vpc_id: str, bucket: str) -> Callable[..., dict[str, Any]]:
    """`make()` asks for a flow log of a VPC; what is given takes the place of what would be asked for, None of nothing."""

    def create(**given: Any) -> dict[str, Any]:
        asked = {
            "ResourceIds": [vpc_id],
            "ResourceType": "VPC",
            "TrafficType": "ALL",
            "LogDestinationType": "s3",
            "LogDestination": f"arn:aws:s3:::{bucket}",
            **given,
        }
        answer: dict[str, Any] = ec2.create_flow_logs(
            **{name: each for name, each in asked.items() if each is not None}
        )
        return answer

    return create


def test_a_flow_log_is_described_as_it_was_asked_for(ec2: Any, vpc_id: str, bucket: str, make: Any) -> None:
    tags = [{"Key": "of", "Value": "all"}]
    answer = make(
        LogDestination=f"arn:aws:s3:::{bucket}/some/where/",
        LogFormat=ALL_FIELDS,
        MaxAggregationInterval=60,
        DestinationOptions={"HiveCompatiblePartitions": True, "PerHourPartition": True},
        TagSpecifications=[{"ResourceType": "vpc-flow-log", "Tags": tags}],
    )
    (flow_log_id,) = answer["FlowLogIds"]
    assert answer["Unsuccessful"] == []
    (found,) = ec2.describe_flow_logs(FlowLogIds=[flow_log_id])["FlowLogs"]
    assert found.pop("CreationTime")
    assert found == {
        "FlowLogId": flow_log_id,
        "FlowLogStatus": "ACTIVE",
        "DeliverLogsStatus": "SUCCESS",
        "ResourceId": vpc_id,
        "TrafficType": "ALL",
        "LogDestinationType": "s3",
        "LogDestination": f"arn:aws:s3:::{bucket}/some/where/",
        "LogFormat": ALL_FIELDS,
        "MaxAggregationInterval": 60,
        "DestinationOptions": {
            "FileFormat": "plain-text",
            "HiveCompatiblePartitions": True,
            "PerHourPartition": True,
        },
        "Tags": tags,
    }


def test_what_is_not_said_is_as_in_ec2(ec2: Any, make: Any) -> None:
    (flow_log_id,) = make()["FlowLogIds"]
    (found,) = ec2.describe_flow_logs(FlowLogIds=[flow_log_id])["FlowLogs"]
    assert found["MaxAggregationInterval"] == 600
    assert found["LogFormat"] == (
        "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} "
        "${bytes} ${start} ${end} ${action} ${log-status}"
    )
    assert found["DestinationOptions"] == {
        "FileFormat": "plain-text",
        "HiveCompatiblePartitions": False,
        "PerHourPartition": False,
    }


def test_one_for_each_of_several_subnets_and_interfaces(ec2: Any, vpc_id: str, make: Any) -> None:
    places = [subnet(ec2, vpc_id, f"10.0.{n}.0/24") for n in (1, 2)]
    made = make(ResourceType="Subnet", ResourceIds=places)["FlowLogIds"]
    assert [one["ResourceId"] for one in described(ec2, made)] == places
    interface = ec2.create_network_interface(SubnetId=places[0])["NetworkInterface"]["NetworkInterfaceId"]
    made = make(ResourceType="NetworkInterface", ResourceIds=[interface])["FlowLogIds"]
    assert [one["ResourceId"] for one in described(ec2, made)] == [interface]


def described(ec2: Any, flow_log_ids: list[str]) -> list[dict[str, Any]]:
    """In the order of the ids."""
    found = {one["FlowLogId"]: one for one in ec2.describe_flow_logs(FlowLogIds=flow_log_ids)["FlowLogs"]}
    return [found[each] for each in flow_log_ids]


INVALID_FORMAT = "1 validation error detected: Value '{}' at 'logFormat' has an invalid format"


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        (
            {"LogDestination": None, "LogDestinationType": None},
            ("InvalidParameter", "LogDestination can't be empty if LogGroupName is not provided."),
        ),
        ({"LogDestination": None}, ("InvalidParameter", "LogDestination can't be empty if LogDestinationType is s3.")),
        (
            {"LogGroupName": "group"},
            ("InvalidParameter", "LogDestination type must be cloud-watch-logs if LogGroupName is provided."),
        ),
        (
            {"LogDestinationType": None, "LogDestination": None, "LogGroupName": "group"},
            (
                "InvalidParameter",
                "DeliverLogsPermissionArn can't be empty if LogDestinationType is cloud-watch-logs.",
            ),
        ),
        (
            {
                "LogDestinationType": "cloud-watch-logs",
                "LogDestination": None,
                "LogGroupName": "group",
                "DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/r",
            },
            ("UnsupportedOperation", "The log destination type cloud-watch-logs is not supported."),
        ),
        (
            {"LogDestinationType": "kinesis-data-firehose"},
            ("UnsupportedOperation", "The log destination type kinesis-data-firehose is not supported."),
        ),
        (
            {"DeliverLogsPermissionArn": "arn:aws:iam::123456789012:role/r"},
            ("InvalidParameter", "DeliverLogsPermissionArn is not applicable for s3 delivery"),
        ),
        ({"MaxAggregationInterval": 61}, ("InvalidParameter", "Invalid Flow Log Max Aggregation Interval")),
        ({"LogFormat": "${version} "}, ("InvalidParameterValue", INVALID_FORMAT.format("${version} "))),
        ({"LogFormat": "${colour}"}, ("InvalidParameterValue", INVALID_FORMAT.format("${colour}"))),
        ({"LogFormat": "version"}, ("InvalidParameterValue", INVALID_FORMAT.format("version"))),
        ({"TrafficType": None}, ("MissingParameter", "The request must contain the parameter trafficType")),
        (
            {"DestinationOptions": {"FileFormat": "parquet"}},
            ("UnsupportedOperation", "The file format parquet is not supported."),
        ),
        (
            {"ResourceType": "TransitGateway"},
            ("UnsupportedOperation", "Flow logs of the resource type TransitGateway are not supported."),
        ),
        (
            {"ResourceIds": ["vpc-0123456789abcdef0"]},
            ("InvalidVpcID.NotFound", "The vpc ID 'vpc-0123456789abcdef0' does not exist"),
        ),
        (
            {"ResourceIds": ["subnet-0123456789abcdef0"]},
            ("InvalidParameter", "Invalid Resource id subnet-0123456789abcdef0 for resource-type VPC"),
        ),
        (
            {"LogDestination": "arn:aws:s3:::b/x"},
            ("InvalidParameter", "LogDestination: arn:aws:s3:::b/x is not a valid ARN of an S3 bucket."),
        ),
        (
            {"LogDestination": "arn:aws:s3:::bucket/AWSLogs"},
            ("InvalidParameter", "LogDestination: arn:aws:s3:::bucket/AWSLogs is not a valid location for flow logs."),
        ),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    ec2: Any, make: Any, given: dict[str, Any], refusal: tuple[str, str]
) -> None:
    assert error(make, **given) == refusal
    assert ec2.describe_flow_logs()["FlowLogs"] == []


def test_the_same_resource_and_destination_go_together_once_and_a_resource_has_two(
    ec2: Any, bucket: str, make: Any
) -> None:
    (first,) = make()["FlowLogIds"]
    assert error(make, TrafficType="REJECT") == (
        "FlowLogAlreadyExists",
        "Error. There is an existing Flow Log with the same configuration and log destination.",
    )
    make(LogDestination=f"arn:aws:s3:::{bucket}/b")
    assert error(make, LogDestination=f"arn:aws:s3:::{bucket}/c")[0] == "FlowLogsLimitExceeded"
    assert without_metadata(ec2.delete_flow_logs(FlowLogIds=[first])) == {"Unsuccessful": []}
    make()


def test_a_client_token_makes_one(ec2: Any, make: Any) -> None:
    first, second = make(ClientToken="once"), make(ClientToken="once")
    assert first["FlowLogIds"] == second["FlowLogIds"]
    assert first["ClientToken"] == "once"
    assert len(ec2.describe_flow_logs()["FlowLogs"]) == 1


def test_a_bucket_that_is_not_there_makes_every_resource_unsuccessful(ec2: Any, vpc_id: str, make: Any) -> None:
    answer = make(LogDestination="arn:aws:s3:::nobody-has-this/logs")
    reason = {"Code": "400", "Message": "LogDestination: nobody-has-this does not exist."}
    assert (answer["FlowLogIds"], answer["Unsuccessful"]) == ([], [{"ResourceId": vpc_id, "Error": reason}])
    assert ec2.describe_flow_logs()["FlowLogs"] == []


def test_anothers_bucket_must_let_logs_in_beforehand(region: Cloud, ec2: Any, account: str, make: Any) -> None:
    s3 = region.client("s3", "neighbour")
    name = f"neighbours-{account}"
    s3.create_bucket(Bucket=name)
    destination = f"arn:aws:s3:::{name}/in"
    refused = make(LogDestination=destination)
    assert refused["Unsuccessful"][0]["Error"] == {
        "Code": "400",
        "Message": f"Access Denied for LogDestination: {name}. Please check LogDestination permission",
    }
    number = region.account(account)["account_id"]
    statement = (
        '{"Effect":"Allow","Principal":{"Service":"delivery.logs.amazonaws.com"},"Action":"s3:PutObject",'
        f'"Resource":"{destination}/AWSLogs/{number}/*",'
        f'"Condition":{{"StringEquals":{{"aws:SourceAccount":"{number}","s3:x-amz-acl":"bucket-owner-full-control"}}}}}}'
    )
    s3.put_bucket_policy(Bucket=name, Policy=f'{{"Version":"2012-10-17","Statement":[{statement}]}}')
    assert make(LogDestination=destination)["FlowLogIds"]


def test_filters_and_pages(ec2: Any, vpc_id: str, bucket: str, make: Any) -> None:
    places = [subnet(ec2, vpc_id, f"10.0.{n}.0/24") for n in range(1, 7)]
    many = make(ResourceType="Subnet", ResourceIds=places, TrafficType="REJECT")["FlowLogIds"]
    tags = [{"ResourceType": "vpc-flow-log", "Tags": [{"Key": "k", "Value": "v"}]}]
    (one,) = make(TagSpecifications=tags)["FlowLogIds"]

    def found(**given: str) -> set[str]:
        return {each["FlowLogId"] for each in ec2.describe_flow_logs(Filter=named(**given))["FlowLogs"]}

    assert found(resource_id=vpc_id) == {one}
    assert found(traffic_type="REJECT") == set(many)
    assert found(flow_log_id=many[0]) == {many[0]}
    assert found(log_destination_type="s3") == {one, *many}
    assert found(log_destination_type="cloud-watch-logs") == set()
    assert found(log_group_name="*") == set()
    assert found(deliver_log_status="SUCCESS") == {one, *many}
    assert found(deliver_log_status="FAILED") == set()
    assert {
        each["FlowLogId"] for each in ec2.describe_flow_logs(Filter=[{"Name": "tag:k", "Values": ["v"]}])["FlowLogs"]
    } == {one}
    assert error(ec2.describe_flow_logs, Filter=named(colour="red"))[0] == "InvalidParameterValue"
    first = ec2.describe_flow_logs(MaxResults=5)
    rest = ec2.describe_flow_logs(MaxResults=5, NextToken=first["NextToken"])
    seen = [each["FlowLogId"] for each in (*first["FlowLogs"], *rest["FlowLogs"])]
    assert (len(first["FlowLogs"]), sorted(seen)) == (5, sorted([one, *many]))


def test_ids_that_do_not_exist_are_told_together(ec2: Any, make: Any) -> None:
    (there,) = make()["FlowLogIds"]
    refusal = (
        "InvalidFlowLogId.NotFound",
        f"These flow log ids in the input list are not found: [TotalCount: 1] {ABSENT}",
    )
    assert error(ec2.describe_flow_logs, FlowLogIds=[there, ABSENT]) == refusal
    assert error(ec2.delete_flow_logs, FlowLogIds=[there, ABSENT]) == refusal
    assert described(ec2, [there])
    assert error(ec2.delete_flow_logs, FlowLogIds=["vpc-1"])[0] == "InvalidParameterValue"


def test_a_flow_log_outlives_what_it_is_about(ec2: Any, vpc_id: str, make: Any) -> None:
    (flow_log_id,) = make()["FlowLogIds"]
    ec2.delete_vpc(VpcId=vpc_id)
    assert [one["ResourceId"] for one in described(ec2, [flow_log_id])] == [vpc_id]
    ec2.delete_flow_logs(FlowLogIds=[flow_log_id])
    assert ec2.describe_flow_logs()["FlowLogs"] == []


def test_nodes_are_told_of_what_is_logged_and_of_nothing_else(
    region: Cloud, ec2: Any, vpc_id: str, run: Any, make: Any
) -> None:
    place = subnet(ec2, vpc_id)
    run(SubnetId=place)
    other = own_vpc(ec2, "10.1.0.0/16")
    run(SubnetId=subnet(ec2, other, "10.1.1.0/24"))
    made = make(ResourceType="Subnet", ResourceIds=[place])["FlowLogIds"]
    region.settle()

    def told() -> dict[str, set[tuple[str, ...]]]:
        found: dict[str, set[tuple[str, ...]]] = {}
        for zone in region.dev.zones.values():
            for node in zone.nodes.values():
                spec = node.eucanetd._keeper.spec
                for held in (spec.vpcs if spec is not None else {}).values():
                    found.setdefault(held.vpc_id, set()).add(held.flow_logs)
        return found

    assert told()[vpc_id] == {(place,)}
    assert told()[other] == {()}
    ec2.delete_flow_logs(FlowLogIds=made)
    region.settle()
    assert told()[vpc_id] == {()}
