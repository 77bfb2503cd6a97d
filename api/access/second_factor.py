"""Time-based one-time codes (RFC 6238), and recovery codes for the day the telephone is lost."""

import io
import secrets
from datetime import datetime
from typing import Final

import msgspec
import pyotp
import segno

import database
from api.access.sealing import seal, unseal
from api.errors import NoFactorPending, WrongCode
from stores.credentials import fingerprint

RECOVERY_CODES: Final = 10
STEP_SECONDS: Final = 30
DRIFT_STEPS: Final = 1
ISSUER: Final = "Regulars"


class FactorOffered(msgspec.Struct, frozen=True, kw_only=True):
    """What the authenticator app takes over: by hand, by link, or as a QR symbol (SVG)."""

    secret: str
    uri: str
    qr: str


async def has_factor(staff_id: int) -> bool:
    """Whether a second factor is confirmed for this account."""
    return bool(await database.value("SELECT secret IS NOT NULL FROM api.second_factor WHERE staff_id = $1", staff_id))


async def offer_factor(staff_id: int, email: str) -> FactorOffered:
    """A new secret, which counts once a code made from it was shown; the one before counts until then."""
    secret = pyotp.random_base32(32)
    await database.execute(
        "INSERT INTO api.second_factor (staff_id, pending) VALUES ($1, $2) "
        "ON CONFLICT (staff_id) DO UPDATE SET pending = excluded.pending",
        staff_id,
        seal(secret.encode()),
    )
    uri = pyotp.TOTP(secret).provisioning_uri(name=email, issuer_name=ISSUER)
    symbol = io.BytesIO()
    segno.make(uri, error="m").save(symbol, kind="svg", scale=4, border=2, xmldecl=False)
    return FactorOffered(secret=secret, uri=uri, qr=symbol.getvalue().decode())


async def confirm_factor(staff_id: int, code: str, *, at: datetime) -> list[str]:
    """Make the offered secret the account's; fresh recovery codes, shown this once. Raises `NoFactorPending`, `WrongCode`."""
    codes = [f"{raw[:5]}-{raw[5:]}" for raw in (secrets.token_hex(5) for _ in range(RECOVERY_CODES))]
    async with database.transaction():
        row = await database.row("SELECT pending FROM api.second_factor WHERE staff_id = $1 FOR UPDATE", staff_id)
        if row is None or row["pending"] is None:
            raise NoFactorPending
        counter = _counter_of(unseal(row["pending"]).decode(), code, at)
        if counter is None:
            raise WrongCode
        await database.execute(
            "UPDATE api.second_factor SET secret = pending, pending = NULL, confirmed_at = $2, last_counter = $3 "
            "WHERE staff_id = $1",
            staff_id,
            at,
            counter,
        )
        await database.execute("DELETE FROM api.recovery_code WHERE staff_id = $1", staff_id)
        await database.execute(
            "INSERT INTO api.recovery_code (staff_id, code_hash) SELECT $1, unnest($2::bytea[])",
            staff_id,
            [_hash(code) for code in codes],
        )
    return codes


async def check_code(staff_id: int, code: str, *, at: datetime) -> bool:
    """Whether this is the account's code of now, give or take a step; each is good for one use."""
    sealed = await database.value("SELECT secret FROM api.second_factor WHERE staff_id = $1", staff_id)
    counter = _counter_of(unseal(sealed).decode(), code, at) if sealed else None
    if counter is None:
        return False
    # Of two who show the same code at once, one finds the counter moved.
    spent = await database.execute(
        "UPDATE api.second_factor SET last_counter = $2 WHERE staff_id = $1 AND last_counter < $2", staff_id, counter
    )
    return spent == 1


async def spend_recovery_code(staff_id: int, code: str, *, at: datetime) -> bool:
    """Whether this is an unused recovery code of the account; it is used now."""
    spent = await database.execute(
        "UPDATE api.recovery_code SET used_at = $3 WHERE staff_id = $1 AND code_hash = $2 AND used_at IS NULL",
        staff_id,
        _hash(code),
        at,
    )
    return spent == 1


async def show_factor(staff_id: int, totp: str, recovery_code: str, *, at: datetime) -> bool:
    """Whether either of the two proves the account's owner; it is spent by it."""
    if totp:
        return await check_code(staff_id, totp, at=at)
    return await spend_recovery_code(staff_id, recovery_code, at=at)


async def forget_factor(staff_id: int) -> None:
    """The account has no second factor any more, and no recovery codes."""
    async with database.transaction():
        await database.execute("DELETE FROM api.recovery_code WHERE staff_id = $1", staff_id)
        await database.execute("DELETE FROM api.second_factor WHERE staff_id = $1", staff_id)


def _counter_of(secret: str, code: str, at: datetime) -> int | None:
    """The time step whose code this is, among the current one and its neighbours."""
    totp, now = pyotp.TOTP(secret), int(at.timestamp()) // STEP_SECONDS
    for counter in range(now - DRIFT_STEPS, now + DRIFT_STEPS + 1):
        if secrets.compare_digest(
            totp.generate_otp(counter), code.replace(" ", "")[:10].encode("ascii", "replace").decode()
        ):
            return counter
    return None


def _hash(code: str) -> bytes:
    return fingerprint(code.strip().lower().replace("-", ""))
