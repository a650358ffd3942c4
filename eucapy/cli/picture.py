"""`eucapy network draw VPC`: subnets, gateways and guests of a VPC, and who reaches whom.

    eucapy network draw vpc-0abc                            tcp to port 22
    eucapy network draw vpc-0abc --port 443 --svg vpc.svg   a picture for a browser
    eucapy network draw vpc-0abc --protocol icmp --json

In the table a row's guest sends to a column's, numbered alike: + gets there, x does not. Why not: `eucapy network explain`.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from eucapy.cli import output
from eucapy.cli.installation import Installation
from eucapy.cli.operator import Operator

_MARKS = {True: "+", False: "x", None: "-"}
_WIDE, _HIGH, _GAP, _MARGIN = 270, 74, 14, 20
"""Of a guest's box, and between boxes, in pixels."""


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(
        prog="eucapy network draw", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("vpc")
    parser.add_argument("--port", type=int, default=22, help="of tcp and udp; default 22")
    parser.add_argument("--protocol", choices=("tcp", "udp", "icmp"), default="tcp")
    parser.add_argument("--svg", type=Path, help="write the picture here")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments[1:])
    question = {"vpc": options.vpc, "protocol": options.protocol, "port": options.port}
    answer = Operator.of(Installation(data)).post("/admin/network/draw", question)
    if options.svg is not None:
        options.svg.write_text(svg(answer), encoding="utf-8")
    if options.json:
        output.as_json(answer)
    elif options.svg is None:
        print("\n".join(text(answer)))
    return 0


def text(drawn: Mapping[str, Any]) -> Iterator[str]:
    """The VPC as lines."""
    numbers = _numbers(drawn)
    yield f"{drawn['id']}  {', '.join(drawn['cidrs'])}  account {drawn['account']}"
    yield from (f"├─ {line}" for line in _beyond(drawn))
    for place, subnet in enumerate(drawn["subnets"]):
        last = place == len(drawn["subnets"]) - 1
        out = f"out by {subnet['leads_out']}" if subnet["leads_out"] else "no way out"
        branch, where = "└" if last else "├", f"{subnet['id']}  {_blocks(subnet)}  {subnet['zone']}"
        yield f"{branch}─ {where}  {out} ({subnet['table']})  {subnet['acl']}"
        inside = [*_nats(drawn, subnet["id"]), *(_line(one, numbers) for one in _guests(subnet))]
        for index, line in enumerate(inside):
            yield f"{' ' if last else '│'}  {'└' if index == len(inside) - 1 else '├'}─ {line}"
    yield ""
    yield from _table(drawn, numbers)


def _blocks(subnet: Mapping[str, Any]) -> str:
    return " ".join(block for block in (subnet["cidr"], subnet["cidr6"]) if block)


def _table(drawn: Mapping[str, Any], numbers: Mapping[str, int]) -> Iterator[str]:
    compared = drawn["reach"]
    if compared is None:
        yield "too many guests for a table of all pairs: ask about one with `eucapy network explain`"
        return
    if not numbers:
        yield "no guests"
        return
    yield f"who reaches whom, {drawn['packet']}:"
    yield " " * 10 + "".join(f"{number:>3}" for number in numbers.values())
    for interface, row in zip(compared["interfaces"], compared["between"], strict=True):
        yield f"{numbers[interface]:>8}  " + "".join(f"{_MARKS[reached]:>3}" for reached in row)
    yield "internet  " + "".join(f"{_MARKS[reached]:>3}" for reached in compared["from_internet"])


def _beyond(drawn: Mapping[str, Any]) -> list[str]:
    """What the VPC leads to."""
    return [
        *(f"{gateway} ── the internet" for gateway in drawn["gateways"]),
        *(f"{one['id']} ── {one['vpc']}" for one in drawn["peerings"]),
    ]


def _numbers(drawn: Mapping[str, Any]) -> dict[str, int]:
    compared = drawn["reach"]
    return {name: number for number, name in enumerate(compared["interfaces"], 1)} if compared is not None else {}


def _guests(subnet: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [one for one in subnet["interfaces"] if one["instance"]]


def _nats(drawn: Mapping[str, Any], subnet_id: str) -> list[str]:
    return [f"{nat['id']}  {nat['public_ip']}" for nat in drawn["nat_gateways"] if nat["subnet"] == subnet_id]


def _line(interface: Mapping[str, Any], numbers: Mapping[str, int]) -> str:
    number = f"[{numbers[interface['id']]}] " if interface["id"] in numbers else ""
    state = "" if interface["runs"] else "  (does not run)"
    return f"{number}{interface['instance']}  {_addresses(interface)}  {', '.join(interface['groups'])}{state}"


def _addresses(interface: Mapping[str, Any]) -> str:
    public = interface["public"]
    return ", ".join(f"{own} = {public[own]}" if own in public else own for own in interface["addresses"])


def svg(drawn: Mapping[str, Any]) -> str:
    """The VPC as a picture: a box a subnet, a box a guest, and under each guest who reaches it."""
    numbers = _numbers(drawn)
    columns = len(drawn["subnets"]) or 1
    most = max((len(_guests(subnet)) + len(_nats(drawn, subnet["id"])) for subnet in drawn["subnets"]), default=0)
    wide = _MARGIN + columns * (_WIDE + 2 * _GAP + _MARGIN)
    beyond = _beyond(drawn)
    top = 90 + 20 * len(beyond)
    high = top + 64 + most * (_HIGH + _GAP) + 2 * _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" font-family="monospace" font-size="12">',
        f'<rect x="4" y="4" width="{wide - 8}" height="{high - 8}" rx="10" fill="#f7f9fc" stroke="#7a869a"/>',
        _words(_MARGIN, 30, f"{drawn['id']}  {', '.join(drawn['cidrs'])}", "bold"),
        _words(_MARGIN, 50, f"account {drawn['account']} · who reaches whom: {drawn['packet']}"),
    ]
    parts += [_words(_MARGIN, 72 + 20 * index, line) for index, line in enumerate(beyond)]
    for column, subnet in enumerate(drawn["subnets"]):
        left = _MARGIN + column * (_WIDE + 2 * _GAP + _MARGIN)
        parts += _subnet(drawn, subnet, numbers, left, top, high - top - _MARGIN)
    return "\n".join([*parts, "</svg>", ""])


def _subnet(
    drawn: Mapping[str, Any], subnet: Mapping[str, Any], numbers: Mapping[str, int], left: int, top: int, high: int
) -> Iterator[str]:
    out = f"out by {subnet['leads_out']}" if subnet["leads_out"] else "no way out"
    fill = "#e7f5ec" if subnet["leads_out"].startswith("igw-") else "#eef1f6"
    yield f'<rect x="{left}" y="{top}" width="{_WIDE + 2 * _GAP}" height="{high}" rx="8" fill="{fill}" stroke="#9aa5b5"/>'
    yield _words(left + _GAP, top + 20, f"{subnet['id']}", "bold")
    yield _words(left + _GAP, top + 36, f"{_blocks(subnet)} {subnet['zone']}")
    yield _words(left + _GAP, top + 52, out)
    at = top + 64
    for line in _nats(drawn, subnet["id"]):
        yield _box(left + _GAP, at, "#fff4dc", line.split())
        at += _HIGH + _GAP
    for one in _guests(subnet):
        number = numbers.get(one["id"])
        title = f"[{number}] {one['instance']}" if number is not None else str(one["instance"])
        lines = [title, _addresses(one), ", ".join(one["groups"])]
        yield _box(left + _GAP, at, "#ffffff" if one["runs"] else "#dddddd", [*lines, _reached_by(drawn, one["id"])])
        at += _HIGH + _GAP


def _reached_by(drawn: Mapping[str, Any], interface_id: str) -> str:
    compared = drawn["reach"]
    if compared is None:
        return ""
    column = compared["interfaces"].index(interface_id)
    names = [str(number) for number, row in enumerate(compared["between"], 1) if row[column]]
    names += ["internet"] if compared["from_internet"][column] else []
    return f"reached by {', '.join(names) or 'nobody'}"


def _box(left: int, top: int, fill: str, lines: list[str]) -> str:
    words = "".join(_words(left + 8, top + 17 + 16 * index, line) for index, line in enumerate(lines))
    return f'<rect x="{left}" y="{top}" width="{_WIDE}" height="{_HIGH}" rx="6" fill="{fill}" stroke="#667"/>{words}'


def _words(left: int, base: int, words: str, weight: str = "normal") -> str:
    return f'<text x="{left}" y="{base}" font-weight="{weight}">{escape(words)}</text>'
