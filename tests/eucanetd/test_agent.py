"""The agent over the fake driver: plans that end, faults that stay with their item, crashes at every step."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eucapy.clock import ManualClock
from eucapy.drivers.network.fake import FakeNetwork
from eucapy.drivers.network.model import (
    NODE,
    Announce,
    Link,
    LinkKind,
    Namespace,
    Observed,
    Put,
    Ruleset,
    Step,
)
from eucapy.eucanetd import diff
from eucapy.eucanetd.agent import NetworkController
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.plan import NODE_ITEM, Laid, desire, intend
from eucapy.wire.contract import Cursor, Refused
from eucapy.wire.network import NetworkSpec, NetworkStatus, RemoteSpec
from tests.eucanetd.specs import group, network, port, vpc, vpc6

LAYOUT = Layout(prefix="t-", underlay="10.8.0.1", uplink="eth1", public6=True)
NODES = {"n1": "10.8.0.1", "n2": "10.8.0.2"}
ONE = port(1, "10.0.0.11", public=(("10.0.0.11", "198.51.100.101"),))
TWO = port(2, "10.0.0.12")
OTHERS = port(3, "10.0.0.11", "vpc-b", groups=())


class Bench:
    """An agent on a fake network, and time in the hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.net = FakeNetwork(mtus={"10.8.0.1": 1500})
        self.start()

    def start(self) -> None:
        self.agent = NetworkController("node", self.folder, self.net, LAYOUT, self.clock)

    async def settle(self) -> NetworkStatus:
        await self.agent.loop.activate()
        outcome = self.agent.loop.last
        assert outcome is not None and not outcome.error, outcome
        return await self.agent.get_status(Cursor(), 0)

    async def give(self, spec: NetworkSpec) -> NetworkStatus:
        assert (await self.agent.put_spec(spec)).refused is None
        return await self.settle()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def steps_for(spec: NetworkSpec, laid: Laid, observed: Observed) -> dict[str, list[Step]]:
    intent = intend(spec, laid, observed, LAYOUT)
    desired = desire(intent, observed, LAYOUT)
    return diff.plan(desired, observed, {item: LAYOUT.namespace(item) for item in desired.items if item != NODE_ITEM})


REMOTES = (RemoteSpec(ip="10.0.0.10", node="n2"), RemoteSpec(ip="2001:db8:a::10", node="n2"))
ADDRESSES = [f"10.0.0.{last}" for last in range(10, 16)]
PORTS = st.lists(st.sampled_from(range(1, 6)), unique=True, max_size=5).flatmap(
    lambda numbers: st.tuples(
        *(
            st.builds(
                lambda number, where, ip, public, way6: port(
                    number,
                    ip,
                    where,
                    groups=("sg-all",),
                    public=((ip, f"198.51.100.{100 + number}"),) if public else (),
                    ipv6s=(f"2001:db8:a::{10 + number}",) if way6 is not None else (),
                    way6=way6 or "",
                ),
                st.just(number),
                st.sampled_from(["vpc-a", "vpc-b"]),
                st.just(ADDRESSES[number]),
                st.booleans(),
                st.sampled_from([None, "", "internet", "egress-only"]),
            )
            for number in numbers
        )
    )
)
SPECS = st.builds(
    lambda ports, remote, internet, dual: network(
        1,
        [
            (vpc6 if dual else vpc)("vpc-a", 100, remotes=REMOTES if remote else (), internet=internet),
            vpc("vpc-b", 200),
        ],
        list(ports),
        nodes=NODES,
    ),
    PORTS,
    st.booleans(),
    st.booleans(),
    st.booleans(),
)


@settings(max_examples=60, deadline=None)
@given(before=SPECS, after=SPECS, plugged=st.sets(st.integers(1, 5)))
async def test_from_any_network_to_any_other_in_one_plan(
    before: NetworkSpec, after: NetworkSpec, plugged: set[int]
) -> None:
    """`plan(desired, apply(plan(desired, seen), seen)) == {}`, also where a spec before it left something else."""
    net = FakeNetwork()
    for number in plugged:
        net.plug(f"tap{number}")
    laid = Laid()
    for spec in (before, after):
        observed = await net.observe()
        moved = {
            each.interface_id: each
            for each in spec.ports.values()
            if each.tap not in observed.taps(LAYOUT.namespace("vpc-b" if each.vpc_id == "vpc-a" else "vpc-a"))
        }
        spec = msgspec.structs.replace(spec, ports=moved)  # an interface never changes its VPC
        for todo in steps_for(spec, laid, observed).values():
            await net.apply(todo)
        laid = intend(spec, laid, observed, LAYOUT).laid
        assert steps_for(spec, laid, await net.observe()) == {}


async def test_rules_stand_before_the_tap_is_adopted_and_the_address_is_announced_when_it_has_come(
    bench: Bench,
) -> None:
    bench.net.plug("tap1")
    steps = steps_for(network(1, [vpc()], [ONE]), Laid(), await bench.net.observe())["vpc-a"]
    kinds = [(type(step), type(step.thing)) for step in steps]
    tap = next(n for n, step in enumerate(steps) if isinstance(step.thing, Link) and step.thing.name == "tap1")
    assert kinds.index((Put, Namespace)) < kinds.index((Put, Ruleset)) < tap
    assert [step.thing.ip for step in steps if isinstance(step, Announce)] == ["198.51.100.101"]


async def test_a_change_of_rules_is_one_step(bench: Bench) -> None:
    bench.net.plug("tap2")
    await bench.give(network(1, [vpc()], [TWO]))
    after = network(2, [vpc()], [TWO], (group("sg-all"),))
    steps = steps_for(after, Laid(), await bench.net.observe())
    assert {item: [type(step.thing) for step in todo] for item, todo in steps.items()} == {"vpc-a": [Ruleset]}


async def test_a_failing_vpc_keeps_no_other_and_is_tried_again_with_growing_patience(bench: Bench) -> None:
    namespace = Namespace(namespace=LAYOUT.namespace("vpc-a")).key
    bench.net.fail(namespace, "no more namespaces")
    for tap in ("tap1", "tap3"):
        bench.net.plug(tap)
    status = await bench.give(network(1, [vpc(), vpc("vpc-b", 200)], [ONE, OTHERS]))
    fault = status.ports["eni-1"].fault
    assert fault is not None and "no more namespaces" in fault.message and not fault.final
    assert status.ports["eni-3"].plugged and status.ports["eni-3"].fault is None
    assert status.vpcs == ("vpc-b",)

    bench.net.fail(namespace, None)
    assert not (await bench.settle()).ports["eni-1"].plugged, "its time has not come"
    bench.clock.advance(60)
    assert (await bench.settle()).ports["eni-1"].plugged


async def test_an_unreadable_namespace_is_a_fault_of_its_vpc_and_nothing_of_it_is_touched(bench: Bench) -> None:
    for tap in ("tap1", "tap3"):
        bench.net.plug(tap)
    spec = network(1, [vpc(), vpc("vpc-b", 200)], [ONE, OTHERS])
    await bench.give(spec)
    taken = bench.net.steps_taken
    bench.net.break_namespace(LAYOUT.namespace("vpc-a"), "Permission denied")
    status = await bench.settle()
    fault = status.ports["eni-1"].fault
    assert fault is not None and fault.code == "NamespaceUnreadable"
    assert status.ports["eni-3"].plugged
    assert bench.net.steps_taken == taken


async def test_nonsense_in_one_vpc_leaves_the_node_guarded_and_the_others_alone(bench: Bench) -> None:
    bench.net.plug("tap3")
    wrong = msgspec.structs.replace(ONE, tap='x" accept', public=(("10.0.0.11", "nowhere"),))
    status = await bench.give(network(1, [vpc(), vpc("vpc-b", 200)], [wrong, OTHERS], nodes={"n2": "nowhere"}))
    fault = status.ports["eni-1"].fault
    assert fault is not None and fault.code == "InvalidSpec"
    assert status.fault is None
    assert status.ports["eni-3"].plugged


async def test_a_port_in_a_vpc_that_the_spec_does_not_describe_is_a_fault(bench: Bench) -> None:
    status = await bench.give(network(1, [vpc()], [ONE, OTHERS]))
    fault = status.ports["eni-3"].fault
    assert fault is not None and fault.code == "UnknownVpc"


@pytest.mark.parametrize("phase", ["lay out", "change", "remove", "ipv6 on", "ipv6 off"])
async def test_killed_after_any_step_the_next_life_finishes_the_work(tmp_path: Path, phase: str) -> None:
    """The agent is killed after each step in turn; the next one is told nothing and ends with the same network."""
    first = network(1, [vpc(), vpc("vpc-b", 200)], [ONE, OTHERS])
    second = network(2, [vpc(remotes=(RemoteSpec(ip="10.0.0.99", node="n2"),))], [TWO], nodes=NODES)
    dual = [vpc6(remotes=REMOTES)], [msgspec.structs.replace(ONE, ipv6s=("2001:db8:a::11",), way6="internet")]
    history = {
        "lay out": [first],
        "change": [first, second],
        "remove": [first, network(2, [], [])],
        "ipv6 on": [network(1, [vpc()], [ONE]), network(2, *dual, nodes=NODES)],
        "ipv6 off": [network(1, *dual, nodes=NODES), network(2, [vpc()], [ONE])],
    }[phase]

    async def run(kill_after: int | None, folder: Path) -> tuple[frozenset[object], int]:
        bench = Bench(folder)
        for tap in ("tap1", "tap2", "tap3"):
            bench.net.plug(tap)
        for spec in history[:-1]:
            await bench.give(spec)
        if phase == "remove":
            bench.net.unplug("tap1")
            bench.net.unplug("tap3")
        before = bench.net.steps_taken
        await bench.agent.put_spec(history[-1])
        if kill_after is not None:
            kill(bench.net, kill_after)
            with pytest.raises(Killed):
                await bench.agent._activate()
            bench.net.apply = type(bench.net).apply.__get__(bench.net)  # type: ignore[method-assign]
            bench.start()
        status = await bench.settle()
        assert not [each for each in status.ports.values() if each.fault]
        return (await bench.net.observe()).things, bench.net.steps_taken - before

    wanted, length = await run(None, tmp_path / "whole")
    assert length > 5
    for after in range(length):
        things, _ = await run(after, tmp_path / f"killed-{after}")
        assert things == wanted, f"killed after step {after}"


class Killed(BaseException):
    """The process ends here."""


def kill(net: FakeNetwork, after: int) -> None:
    """The fake takes `after` more steps and then the caller is no more."""
    left = [after]
    apply = net.apply

    async def counting(steps: list[Step]) -> None:
        for step in steps:
            if left[0] == 0:
                raise Killed
            left[0] -= 1
            await apply([step])

    net.apply = counting  # type: ignore[method-assign, assignment]


async def test_what_a_spec_forgets_is_kept_while_its_guest_lives_over_a_restart_too(bench: Bench) -> None:
    bench.net.plug("tap1")
    await bench.give(network(1, [vpc()], [ONE]))
    things = (await bench.net.observe()).things
    status = await bench.give(network(2, [], []))
    assert status.strangers == ("eni-1",)
    assert status.ports["eni-1"].plugged
    bench.start()
    status = await bench.settle()
    assert (await bench.net.observe()).things == things
    bench.net.unplug("tap1")
    status = await bench.settle()
    assert status.ports == {} and status.strangers == ()
    assert {thing.namespace for thing in (await bench.net.observe()).things} == {NODE}


async def test_a_tap_that_nobody_knows_keeps_its_namespace_and_is_reported(bench: Bench) -> None:
    bench.net.plug("tap1")
    await bench.give(network(1, [vpc()], [ONE]))
    bench.net.plug("tap9")
    namespace = LAYOUT.namespace("vpc-a")
    await bench.net.apply([Put(Link(namespace=namespace, name="tap9", kind=LinkKind.TAP, mtu=1500, mac=""))])
    bench.net.unplug("tap1")
    status = await bench.give(network(2, [], []))
    assert status.strangers == (f"{namespace}/tap9",)
    assert namespace in (await bench.net.observe()).namespaces


async def test_specs_are_judged_as_everywhere(bench: Bench) -> None:
    await bench.give(network(5, [vpc()], [ONE]))
    assert (await bench.agent.put_spec(network(4, [], []))).refused is Refused.STALE
    assert (await bench.agent.put_spec(network(5, [], []))).refused is Refused.CONFLICT
    assert (await bench.agent.put_spec(network(5, [vpc()], [ONE]))).refused is None


async def test_before_its_first_spec_an_agent_touches_nothing(bench: Bench) -> None:
    bench.net.plug("tap1")
    status = await bench.settle()
    assert status.generation == 0
    assert bench.net.steps_taken == 0


async def test_a_rebooted_host_is_laid_out_again_from_the_ledger(bench: Bench) -> None:
    bench.net.plug("tap1")
    await bench.give(network(1, [vpc()], [ONE]))
    things = (await bench.net.observe()).things
    bench.net.reboot()
    bench.start()
    assert not (await bench.settle()).ports["eni-1"].plugged
    bench.net.plug("tap1")
    assert (await bench.settle()).ports["eni-1"].plugged
    assert (await bench.net.observe()).things == things
