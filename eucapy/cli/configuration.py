"""`eucapy config sample NAME`, `eucapy config check NAME FILE`: the daemons' configuration files."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

import msgspec

from eucapy import config
from eucapy.cli.installation import CliError
from eucapy.cli.programs import DAEMONS


def main(arguments: list[str], data: Path) -> int:
    parser = argparse.ArgumentParser(prog="eucapy config", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    sample = actions.add_parser("sample", help="every option at its default, with what it means")
    sample.add_argument("name", choices=DAEMONS)
    check = actions.add_parser("check", help="say whether a file can be used")
    check.add_argument("name", choices=DAEMONS)
    check.add_argument("file", type=Path)
    options = parser.parse_args(arguments[1:])
    if options.action == "sample":
        print(sample_of(options.name), end="")
    else:
        check_file(options.name, options.file)
        print(f"{options.file}: good")
    return 0


def struct_of(daemon: str) -> type[msgspec.Struct]:
    """The struct that declares a daemon's options. Found by name: programs do not import each other."""
    found = importlib.import_module(f"eucapy.{daemon}.config").Config
    assert isinstance(found, type) and issubclass(found, msgspec.Struct)
    return found


def sample_of(daemon: str) -> str:
    """The content of `etc/<daemon>.toml`."""
    return config.sample(struct_of(daemon), f"Configuration of {daemon}.")


def check_file(daemon: str, path: Path) -> None:
    """Raises CliError with the key and the reason when the daemon would refuse the file."""
    try:
        config.load(struct_of(daemon), path)
    except config.ConfigError as error:
        raise CliError(str(error)) from error
