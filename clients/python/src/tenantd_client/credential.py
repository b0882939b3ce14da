"""What a web app is given: a tenant's credential, and a user's token.

The rule: the secret in it is shown to whoever asks for that attribute by name, and to nobody else: not to repr, a log,
`dataclasses.asdict`, `vars` or pickle.
"""

from __future__ import annotations

from datetime import datetime
from typing import NoReturn

from .rows import Row


class _Redacted:
    __slots__: tuple[str, ...] = ()

    def __repr__(self) -> str:
        shown = [name for name in self.__slots__ if not name.startswith("_")]
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)}, [redacted])"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not to be stored")


class Credential(_Redacted):
    """A tenant's credential."""

    __slots__ = ("_client_secret", "client_id", "external_id", "host", "tenant_id", "version")

    def __init__(self, row: Row, client_secret: str) -> None:
        self.external_id = row.external_id
        self.tenant_id = row.tenant_id
        self.host = row.host
        """The tenant's host, without scheme."""
        self.client_id = row.client_id
        self.version = row.version
        """A higher one is newer."""
        self._client_secret = client_secret

    @property
    def client_secret(self) -> str:
        return self._client_secret


class SignIn(_Redacted):
    """A signed-in user's token. Keep it in the user's session, and no longer than until `expires_at`."""

    __slots__ = ("_access_token", "expires_at", "host")

    def __init__(self, host: str, access_token: str, expires_at: datetime | None) -> None:
        self.host = host
        """The tenant's host, without scheme: the only one that the token is for."""
        self.expires_at = expires_at
        """When the token ends by this machine's clock, where Qlik said so."""
        self._access_token = access_token

    @property
    def access_token(self) -> str:
        return self._access_token
