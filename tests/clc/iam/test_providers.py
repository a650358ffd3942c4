"""Identity providers: OpenID Connect issuers and SAML 2.0 providers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.clc.iam.asked import error
from tests.harness.cloud import Cloud

THUMBPRINT = "a" * 40
METADATA = """<?xml version="1.0"?>
<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="https://idp.example.com" {until}>
  <IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <KeyDescriptor use="signing">
      <KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>MIIB</X509Certificate></X509Data></KeyInfo>
    </KeyDescriptor>
    <SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://idp.example.com/sso"/>
  </IDPSSODescriptor>
</EntityDescriptor>{filler}"""


def metadata(until: str = "") -> str:
    """A document of a length that SAML providers take (1000 characters at least)."""
    return METADATA.format(until=f'validUntil="{until}"' if until else "", filler="\n" * 1000)


def test_an_issuer_lives(iam: Any, number: str) -> None:
    made = iam.create_open_id_connect_provider(
        Url="https://id.example.com/realm", ClientIDList=["a", "a"], ThumbprintList=[THUMBPRINT]
    )
    arn = made["OpenIDConnectProviderArn"]
    assert arn == f"arn:aws:iam::{number}:oidc-provider/id.example.com/realm"
    assert error(iam.create_open_id_connect_provider, Url="https://id.example.com/realm") == (
        "EntityAlreadyExists", "Provider with url https://id.example.com/realm already exists.",
    )  # fmt: skip
    name = {"OpenIDConnectProviderArn": arn}
    iam.add_client_id_to_open_id_connect_provider(**name, ClientID="b")
    iam.remove_client_id_from_open_id_connect_provider(**name, ClientID="a")
    iam.remove_client_id_from_open_id_connect_provider(**name, ClientID="never")
    iam.update_open_id_connect_provider_thumbprint(**name, ThumbprintList=["b" * 40])
    got = iam.get_open_id_connect_provider(**name)
    assert (got["Url"], got["ClientIDList"], got["ThumbprintList"], got["Tags"]) == (
        "id.example.com/realm", ["b"], ["b" * 40], [],
    )  # fmt: skip
    assert iam.list_open_id_connect_providers()["OpenIDConnectProviderList"] == [{"Arn": arn}]
    iam.delete_open_id_connect_provider(**name)
    assert error(iam.get_open_id_connect_provider, **name) == (
        "NoSuchEntity", f"OpenIDConnect Provider not found for arn {arn}",
    )  # fmt: skip
    assert error(iam.delete_open_id_connect_provider, **name) == (
        "NoSuchEntity", f"OpenId connect Provider {arn} cannot be found.",
    )  # fmt: skip


@pytest.mark.parametrize(
    "url", ["http://id.example.com", "id.example.com", "https://", "https://a b", "https://a.b?c=d"]
)
def test_what_is_no_issuer(iam: Any, url: str) -> None:
    assert error(iam.create_open_id_connect_provider, Url=url) == (
        "ValidationError", "Invalid Open ID Connect Provider URL",
    )  # fmt: skip


def test_an_issuer_has_its_limits(iam: Any) -> None:
    many = [f"{number:040d}" for number in range(6)]
    assert error(iam.create_open_id_connect_provider, Url="https://a.b", ThumbprintList=many) == (
        "InvalidInput", "Thumbprint list must contain fewer than 5 entries.",
    )  # fmt: skip
    clients = [str(number) for number in range(101)]
    refused = error(iam.create_open_id_connect_provider, Url="https://a.b", ClientIDList=clients)
    assert refused == ("LimitExceeded", "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: 100")
    made = iam.create_open_id_connect_provider(Url="https://a.b", ClientIDList=clients[:100])
    arn = made["OpenIDConnectProviderArn"]
    assert error(iam.add_client_id_to_open_id_connect_provider, OpenIDConnectProviderArn=arn, ClientID="x") == refused


def test_a_saml_provider_lives(iam: Any, number: str) -> None:
    arn = iam.create_saml_provider(Name="idp", SAMLMetadataDocument=metadata("2126-01-02T03:04:05Z"))["SAMLProviderArn"]
    assert arn == f"arn:aws:iam::{number}:saml-provider/idp"
    assert error(iam.create_saml_provider, Name="idp", SAMLMetadataDocument=metadata())[0] == "EntityAlreadyExists"
    got = iam.get_saml_provider(SAMLProviderArn=arn)
    assert got["ValidUntil"] == datetime(2126, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (got["AssertionEncryptionMode"], got["PrivateKeyList"], got["Tags"]) == ("Allowed", [], [])
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    iam.update_saml_provider(SAMLProviderArn=arn, AddPrivateKey=key.decode(), AssertionEncryptionMode="Required")
    got = iam.get_saml_provider(SAMLProviderArn=arn)
    (held,) = got["PrivateKeyList"]
    assert got["AssertionEncryptionMode"] == "Required" and got["ValidUntil"].year == 2126
    iam.update_saml_provider(SAMLProviderArn=arn, RemovePrivateKey=held["KeyId"])
    assert iam.get_saml_provider(SAMLProviderArn=arn)["PrivateKeyList"] == []
    iam.delete_saml_provider(SAMLProviderArn=arn)
    assert error(iam.delete_saml_provider, SAMLProviderArn=arn) == (
        "NoSuchEntity", f"Manifest not found for arn {arn}",
    )  # fmt: skip


@pytest.mark.parametrize(
    "document",
    [
        "x" * 1000,
        metadata().replace("EntityDescriptor", "Entities"),
        metadata().replace("IDPSSODescriptor", "SPSSODescriptor"),
        metadata().replace('<?xml version="1.0"?>', '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>'),
        metadata("2020-01-01T00:00:00Z"),
        metadata("whenever"),
    ],
)
def test_what_is_no_metadata(iam: Any, document: str) -> None:
    assert error(iam.create_saml_provider, Name="idp", SAMLMetadataDocument=document)[0] == "InvalidInput"
    assert iam.list_saml_providers()["SAMLProviderList"] == []


def test_another_accounts_provider_is_nobodys(shared: Cloud, iam: Any) -> None:
    issuer = iam.create_open_id_connect_provider(Url="https://id.example.com")["OpenIDConnectProviderArn"]
    saml = iam.create_saml_provider(Name="idp", SAMLMetadataDocument=metadata())["SAMLProviderArn"]
    stranger = shared.client("iam", "stranger")
    assert error(stranger.get_open_id_connect_provider, OpenIDConnectProviderArn=issuer)[0] in (
        "NoSuchEntity", "AccessDenied",
    )  # fmt: skip
    assert error(stranger.delete_saml_provider, SAMLProviderArn=saml)[0] in ("NoSuchEntity", "AccessDenied")
    assert iam.get_saml_provider(SAMLProviderArn=saml)
