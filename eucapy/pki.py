"""The cloud's own certificate authority: ECDSA P-256, one certificate a component, roles in the common name.

A certificate's subject is `CN=<role>` plus `O=eucapy`; `O`'s unit is the component's name. Both ends of every
connection between components show a certificate of this authority, and the server decides by the role who may do what.
Private keys are written 0600 and never leave their host. Files in the folder: `ca.pem`, `ca-key.pem`,
`<role>-cert.pem`, `<role>-key.pem`.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from eucapy import ledger
from eucapy.folders import Owner

ROLES = ("clc", "cc", "sc", "walrus", "nc", "eucanetd", "admin")
AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 825


class Authority:
    """The folder that holds the authority's key."""

    def __init__(self, folder: Path) -> None:
        """Opens an authority made before. Raises FileNotFoundError."""
        self.folder = folder
        key = serialization.load_pem_private_key((folder / "ca-key.pem").read_bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        self._key = key
        self._certificate = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())

    @classmethod
    def ensure(cls, folder: Path) -> Authority:
        """The authority in `folder`, made now if there is none."""
        if not (folder / "ca.pem").exists():
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            key = ec.generate_private_key(ec.SECP256R1())
            name = _name("eucapy certificate authority", "ca")
            now = datetime.now(UTC)
            certificate = (
                x509.CertificateBuilder()
                .subject_name(name)
                .issuer_name(name)
                .public_key(key.public_key())
                .serial_number(x509.random_serial_number())
                .not_valid_before(now - timedelta(minutes=5))
                .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
                .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                .add_extension(_usage(sign_certificates=True), critical=True)
                .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
                .sign(key, hashes.SHA256())
            )
            ledger.write_file(folder / "ca-key.pem", _pem(key))
            ledger.write_file(folder / "ca.pem", certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)
        return cls(folder)

    def issue(self, role: str, name: str = "", hosts: Sequence[str] = (), folder: Path | None = None) -> None:
        """Write `<role>-cert.pem` and `<role>-key.pem`, good for the host names and addresses in `hosts`.

        Loopback is always included. An existing pair is replaced.
        """
        if role not in ROLES:
            raise ValueError(f"unknown role {role!r}: one of {', '.join(ROLES)}")
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(_name(role, name or role))
            .issuer_name(self._certificate.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=5))
            .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            # Not critical: QEMU before 10.1 refuses a critical usage without key encipherment, which such a key never does.
            .add_extension(_usage(sign_certificates=False), critical=False)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(x509.SubjectAlternativeName(_hosts(["localhost", "127.0.0.1", *hosts])), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        where = folder or self.folder
        ledger.write_file(where / f"{role}-key.pem", _pem(key))
        ledger.write_file(where / f"{role}-cert.pem", certificate.public_bytes(serialization.Encoding.PEM), mode=0o644)


def server_context(folder: Path, role: str) -> ssl.SSLContext:
    """TLS for a component's listener: shows its certificate and demands one of the same authority. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _load(context, folder, role)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(folder: Path, role: str) -> ssl.SSLContext:
    """TLS for a component's calls: trusts this authority alone and shows its own certificate. Raises OSError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _load(context, folder, role)
    return context


def _load(context: ssl.SSLContext, folder: Path, role: str) -> None:
    authority, certificate, key = folder / "ca.pem", folder / f"{role}-cert.pem", folder / f"{role}-key.pem"
    for path in (authority, certificate, key):
        path.stat()  # says which file is not there; OpenSSL does not
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(authority)
    context.load_cert_chain(certificate, key)


def qemu_credentials(folder: Path, role: str, target: Path, owner: Owner | None = None) -> Path:
    """A folder with the role's certificate under the names that QEMU's `tls-creds-x509` wants, for a server as for a
    client. The files themselves stay where they are, so that a new certificate is used by the next program started; for
    programs of another `owner`, who may not go there, they are copied as they are now."""
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    names = {"ca-cert.pem": "ca.pem"}
    for end in ("server", "client"):
        names |= {f"{end}-cert.pem": f"{role}-cert.pem", f"{end}-key.pem": f"{role}-key.pem"}
    for name, source in names.items():
        link, aside = target / name, target / f".{name}.new"
        aside.unlink(missing_ok=True)
        if owner is not None:
            ledger.write_file(link, (folder / source).read_bytes(), mode=0o600)
            os.chown(link, owner.user_id, owner.group_id)
            continue
        aside.symlink_to((folder / source).absolute())
        aside.replace(link)
    if owner is not None:
        os.chown(target, 0, owner.group_id)
        target.chmod(0o710)
    return target


def role_of(peer_certificate: dict[str, object] | None) -> str:
    """The role in the certificate that `ssl.SSLObject.getpeercert()` gave; "" when there is none."""
    if not peer_certificate:
        return ""
    subject = peer_certificate.get("subject", ())
    assert isinstance(subject, tuple)
    for group in subject:
        for key, value in group:
            if key == "commonName":
                return str(value)
    return ""


def _name(common: str, unit: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "eucapy"),
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _hosts(hosts: Sequence[str]) -> list[x509.GeneralName]:
    names: list[x509.GeneralName] = []
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    return names


def _usage(sign_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=sign_certificates,
        crl_sign=sign_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
