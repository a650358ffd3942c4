"""Folders, certificates and configuration: complete, accepted by the daemons, and safe to make again."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest

from eucapy import config, pki
from eucapy.cli.configuration import struct_of
from eucapy.cli.faststart import layout
from eucapy.cli.installation import DEFAULT_DATA, CliError, Installation, Keys, Ports, Record
from eucapy.cli.programs import DAEMONS


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    return Installation(tmp_path / "cloud")


@pytest.fixture
def record(installation: Installation) -> Record:
    record = Record(public_range="198.51.100.10-198.51.100.60", ports=Ports.from_base(18773))
    layout.ensure_folders(installation)
    installation.save(record)
    return record


def test_every_daemon_accepts_the_file_that_is_written_for_it(installation: Installation, record: Record) -> None:
    layout.ensure_configuration(installation, record)
    for daemon in DAEMONS:
        config.load(struct_of(daemon), installation.folder("etc") / f"{daemon}.toml")


def test_no_two_programs_listen_on_one_port(record: Record) -> None:
    ports = [getattr(record.ports, name) for name in Ports.__struct_fields__]
    assert len(set(ports)) == len(ports)
    assert record.ports.api == 18773
    assert record.ports.operator == 18774


def test_programs_find_each_other(installation: Installation, record: Record) -> None:
    chosen = layout.choices(installation, record)
    assert chosen["clc"]["walrus_url"].endswith(f":{chosen['walrus']['port']}")
    assert chosen["nc"]["walrus_internal_url"].endswith(f":{chosen['walrus']['internal_port']}")
    assert chosen["nc"]["namespace_prefix"] == chosen["eucanetd"]["namespace_prefix"]
    urls = {component["kind"]: component["url"] for component in layout.components(record)}
    assert all(urls[kind].endswith(f":{chosen[kind]['port']}") for kind in ("cc", "sc", "nc"))


def test_a_second_run_leaves_the_way_to_guests_disks_open(installation: Installation, record: Record) -> None:
    for name in ("nc", "sc"):
        installation.folder(name).chmod(0o710)
    layout.ensure_folders(installation)
    assert {installation.folder(name).stat().st_mode & 0o777 for name in ("nc", "sc")} == {0o710}
    assert installation.folder("clc").stat().st_mode & 0o777 == 0o700


def test_an_operators_own_options_survive_a_second_run(installation: Installation, record: Record) -> None:
    layout.ensure_configuration(installation, record)
    path = installation.folder("etc") / "clc.toml"
    path.write_text(path.read_text() + "cpu_overcommit = 2.5\n")
    assert layout.ensure_configuration(installation, record) == []
    record.ports = Ports.from_base(28773)
    changed = layout.ensure_configuration(installation, record)
    assert path in changed
    assert installation.settings("clc")["cpu_overcommit"] == 2.5
    assert installation.settings("clc")["port"] == 28773


def test_a_file_that_a_daemon_would_refuse_is_refused_with_the_key(installation: Installation, record: Record) -> None:
    layout.ensure_configuration(installation, record)
    path = installation.folder("etc") / "nc.toml"
    path.write_text(path.read_text() + "no_such_option = 1\n")
    with pytest.raises(CliError, match="no_such_option"):
        layout.ensure_configuration(installation, record)


def test_every_role_has_a_certificate_of_the_same_authority(installation: Installation, record: Record) -> None:
    assert set(layout.ensure_certificates(installation, record)) == set(pki.ROLES)
    assert layout.ensure_certificates(installation, record) == []
    folder = installation.folder("pki")
    for role in pki.ROLES:
        assert isinstance(pki.client_context(folder, role), ssl.SSLContext)
        assert (folder / f"{role}-key.pem").stat().st_mode & 0o777 == 0o600


def test_nobody_else_looks_into_what_holds_secrets(installation: Installation, record: Record) -> None:
    installation.save_admin(Keys(account_id="1" * 12, access_key_id="AKIA", secret_access_key="secret"))
    assert installation.folder("credentials").stat().st_mode & 0o777 == 0o700
    assert installation.admin_file.stat().st_mode & 0o777 == 0o600
    assert installation.folder("pki").stat().st_mode & 0o777 == 0o700


def test_two_clouds_on_one_host_have_networks_of_different_names(tmp_path: Path) -> None:
    prefixes = {layout.prefix_for(path, DEFAULT_DATA) for path in (DEFAULT_DATA, tmp_path / "a", tmp_path / "b")}
    assert len(prefixes) == 3
    assert not any(a != b and a.startswith(b) for a in prefixes for b in prefixes)
