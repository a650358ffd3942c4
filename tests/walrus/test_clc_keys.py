"""Access keys from the cloud controller: cached, revalidated, revoked, and known through an outage."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from eucapy.clock import ManualClock
from eucapy.walrus.clc_keys import ClcKeys
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
    """The cloud controller's answer to one question."""

    def __init__(self) -> None:
        self.keys: dict[str, dict[str, Any]] = {"AKIAKNOWN": dict(KNOWN)}
        self.status = 200
        self.asked = 0
        self.port = 0

    async def answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        found = self.keys.get(request.match_info["key"])
        if self.status != 200:
            return web.Response(status=self.status)
        return web.json_response(found) if found else web.Response(status=404)


@pytest.fixture
async def clc() -> AsyncIterator[Clc]:
    fake = Clc()
    app = web.Application()
    app.router.add_get("/internal/credentials/{key}", fake.answer)
    runner = web.AppRunner(app)
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
    found = ClcKeys(f"http://127.0.0.1:{clc.port}", None, clock)
    yield found
    await found.close()


async def test_a_key_is_asked_for_once_and_then_known(clc: Clc, keys: ClcKeys) -> None:
    for _ in range(3):
        found = await keys.find("AKIAKNOWN", None)
        assert found is not None and (found.secret, found.principal) == ("s3cr3t", PRINCIPAL)
    assert clc.asked == 1


async def test_an_unknown_key_is_not_asked_for_all_the_time(clc: Clc, keys: ClcKeys) -> None:
    assert await keys.find("AKIANOBODY", None) is None
    assert await keys.find("AKIANOBODY", None) is None
    assert clc.asked == 1


async def test_a_key_made_later_is_found(clc: Clc, keys: ClcKeys, clock: ManualClock) -> None:
    assert await keys.find("AKIALATER", None) is None
    clc.keys["AKIALATER"] = KNOWN
    clock.advance(2.1)
    assert await keys.find("AKIALATER", None) is not None


async def test_a_deleted_key_stops_working(clc: Clc, keys: ClcKeys, clock: ManualClock) -> None:
    await keys.find("AKIAKNOWN", None)
    del clc.keys["AKIAKNOWN"]
    clock.advance(2.1)
    await keys.find("AKIAKNOWN", None)  # still answered, and asked again behind it
    await until(lambda: clc.asked == 2 and not keys._asking)
    assert await keys.find("AKIAKNOWN", None) is None


async def test_after_half_a_minute_the_answer_is_waited_for(clc: Clc, keys: ClcKeys, clock: ManualClock) -> None:
    await keys.find("AKIAKNOWN", None)
    clc.keys["AKIAKNOWN"]["active"] = False
    clock.advance(31)
    found = await keys.find("AKIAKNOWN", None)
    assert found is not None and not found.active


async def test_an_outage_is_survived_with_what_is_known(clc: Clc, keys: ClcKeys, clock: ManualClock) -> None:
    await keys.find("AKIAKNOWN", None)
    clc.status = 503
    clock.advance(600)
    assert await keys.find("AKIAKNOWN", None) is not None
    with pytest.raises(ServiceUnavailable):
        await keys.find("AKIANEVERSEEN", None)
    clock.advance(4000)
    with pytest.raises(ServiceUnavailable):
        await keys.find("AKIAKNOWN", None)


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
