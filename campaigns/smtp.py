"""The mail server that `SMTP_URL` names."""

from typing import Any
from urllib.parse import unquote, urlsplit

import aiosmtplib

from errors import Unreachable


async def connect_smtp(url: str) -> aiosmtplib.SMTP:
    """A connection, signed in where the URL says so. Raises `Unreachable`."""
    parts = urlsplit(url)
    secure = parts.scheme == "smtps"
    credentials: dict[str, Any] = {}
    if parts.username:
        credentials = {"username": unquote(parts.username), "password": unquote(parts.password or "")}
    smtp = aiosmtplib.SMTP(
        hostname=parts.hostname or "localhost",
        port=parts.port or (465 if secure else 25),
        use_tls=secure,
        timeout=30,
        **credentials,
    )
    try:
        await smtp.connect()
    except (OSError, aiosmtplib.SMTPException) as error:
        raise Unreachable(server="The mail server (SMTP_URL)", why=str(error)) from error
    return smtp
