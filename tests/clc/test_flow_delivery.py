"""From a node's counters to a file in a bucket: names, lines, policies, and what happens when one is not to be had."""

from __future__ import annotations

import contextlib
import gzip
import ipaddress
import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from eucapy.clc import flow_fields
from eucapy.clc.flow_delivery import Destinations
from eucapy.clc.flow_destinations import Destination, statements, with_statements
from eucapy.clc.reconcilers.flow_logs import FILE_S, LATE_S
from eucapy.drivers.network import flow_counts, netns
from eucapy.drivers.network.flow_counts import Flow
from eucapy.eucanetd.flows import WINDOW_S
from eucapy.wire.contract import Unreachable
from tests.clc.launching import described, image, launch
from tests.clc.network.asking import own_vpc, subnet
from tests.harness.cloud import Cloud
from tests.harness.deaths import Deaths

EVERY = list(flow_fields.VERSION_OF)
MOST_STEPS = 20
SENT, RECEIVED, REFUSED = 0, flow_counts.RECEIVED, flow_counts.REFUSED


class Bench:
    """An instance in a VPC of its own, and a bucket; time moves in whole windows."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.ec2, self.s3 = cloud.client("ec2"), cloud.client("s3")
        self.number = cloud.account("eucalyptus")["account_id"]
        self.bucket = "flows"
        self.s3.create_bucket(Bucket=self.bucket)
        self.vpc = own_vpc(self.ec2)
        self.subnet = subnet(self.ec2, self.vpc)
        (self.instance,) = launch(cloud, image(cloud), SubnetId=self.subnet)
        (nic,) = described(cloud, self.instance)["NetworkInterfaces"]
        self.interface, self.address = nic["NetworkInterfaceId"], nic["PrivateIpAddress"]

    @contextlib.contextmanager
    def signing(self) -> Iterator[None]:
        """Clients sign by the real time, and the object store wants them to know the time."""
        shift, self.cloud.clock.shift_s = self.cloud.clock.shift_s, 0.0
        try:
            yield
        finally:
            self.cloud.clock.shift_s = shift

    def log(self, folder: str = "", client: Any = None, **given: Any) -> str:
        """A new flow log of the VPC, its bucket's policy seen to, nodes told."""
        answer = (client or self.ec2).create_flow_logs(
            **{
                "ResourceIds": [self.vpc],
                "ResourceType": "VPC",
                "TrafficType": "ALL",
                "LogDestinationType": "s3",
                "LogDestination": f"arn:aws:s3:::{self.bucket}{folder}",
                **given,
            }
        )
        self.cloud.settle()
        (flow_log_id,) = answer["FlowLogIds"]
        return str(flow_log_id)

    def count(self, *flows: Flow, skipped: int = 0) -> None:
        """The rules of the instance's node saw these."""
        for node in nodes(self.cloud):
            spec = node.eucanetd._keeper.spec
            if spec is not None and self.vpc in spec.vpcs:
                node.network.count(netns.vpc_namespace("euca-", self.vpc), *flows, skipped=skipped)

    def flow(self, kind: int, source: str, target: str, **more: int) -> Flow:
        number = int(self.interface[-6:], 16)
        given = {"number": number, "protocol": 6, "source_port": 40000, "target_port": 22, "packets": 3, "bytes": 180}
        return Flow(kind=kind, source=source, target=target, **{**given, **more})

    def to_window(self) -> None:
        """To the beginning of a window, all before it being told, and of a file."""
        now = self.cloud.clock.time()
        self.cloud.advance(FILE_S - now % FILE_S + 1)

    def delivered(self) -> None:
        """Later, everything that was seen is in its file."""
        self.cloud.advance(WINDOW_S)
        self.cloud.advance(FILE_S + LATE_S)

    def files(self) -> list[str]:
        """The keys of all that is in the bucket."""
        with self.signing():
            return [one["Key"] for one in self.s3.list_objects_v2(Bucket=self.bucket).get("Contents", [])]

    def lines(self, part: str = "") -> list[dict[str, str]]:
        """The lines of all files whose key has the part, in the order of the files."""
        found = []
        for key in self.files():
            if part not in key:
                continue
            with self.signing():
                content = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
            header, *rest = gzip.decompress(content).decode().splitlines()
            found += [dict(zip(header.split(), line.split(), strict=True)) for line in rest]
        return found

    def told(self, part: str = "") -> list[dict[str, str]]:
        """Those that tell of flows."""
        return [line for line in self.lines(part) if line["log-status"] == "OK"]

    def status(self, flow_log_id: str) -> tuple[str, str]:
        (found,) = self.ec2.describe_flow_logs(FlowLogIds=[flow_log_id])["FlowLogs"]
        return found["DeliverLogsStatus"], found.get("DeliverLogsErrorMessage", "")


@pytest.fixture
def bench(cloud: Cloud) -> Bench:
    return Bench(cloud)


def test_what_a_node_saw_arrives_as_aws_would_write_it(bench: Bench) -> None:
    flow_log_id = bench.log("/a/b", LogFormat=" ".join(f"${{{name}}}" for name in EVERY))
    bench.to_window()
    bench.count(
        bench.flow(RECEIVED | flow_counts.SYN, "192.0.2.7", bench.address),
        bench.flow(RECEIVED | flow_counts.FIN, "192.0.2.7", bench.address, packets=2, bytes=104),
        bench.flow(
            RECEIVED | REFUSED | flow_counts.SYN, "192.0.2.8", bench.address, target_port=23, packets=1, bytes=60
        ),
        bench.flow(
            SENT | flow_counts.SYN_ACK | flow_counts.SYN, bench.address, "192.0.2.7", source_port=22, target_port=40000
        ),
    )
    bench.delivered()
    name = rf"{bench.number}_vpcflowlogs_us-east-1_{flow_log_id}_\d{{8}}T\d\d\d[05]Z_[0-9a-f]{{8}}\.log\.gz"
    form = rf"a/b/AWSLogs/{bench.number}/vpcflowlogs/us-east-1/\d{{4}}/\d\d/\d\d/{name}"
    assert bench.files()
    assert all(re.fullmatch(form, key) for key in bench.files())
    accepted, refused, sent = sorted(
        bench.told(), key=lambda line: (line["flow-direction"] == "egress", line["srcaddr"])
    )
    assert int(accepted["end"]) - int(accepted["start"]) == WINDOW_S
    common = {
        "version": "5",
        "account-id": bench.number,
        "interface-id": bench.interface,
        "vpc-id": bench.vpc,
        "subnet-id": bench.subnet,
        "instance-id": bench.instance,
        "protocol": "6",
        "type": "IPv4",
        "region": "us-east-1",
        "az-id": "use1-az6",
        "sublocation-type": "-",
        "sublocation-id": "-",
        "pkt-src-aws-service": "-",
        "pkt-dst-aws-service": "-",
        "log-status": "OK",
        "start": accepted["start"],
        "end": accepted["end"],
    }
    assert accepted == {
        **common,
        "srcaddr": "192.0.2.7",
        "dstaddr": bench.address,
        "pkt-srcaddr": "192.0.2.7",
        "pkt-dstaddr": bench.address,
        "srcport": "40000",
        "dstport": "22",
        "packets": "5",
        "bytes": "284",
        "action": "ACCEPT",
        "tcp-flags": "3",
        "flow-direction": "ingress",
        "traffic-path": "-",
    }
    assert (refused["action"], refused["dstport"], refused["tcp-flags"]) == ("REJECT", "23", "2")
    assert (sent["action"], sent["flow-direction"], sent["tcp-flags"]) == ("ACCEPT", "egress", "18")
    assert (sent["srcaddr"], sent["dstaddr"], sent["traffic-path"]) == (bench.address, "192.0.2.7", "8")
    assert bench.status(flow_log_id) == ("SUCCESS", "")


def test_ipv6_is_told_by_its_own_addresses(bench: Bench) -> None:
    associated = bench.ec2.associate_vpc_cidr_block(VpcId=bench.vpc, AmazonProvidedIpv6CidrBlock=True)
    bench.cloud.settle()
    (held,) = bench.ec2.describe_vpcs(VpcIds=[bench.vpc])["Vpcs"]
    block = held["Ipv6CidrBlockAssociationSet"][0]["Ipv6CidrBlock"]
    assert associated["VpcId"] == bench.vpc
    own, other = (str(ipaddress.IPv6Network(block)[number]) for number in (17, 18))
    bench.log(LogFormat="${srcaddr} ${dstaddr} ${pkt-srcaddr} ${type} ${traffic-path} ${log-status}")
    bench.to_window()
    bench.count(bench.flow(SENT, own, other), bench.flow(SENT, own, "2001:db8:ffff::1", source_port=4))
    bench.delivered()
    told = [(line["srcaddr"], line["dstaddr"], line["pkt-srcaddr"], line["type"]) for line in bench.told()]
    assert told == [(own, "2001:db8:ffff::1", own, "IPv6"), (own, other, own, "IPv6")]
    assert [line["traffic-path"] for line in bench.told()] == ["8", "1"]


def test_the_default_format_is_version_two_and_a_silent_interface_has_no_data(bench: Bench) -> None:
    bench.log()
    bench.to_window()
    bench.delivered()
    lines = bench.lines()
    assert lines
    for line in lines:
        times = {"start": line.pop("start"), "end": line.pop("end")}
        assert times["start"] < times["end"]
        assert line == {
            **dict.fromkeys(line, "-"),
            "version": "2",
            "account-id": bench.number,
            "interface-id": bench.interface,
            "log-status": "NODATA",
        }
    begins = [line["start"] for line in bench.lines()]
    assert len(begins) == len(set(begins))


def test_traffic_types_and_what_was_skipped(bench: Bench) -> None:
    bench.log("/accepted", TrafficType="ACCEPT")
    bench.log("/refused", TrafficType="REJECT")
    bench.to_window()
    bench.count(
        bench.flow(RECEIVED, "192.0.2.7", bench.address),
        bench.flow(RECEIVED | REFUSED, "192.0.2.8", bench.address),
        skipped=7,
    )
    bench.delivered()
    assert [(line["srcaddr"], line["action"]) for line in bench.told("accepted/")] == [("192.0.2.7", "ACCEPT")]
    assert [(line["srcaddr"], line["action"]) for line in bench.told("refused/")] == [("192.0.2.8", "REJECT")]
    skipped = [line for line in bench.lines("refused/") if line["log-status"] == "SKIPDATA"]
    assert [(line["interface-id"], line["srcaddr"]) for line in skipped] == [(bench.interface, "-")]


def test_folders_that_say_what_they_are_and_of_every_hour(bench: Bench) -> None:
    options = {"HiveCompatiblePartitions": True, "PerHourPartition": True}
    bench.log(DestinationOptions=options)
    bench.log("/plain", DestinationOptions={"PerHourPartition": True})
    bench.to_window()
    bench.delivered()
    hive = rf"AWSLogs/aws-account-id={bench.number}/aws-service=vpcflowlogs/aws-region=us-east-1/"
    hive += r"year=\d{4}/month=\d\d/day=\d\d/hour=\d\d/[^/]+\.log\.gz"
    plain = rf"plain/AWSLogs/{bench.number}/vpcflowlogs/us-east-1/\d{{4}}/\d\d/\d\d/\d\d/[^/]+\.log\.gz"
    keys = bench.files()
    assert any(re.fullmatch(hive, key) for key in keys)
    assert any(re.fullmatch(plain, key) for key in keys)
    assert all(re.fullmatch(f"{hive}|{plain}", key) for key in keys)


def test_the_buckets_policy_is_added_to_and_what_stood_there_stays(bench: Bench) -> None:
    own = {
        "Sid": "AWSLogDeliveryWrite",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteBucket",
        "Resource": f"arn:aws:s3:::{bench.bucket}",
    }
    bench.s3.put_bucket_policy(Bucket=bench.bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [own]}))
    bench.log("/in")
    held = json.loads(bench.s3.get_bucket_policy(Bucket=bench.bucket)["Policy"])
    source = {"aws:SourceArn": f"arn:aws:logs:us-east-1:{bench.number}:*"}
    service = {"Service": "delivery.logs.amazonaws.com"}
    assert held["Statement"] == [
        own,
        {
            "Sid": "AWSLogDeliveryWrite1",
            "Effect": "Allow",
            "Principal": service,
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{bench.bucket}/in/AWSLogs/{bench.number}/*",
            "Condition": {
                "StringEquals": {"aws:SourceAccount": bench.number, "s3:x-amz-acl": "bucket-owner-full-control"},
                "ArnLike": source,
            },
        },
        {
            "Sid": "AWSLogDeliveryAclCheck",
            "Effect": "Allow",
            "Principal": service,
            "Action": "s3:GetBucketAcl",
            "Resource": f"arn:aws:s3:::{bench.bucket}",
            "Condition": {"StringEquals": {"aws:SourceAccount": bench.number}, "ArnLike": source},
        },
    ]
    bench.log("/in", ResourceIds=[bench.subnet], ResourceType="Subnet")
    assert json.loads(bench.s3.get_bucket_policy(Bucket=bench.bucket)["Policy"]) == held, "it lets them in already"


def test_who_may_not_change_the_policy_adds_nothing_and_the_log_fails_until_its_owner_does(bench: Bench) -> None:
    limited = bench.cloud.user("limited")
    iam = bench.cloud.client("iam")
    allowed = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="limited", PolicyName="ec2", PolicyDocument=document)
    flow_log_id = bench.log(client=bench.cloud.client("ec2", keys=limited))
    bench.to_window()
    bench.delivered()
    assert bench.files() == []
    assert bench.status(flow_log_id) == ("FAILED", "Access error")
    failed = bench.ec2.describe_flow_logs(Filter=[{"Name": "deliver-log-status", "Values": ["FAILED"]}])["FlowLogs"]
    assert [one["FlowLogId"] for one in failed] == [flow_log_id]
    added = statements(Destination(bench.bucket, ""), bench.number, "us-east-1")
    with bench.signing():
        bench.s3.put_bucket_policy(Bucket=bench.bucket, Policy=with_statements(None, added))
    bench.delivered()
    assert bench.status(flow_log_id) == ("SUCCESS", "")
    assert bench.files()


def test_a_bucket_that_goes_fails_its_log_alone(bench: Bench) -> None:
    other = f"{bench.bucket}-short-lived"
    bench.s3.create_bucket(Bucket=other)
    lost = bench.log(LogDestination=f"arn:aws:s3:::{other}")
    kept = bench.log()
    bench.s3.delete_bucket(Bucket=other)
    bench.to_window()
    bench.delivered()
    assert bench.status(lost) == ("FAILED", "Access error")
    assert bench.status(kept) == ("SUCCESS", "")
    assert bench.files()


def test_nothing_is_lost_or_doubled_while_the_object_store_is_silent(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.log()
    bench.log("/second", ResourceIds=[bench.subnet], ResourceType="Subnet")
    bench.to_window()
    deliver = Destinations.deliver
    calls: list[str] = []

    async def at_times(self: Destinations, destination: Any, key: str, account: str, content: bytes) -> None:
        calls.append(key)
        if len(calls) % 2 == 0 and len(calls) < 8:
            raise Unreachable("the object store is away")
        await deliver(self, destination, key, account, content)

    monkeypatch.setattr(Destinations, "deliver", at_times)
    bench.count(bench.flow(RECEIVED, "192.0.2.7", bench.address))
    for _ in range(6):
        bench.delivered()
    assert len(calls) > len(set(calls)), "some were written twice"
    told = [line["srcaddr"] for line in bench.told()]
    assert told == ["192.0.2.7", "192.0.2.7"], "once for each of the two logs"
    starts = [line["start"] for line in bench.lines("second/")]
    assert len(starts) == len(set(starts))


def test_a_cloud_that_was_away_delivers_what_its_nodes_kept(bench: Bench) -> None:
    flow_log_id = bench.log()
    bench.to_window()
    bench.count(bench.flow(RECEIVED, "192.0.2.7", bench.address))
    bench.cloud.clock.shift_s += WINDOW_S
    bench.cloud.run(bench.cloud.dev.settle(loops=[node.eucanetd.flow_loop for node in nodes(bench.cloud)]))
    bench.cloud.reboot()
    bench.s3 = bench.cloud.client("s3")
    bench.delivered()
    assert [line["srcaddr"] for line in bench.told(flow_log_id)] == ["192.0.2.7"]


def test_a_cloud_that_dies_at_any_step_of_a_delivery_tells_everything_once(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver = Destinations.deliver
    bench.log()
    bench.log("/second", ResourceIds=[bench.subnet], ResourceType="Subnet")
    for number in range(1, MOST_STEPS):
        bench.to_window()
        bench.count(bench.flow(RECEIVED, f"192.0.2.{number}", bench.address))
        deaths = Deaths(bench.cloud)
        monkeypatch.setattr(Destinations, "deliver", deaths._mortal(deliver, "file"))
        with deaths.after(number):
            bench.delivered()
        monkeypatch.setattr(Destinations, "deliver", deliver)
        if deaths.happened:
            bench.cloud.reboot()
            bench.s3 = bench.cloud.client("s3")
        bench.delivered()
        told = [line["srcaddr"] for line in bench.told()]
        assert sorted(told) == sorted(f"192.0.2.{n}" for n in range(1, number + 1) for _ in range(2)), deaths.steps
        if not deaths.happened:
            assert "file" in deaths.steps, deaths.steps
            return
    raise AssertionError("a delivery has too many steps")


def nodes(region: Cloud) -> list[Any]:
    return [node for zone in region.dev.zones.values() for node in zone.nodes.values()]


def test_an_interface_of_another_node_is_found_by_its_address(bench: Bench) -> None:
    bench.log()
    bench.to_window()
    bench.count(bench.flow(RECEIVED | REFUSED, "10.0.9.9", bench.address, number=0))
    bench.delivered()
    (line,) = bench.told()
    assert (line["interface-id"], line["action"], line["dstaddr"]) == (bench.interface, "REJECT", bench.address)


def test_a_deleted_log_gets_nothing_more(bench: Bench) -> None:
    flow_log_id = bench.log()
    bench.to_window()
    bench.delivered()
    before = bench.files()
    bench.ec2.delete_flow_logs(FlowLogIds=[flow_log_id])
    bench.cloud.settle()
    bench.delivered()
    assert bench.files() == before
