"""Where a webhook may go. Whoever may make one could otherwise have the server call what only the server can reach."""

import asyncio
import socket
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httpcore
import httpx

from errors import InvalidInput

_NAT64: Final = int(IPv6Address("64:ff9b::")) >> 32


class AddressRefused(httpcore.ConnectError):
    """The host's name leads to a private address."""


async def check_url(url: str, *, private: bool) -> None:
    """Raises `InvalidInput` unless the URL is one that events may be sent to: https and public, unless private is allowed."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        raise InvalidInput(field="url", why=f"{url!r} is no URL") from None
    schemes = ("https", "http") if private else ("https",)
    if parts.scheme not in schemes or not parts.hostname or not url.isprintable() or " " in url:
        raise InvalidInput(field="url", why=f"has to be an {' or '.join(schemes)} address with a host")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidInput(field="url", why="may hold neither a user, a password nor a fragment")
    if private:
        return
    try:
        addresses = await _resolve(parts.hostname, port)
    except OSError:
        raise InvalidInput(field="url", why=f"the host {parts.hostname!r} cannot be found") from None
    if not all(is_public(address) for address in addresses):
        raise InvalidInput(field="url", why=f"the host {parts.hostname!r} has a private address")


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet; one that wraps another counts as what is inside."""
    parsed = ip_address(address.partition("%")[0])
    return all(inner.is_global and not inner.is_multicast for inner in (parsed, *_inside(parsed)))


def _inside(address: IPv4Address | IPv6Address) -> Iterable[IPv4Address]:
    if isinstance(address, IPv4Address):
        return
    if address.ipv4_mapped:
        yield address.ipv4_mapped
    if address.sixtofour:
        yield address.sixtofour
    if address.teredo:
        yield from address.teredo
    if int(address) >> 32 == _NAT64:
        yield IPv4Address(int(address) & 0xFFFFFFFF)


async def _resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _PublicOnly(httpcore.AsyncNetworkBackend):
    """Connects to the very address that was checked: between two look-ups a name may come to mean another one."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *arguments: Any, **options: Any) -> httpcore.AsyncNetworkStream:
        try:
            addresses = await _resolve(host, port)
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from None
        if not addresses or not all(is_public(address) for address in addresses):
            raise AddressRefused("the host has a private address")
        return await self._inner.connect_tcp(addresses[0], port, *arguments, **options)

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)


def webhook_client(*, private: bool) -> httpx.AsyncClient:
    """A client that follows no redirect, asks no proxy, and reaches public addresses alone unless private ones are allowed."""
    transport = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=50, keepalive_expiry=30))
    if not private:
        # httpx has no parameter for it; httpcore, which it stands on, has.
        transport._pool._network_backend = _PublicOnly()
    return httpx.AsyncClient(
        transport=transport,
        timeout=httpx.Timeout(15, connect=5),
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": "Regulars-Webhooks/1", "Content-Type": "application/json"},
    )
