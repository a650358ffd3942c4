"""An AWS profile for this cloud in ~/.aws, added at the end of the files and never over one that is there.

Only our own two sections are ever written or removed, as text: comments, order and everything else of the user's files
stay byte for byte.
"""

from __future__ import annotations

import configparser
import contextlib
import os
import pwd
import re
from pathlib import Path

from eucapy.cli.installation import Keys
from eucapy.ledger import write_file

BASE_NAME = "eucapy"


def home_of_user() -> tuple[Path, int, int]:
    """Home, user and group id of the person at the keyboard: behind sudo, the one who called it."""
    name = os.environ.get("SUDO_USER", "")
    if name and os.geteuid() == 0:
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return Path(entry.pw_dir), entry.pw_uid, entry.pw_gid
    return Path.home(), os.geteuid(), os.getegid()


def write(
    home: Path, endpoint_url: str, region: str, keys: Keys, name: str = "", owner: tuple[int, int] | None = None
) -> str:
    """Write the profile and return its name: `name` again if it is ours already, else the first free of `eucapy`,
    `eucapy-2`, … ."""
    config, credentials = home / ".aws" / "config", home / ".aws" / "credentials"
    if not name:
        taken = _profiles(config, "profile ") | _profiles(credentials, "")
        name = next(
            candidate
            for number in range(1, 1000)
            if (candidate := BASE_NAME if number == 1 else f"{BASE_NAME}-{number}") not in taken
        )
    made_folder = not config.parent.exists()
    _replace(config, f"profile {name}", {"region": region, "endpoint_url": endpoint_url, "output": "json"}, 0o600)
    _replace(
        credentials,
        name,
        {"aws_access_key_id": keys.access_key_id, "aws_secret_access_key": keys.secret_access_key},
        0o600,
    )
    if owner is not None and os.geteuid() == 0:
        for path in [*([config.parent] if made_folder else []), config, credentials]:
            os.chown(path, *owner)
    return name


def remove(home: Path, name: str) -> None:
    """Take the profile out again; a file that held nothing else goes too, and the folder when it is empty."""
    for path, section in ((home / ".aws" / "config", f"profile {name}"), (home / ".aws" / "credentials", name)):
        if not path.exists():
            continue
        rest = _without(path.read_text(), section)
        if rest.strip():
            _write(path, rest)
        else:
            path.unlink()
    with contextlib.suppress(OSError):
        (home / ".aws").rmdir()


def _profiles(path: Path, prefix: str) -> set[str]:
    if not path.exists():
        return set()
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        parser.read_string(path.read_text())
    except configparser.Error:
        # Not a file that AWS tools could read either; names are still found by their headers.
        return {match.removeprefix(prefix) for match in re.findall(r"(?m)^\[([^]]+)\]", path.read_text())}
    return {section.removeprefix(prefix) for section in parser.sections()}


def _replace(path: Path, section: str, values: dict[str, str], mode: int) -> None:
    before = _without(path.read_text(), section) if path.exists() else ""
    gap = "" if not before or before.endswith("\n\n") else "\n" if before.endswith("\n") else "\n\n"
    lines = "".join(f"{key} = {value}\n" for key, value in values.items())
    _write(path, f"{before}{gap}[{section}]\n{lines}", mode)


def _write(path: Path, text: str, mode: int = 0o600) -> None:
    there = path.stat() if path.exists() else None
    write_file(path, text.encode(), mode=mode if there is None else there.st_mode & 0o777)
    if there is not None and os.geteuid() == 0:
        os.chown(path, there.st_uid, there.st_gid)


def _without(text: str, section: str) -> str:
    """The text without the section of that name: its header, the lines up to a blank one or the next header, and the
    blank line before it."""
    header = re.escape(f"[{section}]")
    return re.sub(rf"(?m)(?:(?<=\n)^\n)?^{header}[^\n]*\n?(?:^(?!\[)[^\n]+(?:\n|\Z))*", "", text)
