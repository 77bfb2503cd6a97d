"""Forgetting a member: what says who they were is replaced for good, what was sold and what points owe stays what it was."""

from datetime import datetime

import database
from api.privacy.held import HELD
from membership.cards import member_of_card


async def erase(number: str, *, at: datetime) -> int:
    """Erase a member and everybody who was merged into them; the member's id. Raises as `member_of_card` does."""
    async with database.transaction():
        member_id = await member_of_card(number)
        ids = [row["id"] for row in await database.rows("SELECT membership.everyone_in($1) AS id", member_id)]
        people = await database.lock_rows("membership.member", ids)
        cards = await database.rows("SELECT number FROM membership.card WHERE member_id = ANY($1)", ids)
        await _forget_answers([*_told(people), *(card["number"] for card in cards)])
        await database.execute(
            "DELETE FROM api.mail WHERE kind = 'opt_in' AND lower(recipient) = ANY($1::text[])",
            [row["email"] for row in people if row["email"]],
        )
        for held in HELD:
            if held.erase:
                await database.execute(held.erase, ids)
        # Told to whoever listens, so that they forget, too.
        await database.execute(
            "INSERT INTO membership.event (member_id, kind, ref, at) SELECT id, 'erased', 'erased:' || id, $2 "
            "FROM unnest($1::bigint[]) id",
            ids,
            at,
        )
    return member_id


def _told(people: list[database.Row]) -> list[str]:
    return [row[name] for row in people for name in ("phone", "email") if row[name]]


async def _forget_answers(words: list[str]) -> None:
    """Drop remembered answers that say one of these; whoever retries such a request is told what is now. An answer about a member
    says their card's number: looking for names would drop those of others."""
    await database.execute(
        "DELETE FROM api.idempotency WHERE EXISTS (SELECT FROM unnest($1::text[]) word "
        "WHERE position(convert_to(word, 'UTF8') IN response) > 0)",
        words,
    )
