"""The node planner: pure, and at rest once its steps are taken."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from eucapy.drivers.hypervisor.base import DomainStatus, Power, Reason
from eucapy.drivers.proxies.base import ProxySeen
from eucapy.nc import planner
from eucapy.nc.disks import network_card
from eucapy.nc.planner import Graces, Seen, plan
from eucapy.nc.records import Record
from eucapy.wire.node import DiskSpec, NicSpec
from tests.nc.specs import instance

GRACES = Graces(stop_s=60, terminate_s=10)
ONE = "i-00000000000000001"
NOW = 1000.0


def domain(power: Power, reason: Reason = Reason.NONE) -> DomainStatus:
    nics = tuple(network_card(nic, None) for nic in instance().nics)
    return DomainStatus(instance_id=ONE, uuid="ec2", power=power, reason=reason, nics=nics)


def seen(**values: object) -> Seen:
    return Seen(**{"now": NOW, "record": Record(instance_id=ONE), **values})  # type: ignore[arg-type]


def test_a_new_instance_first_needs_its_image() -> None:
    [step] = plan(instance(), seen(), GRACES)
    assert isinstance(step, planner.FetchImage)


def test_with_the_image_there_it_gets_its_disk_and_starts() -> None:
    steps = plan(instance(), seen(image_cached=True), GRACES)
    assert [type(step) for step in steps] == [planner.MakeRoot, planner.Start]


def test_a_stop_asks_once_then_waits_then_cuts() -> None:
    running = domain(Power.RUNNING)
    record = Record(instance_id=ONE, starts=1)
    assert isinstance(plan(instance(run=False), seen(domain=running, record=record), GRACES)[0], planner.Ask)
    asked = Record(instance_id=ONE, starts=1, asked_at=NOW - 30)
    [step] = plan(instance(run=False), seen(domain=running, record=asked), GRACES)
    assert isinstance(step, planner.Wait)
    late = Record(instance_id=ONE, starts=1, asked_at=NOW - 61)
    assert plan(instance(run=False), seen(domain=running, record=late), GRACES) == [planner.Cut()]


def test_a_guest_that_ended_itself_is_noted_but_one_that_vanished_is_started() -> None:
    record = Record(instance_id=ONE, starts=1)
    off = domain(Power.OFF, Reason.SHUTDOWN)
    assert plan(instance(), seen(domain=off, record=record, root_made=True), GRACES) == [planner.NoteEnd()]
    lost = domain(Power.OFF, Reason.UNKNOWN)
    assert plan(instance(), seen(domain=lost, record=record, root_made=True), GRACES) == [planner.Start()]


def test_a_paused_guest_goes_on() -> None:
    record = Record(instance_id=ONE, starts=1)
    paused = domain(Power.PAUSED, Reason.IO_ERROR)
    assert plan(instance(), seen(domain=paused, record=record), GRACES) == [planner.Resume()]


DISK = DiskSpec(
    volume_id="vol-0123456789abcdef0", attachment_id="a", device="/dev/sdf", export="nbd+unix:///v?socket=/v"
)

FAR = msgspec.structs.replace(DISK, export="nbds://10.0.0.9:20000/vol-0123456789abcdef0")
GROWN = msgspec.structs.replace(FAR, size_gib=5)
PROXY = ProxySeen(ONE, FAR.export, running=True)

SPECS = st.builds(
    lambda run, starts, reboots, gone, force, disks: instance(
        run=run, starts=starts, reboots=reboots, gone=gone, force_stop=force, disks=disks
    ),
    st.booleans(),
    st.integers(1, 3),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.sampled_from([(), (DISK,), (FAR,), (GROWN,)]),
)
SEEN = st.builds(
    seen,
    record=st.builds(
        Record,
        instance_id=st.just(ONE),
        starts=st.integers(0, 3),
        starting=st.booleans(),
        reboots=st.integers(0, 3),
        asked_at=st.sampled_from([0.0, NOW - 5, NOW - 1000]),
        ended=st.sampled_from(["", "guest"]),
    ),
    domain=st.none() | st.builds(domain, st.sampled_from(Power), st.sampled_from(Reason)),
    folder=st.just(True),
    image_cached=st.booleans(),
    root_made=st.booleans(),
    proxies=st.dictionaries(
        st.sampled_from("ab"),
        st.builds(ProxySeen, st.just(ONE), st.sampled_from([FAR.export, "nbds://10.0.0.8:1/vol-1"]), st.booleans()),
    ),
)


def apply(spec: object, view: Seen, step: planner.Step) -> Seen:
    """A model of the executor on an obedient host."""
    record, power = view.record, view.domain

    def become(**changes: object) -> Seen:
        fields = {name: getattr(view, name) for name in view.__dataclass_fields__}
        return Seen(**{**fields, **changes})

    def note(**changes: object) -> Record:
        return msgspec.structs.replace(record, **changes)

    match step:
        case planner.FetchImage():
            return become(image_cached=True)
        case planner.MakeRoot():
            return become(root_made=True)
        case planner.Start():
            plugged = tuple(planner_disk(d) for d in spec.disks)  # type: ignore[attr-defined]
            started = note(starts=spec.starts, reboots=spec.reboots, asked_at=0.0, ended="", starting=False)  # type: ignore[attr-defined]
            return become(domain=msgspec.structs.replace(domain(Power.RUNNING), disks=plugged), record=started)
        case planner.NoteStarted():
            return become(record=note(starting=False))
        case planner.Ask():
            return become(domain=domain(Power.OFF, Reason.SHUTDOWN), record=note(asked_at=view.now))
        case planner.Cut():
            return become(domain=domain(Power.OFF, Reason.DESTROYED))
        case planner.NoteEnd():
            return become(record=note(ended="guest"))
        case planner.NoteStopped():
            return become(record=note(asked_at=0.0))
        case planner.Reboot(reboots):
            return become(record=note(reboots=reboots))
        case planner.Resume():
            assert power is not None
            return become(domain=msgspec.structs.replace(power, power=Power.RUNNING))
        case planner.Attach(disk):
            assert power is not None
            return become(domain=msgspec.structs.replace(power, disks=(*power.disks, planner_disk(disk))))
        case planner.Detach(serial):
            assert power is not None
            rest = tuple(d for d in power.disks if d.serial != serial)
            return become(domain=msgspec.structs.replace(power, disks=rest))
        case planner.PlugNic(nic):
            assert power is not None
            return become(domain=msgspec.structs.replace(power, nics=(*power.nics, network_card(nic, None))))
        case planner.UnplugNic(tap):
            assert power is not None
            cards = tuple(card for card in power.nics if card.tap != tap)
            return become(domain=msgspec.structs.replace(power, nics=cards))
        case planner.OpenProxy(disk):
            opened = ProxySeen(ONE, disk.export, running=True)
            return become(proxies={**view.proxies, disk.attachment_id: opened})
        case planner.CloseProxy(attachment_id):
            return become(proxies={name: held for name, held in view.proxies.items() if name != attachment_id})
        case planner.Resize(disk):
            return become(record=note(disk_gib={disk.attachment_id: disk.size_gib}))
        case planner.Undefine():
            return become(domain=None)
        case planner.RemoveFiles():
            return become(folder=False, root_made=False, record=Record(instance_id=ONE))
        case planner.Wait(seconds):
            return become(now=view.now + seconds, domain=domain(Power.OFF, Reason.SHUTDOWN))
    return view


def planner_disk(disk: DiskSpec) -> object:
    from eucapy.nc.disks import volume_disk

    return volume_disk(disk, Path)


def second(*, gone: bool = False) -> NicSpec:
    return msgspec.structs.replace(
        instance().nics[0], interface_id="eni-2", attachment_id="eni-attach-2", tap="vn2", mac="02:2", gone=gone
    )


def test_a_network_card_is_plugged_into_a_running_guest_and_leaves_it_by_its_tombstone_alone() -> None:
    first, record = instance().nics, Record(instance_id=ONE, starts=1)
    one = seen(domain=domain(Power.RUNNING), record=record, root_made=True)
    assert plan(instance(nics=(*first, second())), one, GRACES) == [planner.PlugNic(second())]
    both = apply(instance(), one, planner.PlugNic(second()))
    assert plan(instance(nics=(*first, second())), both, GRACES) == []
    assert plan(instance(nics=(*first, second(gone=True))), both, GRACES) == [planner.UnplugNic("vn2")]
    assert plan(instance(nics=(*first, second(gone=True))), one, GRACES) == []
    assert plan(instance(nics=first), both, GRACES) == []


def test_a_guest_that_keeps_a_device_is_asked_again_after_a_while() -> None:
    first, record = instance().nics, Record(instance_id=ONE, starts=1)
    running = seen(domain=domain(Power.RUNNING), record=record, root_made=True)
    both = apply(instance(), running, planner.PlugNic(second()))
    spec = instance(nics=(*first, second(gone=True)))
    for ago_s, steps in ((4.0, [planner.Wait]), (11.0, [planner.UnplugNic])):
        view = replace(both, asked={"vn2": NOW - ago_s})
        assert [type(step) for step in plan(spec, view, GRACES)] == steps


def plugged(*disks: DiskSpec) -> DomainStatus:
    return msgspec.structs.replace(domain(Power.RUNNING), disks=tuple(planner_disk(disk) for disk in disks))


def test_a_volume_of_another_host_comes_through_a_proxy_that_is_there_before_it() -> None:
    record = Record(instance_id=ONE, starts=1)
    assert plan(instance(disks=(FAR,)), seen(root_made=True), GRACES) == [planner.OpenProxy(FAR), planner.Start()]
    running = seen(domain=domain(Power.RUNNING), record=record)
    assert plan(instance(disks=(FAR,)), running, GRACES) == [planner.OpenProxy(FAR), planner.Attach(FAR)]


def test_a_proxy_stays_until_the_guest_has_let_go_and_goes_with_the_instance() -> None:
    record = Record(instance_id=ONE, starts=1)
    held = seen(domain=plugged(FAR), record=record, proxies={"a": PROXY})
    assert plan(instance(), held, GRACES) == [planner.Detach("vol0123456789abcdef0"[:20])]
    let_go = seen(domain=domain(Power.RUNNING), record=record, proxies={"a": PROXY})
    assert plan(instance(), let_go, GRACES) == [planner.CloseProxy("a")]
    off = seen(domain=domain(Power.OFF), record=record, proxies={"a": PROXY})
    assert plan(instance(run=False, disks=(FAR,)), off, GRACES) == [planner.CloseProxy("a")]
    left = seen(record=record, proxies={"a": PROXY}, folder=True)
    assert plan(instance(gone=True), left, GRACES) == [planner.CloseProxy("a"), planner.RemoveFiles()]


def test_a_proxy_that_died_or_leads_to_where_the_volume_was_is_made_anew_before_the_guest_goes_on() -> None:
    record = Record(instance_id=ONE, starts=1)
    for proxy in (ProxySeen(ONE, FAR.export, running=False), ProxySeen(ONE, "nbds://10.0.0.8:1/v", running=True)):
        stalled = msgspec.structs.replace(plugged(FAR), power=Power.PAUSED)
        steps = plan(instance(disks=(FAR,)), seen(domain=stalled, record=record, proxies={"a": proxy}), GRACES)
        assert steps == [planner.OpenProxy(FAR), planner.Resume()]


def test_a_guest_is_told_once_that_its_disk_has_grown() -> None:
    for known, steps in ((4, [planner.Resize(GROWN)]), (5, [])):
        record = Record(instance_id=ONE, starts=1, disk_gib={"a": known})
        view = seen(domain=plugged(GROWN), record=record, proxies={"a": PROXY})
        assert plan(instance(disks=(GROWN,)), view, GRACES) == steps


@given(SPECS, SEEN)
def test_taking_the_steps_leads_to_rest(spec: object, view: Seen) -> None:
    for _ in range(12):
        steps = plan(spec, view, GRACES)  # type: ignore[arg-type]
        if not steps:
            return
        for step in steps:
            view = apply(spec, view, step)
    raise AssertionError(f"never at rest: {plan(spec, view, GRACES)}")  # type: ignore[arg-type]
