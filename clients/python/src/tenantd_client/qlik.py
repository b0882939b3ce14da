"""The one request to Qlik: a token for a user, with a tenant's credential.

The rule: a credential goes to its own host and nowhere else (no redirect is followed), and of an answer that is no
token only codes and the trace id are kept.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from .credential import Credential, SignIn
from .errors import Refusal, Unreachable, words_of
from .tasks import is_cancelled

_IMPERSONATION = "urn:qlik:oauth:user-impersonation"
_LONGEST = 256 * 1024
"""Longer than any answer of `/oauth/token`."""
_CODE = re.compile(r"[\w.-]{1,64}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,6}")
_LONGEST_WAIT = 1_000_000
"""In seconds, as of six digits."""


async def request_token(
    http: httpx.AsyncClient, credential: Credential, lookup: Mapping[str, str], scope: str | None, timeout: float
) -> SignIn | Refusal:
    """A token, or Qlik's no. Raises `Unreachable`."""
    try:
        async with asyncio.timeout(timeout):
            # Qlik may have closed a kept connection while the request was on its way. Asking twice makes two tokens at
            # most.
            with contextlib.suppress(httpx.TransportError):
                return await _ask(http, credential, lookup, scope)
            if is_cancelled():
                # The transport took our own end of it for a fault.
                raise asyncio.CancelledError
            return await _ask(http, credential, lookup, scope)
    except Unreachable:
        raise
    except TimeoutError:
        what = f"no answer after {timeout:g} s"
    except Exception as error:
        # Whatever the app's own client raises.
        what = words_of(error)
    # Not from that error, nor while it is handled: it holds the request, whose body is the secret.
    raise Unreachable(credential.external_id, "qlik", what)


async def _ask(
    http: httpx.AsyncClient, credential: Credential, lookup: Mapping[str, str], scope: str | None
) -> SignIn | Refusal:
    asked_at = datetime.now(UTC)
    async with http.stream(
        "POST",
        f"https://{credential.host}/oauth/token",
        content=_body_of(credential, lookup, scope),
        headers={"accept": "application/json", "content-type": "application/json"},
        follow_redirects=False,
        timeout=None,
    ) as answer:
        said = _parsed(await _text_of(credential, answer))
    if answer.status_code >= 500 or answer.status_code == 408:
        raise Unreachable(credential.external_id, "qlik", f"it answered {answer.status_code}")
    if answer.status_code != 200:
        return _refusal_of(answer, said)
    token = said.get("access_token")
    if not isinstance(token, str) or not token:
        raise Unreachable(credential.external_id, "qlik", "its answer is no token")
    return SignIn(credential.host, token, expiry_of(said, answer.headers.get("date"), asked_at))


def _body_of(credential: Credential, lookup: Mapping[str, str], scope: str | None) -> bytes:
    """In a function of its own, so that no variable of those that raise holds the secret.

    Any text can be sent: what cannot be encoded would raise an error that holds all of it.
    """
    body = {
        "client_id": credential.client_id,
        "client_secret": credential.client_secret,
        "grant_type": _IMPERSONATION,
        "user_lookup": dict(lookup),
        **({} if scope is None else {"scope": scope}),
    }
    return json.dumps(body).encode("ascii")


def expiry_of(said: Mapping[str, Any], date: str | None, asked_at: datetime) -> datetime | None:
    """By this machine's clock, which may be wrong: so lengths of time count, and instants only against Qlik's own."""
    seconds = said.get("expires_in")
    if isinstance(seconds, int | float) and seconds > 0:
        # Whatever Qlik says, its token is one.
        with contextlib.suppress(OverflowError):
            return asked_at + timedelta(seconds=seconds)
        return None
    try:
        at = datetime.fromisoformat(str(said.get("expires_at")))
    except ValueError:
        return None
    if at.tzinfo is None:
        return None
    try:
        return asked_at + (at - parsedate_to_datetime(date or ""))
    except (ValueError, TypeError, OverflowError):
        return at


async def _text_of(credential: Credential, answer: httpx.Response) -> bytes:
    text = b""
    async for chunk in answer.aiter_bytes():
        text += chunk
        if len(text) > _LONGEST:
            raise Unreachable(credential.external_id, "qlik", "its answer is too long")
    return text


def _refusal_of(answer: httpx.Response, said: Mapping[str, Any]) -> Refusal:
    errors = said.get("errors")
    codes = [error.get("code") for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
    codes.append(said.get("error"))  # As RFC 6749 has it.
    trace_id = said.get("traceId")
    return Refusal(
        status=answer.status_code,
        codes=tuple(code for code in codes if isinstance(code, str) and _CODE.fullmatch(code)),
        trace_id=trace_id if isinstance(trace_id, str) and _CODE.fullmatch(trace_id) else None,
        retry_after=wait_of(answer.headers.get("retry-after", ""), answer.headers.get("date", "")),
    )


def wait_of(after: str, date: str) -> int | None:
    """`Retry-After` (RFC 9110, section 10.2.3) in seconds: itself seconds, or a date, against the answer's own."""
    if _SECONDS.fullmatch(after):
        return int(after)
    try:
        wait = (parsedate_to_datetime(after) - parsedate_to_datetime(date)).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return None
    return int(wait) if 0 <= wait < _LONGEST_WAIT else None


def _parsed(text: bytes) -> Mapping[str, Any]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    return said if isinstance(said, dict) else {}
