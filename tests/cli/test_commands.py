"""The `eucapy` command: what it prints, and how it fails."""

from __future__ import annotations

import http.server
import json
import shlex
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from eucapy.cli import main as cli
from eucapy.cli import operator as operator_port
from eucapy.cli.faststart import layout
from eucapy.cli.installation import Installation, Keys, Record
from eucapy.cli.output import table
from eucapy.cli.programs import DAEMONS
from eucapy.run import run_now


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    installation = Installation(tmp_path / "cloud")
    record = Record(public_range="198.51.100.10-198.51.100.60", region="eu-test-1", zone="eu-test-1a")
    layout.ensure_folders(installation)
    installation.save(record)
    layout.ensure_configuration(installation, record)
    installation.save_admin(
        Keys(
            account_id="1" * 12, access_key_id="AKIAEXAMPLE", secret_access_key="with'quote $HOME", account="eucalyptus"
        )
    )
    return installation


def run(installation: Installation, *arguments: str) -> int:
    return cli.main(["--data", str(installation.data), *arguments])


def test_env_is_understood_by_a_shell(installation: Installation, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(installation, "env") == 0
    script = (
        capsys.readouterr().out + 'printf "%s\\n" "$AWS_ENDPOINT_URL" "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY"'
    )
    said = run_now(
        "sh", "-c", script + ' "$AWS_DEFAULT_REGION" "$AWS_REGION" "${AWS_PROFILE-unset}"', env={"AWS_PROFILE": "other"}
    )
    assert said.stdout.splitlines() == [
        "http://127.0.0.1:8773",
        "AKIAEXAMPLE",
        "with'quote $HOME",
        "eu-test-1",
        "eu-test-1",
        "unset",
    ]


def test_env_names_the_ca_where_the_endpoint_speaks_tls(
    installation: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    path = installation.folder("etc") / "clc.toml"
    path.write_text(path.read_text() + 'tls_cert = "/etc/cert.pem"\ntls_key = "/etc/key.pem"\n')
    assert run(installation, "env") == 0
    lines = dict(line.removeprefix("export ").split("=", 1) for line in capsys.readouterr().out.splitlines()[:-1])
    assert lines["AWS_ENDPOINT_URL"] == "https://127.0.0.1:8773"
    assert shlex.split(lines["AWS_CA_BUNDLE"]) == [str(installation.folder("pki") / "ca.pem")]


def test_env_without_a_cloud_says_how_to_get_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--data", str(tmp_path), "env"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "./faststart" in captured.err


def test_a_wrong_command_shows_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["nonsense"]) == 2
    assert cli.main([]) == 2
    assert "account" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(set(cli.COMMANDS) - {"dev", "walrus", "daemon"}))
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main([name, "--help"])
    assert end.value.code == 0
    assert f"usage: eucapy {name}" in capsys.readouterr().out


@pytest.mark.parametrize("daemon", DAEMONS)
def test_a_sample_configuration_is_one_that_the_daemon_accepts(
    daemon: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["config", "sample", daemon]) == 0
    path = tmp_path / f"{daemon}.toml"
    path.write_text(capsys.readouterr().out)
    assert cli.main(["config", "check", daemon, str(path)]) == 0
    path.write_text("no_such_option = 1\n")
    assert cli.main(["config", "check", daemon, str(path)]) == 1
    assert "no_such_option" in capsys.readouterr().err


class FakeCloudController(http.server.BaseHTTPRequestHandler):
    """Answers as the operator port does, and keeps what it was asked."""

    asked: ClassVar[list[tuple[str, str, Any]]]
    answers: ClassVar[dict[str, tuple[int, Any]]]

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        type(self).asked.append((self.command, self.path, body))
        status, answer = type(self).answers[self.path]
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[FakeCloudController]]:
    class Controller(FakeCloudController):
        asked: ClassVar[list[tuple[str, str, Any]]] = []
        answers: ClassVar[dict[str, tuple[int, Any]]] = {}

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Controller) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setattr(operator_port, "client_tls", lambda folder: None)
        monkeypatch.setattr(Installation, "operator_url", property(lambda self: url))
        yield Controller
        server.shutdown()
        thread.join()


KEYS = {"account_id": "2" * 12, "access_key_id": "AKIANEW", "secret_access_key": "shown once"}


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["account", "create", "lab"], "/admin/accounts", {"name": "lab"}),
        (["user", "create", "ann"], "/admin/users", {"account": "eucalyptus", "name": "ann", "policy": "all"}),
        (
            ["user", "create", "bob", "--account", "lab", "--policy", "none"],
            "/admin/users",
            {"account": "lab", "name": "bob", "policy": "none"},
        ),
        (["user", "key", "ann"], "/admin/keys", {"account": "eucalyptus", "user": "ann"}),
    ],
)
def test_what_makes_keys_answers_json_with_them(
    installation: Installation,
    controller: type[FakeCloudController],
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    path: str,
    body: dict[str, str],
) -> None:
    controller.answers[path] = (200, KEYS)
    assert run(installation, *arguments) == 0
    assert json.loads(capsys.readouterr().out) == KEYS
    assert controller.asked == [("POST", path, body)]


def test_what_the_cloud_controller_refuses_is_said_in_its_own_words(
    installation: Installation, controller: type[FakeCloudController], capsys: pytest.CaptureFixture[str]
) -> None:
    controller.answers["/admin/accounts"] = (409, {"message": "there is an account lab already"})
    assert run(installation, "account", "create", "lab") == 1
    assert capsys.readouterr().err == "eucapy: there is an account lab already\n"


def test_a_cloud_that_does_not_answer_is_said_to_be_so(
    installation: Installation, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(operator_port, "client_tls", lambda folder: None)
    monkeypatch.setattr(Installation, "operator_url", property(lambda self: "http://127.0.0.1:9"))
    assert run(installation, "account", "list") == 1
    assert "does not answer at 127.0.0.1:9" in capsys.readouterr().err


def test_listings_are_tables_for_people_and_json_for_programs(
    installation: Installation, controller: type[FakeCloudController], capsys: pytest.CaptureFixture[str]
) -> None:
    accounts = [{"id": "1" * 12, "name": "eucalyptus"}]
    controller.answers["/admin/accounts"] = (200, {"accounts": accounts})
    assert run(installation, "account", "list") == 0
    assert capsys.readouterr().out == "id            name\n111111111111  eucalyptus\n"
    assert run(installation, "account", "list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == accounts


def test_a_table_has_a_column_for_every_member() -> None:
    assert table([{"a": 1, "b": True}, {"a": None, "c": [1, 2]}]) == "a  b    c\n1  yes  -\n-  -    [1,2]"
    assert table([]) == "none"
