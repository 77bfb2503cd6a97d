"""Whether somebody is a member already. Nothing here ever merges two: it refuses, asks, or queues them for a person to see."""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

import database
from membership.errors import MemberExists, PossibleDuplicate, UnknownPair
from membership.names import similarity
from membership.policy import Action, MemberPolicy

SIMILAR_MIN: Final = 0.85
# A phone a digit away says little by itself: among a million members nearly everybody's is, of somebody's.
SIMILAR_WITH_NEAR_PHONE_MIN: Final = 0.75
NEAR_DIGITS: Final = 9


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody looked at the candidates: it is another person, and why."""

    reason: Annotated[str, msgspec.Meta(min_length=3, max_length=500)]


class Identity(msgspec.Struct, frozen=True, kw_only=True):
    """What tells people apart, in the form it is stored."""

    name: str
    phone: str | None = None
    email: str | None = None
    birth_year: int | None = None
    birth_month: int | None = None
    birth_day: int | None = None


_IDENTITY: Final = frozenset(Identity.__struct_fields__)


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A member that somebody may be, by which rule, and how surely (0 to 100); `told_apart` when it is known that they are two."""

    member_id: int
    number: str
    name: str
    rule: str
    score: int
    told_apart: bool = False


class Screening(msgspec.Struct, frozen=True, kw_only=True):
    """What was let through: whose phone or e-mail is another's, too, and whom the newcomer is not."""

    phone_shared: bool = False
    email_shared: bool = False
    others: Sequence[Candidate] = ()


async def screen(
    who: Identity,
    policy: MemberPolicy,
    *,
    but: int | None = None,
    changed: Set[str] = _IDENTITY,
    override: Override | None,
    may_override: bool,
) -> Screening:
    """Let somebody through who is no duplicate, or whom `override` says to be none.

    Raises `MemberExists` by a rule that blocks (which only who `may_override` gets past) and `PossibleDuplicate` by one that
    warns. When a member is changed, `but` is themselves, and only rules about what is `changed` are asked.
    """
    seen = [each for each in await candidates(who, but=but) if _ASKS_OF[each.rule] & changed]
    found = [each for each in seen if not each.told_apart and _action(policy, each.rule) != "ignore"]
    blocking = [each for each in found if _action(policy, each.rule) == "block"]
    if blocking and not (override and may_override):
        raise MemberExists(field=_field(blocking[0].rule), candidates=_shown(blocking))
    if found and not override:
        raise PossibleDuplicate(
            candidates=[{name: getattr(each, name) for name in ("number", "name", "rule", "score")} for each in found]
        )
    # Shared is what was seen to be another's; who came in since is left to the unique indexes.
    rules = {each.rule for each in seen}
    return Screening(phone_shared="same_phone" in rules, email_shared="same_email" in rules, others=found)


_ASKS_OF: Final[dict[str, Set[str]]] = {
    "same_phone": {"phone"},
    "same_email": {"email"},
    "same_birth_similar_name": {"name", "birth_year", "birth_month", "birth_day"},
    "near_phone_similar_name": {"name", "phone"},
}


def _action(policy: MemberPolicy, rule: str) -> Action:
    action: Action = getattr(policy, rule)
    return action


def _field(rule: str) -> str:
    return {"same_phone": "phone", "same_email": "email", "near_phone_similar_name": "phone"}.get(rule, "name")


def _shown(found: Sequence[Candidate]) -> list[dict[str, Any]]:
    return list({each.number: {"number": each.number, "name": each.name} for each in found}.values())


async def candidates(who: Identity, *, but: int | None = None) -> list[Candidate]:
    """Members that somebody may be, the surest first."""
    found: list[Candidate] = []
    for field in ("phone", "email"):
        value = getattr(who, field)
        if value is not None:
            rows = await _members(f"{field} = $2", but, value)
            found += [_candidate(row, f"same_{field}", 100) for row in rows]
    if who.birth_month is not None:
        rows = await _members(
            "birth_month = $2 AND birth_day = $3 AND ($4::int IS NULL OR birth_year IS NULL OR birth_year = $4)",
            but,
            who.birth_month,
            who.birth_day,
            who.birth_year,
        )
        found += _similar(who.name, rows, "same_birth_similar_name", SIMILAR_MIN)
    if who.phone is not None:
        rows = await _members("phone = ANY($2::text[])", but, near_phones(who.phone))
        found += _similar(who.name, rows, "near_phone_similar_name", SIMILAR_WITH_NEAR_PHONE_MIN)
    return sorted(found, key=lambda each: (-each.score, each.number))


def near_phones(phone: str) -> list[str]:
    """Numbers with one of the last nine digits another, or two neighbours swapped."""
    head, tail = phone[:-NEAR_DIGITS], phone[-NEAR_DIGITS:]
    changed = {
        tail[:place] + digit + tail[place + 1 :]
        for place in range(len(tail))
        for digit in "0123456789"
        if tail[place].isdigit()
    }
    swapped = {tail[:place] + tail[place + 1] + tail[place] + tail[place + 2 :] for place in range(len(tail) - 1)}
    return sorted(head + each for each in (changed | swapped) - {tail})


def _similar(name: str, rows: list[database.Row], rule: str, at_least: float) -> list[Candidate]:
    alike = [(row, similarity(name, row["name"])) for row in rows]
    return [_candidate(row, rule, round(100 * score)) for row, score in alike if score >= at_least]


def _candidate(row: database.Row, rule: str, score: int) -> Candidate:
    return Candidate(
        member_id=row["id"],
        number=row["number"],
        name=row["name"],
        rule=rule,
        score=score,
        told_apart=row["told_apart"],
    )


async def _members(where: str, but: int | None, *values: object) -> list[database.Row]:
    return await database.rows(
        "SELECT member.id, number, name, EXISTS (SELECT FROM membership.duplicate_pair p WHERE p.status = 'different' "
        "AND (p.one_id, p.other_id) = (least(member.id, $1), greatest(member.id, $1))) AS told_apart FROM membership.member "
        "JOIN membership.card ON member_id = member.id AND card.status = 'active' WHERE member.status = 'active' "
        f"AND member.id IS DISTINCT FROM $1 AND ({where}) LIMIT 5000",
        but,
        *values,
    )


async def note_different(
    member_id: int, others: Sequence[Candidate], *, reason: str, staff_id: int | None, at: datetime
) -> None:
    """Keep that these were looked at and are other people, so that nobody is asked again."""
    rules: dict[int, list[Candidate]] = {}
    for other in others:
        rules.setdefault(other.member_id, []).append(other)
    for other_id, by in rules.items():
        await database.execute(
            "INSERT INTO membership.duplicate_pair (one_id, other_id, score, reasons, status, note, staff_id, decided_at) "
            "VALUES ($1, $2, $3, $4, 'different', $5, $6, $7) ON CONFLICT (one_id, other_id) DO UPDATE SET "
            "(status, note, staff_id, decided_at) = (excluded.status, excluded.note, excluded.staff_id, excluded.decided_at)",
            min(member_id, other_id),
            max(member_id, other_id),
            max(each.score for each in by),
            sorted({each.rule for each in by}),
            reason,
            staff_id,
            at,
        )


class PairMember(msgspec.Struct, frozen=True, kw_only=True):
    number: str
    name: str
    phone: str | None
    email: str | None


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """Two members who may be one person, by which rules, and how surely (0 to 100)."""

    id: int
    score: int
    reasons: list[str]
    members: list[PairMember]
    found_at: datetime


async def open_pairs(*, before: tuple[int, int] | None = None, limit: int = 50) -> list[Pair]:
    """Pairs that wait for a decision, the surest first, from the one after (score, id) `before`."""
    score, pair_id = before or (None, None)
    rows = await database.rows(
        "SELECT p.*, ARRAY(SELECT jsonb_build_object('number', number, 'name', name, 'phone', phone, 'email', email) "
        "FROM membership.member JOIN membership.card ON member_id = member.id AND card.status = 'active' "
        "WHERE member.id IN (one_id, other_id) ORDER BY member.id) AS members FROM membership.duplicate_pair p "
        "JOIN membership.member one ON one.id = one_id AND one.status = 'active' "
        "JOIN membership.member other ON other.id = other_id AND other.status = 'active' WHERE p.status = 'open' "
        "AND ($1::int IS NULL OR (p.score, p.id) < ($1, $2)) ORDER BY p.score DESC, p.id DESC LIMIT $3",
        score,
        pair_id,
        limit,
    )
    return [
        Pair(
            id=row["id"],
            score=row["score"],
            reasons=row["reasons"],
            members=[msgspec.json.decode(each, type=PairMember) for each in row["members"]],
            found_at=row["found_at"],
        )
        for row in rows
    ]


async def tell_apart(pair_id: int, *, reason: str, staff_id: int | None, at: datetime) -> None:
    """Two members of an open pair are different people. Raises `UnknownPair`."""
    decided = await database.execute(
        "UPDATE membership.duplicate_pair SET status = 'different', note = $2, staff_id = $3, decided_at = $4 "
        "WHERE id = $1 AND status = 'open'",
        pair_id,
        reason,
        staff_id,
        at,
    )
    if not decided:
        raise UnknownPair(pair_id=pair_id)
