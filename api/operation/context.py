"""What belongs to the request at hand, for whoever logs or audits it: its id, and where it came from."""

import re
import secrets
from collections.abc import Iterable
from contextvars import ContextVar
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Final

import msgspec

_ID: Final = re.compile(r"[A-Za-z0-9_-]{8,64}")


class RequestContext(msgspec.Struct, frozen=True, kw_only=True):
    """`address` is the client's, as far as proxies are trusted to know it."""

    request_id: str = ""
    address: str = ""


_NONE: Final = RequestContext()
current_request: ContextVar[RequestContext] = ContextVar("current_request", default=_NONE)


def request_id(sent: str) -> str:
    """The caller's own id when it can be logged as it is, otherwise a new one."""
    return sent if _ID.fullmatch(sent) else secrets.token_hex(8)


def client_address(peer: str, forwarded: str, trusted: Iterable[IPv4Network | IPv6Network]) -> str:
    """Who is at the other end: the last address of X-Forwarded-For that no trusted proxy of ours put its own name to."""
    chain = [peer, *(part.strip() for part in reversed(forwarded.split(",")) if part.strip())]
    networks = tuple(trusted)
    for place, address in enumerate(chain):
        if place + 1 == len(chain) or not _within(address, networks):
            return address
    return peer


def header(scope: Any, name: bytes) -> str:
    """A header of an ASGI scope as text; empty when it is not there."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _within(address: str, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    return any(parsed in network for network in networks)
