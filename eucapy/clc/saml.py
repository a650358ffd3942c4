"""SAML 2.0: whether a response is what an identity provider signed, for us and now.

    found = response(text, metadata, now)            # Assertion; NotAccepted says why not

The document comes from a stranger. No DTD, so no entities; nothing is fetched. Either the response or the assertion in it
is signed, with a key of the provider's metadata (never with one that the document itself brings along), and what is read is
what the signature covers, as the verifier hands it out: an assertion wrapped around it, beside it or in it is never seen.
Source: "Configure SAML assertions for the authentication response" and "Troubleshoot SAML federation with IAM", IAM guide.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import msgspec
from cryptography import x509
from lxml import etree
from signxml.exceptions import InvalidInput, SignXMLException
from signxml.verifier import SignatureConfiguration, XMLVerifier

AUDIENCES = ("https://signin.aws.amazon.com/saml", "urn:amazon:webservices")
_RECIPIENT = re.compile(r"https://([a-z0-9-]+\.)?signin\.aws\.amazon\.com/saml(/acs/[A-Za-z0-9]+)?\Z")
ATTRIBUTES = "https://aws.amazon.com/SAML/Attributes/"
REDEEM_S = 300.0
"""Within this of its issue a response has to be used."""
SKEW_S = 60.0
"""How far a response may be from the future: clocks differ."""
_SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"
_FORMATS = re.compile(r"urn:oasis:names:tc:SAML:[0-9.]+:nameid-format:")
_NAMES = {
    "p": "urn:oasis:names:tc:SAML:2.0:protocol",
    "a": "urn:oasis:names:tc:SAML:2.0:assertion",
    "m": "urn:oasis:names:tc:SAML:2.0:metadata",
    "d": "http://www.w3.org/2000/09/xmldsig#",
}
_NAME = re.compile(r"[a-zA-Z_0-9+=,.@-]{2,64}\Z")


class Assertion(msgspec.Struct, frozen=True):
    """What an assertion says of a user. `roles` are (role ARN, provider ARN)."""

    issuer: str
    subject: str
    subject_type: str
    recipient: str
    session_name: str
    roles: tuple[tuple[str, str], ...]
    ends_at: float | None = None
    """SessionNotOnOrAfter: no session lasts longer."""
    source_identity: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    audience: str = ""


class NotAccepted(Exception):
    """`kind` is "invalid" or "expired"; the text is AWS's."""

    def __init__(self, text: str, kind: str = "invalid") -> None:
        super().__init__(text)
        self.kind, self.text = kind, text


class Metadata(msgspec.Struct, frozen=True):
    """An identity provider's metadata document: its name and the certificates (DER) of its signing keys."""

    entity: str
    certificates: tuple[bytes, ...]

    @classmethod
    def read(cls, document: str) -> Metadata:
        """Raises NotAccepted for what is no metadata."""
        root = _parsed(document.encode(), "Could not parse metadata")
        found: list[bytes] = []
        for key in root.iterfind("./m:IDPSSODescriptor/m:KeyDescriptor", _NAMES):
            if key.get("use", "signing") == "signing":
                for element in key.iterfind(".//d:X509Certificate", _NAMES):
                    found += _certificate(element.text or "")
        return cls(root.get("entityID", ""), tuple(found))


def response(text: str, metadata: Metadata, now: float) -> Assertion:
    """The assertion of a response, `SAMLAssertion` as the client sent it. Raises NotAccepted."""
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise NotAccepted("Invalid base64 SAMLResponse") from None
    root = _parsed(content, "Invalid SAML response")
    if root.tag != f"{{{_NAMES['p']}}}Response":
        raise NotAccepted("Your request included an invalid SAML response. To logout, click here.")
    issuers = [_text(root, "./a:Issuer"), _text(root, "./a:Assertion/a:Issuer")]
    if any(issuer and issuer != metadata.entity for issuer in issuers) or not any(issuers):
        raise NotAccepted("Issuer not present in specified provider")
    assertion = _signed(root, metadata)
    if (status := root.find("./p:Status/p:StatusCode", _NAMES)) is None or status.get("Value") != _SUCCESS:
        raise NotAccepted("Your request included an invalid SAML response. To logout, click here.")
    if _text(assertion, "./a:Issuer") != metadata.entity:
        raise NotAccepted("Issuer not present in specified provider")
    return _read(assertion, now)


def _signed(root: Any, metadata: Metadata) -> Any:
    """The assertion that a signature covers. Raises NotAccepted."""
    found = root.findall("./a:Assertion", _NAMES)
    if len(found) != 1 or len(list(root.iter(f"{{{_NAMES['a']}}}Assertion"))) != 1:
        raise NotAccepted("Your request included an invalid SAML response. To logout, click here.")
    whole = root.find("./d:Signature", _NAMES) is not None
    # Alone in a document of its own, an assertion's signature has nothing else that it could be about.
    about = root if whole else etree.fromstring(etree.tostring(found[0], with_tail=False), _parser())
    if about.find("./d:Signature", _NAMES) is None:
        raise NotAccepted("Response signature invalid")
    for certificate in metadata.certificates:
        covered = _verified(about, certificate)
        if covered is None or covered.tag != about.tag or covered.get("ID") != about.get("ID"):
            continue
        if not whole:
            return covered
        inside = covered.findall("./a:Assertion", _NAMES)
        if len(inside) == 1:
            return inside[0]
    raise NotAccepted("Response signature invalid")


def _verified(about: Any, certificate: bytes) -> Any:
    """What the signature of the document covers, parsed from the very bytes that were signed; None: it is not good."""
    key = x509.load_der_x509_certificate(certificate)
    try:
        result = XMLVerifier().verify(
            about,
            x509_cert=key,
            # As IAM, which does not look at when a certificate ends: the administrator's metadata says what counts.
            expect_config=SignatureConfiguration(location="./", verification_time=key.not_valid_before_utc),
            id_attribute="ID",
        )
    except (SignXMLException, InvalidInput, ValueError, TypeError, AttributeError, LookupError, etree.LxmlError):
        return None  # the verifier is asked about whatever a stranger wrote
    return result.signed_xml if not isinstance(result, list) else None


def _read(assertion: Any, now: float) -> Assertion:
    issued = _moment(assertion.get("IssueInstant"))
    if now > issued + REDEEM_S:
        raise NotAccepted("Token must be redeemed within 5 minutes of issuance", "expired")
    if issued > now + SKEW_S:
        raise NotAccepted("Your request included an invalid SAML response. To logout, click here.")
    for conditions in assertion.iterfind("./a:Conditions", _NAMES):
        _in_time(conditions, now)
    told = [
        (each.text or "").strip()
        for each in assertion.iterfind("./a:Conditions/a:AudienceRestriction/a:Audience", _NAMES)
    ]
    audience = next((each for each in told if each in AUDIENCES), None)
    if audience is None:
        raise NotAccepted("Response does not contain the required audience.")
    recipient = _recipient(assertion, now)
    name = assertion.find("./a:Subject/a:NameID", _NAMES)
    if name is None or not (name.text or "").strip():
        raise NotAccepted("Your request included an invalid SAML response. To logout, click here.")
    values = dict(_attributes(assertion))
    session_name = _one(values, "RoleSessionName")
    if not session_name:
        raise NotAccepted("RoleSessionName is required in AuthnResponse")
    if not _NAME.match(session_name):
        raise NotAccepted("RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}")
    source = _one(values, "SourceIdentity")
    if source and (not _NAME.match(source) or source.lower().startswith("aws:")):
        raise NotAccepted('Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"')
    ends = [
        _moment(each.get("SessionNotOnOrAfter"))
        for each in assertion.iterfind("./a:AuthnStatement", _NAMES)
        if each.get("SessionNotOnOrAfter")
    ]
    tag = f"{ATTRIBUTES}PrincipalTag:"
    return Assertion(
        issuer=_text(assertion, "./a:Issuer"),
        subject=(name.text or "").strip(),
        subject_type=_FORMATS.sub("", name.get("Format") or ""),
        recipient=recipient,
        session_name=session_name,
        roles=tuple(_pairs(values.get(f"{ATTRIBUTES}Role", []))),
        ends_at=min(ends) if ends else None,
        source_identity=source,
        tags=tuple((key[len(tag) :], held[0]) for key, held in values.items() if key.startswith(tag) and held),
        transitive=tuple(values.get(f"{ATTRIBUTES}TransitiveTagKeys", [])),
        audience=audience,
    )


def _recipient(assertion: Any, now: float) -> str:
    """Where the assertion was to be brought to. Raises NotAccepted."""
    for data in assertion.iterfind("./a:Subject/a:SubjectConfirmation/a:SubjectConfirmationData", _NAMES):
        recipient = data.get("Recipient") or ""
        if _RECIPIENT.match(recipient):
            _in_time(data, now)
            return str(recipient)
    raise NotAccepted("Response does not contain the required audience.")


def _in_time(element: Any, now: float) -> None:
    before, after = element.get("NotBefore"), element.get("NotOnOrAfter")
    if after is not None and now >= _moment(after):
        raise NotAccepted("Token must be redeemed within 5 minutes of issuance", "expired")
    if before is not None and _moment(before) > now + SKEW_S:
        raise NotAccepted("Your request included an invalid SAML response. To logout, click here.")


def _attributes(assertion: Any) -> Iterator[tuple[str, list[str]]]:
    for attribute in assertion.iterfind("./a:AttributeStatement/a:Attribute", _NAMES):
        held = ["".join(each.itertext()).strip() for each in attribute.iterfind("./a:AttributeValue", _NAMES)]
        yield attribute.get("Name") or "", held


def _one(values: dict[str, list[str]], name: str) -> str:
    held = values.get(ATTRIBUTES + name, [])
    return held[0] if held else ""


def _pairs(held: list[str]) -> Iterator[tuple[str, str]]:
    """(role, provider), in whichever order they are written."""
    for text in held:
        parts = [part.strip() for part in text.split(",")]
        roles = [part for part in parts if ":role/" in part]
        providers = [part for part in parts if ":saml-provider/" in part]
        if len(parts) == 2 and len(roles) == len(providers) == 1:
            yield roles[0], providers[0]


def _text(element: Any, path: str) -> str:
    found = element.find(path, _NAMES)
    return (found.text or "").strip() if found is not None else ""


def _moment(text: str | None) -> float:
    try:
        moment = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise NotAccepted("Your request included an invalid SAML response. To logout, click here.")
    return moment.timestamp()


def _certificate(text: str) -> Iterator[bytes]:
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
        x509.load_der_x509_certificate(content)
    except ValueError:
        return  # one that cannot be read signs nothing
    yield content


def _parser() -> Any:
    return etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False,
        remove_comments=True, remove_pis=True,
    )  # fmt: skip


def _parsed(content: bytes, complaint: str) -> Any:
    """Raises NotAccepted, for a document type too: no provider sends one, and it is where attacks begin."""
    try:
        root = etree.fromstring(content, _parser())
    except (etree.XMLSyntaxError, ValueError) as error:
        raise NotAccepted(complaint) from error
    if root.getroottree().docinfo.doctype or root.getroottree().docinfo.internalDTD is not None:
        raise NotAccepted(complaint)
    return root
