"""Consent in a merge: the strictest of both survives, and an undone merge gives back what it withdrew."""

from datetime import datetime
from typing import Final

import database
from membership.consent import Channel, ConsentGiven, Purpose, append_consent
from membership.merge_journal import Merge, journal, journalled

_NEWEST: Final = (
    "SELECT DISTINCT ON (channel, purpose) channel, purpose, given, cleared, wording, method, source, staff_id, store_id, at "
    "FROM membership.consent WHERE member_id = $1 ORDER BY channel, purpose, id DESC"
)


async def _newest(member_id: int) -> dict[tuple[Channel, Purpose], database.Row]:
    rows = await database.rows(_NEWEST, member_id)
    return {(row["channel"], row["purpose"]): row for row in rows if not row["cleared"]}


async def keep_strictest_consent(merge: Merge, staff_id: int | None, at: datetime) -> None:
    """What either has withdrawn is withdrawn; what only the loser has given was given for other addresses, and is not given."""
    kept, lost = await _newest(merge.survivor_id), await _newest(merge.loser_id)
    for (channel, purpose), theirs in lost.items():
        own = kept.get((channel, purpose))
        if theirs["given"] or (own is not None and not own["given"]):
            continue
        withdrawn = ConsentGiven(
            channel=channel, purpose=purpose, given=False, wording=theirs["wording"], method="merge"
        )
        consent_id = await append_consent(merge.survivor_id, withdrawn, source="merge", staff_id=staff_id, at=at)
        before = (
            None
            if own is None
            else {"given": True, "wording": own["wording"], "method": own["method"], "at": own["at"]}
        )
        await journal(merge.id, "consent", consent_id, before)


async def restore_consent(merge: Merge, staff_id: int | None, at: datetime) -> None:
    """What the merge withdrew is as it was, unless the member has said something since."""
    for consent_id, before in (await journalled(merge.id, "consent")).items():
        row = await database.row(
            "SELECT channel, purpose, wording FROM membership.consent c WHERE id = $1 AND NOT EXISTS (SELECT FROM "
            "membership.consent newer WHERE (newer.member_id, newer.channel, newer.purpose) = (c.member_id, c.channel, c.purpose) "
            "AND newer.id > c.id)",
            consent_id,
        )
        if row is None:
            continue
        again = ConsentGiven(
            channel=row["channel"],
            purpose=row["purpose"],
            given=before is not None,
            wording=before["wording"] if before else row["wording"],
            method=before["method"] if before else "unmerge",
        )
        said_at = datetime.fromisoformat(before["at"]) if before else at
        await append_consent(
            merge.survivor_id, again, source="unmerge", staff_id=staff_id, at=said_at, cleared=before is None
        )
