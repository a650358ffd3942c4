"""What a dual-stack guest asks of its network: its router by advertisement, its addresses by DHCPv6; with stock clients."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import msgspec
import pytest

from eucapy.cli.faststart.clean import processes_below
from eucapy.run import in_netns, spawn
from eucapy.wire.network import PortSpec
from tests.eucanetd.cloud import NetworkCloud, Node, network_cloud
from tests.eucanetd.specs import OPEN6, port, vpc, vpc6
from tests.harness.topology import GATEWAY6, Guest, ask
from tests.harness.waiting import until, wait_until

pytestmark = pytest.mark.host

IP1, IP2 = "2001:db8:a::11", "2001:db8:a::12"
ONE, TWO = port(1, "10.0.0.11", ipv6s=(IP1,)), port(2, "10.0.0.12", ipv6s=(IP2,))

LEASE_SCRIPT = """#!/bin/sh
[ -n "$new_ip6_address" ] || exit 0
ip -6 addr replace $new_ip6_address/$new_ip6_prefixlen dev eth0 nodad
echo "lease $new_ip6_address/$new_ip6_prefixlen search=$new_dhcp6_domain_search life=$new_max_life"
"""


def unconfigured(cloud: NetworkCloud, spec: PortSpec, mac: str = "") -> Guest:
    guest = cloud.net.guest(cloud.node.host, spec.tap, mac or spec.mac)
    guest.enable_ipv6()
    return guest


def router(guest: Guest) -> str:
    """The guest's default router of IPv6, as the kernel has learned it; "" while there is none."""
    words = guest.run("ip", "-6", "route", "show", "default").stdout.split()
    return words[2] if words[:2] == ["default", "via"] and "ra" in words else ""


def lease(guest: Guest, folder: Path, *, duid: str = "LL", forget: bool = True, tries_s: int = 10) -> list[str]:
    """The addresses that ISC's client gets, and configures."""
    if shutil.which("dhclient", path=f"{os.environ['PATH']}:/usr/sbin:/sbin") is None:
        pytest.skip("not installed: isc-dhcp-client")
    script, leases, pid = folder / "lease.sh", folder / "leases", folder / "pid"
    script.write_text(LEASE_SCRIPT)
    script.chmod(0o755)
    if forget:
        leases.unlink(missing_ok=True)
    config = folder / "dhclient.conf"
    config.write_text(f"timeout {tries_s};\n")
    argv = [
        "dhclient",
        "-6",
        "-1",
        "-D",
        duid,
        "-cf",
        str(config),
        "-lf",
        str(leases),
        "-pf",
        str(pid),
        "-sf",
        str(script),
    ]
    done = guest.run(*argv, "eth0", check=False, timeout_s=30)
    if done.status == 0:  # it has gone into the background
        wait_until(lambda: pid.exists() and pid.read_text().endswith("\n"))
        os.kill(int(pid.read_text()), signal.SIGTERM)
        pid.unlink()
    found = [line.split() for line in done.stdout.splitlines() if line.startswith("lease ")]
    return [row[1] for row in found]


async def test_a_guest_learns_its_router_and_its_address_and_makes_none_itself(tmp_path: Path) -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], [ONE, TWO], (OPEN6,))
        first, second = unconfigured(cloud, ONE), unconfigured(cloud, TWO)
        first.run("ip", "link", "set", "eth0", "mtu", "1500")
        await cloud.node.settle()
        for guest, ip in ((first, IP1), (second, IP2)):
            await until(lambda guest=guest: router(guest) == GATEWAY6)
            assert lease(guest, tmp_path) == [f"{ip}/128"]
        assert first.ping(IP2)
        told = first.run("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global").stdout
        assert [line.split()[3] for line in told.splitlines()] == [f"{IP1}/128"], "nothing was made of a prefix"
        assert first.run("cat", "/proc/sys/net/ipv6/conf/eth0/mtu").stdout == "1450\n"


async def test_who_comes_with_another_identifier_gets_the_same_address_and_another_guest_never(tmp_path: Path) -> None:
    """A guest that was installed anew; and one that shows the identifier of its neighbour."""
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], [ONE, TWO], (OPEN6,))
        first, second = unconfigured(cloud, ONE), unconfigured(cloud, TWO)
        await cloud.node.settle()
        for guest in (first, second):
            await until(lambda guest=guest: router(guest) == GATEWAY6)
        assert lease(first, tmp_path, duid="LL") == [f"{IP1}/128"]
        assert lease(first, tmp_path, duid="LLT") == [f"{IP1}/128"]
        assert lease(second, tmp_path, duid="LL") == [f"{IP2}/128"]


async def test_addresses_come_and_go_under_a_running_guest(tmp_path: Path) -> None:
    more = msgspec.structs.replace(ONE, ipv6s=(IP1, "2001:db8:a::21"))
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], [ONE], (OPEN6,))
        guest = unconfigured(cloud, ONE)
        await cloud.node.settle()
        await until(lambda: router(guest) == GATEWAY6)
        assert lease(guest, tmp_path) == [f"{IP1}/128"]
        await cloud.node.give([vpc6()], [more], (OPEN6,))
        assert lease(guest, tmp_path) == [f"{IP1}/128", "2001:db8:a::21/128"]
        assert (
            guest.run("busybox", "ping", "-c1", "-W2", "-I", "2001:db8:a::21", "2001:db8:a::1", check=False).status == 0
        )
        await cloud.node.give([vpc6()], [ONE], (OPEN6,))
        assert lease(guest, tmp_path) == [f"{IP1}/128"]
        argv = ("busybox", "ping", "-c1", "-W1", "-I", "2001:db8:a::21", "2001:db8:a::1")
        assert guest.run(*argv, check=False).status != 0
        await cloud.node.give([vpc6()], [msgspec.structs.replace(ONE, ipv6s=())], (OPEN6,))
        await until(lambda: router(guest) == "")


async def test_a_guest_without_an_ipv6_address_gets_none(tmp_path: Path) -> None:
    bare = msgspec.structs.replace(TWO, ipv6s=())
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], [ONE, bare], (OPEN6,))
        first, second = unconfigured(cloud, ONE), unconfigured(cloud, bare)
        await cloud.node.settle()
        await until(lambda: router(first) == GATEWAY6)
        assert lease(first, tmp_path) == [f"{IP1}/128"]
        assert lease(second, tmp_path, tries_s=3) == []
        assert router(second) == ""


async def test_routers_and_addresses_are_told_while_the_agent_is_away_and_by_a_new_program_after_the_old_one_died(
    tmp_path: Path,
) -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], [ONE], (OPEN6,))
        guest = unconfigured(cloud, ONE)
        await cloud.node.settle()
        await cloud.node.restart()
        await until(lambda: router(guest) == GATEWAY6)
        assert lease(guest, tmp_path) == [f"{IP1}/128"]
        number = pid(cloud.node)
        await cloud.node.settle()
        assert pid(cloud.node) == number, "what is as it should be is not touched"
        assert number in set(processes_below(cloud.node.folder)), "who cleans up finds it"
        os.kill(number, signal.SIGKILL)
        await until(lambda: not Path(f"/proc/{number}").exists())
        await cloud.node.settle()
        assert pid(cloud.node) != number
        assert lease(guest, tmp_path) == [f"{IP1}/128"]


def pid(node: Node) -> int:
    """Of the program that answers in the VPC."""
    return int((node.folder / "run" / node.layout.namespace("vpc-a") / "advertiser.pid").read_text())


async def test_ipv6_comes_to_a_vpc_and_leaves_it_while_ipv4_goes_on() -> None:
    async with network_cloud() as cloud:
        without = [msgspec.structs.replace(each, ipv6s=()) for each in (ONE, TWO)]
        await cloud.node.give([vpc()], without, (OPEN6,))
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        await cloud.node.settle()
        second.serve(7)
        namespace = cloud.node.layout.namespace("vpc-a")
        dnsmasq = (cloud.node.folder / "run" / namespace / "pid").read_text()
        with first.connect("10.0.0.12", 7) as connection:
            assert ask(connection, "before") == "10.0.0.11 before"
            await cloud.node.give([vpc6()], [ONE, TWO], (OPEN6,))
            for guest, ip in ((first, IP1), (second, IP2)):
                guest.configure6(ip)
            assert first.ping(IP2)
            assert ask(connection, "with") == "10.0.0.11 with"
            await cloud.node.give([vpc()], without, (OPEN6,))
            assert first.gets_no_echo(IP2)
            assert ask(connection, "without") == "10.0.0.11 without"
            await cloud.node.give([vpc6()], [ONE, TWO], (OPEN6,))
            assert first.ping(IP2)
        assert (cloud.node.folder / "run" / namespace / "pid").read_text() == dnsmasq
        inside = ["nsenter", f"--net=/run/netns/{namespace}", "ip", "-o", "link"]
        assert cloud.node.host.run(*inside).stdout.count("tap") == 2


@pytest.mark.parametrize(
    "command",
    [
        "ip -6 route flush dev tap1",
        "ip -6 addr flush dev tap1",
        "ip -6 neigh flush dev tap1 nud permanent",
        "sh -c echo${IFS}1>/proc/sys/net/ipv6/conf/tap1/disable_ipv6",
        "sh -c echo${IFS}1>/proc/sys/net/ipv6/conf/all/disable_ipv6",
        "sh -c echo${IFS}0>/proc/sys/net/ipv6/conf/all/forwarding",
    ],
)
async def test_what_somebody_removed_is_put_back(command: str) -> None:
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], [ONE, TWO], (OPEN6,))
        first, second = cloud.node.guest(ONE), cloud.node.guest(TWO)
        for guest, ip in ((first, IP1), (second, IP2)):
            guest.configure6(ip)
        await cloud.node.settle()
        assert second.ping(IP1)
        before = (await cloud.node.driver.observe()).things
        cloud.node.host.run("nsenter", f"--net=/run/netns/{cloud.node.layout.namespace('vpc-a')}", *command.split())
        assert (await cloud.node.driver.observe()).things != before
        await cloud.node.settle()
        assert (await cloud.node.driver.observe()).things == before
        assert second.ping(IP1)


NETWORKD = Path("/lib/systemd/systemd-networkd")
AS_IN_AN_IMAGE = f"""
mount --make-rprivate / && mount -t sysfs none /sys && mount -o remount,ro /sys && mount -t tmpfs none /run
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
printf '[Match]\\nName=eth0\\n[Network]\\nDHCP=yes\\n' > /run/systemd/network/10.network
chown -R systemd-network /run/systemd/netif
exec {NETWORKD}
"""
"""systemd's own client with the settings that cloud images have; /sys read-only: there is no udev to wait for."""


async def test_the_client_of_cloud_images_gets_addresses_of_both_families() -> None:
    if not NETWORKD.exists():
        pytest.skip("not installed: systemd-networkd")
    more = msgspec.structs.replace(ONE, ipv6s=(IP1, "2001:db8:a::21"))
    async with network_cloud() as cloud:
        await cloud.node.give([vpc6()], [more, TWO], (OPEN6,))
        first, second = unconfigured(cloud, more), cloud.node.guest(TWO)
        second.configure6(IP2)
        await cloud.node.settle()
        client = spawn(in_netns(first.name, ["unshare", "--mount", "sh", "-c", AS_IN_AN_IMAGE]))
        try:
            for address in ("10.0.0.11/24", f"{IP1}/128", "2001:db8:a::21/128"):
                await until(
                    lambda address=address: address in first.run("ip", "-o", "addr", "show", "dev", "eth0").stdout
                )
            await until(lambda: router(first) == GATEWAY6)
            assert first.ping(IP2)
            assert first.ping("10.0.0.12")
        finally:
            client.terminate()
            client.wait()
