"""Placement: pure, and never more than a host has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from eucapy.clc.placement import Demand, Room, choose, how_many, place

MICRO = Demand(zone="a", vcpus=1, memory_mib=1024)


def room(host: str, memory_mib: int = 8192, vcpus: float = 8, zone: str = "a", **more: object) -> Room:
    return Room(host=host, zone=zone, vcpus=vcpus, memory_mib=memory_mib, **more)  # type: ignore[arg-type]


def test_the_host_with_the_most_free_memory_is_chosen() -> None:
    chosen = choose(MICRO, [room("n1", 4096), room("n2", 8192), room("n3", 2048)])
    assert chosen is not None and chosen.host == "n2"


def test_among_equals_the_one_that_has_the_image() -> None:
    demand = Demand(zone="a", vcpus=1, memory_mib=1024, image_id="ami-1")
    chosen = choose(demand, [room("n1"), room("n2", cached_images=frozenset({"ami-1"}))])
    assert chosen is not None and chosen.host == "n2"


def test_instances_spread() -> None:
    placed = place({f"i-{n}": MICRO for n in range(4)}, [room("n1"), room("n2")])
    assert sorted(placed.values()) == ["n1", "n1", "n2", "n2"]


def test_another_zone_or_architecture_is_no_room() -> None:
    assert choose(MICRO, [room("n1", zone="b"), room("n2", architecture="aarch64")]) is None


def test_a_64_bit_host_runs_32_bit_guests() -> None:
    assert choose(Demand(zone="a", vcpus=1, memory_mib=64, architecture="i386"), [room("n1")]) is not None


def test_what_waits_already_comes_first() -> None:
    rooms = [room("n1", 3072)]
    assert how_many([MICRO] * 5, rooms) == 3
    assert how_many([MICRO] * 5, rooms, before=[MICRO, MICRO]) == 1


def test_one_that_fits_nowhere_does_not_keep_the_others() -> None:
    huge = Demand(zone="a", vcpus=1, memory_mib=1 << 20)
    assert place({"i-huge": huge, "i-small": MICRO}, [room("n1")]) == {"i-small": "n1"}


rooms_of_any_size = st.lists(
    st.builds(
        Room,
        host=st.sampled_from([f"n{n}" for n in range(8)]),
        zone=st.sampled_from("ab"),
        vcpus=st.integers(-4, 32),
        memory_mib=st.integers(-1024, 65536),
    ),
    max_size=8,
    unique_by=lambda one: one.host,
)
demands_of_any_size = st.lists(
    st.builds(Demand, zone=st.sampled_from("ab"), vcpus=st.integers(1, 16), memory_mib=st.integers(1, 32768)),
    max_size=30,
)


@given(rooms_of_any_size, demands_of_any_size)
def test_no_host_is_given_more_than_it_has(rooms: list[Room], demands: list[Demand]) -> None:
    wanted = {f"i-{n}": demand for n, demand in enumerate(demands)}
    placed = place(wanted, rooms)
    for host in rooms:
        mine = [wanted[name] for name, node in placed.items() if node == host.host]
        if mine:
            assert sum(one.memory_mib for one in mine) <= host.memory_mib
            assert sum(one.vcpus for one in mine) <= host.vcpus
            assert {one.zone for one in mine} == {host.zone}


@given(rooms_of_any_size, demands_of_any_size)
def test_what_is_left_out_fits_nowhere_any_more(rooms: list[Room], demands: list[Demand]) -> None:
    wanted = {f"i-{n}": demand for n, demand in enumerate(demands)}
    placed = place(wanted, rooms)
    left = {one.host: one for one in rooms}
    for name, host in placed.items():
        left[host] = left[host].without(wanted[name])
    for name, demand in wanted.items():
        assert name in placed or choose(demand, left.values()) is None
