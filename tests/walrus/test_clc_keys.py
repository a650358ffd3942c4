"""Access keys from the cloud controller: cached, revalidated, revoked, and known through an outage."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from eucapy.aws.credentials import Identity
from eucapy.aws.refusals import Refused
from eucapy.clock import ManualClock
from eucapy.walrus.clc_keys import ClcKeys, Unknown
from eucapy.walrus.errors import ServiceUnavailable
from eucapy.walrus.identity import Principal, StaticKeys
from tests.harness.waiting import until
from tests.walrus.server import Store, client

PRINCIPAL = Principal("111122223333", "c" * 64, "arn:aws:iam::111122223333:user/a")
KNOWN = {
    "secret": "s3cr3t",
    "account_id": PRINCIPAL.account,
    "user_arn": PRINCIPAL.arn,
    "canonical_id": PRINCIPAL.canonical_id,
    "allow_all": True,
    "active": True,
}


class Clc:
    """The cloud controller's answers: a key, and how often keys changed."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {"AKIAKNOWN": dict(KNOWN)}
        self.boot = "first life"
        self.revision = 1
        self.changed = asyncio.Event()
        self.status = 200
        self.asked = 0
        self.polled = 0
        self.port = 0
        self.hold: asyncio.Event | None = None
        self.told: list[dict[str, Any]] = []

    def change(self, key: str, found: dict[str, Any] | None) -> None:
        """A commit: the key is this from now on, None for deleted; whoever polls is told."""
        self.keys.pop(key, None)
        if found is not None:
            self.keys[key] = found
        self.revision += 1
        self.changed.set()
        self.changed = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        found = self.keys.get(request.match_info["key"])
        token = request.headers.get("X-Amz-Security-Token")
        if found and found.get("token") != token:
            found = {"refused": "bad token"} if token else None
        if self.hold is not None:
            await self.hold.wait()
        if self.status != 200:
            return web.Response(status=self.status)
        return web.json_response(found) if found else web.Response(status=404)

    async def changes(self, request: web.Request) -> web.Response:
        self.polled += 1
        if self.status != 200:
            return web.Response(status=self.status)
        if request.query["boot"] == self.boot and int(request.query["revision"]) == self.revision:
            async with asyncio.timeout(float(request.query["wait"]) or 0.001):
                await self.changed.wait()
        return web.json_response({"boot": self.boot, "revision": self.revision})

    async def uses(self, request: web.Request) -> web.Response:
        if self.status == 200:
            self.told += await request.json()
        return web.Response(status=204 if self.status == 200 else self.status)


@pytest.fixture
async def clc() -> AsyncIterator[Clc]:
    fake = Clc()
    app = web.Application()
    app.router.add_get("/internal/credentials/{key}", fake.answer)
    app.router.add_get("/internal/credentials", fake.changes)
    app.router.add_post("/internal/uses", fake.uses)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    fake.port = runner.addresses[0][1]
    yield fake
    await runner.cleanup()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def keys(clc: Clc, clock: ManualClock) -> AsyncIterator[ClcKeys]:
    """Keys whose watch has heard once."""
    found = ClcKeys(f"http://127.0.0.1:{clc.port}", None, clock, retry_s=0.01)
    found.start()
    await until(lambda: clc.polled >= 2)
    yield found
    await found.close()


async def test_a_key_is_asked_for_once_and_then_known(clc: Clc, keys: ClcKeys, clock: ManualClock) -> None:
    for _ in range(3):
        found = await keys.find("AKIAKNOWN", None)
        assert found is not None and (found.secret, found.principal) == ("s3cr3t", PRINCIPAL)
        clock.advance(100)
    assert clc.asked == 1


async def test_an_unknown_key_is_not_asked_for_all_the_time(clc: Clc, keys: ClcKeys) -> None:
    assert await keys.find("AKIANOBODY", None) is None
    assert await keys.find("AKIANOBODY", None) is None
    assert clc.asked == 1


async def test_a_temporary_key_is_known_with_its_token_alone(clc: Clc, keys: ClcKeys) -> None:
    clc.keys["ASIAKNOWN"] = {**KNOWN, "token": "right", "expires": 5.0}
    for _ in range(3):
        found = await keys.find("ASIAKNOWN", "right")
        assert found is not None and (found.session_token, found.expires) == ("right", 5.0)
    assert clc.asked == 1
    for _ in range(2):
        with pytest.raises(Refused, match="bad token"):
            await keys.find("ASIAKNOWN", "wrong")
    assert await keys.find("ASIAKNOWN", None) is None
    assert clc.asked == 3
    assert await keys.find("ASIAKNOWN", "right") is not None


async def test_a_token_beside_a_lasting_key_is_no_question_of_its_own(clc: Clc, keys: ClcKeys) -> None:
    """The chain refuses it; the cloud controller is not asked for each token that somebody makes up."""
    for number in range(3):
        found = await keys.find("AKIAKNOWN", f"made up {number}")
        assert found is not None and found.session_token is None
    assert clc.asked == 1


async def test_a_session_whose_role_is_gone_is_refused_with_the_news_of_it(clc: Clc, keys: ClcKeys) -> None:
    clc.keys["ASIAKNOWN"] = {**KNOWN, "token": "right", "expires": 5.0}
    assert await keys.find("ASIAKNOWN", "right") is not None
    polled = clc.polled
    clc.change("ASIAKNOWN", None)
    await until(lambda: clc.polled > polled)
    assert await keys.find("ASIAKNOWN", "right") is None


async def test_a_key_made_later_is_found(clc: Clc, keys: ClcKeys, clock: ManualClock) -> None:
    assert await keys.find("AKIALATER", None) is None
    clc.keys["AKIALATER"] = KNOWN  # a new key is no news for the watch
    clock.advance(2.1)
    assert await keys.find("AKIALATER", None) is not None


async def test_many_unknown_keys_push_no_known_one_out(clc: Clc, clock: ManualClock) -> None:
    keys = ClcKeys(f"http://127.0.0.1:{clc.port}", None, clock, most=3)
    keys.start()
    await until(lambda: clc.polled >= 2)
    await keys.find("AKIAKNOWN", None)
    for number in range(10):
        assert await keys.find(f"AKIANOBODY{number}", None) is None
    asked = clc.asked
    assert await keys.find("AKIAKNOWN", None) is not None
    assert clc.asked == asked
    await keys.close()


@pytest.mark.parametrize("found", [None, {**KNOWN, "active": False}, {**KNOWN, "allow_all": False}])
async def test_a_revoked_key_is_refused_with_the_news_of_it(
    clc: Clc, keys: ClcKeys, found: dict[str, Any] | None
) -> None:
    """Deleted, deactivated, or its user without rights: no time passes, nobody asks twice."""
    assert await keys.find("AKIAKNOWN", None) is not None
    polled = clc.polled
    clc.change("AKIAKNOWN", found)
    await until(lambda: clc.polled > polled)
    now = await keys.find("AKIAKNOWN", None)
    if found is None:
        assert now is None
    else:
        assert now is not None and (now.active, now.principal.allow_all) == (found["active"], found["allow_all"])


async def test_an_answer_from_before_a_change_does_not_count_after_it(clc: Clc, keys: ClcKeys) -> None:
    """The question is under way while the key is deleted; what it brings is not kept."""
    clc.hold = asyncio.Event()
    asking = asyncio.create_task(keys.find("AKIAKNOWN", None))
    await until(lambda: clc.asked == 1)
    hold, clc.hold = clc.hold, None
    polled = clc.polled
    clc.change("AKIAKNOWN", None)
    await until(lambda: clc.polled > polled)
    after = asyncio.create_task(keys.find("AKIAKNOWN", None))
    hold.set()
    assert await asking is not None
    assert await after is None
    assert await keys.find("AKIAKNOWN", None) is None


async def test_another_life_of_the_cloud_controller_counts_as_a_change(clc: Clc, keys: ClcKeys) -> None:
    """What changed while it was down, or before its first count, is not missed."""
    await keys.find("AKIAKNOWN", None)
    polled = clc.polled
    del clc.keys["AKIAKNOWN"]
    clc.boot = "second life"
    clc.changed.set()
    clc.changed = asyncio.Event()
    await until(lambda: clc.polled > polled)
    assert await keys.find("AKIAKNOWN", None) is None


async def test_an_outage_is_survived_with_what_is_known_but_not_for_ever(
    clc: Clc, keys: ClcKeys, clock: ManualClock
) -> None:
    await keys.find("AKIAKNOWN", None)
    clc.status = 503
    clc.changed.set()
    await until(lambda: clc.polled >= 4)
    clock.advance(599)
    assert await keys.find("AKIAKNOWN", None) is not None
    with pytest.raises(ServiceUnavailable):
        await keys.find("AKIANEVERSEEN", None)
    clock.advance(2)
    with pytest.raises(ServiceUnavailable):
        await keys.find("AKIAKNOWN", None)
    clc.status, polled = 200, clc.polled
    await until(lambda: clc.polled > polled)
    assert await keys.find("AKIAKNOWN", None) is not None


async def test_without_a_watch_every_request_asks(clc: Clc, clock: ManualClock) -> None:
    keys = ClcKeys(f"http://127.0.0.1:{clc.port}", None, clock)
    await keys.find("AKIAKNOWN", None)
    del clc.keys["AKIAKNOWN"]
    assert await keys.find("AKIAKNOWN", None) is None
    await keys.close()


@pytest.mark.parametrize("text", ["", "A", "A,", "A,B,C", "A,B,12345678901x", "A,B,111122223333,x"])
def test_keys_on_the_command_line_of_another_form_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"ACCESSKEY|twelve digits"):
        StaticKeys([text])


async def test_a_user_without_rights_may_do_nothing(tmp_path: Any) -> None:
    from botocore.exceptions import ClientError

    from tests.walrus.server import KEY, SECRET, code

    with Store(tmp_path) as store:
        environment_keys = StaticKeys([f"{KEY},{SECRET}"])
        found = await environment_keys.find(KEY, None)
        assert found is not None
        powerless = Principal("111122223333", "d" * 64, "arn:aws:iam::111122223333:user/b", allow_all=False)
        import msgspec

        class Powerless:
            async def find(self, access_key_id: str, session_token: str | None) -> Any:
                return msgspec.structs.replace(found, principal=powerless)

            def accounts(self) -> None:
                return None

            def used(self, identity: Identity, at: float) -> None:
                pass

        from eucapy.clock import SystemClock
        from eucapy.walrus.app import App

        app = App(msgspec.structs.replace(store.config, data=str(tmp_path / "two")), SystemClock(), Powerless())
        store.run(app.start())
        weak = client(app.port)
        for call in (weak.list_buckets, lambda: weak.create_bucket(Bucket="anything")):
            with pytest.raises(ClientError) as caught:
                call()
            assert code(caught.value) == ("AccessDenied", 403)
        weak.close()
        store.run(app.stop())


async def test_the_last_use_of_each_key_is_told_once_and_again_when_it_was_not_heard(clc: Clc, keys: ClcKeys) -> None:
    role = Principal("111122223333", "c" * 64, "arn:aws:sts::1:assumed-role/r/s", kind="assumed-role", holder="AROA1")
    keys.used(Identity("AKIAKNOWN", "111122223333", PRINCIPAL), 1.0)
    keys.used(Identity("AKIAKNOWN", "111122223333", PRINCIPAL), 2.0)
    keys.used(Identity("ASIAROLE", "111122223333", role), 3.0)
    clc.status = 503
    with pytest.raises(Unknown):
        await keys.tell()
    clc.status = 200
    await keys.tell()
    await keys.tell()
    assert clc.told == [
        {"key": "AKIAKNOWN", "holder": "", "role": False, "at": 2.0},
        {"key": "ASIAROLE", "holder": "AROA1", "role": True, "at": 3.0},
    ]


async def test_what_was_used_is_told_before_the_end(clc: Clc, clock: ManualClock) -> None:
    keys = ClcKeys(f"http://127.0.0.1:{clc.port}", None, clock)
    keys.used(Identity("AKIAKNOWN", "111122223333", PRINCIPAL), 1.0)
    await keys.close()
    assert [use["key"] for use in clc.told] == ["AKIAKNOWN"]
