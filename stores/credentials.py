"""Secrets of our making: device credentials, keys, the tokens of links. Shown once; what is kept is their fingerprint."""

import hashlib
import secrets


def new_secret(prefix: str = "") -> str:
    """256 random bits, as text that is safe in a URL."""
    return prefix + secrets.token_urlsafe(32)


def fingerprint(secret: str) -> bytes:
    """What is kept of a secret. A fast hash is enough: there is nothing to guess from, unlike in a password."""
    return hashlib.sha256(secret.encode()).digest()
