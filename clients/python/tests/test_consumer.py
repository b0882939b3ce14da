"""The consumer against stand-ins: what it caches, asks, waits for and says."""

from __future__ import annotations

import asyncio
import copy
import json
import pickle
from datetime import UTC, datetime
from functools import partial
from typing import Any

import httpx
import pytest

from tenantd_client import CannotOpen, Closed, Consumer, Keyring, NotReady, Refused, Removed, Unreachable
from tenantd_client.rows import Status

from .conftest import Open
from .support import CUSTOMER, new_key, refusal, token

LOST = OSError("connection refused")


# A credential


async def test_a_credential_is_read_and_opened_once_and_then_cached(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    first = await at.consumer.credential(CUSTOMER)
    assert first.client_secret == "secret 1 of customer-42"
    assert await at.consumer.credential(CUSTOMER) is first
    assert len(at.database.reads) == 1


async def test_a_credential_is_read_once_for_all_who_ask_at_the_same_time(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.database.gate = asyncio.Event()
    asked = [asyncio.create_task(at.consumer.credential(CUSTOMER)) for _ in range(50)]
    await at.until(lambda: len(at.database.reads) > 0)
    at.database.gate.set()
    assert len(set(await asyncio.gather(*asked))) == 1
    assert len(at.database.reads) == 1


async def test_a_credential_is_asked_for_again_after_a_read_that_failed(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.database.fault = LOST
    with pytest.raises(Unreachable, match="connection refused") as error:
        await at.consumer.credential(CUSTOMER)
    assert error.value.what == "database"
    at.database.fault = None
    assert (await at.consumer.credential(CUSTOMER)).version == 1


async def test_a_credential_shows_its_secret_to_nobody_who_does_not_ask_for_it(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    credential = await at.consumer.credential(CUSTOMER)
    sign_in = await at.consumer.sign_in(CUSTOMER, user_id="ada")
    for shown in (repr([credential, sign_in]), f"{credential} {sign_in}"):
        assert "secret 1" not in shown
        assert "a token" not in shown
        assert "redacted" in shown
    assert not hasattr(credential, "__dict__")
    for store in (pickle.dumps, copy.copy):
        with pytest.raises(TypeError, match="not to be stored"):
            store(credential)
    with pytest.raises(TypeError):
        json.dumps(credential)


async def test_of_a_full_cache_those_asked_for_longest_ago_leave_first(stage: Open) -> None:
    at = stage(cache_size=2)
    for external_id in "abc":
        at.rotate_to(1, external_id=external_id)
    for external_id in "abaca":
        await at.consumer.credential(external_id)
    assert at.database.reads == [["a"], ["b"], ["c"]]
    await at.consumer.credential("b")
    assert at.database.reads[-1] == ["b"]


# A rotation


async def test_a_rotation_is_followed_when_it_is_heard_of(stage: Open) -> None:
    at = stage(poll=60.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.rotate_to(2)
    (await at.hears()).tenant(CUSTOMER)
    await at.until(lambda: at.told("rotated"))
    assert (await at.consumer.credential(CUSTOMER)).version == 2


async def test_a_rotation_is_followed_by_polling_alone(stage: Open) -> None:
    at = stage(listen=False)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.rotate_to(2)
    await at.until(lambda: at.told("rotated"))
    assert (await at.consumer.credential(CUSTOMER)).version == 2
    assert at.listener.heard is None


async def test_a_rotation_that_was_missed_while_nobody_listened_is_found_when_it_listens_again(stage: Open) -> None:
    at = stage(poll=60.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    heard = await at.hears()
    heard.down(LOST)
    at.rotate_to(2)
    heard.up()
    await at.until(lambda: at.told("rotated"))
    assert [event.kind for event in at.events] == ["listen_lost", "listening", "rotated"]


async def test_a_rotation_that_is_heard_of_during_a_first_read_is_not_hidden_by_what_that_read_saw(stage: Open) -> None:
    at = stage(poll=60.0)
    at.rotate_to(1)
    held = at.database.answer_gate = asyncio.Event()
    early = asyncio.create_task(at.consumer.credential(CUSTOMER))
    heard = await at.hears()
    await at.until(lambda: len(at.database.reads) == 1)
    await asyncio.sleep(0.01)
    at.rotate_to(2)
    at.database.answer_gate = None
    heard.tenant(CUSTOMER)
    await at.until(lambda: len(at.database.reads) == 2)
    heard.up()
    await at.until(lambda: at.database.sweeps == 1)
    held.set()
    await early
    assert (await at.consumer.credential(CUSTOMER)).version == 2


async def test_a_rotation_is_acknowledged_once_after_its_first_use_and_when_the_others_had_time(stage: Open) -> None:
    at = stage(acknowledge_after=5.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.rotate_to(2)
    await at.until(lambda: at.told("rotated"))
    at.now += 60.0
    await at.sweeps(2)
    assert at.database.acknowledged == [], "nobody has used it yet"

    await at.consumer.credential(CUSTOMER)
    await at.sweeps(2)
    assert at.database.acknowledged == [], "the others may not have switched"

    at.now += 5.0
    await at.until(lambda: at.told("acknowledged"))
    reads = len(at.database.reads)
    (await at.hears()).tenant(CUSTOMER)
    await at.until(lambda: len(at.database.reads) > reads)
    await at.consumer.credential(CUSTOMER)
    await at.sweeps(2)
    assert at.database.acknowledged == [(CUSTOMER, 2)]


async def test_a_rotation_is_not_acknowledged_where_nobody_wants_it_or_no_older_version_lives(stage: Open) -> None:
    at, other = stage(acknowledge_after=None), stage()
    at.rotate_to(1)
    at.rotate_to(2)
    other.rotate_to(7)
    for one in (at, other):
        await one.consumer.credential(CUSTOMER)
        await one.sweeps(2)
        assert one.database.acknowledged == []


async def test_a_rotation_never_leads_back_to_a_lower_version_that_qlik_did_not_take_instead(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.rotate_to(2)
    await at.consumer.credential(CUSTOMER)
    at.database.rows.pop()
    await at.sweeps(3)
    assert (await at.consumer.credential(CUSTOMER)).version == 2, "a database that forgot is not believed"

    at.taken.discard("secret 2 of customer-42")
    await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert (await at.consumer.credential(CUSTOMER)).version == 1


# An outage of the database


async def test_an_outage_does_not_keep_a_cached_credential_from_serving_and_is_told_once(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.database.fault = LOST
    await at.until(lambda: at.told("database_lost"))
    assert (await at.consumer.sign_in(CUSTOMER, user_id="ada")).host == "customer-42.us.qlikcloud.com"
    at.rotate_to(2)
    at.database.fault = None
    await at.until(lambda: at.told("rotated") and at.told("database_back"))
    assert [event.kind for event in at.events].count("database_lost") == 1


async def test_an_outage_is_looked_at_after_a_backoff_however_often_it_is_woken_meanwhile(stage: Open) -> None:
    at = stage(poll=60.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.database.fault = LOST
    heard = await at.hears()
    heard.tenant(CUSTOMER)
    await at.until(lambda: at.told("database_lost"))
    reads = len(at.database.reads)
    for _ in range(100):
        heard.tenant(CUSTOMER)
        await asyncio.sleep(0)
    assert len(at.database.reads) == reads


async def test_an_outage_with_a_secret_that_qlik_refuses_says_that_the_database_is_missed(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.database.fault = LOST
    at.taken.clear()
    with pytest.raises(Unreachable) as error:
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert error.value.what == "database"
    assert isinstance(error.value.__cause__, Refused)


# A removal


async def test_a_removal_that_a_poll_finds_takes_effect_at_once_also_while_the_database_is_away(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.database.rows = []
    await at.until(lambda: at.told("removed"))
    with pytest.raises(Removed):
        await at.consumer.credential(CUSTOMER)
    at.database.fault = LOST
    with pytest.raises(Removed):
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert at.requests == []


async def test_a_removal_that_qlik_knows_of_first_is_found_by_the_read_after_its_refusal(stage: Open) -> None:
    at = stage(poll=60.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.database.rows = []
    at.taken.clear()
    with pytest.raises(Removed):
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert len(at.requests) == 1


async def test_a_removal_is_not_taken_back_by_a_read_that_began_before_it(stage: Open) -> None:
    at = stage(poll=60.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.taken.clear()
    held = at.database.answer_gate = asyncio.Event()
    late = asyncio.create_task(at.consumer.sign_in(CUSTOMER, user_id="ada"))
    await at.until(lambda: len(at.database.reads) == 2)
    await asyncio.sleep(0.01)
    at.database.rows = []
    (await at.hears()).up()
    await at.until(lambda: at.told("removed"))
    held.set()
    with pytest.raises(Removed):
        await late
    at.database.fault = LOST
    with pytest.raises(Removed):
        await at.consumer.credential(CUSTOMER)


async def test_a_removal_ends_with_a_new_life(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.database.rows = []
    await at.until(lambda: at.told("removed"))
    at.rotate_to(2)
    assert (await at.consumer.credential(CUSTOMER)).version == 2


async def test_a_removal_is_told_from_a_tenant_that_is_not_ready_where_the_status_may_be_read(stage: Open) -> None:
    at = stage()
    with pytest.raises(NotReady) as unknown:
        await at.consumer.credential("nobody")
    assert unknown.value.reason is None
    at.database.statuses = {
        "new": Status("creating", False, "Retrying", "waits", None),
        "leaving": Status("ready", False, "AwaitingBudget", None, 3),
        "gone": Status("removed", False, "Removed", None, None),
    }
    with pytest.raises(NotReady) as new:
        await at.consumer.credential("new")
    assert new.value.reason == "Retrying"
    for external_id in ("leaving", "gone"):
        with pytest.raises(Removed):
            await at.consumer.credential(external_id)
    with pytest.raises(NotReady, match="no such tenant"):
        await at.consumer.credential("nobody")


# A secret that does not open


async def test_a_secret_that_does_not_open_names_the_key_that_is_missing(stage: Open) -> None:
    at = stage()
    at.rotate_to(1, key=new_key("second"))
    with pytest.raises(CannotOpen) as error:
        await at.consumer.credential(CUSTOMER)
    assert (error.value.why, error.value.key_id, error.value.version) == ("NoKey", "second", 1)


async def test_a_secret_opens_as_soon_as_the_keyring_has_its_key_and_the_older_one_serves_until_then(
    stage: Open,
) -> None:
    second, keys = new_key("second"), [new_key("unused")]

    async def keyring() -> Keyring:
        return {"keys": list(keys)}

    at = stage(keyring=keyring)
    keys += at.keys
    at.rotate_to(1)
    at.rotate_to(2, key=second)
    assert (await at.consumer.credential(CUSTOMER)).version == 1
    await at.sweeps(3)
    assert at.database.acknowledged == [], "a version that is not used is not acknowledged"
    assert [event.kind for event in at.events] == ["cannot_open"]
    keys.append(second)
    await at.until(lambda: at.told("rotated"))
    assert (await at.consumer.credential(CUSTOMER)).version == 2


async def test_a_secret_is_refused_with_another_key_of_that_name(stage: Open) -> None:
    at = stage()
    at.rotate_to(1, key=new_key("first"))
    with pytest.raises(CannotOpen) as error:
        await at.consumer.credential(CUSTOMER)
    assert error.value.why == "Altered"


@pytest.mark.parametrize("name", ["tenant_id", "host", "client_id"])
async def test_a_secret_is_refused_where_it_was_sealed_for_another_tenant(stage: Open, name: str) -> None:
    at = stage()
    own = at.row(1)
    plain = {"tenant_id": own.tenant_id, "host": own.host, "client_id": own.client_id, "client_secret": "s"}
    at.rotate_to(1, plain={**plain, name: "of another"})
    with pytest.raises(CannotOpen, match=name) as error:
        await at.consumer.credential(CUSTOMER)
    assert error.value.why == "Moved"


@pytest.mark.parametrize("plain", ["not json: hidden", '"hidden"', "null"])
async def test_a_secret_is_refused_where_it_is_none_without_a_word_of_what_it_holds(stage: Open, plain: str) -> None:
    at = stage()
    at.rotate_to(1, plain=plain)
    with pytest.raises(CannotOpen) as error:
        await at.consumer.credential(CUSTOMER)
    chain: BaseException | None = error.value
    while chain:
        assert "hidden" not in f"{chain!r} {vars(chain)}"
        chain = chain.__cause__ or chain.__context__


async def test_a_text_that_is_no_jwe_is_refused(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    object.__setattr__(at.database.rows[0], "sealed", "in.no.jwe.at.all")
    with pytest.raises(CannotOpen) as error:
        await at.consumer.credential(CUSTOMER)
    assert error.value.why == "Altered"


# A sign-in


async def test_a_sign_in_asks_the_tenant_for_its_user_and_for_nothing_else(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    assert (await at.consumer.sign_in(CUSTOMER, subject="ada", scope="user_default")).access_token == "a token"
    assert at.requests == [
        (
            "https://customer-42.us.qlikcloud.com/oauth/token",
            {
                "client_id": "client of customer-42",
                "client_secret": "secret 1 of customer-42",
                "grant_type": "urn:qlik:oauth:user-impersonation",
                "user_lookup": {"field": "subject", "value": "ada"},
                "scope": "user_default",
            },
        )
    ]


async def test_a_sign_in_that_meets_a_rotation_reads_the_credential_once_more_and_works(stage: Open) -> None:
    at = stage(poll=60.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.taken.clear()
    at.rotate_to(2)
    assert (await at.consumer.sign_in(CUSTOMER, user_id="ada")).access_token == "a token"
    assert (len(at.database.reads), len(at.requests)) == (2, 2)


async def test_a_sign_in_is_refused_where_there_is_no_newer_credential_and_asked_no_second_time(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.taken.clear()
    with pytest.raises(Refused) as error:
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert (error.value.status, error.value.codes, error.value.trace_id) == (401, ("OAUTH-5",), "e6f75ad8")
    assert len(at.requests) == 1


async def test_a_sign_in_that_is_throttled_says_for_how_long(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.answers.append(lambda: refusal(429, "THROTTLED", {"retry-after": "17"}))
    with pytest.raises(Refused) as error:
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert error.value.retry_after == 17
    assert len(at.database.reads) == 1


async def test_a_sign_in_follows_no_redirect_with_the_secret(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.answers.append(lambda: httpx.Response(307, headers={"location": "https://elsewhere.example/"}))
    with pytest.raises(Refused) as error:
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert error.value.status == 307
    assert len(at.requests) == 1


async def test_a_sign_in_is_asked_once_more_where_a_connection_broke_and_no_more_than_that(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)

    def broken() -> httpx.Response:
        raise httpx.RemoteProtocolError("server disconnected")

    at.answers.append(broken)
    await at.consumer.sign_in(CUSTOMER, user_id="ada")
    at.answers += [broken, broken]
    with pytest.raises(Unreachable) as error:
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert error.value.what == "qlik"


async def test_a_sign_in_gives_up_when_qlik_does_not_answer_errs_or_answers_what_nobody_can_read(stage: Open) -> None:
    at = stage(qlik_timeout=0.03)
    at.rotate_to(1)

    async def never() -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    for answer in (
        never,
        lambda: refusal(503, "X"),
        lambda: httpx.Response(200, text="<html>"),
        lambda: token(access_token=""),
    ):
        at.answers.append(answer)
        with pytest.raises(Unreachable) as error:
            await at.consumer.sign_in(CUSTOMER, user_id="ada")
        assert error.value.what == "qlik"


async def test_a_sign_in_knows_when_the_token_ends_whatever_this_machine_takes_the_time_to_be(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    # Qlik's clock is years away from ours.
    theirs, date = "2031-05-01T16:00:00.000Z", {"date": "Thu, 01 May 2031 15:00:00 GMT"}
    for answer in (token(date, expires_in=3600, expires_at=theirs), token(date, expires_at=theirs)):
        at.answers.append(partial(copy.copy, answer))
        ends = (await at.consumer.sign_in(CUSTOMER, user_id="ada")).expires_at
        assert ends
        assert round((ends - datetime.now(UTC)).total_seconds() / 60) == 60
    at.answers.append(lambda: token(scope="user_default"))
    assert (await at.consumer.sign_in(CUSTOMER, user_id="ada")).expires_at is None


async def test_a_sign_in_is_of_one_user(stage: Open) -> None:
    at = stage()
    for user in ({}, {"user_id": "ada", "subject": "ada"}):
        with pytest.raises(TypeError, match="one of user_id and subject"):
            await at.consumer.sign_in(CUSTOMER, **user)


# Closing


async def test_closing_ends_every_wait_and_whoever_asks_afterwards_is_told(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.database.gate = asyncio.Event()
    waiting = asyncio.create_task(at.consumer.credential(CUSTOMER))
    await at.hears()
    await at.consumer.close()
    with pytest.raises(Closed):
        await waiting
    with pytest.raises(Closed):
        await at.consumer.credential(CUSTOMER)
    assert at.database.closed
    assert at.listener.heard is None
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await at.consumer.close()


async def test_one_caller_leaves_while_the_others_go_on_waiting(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.database.gate = asyncio.Event()
    leaves = asyncio.create_task(at.consumer.credential(CUSTOMER))
    stays = asyncio.create_task(at.consumer.credential(CUSTOMER))
    await at.until(lambda: len(at.database.reads) == 1)
    leaves.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaves
    at.database.gate.set()
    assert (await stays).version == 1


async def test_options_that_cannot_be_are_refused_at_once() -> None:
    impossible: list[dict[str, Any]] = [{"poll": 0}, {"acknowledge_after": -1}, {"cache_size": 0}]
    for options in impossible:
        with pytest.raises(ValueError, match=next(iter(options))):
            Consumer("postgres://nowhere", {"keys": []}, **options)
    with pytest.raises(TypeError, match="JWK Set"):
        Consumer("postgres://nowhere", {})
