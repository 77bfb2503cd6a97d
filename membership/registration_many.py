"""Registering many members at once, for imports: the same rules as one by one, set-based."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

import database
from errors import DomainError
from membership.contact import normal_email, normal_phone
from membership.names import search_text
from membership.policy import member_policy
from membership.registration import BirthDate, Language, Source, issue_cards, note_registrations
from stores.chain import Chain


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """One member in a file. `birth_date` is YYYY-MM-DD, or --MM-DD without the year."""

    external_ref: str
    name: str
    phone: str | None = None
    email: str | None = None
    birth_date: str | None = None
    gender: str = ""
    language: Language | None = None
    home_store: str | None = None
    registered_at: datetime | None = None
    marketing_email: bool = False


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was left out: its place in what was given, the column and why."""

    place: int
    column: str
    reason: str


class ManyRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows."""

    added: int
    unchanged: int
    refused: list[Refused]


async def register_many(members: Sequence[MemberRow], *, chain: Chain, source: Source, at: datetime) -> ManyRegistered:
    """Register rows; one whose reference exists already is unchanged, one whose phone or e-mail is taken is refused."""
    refused: list[Refused] = []
    prepared: dict[str, dict[str, Any]] = {}
    stores = {row["code"]: row["id"] for row in await database.rows("SELECT code, id FROM stores.store")}
    for place, member in enumerate(members):
        try:
            prepared_row = _prepared(member, chain, stores, at)
        except DomainError as error:
            refused.append(Refused(place=place, column=str(error.facts.get("field", "")), reason=str(error)))
            continue
        if member.external_ref in prepared:
            refused.append(
                Refused(place=place, column="external_ref", reason=f"{member.external_ref!r} stands twice in the file")
            )
            continue
        prepared[member.external_ref] = {"place": place, **prepared_row}
    async with database.transaction():
        known = await database.rows(
            "SELECT external_ref FROM membership.member WHERE external_ref = ANY($1)", list(prepared)
        )
        for row in known:
            del prepared[row["external_ref"]]
        policy = await member_policy()
        refused += await _drop_taken(prepared, "phone", shared=policy.same_phone != "block")
        refused += await _drop_taken(prepared, "email", shared=policy.same_email != "block")
        ids = await _insert(list(prepared.values()), source)
    return ManyRegistered(added=len(ids), unchanged=len(known), refused=refused)


def _prepared(member: MemberRow, chain: Chain, stores: dict[str, int], at: datetime) -> dict[str, Any]:
    birth = _birth(member.birth_date)
    if not member.name.strip():
        raise _wrong("name", "is empty")
    if member.gender not in ("", "female", "male", "other"):
        raise _wrong("gender", f"{member.gender!r} is none of female, male, other")
    if member.home_store is not None and member.home_store not in stores:
        raise _wrong("home_store", f"{member.home_store!r} is unknown; import stores first")
    registered_at = member.registered_at or at
    if registered_at.tzinfo is None:
        registered_at = registered_at.replace(tzinfo=chain.zone)
    return {
        "name": member.name.strip(),
        "name_search": search_text(member.name),
        "phone": normal_phone(member.phone, chain.region) if member.phone else None,
        "email": normal_email(member.email) if member.email else None,
        "phone_shared": False,
        "email_shared": False,
        "birth_year": birth.year if birth else None,
        "birth_month": birth.month if birth else None,
        "birth_day": birth.day if birth else None,
        "gender": member.gender,
        "language": member.language or chain.language,
        "home_store_id": stores[member.home_store] if member.home_store else None,
        "external_ref": member.external_ref,
        "registered_at": registered_at,
        "consent": member.marketing_email,
    }


def _wrong(column: str, why: str) -> DomainError:
    return DomainError(f"{column}: {why}", field=column)


def _birth(text: str | None) -> BirthDate | None:
    if not text:
        return None
    year, _, rest = text.rpartition("-")[0].rpartition("-")[0], "", text[-5:]
    try:
        month, day = map(int, rest.split("-"))
        return BirthDate(month=month, day=day, year=int(year) if year.strip("-") else None)
    except ValueError:
        raise _wrong("birth_date", f"{text!r} is no date such as 1990-05-31 or --05-31") from None


async def _drop_taken(prepared: dict[str, dict[str, Any]], column: str, *, shared: bool) -> list[Refused]:
    """Refuse rows whose phone or e-mail a member, or an earlier row, has; or mark them as `shared` where the chain lets them be."""
    rows = await database.rows(
        f"SELECT {column} FROM membership.member WHERE status = 'active' AND {column} = ANY($1)",
        [row[column] for row in prepared.values() if row[column]],
    )
    taken = {row[column] for row in rows}
    refused = []
    for reference, row in list(prepared.items()):
        if row[column] is None:
            continue
        if row[column] in taken and shared:
            row[f"{column}_shared"] = True
        elif row[column] in taken:
            refused.append(
                Refused(place=row["place"], column=column, reason=f"this {column} already belongs to a member")
            )
            del prepared[reference]
        taken.add(row[column])
    return refused


async def _insert(rows: list[dict[str, Any]], source: Source) -> list[int]:
    if not rows:
        return []
    fields = [name for name in rows[0] if name not in ("place", "consent")]
    inserted = await database.rows(
        f"INSERT INTO membership.member ({', '.join(fields)}, source) SELECT {', '.join(fields)}, $2::jsonb "
        "FROM jsonb_populate_recordset(NULL::membership.member, $1::jsonb) RETURNING id, external_ref",
        msgspec.json.encode([{name: row[name] for name in fields} for row in rows]).decode(),
        msgspec.json.encode(source).decode(),
    )
    ids = {row["external_ref"]: row["id"] for row in inserted}
    await issue_cards(list(ids.values()))
    await note_registrations(list(ids.values()))
    await database.execute(
        "WITH given AS (INSERT INTO membership.consent (member_id, channel, purpose, given, wording, source, method, at) "
        "SELECT id, 'email', 'marketing', true, 'imported', 'import', 'file', registered_at FROM membership.member "
        "WHERE id = ANY($1::bigint[]) RETURNING id, member_id, at) "
        "INSERT INTO membership.event (member_id, kind, ref, at, data) SELECT member_id, 'consent_given', 'consent:' || id, at, "
        """'{"channel": "email", "purpose": "marketing"}' FROM given""",
        [ids[row["external_ref"]] for row in rows if row["consent"]],
    )
    return list(ids.values())
