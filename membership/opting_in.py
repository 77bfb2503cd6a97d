"""Double opt-in: consent to e-mail counts once somebody who reads the address has confirmed it."""

from datetime import datetime, timedelta
from typing import Final

import msgspec

import database
from membership.consent import ConsentGiven, append_consent
from membership.errors import OptInRefused
from stores.credentials import fingerprint, new_secret

DAYS: Final = 7


class OptInLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A letter to be written: to whom, in which language, with the token that confirms."""

    id: int
    name: str
    email: str
    language: str
    token: str


class ConsentAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A consent that waits for its confirmation."""

    channel: str
    purpose: str
    asked_at: datetime


async def letters_to_write(at: datetime, *, limit: int = 20) -> list[OptInLetter]:
    """What is still to be asked, each with a fresh token, marked as mailed within the caller's transaction."""
    rows = await database.rows(
        "SELECT o.id, name, o.email, language FROM membership.opt_in o JOIN membership.member ON member.id = member_id "
        "WHERE mailed_at IS NULL ORDER BY o.id LIMIT $1 FOR UPDATE OF o SKIP LOCKED",
        limit,
    )
    letters = [OptInLetter(**dict(row), token=new_secret()) for row in rows]
    for letter in letters:
        await database.execute(
            "UPDATE membership.opt_in SET token_hash = $2, mailed_at = $3 WHERE id = $1",
            letter.id,
            fingerprint(letter.token),
            at,
        )
    return letters


async def confirm(token: str, *, at: datetime) -> None:
    """Make the consent count. Confirming twice changes nothing. Raises `OptInRefused` for a link that is unknown or too old, or
    whose address is the member's no longer."""
    async with database.transaction():
        row = await database.row(
            "SELECT o.*, member.email = o.email AND member.status = 'active' AS theirs FROM membership.opt_in o "
            "JOIN membership.member ON member.id = member_id WHERE token_hash = $1 FOR UPDATE OF o",
            fingerprint(token),
        )
        if row is None or not row["theirs"] or row["mailed_at"] < at - timedelta(days=DAYS):
            raise OptInRefused
        if row["confirmed_at"] is not None:
            return
        await database.execute("UPDATE membership.opt_in SET confirmed_at = $2 WHERE id = $1", row["id"], at)
        given = ConsentGiven(channel="email", purpose=row["purpose"], wording=row["wording"], method="double opt-in")
        await append_consent(
            row["member_id"], given, source=row["source"], staff_id=row["staff_id"], store_id=row["store_id"], at=at
        )


async def waiting_of(member_id: int, at: datetime) -> list[ConsentAsked]:
    """What a member was asked to confirm and has not yet."""
    rows = await database.rows(
        "SELECT DISTINCT ON (purpose) 'email' AS channel, purpose, asked_at FROM membership.opt_in WHERE member_id = $1 "
        "AND confirmed_at IS NULL AND coalesce(mailed_at, $2) > $3 ORDER BY purpose, id DESC",
        member_id,
        at,
        at - timedelta(days=DAYS),
    )
    return [ConsentAsked(**dict(row)) for row in rows]
