"""The cloud's own certificates, as the programs that read them ask for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from eucapy import pki


def test_qemu_of_every_version_takes_a_components_certificate(tmp_path: Path) -> None:
    """QEMU before 10.1 refuses a certificate whose usage is critical and names no key encipherment, and a key on an
    elliptic curve is for signatures alone (RFC 5480, 3)."""
    pki.Authority.ensure(tmp_path).issue("sc")
    shown = x509.load_pem_x509_certificate((tmp_path / "sc-cert.pem").read_bytes())
    usage = shown.extensions.get_extension_for_class(x509.KeyUsage)
    assert not usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_encipherment


@pytest.mark.parametrize("context", [pki.server_context, pki.client_context])
@pytest.mark.parametrize("missing", ["ca.pem", "sc-cert.pem", "sc-key.pem"])
def test_a_file_that_is_not_there_is_named(tmp_path: Path, context: Any, missing: str) -> None:
    pki.Authority.ensure(tmp_path).issue("sc")
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing):
        context(tmp_path, "sc")
