"""Looking costs what has changed, and nothing that changes behind our back is missed."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from eucapy.drivers.network.linux import LinuxNetwork, sights
from eucapy.drivers.network.model import (
    Address,
    Announce,
    Drop,
    Forwarding,
    Link,
    LinkKind,
    Namespace,
    Neighbour,
    Observed,
    PublicAddress,
    Put,
    Route,
    Ruleset,
    SourceRule,
    Thing,
    digest,
)
from eucapy.run import in_netns, run_now
from tests.drivers.network.benches import UNDERLAY, UPLINK, LinuxBench, bench

pytestmark = pytest.mark.host

MANY = 60
MAC = "02:00:00:00:00:aa"


class Place:
    """A VPC's namespace with the guest `tap0` and many more, laid out by the driver."""

    def __init__(self, on: LinuxBench) -> None:
        self.on = on
        assert isinstance(on.driver, LinuxNetwork)
        self.driver = on.driver
        self.name = f"{on.prefix}vpc-1"
        self.home = on.prefix.removesuffix("-")

    async def lay_out(self, guests: int) -> None:
        peer = "e0000v1"
        vxlan = {"vni": 7, "local": UNDERLAY, "port": 4789}
        things: list[Thing] = [
            Namespace(namespace=self.name, ipv6=True),
            self.rules("1"),
            Link(namespace=self.name, name="transit", kind=LinkKind.VETH, mtu=1400, mac=MAC, peer=peer),
            Link(namespace=self.name, name="vx", kind=LinkKind.VXLAN, mtu=1400, mac=MAC, ipv6=True, **vxlan),  # type: ignore[arg-type]
            Route(namespace=self.name, to="2001:db8:1::1/128", link="vx", via="fe80::ff:fe00:1"),
            SourceRule(namespace=self.name, source="2001:db8::/64", table=77),
            Forwarding(namespace=self.name, link="vx", mac="02:00:00:00:00:01", node="10.8.0.9"),
            SourceRule(namespace=self.name, source="10.0.0.0/24", table=77),
        ]
        for number in range(guests):
            tap, ip, ip6 = f"tap{number}", f"10.0.1.{number + 1}", f"2001:db8::{number + 1:x}"
            self.on.plug(tap)
            things += [
                Link(namespace=self.name, name=tap, kind=LinkKind.TAP, mtu=1400, mac=MAC, proxy_arp=True, ipv6=True),
                Address(namespace=self.name, link=tap, ip="fe80::ff:fe00:aa"),
                Neighbour(namespace=self.name, link=tap, ip=ip6, mac="02:00:00:00:00:bb"),
                Route(namespace=self.name, to=f"{ip6}/128", link=tap),
                Address(namespace=self.name, link=tap, ip="10.0.1.254"),
                Neighbour(namespace=self.name, link=tap, ip=ip, mac="02:00:00:00:00:bb"),
                Route(namespace=self.name, to=f"{ip}/32", link=tap),
            ]
        await self.driver.apply([Put(thing) for thing in things])

    def rules(self, number: str) -> Ruleset:
        text = f"table inet eucapy {{\n  chain rule_{number} {{\n  }}\n}}\n"
        return Ruleset(namespace=self.name, digest=digest(text), text=text)

    def by_hand(self, *command: str) -> None:
        run_now(*in_netns(self.name, list(command)))

    async def seen(self) -> tuple[Observed, int]:
        """What is there, and how many messages it took to see it."""
        before = self.driver.messages_read
        found = await self.driver.observe()
        return found, self.driver.messages_read - before


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    async with bench("linux") as on:
        assert isinstance(on, LinuxBench)
        made = Place(on)
        yield made


async def test_looking_again_reads_nothing_of_the_guests(place: Place) -> None:
    await place.lay_out(MANY)
    first, all_of_it = await place.seen()
    again, little = await place.seen()
    assert again == first
    assert all_of_it > 4 * MANY
    assert little < MANY / 2, "more was read than the node's own few things"


async def test_a_new_rule_set_reads_nothing_of_the_guests(place: Place) -> None:
    await place.lay_out(MANY)
    await place.seen()
    await place.driver.apply([Put(place.rules("2"))])
    after, little = await place.seen()
    assert place.rules("2") in after.things
    assert place.rules("1") not in after.things
    assert little < MANY / 2


@pytest.mark.parametrize(
    "command",
    [
        "ip route del 10.0.1.1/32",
        "ip route add 10.9.9.9/32 dev tap0",
        "ip neigh del 10.0.1.1 dev tap0",
        "ip neigh replace 10.0.1.1 lladdr 02:00:00:00:00:cc dev tap0 nud permanent",
        "ip addr del 10.0.1.254/32 dev tap0",
        "ip link set tap0 down",
        "ip link set tap0 mtu 1300",
        "ip link del vx",
        "bridge fdb del 02:00:00:00:00:01 dev vx",
        "ip rule del from 10.0.0.0/24",
        "sh -c echo${IFS}0>/proc/sys/net/ipv4/conf/tap0/proxy_arp",
        "sh -c echo${IFS}0>/proc/sys/net/ipv4/conf/tap0/rp_filter",
        "sh -c echo${IFS}0>/proc/sys/net/ipv4/ip_forward",
        "nft delete table inet eucapy",
        "ip -6 route del 2001:db8::1/128",
        "ip -6 route add 2001:db8::9/128 dev tap0",
        "ip -6 route add 2001:db8:9::/64 dev tap0 table 77",
        "ip -6 rule del from 2001:db8::/64",
        "ip -6 neigh del 2001:db8::1 dev tap0",
        "ip -6 neigh replace 2001:db8::1 lladdr 02:00:00:00:00:cc dev tap0 nud permanent",
        "ip -6 addr del fe80::ff:fe00:aa/64 dev tap0",
        "ip -6 addr add 2001:db8::7/64 dev tap0",
        "sh -c echo${IFS}0>/proc/sys/net/ipv6/conf/tap0/forwarding",
        "sh -c echo${IFS}1>/proc/sys/net/ipv6/conf/tap0/disable_ipv6",
        "sh -c echo${IFS}1>/proc/sys/net/ipv6/conf/vx/disable_ipv6",
        "sh -c echo${IFS}1>/proc/sys/net/ipv6/conf/all/disable_ipv6",
        "sh -c echo${IFS}0>/proc/sys/net/ipv6/conf/all/forwarding",
    ],
)
async def test_what_others_do_is_seen_at_once(place: Place, command: str) -> None:
    await place.lay_out(2)
    before, _ = await place.seen()
    place.by_hand(*command.split())
    after, _ = await place.seen()
    assert after != before
    afresh = LinuxNetwork(prefix=place.on.prefix, folder=place.on.folder, home=place.home)
    try:
        assert after == await afresh.observe(), "somebody who looks for the first time sees it otherwise"
    finally:
        await afresh.close()


async def test_an_address_that_others_put_on_the_uplink_or_took_off_is_seen(place: Place) -> None:
    await place.lay_out(0)
    public = PublicAddress(namespace="", link=UPLINK, ip="198.51.100.77")
    await place.seen()
    await place.driver.apply([Put(public), Announce(public)])
    assert public in (await place.seen())[0].things
    await place.driver.apply([Drop(public)])
    assert public not in (await place.seen())[0].things


async def test_another_namespace_of_the_same_name_is_another(place: Place) -> None:
    await place.lay_out(2)
    before, _ = await place.seen()
    run_now("ip", "netns", "delete", place.name)
    run_now("ip", "netns", "add", place.name)
    after, _ = await place.seen()
    assert {type(thing) for thing in after.things if thing.namespace == place.name} == {Namespace}
    assert after != before


async def test_lost_events_are_no_reason_to_believe_what_was_seen(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.lay_out(2)
    await place.driver.close()
    monkeypatch.setattr(sights, "SO_RCVBUFFORCE", 8)  # the ordinary option, which takes at most what the machine allows
    monkeypatch.setattr(sights, "_BUFFER", 2048)
    place.driver = LinuxNetwork(prefix=place.on.prefix, folder=place.on.folder, home=place.home)
    place.on.driver = place.driver
    await place.seen()
    noise = "".join(f"neigh replace 10.9.9.{n} lladdr {MAC} dev tap1 nud permanent\n" for n in range(1, 100))
    run_now(*in_netns(place.name, ["ip", "-batch", "-"]), stdin=noise)
    place.by_hand("ip", "route", "del", "10.0.1.1/32")
    after, _ = await place.seen()
    assert not any(isinstance(thing, Route) and thing.to == "10.0.1.1/32" for thing in after.things)
