"""What can go wrong, as types: each is one thing that a web app does about it.

The rule: no error holds a secret, neither does its cause or context, and of Qlik's answers only codes and the trace id
are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

E = TypeVar("E", bound=BaseException)

WhyNotOpen = Literal["NoKey", "NoKeyring", "Altered", "Moved"]
"""No such key in the keyring; no keyring; no JWE of ours, or one that was changed; or one sealed for another row."""


class TenantdError(Exception):
    """What all errors of this library are."""

    def __init__(self, external_id: str, message: str) -> None:
        super().__init__(f"{external_id}: {message}")
        self.external_id = external_id
        """Whose credential was asked for."""

    def __reduce__(self) -> tuple[Any, ...]:
        """By what it holds, and not by what it was made from: so that it goes from process to process."""
        return _made_anew, (type(self), self.args, vars(self))


class NotReady(TenantdError):
    """There is no credential yet, or no such tenant."""

    def __init__(
        self, external_id: str, reason: str | None = None, detail: str = "tenantd.credentials has none"
    ) -> None:
        super().__init__(external_id, f"has no credential yet: {f'{reason}, ' if reason else ''}{detail}")
        self.reason = reason
        """`reason` of `tenantd.status`; None where this login may not read that view, or it has no such tenant."""


class Removed(TenantdError):
    """The tenant was removed, or is being removed: it has no credential any more."""

    def __init__(self, external_id: str) -> None:
        super().__init__(external_id, "was removed: tenantd has withdrawn its credential")


class CannotOpen(TenantdError):
    """There is a credential, and none of its secrets opens with this keyring."""

    def __init__(self, external_id: str, version: int, why: WhyNotOpen, key_id: str | None, detail: str) -> None:
        super().__init__(external_id, f"version {version} does not open: {detail}")
        self.version = version
        """The version that does not open."""
        self.why: WhyNotOpen = why
        self.key_id = key_id
        """`kid` of the key that it is sealed with, where it says one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Qlik's own words for a refusal, as far as they may be kept."""

    status: int
    codes: tuple[str, ...] = ()
    trace_id: str | None = None
    retry_after: int | None = None


class Refused(TenantdError):
    """Qlik answered, and the answer is no: the user, the consent or the credential; asking again does not help."""

    def __init__(self, external_id: str, refusal: Refusal) -> None:
        super().__init__(external_id, f"Qlik refused the sign-in: {' '.join([str(refusal.status), *refusal.codes])}")
        self.status = refusal.status
        """The HTTP status. 429 is a throttle: see `retry_after`."""
        self.codes = refusal.codes
        """Qlik's error codes, such as `OAUTH-5`."""
        self.trace_id = refusal.trace_id
        self.retry_after = refusal.retry_after
        """After how many seconds Qlik wants to be asked again, where it said so."""


class Unreachable(TenantdError):
    """Nobody answered in time, or not so that it can be used: asking again later may help."""

    def __init__(self, external_id: str, what: Literal["database", "qlik"], detail: str) -> None:
        super().__init__(external_id, f"{'Qlik' if what == 'qlik' else 'the database'} cannot be reached: {detail}")
        self.what: Literal["database", "qlik"] = what


class Closed(TenantdError):
    """The consumer was closed."""

    def __init__(self, external_id: str) -> None:
        super().__init__(external_id, "the consumer is closed")


def _made_anew(kind: type[TenantdError], args: tuple[Any, ...], held: dict[str, Any]) -> TenantdError:
    error = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(held)
    return error


def causes_of(error: BaseException) -> list[BaseException]:
    """An error, and all that it came from."""
    found: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in found:
            found[id(one)] = one
            waiting += [one.__cause__, one.__context__]
            waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
    return list(found.values())


def without_frames(error: E) -> E:
    """The same error, and nothing of where it came through.

    A driver's functions hold the address and its password, as psycopg's errors do, an app's own a keyring, and
    collectors of errors write down the variables of each.
    """
    for one in causes_of(error):
        one.__traceback__ = None
        if "_pgconn" in vars(one):
            vars(one)["_pgconn"] = None  # As where psycopg pickles it.
    return error


def words_of(error: BaseException) -> str:
    """What an error of another library says, on one line."""
    return " ".join(f"{error}".split()) or type(error).__name__
