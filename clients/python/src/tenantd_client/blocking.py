"""The consumer for programs of threads (Django, Flask, a script): the same one, on an event loop in its own thread.

The rule: one thread for each consumer, begun by the first call and ended by `close`.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from .consumer import Consumer, OptionsAndSeams
from .credential import Credential, SignIn
from .errors import Closed
from .keyring import KeyringSource

T = TypeVar("T")


class BlockingConsumer:
    """Takes what `Consumer` takes; all threads may share one. Where a process forks, it is first asked after that."""

    def __init__(self, database: str, keyring: KeyringSource, **options: Unpack[OptionsAndSeams]) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._pid = 0
        self._closed = False
        self._consumer = Consumer(database, keyring, **options)

    def credential(self, external_id: str) -> Credential:
        """See `Consumer.credential`."""
        return self._run(external_id, self._consumer.credential(external_id))

    def sign_in(
        self, external_id: str, *, user_id: str | None = None, subject: str | None = None, scope: str | None = None
    ) -> SignIn:
        """See `Consumer.sign_in`."""
        return self._run(
            external_id, self._consumer.sign_in(external_id, user_id=user_id, subject=subject, scope=scope)
        )

    def close(self) -> None:
        """Ends all connections and waits, and the thread; from that thread itself, without waiting for it."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            thread, loop = self._thread, self._loop
        if thread and loop and self._pid == os.getpid():
            closing = asyncio.run_coroutine_threadsafe(self._consumer.close(), loop)
            closing.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
            # From `on_event` or the keyring's function it would wait for itself.
            if thread is not threading.current_thread():
                closing.result()
                thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _run(self, external_id: str, act: Coroutine[Any, Any, T]) -> T:
        try:
            with self._lock:
                if self._closed:
                    raise Closed(external_id)
                if self._thread is threading.current_thread():
                    raise RuntimeError("on_event and the keyring's function run on the thread that would answer them")
                future = asyncio.run_coroutine_threadsafe(act, self._started())
        except BaseException:
            act.close()
            raise
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            # Not before it is needed: a loop that is shared by two processes serves neither.
            self._loop = asyncio.SelectorEventLoop()
            self._pid = os.getpid()
            self._thread = threading.Thread(target=_serve, args=[self._loop], name="tenantd-client", daemon=True)
            self._thread.start()
        elif self._pid != os.getpid():
            raise RuntimeError("the consumer was asked before the process forked: make one after the fork")
        return self._loop


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(loop.shutdown_asyncgens())
        # Names are resolved in threads of their own.
        loop.run_until_complete(loop.shutdown_default_executor())
    finally:
        loop.close()
