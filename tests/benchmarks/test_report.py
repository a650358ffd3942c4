"""What the benchmarks make of their clients' lines: no server is started here."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from benchmarks import clients, plot, report
from benchmarks.__main__ import main
from benchmarks.rows import EC2, ROWS


def line(label: str, test: str, **fields: Any) -> dict[str, Any]:
    return {"service": "ec2", "label": label, "test": test, "errors": 0, **fields}


LINES = [
    line("eucapy", "sts", conc=16, value=2000.0, server_cpu_us_per_op=300.0),
    line("eucapy", "sts", conc=16, value=2400.0, server_cpu_us_per_op=320.0),
    line("eucapy", "sts", conc=1, value=9.0, server_cpu_us_per_op=9.0),
    line("moto", "sts", conc=16, value=200.0, server_cpu_us_per_op=4000.0),
    line("eucapy", "tags", conc=1, value=100.0, server_cpu_us_per_op=900.0),
    line("moto", "tags", conc=1, value=120.0, server_cpu_us_per_op=900.0, errors=3),
]


def test_a_row_is_the_median_of_its_own_lines_with_the_best_beside_it() -> None:
    text = report.markdown(LINES, ["eucapy", "moto"], {"machine": "this one"})
    assert "| GetCallerIdentity, 16 in flight, req/s | 2,200 (2,400) | 200 | 11.0 | ≥ 1,500 | reached |" in text
    assert "| … server CPU, µs | 310 (300) | 4,000 | 12.9 | ≤ 450 | reached |" in text
    assert "* machine: this one" in text


def test_what_misses_its_target_says_so_and_errors_count_for_nothing() -> None:
    text = report.markdown(LINES, ["eucapy", "moto"], {})
    assert "| CreateTags, req/s | 100 | – | – | ≥ 500 | **missed** |" in text


def test_a_difference_within_the_noise_is_a_tie() -> None:
    near = [line("eucapy", "volume", conc=1, value=300.0), line("moto", "volume", conc=1, value=250.0)]
    assert "| 300 | 250 | tie |" in report.markdown(near, ["eucapy", "moto"], {})


def test_the_picture_is_an_image_with_a_bar_for_each_figure() -> None:
    root = ET.fromstring(plot.svg(LINES, ["eucapy", "moto"]))
    bars = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("height") == str(plot.BAR - 2)]
    assert len(bars) == 5, "three of ours; moto's tags failed"


def test_every_row_names_a_test_that_a_group_runs() -> None:
    also = {
        "ec2": {"desc_all", "desc_one", "desc_filter", "run_batch", "rss"},  # rows of the client's one test "many"
        "s3": {"mp256m_complete"},  # a row of mp256m
    }
    for service, rows in ROWS.items():
        ran = {name.partition(":")[0] for tests in clients.GROUPS[service].values() for name in tests.split(",")}
        ran |= also.get(service, set())
        assert {row.test for row in rows} <= ran
    assert len({(row.title, row.test, row.member) for row in EC2}) == len(EC2)


def test_without_the_clients_it_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--clients", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "--clients" in capsys.readouterr().err
