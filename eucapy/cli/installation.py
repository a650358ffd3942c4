"""The cloud that is installed on this machine: its folder, and the record of what the installer made.

`DIR/{pki,etc,log,run,credentials,images}` and a folder per daemon stand under one data folder. `DIR/installation.json`
records what was chosen and everything made *outside* DIR, so that `clean` removes exactly that; `credentials/` holds
the operator's keys (0600). The installer (`faststart/`) writes both, every other command reads them.
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

import msgspec

from eucapy.ledger import Ledger, LedgerDamaged, write_file

DEFAULT_DATA = Path("/var/lib/eucapy")
DEFAULT_REGION = "us-east-1"
FOLDERS = ("pki", "etc", "log", "run", "credentials", "images", "clc", "cc", "sc", "walrus", "nc", "eucanetd")


class CliError(Exception):
    """Something a person can mend; the message is all that they see."""


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where the programs listen."""

    api: int = 8773
    operator: int = 8774
    cc: int = 8775
    sc: int = 8776
    nc: int = 8777
    eucanetd: int = 8778
    walrus: int = 8780
    walrus_internal: int = 8781

    @classmethod
    def from_base(cls, base: int) -> Ports:
        """The usual distances, counted from another API port."""
        first = cls().api
        return cls(**{name: number - first + base for name, number in msgspec.structs.asdict(cls()).items()})


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """A user's access key, as the operator port answers it."""

    account_id: str
    access_key_id: str
    secret_access_key: str
    account: str = ""
    user: str = ""


class Record(msgspec.Struct, kw_only=True):
    """What the installer chose and made. `made` are the files and links outside the data folder."""

    version: int = 1
    region: str = DEFAULT_REGION
    zone: str = "us-east-1a"
    address: str = "127.0.0.1"
    """Where the public endpoint listens."""
    ports: Ports = msgspec.field(default_factory=Ports)
    public_range: str = ""
    """First and last public address, `A-B`."""
    public_is_local: bool = True
    """The range was chosen for this host alone: nothing else on the network reaches it."""
    public_interface: str = ""
    """The interface whose network the range belongs to; empty when it belongs to none."""
    prefix: str = "euca-"
    """What the names of the cloud's network namespaces begin with."""
    node: str = "node1"
    acceleration: str = "auto"
    """`kvm`, `emulation` or `auto`, as in nc.toml."""
    supervised_by: str = ""
    """`systemd` or `own`; empty before the first start."""
    profile: str = ""
    """The AWS profile that was written, if any."""
    profile_home: str = ""
    images: dict[str, str] = msgspec.field(default_factory=dict)
    """Installed images: name → AMI id."""
    first_instance: str = ""
    made: list[str] = msgspec.field(default_factory=list)
    """Files outside the data folder."""
    made_qemu_user: bool = False
    """Before this cloud the host had no user for guests' QEMU processes."""
    made_storage_user: bool = False
    made_address: bool = False
    """Before this cloud the host had no IPv4 address but loopback's."""
    turned_forwarding_on: bool = False
    """Before this cloud the host did not forward IPv4."""


class Installation:
    """The data folder of one cloud."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self._ledger = Ledger(self.data / "installation.json", Record)

    def folder(self, name: str) -> Path:
        """`pki`, `etc`, `log`, `run`, `credentials`, `images`, or a daemon's own."""
        assert name in FOLDERS, name
        return self.data / name

    @property
    def admin_file(self) -> Path:
        return self.folder("credentials") / "admin.json"

    @property
    def first_key_file(self) -> Path:
        """The private half of the key pair that the first instance was started with."""
        return self.folder("credentials") / "first-key.pem"

    def exists(self) -> bool:
        """Whether a cloud was ever installed in this folder."""
        return (self.data / "installation.json").exists()

    def record(self) -> Record:
        """Raises CliError when there is no cloud here."""
        try:
            found = self._ledger.read()
        except PermissionError as error:
            raise CliError(f"{self.data} can be read by root only: use sudo") from error
        except LedgerDamaged as error:
            raise CliError(f"the record of the installation is damaged: {error}") from error
        if found is None:
            raise CliError(f"no cloud is installed in {self.data}: start one with ./faststart, or name it with --data")
        return found

    def save(self, record: Record) -> None:
        self._ledger.write(record)

    def admin(self) -> Keys:
        """The operator's own access key. Raises CliError."""
        try:
            return msgspec.json.decode(self.admin_file.read_bytes(), type=Keys)
        except FileNotFoundError as error:
            raise CliError(f"{self.admin_file} is not there: the cloud has not come up yet") from error
        except PermissionError as error:
            raise CliError(f"{self.admin_file} can be read by root only: use sudo") from error
        except msgspec.MsgspecError as error:
            raise CliError(f"{self.admin_file}: {error}") from error

    def save_admin(self, keys: Keys) -> None:
        write_file(self.admin_file, msgspec.json.format(msgspec.json.encode(keys), indent=2) + b"\n", mode=0o600)

    def settings(self, daemon: str) -> dict[str, Any]:
        """What stands in the daemon's configuration file, which an operator may have edited. Raises CliError."""
        path = self.folder("etc") / f"{daemon}.toml"
        try:
            return tomllib.loads(path.read_text())
        except FileNotFoundError as error:
            raise CliError(f"{path} is not there: start the cloud with ./faststart") from error
        except tomllib.TOMLDecodeError as error:
            raise CliError(f"{path}: {error}") from error

    @property
    def endpoint_url(self) -> str:
        """The address of every AWS service of this cloud."""
        settings = self.settings("clc")
        if settings.get("endpoint"):
            return str(settings["endpoint"])
        scheme = "https" if settings.get("tls_cert") else "http"
        return f"{scheme}://{settings['host']}:{settings['port']}"

    @property
    def operator_url(self) -> str:
        """The cloud controller's internal port, which demands a certificate."""
        return f"https://127.0.0.1:{self.record().ports.operator}"

    def environment(self) -> dict[str, str]:
        """The variables that point AWS tools here. Raises CliError."""
        self.record()
        keys = self.admin()
        settings = self.settings("clc")
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": keys.access_key_id,
            "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
            "AWS_DEFAULT_REGION": str(settings.get("region", DEFAULT_REGION)),
            "AWS_REGION": str(settings.get("region", DEFAULT_REGION)),
        }
        if settings.get("tls_cert"):
            variables["AWS_CA_BUNDLE"] = str(self.folder("pki") / "ca.pem")
        return variables


def require_root(what: str) -> None:
    """Raises CliError unless we are root."""
    if os.geteuid() != 0:
        raise CliError(f"{what} needs root: use sudo")
