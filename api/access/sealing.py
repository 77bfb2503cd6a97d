"""Secrets that have to be read again (second factors, webhooks' signing keys, letters with links), encrypted at rest."""

from base64 import urlsafe_b64encode
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from api.errors import Unsealable
from settings import settings


def seal(secret: bytes) -> bytes:
    """Encrypt and authenticate with a key derived from `SECRET_KEY`."""
    return _box().encrypt(secret)


def unseal(sealed: bytes) -> bytes:
    """What `seal` was given, under `SECRET_KEY` or `SECRET_KEY_PREVIOUS`. Raises `Unsealable`."""
    try:
        return _box().decrypt(sealed)
    except InvalidToken:
        raise Unsealable from None


@cache
def _box() -> MultiFernet:
    keys = [settings().secret, *filter(None, [settings().secret_key_previous])]
    return MultiFernet([Fernet(_derived(key)) for key in keys])


def _derived(key: str) -> bytes:
    # The same SECRET_KEY also keys sessions' hashes: each use has a key of its own.
    return urlsafe_b64encode(HKDF(SHA256(), 32, salt=None, info=b"regulars sealing").derive(key.encode()))
