"""The consumer against stand-ins: what it caches, asks, waits for and says."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import json
import pickle
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, cast

import httpx
import psycopg
import pytest

from tenantd_client import (
    CannotOpen,
    Closed,
    Consumer,
    Credential,
    Event,
    Keyring,
    NotReady,
    Refused,
    Removed,
    TenantdError,
    Unreachable,
)
from tenantd_client.database import is_of_connection
from tenantd_client.errors import Refusal
from tenantd_client.listener import tenant_of
from tenantd_client.rows import Status

from .conftest import Open
from .support import CUSTOMER, Stage, everything, new_key, refusal, token, variables_of

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


async def test_credentials_that_are_asked_for_while_a_read_is_on_its_way_are_read_together_up_to_a_bound(
    stage: Open,
) -> None:
    at = stage()
    for external_id in "ab":
        at.rotate_to(1, external_id=external_id)
    at.database.gate = asyncio.Event()
    first = asyncio.create_task(at.consumer.credential("a"))
    await at.until(lambda: len(at.database.reads) == 1)
    nobody = [f"nobody-{n}" for n in range(600)]
    others = [asyncio.create_task(at.consumer.credential(external_id)) for external_id in ("b", *nobody)]
    await asyncio.sleep(0.01)
    at.database.gate.set()
    assert (await first).external_id == "a"
    b, *rest = await asyncio.gather(*others, return_exceptions=True)
    assert isinstance(b, Credential)
    assert b.external_id == "b"
    assert all(isinstance(one, NotReady) for one in rest)
    assert [len(ids) for ids in at.database.reads] == [1, 500, 101]


async def test_a_read_of_many_that_fails_is_told_to_all_of_them_and_the_next_one_works(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.database.fault = LOST
    asked = [asyncio.create_task(at.consumer.credential(external_id)) for external_id in (CUSTOMER, "a", "b")]
    assert all(isinstance(one, Unreachable) for one in await asyncio.gather(*asked, return_exceptions=True))
    assert len(at.database.reads) == 1
    at.database.fault = None
    assert (await at.consumer.credential(CUSTOMER)).version == 1


async def test_a_credential_is_not_asked_for_where_no_tenant_can_have_such_a_name(stage: Open) -> None:
    at = stage()
    for name in ("a\0b", "a\ud800"):
        with pytest.raises(NotReady):
            await at.consumer.credential(name)
    none: Any
    for none in ("", 42, None):
        with pytest.raises(TypeError, match="external_id"):
            await at.consumer.credential(none)
    assert at.database.reads == [], "with it the read of all others would fail"


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


async def test_a_rotation_is_not_taken_back_because_an_unknown_user_was_refused_after_a_restore(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    at.rotate_to(2)
    await at.consumer.credential(CUSTOMER)
    at.database.rows.pop()
    at.taken.discard("secret 1 of customer-42")
    at.answers += [lambda: refusal(401, "OAUTH-5")] * 2
    with pytest.raises(Refused):
        await at.consumer.sign_in(CUSTOMER, subject="nobody")
    tried = [body["client_secret"] for _, body in at.requests]
    assert tried == ["secret 2 of customer-42", "secret 1 of customer-42"], "the lower one was tried"
    await at.sweeps(3)
    assert (await at.consumer.sign_in(CUSTOMER, user_id="ada")).access_token == "a token"
    assert (await at.consumer.credential(CUSTOMER)).version == 2
    assert not at.told("rotated")


# A refusal


async def test_a_refusal_of_an_older_version_leads_to_the_one_that_is_held_whatever_the_database_has_forgotten(
    stage: Open,
) -> None:
    at = stage(poll=3600.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    held = asyncio.Event()

    async def late() -> httpx.Response:
        await held.wait()
        return refusal(401, "OAUTH-5")

    at.answers.append(late)
    sign_in = asyncio.create_task(at.consumer.sign_in(CUSTOMER, user_id="ada"))
    await at.until(lambda: len(at.requests) == 1)
    at.rotate_to(2)
    (await at.hears()).tenant(CUSTOMER)
    await at.until(lambda: at.told("rotated"))
    at.database.rows.pop()
    held.set()
    await sign_in
    assert at.requests[-1][1]["client_secret"] == "secret 2 of customer-42"


async def test_a_refusal_gives_no_lower_version_where_a_further_one_came_while_that_was_tried(stage: Open) -> None:
    at = stage(poll=3600.0)
    at.rotate_to(1)
    at.rotate_to(2)
    await at.consumer.credential(CUSTOMER)
    newer = at.database.rows.pop()
    held = asyncio.Event()

    async def late() -> httpx.Response:
        await held.wait()
        return token()

    at.answers += [lambda: refusal(401, "OAUTH-5"), late]
    sign_in = asyncio.create_task(at.consumer.sign_in(CUSTOMER, user_id="ada"))
    await at.until(lambda: len(at.requests) == 2)
    at.database.rows.append(newer)
    at.rotate_to(3)
    (await at.hears()).tenant(CUSTOMER)
    await at.until(lambda: at.told("rotated"))
    held.set()
    await sign_in
    assert (await at.consumer.credential(CUSTOMER)).version == 3


# An acknowledgement


async def switched(at: Stage, external_ids: str) -> None:
    """Tenants that have switched, and whose acknowledgements are due at the same time."""
    for external_id in external_ids:
        at.rotate_to(1, external_id=external_id)
        await at.consumer.credential(external_id)
    heard = await at.hears()
    for external_id in external_ids:
        at.rotate_to(2, external_id=external_id)
        heard.tenant(external_id)
    await at.until(lambda: [event.kind for event in at.events].count("rotated") == len(external_ids))
    at.database.asked.clear()
    await asyncio.gather(*(at.consumer.credential(external_id) for external_id in external_ids))


async def test_an_acknowledgement_holds_up_nothing_that_was_heard_and_no_poll(stage: Open) -> None:
    poll = 3600.0
    at = stage(poll=poll)
    made = 0

    async def meanwhile(_: str) -> None:
        nonlocal made
        made += 1
        if made == 1:
            (await at.hears()).tenant("a")
        elif made == 2:
            at.now += poll

    at.database.on_acknowledge = meanwhile
    await switched(at, "abc")
    await at.until(lambda: len(at.database.acknowledged) == 3)
    assert at.database.asked == ["acknowledge", "read", "acknowledge", "sweep", "acknowledge"]


async def test_an_acknowledgement_that_fails_is_put_off_and_neither_holds_up_the_others_nor_is_taken_for_an_outage(
    stage: Open,
) -> None:
    at = stage()

    async def locked(external_id: str) -> None:
        if external_id == "a":
            raise psycopg.errors.LockNotAvailable("canceling statement due to lock timeout")

    at.database.on_acknowledge = locked
    await switched(at, "abc")
    await at.sweeps(3)
    assert sorted(at.database.acknowledged) == [("b", 2), ("c", 2)]
    assert at.database.asked.count("acknowledge") == 3, "not before its time"
    assert not at.told("database_lost")
    at.database.on_acknowledge = None
    at.now += 60.0
    await at.until(lambda: len(at.database.acknowledged) == 3)


async def test_an_acknowledgement_of_a_version_is_made_too_where_it_became_due_while_the_one_before_was_made(
    stage: Open,
) -> None:
    at = stage()
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.rotate_to(2)
    await at.until(lambda: at.told("rotated"))

    async def meanwhile(_: str) -> None:
        at.database.on_acknowledge = None
        at.rotate_to(3)
        at.taken.discard("secret 2 of customer-42")
        await at.consumer.sign_in(CUSTOMER, user_id="ada")

    at.database.on_acknowledge = meanwhile
    await at.consumer.credential(CUSTOMER)
    await at.until(lambda: len(at.database.acknowledged) == 2)
    assert at.database.acknowledged == [(CUSTOMER, 2), (CUSTOMER, 3)]


async def test_acknowledgements_are_left_for_later_where_several_fail_in_a_row(stage: Open) -> None:
    at = stage(poll=3600.0)

    async def lost(_: str) -> None:
        raise LOST

    at.database.on_acknowledge = lost
    await switched(at, "abcde")
    await at.until(lambda: len(at.database.asked) >= 3)
    await asyncio.sleep(0.01)
    (await at.hears()).up()
    await at.until(lambda: len(at.database.asked) >= 6)
    assert at.database.asked == ["acknowledge"] * 3 + ["sweep"] + ["acknowledge"] * 2


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


async def test_a_removal_that_a_newer_read_found_is_not_taken_back_by_the_first_read_which_began_before_it(
    stage: Open,
) -> None:
    at = stage(poll=3600.0)
    at.rotate_to(1, external_id="other")
    await at.consumer.credential("other")
    at.rotate_to(1)
    held = at.database.answer_gate = asyncio.Event()
    late = asyncio.create_task(at.consumer.credential(CUSTOMER))
    await at.until(lambda: len(at.database.reads) == 2)
    await asyncio.sleep(0.01)
    at.database.answer_gate = None
    at.database.rows = [row for row in at.database.rows if row.external_id == "other"]
    heard = await at.hears()
    heard.tenant(CUSTOMER)
    await at.until(lambda: len(at.database.reads) == 3)
    heard.up()
    await at.until(lambda: at.database.sweeps == 1)
    held.set()
    with pytest.raises(Removed):
        await late
    at.database.fault = LOST
    with pytest.raises(Removed):
        await at.consumer.credential(CUSTOMER)


async def test_a_removal_ends_with_a_new_life_also_while_that_is_not_ready_where_the_status_may_be_read(
    stage: Open,
) -> None:
    at = stage()
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.database.rows = []
    await at.until(lambda: at.told("removed"))
    with pytest.raises(Removed):
        await at.consumer.credential(CUSTOMER)
    at.database.statuses = {}
    with pytest.raises(Removed):
        await at.consumer.credential(CUSTOMER)
    status = Status("pending", False, "Queued", "waits", None)
    at.database.statuses = {CUSTOMER: status}
    with pytest.raises(NotReady) as error:
        await at.consumer.credential(CUSTOMER)
    assert error.value.reason == "Queued"
    at.database.statuses = {CUSTOMER: replace(status, phase="removed")}
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


async def test_many_that_are_not_ready_are_told_so_in_statements_that_are_bounded_as_reads_are(stage: Open) -> None:
    at = stage()
    at.database.statuses = {}
    asked = (at.consumer.credential(f"nobody-{n}") for n in range(1_200))
    found = await asyncio.gather(*asked, return_exceptions=True)
    assert all("no such tenant" in str(one) for one in found)
    assert at.database.asked.count("status") <= 4


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
    assert "hidden" not in everything(error.value)


async def test_a_text_that_is_no_jwe_is_refused(stage: Open) -> None:
    at = stage()
    at.rotate_to(1, sealed="in.no.jwe.at.all")
    with pytest.raises(CannotOpen) as error:
        await at.consumer.credential(CUSTOMER)
    assert error.value.why == "Altered"


DEEP = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "header", ["5", "null", "[1]", '{"kid":5}', DEEP, f'{{"kid":{DEEP}}}'], ids=lambda header: str(header)[:9]
)
async def test_an_odd_row_harms_itself_alone(stage: Open, header: str) -> None:
    at = stage()
    sealed = f"{urlsafe_b64encode(header.encode()).decode().rstrip('=')}.a.a.a.a"
    for external_id in ("odd", CUSTOMER):
        at.rotate_to(1, external_id=external_id)
        await at.consumer.credential(external_id)
    at.rotate_to(2, external_id="odd", sealed=sealed)
    at.rotate_to(2)
    await at.until(lambda: at.told("rotated") and at.told("cannot_open"))
    assert (await at.consumer.credential(CUSTOMER)).version == 2
    assert (await at.consumer.credential("odd")).version == 1
    at.rotate_to(1, external_id="cold", sealed=sealed)
    with pytest.raises(CannotOpen):
        await at.consumer.credential("cold")
    assert not at.told("database_lost")


# A keyring


def _parses() -> Keyring:
    return cast("Keyring", json.loads('{"keys": [hidden]}'))


def _wraps() -> Keyring:
    try:
        return _parses()
    except ValueError:
        raise ExceptionGroup("no keyring", [OSError("no file"), _caused()]) from None


def _caused() -> Exception:
    error = RuntimeError("no keyring")
    with contextlib.suppress(ValueError):
        _parses()
    try:
        _parses()
    except ValueError as inner:
        error.__cause__ = inner
    return error


def _decodes() -> Keyring:
    return cast("Keyring", b"hidden \xff".decode())


@pytest.mark.parametrize("keyring", [_parses, _wraps, _decodes])
async def test_a_keyring_that_cannot_be_parsed_is_told_without_a_word_of_it(
    stage: Open, keyring: Callable[[], Keyring]
) -> None:
    at = stage(keyring=keyring)
    at.rotate_to(1)
    with pytest.raises(CannotOpen, match="it is no JSON") as error:
        await at.consumer.credential(CUSTOMER)
    assert error.value.why == "NoKeyring"
    assert "hidden" not in everything(error.value)


@pytest.mark.parametrize(
    "fault", [OSError(2, "no such file"), TypeError("odd"), KeyError("x"), RecursionError(), asyncio.CancelledError()]
)
async def test_a_keyring_that_cannot_be_had_is_told_so_whatever_it_raises_and_harms_no_other_tenant(
    stage: Open, fault: BaseException
) -> None:
    keys: list[dict[str, Any]] = []

    async def keyring() -> Keyring:
        if not keys:
            return {"keys": at.keys}
        raise fault

    at = stage(keyring=keyring)
    for external_id in ("a", "b"):
        at.rotate_to(1, external_id=external_id)
        await at.consumer.credential(external_id)
    at.now += 1.0
    keys.append(new_key("second"))
    at.rotate_to(2, external_id="a", key=keys[0])
    await at.until(lambda: at.told("cannot_open"))
    at.rotate_to(2, external_id="b")
    await at.until(lambda: at.told("rotated"))
    assert (await at.consumer.credential("a")).version == 1
    at.rotate_to(1, external_id="cold", key=keys[0])
    with pytest.raises(CannotOpen, match="cannot be had") as error:
        await at.consumer.credential("cold")
    assert (error.value.why, error.value.__cause__) == ("NoKeyring", fault)
    assert not at.told("database_lost")


@pytest.mark.parametrize("key", [{"kty": "oct", "k": "hid den"}, {"kty": "oct", "k": 5}, {"kty": []}, {"k": "hidden"}])
async def test_a_keyring_whose_key_is_none_opens_nothing_and_is_not_quoted(stage: Open, key: dict[str, Any]) -> None:
    at = stage(keyring={"keys": [{**key, "kid": "first"}]})
    at.rotate_to(1)
    with pytest.raises(CannotOpen) as error:
        await at.consumer.credential(CUSTOMER)
    assert error.value.why == "Altered"
    assert (error.value.__cause__, error.value.__context__) == (None, None)


async def test_no_variable_of_a_secret_that_does_not_open_holds_a_key_or_what_was_opened(stage: Open) -> None:
    missing = False

    def keyring() -> Keyring:
        return at.keys[0] if missing else {"keys": at.keys}

    at = stage(keyring=keyring)
    key = at.keys[0]["k"]
    for plain in ({"tenant_id": "another", "client_secret": "hidden"}, {"client_secret": 5}, "hidden"):
        at.rotate_to(1, plain=plain)
        with pytest.raises(CannotOpen) as error:
            await at.consumer.credential(CUSTOMER)
        assert not [word for word in ("hidden", key) if word in variables_of(error.value)]
    missing = True
    at.now += 1.0
    at.rotate_to(1, external_id="cold", key=new_key("second"))
    with pytest.raises(CannotOpen, match="JWK Set") as error:
        await at.consumer.credential("cold")
    assert key not in variables_of(error.value)


async def test_a_keyring_is_asked_once_for_all_who_miss_its_key_and_again_after_a_while(stage: Open) -> None:
    asked = 0

    async def keyring() -> Keyring:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return {"keys": []}

    at = stage(keyring=keyring, poll=60.0)
    ids = [f"customer-{n}" for n in range(20)]
    for external_id in ids:
        at.rotate_to(1, external_id=external_id)
    for _ in range(2):
        found = await asyncio.gather(*map(at.consumer.credential, ids), return_exceptions=True)
        assert all(isinstance(one, CannotOpen) for one in found)
    assert asked == 1
    at.now += 1.0
    await asyncio.gather(*map(at.consumer.credential, ids), return_exceptions=True)
    assert asked == 2


async def test_a_keyring_that_is_never_had_holds_nobody_up_for_longer_than_a_statement(stage: Open) -> None:
    async def keyring() -> Keyring:
        await asyncio.Event().wait()
        return {}

    at = stage(keyring=keyring, database_timeout=0.03)
    at.rotate_to(1)
    async with asyncio.timeout(5):
        with pytest.raises(CannotOpen) as error:
            await at.consumer.credential(CUSTOMER)
    assert error.value.why == "NoKeyring"


async def test_opening_many_secrets_leaves_other_work_its_turns(stage: Open) -> None:
    at = stage(poll=60.0)
    ids = [f"customer-{n}" for n in range(100)]
    for external_id in ids:
        at.rotate_to(1, external_id=external_id)
    turns = 0

    async def work() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    working = asyncio.create_task(work())
    await asyncio.gather(*map(at.consumer.credential, ids))
    working.cancel()
    assert turns >= len(ids)


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


async def test_a_sign_in_is_told_of_the_secret_that_does_not_open_where_the_one_that_is_held_was_withdrawn(
    stage: Open,
) -> None:
    at = stage(poll=60.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.taken.clear()
    at.rotate_to(2, key=new_key("second"))
    with pytest.raises(Refused):  # It has its row still.
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    unopened = at.database.rows.pop()
    at.database.rows = [unopened]
    with pytest.raises(CannotOpen) as error:
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert (error.value.version, error.value.key_id) == (2, "second")
    at.database.rows = []
    with pytest.raises(Removed):
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    at.database.rows = [unopened]
    with pytest.raises(CannotOpen):  # There is one again.
        await at.consumer.credential(CUSTOMER)


async def test_a_sign_in_reads_once_more_also_where_the_refusal_is_in_the_words_of_rfc_6749(stage: Open) -> None:
    at = stage(poll=60.0)
    at.rotate_to(1)
    await at.consumer.credential(CUSTOMER)
    at.rotate_to(2)
    at.answers.append(lambda: httpx.Response(400, json={"error": "invalid_client"}))
    await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert at.requests[1][1]["client_secret"] == "secret 2 of customer-42"


_NOON = "Sun, 01 Mar 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry-after": "17"}, 17),
        ({"retry-after": "Sun, 01 Mar 2026 12:01:30 GMT", "date": _NOON}, 90),
        ({"retry-after": _NOON, "date": _NOON}, 0),
        # This machine's clock may be wrong: a date alone says nothing.
        ({"retry-after": _NOON}, None),
        ({"retry-after": "Sun, 01 Mar 2026 11:59:59 GMT", "date": _NOON}, None),
        ({"retry-after": "Mon, 01 Mar 2027 12:00:00 GMT", "date": _NOON}, None),
        ({"retry-after": "soon", "date": _NOON}, None),
        ({"retry-after": "-1", "date": _NOON}, None),
        ({"retry-after": "12345678", "date": _NOON}, None),
        ({}, None),
    ],
)
async def test_a_sign_in_that_is_throttled_says_for_how_long(
    stage: Open, headers: dict[str, str], wait: int | None
) -> None:
    at = stage()
    at.rotate_to(1)
    at.answers.append(lambda: refusal(429, "THROTTLED", headers))
    with pytest.raises(Refused) as error:
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert error.value.retry_after == wait
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


@pytest.mark.parametrize(
    "fault",
    [httpx.ReadError, httpx.DecodingError, httpx.StreamError, httpx.InvalidURL, ConnectionResetError, RuntimeError],
)
async def test_a_sign_in_that_breaks_leaves_nothing_of_the_request_in_its_error(
    stage: Open, fault: Callable[[str], Exception]
) -> None:
    at = stage()
    at.rotate_to(1)

    async def broken(request: httpx.Request) -> httpx.Response:
        error = fault("broken")
        vars(error)["_request"] = request
        raise error

    at.http = broken
    with pytest.raises(Unreachable, match="broken") as error:
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert error.value.what == "qlik"
    assert "secret 1" not in everything(error.value)


@pytest.mark.parametrize("takes_it_for_a_fault", [True, False])
async def test_a_sign_in_that_waits_too_long_leaves_nothing_of_the_request_in_its_error(
    stage: Open, takes_it_for_a_fault: bool
) -> None:
    at = stage(qlik_timeout=0.01)
    at.rotate_to(1)

    async def broken_by_the_end(request: httpx.Request) -> httpx.Response:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        try:
            raise httpx.ReadTimeout("late", request=request)
        except httpx.ReadTimeout:
            if takes_it_for_a_fault:
                raise
            raise asyncio.CancelledError  # noqa: B904 (its context is what is looked for)

    at.http = broken_by_the_end
    with pytest.raises(Unreachable) as error:
        await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert "secret 1" not in everything(error.value)


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
        assert "secret 1" not in variables_of(error.value)


async def test_a_sign_in_of_a_user_whose_name_cannot_be_encoded_shows_no_secret(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    await at.consumer.sign_in(CUSTOMER, subject="\ud800 é")
    assert at.requests[0][1]["user_lookup"]["value"] == "\ud800 é"


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
    nothing: list[dict[str, Any]] = [{"scope": "user_default"}, {"expires_in": 1e300}, {"expires_at": "soon"}]
    for said in nothing:
        at.answers.append(partial(token, **said))
        assert (await at.consumer.sign_in(CUSTOMER, user_id="ada")).expires_at is None


async def test_a_sign_in_is_of_one_user(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    impossible: list[dict[str, Any]] = [{}, {"user_id": "ada", "subject": "ada"}, {"subject": ""}, {"subject": 5}]
    for user in impossible:
        with pytest.raises(TypeError, match="one of user_id and subject"):
            await at.consumer.sign_in(CUSTOMER, **user)
    assert not at.requests


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


async def test_closing_waits_for_the_calls_that_it_ended(stage: Open) -> None:
    at = stage()
    at.rotate_to(1)
    ended = False

    async def slow() -> httpx.Response:
        nonlocal ended
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended = True
        raise AssertionError

    at.answers.append(slow)
    waiting = asyncio.create_task(at.consumer.sign_in(CUSTOMER, user_id="ada"))
    await at.until(lambda: len(at.requests) == 1)
    await at.consumer.close()
    assert ended
    assert isinstance(waiting.exception(), Closed)


@pytest.mark.parametrize("when", ["a call", "a poll"])
async def test_closing_is_done_also_from_where_the_keyring_is_read(stage: Open, when: str) -> None:
    closes = when == "a call"

    async def keyring() -> Keyring:
        if closes:
            await at.consumer.close()
        return {"keys": at.keys}

    at = stage(keyring=keyring)
    at.rotate_to(1)
    with contextlib.suppress(Closed):
        await at.consumer.credential(CUSTOMER)
    closes = True
    at.rotate_to(2, key=new_key("second"))
    await at.until(lambda: at.database.closed)
    await at.until(lambda: asyncio.all_tasks() == {asyncio.current_task()})


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


@pytest.mark.parametrize(
    "address",
    ["postgres://u:hid/den@host/db", "postgres://u:12/hid@host/db", "postgres://%zz:hid@host/db", "host=db hid den"],
)
async def test_an_address_that_cannot_be_read_is_refused_without_a_word_of_it(address: str) -> None:
    for database, listen in ((address, None), ("postgres://nowhere", address)):
        with pytest.raises(ValueError, match="address of the database") as error:
            Consumer(database, {"keys": []}, listen=listen)
        assert "hid" not in everything(error.value)


async def test_an_address_that_can_be_read_is_taken() -> None:
    for address in (
        "postgresql://u:p%2Fss@host:6432,other:1/db?sslmode=disable",
        "postgres:///db?user=u@h",
        "host=db",
        "",
    ):
        Consumer(address, {"keys": []})


async def test_an_address_that_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match="address of the database"):
        Consumer(None, {"keys": []})  # type: ignore[arg-type]


async def test_a_database_that_is_away_leaves_nothing_that_holds_its_password() -> None:
    errors: list[BaseException] = []
    told = asyncio.Event()

    def on_event(event: Event) -> None:
        assert event.error
        errors.append(event.error)
        told.set()

    address = "host=127.0.0.1 port=1 user=u password=hidden"
    async with Consumer(address, {"keys": []}, on_event=on_event) as consumer:
        with pytest.raises(Unreachable) as error:
            await consumer.credential(CUSTOMER)
        await told.wait()
    assert not [one for one in (error.value, *errors) if "hidden" in variables_of(one) + everything(one)]


def test_a_consumer_is_of_one_event_loop() -> None:
    at = Stage()
    at.rotate_to(1)
    asyncio.run(_credential_of(at))
    with pytest.raises(RuntimeError, match="another event loop"):
        asyncio.run(_credential_of(at))
    asyncio.run(at.consumer.close())


async def _credential_of(at: Stage) -> None:
    assert (await at.consumer.credential(CUSTOMER)).version == 1


# What the database says


def test_a_notification_is_of_the_tenant_that_it_names_and_of_nobody_where_it_is_none_of_the_contract() -> None:
    assert tenant_of('{"external_id": "customer-42", "event": "x"}') == CUSTOMER
    for payload in ("", "hello", "null", "5", "[]", "{}", '{"external_id": 5}', "[" * 8_000, "1" * 8_000, "\ud800"):
        assert tenant_of(payload) is None


def test_a_statement_is_repeated_where_the_connection_failed_and_not_where_the_server_refused_it() -> None:
    assert is_of_connection(psycopg.OperationalError("lost"))
    for code in ("08006", "57P01"):
        assert is_of_connection(psycopg.errors.lookup(code)())
    for code in ("55P03", "57014", "53300"):
        assert not is_of_connection(psycopg.errors.lookup(code)())


async def test_a_sign_in_that_is_cancelled_or_closed_shows_no_secret(stage: Open) -> None:
    at = stage(qlik_timeout=60.0)
    at.rotate_to(1)
    entered = asyncio.Event()

    async def never(_: httpx.Request) -> httpx.Response:
        entered.set()
        await asyncio.Event().wait()
        raise AssertionError

    at.http = never
    with pytest.raises(TimeoutError) as error:
        async with asyncio.timeout(0.05):
            await at.consumer.sign_in(CUSTOMER, user_id="ada")
    assert entered.is_set()
    assert "secret 1" not in variables_of(error.value)
    entered.clear()
    signing = asyncio.create_task(at.consumer.sign_in(CUSTOMER, user_id="ada"))
    await entered.wait()
    await at.consumer.close()
    with pytest.raises(Closed) as closed:
        await signing
    assert "secret 1" not in variables_of(closed.value)


async def test_one_host_that_hangs_takes_no_connection_from_the_others() -> None:
    stage = Stage()
    consumer = Consumer("postgres://nowhere", {"keys": stage.keys}, _database=stage.database, listen=False)
    pool = consumer._client()._transport._pool  # type: ignore[attr-defined]
    assert pool._max_connections > 1_000_000
    await consumer.close()
    await stage.consumer.close()


@pytest.mark.parametrize(
    "error",
    [
        NotReady(CUSTOMER, "Queued", "it waits"),
        Removed(CUSTOMER),
        CannotOpen(CUSTOMER, 3, "NoKey", "first", "no key"),
        Refused(CUSTOMER, Refusal(401, ("OAUTH-14",), "e6f7", 7)),
        Unreachable(CUSTOMER, "qlik", "no answer"),
        Closed(CUSTOMER),
    ],
)
def test_an_error_goes_from_process_to_process(error: TenantdError) -> None:
    there = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert (type(there), str(there), vars(there)) == (type(error), str(error), vars(error))


async def test_of_many_that_switch_the_first_alone_wakes_whoever_acknowledges(stage: Open) -> None:
    at = stage(poll=3600.0, acknowledge_after=5.0)
    woken = 0
    wake = at.consumer._follower.wake

    def counted() -> None:
        nonlocal woken
        woken += 1
        wake()

    names = [f"c{number}" for number in range(50)]
    for name in names:
        at.rotate_to(1, external_id=name)
        await at.consumer.credential(name)
    for name in names:
        at.rotate_to(2, external_id=name)
        (await at.hears()).tenant(name)
    await at.until(lambda: [event.kind for event in at.events].count("rotated") == len(names))
    at.consumer._follower.wake = counted  # type: ignore[method-assign]
    for name in names:
        await at.consumer.credential(name)
    assert woken == 1
    at.now += 5.0
    counted()
    await at.until(lambda: len(at.database.acknowledged) == len(names))
    assert at.database.acknowledged == [(name, 2) for name in names], "in order of time"


async def test_a_long_sweep_begins_with_who_was_asked_for_last_and_holds_up_nothing_that_is_heard(
    stage: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenantd_client.store.BATCH", 2)
    at = stage(poll=3600.0)
    for name in "abcdef":
        at.rotate_to(1, external_id=name)
        await at.consumer.credential(name)
    heard = await at.hears()
    for name in "abcdef":
        at.rotate_to(2, external_id=name)
    at.database.reads.clear()
    versions = at.database.versions

    async def meanwhile(external_ids: Sequence[str]) -> Mapping[str, int]:
        if at.database.sweeps == 0:
            heard.tenant("a")
        return await versions(external_ids)

    at.database.versions = meanwhile  # type: ignore[method-assign]
    heard.up()
    await at.until(lambda: [event.kind for event in at.events].count("rotated") == 6)
    assert at.database.reads == [["f", "e"], ["a"], ["d", "c"], ["b"]]
