"""AssumeRoleWithSAML: what the identity provider signed lets in; forged, wrapped, stale and foreign responses do not."""

from __future__ import annotations

import base64
import copy
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from lxml import etree

from tests.clc.launching import error
from tests.clc.sts.granting import role, trust, unsigned, with_credentials
from tests.clc.sts.provider import ATTRIBUTES, ENTITY, Provider, encoded
from tests.harness.cloud import Cloud

ACTION = "sts:AssumeRoleWithSAML"
INVALID = "InvalidIdentityToken"
NAMES = {"p": "urn:oasis:names:tc:SAML:2.0:protocol", "a": "urn:oasis:names:tc:SAML:2.0:assertion"}
ASSERTION = f"{{{NAMES['a']}}}Assertion"
BAD_SIGNATURE = (INVALID, "Response signature invalid")


@pytest.fixture(scope="module")
def idp(cloud: Cloud) -> Provider:
    """A provider that the account knows as `idp`."""
    made = Provider()
    cloud.client("iam").create_saml_provider(Name="idp", SAMLMetadataDocument=made.metadata)
    return made


@pytest.fixture(scope="module")
def pair(cloud: Cloud, idp: Provider) -> tuple[str, str]:
    """(a role that trusts the provider, the provider)."""
    account = cloud.account("eucalyptus")["account_id"]
    provider = f"arn:aws:iam::{account}:saml-provider/idp"
    trusted = trust(
        {"Federated": provider},
        [ACTION, "sts:TagSession", "sts:SetSourceIdentity"],
        StringEquals={"saml:aud": "https://signin.aws.amazon.com/saml", "saml:iss": ENTITY},
    )
    return role(cloud, "federated", trusted), provider


def assume(cloud: Cloud, pair: tuple[str, str], response: Any, **more: Any) -> Any:
    return unsigned(cloud).assume_role_with_saml(
        RoleArn=pair[0], PrincipalArn=pair[1], SAMLAssertion=encoded(response), **more
    )


def refused(cloud: Cloud, pair: tuple[str, str], response: Any) -> tuple[str, str]:
    return error(assume, cloud=cloud, pair=pair, response=response)


@pytest.mark.parametrize("sign", ["Assertion", "Response"])
def test_a_response_is_exchanged_for_credentials(cloud: Cloud, idp: Provider, pair: tuple[str, str], sign: str) -> None:
    answer = assume(cloud, pair, idp.response([pair], sign=sign))
    account = cloud.account("eucalyptus")["account_id"]
    assert answer["Subject"] == "user@example.com"
    assert answer["SubjectType"] == "persistent"
    assert answer["Issuer"] == ENTITY
    assert answer["Audience"] == "https://signin.aws.amazon.com/saml"
    import hashlib

    qualifier = hashlib.sha1(f"{ENTITY}{account}/idp".encode()).digest()
    assert answer["NameQualifier"] == base64.b64encode(qualifier).decode()
    who = with_credentials(cloud, "sts", answer["Credentials"]).get_caller_identity()
    assert who["Arn"] == f"arn:aws:sts::{account}:assumed-role/federated/user@example.com"


def test_role_and_provider_stand_in_either_order(cloud: Cloud, idp: Provider, pair: tuple[str, str]) -> None:
    assert assume(cloud, pair, idp.response([(pair[1], pair[0])]))["Credentials"]


def test_the_provider_limits_the_session(cloud: Cloud, idp: Provider, pair: tuple[str, str]) -> None:
    ends = int(time.time()) + 1000
    answer = assume(cloud, pair, idp.response([pair], ends=ends))
    assert answer["Credentials"]["Expiration"] == datetime.fromtimestamp(ends, UTC)
    answer = assume(cloud, pair, idp.response([pair], ends=ends), DurationSeconds=900)
    assert answer["Credentials"]["Expiration"].timestamp() < ends


def test_a_response_brings_tags_and_a_source_identity(cloud: Cloud, idp: Provider, pair: tuple[str, str]) -> None:
    attributes = {
        f"{ATTRIBUTES}PrincipalTag:team": ["red"],
        f"{ATTRIBUTES}TransitiveTagKeys": ["team"],
        f"{ATTRIBUTES}SourceIdentity": ["bob"],
    }
    answer = assume(cloud, pair, idp.response([pair], attributes=attributes))
    assert answer["SourceIdentity"] == "bob"
    account = cloud.account("eucalyptus")["account_id"]
    wanted = {"aws:PrincipalTag/team": "red", "saml:iss": ENTITY}
    red = role(
        cloud,
        "saml-red",
        trust({"AWS": account}, ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"], StringEquals=wanted),
    )
    chained = with_credentials(cloud, "sts", answer["Credentials"])
    assert chained.assume_role(RoleArn=red, RoleSessionName="s-1")["SourceIdentity"] == "bob"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"issuer": "https://evil.example.com"}, (INVALID, "Issuer not present in specified provider")),
        ({"audience": "https://other.example.com"}, (INVALID, "Response does not contain the required audience.")),
        ({"recipient": "https://other.example.com"}, (INVALID, "Response does not contain the required audience.")),
        ({"session_name": None}, (INVALID, "RoleSessionName is required in AuthnResponse")),
        (
            {"session_name": "two words"},
            (INVALID, "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}"),
        ),
        (
            {"attributes": {f"{ATTRIBUTES}SourceIdentity": ["aws:me"]}},
            (INVALID, 'Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"'),
        ),
        (
            {"issued": time.time() - 4000, "until": time.time() + 4000},
            ("ExpiredTokenException", "Token must be redeemed within 5 minutes of issuance"),
        ),
        (
            {"until": time.time() - 10},
            ("ExpiredTokenException", "Token must be redeemed within 5 minutes of issuance"),
        ),
        (
            {"status": "urn:oasis:names:tc:SAML:2.0:status:Requester"},
            (INVALID, "Your request included an invalid SAML response. To logout, click here."),
        ),
        (
            {"issued": time.time() + 4000, "until": time.time() + 5000},
            (INVALID, "Your request included an invalid SAML response. To logout, click here."),
        ),
    ],
)
def test_a_response_is_refused_for_what_is_wrong_with_it(
    cloud: Cloud, idp: Provider, pair: tuple[str, str], given: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert refused(cloud, pair, idp.response([pair], sign="Response", **given)) == expected


def test_the_role_has_to_be_in_the_response_and_to_trust_the_provider(
    cloud: Cloud, idp: Provider, pair: tuple[str, str]
) -> None:
    not_allowed = ("AccessDenied", f"Not authorized to perform {ACTION}")
    account = cloud.account("eucalyptus")["account_id"]
    plain = role(cloud, "not-federated", trust({"AWS": account}))
    assert refused(cloud, pair, idp.response([(plain, pair[1])])) == not_allowed
    assert refused(cloud, (plain, pair[1]), idp.response([(plain, pair[1])])) == not_allowed
    nowhere = (f"{plain}-nowhere", pair[1])
    assert refused(cloud, nowhere, idp.response([nowhere])) == not_allowed
    unknown = (pair[0], f"{pair[1]}-unknown")
    assert refused(cloud, unknown, idp.response([unknown])) == (INVALID, "Specified provider doesn't exist")
    other = cloud.account("other")["account_id"]
    abroad = (pair[0], f"arn:aws:iam::{other}:saml-provider/idp")
    assert refused(cloud, abroad, idp.response([abroad])) == not_allowed


def test_unsigned_changed_and_foreign_responses_are_refused(cloud: Cloud, idp: Provider, pair: tuple[str, str]) -> None:
    assert refused(cloud, pair, idp.response([pair], sign="")) == BAD_SIGNATURE
    assert refused(cloud, pair, Provider().response([pair])) == BAD_SIGNATURE  # with its own certificate inside
    for path in (".//a:NameID", ".//a:AttributeValue", ".//a:Audience"):
        changed = idp.response([pair])
        element = changed.find(path, NAMES)
        element.text = element.text + "x"
        assert refused(cloud, pair, changed) == BAD_SIGNATURE


def test_a_signed_assertion_lends_its_signature_to_no_other(cloud: Cloud, idp: Provider, pair: tuple[str, str]) -> None:
    """Signature wrapping, in the forms that are known: the signed assertion beside, before, in or around a forged one, or
    moved away with its signature in the forged one's place."""
    signed = idp.response([pair])
    real = signed.find(f"./{ASSERTION}")
    forged = etree.fromstring(idp.text([pair], name="admin", session_name="admin").encode()).find(f"./{ASSERTION}")
    signature = real.find("./{http://www.w3.org/2000/09/xmldsig#}Signature")

    def wrapped(*children: Any) -> Any:
        root = copy.deepcopy(signed)
        for old in root.findall(f"./{ASSERTION}"):
            root.remove(old)
        for child in children:
            root.append(copy.deepcopy(child))
        return root

    def containing(outer: Any, inner: Any, *, within: str = "") -> Any:
        made = copy.deepcopy(outer)
        place = made
        if within:
            place = etree.SubElement(made, within)
        place.append(copy.deepcopy(inner))
        return made

    other = copy.deepcopy(forged)
    other.set("ID", "_a2")
    lent = containing(other, signature)
    stolen = containing(forged, signature)  # the same ID as the signed one
    holder = containing(other, signature)
    holder.find("./{http://www.w3.org/2000/09/xmldsig#}Signature").append(copy.deepcopy(real))
    attempts = [
        wrapped(other, real),
        wrapped(real, other),
        wrapped(containing(other, real)),
        wrapped(containing(real, other)),
        wrapped(lent),
        wrapped(stolen),
        wrapped(stolen, real),
        wrapped(holder),
        wrapped(containing(lent, real, within="{urn:x}Extensions")),
    ]
    for attempt in attempts:
        answer = refused(cloud, pair, attempt)
        assert answer[0] == INVALID, etree.tostring(attempt)


def test_hostile_documents_are_refused_without_harm(cloud: Cloud, idp: Provider, pair: tuple[str, str]) -> None:
    plain = etree.tostring(idp.response([pair]))
    bomb = b'<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>' + plain.replace(
        b"user@example.com", b"&b;&b;&b;&b;"
    )
    reading = b'<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + plain.replace(b"user@example.com", b"&x;")
    fetching = b'<!DOCTYPE r SYSTEM "http://127.0.0.1:1/dtd">' + plain
    deep = b"<a>" * 10_000 + b"</a>" * 10_000
    for content in (bomb, reading, fetching, deep, b"", b"\x00\xff", b"<a", b"<a/>", plain[: len(plain) // 2]):
        code, message = error(
            unsigned(cloud).assume_role_with_saml,
            RoleArn=pair[0],
            PrincipalArn=pair[1],
            SAMLAssertion=base64.b64encode(content).decode() or "====",
        )
        assert code == INVALID, content[:100]
        assert "root:" not in message
    code, message = error(
        unsigned(cloud).assume_role_with_saml, RoleArn=pair[0], PrincipalArn=pair[1], SAMLAssertion="not base64!"
    )
    assert (code, message) == (INVALID, "Invalid base64 SAMLResponse")


def test_a_comment_cuts_no_name_short(cloud: Cloud, idp: Provider, pair: tuple[str, str]) -> None:
    """Canonical XML leaves comments out, so that a signature goes on being good with one inside a name; the name is then
    still the whole one."""
    text = etree.tostring(idp.response([pair])).replace(b">user@example.com<", b">user@<!-- -->example.com<")
    answer = assume(cloud, pair, text)
    assert answer["Subject"] == "user@example.com"
