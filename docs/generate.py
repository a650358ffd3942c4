"""Writes every document that is made from the code: `make docs`; `--check` only says what is no longer current.

* `etc/<daemon>.toml`: every option at its default (from `eucapy/<daemon>/config.py`)
* `docs/configuration.md`: the same as tables
* `docs/lifecycles.md`: states and edges (from `eucapy/lifecycle/`)
* `docs/compatibility.md`: which operations of AWS are served (from the registries)
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path

from eucapy import config, lifecycle
from eucapy.aws.service import Service
from eucapy.clc import actions
from eucapy.cli.configuration import sample_of, struct_of
from eucapy.cli.faststart.programs import DESCRIPTIONS
from eucapy.cli.programs import DAEMONS
from eucapy.lifecycle.machine import Lifecycle
from eucapy.walrus.s3.unserved import UNSERVED

ROOT = Path(__file__).resolve().parents[1]
NOTE = "<!-- Generated from the code: `make docs`. -->\n"
# Title, the module that imports every file of handlers, the module that holds the service, its name there.
SERVICES = (
    ("EC2", "eucapy.clc.ec2", "eucapy.clc.ec2.service", "ec2"),
    ("IAM", "eucapy.clc.iam", "eucapy.clc.iam.service", "iam"),
    ("STS", "eucapy.clc.sts", "eucapy.clc.sts.service", "sts"),
    ("EBS direct APIs", "eucapy.clc.ebs", "eucapy.clc.ebs.service", "ebs"),
    ("S3", "eucapy.walrus.s3.registry", "eucapy.walrus.s3.service", "s3"),
)


def configuration() -> str:
    """Every option of every daemon."""
    parts = [NOTE, "# Configuration\n"]
    parts.append(
        "One TOML file a daemon. An unknown key, a wrong type or a value out of bounds is refused with the file, the key "
        "and the reason. `eucapy config sample NAME` prints a file with every option; `eucapy config check NAME FILE` "
        "says whether a file can be used. A daemon reads its file when it starts.\n"
    )
    for daemon in DAEMONS:
        rows = [
            f"| `{name}` | `{_toml(default)}` | {about} |"
            for name, default, about in config.describe(struct_of(daemon))
        ]
        head = f"## {daemon}\n\n{DESCRIPTIONS[daemon][0].upper()}{DESCRIPTIONS[daemon][1:]}.\n"
        parts.append("\n".join([head, "| option | default | meaning |", "|---|---|---|", *rows, ""]))
    return "\n".join(parts)


def lifecycles() -> str:
    """Every lifecycle as a diagram and a table."""
    parts = [NOTE, "# Lifecycles\n"]
    parts.append("Declared in `eucapy/lifecycle/`, one table a resource; `store.advance` alone moves a state.\n")
    for found in _lifecycles():
        parts.append(f"## {found.resource}\n\n```mermaid\n{found.diagram()}\n```\n")
        parts.append("| state | code | deadline | meaning |\n|---|---|---|---|")
        for state in found.states.values():
            code = "" if state.code is None else str(state.code)
            deadline = "" if state.deadline_s is None else f"{state.deadline_s:g} s"
            parts.append(f"| `{state.name}` | {code} | {deadline} | {state.about} |")
        parts.append("")
    return "\n".join(parts)


def compatibility() -> str:
    """What of each service's model is served."""
    parts = [NOTE, "# Compatibility\n"]
    parts.append(
        "Which operations of AWS this cloud serves. An operation is either real or refused as AWS refuses what it does not "
        "know (`InvalidAction`; S3: `NotImplemented`); none answers success and does nothing.\n"
    )
    sections: list[str] = []
    for title, registry, module, name in SERVICES:
        service = _service(registry, module, name)
        served, every = service.actions(), service.operations()
        declared = actions.services().get(service.name)
        authorized = len(served) if declared is None else sum(operation in declared for operation in served)
        counts = f"{len(served)} of {len(every)} operations, {authorized} of them with declared actions"
        parts.append(f"* [{title}](#{title.lower()}): {counts}")
        sections.append(f"\n## {title}\n\n" + ", ".join(f"`{name}`" for name in served) + "\n")
    rows = [f"| `{name}` | {reason} |" for name, reason in sorted(UNSERVED.items())]
    sections.append("\n".join(["### Of S3 left out", "", "| operation | why |", "|---|---|", *rows, ""]))
    return "\n".join([*parts, *sections])


def documents() -> dict[Path, str]:
    """Every generated file and its content."""
    return {
        **{ROOT / "etc" / f"{daemon}.toml": sample_of(daemon) for daemon in DAEMONS},
        ROOT / "docs" / "configuration.md": configuration(),
        ROOT / "docs" / "lifecycles.md": lifecycles(),
        ROOT / "docs" / "compatibility.md": compatibility(),
    }


def stale() -> list[str]:
    """The generated files that are not what the code says."""
    return [
        str(path.relative_to(ROOT))
        for path, content in documents().items()
        if not path.exists() or path.read_text() != content
    ]


def main() -> int:
    if "--check" in sys.argv[1:]:
        old = stale()
        print("\n".join([*old, "not current: make docs"]) if old else "generated documents: current")
        return 1 if old else 0
    for path, content in documents().items():
        path.write_text(content)
        print(path.relative_to(ROOT))
    return 0


def _lifecycles() -> list[Lifecycle]:
    found: dict[str, Lifecycle] = {}
    for module in pkgutil.iter_modules(lifecycle.__path__):
        for value in vars(importlib.import_module(f"eucapy.lifecycle.{module.name}")).values():
            if isinstance(value, Lifecycle):
                found[value.resource] = value
    return [found[name] for name in sorted(found)]


def _service(registry: str, module: str, name: str) -> Service:
    """The service with all its handlers registered."""
    load = getattr(importlib.import_module(registry), "load", None)
    if load is not None:
        load()
    service = getattr(importlib.import_module(module), name)
    assert isinstance(service, Service)
    return service


def _toml(value: object) -> str:
    return config.dump({"v": value}).partition(" = ")[2].rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
