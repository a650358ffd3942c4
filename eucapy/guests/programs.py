"""Programs of the host for use in a guest: the file itself, its loader and every shared library it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from eucapy.run import run

_LIBRARY = re.compile(r"^\t(?:\S+ => )?(/\S+) \(0x", re.MULTILINE)


async def program_files(programs: Mapping[str, Path]) -> dict[str, Path]:
    """The files to put into a root file system so that `programs` (target path → host's file) run there.

    Target paths are relative to the root. Libraries go into `lib/x86_64-linux-gnu`, where the loader looks first, the
    loader into `lib64`; a static program brings none.
    """
    wanted: dict[str, Path] = {}
    for target, source in programs.items():
        wanted[target] = source.resolve()
        linked = await run("ldd", str(source), check=False)  # status 1: not a dynamic executable
        for library in _LIBRARY.findall(linked.stdout):
            path = Path(library)
            folder = "lib64" if path.name.startswith("ld-linux") else "lib/x86_64-linux-gnu"
            wanted[f"{folder}/{path.name}"] = path.resolve()
    return wanted
