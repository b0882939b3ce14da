"""Credentials by tenant: what is cached, and what the database says.

The rule: a cached credential serves until a read says otherwise; a read that fails says nothing; one that finds no row
forgets the credential at once. For each tenant one read is on its way at a time, however many wait for it; and those
of many tenants that are first asked for at once are gathered.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from .backoff import backoff
from .cache import Cache, Due, Held
from .credential import Credential
from .errors import CannotOpen, NotReady, Removed, TenantdError, Unreachable, without_frames, words_of
from .events import Event, Tell
from .gatherer import BATCH, Gatherer, groups
from .keyring import Opener
from .rows import Database, NotToBeRead, Row, Status
from .tasks import end

_FAILURES = 3
"""After so many acknowledgements that failed in a row it is the database, and the next poll will tell."""
_PUT_OFF = 60.0
"""How long an acknowledgement that failed is put off at most."""
_DOUBLINGS = 4
"""By how many that begins: a locked row is not asked often."""


@dataclass(slots=True)
class _Found:
    """What a read came to."""

    credential: Credential
    """What is held from now on."""
    lower: Credential | None = None
    """Of a lower version than what is held, and so only for whoever was refused."""
    refusal: CannotOpen | None = None
    """Why the version that is held has no row any more, and what there is instead does not open."""


@dataclass(slots=True)
class _Flight:
    found: asyncio.Task[_Found]
    read_at: float = math.inf
    """The number of its statement; more than that of any other until it is sent."""
    empty_at: int = 0
    """The newest read that found nothing while this one is on its way."""


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
        self._rows: Gatherer[Sequence[Row]] = Gatherer(self._rows_of, self._next_read)
        self._statuses: Gatherer[Status | NotToBeRead | None] = Gatherer(self._statuses_of)
        self._flights: dict[str, _Flight] = {}
        self._to_acknowledge: deque[tuple[str, Due]] = deque()
        """In order of time, because each waits equally long."""
        self._put_off: list[tuple[str, Due]] = []
        """Those that failed: few, because several that fail in a row end a round."""
        self._reads = 0

    async def credential(self, external_id: str) -> Credential:
        """The cached credential, or what the database says."""
        held = self._cache.get(external_id)
        credential = (held and held.credential) or (await self._read(external_id)).credential
        self._use(external_id, credential)
        return credential

    async def reread(self, refused: Credential) -> Credential:
        """What the database says from now on, because Qlik refused this credential.

        The refusal may be of the user alone: so a lower version than that is given and not yet held. Raises
        `CannotOpen` where what there is instead does not open.
        """
        external_id, since = refused.external_id, self._reads
        while (flight := self._flights.get(external_id)) and flight.read_at <= since:
            await asyncio.wait({flight.found})
        found = await self._read(external_id)
        is_held = found.credential.version == refused.version
        if is_held and found.lower:
            return found.lower
        if is_held and found.refusal:
            raise found.refusal
        self._use(external_id, found.credential)
        return found.credential

    def accepted(self, credential: Credential) -> None:
        """Qlik took this credential."""
        external_id, version = credential.external_id, credential.version
        held = self._cache.peek(external_id)
        lower = held.lower if held else None
        if lower is None or lower.credential is None:
            return
        if (lower.credential.version, lower.credential.client_id) == (version, credential.client_id):
            self._cache.put(external_id, lower)
            self._tell(Event("rotated", external_id, version))
            self._use(external_id, lower.credential)

    def follows(self, external_id: str) -> bool:
        """Whether anybody here would miss a change of this tenant."""
        return self._cache.peek(external_id) is not None or external_id in self._flights

    async def refresh(self, external_ids: Sequence[str]) -> None:
        """Reads these tenants anew, as far as they are followed. Raises what the database says."""
        for ids in _batches([external_id for external_id in external_ids if self.follows(external_id)]):
            read_at = self._next_read()
            rows = groups(await self._database.read(ids))
            for external_id in ids:
                if self.follows(external_id):
                    # What does not open was told, and what is held serves on.
                    with contextlib.suppress(CannotOpen):
                        await self._take(external_id, rows.get(external_id, []), read_at)

    async def sweep(self, between: Callable[[], Awaitable[None]]) -> None:
        """Compares all that is cached with the database, and reads what differs. Raises what the database says.

        Who was asked for last comes first. `between` is called before each batch.
        """
        for ids in _batches(self._cache.ids()[::-1]):
            await between()
            read_at = self._next_read()
            versions = await self._database.versions(ids)
            for external_id in ids:
                if external_id not in versions:
                    self._forget(external_id, read_at)
            await self.refresh(
                [external_id for external_id in ids if self._differs(external_id, versions.get(external_id))]
            )

    async def acknowledge(self, is_enough: Callable[[], bool]) -> float:
        """Makes the acknowledgements whose time has come, until there is something else to do; says when the next is.

        One that fails, as at a row that somebody locks, is put off, and the others are made.
        """
        failures = 0
        while (one := self._next_due()) is not None:
            failures = 0 if await self._acknowledge(*one) else failures + 1
            if failures >= _FAILURES:
                return math.inf
            if is_enough():
                return self._now()
        waiting = [*self._put_off, *itertools.islice(self._to_acknowledge, 1)]
        return min((due.since for _, due in waiting if due.since is not None), default=math.inf)

    def _next_due(self) -> tuple[str, Due] | None:
        """Taken out of those that wait; what a further version or a removal made needless goes as well."""
        now = self._now()
        self._put_off = [one for one in self._put_off if self._is_wanted(*one)]
        for place, (_, due) in enumerate(self._put_off):
            if due.since is not None and due.since <= now:
                return self._put_off.pop(place)
        while self._to_acknowledge:
            external_id, due = self._to_acknowledge[0]
            is_wanted = self._is_wanted(external_id, due)
            if is_wanted and due.since is not None and due.since > now:
                return None
            self._to_acknowledge.popleft()
            if is_wanted:
                return external_id, due
        return None

    def _is_wanted(self, external_id: str, due: Due) -> bool:
        held = self._cache.peek(external_id)
        return held is not None and held.acknowledge is due

    async def _acknowledge(self, external_id: str, due: Due) -> bool:
        try:
            is_current = await self._database.acknowledge(external_id, due.version)
        except Exception:
            due.failures += 1
            due.since = self._now() + backoff(due.failures + _DOUBLINGS, _PUT_OFF)
            self._put_off.append((external_id, due))
            return False
        # A further version may have come meanwhile, with an acknowledgement of its own.
        held = self._cache.peek(external_id)
        if held and held.acknowledge is due:
            held.acknowledged = due.version
            held.acknowledge = None
        if is_current:
            self._tell(Event("acknowledged", external_id, due.version))
        return True

    async def close(self) -> None:
        """Ends all reads."""
        await end([flight.found for flight in self._flights.values()])
        await self._rows.close()
        await self._statuses.close()

    async def _read(self, external_id: str) -> _Found:
        flight = self._flights.get(external_id)
        if flight is None:
            flight = _Flight(asyncio.create_task(self._read_now(external_id)))
            flight.found.add_done_callback(lambda task: self._landed(external_id, task))
            self._flights[external_id] = flight
        # Whoever leaves does not end it for the others.
        return await asyncio.shield(flight.found)

    def _landed(self, external_id: str, task: asyncio.Task[_Found]) -> None:
        self._flights.pop(external_id, None)
        if not task.cancelled():
            task.exception()  # Whoever waited may have left.

    async def _read_now(self, external_id: str) -> _Found:
        was_held = self._cache.peek(external_id) is not None
        if found := await self._look(external_id):
            return found
        if why := await self._why_none(external_id, was_held or self._cache.peek(external_id) is not None):
            raise why
        # It became ready between the two statements.
        if late := await self._look(external_id):
            return late
        raise NotReady(external_id)

    async def _look(self, external_id: str) -> _Found | None:
        read_at = 0

        def began(number: int) -> None:
            nonlocal read_at
            self._flights[external_id].read_at = read_at = number

        try:
            rows = await self._rows.read(external_id, began)
        except Exception as error:
            held = self._cache.peek(external_id)
            if held and held.credential is None:
                # What is known of a removal stays true.
                raise Removed(external_id) from without_frames(error)
            raise Unreachable(external_id, "database", words_of(error)) from without_frames(error)
        return await self._take(external_id, rows, read_at)

    async def _take(self, external_id: str, rows: Sequence[Row], read_at: int) -> _Found | None:
        """Takes over what a read found; gives what is held afterwards. Raises `CannotOpen` where that is nothing."""
        if not rows:
            self._forget(external_id, read_at)
            return _found_of(self._cache.peek(external_id))
        known = self._cache.peek(external_id)
        credential: Credential | None
        if known and known.credential and _is_same(known.credential, rows[0]):
            credential, refusal = known.credential, None
        else:
            credential, refusal = await self._open_highest(rows)
        if refusal and (known is None or known.version != rows[0].version):
            self._tell(Event("cannot_open", external_id, refusal.version, refusal))
        held = self._cache.peek(external_id)
        flight = self._flights.get(external_id)
        if held is None and flight and flight.empty_at > read_at:
            # What these rows tell of was withdrawn while they were on their way.
            self._cache.put(external_id, Held(None, rows[0].version, flight.empty_at))
            return None
        if credential is None:
            return _without_opening(held, refusal, rows, read_at)
        after = _held_after(held, credential, rows, read_at)
        if held and held.credential and self._cache.is_lower(external_id, read_at, credential.version):
            held.lower = after
            return _Found(held.credential, lower=credential)
        if not self._cache.accepts(external_id, read_at, credential.version):
            return _found_of(held)
        before = held.credential if held else None
        self._cache.put(external_id, after)
        if before and before.version != credential.version:
            self._tell(Event("rotated", external_id, credential.version))
        return _Found(credential)

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
        self._to_acknowledge.append((external_id, due))
        # Before any other the follower wakes by itself.
        if len(self._to_acknowledge) == 1:
            self._acknowledges()

    def _forget(self, external_id: str, read_at: int) -> None:
        if flight := self._flights.get(external_id):
            # Where nothing is held yet, this alone tells an older read that lands later.
            flight.empty_at = max(flight.empty_at, read_at)
        if self._cache.remove(external_id, read_at):
            self._tell(Event("removed", external_id))

    def _differs(self, external_id: str, version: int | None) -> bool:
        held = self._cache.peek(external_id)
        known = held.credential.version if held and held.credential else None
        return version is not None and version != known

    async def _why_none(self, external_id: str, was_held: bool) -> TenantdError | None:
        """Why a tenant has no credential, which once had one here or not; None where it has one after all."""
        status: Status | NotToBeRead | None
        try:
            status = await self._statuses.read(external_id)
        except Exception:
            status = NotToBeRead()
        # What had one was removed, unless a new life is told of.
        if was_held and not isinstance(status, Status):
            return Removed(external_id)
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

    async def _rows_of(self, external_ids: Sequence[str]) -> Callable[[str], Sequence[Row]]:
        rows = groups(await self._database.read(external_ids))
        return lambda external_id: rows.get(external_id, [])

    async def _statuses_of(self, external_ids: Sequence[str]) -> Callable[[str], Status | NotToBeRead | None]:
        found = await self._database.status(external_ids)
        return lambda external_id: found if isinstance(found, NotToBeRead) else found.get(external_id)

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
        after.acknowledged = held.acknowledged
    # Only while an older one lives does it matter to anybody.
    is_current = any(row.version == version and row.stage == "current" for row in rows)
    has_older = any(row.version < version for row in rows)
    if is_current and has_older and after.acknowledged != version:
        due = held.acknowledge if held else None
        after.acknowledge = due if due and due.version == version else Due(version)
    return after


def _found_of(held: Held | None) -> _Found | None:
    return _Found(held.credential) if held and held.credential else None


def _without_opening(held: Held | None, refusal: CannotOpen | None, rows: Sequence[Row], read_at: int) -> _Found | None:
    """What a read came to of which no row opens: what is held serves on."""
    found = _found_of(held)
    if held is None or found is None:
        if refusal:
            raise refusal
        return None
    held.version = rows[0].version
    if held.read_at <= read_at and all(row.version != found.credential.version for row in rows):
        found.refusal = refusal
    return found


def _batches(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for begin in range(0, len(ids), BATCH):
        yield ids[begin : begin + BATCH]
