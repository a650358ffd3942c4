"""The AWS profile: added, found again, removed; what was in the files before stays byte for byte."""

from __future__ import annotations

from pathlib import Path

import botocore.session
import pytest

from eucapy.cli.faststart import aws_profile
from eucapy.cli.installation import Keys

KEYS = Keys(account_id="123456789012", access_key_id="AKIAEXAMPLE", secret_access_key="s3cr3t/with+signs=")
ENDPOINT = "http://127.0.0.1:8773"
OTHERS = {
    "": None,
    "plain": "[default]\nregion = eu-west-1\n",
    "commented": "# mine\n[profile work]\nregion=eu-west-1\n\n# the end\n",
    "no newline": "[default]\nregion = eu-west-1",
}


def write(home: Path, name: str = "") -> str:
    return aws_profile.write(home, ENDPOINT, "us-east-1", KEYS, name)


def test_stock_tools_understand_the_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write(tmp_path) == "eucapy"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / ".aws" / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / ".aws" / "credentials"))
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(variable, raising=False)
    session = botocore.session.Session(profile="eucapy")
    credentials = session.get_credentials()
    assert credentials is not None
    assert (credentials.access_key, credentials.secret_key) == (KEYS.access_key_id, KEYS.secret_access_key)
    client = session.create_client("ec2")
    assert (client.meta.endpoint_url, client.meta.region_name) == (ENDPOINT, "us-east-1")


def test_only_the_owner_reads_the_keys(tmp_path: Path) -> None:
    write(tmp_path)
    assert (tmp_path / ".aws" / "credentials").stat().st_mode & 0o777 == 0o600


def test_a_profile_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "config").write_text("[profile eucapy]\nregion = mine\n")
    (folder / "credentials").write_text("[eucapy-2]\naws_access_key_id = MINE\n")
    assert write(tmp_path) == "eucapy-3"
    assert (folder / "config").read_text().startswith("[profile eucapy]\nregion = mine\n")
    assert (folder / "credentials").read_text().startswith("[eucapy-2]\naws_access_key_id = MINE\n")


def test_our_own_profile_is_brought_up_to_date_in_place_of_a_second_one(tmp_path: Path) -> None:
    name = write(tmp_path)
    assert write(tmp_path, name) == name
    assert (tmp_path / ".aws" / "config").read_text().count("[profile eucapy]") == 1
    assert (tmp_path / ".aws" / "credentials").read_text().count("[eucapy]") == 1


@pytest.mark.parametrize("before", OTHERS.values(), ids=OTHERS)
def test_removing_leaves_the_files_as_they_were(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / ".aws" / "config"
    if before is not None:
        path.parent.mkdir()
        path.write_text(before)
    aws_profile.remove(tmp_path, write(tmp_path))
    assert not (tmp_path / ".aws" / "credentials").exists()
    if before is None:
        assert not path.exists()
    else:
        assert path.read_text().rstrip("\n") == before.rstrip("\n")


def test_a_section_that_was_added_behind_ours_survives_the_removal(tmp_path: Path) -> None:
    name = write(tmp_path)
    path = tmp_path / ".aws" / "config"
    path.write_text(path.read_text() + "\n# later\n[profile other]\nregion = x\n")
    aws_profile.remove(tmp_path, name)
    assert path.read_text() == "\n# later\n[profile other]\nregion = x\n"
