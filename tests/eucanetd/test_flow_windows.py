"""Windows of flows: what counted lines become, how long they are kept, and what is bounded."""

from __future__ import annotations

from pathlib import Path

import pytest

from eucapy.clock import ManualClock
from eucapy.drivers.network import flow_counts
from eucapy.drivers.network.fake import FakeNetwork
from eucapy.drivers.network.flow_counts import Flow
from eucapy.eucanetd import flows
from eucapy.eucanetd.compile.flows import watched
from eucapy.eucanetd.compile.layout import Layout
from eucapy.eucanetd.flows import WINDOW_S, FlowRecorder
from eucapy.eucanetd.plan import Laid
from eucapy.wire.flows import FlowRecord, FlowWindow
from tests.eucanetd.specs import port, vpc

LAYOUT = Layout()
PLACE = LAYOUT.namespace("vpc-a")
LOGGED = vpc(flow_logs=("vpc-a",))
ONE, TWO = port(1, "10.0.0.11"), port(2, "10.0.0.12")
NUMBER = next(number for number, each in watched(LOGGED, [ONE, TWO]).items() if each == ONE)
START = 1_800_000_000


def flow(kind: int, source_port: int = 40000, number: int = NUMBER, packets: int = 1) -> Flow:
    return Flow(number, kind, "10.0.0.11", "10.0.0.12", 6, source_port, 22, packets, packets * 60)


class Bench:
    """A recorder over a fake network, and its clock."""

    def __init__(self, folder: Path, most: int = 1000) -> None:
        self.folder, self.most = folder, most
        self.clock, self.network = ManualClock(START), FakeNetwork()
        self.recorder = self.start()

    def start(self) -> FlowRecorder:
        """A new process."""
        self.recorder = FlowRecorder(self.folder, self.network, self.clock, self.most)
        self.recorder.watch(laid(ONE, TWO), LAYOUT)
        return self.recorder

    async def window(self) -> bool:
        self.clock.advance(WINDOW_S)
        return await self.recorder.activate()

    async def kept(self, after: int = 0) -> list[FlowWindow]:
        return list((await self.recorder.flows(after)).windows)


def laid(*ports: object) -> Laid:
    return Laid(vpcs={"vpc-a": LOGGED}, ports={each.interface_id: each for each in ports})  # type: ignore[attr-defined]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "flows")


async def test_lines_that_differ_in_flags_are_one_record_and_those_of_nobody_none(bench: Bench) -> None:
    bench.network.count(
        PLACE,
        flow(flow_counts.SYN, packets=1),
        flow(0, packets=5),
        flow(flow_counts.FIN, packets=1),
        flow(flow_counts.SYN | flow_counts.SYN_ACK | flow_counts.RECEIVED, packets=2),
        flow(0, number=NUMBER ^ 1),
    )
    assert await bench.window()
    (window,) = await bench.kept()
    assert window.records == (
        FlowRecord("eni-1", False, False, "10.0.0.11", "10.0.0.12", 40000, 22, 6, 7, 420, 3),
        FlowRecord("eni-1", True, False, "10.0.0.11", "10.0.0.12", 40000, 22, 6, 2, 120, 18),
    )
    assert [each.interface_id for each in window.interfaces] == ["eni-1", "eni-2"]


async def test_windows_end_at_whole_minutes_follow_each_other_and_are_told_from_a_moment_on(bench: Bench) -> None:
    bench.clock.advance(13)
    assert not await bench.recorder.activate()
    for _ in range(3):
        assert await bench.window()
    windows = await bench.kept()
    assert [(each.begin, each.end) for each in windows] == [
        (START + n * WINDOW_S, START + (n + 1) * WINDOW_S) for n in range(3)
    ]
    assert await bench.kept(windows[0].end) == windows[1:]
    assert await bench.kept(windows[2].end) == []


async def test_a_new_process_tells_what_the_last_one_kept_and_goes_on_where_it_ended(bench: Bench) -> None:
    assert await bench.window()
    bench.clock.advance(5)
    bench.start()
    assert await bench.window()
    windows = await bench.kept()
    assert windows[1].begin == windows[0].end
    bench.clock.advance(3600)
    bench.start()
    assert await bench.window()
    assert (await bench.kept())[2].begin > windows[1].end, "it did not look meanwhile"


async def test_an_interface_that_goes_is_told_of_once_more(bench: Bench) -> None:
    bench.network.count(PLACE, flow(0))
    bench.recorder.watch(laid(TWO), LAYOUT)
    bench.recorder.watch(Laid(), LAYOUT)
    assert await bench.window()
    (window,) = await bench.kept()
    assert [each.owner for each in window.records] == ["eni-1"]
    assert not await bench.window(), "nothing is watched"


async def test_a_minute_has_so_many_records_and_keeps_the_largest(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "flows", most=3)
    bench.network.count(PLACE, *(flow(0, 40000 + n, packets=n) for n in range(1, 9)))
    assert await bench.window()
    assert await bench.window()
    full, quiet = await bench.kept()
    assert sorted(each.packets for each in full.records) == [6, 7, 8]
    assert (full.skipped, quiet.skipped) == (("vpc-a",), ())


async def test_so_much_is_kept_and_the_oldest_goes_first(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "MOST_WINDOWS", 4)
    for _ in range(9):
        assert await bench.window()
    assert [each.end for each in await bench.kept()] == [START + n * WINDOW_S for n in range(6, 10)]
    monkeypatch.setattr(flows, "MOST_BYTES", 1)
    assert await bench.window()
    assert await bench.kept() == []
    assert not list(bench.folder.iterdir())


async def test_a_page_has_its_size_and_says_that_more_are_kept(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        assert await bench.window()
    monkeypatch.setattr(flows, "PAGE_BYTES", 1)
    page = await bench.recorder.flows(0)
    assert (len(page.windows), page.more) == (1, True)
    last = await bench.recorder.flows(START + 2 * WINDOW_S)
    assert (len(last.windows), last.more) == (1, False)


async def test_a_damaged_file_is_no_window(bench: Bench) -> None:
    for _ in range(2):
        assert await bench.window()
    first = min(bench.folder.iterdir())
    first.write_bytes(b"half of")
    assert [each.end for each in await bench.kept()] == [START + 2 * WINDOW_S]
    assert not first.exists()


async def test_a_clock_that_is_set_back_does_not_stop_the_windows(bench: Bench) -> None:
    assert await bench.window()
    bench.clock._now_s -= 7200
    assert not await bench.recorder.activate()
    assert await bench.window()


def test_numbers_follow_from_ids_and_two_ports_never_share_one() -> None:
    ids = ["eni-0aaaaaaaaaa123456", "eni-0bbbbbbbbbb123456", "eni-0cccccccccc000000"]
    ports = [port(n, f"10.0.0.{n}", interface_id=each) for n, each in enumerate(ids, start=11)]
    found = watched(LOGGED, reversed(ports))
    assert {number: each.interface_id for number, each in found.items()} == {
        0x123456: ids[0],
        0x123457: ids[1],
        1: ids[2],
    }
    assert [each.interface_id for each in watched(vpc(flow_logs=(ids[1],)), ports).values()] == [ids[1]]
    assert watched(vpc(), ports) == {}
