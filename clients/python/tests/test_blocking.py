"""The consumer for threads: the same answers, and no thread or process left with half of it."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import threading
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Unpack

import httpx
import pytest

from tenantd_client import BlockingConsumer, Closed, Event, NotReady, Options

from .support import CUSTOMER, FakeDatabase, FakeListener, Stage


def blocking(**options: Unpack[Options]) -> tuple[BlockingConsumer, FakeDatabase]:
    stage = Stage()
    stage.rotate_to(1)
    consumer = BlockingConsumer(
        "postgres://nowhere",
        {"keys": stage.keys},
        _database=stage.database,
        _listener=FakeListener(),
        **Options(poll=0.02) | options,
    )
    return consumer, stage.database


def test_threads_share_one_consumer_and_it_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    consumer, database = blocking()
    assert threading.active_count() == before, "nothing is begun before it is asked for"
    with consumer, ThreadPoolExecutor(16) as pool:
        assert {credential.version for credential in pool.map(consumer.credential, [CUSTOMER] * 200)} == {1}
        with pytest.raises(NotReady):
            consumer.credential("nobody")
    assert len(database.reads) == 2
    assert threading.active_count() == before
    with pytest.raises(Closed):
        consumer.credential(CUSTOMER)


def test_closing_ends_the_wait_of_another_thread() -> None:
    consumer, database = blocking()
    entered = threading.Event()

    async def hang(_: object) -> list[object]:
        entered.set()
        await asyncio.Event().wait()
        return []

    database.read = hang  # type: ignore[method-assign, assignment]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(consumer.credential, CUSTOMER)
        assert entered.wait(5)
        consumer.close()
        with pytest.raises(Closed):
            waiting.result(5)


def test_closing_leaves_no_thread_without_an_answer_whose_call_takes_time_to_end() -> None:
    entered = threading.Event()

    async def slow(_: object) -> httpx.Response:
        entered.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
        raise AssertionError

    consumer, _ = blocking(http=httpx.AsyncClient(transport=httpx.MockTransport(slow)))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(consumer.sign_in, CUSTOMER, subject="ada")
        assert entered.wait(5)
        consumer.close()
        if wait([waiting], 5).not_done:
            # Nobody answers it any more: with it the test would never end.
            faulthandler.dump_traceback_later(0.1, exit=True)
        assert isinstance(waiting.exception(), Closed)


def test_a_process_that_forked_after_the_first_question_is_told_so() -> None:
    consumer, _ = blocking()
    consumer.credential(CUSTOMER)
    consumer._pid = os.getppid()
    with pytest.raises(RuntimeError, match="after the fork"):
        consumer.credential(CUSTOMER)
    consumer._pid = os.getpid()
    consumer.close()


def test_what_it_calls_itself_may_not_wait_for_it_and_may_close_it() -> None:
    told: list[BaseException] = []

    def ask_back(_: Event) -> None:
        try:
            consumer.credential(CUSTOMER)
        except RuntimeError as error:
            told.append(error)
        consumer.close()

    consumer, database = blocking(on_event=ask_back)
    consumer.credential(CUSTOMER)
    database.rows.clear()
    thread = consumer._thread
    assert thread
    thread.join(5)
    assert not thread.is_alive(), "it was closed"
    assert told
    assert "on_event" in str(told[0])
    with pytest.raises(Closed):
        consumer.credential(CUSTOMER)
