"""Temporary credentials without a table: everything about a session travels sealed in its session token.

    issued = sessions.issue(Session(kind="assumed-role", holder="AROA…", …))    # access key id, secret, token
    session, secret = sessions.open(access_key_id, token)                       # BadToken

The token is what was agreed when the session began (who, until when, under which policies and tags) and the secret key,
compressed and encrypted under a key of the cloud alone, bound to the access key id (authenticated as AEAD's associated
data): a token that was changed, or comes with another key id, does not open. Nothing is stored, so any number of sessions
costs nothing and every cloud controller knows them all. What may change meanwhile (whether the role is still there, what it
may do) is not in the token: `authenticate.py` asks for it. The calls that make sessions: `sts/`.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import zlib

import msgspec
from cryptography.exceptions import InvalidTag

from eucapy.clc.seal import Seal

PREFIX = "ASIA"
"""Of the ids of temporary access keys."""
_SECRET_BYTES = 30
"""Forty characters of base64, as AWS's secret keys have."""
_SEALED_BYTES = 28
"""What sealing adds."""
_FORM = b"\x01"
"""Of a token's content; one of another form is not read."""
LONGEST_TOKEN = 4096
"""Characters, as AWS's; a header line, which a token travels in, may have twice as many."""
MOST_PACKED_BYTES = 2560
"""Policies, tags and source identity of one session, compressed. What is more would make the token too long."""


class Session(msgspec.Struct, frozen=True, array_like=True):
    """What was agreed when a session began. Fields are added at the end, with a default: older tokens are still read.

    `kind` is the principal's (`context.py`); `holder` the id of the role or the user whose powers it has, "" for an
    account's root user; `name` the role session's or the federated user's. Times are whole seconds since the epoch.
    """

    kind: str
    account: str
    holder: str
    name: str
    issued_at: int
    expires_at: int
    policies: tuple[str, ...] = ()
    """Session policies as texts."""
    policy_arns: tuple[str, ...] = ()
    """Session policies that are managed policies."""
    tags: tuple[tuple[str, str], ...] = ()
    transitive: tuple[str, ...] = ()
    """The keys of those tags that the next role in a chain gets too."""
    source_identity: str = ""
    mfa_at: int | None = None
    """When the caller showed a code of an MFA device; None without."""
    chained: bool = False
    """The role was assumed by the session of a role."""
    origin: str = ""
    """`web` or `saml`: by which identity provider's word."""
    provider: str = ""
    """aws:FederatedProvider: the ARN of that provider."""
    facts: tuple[tuple[str, str], ...] = ()
    """Condition keys that the provider gave (`accounts.example.com:sub`, `saml:iss`), for the whole session."""
    instance: str = ""
    """The instance that the metadata service gave these credentials to."""

    @property
    def limited(self) -> bool:
        """Whether session policies were given: then nothing is allowed that none of them allows."""
        return bool(self.policies or self.policy_arns)


class Issued(msgspec.Struct, frozen=True):
    """Temporary credentials, as a client gets them."""

    access_key_id: str
    secret: str
    token: str
    expires_at: int

    def __repr__(self) -> str:
        return f"Issued({self.access_key_id}, until {self.expires_at})"


class BadToken(Exception):
    """A session token that this cloud did not make, or not for this access key."""


class TooLarge(Exception):
    """The session's policies and tags do not fit; `percent` of what there is room for."""

    def __init__(self, percent: int) -> None:
        super().__init__(f"{percent} %")
        self.percent = percent


class Sessions:
    """Makes and opens session tokens."""

    def __init__(self, seal: Seal) -> None:
        """`seal` is the cloud's; tokens get a key of their own, derived from it."""
        self._seal = seal.derived(b"session tokens")

    def issue(self, session: Session, shortest: int = 0) -> Issued:
        """New credentials for the session; the token has at least `shortest` characters. Raises TooLarge."""
        percent = packed_percent(session)
        if percent > 100:
            raise TooLarge(percent)
        access_key_id = key_id_of(session.account)
        secret = secrets.token_bytes(_SECRET_BYTES)
        content = _FORM + secret + zlib.compress(msgspec.msgpack.encode(session), 9)
        content = content.ljust(-(-min(shortest, LONGEST_TOKEN) * 3 // 4) - _SEALED_BYTES, b"\0")
        token = base64.b64encode(self._seal.seal(content, access_key_id.encode())).decode()
        return Issued(access_key_id, base64.b64encode(secret).decode(), token, session.expires_at)

    def open(self, access_key_id: str, token: str) -> tuple[Session, str]:
        """(the session, its secret key), expired ones too. Raises BadToken."""
        if len(token) > LONGEST_TOKEN:
            raise BadToken("too long")
        try:
            content = self._seal.unseal(base64.b64decode(token.encode(), validate=True), access_key_id.encode())
        except (InvalidTag, binascii.Error, ValueError) as error:
            raise BadToken(type(error).__name__) from None
        if content[:1] != _FORM:
            raise BadToken("of another form")
        secret, packed = content[1 : 1 + _SECRET_BYTES], content[1 + _SECRET_BYTES :]
        session = msgspec.msgpack.decode(zlib.decompressobj().decompress(packed), type=Session)
        return session, base64.b64encode(secret).decode()


def key_id_of(account: str) -> str:
    """A new temporary access key id. The account is in it, so that GetAccessKeyInfo needs no table: after the prefix come
    eighty bits in base32, and the forty after the first are its number. AWS's own ids are made so."""
    number = (1 << 79) | (int(account) << 39) | secrets.randbits(39)
    return PREFIX + base64.b32encode(number.to_bytes(10)).decode()


def account_of(access_key_id: str) -> str | None:
    """The account of a temporary access key id; None for what is no such id."""
    try:
        raw = base64.b32decode(access_key_id.removeprefix(PREFIX))
    except binascii.Error:
        return None
    if len(raw) != 10 or not is_temporary(access_key_id):
        return None
    return f"{int.from_bytes(raw) >> 39 & (1 << 40) - 1:012d}"


def is_temporary(access_key_id: str) -> bool:
    return access_key_id.startswith(PREFIX)


def packed_percent(session: Session) -> int:
    """How much of the room for policies and tags the session takes: PackedPolicySize, over 100 when it does not fit."""
    content = msgspec.msgpack.encode(
        (
            session.policies,
            session.policy_arns,
            session.tags,
            session.transitive,
            session.source_identity,
            session.facts,
        )
    )
    if not any((session.policies, session.policy_arns, session.tags)):
        return 0
    return max(1, -(-len(zlib.compress(content, 9)) * 100 // MOST_PACKED_BYTES))
