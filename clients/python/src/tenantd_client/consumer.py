"""The library's one door: a tenant's credential, and a user signed in with it.

The rule: nothing is begun before it is asked for, and `close` ends all that was begun.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Coroutine
from time import monotonic
from types import TracebackType
from typing import Any, Literal, Self, TypedDict, TypeVar

import httpx

from .cache import Cache
from .credential import Credential, SignIn
from .database import PgDatabase
from .errors import Closed, NotReady, Refusal, Refused, Unreachable, without_frames
from .events import Tell, log, teller
from .follower import Follower
from .keyring import KeyringSource, Opener
from .listener import Listener, Listens
from .qlik import request_token
from .rows import Database
from .store import Store
from .tasks import end, is_cancelled

T = TypeVar("T")

_NO_NAME = re.compile("[\0\ud800-\udfff]")
"""What no text of the database can hold."""


class Options(TypedDict, total=False):
    """What `Consumer` and `BlockingConsumer` may be told besides, each by its name; `Consumer` says what each means."""

    listen: str | Literal[False] | None
    poll: float
    acknowledge_after: float | None
    cache_size: int
    database_timeout: float
    qlik_timeout: float
    http: httpx.AsyncClient | None
    on_event: Tell


class OptionsAndSeams(Options, total=False):
    """For tests of this library, too."""

    _database: Database | None
    _listener: Listens | None
    _now: Callable[[], float]


class Consumer:
    """For asyncio; `BlockingConsumer` is the same for threads. All lengths of time are in seconds.

    * `database`: where tenantd's tables are, with a login that has `tenantd_consumer`: a URL or conninfo. Any pooler
      will do.
    * `keyring`: what opens secrets. As a function it is asked again, once a second at most, for a key that is not there
      yet.
    * `listen`: where to listen, if not at `database`: past a pooler in transaction mode. `False`: polls alone.
    * `poll`: how often all that is cached is compared with the database. A removal is known after that at most.
    * `acknowledge_after`: how long after its first use here a new version is acknowledged, which ends the older one.
      Longer than `poll`, so that all other instances have switched. `None`: never; the older one lives for
      `rotation.overlap`.
    * `cache_size`: how many tenants are cached. Those that are first asked for at once are read together, up to 500
      each.
    * `database_timeout`: how long to wait for a connection, for each statement, and for the keyring.
    * `qlik_timeout`: how long to wait for each answer of Qlik.
    * `http`: instead of a client of its own: for a proxy, or a simulated Qlik Cloud. It stays yours to close.
    * `on_event`: is told what happens, instead of the logger `tenantd_client`.
    """

    def __init__(
        self,
        database: str,
        keyring: KeyringSource,
        *,
        listen: str | Literal[False] | None = None,
        poll: float = 30.0,
        acknowledge_after: float | None = 90.0,
        cache_size: int = 10_000,
        database_timeout: float = 5.0,
        qlik_timeout: float = 10.0,
        http: httpx.AsyncClient | None = None,
        on_event: Tell = log,
        _database: Database | None = None,
        _listener: Listens | None = None,
        _now: Callable[[], float] = monotonic,
    ) -> None:
        for name, value in (
            ("poll", poll),
            ("cache_size", cache_size),
            ("database_timeout", database_timeout),
            ("qlik_timeout", qlik_timeout),
        ):
            if not value > 0:
                raise ValueError(f"{name} must be more than 0")
        if acknowledge_after is not None and not acknowledge_after >= 0:
            raise ValueError("acknowledge_after must be None or no less than 0")
        tell = teller(on_event)
        self._database = _database or PgDatabase(database, database_timeout)
        self._store = Store(
            self._database,
            Opener(keyring, database_timeout, _now),
            Cache(cache_size),
            tell=tell,
            now=_now,
            acknowledge_after=acknowledge_after,
            acknowledges=lambda: self._follower.wake(),
        )
        listener = None if listen is False else _listener or Listener(listen or database, database_timeout, poll)
        self._follower = Follower(self._store, listener, poll=poll, tell=tell, now=_now)
        self._http = http
        self._own_http: httpx.AsyncClient | None = None
        self._qlik_timeout = qlik_timeout
        self._calls: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False

    async def credential(self, external_id: str) -> Credential:
        """The tenant's credential, as new as is known here; ask anew each time, because it may be another one then.

        Raises `NotReady`, `Removed`, `CannotOpen`, `Closed`, or `Unreachable` where none is cached.
        """
        return await self._while_open(external_id, self._store.credential(external_id))

    async def sign_in(
        self, external_id: str, *, user_id: str | None = None, subject: str | None = None, scope: str | None = None
    ) -> SignIn:
        """Gets a token for a user who is in the tenant already, by Qlik's id or your identity provider's subject.

        Where Qlik refuses the secret, the credential is read once more, and another one is tried. One of a lower
        version, as after a restore, is kept only if it got a token: Qlik may have refused the user alone. `scope` is
        space separated; what is not given is what the client may have. Nothing about users is kept.

        Raises what `credential` raises, and `Refused`.
        """
        field, value, other = ("userId", user_id, subject) if user_id else ("subject", subject, user_id)
        if not isinstance(value, str) or not value or other:
            raise TypeError("one of user_id and subject must be given")
        if scope is not None and not isinstance(scope, str):
            raise TypeError("scope must be a text")
        lookup = {"field": field, "value": value}
        return await self._while_open(external_id, self._sign_in(external_id, lookup, scope))

    async def close(self) -> None:
        """Ends all connections, tasks and waits. Every call that waited has ended when it is done, with `Closed`."""
        self._closed = True
        await end(self._calls)
        await self._follower.close()
        await self._store.close()
        await self._database.close()
        if self._own_http:
            await self._own_http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _sign_in(self, external_id: str, lookup: dict[str, str], scope: str | None) -> SignIn:
        async def ask(credential: Credential) -> SignIn | Refusal:
            answer = await request_token(self._client(), credential, lookup, scope, self._qlik_timeout)
            if isinstance(answer, SignIn):
                self._store.accepted(credential)
            return answer

        credential = await self._store.credential(external_id)
        answer = await ask(credential)
        if isinstance(answer, Refusal) and _is_of_secret(answer):
            newer = await self._newer(credential, answer)
            if newer:
                answer = await ask(newer)
        if isinstance(answer, Refusal):
            raise Refused(external_id, answer)
        return answer

    async def _newer(self, refused: Credential, refusal: Refusal) -> Credential | None:
        """What there is instead of a credential that was refused."""
        external_id, version = refused.external_id, refused.version
        try:
            read = await self._store.reread(refused)
        except Unreachable:
            detail = f"Qlik refused version {version} ({refusal.status}), and whether there is a newer one is not known"
            raise Unreachable(external_id, "database", detail) from Refused(external_id, refusal)
        is_other = (read.version, read.client_id, read.host) != (version, refused.client_id, refused.host)
        return read if is_other else None

    def _client(self) -> httpx.AsyncClient:
        if self._http:
            return self._http
        if self._own_http is None:
            # As many connections as are needed: else those to one host that hangs would be all there are.
            self._own_http = httpx.AsyncClient(limits=httpx.Limits(max_keepalive_connections=100))
        return self._own_http

    def _check(self, external_id: str) -> None:
        """Whether it may be asked for at all: one odd name would fail the statement of all that are gathered in it."""
        if not isinstance(external_id, str) or not external_id:
            raise TypeError("external_id must be a text")
        if self._closed:
            raise Closed(external_id)
        if _NO_NAME.search(external_id):
            raise NotReady(external_id, None, "no tenant can have such a name")
        loop = asyncio.get_running_loop()
        if self._loop not in (None, loop):
            # What follows changes ended with that loop, and what is cached would never be looked at again.
            raise RuntimeError("the consumer was asked on another event loop: make one for each, or a BlockingConsumer")
        self._loop = loop

    async def _while_open(self, external_id: str, act: Coroutine[Any, Any, T]) -> T:
        try:
            self._check(external_id)
        except BaseException:
            act.close()
            raise
        self._follower.start()
        call = asyncio.ensure_future(act)
        self._calls.add(call)
        try:
            return await call
        except asyncio.CancelledError as error:
            # By whoever waits for us, or by `close`. It comes through the functions that sent the secret.
            without_frames(error)
            if self._closed and not is_cancelled():
                raise Closed(external_id) from None
            raise
        finally:
            self._calls.discard(call)


def _is_of_secret(refusal: Refusal) -> bool:
    """Whether a refusal may be because of the secret or the client."""
    return refusal.status == 401 or any(code in ("OAUTH-14", "invalid_client") for code in refusal.codes)
