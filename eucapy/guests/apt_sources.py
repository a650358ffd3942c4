"""The package sources of this machine, as apt itself understands them: which mirror, which release, which proxy.

Images are built from the same sources as the host; no mirror's name is written down anywhere in the project.
"""

from __future__ import annotations

from dataclasses import dataclass

from eucapy.guests.errors import CannotBuild
from eucapy.run import run


class NoSources(CannotBuild):
    """This machine's apt has no Debian sources to build an image from."""


@dataclass(frozen=True)
class Sources:
    """The release (`bookworm`), its sources.list lines, and the options that apt needs to reach them."""

    codename: str
    lines: tuple[str, ...]
    options: tuple[str, ...]


async def machine_sources() -> Sources:
    """What apt is configured with. Raises NoSources where that is not Debian."""
    listed = await run(
        *("apt-get", "indextargets", "--format", "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)"),
        "Created-By: Packages",
        check=False,
    )
    rows = [line.split("|") for line in listed.stdout.splitlines()]
    debian = [row for row in rows if len(row) == 5 and row[0] == "Debian" and row[4] == "main"]
    codenames = sorted({codename for _, codename, _, release, _ in debian if codename == release.split("/")[0]})
    plain = [name for name in codenames if "-" not in name]
    if len(plain) != 1:
        raise NoSources(
            "the full image is built from this machine's own Debian sources, and apt lists "
            + (f"several releases: {', '.join(plain)}" if plain else "none (run `apt-get update` first)")
        )
    (codename,) = plain
    lines = tuple(
        dict.fromkeys(
            f"deb {uri} {release} main" for _, name, uri, release, _ in debian if name.split("-")[0] == codename
        )
    )
    return Sources(codename, lines, await _proxy_options())


async def _proxy_options() -> tuple[str, ...]:
    """The host's Acquire proxies, in the form of `-o` options."""
    dumped = await run("apt-config", "dump", "--format", "%F=%v%n", "Acquire", check=False)
    wanted = []
    for line in dumped.stdout.splitlines():
        name, _, value = line.partition("=")
        if value and "proxy" in name.lower():
            wanted.append(f'{name} "{value}"')
    return tuple(wanted)
