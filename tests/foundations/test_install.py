"""What `etc/install/bootstrap.sh` decides before it installs anything."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from eucapy.run import run_now

BOOTSTRAP = Path(__file__).parents[2] / "etc/install/bootstrap.sh"


@pytest.mark.parametrize(("candidate", "offered"), [("2.9.19-1", "yes"), ("(none)", "no"), (None, "no")])
def test_a_package_is_left_out_only_where_the_distribution_has_none(
    tmp_path: Path, candidate: str | None, offered: str
) -> None:
    # apt-cache is still writing when the line that matters has been read: that is no reason to leave a package out.
    lines = "" if candidate is None else f"awscli:\n  Installed: (none)\n  Candidate: {candidate}\n  Version table:\n"
    (tmp_path / "said").write_text(lines + (f"     {candidate} 500\n" * 20_000 if candidate else ""))
    fake = tmp_path / "apt-cache"
    fake.write_text(f"#!/bin/sh\nexec cat {tmp_path}/said\n")
    fake.chmod(0o755)
    found = re.search(r"^offered\(\) .*$", BOOTSTRAP.read_text(), re.MULTILINE)
    assert found is not None
    script = f"set -euo pipefail\n{found[0]}\nif offered awscli; then echo yes; else echo no; fi"
    answer = run_now("bash", "-c", script, env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert answer.stdout.strip() == offered
