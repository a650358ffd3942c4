"""What every network driver promises; the kernel's and the fake keep the same words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from eucapy.drivers.network import netns
from eucapy.drivers.network.base import StepFailed
from eucapy.drivers.network.model import (
    NODE,
    Address,
    Advertiser,
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
    Resolver,
    Route,
    Ruleset,
    Setting,
    SourceRule,
    Thing,
    digest,
)
from eucapy.drivers.network.removal import remove_everything, remove_now
from tests.drivers.network.benches import UNDERLAY, UPLINK, Bench, bench
from tests.harness.topology import skip_without_host

VNI = 4711


@pytest.fixture(params=["fake", pytest.param("linux", marks=pytest.mark.host)])
async def on(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with bench(request.param) as made:
        yield made


def peer(on: Bench) -> str:
    return netns.peer(on.prefix, VNI)


def place(on: Bench) -> str:
    return f"{on.prefix}vpc-1"


def tap(on: Bench, name: str = "tap1") -> Link:
    return Link(namespace=place(on), name=name, kind=LinkKind.TAP, mtu=1400, mac="02:00:00:00:00:aa", proxy_arp=True)


def pair(on: Bench) -> tuple[Link, Link]:
    near = Link(
        namespace=place(on), name="transit", kind=LinkKind.VETH, mtu=1400, mac="02:00:00:00:00:01", peer=peer(on)
    )
    far = Link(namespace=NODE, name=peer(on), kind=LinkKind.VETH_PEER, mtu=1400, mac="02:00:00:00:00:02")
    return near, far


def rules(on: Bench, namespace: str, chain: str = "c") -> Ruleset:
    table = "eucapy" if namespace else netns.node_table(on.prefix)
    text = f"table inet {table} {{\n  chain {chain} {{\n  }}\n}}\n"
    return Ruleset(namespace=namespace, digest=digest(text), text=text, published=() if namespace else None)


def everything(on: Bench) -> list[Thing]:
    """One of each kind of thing, in an order in which they can be put."""
    there = place(on)
    near, far = pair(on)
    return [
        Namespace(namespace=there),
        Setting(namespace=NODE, name="net.ipv4.ip_forward", value="1"),
        rules(on, there),
        rules(on, NODE),
        Link(
            namespace=there,
            name="vx",
            kind=LinkKind.VXLAN,
            mtu=1450,
            mac="02:76:0a:08:00:01",
            vni=VNI,
            local=UNDERLAY,
            port=4789,
        ),
        near,
        far,
        tap(on),
        Neighbour(namespace=there, link="tap1", ip="10.0.0.5", mac="02:00:00:00:00:05"),
        Neighbour(namespace=NODE, link=peer(on), ip="240.0.0.9", mac="02:00:00:00:00:01"),
        Forwarding(namespace=there, link="vx", mac="02:76:0a:08:00:02", node="10.8.0.2"),
        Address(namespace=there, link="lo", ip="169.254.169.254"),
        Address(namespace=there, link="tap1", ip="10.0.0.1"),
        Route(namespace=there, to="10.0.0.0/16"),
        Route(namespace=there, to="10.0.0.5/32", link="tap1"),
        Route(namespace=there, to="0.0.0.0/0", link="transit", via="240.0.0.0"),
        Route(namespace=NODE, to="240.0.0.9/32", link=peer(on)),
        Route(namespace=NODE, to="198.51.100.77/32", link=peer(on), via="240.0.0.9"),
        PublicAddress(namespace=NODE, link=UPLINK, ip="198.51.100.77"),
        resolver(on),
    ]


MAC6 = "fe80::ff:fe00:2"


def everything6(on: Bench) -> list[Thing]:
    """Likewise, of a namespace that has IPv6 too."""
    there = place(on)
    dual = {"mtu": 1400, "ipv6": True}
    orders = {"mac": "02:00:00:00:00:aa", "mtu": 1400, "user": "root", "dns": [], "search": [], "taps": {}}
    config = json.dumps(orders)
    return [
        Namespace(namespace=there, ipv6=True),
        Setting(namespace=NODE, name="net.ipv6.conf.all.forwarding", value="1"),
        Link(namespace=there, name="transit", kind=LinkKind.VETH, mac="02:00:00:00:00:01", peer=peer(on), **dual),
        Link(namespace=NODE, name=peer(on), kind=LinkKind.VETH_PEER, mac="02:00:00:00:00:02", **dual),
        Link(namespace=there, name="tap1", kind=LinkKind.TAP, mac="02:00:00:00:00:aa", proxy_arp=True, **dual),
        Neighbour(namespace=there, link="tap1", ip="2001:db8::5", mac="02:00:00:00:00:05"),
        Neighbour(namespace=NODE, link=peer(on), ip="fe80::ff:fe00:1", mac="02:00:00:00:00:01"),
        Neighbour(namespace=there, link="transit", ip=MAC6, mac="02:00:00:00:00:02"),
        Address(namespace=there, link="lo", ip="2001:db8::1"),
        Address(namespace=there, link="tap1", ip="fe80::ff:fe00:aa"),
        Route(namespace=there, to="2001:db8::/56"),
        Route(namespace=there, to="2001:db8::5/128", link="tap1"),
        Route(namespace=there, to="::/0", link="transit", via=MAC6),
        Route(namespace=there, to="2001:db8::/56", table=7001),
        Route(namespace=there, to="2001:db8:1::/56", table=7001, refuses=True),
        Route(namespace=there, to="2001:db8:2::/56", link="transit", via=MAC6, table=7001),
        SourceRule(namespace=there, source="2001:db8::/64", table=7001),
        Route(namespace=NODE, to="2001:db8::5/128", link=peer(on), via="fe80::ff:fe00:1"),
        PublicAddress(namespace=NODE, link=UPLINK, ip="2001:db8::5"),
        Advertiser(namespace=there, digest=digest(config), config=config),
    ]


def resolver(on: Bench, hosts: str = "10.0.0.5 five\n") -> Resolver:
    config = "user=root\npid-file={folder}/pid\nbind-dynamic\nno-resolv\nno-hosts\naddn-hosts={folder}/hosts\n"
    return Resolver(
        namespace=place(on), config_digest=digest(config), hosts_digest=digest(hosts, ""), config=config, hosts=hosts
    )


def here(seen: Observed, on: Bench) -> set[Thing]:
    """What of the things is ours: the kernel's setting may be on by itself."""
    return {thing for thing in seen.things if not isinstance(thing, Setting) or thing.value == "1"}


async def test_what_is_put_is_observed_and_putting_it_again_changes_nothing(on: Bench) -> None:
    on.plug("tap1")
    things = everything(on)
    for _ in range(2):
        await on.driver.apply([Put(thing) for thing in things])
        assert here(await on.driver.observe(), on) == set(things)


async def test_what_is_dropped_is_gone_and_dropping_it_again_is_no_error(on: Bench) -> None:
    on.plug("tap1")
    things = everything(on)
    await on.driver.apply([Put(thing) for thing in things])
    on.unplug("tap1")
    drops = [Drop(thing) for thing in reversed(things) if not (isinstance(thing, Link) and thing.kind is LinkKind.TAP)]
    for _ in range(2):
        await on.driver.apply(drops)
        left = (await on.driver.observe()).things
        assert {thing for thing in left if not isinstance(thing, Setting)} == set()


async def test_the_things_of_ipv6_are_put_observed_and_dropped_like_the_others(on: Bench) -> None:
    on.plug("tap1")
    things = everything6(on)
    for _ in range(2):
        await on.driver.apply([Put(thing) for thing in things])
        assert here(await on.driver.observe(), on) >= set(things)
    held = {thing for thing in things if not isinstance(thing, Setting)}
    await on.driver.apply([Announce(PublicAddress(namespace=NODE, link=UPLINK, ip="2001:db8::5"))])
    left = [thing for thing in things if not isinstance(thing, Namespace | Link)]
    for _ in range(2):
        await on.driver.apply([Drop(thing) for thing in reversed(left)])
        seen = {thing for thing in (await on.driver.observe()).things if not isinstance(thing, Setting)}
        assert seen == held - set(left)
    on.unplug("tap1")
    assert await remove_everything(on.driver) == 1


async def test_ipv6_comes_and_goes_and_leaves_ipv4_alone(on: Bench) -> None:
    on.plug("tap1")
    four = [thing for thing in everything(on) if not isinstance(thing, Setting | Ruleset | PublicAddress | Resolver)]
    await on.driver.apply([Put(thing) for thing in four])
    six = [thing for thing in everything6(on) if not isinstance(thing, Setting | PublicAddress)]
    await on.driver.apply([Put(thing) for thing in six])
    assert here(await on.driver.observe(), on) >= set(six)
    gone = [thing for thing in six if not isinstance(thing, Namespace | Link)]
    changed = [thing for thing in four if isinstance(thing, Namespace | Link)]
    await on.driver.apply([*(Put(thing) for thing in changed), *(Drop(thing) for thing in reversed(gone))])
    seen = {thing for thing in (await on.driver.observe()).things if not isinstance(thing, Setting)}
    assert seen == set(four)


async def test_an_address_leaves_a_guest_that_runs_on_and_takes_its_way_with_it(on: Bench) -> None:
    on.plug("tap1")
    there = place(on)
    second: list[Thing] = [
        Neighbour(namespace=there, link="tap1", ip="10.0.0.6", mac="02:00:00:00:00:05"),
        Address(namespace=there, link="tap1", ip="10.0.1.1"),
        Route(namespace=there, to="10.0.0.6/32", link="tap1"),
    ]
    things = everything(on)
    await on.driver.apply([Put(thing) for thing in [*things, *second]])
    await on.driver.apply([Drop(thing) for thing in reversed(second)])
    assert here(await on.driver.observe(), on) == set(things)


async def test_a_namespace_takes_what_is_in_it_and_the_far_ends_with_it(on: Bench) -> None:
    on.plug("tap1")
    things = everything(on)
    await on.driver.apply([Put(thing) for thing in things])
    on.unplug("tap1")
    await on.driver.apply(
        [Drop(resolver(on)), *(Drop(link) for link in pair(on)), Drop(Namespace(namespace=place(on)))]
    )
    left = {thing for thing in (await on.driver.observe()).things if not isinstance(thing, Setting)}
    assert left == {rules(on, NODE), PublicAddress(namespace=NODE, link=UPLINK, ip="198.51.100.77")}


async def test_a_tap_waits_in_the_node_until_it_is_put_and_goes_with_its_guest(on: Bench) -> None:
    on.plug("tap1")
    await on.driver.apply([Put(Namespace(namespace=place(on)))])
    seen = await on.driver.observe()
    assert (seen.waiting_taps, seen.taps(place(on))) == ({"tap1"}, frozenset())
    await on.driver.apply([Put(tap(on)), Put(Route(namespace=place(on), to="10.0.0.5/32", link="tap1"))])
    seen = await on.driver.observe()
    assert (seen.waiting_taps, seen.taps(place(on))) == (frozenset(), {"tap1"})
    on.unplug("tap1")
    left = (await on.driver.observe()).things - {Namespace(namespace=place(on))}
    assert {thing for thing in left if not isinstance(thing, Setting)} == set()


async def test_a_tap_that_is_not_there_cannot_be_put_and_one_that_is_there_not_dropped(on: Bench) -> None:
    await on.driver.apply([Put(Namespace(namespace=place(on)))])
    with pytest.raises(StepFailed, match="tap1"):
        await on.driver.apply([Put(tap(on))])
    on.plug("tap1")
    await on.driver.apply([Put(tap(on))])
    with pytest.raises(StepFailed, match="belongs to its guest"):
        await on.driver.apply([Drop(tap(on))])
    assert (await on.driver.observe()).taps(place(on)) == {"tap1"}


async def test_a_step_that_fails_is_named_and_the_steps_before_it_are_done(on: Bench) -> None:
    first = Put(Namespace(namespace=place(on)))
    bad = Put(Route(namespace=place(on), to="10.0.0.5/32", link="nowhere"))
    never = Put(Address(namespace=place(on), link="lo", ip="169.254.169.254"))
    with pytest.raises(StepFailed) as failure:
        await on.driver.apply([first, bad, never])
    assert failure.value.step == bad
    seen = await on.driver.observe()
    assert place(on) in seen.namespaces
    assert never.thing not in seen.things


async def test_a_thing_is_replaced_under_its_key(on: Bench) -> None:
    for name in ("tap1", "tap2"):
        on.plug(name)
    there = place(on)
    await on.driver.apply([Put(Namespace(namespace=there)), Put(tap(on)), Put(tap(on, "tap2"))])
    for link in ("tap1", "tap2"):
        await on.driver.apply(
            [
                Put(Route(namespace=there, to="10.0.0.5/32", link=link)),
                Put(Neighbour(namespace=there, link="tap1", ip="10.0.0.5", mac=f"02:00:00:00:00:0{link[-1]}")),
                Put(rules(on, there, link)),
                Put(resolver(on, f"10.0.0.5 {link}\n")),
            ]
        )
    seen = await on.driver.observe()
    assert {thing for thing in seen.things if isinstance(thing, Route)} == {
        Route(namespace=there, to="10.0.0.5/32", link="tap2")
    }
    assert {thing for thing in seen.things if isinstance(thing, Neighbour)} == {
        Neighbour(namespace=there, link="tap1", ip="10.0.0.5", mac="02:00:00:00:00:02")
    }
    assert rules(on, there, "tap2") in seen.things
    assert resolver(on, "10.0.0.5 tap2\n") in seen.things


async def test_whoever_watches_is_woken_by_a_tap(on: Bench) -> None:
    woken = asyncio.Event()
    on.driver.watch(woken.set)
    on.plug("tap1")
    async with asyncio.timeout(10):
        await woken.wait()


async def test_the_mtu_of_the_underlay_is_seen(on: Bench) -> None:
    assert (await on.driver.observe()).mtus[UNDERLAY] == 1500


async def test_an_announcement_needs_no_listener(on: Bench) -> None:
    await on.driver.apply([Announce(PublicAddress(namespace=NODE, link=UPLINK, ip="198.51.100.77"))])


async def test_removing_everything_leaves_nothing_and_can_be_done_again(on: Bench) -> None:
    on.plug("tap1")
    await on.driver.apply([Put(thing) for thing in everything(on)])
    on.unplug("tap1")
    assert await remove_everything(on.driver) == 1
    assert {thing for thing in (await on.driver.observe()).things if not isinstance(thing, Setting)} == set()
    assert await remove_everything(on.driver) == 0


@pytest.mark.host
async def test_removing_without_a_driver_or_a_loop_of_ones_own() -> None:
    skip_without_host()
    assert remove_now("eut-nobody-", Path("/nowhere")) == 0


async def test_a_block_is_routed_by_its_own_table_and_the_table_changes_in_one_step(on: Bench) -> None:
    there = place(on)
    near, _far = pair(on)
    ways: list[Thing] = [
        Route(namespace=there, to="10.0.0.0/16", table=7001),
        Route(namespace=there, to="0.0.0.0/0", link="transit", via="240.0.0.1", table=7001),
        Route(namespace=there, to="10.2.0.0/16", table=7001, refuses=True),
        Route(namespace=there, to="0.0.0.0/0", link="transit", via="240.0.0.2"),
    ]
    rule = SourceRule(namespace=there, source="10.0.1.0/24", table=7001)
    await on.driver.apply([Put(Namespace(namespace=there)), Put(near), *(Put(way) for way in ways), Put(rule)])
    await on.driver.apply([Put(rule)])
    seen = (await on.driver.observe()).things
    assert {*ways, rule} <= seen
    moved = SourceRule(namespace=there, source="10.0.1.0/24", table=7002)
    await on.driver.apply([Put(moved)])
    seen = (await on.driver.observe()).things
    assert [thing for thing in seen if isinstance(thing, SourceRule)] == [moved]
    await on.driver.apply([Drop(moved), *(Drop(way) for way in ways), Drop(moved), Drop(ways[0])])
    seen = (await on.driver.observe()).things
    assert not seen & {*ways, moved, rule}


async def test_two_namespaces_are_joined_by_a_pair_whose_ends_go_together(on: Bench) -> None:
    one, two = place(on), f"{place(on)}-2"
    near = Link(
        namespace=one, name="peer2", kind=LinkKind.VETH, mtu=1400, mac="02:70:00:00:00:01", peer="peer1", far=two
    )
    back = Link(
        namespace=two, name="peer1", kind=LinkKind.VETH, mtu=1400, mac="02:70:00:00:00:02", peer="peer2", far=one
    )
    await on.driver.apply([Put(Namespace(namespace=one))])
    with pytest.raises(StepFailed):
        await on.driver.apply([Put(near)])
    await on.driver.apply([Put(Namespace(namespace=two)), Put(near), Put(back), Put(near)])
    assert {near, back} <= (await on.driver.observe()).things
    await on.driver.apply([Drop(near), Drop(back)])
    assert not {thing for thing in (await on.driver.observe()).things if isinstance(thing, Link)}


async def test_flows_of_what_counts_nothing_are_nothing(on: Bench) -> None:
    place = netns.vpc_namespace(on.prefix, "vpc-a")
    await on.driver.apply([Put(Namespace(namespace=place))])
    found = await on.driver.flows([place, netns.vpc_namespace(on.prefix, "vpc-b")])
    assert not any(each.counted or each.skipped for each in found.values())
