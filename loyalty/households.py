"""Households: members who spend from one pool. Everybody's points stay in their own account, so that every use says whose it was."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

import database
from loyalty.errors import HouseholdRefused
from loyalty.locks import lock_accounts
from membership.cards import member_of_card

MEMBERS_MAX = 10


class Household(msgspec.Struct, frozen=True, kw_only=True):
    """Who shares a pool, by card number."""

    members: list[str]


async def pool_of(member_id: int) -> list[int]:
    """The members whose points this one may spend, their own among them."""
    rows = await database.rows(
        "SELECT other.member_id FROM loyalty.household_member own JOIN loyalty.household_member other USING (household_id) "
        "WHERE own.member_id = $1 ORDER BY 1",
        member_id,
    )
    return [row["member_id"] for row in rows] or [member_id]


async def join(number: str, others: Sequence[str], *, at: datetime) -> None:
    """Let the holders of other cards share this one's pool, a new one if there is none.

    Raises `HouseholdRefused` when one of them has another already, or when they would be too many.
    """
    async with database.transaction():
        member_id = await member_of_card(number)
        joining = [await member_of_card(other) for other in others]
        pool = await pool_of(member_id)
        await lock_accounts(sorted({*pool, *joining}))
        pool = await pool_of(member_id)  # as it is under the lock
        new = [other for other in joining if other not in pool]
        for other, other_number in zip(joining, others, strict=True):
            if other not in pool and len(await pool_of(other)) > 1:
                raise HouseholdRefused(reason=f"{other_number} shares another household's points", number=other_number)
        if len(pool) + len(set(new)) > MEMBERS_MAX:
            raise HouseholdRefused(reason=f"it would have more than {MEMBERS_MAX} members", members_max=MEMBERS_MAX)
        if not new:
            return  # they share already, or are one and the same
        household = await database.value(
            "SELECT household_id FROM loyalty.household_member WHERE member_id = $1", member_id
        )
        if household is None:
            household = await database.value("INSERT INTO loyalty.household (founded_at) VALUES ($1) RETURNING id", at)
            new.append(member_id)
        await database.execute(
            "WITH joined AS (INSERT INTO loyalty.household_member (member_id, household_id, joined_at) "
            "SELECT DISTINCT m, $2::bigint, $3::timestamptz FROM unnest($1::bigint[]) AS m ON CONFLICT (member_id) DO UPDATE SET "
            "(household_id, joined_at) = (excluded.household_id, excluded.joined_at) RETURNING member_id) "
            "INSERT INTO membership.event (member_id, kind, ref, at) SELECT member_id, 'household_joined', "
            "'household:' || $2 || ':' || member_id || ':' || extract(epoch FROM $3), $3 FROM joined ON CONFLICT (kind, ref) DO NOTHING",
            new,
            household,
            at,
        )


async def leave(number: str, *, at: datetime) -> None:
    """Take a member out of their household; their points go with them. Raises `HouseholdRefused` when they are in none."""
    async with database.transaction():
        member_id = await member_of_card(number)
        pool = await pool_of(member_id)
        await lock_accounts(pool)
        left = await database.value(
            "DELETE FROM loyalty.household_member WHERE member_id = $1 RETURNING household_id", member_id
        )
        if left is None:
            raise HouseholdRefused(reason=f"{number} shares nobody's points", number=number)
        # Of one alone there is nothing to share.
        await database.execute(
            "DELETE FROM loyalty.household_member WHERE household_id = $1 AND (SELECT count(*) FROM loyalty.household_member "
            "WHERE household_id = $1) = 1",
            left,
        )
        await database.execute(
            "INSERT INTO membership.event (member_id, kind, ref, at) VALUES ($1, 'household_left', 'household:' || $2::bigint || ':' "
            "|| $1::bigint || ':' || extract(epoch FROM $3::timestamptz), $3) ON CONFLICT (kind, ref) DO NOTHING",
            member_id,
            left,
            at,
        )


async def numbers_of(member_id: int) -> list[str]:
    """The cards of everybody who shares with a member, their own first; only it when they share with nobody."""
    rows = await database.rows(
        "SELECT number FROM membership.card WHERE member_id = ANY($1::bigint[]) AND status = 'active' "
        "ORDER BY member_id <> $2, number",
        await pool_of(member_id),
        member_id,
    )
    return [row["number"] for row in rows]
