"""What a guest asks of its network: an address, names, metadata."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest

from eucapy.drivers.network import netns
from eucapy.run import in_netns, spawn
from eucapy.wire.network import PortSpec, SubnetSpec
from tests.eucanetd.cloud import NetworkCloud, network_cloud
from tests.eucanetd.specs import port, vpc
from tests.harness.topology import INTERNET, Guest
from tests.harness.waiting import until

pytestmark = pytest.mark.host

ONE, TWO = port(1, "10.0.0.11"), port(2, "10.0.0.12")

LEASE_SCRIPT = """#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr flush dev eth0
ip addr add $ip/$mask dev eth0
ip link set eth0 mtu ${mtu:-1500}
ip route replace default via $router
echo "ip=$ip mask=$mask router=$router dns=$dns mtu=$mtu hostname=$hostname domain=$domain lease=$lease"
"""


def lease(guest: Guest, folder: Path, *options: str) -> dict[str, str]:
    """What busybox's client gets, configured; {} when it gets nothing."""
    script = folder / "lease.sh"
    script.write_text(LEASE_SCRIPT)
    script.chmod(0o755)
    argv = ["busybox", "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "3", "-T", "1", "-O", "mtu", "-s", str(script)]
    done = guest.run(*argv, *options, check=False)
    line = next((row for row in done.stdout.splitlines() if row.startswith("ip=")), "")
    return dict(word.split("=", 1) for word in line.split())


def lookup(guest: Guest, name: str, server: str) -> str:
    """The first address that the server gives for the name; "" for none."""
    done = guest.run("busybox", "nslookup", "-type=a", name, server, check=False)
    answers = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith("Address:")]
    return next((answer for answer in answers if not answer.endswith(":53")), "")


def unconfigured(cloud: NetworkCloud, spec: PortSpec) -> Guest:
    return cloud.net.guest(cloud.node.host, spec.tap, spec.mac)


async def test_a_guest_gets_its_address_router_resolver_mtu_and_name_by_dhcp(tmp_path: Path) -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE, TWO])
        guest, other = unconfigured(cloud, ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        got = lease(guest, tmp_path)
        assert got == {
            "ip": "10.0.0.11",
            "mask": "24",
            "router": "10.0.0.1",
            "dns": "10.0.0.2",
            "mtu": "1450",
            "hostname": "ip-10-0-0-11",
            "domain": "ec2.internal",
            "lease": "3600",
        }
        assert guest.ping("10.0.0.12")
        assert other.ping("10.0.0.11")


async def test_dhcp_answers_no_mac_address_but_the_ports_own(tmp_path: Path) -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE])
        guest = cloud.net.guest(cloud.node.host, ONE.tap, "02:00:00:00:00:99")
        await cloud.node.settle()
        assert lease(guest, tmp_path) == {}


async def test_guests_with_cloned_client_ids_keep_their_own_addresses(tmp_path: Path) -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE, TWO])
        first, second = unconfigured(cloud, ONE), unconfigured(cloud, TWO)
        await cloud.node.settle()
        same = ("-x", "0x3d:ff00112233445566")
        assert lease(first, tmp_path, *same)["ip"] == "10.0.0.11"
        assert lease(second, tmp_path, *same)["ip"] == "10.0.0.12"


async def test_an_address_that_was_leased_goes_to_its_next_owner_at_once(tmp_path: Path) -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE])
        guest = unconfigured(cloud, ONE)
        await cloud.node.settle()
        assert lease(guest, tmp_path)["ip"] == "10.0.0.11"
        guest.power_off()
        heir = port(5, "10.0.0.11")
        await cloud.node.give([vpc()], [heir])
        next_guest = unconfigured(cloud, heir)
        await cloud.node.settle()
        assert lease(next_guest, tmp_path)["ip"] == "10.0.0.11"


async def test_each_subnet_has_its_own_router_and_guests_of_two_subnets_reach_each_other(tmp_path: Path) -> None:
    here = vpc()
    second = SubnetSpec(subnet_id="subnet-second", cidr="10.0.16.0/20", gateway="10.0.16.1")
    here = msgspec.structs.replace(here, subnets=(*here.subnets, second))
    far = port(2, "10.0.17.5", subnet_id="subnet-second")
    async with network_cloud() as cloud:
        await cloud.node.give([here], [ONE, far])
        guest, other = unconfigured(cloud, ONE), unconfigured(cloud, far)
        await cloud.node.settle()
        assert lease(guest, tmp_path)["router"] == "10.0.0.1"
        got = lease(other, tmp_path)
        assert (got["ip"], got["mask"], got["router"], got["dns"]) == ("10.0.17.5", "20", "10.0.16.1", "10.0.16.2")
        assert guest.ping("10.0.17.5")


async def test_names_of_the_vpc_are_answered_and_unknown_ones_refused_at_once() -> None:
    named = vpc(names=(("ip-10-0-0-12", "10.0.0.12"),))
    async with network_cloud() as cloud:
        await cloud.node.give([named], [ONE])
        guest = cloud.node.guest(ONE)
        await cloud.node.settle()
        for server in ("10.0.0.2", "169.254.169.253"):
            assert lookup(guest, "ip-10-0-0-12.ec2.internal", server) == "10.0.0.12"
        assert lookup(guest, "instance-data.ec2.internal", "10.0.0.2") == "169.254.169.254"
        refused = guest.run("busybox", "nslookup", "-type=a", "nobody.ec2.internal", "10.0.0.2", check=False)
        assert "NXDOMAIN" in refused.stdout

        renamed = vpc(names=(("ip-10-0-0-13", "10.0.0.13"),))
        await cloud.node.give([renamed], [ONE])
        assert lookup(guest, "ip-10-0-0-13.ec2.internal", "10.0.0.2") == "10.0.0.13"
        assert lookup(guest, "ip-10-0-0-12.ec2.internal", "10.0.0.2") == ""


async def test_names_of_the_world_are_asked_of_the_machines_resolvers_even_without_an_internet_gateway() -> None:
    server = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--user=root"]
    server += ["--bind-interfaces", f"--listen-address={INTERNET}", "--address=/example.com/192.0.2.80", "--pid-file="]
    async with network_cloud(upstream=(INTERNET,)) as cloud:
        upstream = spawn(in_netns(cloud.net.internet.name, server))
        try:
            await cloud.node.give([vpc(internet=False)], [ONE])
            guest = cloud.node.guest(ONE)
            await cloud.node.settle()
            await until(lambda: lookup(guest, "www.example.com", "10.0.0.2") == "192.0.2.80")
            assert guest.gets_no_echo(INTERNET)
        finally:
            upstream.terminate()
            upstream.wait()


async def test_metadata_is_heard_in_the_vpc_and_knows_who_asks() -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc()], [ONE])
        guest = cloud.node.guest(ONE)
        await cloud.node.settle()
        listener = netns.listen_in(netns.vpc_namespace(cloud.node.prefix, "vpc-a"), "169.254.169.254", 80)
        listener.setblocking(True)
        peers: list[str] = []

        def answer() -> None:
            connection, peer = listener.accept()
            peers.append(peer[0])
            connection.close()

        server = threading.Thread(target=answer)
        server.start()
        try:
            guest.connect("169.254.169.254", 80).close()
            server.join(timeout=10)
        finally:
            listener.close()
        assert peers == ["10.0.0.11"]


async def test_a_namespace_that_is_not_there_cannot_be_listened_in() -> None:
    with pytest.raises(FileNotFoundError):
        netns.listen_in("eut-nothing", "169.254.169.254", 80)
