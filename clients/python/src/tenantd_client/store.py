"""Credentials by tenant: what is cached, and what the database says.

The rule: a cached credential serves until a read says otherwise; a read that fails says nothing; one that finds no row
forgets the credential at once. For each tenant one read is on its way at a time, however many wait for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from .cache import Cache, Due, Held
from .credential import Credential
from .errors import CannotOpen, NotReady, Removed, TenantdError, Unreachable, words_of
from .events import Event, Tell
from .keyring import Opener
from .rows import Database, NotToBeRead, Row

_BATCH = 500
"""How many tenants one statement asks for."""


@dataclass(slots=True)
class _Flight:
    read_at: int
    credential: asyncio.Task[Credential]


class Store:
    def __init__(
        self,
        database: Database,
        opener: Opener,
        cache: Cache,
        *,
        tell: Tell,
        now: Callable[[], float],
        acknowledge_after: float | None,
        acknowledges: Callable[[], None],
    ) -> None:
        """`acknowledges` is called when there is an acknowledgement to be made."""
        self._database = database
        self._opener = opener
        self._cache = cache
        self._tell = tell
        self._now = now
        self._acknowledge_after = acknowledge_after
        self._acknowledges = acknowledges
        self._flights: dict[str, _Flight] = {}
        self._to_acknowledge: set[str] = set()
        self._reads = 0

    async def credential(self, external_id: str) -> Credential:
        """The cached credential, or what the database says."""
        held = self._cache.get(external_id)
        credential = (held and held.credential) or await self._read(external_id)
        self._use(external_id, credential)
        return credential

    async def reread(self, external_id: str, refused: int) -> Credential:
        """What the database says from now on, because Qlik refused this version."""
        if held := self._cache.peek(external_id):
            held.refused = refused
        since = self._reads
        while (flight := self._flights.get(external_id)) and flight.read_at <= since:
            await asyncio.wait({flight.credential})
        credential = await self._read(external_id)
        self._use(external_id, credential)
        return credential

    def accepted(self, external_id: str, version: int) -> None:
        """Qlik took this version."""
        held = self._cache.peek(external_id)
        if held and held.refused == version:
            held.refused = None

    def follows(self, external_id: str) -> bool:
        """Whether anybody here would miss a change of this tenant."""
        return self._cache.peek(external_id) is not None or external_id in self._flights

    async def refresh(self, external_ids: Sequence[str]) -> None:
        """Reads these tenants anew, as far as they are followed. Raises what the database says."""
        for ids in _batches([external_id for external_id in external_ids if self.follows(external_id)]):
            read_at = self._next_read()
            rows = _groups(await self._database.read(ids))
            for external_id in ids:
                if self.follows(external_id):
                    # What does not open was told, and what is held serves on.
                    with contextlib.suppress(CannotOpen):
                        await self._take(external_id, rows.get(external_id, []), read_at)

    async def sweep(self) -> None:
        """Compares all that is cached with the database, and reads what differs. Raises what the database says."""
        for ids in _batches(self._cache.ids()):
            read_at = self._next_read()
            versions = await self._database.versions(ids)
            for external_id in ids:
                if external_id not in versions:
                    self._forget(external_id, read_at)
            await self.refresh(
                [external_id for external_id in ids if self._differs(external_id, versions.get(external_id))]
            )

    async def acknowledge(self) -> float:
        """Makes the acknowledgements whose time has come, and says when the next is. Raises what the database says."""
        following = math.inf
        for external_id in list(self._to_acknowledge):
            held = self._cache.peek(external_id)
            due = held.acknowledge if held else None
            if held is None or due is None or due.since is None:
                self._to_acknowledge.discard(external_id)
            elif due.since > self._now():
                following = min(following, due.since)
            else:
                is_current = await self._database.acknowledge(external_id, due.version)
                held.acknowledged = due.version
                held.acknowledge = None
                self._to_acknowledge.discard(external_id)
                if is_current:
                    self._tell(Event("acknowledged", external_id, due.version))
        return following

    async def close(self) -> None:
        """Ends all reads."""
        tasks = {flight.credential for flight in self._flights.values()}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _read(self, external_id: str) -> Credential:
        flight = self._flights.get(external_id)
        if flight is None:
            read_at = self._next_read()
            flight = _Flight(read_at, asyncio.create_task(self._read_now(external_id, read_at)))
            flight.credential.add_done_callback(lambda task: self._landed(external_id, task))
            self._flights[external_id] = flight
        # Whoever leaves does not end it for the others.
        return await asyncio.shield(flight.credential)

    def _landed(self, external_id: str, task: asyncio.Task[Credential]) -> None:
        self._flights.pop(external_id, None)
        if not task.cancelled():
            task.exception()  # Whoever waited may have left.

    async def _read_now(self, external_id: str, read_at: int) -> Credential:
        was_held = self._cache.peek(external_id) is not None
        if credential := await self._look(external_id, read_at):
            return credential
        if was_held:
            raise Removed(external_id)
        if why := await self._why_none(external_id):
            raise why
        # It became ready between the two statements.
        if late := await self._look(external_id, self._next_read()):
            return late
        raise NotReady(external_id)

    async def _look(self, external_id: str, read_at: int) -> Credential | None:
        try:
            rows = await self._database.read([external_id])
        except Exception as error:
            held = self._cache.peek(external_id)
            if held and held.credential is None:
                # What is known of a removal stays true.
                raise Removed(external_id) from error
            raise Unreachable(external_id, "database", words_of(error)) from error
        return await self._take(external_id, rows, read_at)

    async def _take(self, external_id: str, rows: Sequence[Row], read_at: int) -> Credential | None:
        """Takes over what a read found; gives what is held afterwards. Raises `CannotOpen` where that is nothing."""
        if not rows:
            self._forget(external_id, read_at)
            held = self._cache.peek(external_id)
            return held.credential if held else None
        known = self._cache.peek(external_id)
        credential: Credential | None
        if known and known.credential and _is_same(known.credential, rows[0]):
            credential, refusal = known.credential, None
        else:
            credential, refusal = await self._open_highest(rows)
        if refusal and (known is None or known.version != rows[0].version):
            self._tell(Event("cannot_open", external_id, refusal.version, refusal))
        held = self._cache.peek(external_id)
        if credential is None:
            if refusal and (held is None or held.credential is None):
                raise refusal
            if held:
                held.version = rows[0].version
            return held.credential if held else None
        if not self._cache.accepts(external_id, read_at, credential.version):
            return held.credential if held else None
        before = held.credential if held else None
        self._cache.put(external_id, _held_after(held, credential, rows, read_at))
        if before and before.version != credential.version:
            self._tell(Event("rotated", external_id, credential.version))
        return credential

    async def _open_highest(self, rows: Sequence[Row]) -> tuple[Credential | None, CannotOpen | None]:
        refusal: CannotOpen | None = None
        for row in rows:
            try:
                return await self._opener.open(row), refusal
            except CannotOpen as error:
                refusal = refusal or error
        return None, refusal

    def _use(self, external_id: str, credential: Credential) -> None:
        held = self._cache.peek(external_id)
        due = held.acknowledge if held else None
        if self._acknowledge_after is None or due is None or due.version != credential.version or due.since is not None:
            return
        due.since = self._now() + self._acknowledge_after
        self._to_acknowledge.add(external_id)
        self._acknowledges()

    def _forget(self, external_id: str, read_at: int) -> None:
        if self._cache.remove(external_id, read_at):
            self._tell(Event("removed", external_id))

    def _differs(self, external_id: str, version: int | None) -> bool:
        held = self._cache.peek(external_id)
        known = held.credential.version if held and held.credential else None
        return version is not None and version != known

    async def _why_none(self, external_id: str) -> TenantdError | None:
        """Why a tenant that never had a credential here has none; None where it has one after all."""
        try:
            status = await self._database.status(external_id)
        except Exception:
            return NotReady(external_id)
        if isinstance(status, NotToBeRead):
            return NotReady(external_id)
        if status is None:
            return NotReady(external_id, None, "tenantd.tenants has no such tenant")
        if status.ready:
            return None
        # A version and no credential: it was withdrawn because the tenant should be absent.
        if status.version is not None or status.phase in ("removing", "removed"):
            return Removed(external_id)
        return NotReady(external_id, status.reason, status.message or "tenantd.credentials has none")

    def _next_read(self) -> int:
        self._reads += 1
        return self._reads


def _is_same(credential: Credential, row: Row) -> bool:
    """Whether the credential is this row's, so that nothing has to be opened."""
    return (credential.version, credential.client_id, credential.host, credential.tenant_id) == (
        row.version,
        row.client_id,
        row.host,
        row.tenant_id,
    )


def _held_after(held: Held | None, credential: Credential, rows: Sequence[Row], read_at: int) -> Held:
    version = credential.version
    after = Held(credential, rows[0].version, read_at)
    if held:
        after.refused, after.acknowledged = held.refused, held.acknowledged
    # Only while an older one lives does it matter to anybody.
    is_current = any(row.version == version and row.stage == "current" for row in rows)
    has_older = any(row.version < version for row in rows)
    if is_current and has_older and after.acknowledged != version:
        due = held.acknowledge if held else None
        after.acknowledge = due if due and due.version == version else Due(version)
    return after


def _groups(rows: Sequence[Row]) -> dict[str, list[Row]]:
    by_tenant: dict[str, list[Row]] = {}
    for row in rows:
        by_tenant.setdefault(row.external_id, []).append(row)
    return by_tenant


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ids), _BATCH):
        yield ids[begin : begin + _BATCH]
