"""`eucapy network explain SOURCE TARGET`: does a packet get there, and what lets it or keeps it?

    eucapy network explain i-0abc i-0def --port 22
    eucapy network explain internet i-0def --port 443
    eucapy network explain 198.51.100.7 203.0.113.10 --protocol icmp

SOURCE and TARGET are an instance, an interface, an address, or (SOURCE alone) `internet`: any address outside. An IPv6 address
for either asks about IPv6. Every
step of the way is judged, behind one that refuses too; the answer has a way of its own through network ACLs. The status is
0 where the packet gets there and its answer comes back, and 3 where not.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eucapy.cli import output
from eucapy.cli.installation import Installation
from eucapy.cli.operator import Operator

UNREACHED = 3
_SIGNS = {True: "+", False: "x", None: " "}


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(
        prog="eucapy network explain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source")
    parser.add_argument("target")
    parser.add_argument("--port", type=int, help="of tcp and udp")
    parser.add_argument("--protocol", choices=("tcp", "udp", "icmp"), default="tcp")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments[1:])
    if options.protocol != "icmp" and options.port is None:
        parser.error(f"{options.protocol} needs --port")
    question = {
        "source": options.source,
        "target": options.target,
        "protocol": options.protocol,
        "port": options.port,
    }
    answer = Operator.of(Installation(data)).post("/admin/network/explain", question)
    if options.json:
        output.as_json(answer)
    else:
        print(_text(answer))
    return 0 if answer["reached"] else UNREACHED


def _text(answer: Mapping[str, Any]) -> str:
    verdict = "gets there" if answer["reached"] else "does not get there"
    seen = f", seen as {answer['seen_as']}" if answer["seen_as"] != answer["from"] else ""
    lines = [f"{answer['packet']} from {answer['from']} to {answer['to']}{seen}: {verdict}"]
    wide = max((len(step["what"]) for step in answer["steps"]), default=0)
    far = max((len(step["at"]) for step in answer["steps"]), default=0)
    lines += [
        f"  {_SIGNS[step['passes']]} {step['what']:{wide}}  {step['at']:{far}}  {step['because']}"
        for step in answer["steps"]
    ]
    return "\n".join(lines)
