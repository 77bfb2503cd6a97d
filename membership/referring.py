"""Members who bring members: whose code a newcomer came with, and whether it counts. The reward is `loyalty.referrals`'s."""

from datetime import datetime
from typing import Final, Literal

import msgspec

import database
from errors import InvalidInput
from stores.credentials import fingerprint

CHAIN_MAX: Final = 50


class Referral(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who came by a member's code."""

    name: str
    referred_at: datetime
    status: Literal["waiting", "rewarded", "refused"]
    reason: str


async def refer(member_id: int, code: str, *, device: str | None, at: datetime) -> None:
    """Keep whose code a new member came with. A referral that does not count is kept with the reason: it keeps nobody from
    becoming a member. Raises `InvalidInput` for a code that is nobody's."""
    code = code.replace("-", "").replace(" ", "").upper()
    referrer_id = await database.value(
        "SELECT CASE status WHEN 'merged' THEN membership.survivor(id) ELSE id END FROM membership.member "
        "WHERE referral_code = $1 AND status <> 'erased'",
        code,
    )
    if referrer_id is None or referrer_id == member_id:
        raise InvalidInput(field="referred_by", why=f"{code!r} is no member's code")
    mark = fingerprint(device) if device else None
    reason = await _why_not(member_id, referrer_id, mark)
    await database.execute(
        "INSERT INTO membership.referral (referee_id, referrer_id, referred_at, device, status, reason, decided_at) "
        "VALUES ($1, $2, $3, $4, CASE WHEN $5 = '' THEN 'waiting' ELSE 'refused' END, $5, CASE WHEN $5 <> '' THEN $3::timestamptz END)",
        member_id,
        referrer_id,
        at,
        mark,
        reason,
    )
    await database.execute(
        "INSERT INTO membership.event (member_id, kind, ref, at, data) VALUES ($1, 'referred', 'referral:' || $2::bigint, $3, "
        "jsonb_build_object('counts', $4::text = ''))",
        referrer_id,
        member_id,
        at,
        reason,
    )


async def _why_not(member_id: int, referrer_id: int, device: bytes | None) -> str:
    """The same phone or e-mail as the referrer or whoever brought them, and so on upwards, is the same person at work; so is the
    same device."""
    row = await database.row(
        "WITH RECURSIVE above AS (SELECT $2::bigint AS id, 0 AS steps UNION ALL SELECT r.referrer_id, steps + 1 FROM above "
        "JOIN membership.referral r ON r.referee_id = above.id WHERE steps < $4), own AS (SELECT phone, email FROM membership.member "
        "WHERE id = $1) SELECT min(steps) FILTER (WHERE m.phone = own.phone OR m.email = own.email) AS same, "
        "bool_or(r.device = $3) OR EXISTS (SELECT FROM membership.referral s WHERE s.referrer_id = $2 AND s.device = $3) "
        "OR EXISTS (SELECT FROM membership.member m WHERE m.id = $2 AND m.source->>'device' = encode($3, 'hex')) AS device "
        "FROM above JOIN membership.member m ON m.id = above.id LEFT JOIN membership.referral r ON r.referee_id = above.id, own",
        member_id,
        referrer_id,
        device,
        CHAIN_MAX,
    )
    assert row is not None
    if row["same"] == 0:
        return "shared phone or e-mail"
    if row["same"] is not None:
        return "loop"
    return "shared device" if row["device"] else ""


async def referrals_of(member_id: int, *, limit: int = 50) -> list[Referral]:
    """Whom a member has brought, the newest first."""
    rows = await database.rows(
        "SELECT member.name, referred_at, referral.status, reason FROM membership.referral JOIN membership.member "
        "ON member.id = referee_id WHERE referrer_id = ANY(SELECT membership.everyone_in($1)) ORDER BY referred_at DESC LIMIT $2",
        member_id,
        limit,
    )
    return [Referral(**dict(row)) for row in rows]
