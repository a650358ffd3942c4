"""Configuration: a TOML file a daemon, decoded into a frozen struct whose fields carry their own documentation.

Each daemon's `config.py` declares a struct; every field has a default and a description (`option(...)`), so that
`etc/<daemon>.toml` and `docs/configuration.md` are generated from the code and a test proves them current. An unknown
key, a wrong type or a value out of bounds is refused with the file, the key and the reason.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T", bound=msgspec.Struct)


class ConfigError(Exception):
    """The file cannot be used; the message says which key and why."""


def load(kind: type[T], path: Path) -> T:
    """Read `path` as a `kind`. Raises ConfigError."""
    try:
        raw = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}") from error
    try:
        return msgspec.convert(raw, kind, strict=True)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}") from error


def describe(kind: type[msgspec.Struct]) -> list[tuple[str, Any, str]]:
    """(name, default, description) of every option, in the order of declaration."""
    rows: list[tuple[str, Any, str]] = []
    for field in msgspec.inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
        meta = field.type
        description = ""
        if isinstance(meta, msgspec.inspect.Metadata):
            description = (meta.extra_json_schema or {}).get("description", "")
        rows.append((field.name, default, description))
    return rows


def doc(description: str, **bounds: Any) -> msgspec.Meta:
    """The annotation of an option: `port: Annotated[int, doc("TCP port of the API.", ge=1, le=65535)] = 8773`."""
    return msgspec.Meta(description=description, **bounds)


def sample(kind: type[msgspec.Struct], title: str) -> str:
    """The sample TOML of a daemon: every option at its default, each with its description."""
    lines = [f"# {title}", "# Every option at its default. Generated from the code: `make docs`.", ""]
    for name, default, description in describe(kind):
        lines += [f"# {description}", f"{name} = {_toml(default)}", ""]
    return "\n".join(lines).rstrip() + "\n"


def dump(values: dict[str, Any]) -> str:
    """A TOML document of plain values (strings, numbers, booleans, lists, one level of tables)."""
    flat = [f"{key} = {_toml(value)}" for key, value in values.items() if not isinstance(value, dict)]
    tables = [
        "\n".join([f"\n[{key}]", *(f"{k} = {_toml(v)}" for k, v in value.items())])
        for key, value in values.items()
        if isinstance(value, dict)
    ]
    return "\n".join([*flat, *tables]) + "\n"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if value is None:
        return '""'
    raise TypeError(f"no TOML for {type(value).__name__}")
