"""What a web app imports; see README.md for the start."""

from .blocking import BlockingConsumer
from .consumer import Consumer, Options
from .credential import Credential, SignIn
from .errors import CannotOpen, Closed, NotReady, Refused, Removed, TenantdError, Unreachable, WhyNotOpen
from .events import Event, EventKind, Tell
from .keyring import Keyring, KeyringSource

__all__ = [
    "BlockingConsumer",
    "CannotOpen",
    "Closed",
    "Consumer",
    "Credential",
    "Event",
    "EventKind",
    "Keyring",
    "KeyringSource",
    "NotReady",
    "Options",
    "Refused",
    "Removed",
    "SignIn",
    "Tell",
    "TenantdError",
    "Unreachable",
    "WhyNotOpen",
]
