"""Session tokens: what is in one, for whom it opens, what is refused; and whom a temporary key stands for."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eucapy.aws.refusals import Refused
from eucapy.clc.authenticate import Keys
from eucapy.clc.context import ASSUMED_ROLE, FEDERATED_USER, ROOT, USER, Principal
from eucapy.clc.seal import Seal
from eucapy.clc.sessions import BadToken, Issued, Session, Sessions, TooLarge, account_of, is_temporary, packed_percent
from eucapy.clc.store import accounts, iam_tags, migrating, roles
from eucapy.database import Database, Tx, open_database

SEAL = Seal(b"k" * 32)
SESSIONS = Sessions(SEAL)
PLAIN = Session(kind=ASSUMED_ROLE, account="111122223333", holder="AROAX", name="build", issued_at=100, expires_at=3700)

texts = st.text(max_size=40)


@given(
    st.builds(
        Session,
        kind=st.sampled_from([USER, ROOT, ASSUMED_ROLE, FEDERATED_USER]),
        account=st.from_regex(r"[0-9]{12}", fullmatch=True), holder=texts, name=texts,
        issued_at=st.integers(0, 2**40), expires_at=st.integers(0, 2**40),
        policies=st.tuples() | st.tuples(texts), tags=st.lists(st.tuples(texts, texts), max_size=5).map(tuple),
        transitive=st.lists(texts, max_size=3).map(tuple), mfa_at=st.none() | st.integers(0, 2**40),
        chained=st.booleans(), facts=st.lists(st.tuples(texts, texts), max_size=3).map(tuple),
    )
)  # fmt: skip
def test_what_was_agreed_is_what_comes_back(session: Session) -> None:
    issued = SESSIONS.issue(session)
    assert SESSIONS.open(issued.access_key_id, issued.token) == (session, issued.secret)
    assert issued.expires_at == session.expires_at


def test_credentials_look_as_the_clients_expect_them() -> None:
    issued = SESSIONS.issue(PLAIN)
    assert is_temporary(issued.access_key_id)
    assert len(issued.access_key_id) == 20
    assert len(issued.secret) == 40
    assert issued.secret not in repr(issued)
    assert issued.token not in repr(issued)


@pytest.mark.parametrize("shortest", [0, 1000, 1001, 1002, 1003, 4096])
def test_a_token_is_as_long_as_it_is_asked_to_be(shortest: int) -> None:
    issued = SESSIONS.issue(PLAIN, shortest)
    assert shortest <= len(issued.token) <= 4096
    assert SESSIONS.open(issued.access_key_id, issued.token) == (PLAIN, issued.secret)


def test_no_two_sessions_share_a_secret() -> None:
    first, second = SESSIONS.issue(PLAIN), SESSIONS.issue(PLAIN)
    assert len({first.secret, second.secret, first.access_key_id, second.access_key_id}) == 4


@pytest.mark.parametrize("account", ["111122223333", "000000000001", "999999999999"])
def test_the_account_is_in_the_access_key_id(account: str) -> None:
    assert account_of(SESSIONS.issue(msgspec.structs.replace(PLAIN, account=account)).access_key_id) == account


@pytest.mark.parametrize("key_id", ["", "ASIA", "AKIAIOSFODNN7EXAMPLE", "ASIA1111111111111111", "ASIAAAAA"])
def test_other_ids_have_no_account_in_them(key_id: str) -> None:
    assert account_of(key_id) is None


def test_a_token_opens_for_its_own_access_key_alone() -> None:
    first, second = SESSIONS.issue(PLAIN), SESSIONS.issue(PLAIN)
    with pytest.raises(BadToken):
        SESSIONS.open(first.access_key_id, second.token)


def test_a_changed_token_opens_no_more() -> None:
    issued = SESSIONS.issue(PLAIN)
    raw = bytearray(base64.b64decode(issued.token))
    for at in range(len(raw)):
        changed = bytearray(raw)
        changed[at] ^= 1
        with pytest.raises(BadToken):
            SESSIONS.open(issued.access_key_id, base64.b64encode(changed).decode())


@pytest.mark.parametrize("token", ["", "x", "AAAA", "é" * 20, "A" * 7000, "====", "A" * 64])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(BadToken):
        SESSIONS.open("ASIAAAAAAAAAAAAAAAAA", token)


def test_another_clouds_token_and_a_sealed_secret_are_no_tokens() -> None:
    foreign = Sessions(Seal(b"j" * 32)).issue(PLAIN)
    with pytest.raises(BadToken):
        SESSIONS.open(foreign.access_key_id, foreign.token)
    # What the same cloud sealed for its database does not open as a token, not even bound to the same id.
    content = b"\x01" + b"s" * 30 + msgspec.msgpack.encode(PLAIN)
    sealed = base64.b64encode(SEAL.seal(content, b"ASIAX")).decode()
    with pytest.raises(BadToken):
        SESSIONS.open("ASIAX", sealed)


def test_what_does_not_fit_is_refused_with_the_percentage() -> None:
    noise = base64.b85encode(bytes(range(256)) * 4 + SEAL.seal(b"x" * 4000)).decode()
    with pytest.raises(TooLarge) as raised:
        SESSIONS.issue(msgspec.structs.replace(PLAIN, policies=(noise,)))
    assert raised.value.percent > 100


def test_the_packed_size_is_none_without_policies_and_grows_with_them() -> None:
    some = msgspec.structs.replace(PLAIN, tags=(("team", "blue"),))
    more = msgspec.structs.replace(some, policies=(base64.b85encode(SEAL.seal(b"x" * 500)).decode(),))
    assert packed_percent(PLAIN) == 0
    assert 0 < packed_percent(some) < packed_percent(more) <= 100


@pytest.mark.parametrize(
    ("principal", "arn", "lasting", "unique"),
    [
        (
            Principal("1" * 12, "a", "c", "AIDAX", "bob", "/team/"),
            "arn:aws:iam::111111111111:user/team/bob", "arn:aws:iam::111111111111:user/team/bob", "AIDAX",
        ),
        (
            Principal("1" * 12, "a", "c", "1" * 12, "", kind=ROOT),
            "arn:aws:iam::111111111111:root", "arn:aws:iam::111111111111:root", "1" * 12,
        ),
        (
            Principal("1" * 12, "a", "c", "AROAX", "builder", "/ci/", kind=ASSUMED_ROLE, session=PLAIN),
            "arn:aws:sts::111111111111:assumed-role/builder/build", "arn:aws:iam::111111111111:role/ci/builder",
            "AROAX:build",
        ),
        (
            Principal("1" * 12, "a", "c", "AIDAX", "bob", "/team/", kind=FEDERATED_USER, session=PLAIN),
            "arn:aws:sts::111111111111:federated-user/build", "arn:aws:sts::111111111111:federated-user/build",
            "111111111111:build",
        ),
        (
            Principal("1" * 12, "a", "c", "AIDAX", "bob", "/", session=PLAIN),
            "arn:aws:iam::111111111111:user/bob", "arn:aws:iam::111111111111:user/bob", "AIDAX",
        ),
    ],
)  # fmt: skip
def test_a_principal_goes_by_the_names_that_aws_gives_it(
    principal: Principal, arn: str, lasting: str, unique: str
) -> None:
    assert (principal.arn, principal.lasting_arn, principal.unique_id) == (arn, lasting, unique)


class Cloud:
    """Keys over a database with one account and one user."""

    def __init__(self, database: Database, account: Any, user: Any) -> None:
        self.database, self.account, self.user = database, account, user
        self.keys = Keys(database, SEAL)

    def issue(self, **fields: Any) -> Issued:
        of_user = {"kind": USER, "account": self.account.id, "holder": self.user.id, "name": ""}
        return SESSIONS.issue(Session(**{**of_user, "issued_at": 0, "expires_at": 2**40, **fields}))

    async def who(self, issued: Issued) -> Principal | None:
        found = await self.keys.find(issued.access_key_id, issued.token)
        return found.principal if found is not None else None


@pytest.fixture
async def cloud_of_one(tmp_path: Path) -> AsyncIterator[Cloud]:
    database = open_database(f"sqlite:///{tmp_path}/clc.sqlite")
    await migrating.upgrade(database)

    async def work(tx: Tx) -> tuple[Any, Any]:
        account = await accounts.insert(tx, "acme", 0.0)
        return account, await accounts.insert_user(tx, account.id, "bob", 0.0)

    account, user = await database.write(work)
    yield Cloud(database, account, user)
    await database.close()


async def test_a_users_session_is_the_user(cloud_of_one: Cloud) -> None:
    who = await cloud_of_one.who(cloud_of_one.issue())
    assert who is not None and who.session is not None
    assert (who.kind, who.user_name, who.arn) == (USER, "bob", f"arn:aws:iam::{cloud_of_one.account.id}:user/bob")


async def test_the_sessions_of_a_user_who_is_gone_end(cloud_of_one: Cloud) -> None:
    issued = cloud_of_one.issue()
    assert await cloud_of_one.who(issued) is not None
    await cloud_of_one.database.write(lambda tx: accounts.remove_user(tx, cloud_of_one.user.id))
    cloud_of_one.keys.forget()
    assert await cloud_of_one.who(issued) is None


async def test_a_role_that_is_not_there_has_no_sessions(cloud_of_one: Cloud) -> None:
    assert await cloud_of_one.who(cloud_of_one.issue(kind=ASSUMED_ROLE, holder="AROANOBODY")) is None


async def test_a_roles_session_is_the_role_with_the_sessions_tags_over_its_own(cloud_of_one: Cloud) -> None:
    async def work(tx: Tx) -> Any:
        role = await roles.insert(tx, cloud_of_one.account.id, "builder", "{}", 0.0, path="/ci/")
        await iam_tags.put(tx, role.id, {"Team": "red", "stage": "test"})
        return role

    role = await cloud_of_one.database.write(work)
    issued = cloud_of_one.issue(kind=ASSUMED_ROLE, holder=role.id, name="n1", tags=(("team", "blue"),))
    who = await cloud_of_one.who(issued)
    assert who is not None
    assert who.arn == f"arn:aws:sts::{cloud_of_one.account.id}:assumed-role/builder/n1"
    assert who.lasting_arn == f"arn:aws:iam::{cloud_of_one.account.id}:role/ci/builder"
    assert who.unique_id == f"{role.id}:n1"
    assert who.tags == {"team": "blue", "stage": "test"}


async def test_a_root_users_session_is_the_root_user(cloud_of_one: Cloud) -> None:
    who = await cloud_of_one.who(cloud_of_one.issue(kind=ROOT, holder=cloud_of_one.account.id))
    assert who is not None and who.arn == f"arn:aws:iam::{cloud_of_one.account.id}:root"


async def test_a_holder_of_another_account_is_nobody(cloud_of_one: Cloud) -> None:
    other = await cloud_of_one.database.write(lambda tx: accounts.insert(tx, "other", 0.0))
    assert await cloud_of_one.who(cloud_of_one.issue(account=other.id)) is None


async def test_a_temporary_key_without_or_with_a_wrong_token_is_nobodys(cloud_of_one: Cloud) -> None:
    issued, other = cloud_of_one.issue(), cloud_of_one.issue()
    assert await cloud_of_one.who(issued) is not None  # known by now, and still:
    assert await cloud_of_one.keys.find(issued.access_key_id) is None
    with pytest.raises(Refused, match="bad token"):
        await cloud_of_one.keys.find(issued.access_key_id, other.token)
