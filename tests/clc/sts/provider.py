"""A SAML identity provider: metadata and signed responses, and what attackers make of these."""

from __future__ import annotations

import base64
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml import methods
from signxml.signer import XMLSigner

ENTITY = "https://idp.example.com/saml"
ATTRIBUTES = "https://aws.amazon.com/SAML/Attributes/"
_P, _A = "urn:oasis:names:tc:SAML:2.0:protocol", "urn:oasis:names:tc:SAML:2.0:assertion"


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


class Provider:
    """`metadata` is what IAM gets, `response(…)` what the user's browser does."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "idp")])
        now = datetime.now(UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.key.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=20))
            .not_valid_after(now - timedelta(days=10))  # IAM does not look at when it ends
            .sign(self.key, hashes.SHA256())
        )
        der = self.certificate.public_bytes(serialization.Encoding.DER)
        self.metadata = (
            '<?xml version="1.0"?><EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" '
            f'entityID="{ENTITY}" validUntil="2099-01-01T00:00:00Z"><IDPSSODescriptor '
            f'protocolSupportEnumeration="{_P}"><KeyDescriptor use="signing">'
            '<KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>'
            f"{base64.b64encode(der).decode()}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>"
            '<SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" '
            f'Location="{ENTITY}/login"/></IDPSSODescriptor></EntityDescriptor>'
            + " "
            * 1000  # IAM wants at least that many characters
        )

    def response(self, roles: list[tuple[str, str]], *, sign: str = "Assertion", **given: Any) -> Any:
        """A response as an element tree. `sign`: "Assertion", "Response" or ""."""
        root = etree.fromstring(self.text(roles, **given).encode())
        if sign:
            about = root if sign == "Response" else root.find(f"{{{_A}}}Assertion")
            signed = self.signed(about)
            if sign == "Response":
                return signed
            root.replace(about, signed)
        return root

    def signed(self, element: Any) -> Any:
        """The element with an enveloped signature, after its issuer."""
        signer = XMLSigner(method=methods.enveloped, c14n_algorithm="http://www.w3.org/2001/10/xml-exc-c14n#")
        pem = serialization.Encoding.PEM
        signed = signer.sign(
            etree.fromstring(etree.tostring(element)),
            key=self.key,
            cert=self.certificate.public_bytes(pem).decode(),
            reference_uri=element.get("ID"),
            id_attribute="ID",
        )
        return etree.fromstring(etree.tostring(signed))

    def text(self, roles: list[tuple[str, str]], **given: Any) -> str:
        now = time.time()
        told: dict[str, Any] = {
            "issuer": ENTITY,
            "issued": now,
            "until": now + 300,
            "audience": "https://signin.aws.amazon.com/saml",
            "recipient": "https://signin.aws.amazon.com/saml",
            "status": "urn:oasis:names:tc:SAML:2.0:status:Success",
            "name": "user@example.com",
            "session_name": "user@example.com",
            "attributes": {},
            "ends": "",
            **given,
        }
        attributes = {f"{ATTRIBUTES}Role": [f"{role},{provider}" for role, provider in roles], **told["attributes"]}
        if told["session_name"] is not None:
            attributes[f"{ATTRIBUTES}RoleSessionName"] = [told["session_name"]]
        shown = "".join(
            f'<a:Attribute Name="{name}">'
            + "".join(f"<a:AttributeValue>{value}</a:AttributeValue>" for value in values)
            + "</a:Attribute>"
            for name, values in attributes.items()
        )
        ends = f' SessionNotOnOrAfter="{iso(told["ends"])}"' if told["ends"] else ""
        return (
            f'<p:Response xmlns:p="{_P}" xmlns:a="{_A}" ID="_r1" Version="2.0" IssueInstant="{iso(told["issued"])}">'
            f"<a:Issuer>{told['issuer']}</a:Issuer>"
            f'<p:Status><p:StatusCode Value="{told["status"]}"/></p:Status>'
            f'<a:Assertion ID="_a1" Version="2.0" IssueInstant="{iso(told["issued"])}">'
            f"<a:Issuer>{told['issuer']}</a:Issuer>"
            '<a:Subject><a:NameID Format="urn:oasis:names:tc:SAML:2.0:nameid-format:persistent">'
            f'{told["name"]}</a:NameID><a:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">'
            f'<a:SubjectConfirmationData NotOnOrAfter="{iso(told["until"])}" Recipient="{told["recipient"]}"/>'
            "</a:SubjectConfirmation></a:Subject>"
            f'<a:Conditions NotBefore="{iso(told["issued"] - 1)}" NotOnOrAfter="{iso(told["until"])}">'
            f"<a:AudienceRestriction><a:Audience>{told['audience']}</a:Audience></a:AudienceRestriction></a:Conditions>"
            f'<a:AuthnStatement AuthnInstant="{iso(told["issued"])}"{ends}/>'
            f"<a:AttributeStatement>{shown}</a:AttributeStatement></a:Assertion></p:Response>"
        )


def encoded(response: Any) -> str:
    """As the client sends it."""
    return base64.b64encode(response if isinstance(response, bytes) else etree.tostring(response)).decode()
