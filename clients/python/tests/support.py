"""Stand-ins for the tests: a database in memory, a Qlik that knows which secret is right, and a clock that is set."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import httpx
from jwcrypto import jwe, jwk

from tenantd_client import Consumer, Event
from tenantd_client.errors import causes_of
from tenantd_client.listener import Heard
from tenantd_client.rows import NotToBeRead, Row, Status

CUSTOMER = "customer-42"
Key = dict[str, Any]


def new_key(kid: str) -> Key:
    return dict(json.loads(jwk.JWK.generate(kty="oct", size=256, kid=kid).export()))


def seal(plain: object, key: Key) -> str:
    text = plain if isinstance(plain, str) else json.dumps(plain)
    header = json.dumps({"alg": "A256KW", "enc": "A256GCM", "kid": key["kid"]})
    token = jwe.JWE(text.encode(), protected=header)
    token.add_recipient(jwk.JWK(**key))
    return str(token.serialize(compact=True))


class FakeDatabase:
    """Tables in memory, whose statements can be counted, held up and refused."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.statuses: dict[str, Status] | None = None
        self.fault: Exception | None = None
        self.gate: asyncio.Event | None = None
        """Statements wait for it before they look."""
        self.answer_gate: asyncio.Event | None = None
        """And for this one before they answer what they saw."""
        self.reads: list[list[str]] = []
        self.sweeps = 0
        self.acknowledged: list[tuple[str, int]] = []
        self.on_acknowledge: Callable[[str], Awaitable[None]] | None = None
        """What happens before an acknowledgement is made; what it raises is what the database says."""
        self.asked: list[str] = []
        """What was asked, in its order."""
        self.closed = False

    async def _pass(self) -> None:
        if self.gate:
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.fault:
            raise self.fault

    async def read(self, external_ids: Sequence[str]) -> Sequence[Row]:
        self.reads.append(list(external_ids))
        self.asked.append("read")
        await self._pass()
        seen = [row for row in self.rows if row.external_id in external_ids]
        if self.answer_gate:
            await self.answer_gate.wait()
        return sorted(seen, key=lambda row: -row.version)

    async def versions(self, external_ids: Sequence[str]) -> Mapping[str, int]:
        await self._pass()
        self.sweeps += 1
        self.asked.append("sweep")
        found: dict[str, int] = {}
        for row in self.rows:
            if row.external_id in external_ids:
                found[row.external_id] = max(row.version, found.get(row.external_id, 0))
        return found

    async def acknowledge(self, external_id: str, version: int) -> bool:
        self.asked.append("acknowledge")
        await self._pass()
        if self.on_acknowledge:
            await self.on_acknowledge(external_id)
        self.acknowledged.append((external_id, version))
        return any(row.version == version and row.stage == "current" for row in self.rows)

    async def status(self, external_ids: Sequence[str]) -> Mapping[str, Status] | NotToBeRead:
        self.asked.append("status")
        await self._pass()
        if self.statuses is None:
            return NotToBeRead()
        return {one: status for one, status in self.statuses.items() if one in external_ids}

    async def close(self) -> None:
        self.closed = True


class FakeListener:
    heard: Heard | None = None

    async def run(self, heard: Heard) -> None:
        self.heard = heard
        try:
            await asyncio.Event().wait()
        finally:
            self.heard = None


Answer = Callable[[], "httpx.Response | Awaitable[httpx.Response]"]


class Stage:
    """One tenant as it is, and a consumer of it."""

    def __init__(self, **options: Any) -> None:
        self.database = FakeDatabase()
        self.listener = FakeListener()
        self.events: list[Event] = []
        self.keys = [new_key("first")]
        self.taken: set[str] = set()
        """The secrets that Qlik takes."""
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.answers: list[Answer] = []
        """What Qlik answers instead, once each."""
        self.http: Callable[[httpx.Request], Awaitable[httpx.Response]] | None = None
        """What answers every request instead."""
        self.now = 0.0
        given: dict[str, Any] = {"keyring": {"keys": self.keys}, "poll": 0.02, "acknowledge_after": 0.0, **options}
        self.consumer = Consumer(
            "postgres://nowhere",
            http=httpx.AsyncClient(transport=httpx.MockTransport(self._answer)),
            on_event=self.events.append,
            _database=self.database,
            _listener=self.listener,
            _now=lambda: self.now + monotonic(),
            **given,
        )

    def row(
        self,
        version: int,
        *,
        external_id: str = CUSTOMER,
        key: Key | None = None,
        plain: object = None,
        sealed: str | None = None,
    ) -> Row:
        bound = {
            "tenant_id": f"tenant of {external_id}",
            "host": f"{external_id}.us.qlikcloud.com",
            "client_id": f"client of {external_id}",
        }
        secret = f"secret {version} of {external_id}"
        self.taken.add(secret)
        if sealed is None:
            sealed = seal({**bound, "client_secret": secret} if plain is None else plain, key or self.keys[0])
        return Row(external_id=external_id, version=version, stage="current", sealed=sealed, **bound)

    def rotate_to(self, version: int, **options: Any) -> None:
        """The tenant gets this version, and the one before becomes the previous one."""
        row = self.row(version, **options)
        self.database.rows = [
            replace(other, stage="previous") if other.external_id == row.external_id else other
            for other in self.database.rows
        ]
        self.database.rows.append(row)

    async def until(self, what: Callable[[], bool]) -> None:
        """Until this holds; what never holds fails the test."""
        for _ in range(500):
            if what():
                return
            await asyncio.sleep(0.005)
        raise AssertionError("never held")

    async def hears(self) -> Heard:
        await self.until(lambda: self.listener.heard is not None)
        assert self.listener.heard
        return self.listener.heard

    async def sweeps(self, count: int) -> None:
        """Until so many more sweeps were made."""
        until = self.database.sweeps + count
        await self.until(lambda: self.database.sweeps >= until)

    def told(self, kind: str) -> bool:
        return any(event.kind == kind for event in self.events)

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        if self.http:
            return await self.http(request)
        body = json.loads(request.content)
        self.requests.append((str(request.url), body))
        if self.answers:
            answer = self.answers.pop(0)()
            return answer if isinstance(answer, httpx.Response) else await answer
        return token() if body["client_secret"] in self.taken else refusal(401, "OAUTH-5")


def everything(error: BaseException | None) -> str:
    """All that an error holds or came from, as a collector of errors might write it down."""
    if error is None:
        return ""
    inner = [error.__cause__, error.__context__, *getattr(error, "exceptions", ())]
    held = [repr(getattr(one, "content", one)) for one in vars(error).values()]
    return " ".join([repr(error), str(error), *held, *map(everything, inner)])


def variables_of(error: BaseException) -> str:
    """What the variables held of all functions that an error came through, but for those of the tests."""
    frames = [frame for one in causes_of(error) for frame, _ in traceback.walk_tb(one.__traceback__)]
    passed = [frame for frame in frames if "tests" not in frame.f_code.co_filename]
    return " ".join(f"{name} {one!r}" for frame in passed for name, one in frame.f_locals.items())


def token(headers: dict[str, str] | None = None, **more: object) -> httpx.Response:
    said = {"access_token": "a token", "token_type": "bearer", **(more or {"expires_in": 21_600})}
    return httpx.Response(200, json=said, headers=headers)


def refusal(status: int, code: str, headers: dict[str, str] | None = None) -> httpx.Response:
    said = {"errors": [{"code": code, "title": "No"}], "traceId": "e6f75ad8"}
    return httpx.Response(status, json=said, headers=headers)
