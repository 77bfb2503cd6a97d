"""Registering many members at once, for imports: the same rules as one by one, set-based."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

import database
from errors import DomainError
from membership.custom_fields import custom_fields
from membership.member_rows import MemberRow, columns_of
from membership.names import search_text
from membership.policy import member_policy
from membership.registration import Source, issue_cards, note_registrations
from stores.chain import Chain

Existing = Literal["skip", "update", "reject"]


class Refused(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was left out: its place in what was given, the column and why."""

    place: int
    column: str
    reason: str


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """What a row does to a member: `field` is empty for a new one."""

    place: int
    external_ref: str
    field: str
    before: str
    after: str


class ManyRegistered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the rows."""

    added: int
    changed: int
    unchanged: int
    refused: list[Refused]
    differences: list[Difference]


_COMPARED: Final = (
    "name", "phone", "email", "birth_year", "birth_month", "birth_day", "gender", "language", "home_store_id", "tags", "notes", "custom",
)  # fmt: skip
_Prepared = dict[str, dict[str, Any]]


async def register_many(
    members: Sequence[MemberRow],
    *,
    chain: Chain,
    source: Source,
    at: datetime,
    existing: Existing = "skip",
    differences: bool = False,
) -> ManyRegistered:
    """Register rows. One whose reference exists already is left as it is, brought up to date with what the row says, or refused;
    one whose phone or e-mail is another member's is refused unless the chain lets them be shared. `differences` also says what
    each row does."""
    refused: list[Refused] = []
    prepared: _Prepared = {}
    stores = {row["code"]: row["id"] for row in await database.rows("SELECT code, id FROM stores.store")}
    async with database.transaction():
        fields = await custom_fields(fixed=True)
        for place, member in enumerate(members):
            try:
                row = columns_of(member, chain, stores, fields, at)
            except DomainError as error:
                refused.append(Refused(place=place, column=str(error.facts.get("field", "")), reason=str(error)))
                continue
            if member.external_ref in prepared:
                why = f"{member.external_ref!r} stands twice in the file"
                refused.append(Refused(place=place, column="external_ref", reason=why))
                continue
            prepared[member.external_ref] = {"place": place, **row}
        present = await _present(prepared)
        known = {reference: prepared.pop(reference) for reference in present}
        if existing == "reject":
            refused += [
                Refused(place=row["place"], column="external_ref", reason="this reference is a member's already")
                for row in known.values()
            ]
        changes = _changes(known, present) if existing == "update" else {}
        refused += await _refuse_taken(prepared, changes, known, present)
        said = _said(prepared, changes, known, present) if differences else []
        await _change(changes, present, source, at)
        ids = await _insert(list(prepared.values()), source, chain)
    left_out = {each.place for each in refused}
    unchanged = sum(row["place"] not in left_out for row in known.values()) - len(changes)
    return ManyRegistered(added=len(ids), changed=len(changes), unchanged=unchanged, refused=refused, differences=said)


async def _present(prepared: _Prepared) -> dict[str, dict[str, Any]]:
    """The members that there are, by reference, or by the card that stands in its place; who was merged or erased is there, too,
    and stays as they are."""
    columns = ", ".join(f"member.{name}" for name in ("id", "status", *_COMPARED))
    rows = await database.rows(
        f"SELECT external_ref AS reference, {columns} FROM membership.member WHERE external_ref = ANY($1) "
        "ORDER BY id FOR NO KEY UPDATE",
        list(prepared),
    )
    rows += await database.rows(
        f"SELECT number AS reference, {columns} FROM membership.card JOIN membership.member ON member.id = member_id "
        "WHERE number = ANY($1) ORDER BY member.id FOR NO KEY UPDATE OF member",
        [reference for reference in prepared if len(reference) == 13 and reference.isdigit()],
    )
    return {row["reference"]: {**dict(row), "custom": msgspec.json.decode(row["custom"])} for row in rows}


def _changes(known: _Prepared, present: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What each row changes of its member: what the file says nothing of stays."""
    changes = {}
    for reference, row in known.items():
        now = present[reference]
        if now["status"] != "active":
            continue
        row["custom"] = {**now["custom"], **row["custom"]}
        changed = {
            name: row[name] for name in _COMPARED if row[name] not in (None, "", [], {}) and row[name] != now[name]
        }
        if changed:
            changes[reference] = changed
    return changes


async def _refuse_taken(
    prepared: _Prepared, changes: _Prepared, known: _Prepared, present: dict[str, dict[str, Any]]
) -> list[Refused]:
    """Leave out rows whose phone or e-mail is another member's or an earlier row's, or mark it as shared where the chain lets
    it be."""
    policy, refused = await member_policy(), []
    for column, shared in (("phone", policy.same_phone != "block"), ("email", policy.same_email != "block")):
        given = [(reference, row) for rows in (changes, prepared) for reference, row in rows.items() if row.get(column)]
        rows = await database.rows(
            f"SELECT {column} AS value, id FROM membership.member WHERE status = 'active' AND {column} = ANY($1)",
            [row[column] for _, row in given],
        )
        holders = {(row["value"], row["id"]) for row in rows}
        taken = {row["value"] for row in rows}
        for reference, row in given:
            value = row[column]
            own = present[reference]["id"] if reference in present else None
            others = value in taken and (value, own) not in holders
            taken.add(value)
            if others and shared:
                row[f"{column}_shared"] = True
            elif others:
                place = row["place"] if "place" in row else known[reference]["place"]
                why = f"this {column} already belongs to a member"
                refused.append(Refused(place=place, column=column, reason=why))
                (changes if reference in changes else prepared).pop(reference)
    return refused


def _said(
    prepared: _Prepared, changes: _Prepared, known: _Prepared, present: dict[str, dict[str, Any]]
) -> list[Difference]:
    said = [
        Difference(place=row["place"], external_ref=reference, field="", before="", after=row["name"])
        for reference, row in prepared.items()
    ]
    for reference, changed in changes.items():
        said += [
            Difference(
                place=known[reference]["place"],
                external_ref=reference,
                field=name,
                before=_text(present[reference].get(name)),
                after=_text(value),
            )
            for name, value in changed.items()
        ]
    return sorted(said, key=lambda each: (each.place, each.field))


def _text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


async def _change(changes: _Prepared, present: dict[str, dict[str, Any]], source: Source, at: datetime) -> None:
    for reference, changed in changes.items():
        now = present[reference]
        columns = dict(changed)
        if "name" in columns:
            columns["name_search"] = search_text(columns["name"])
        stored = {name: _stored(name, value) for name, value in columns.items()}
        assignments = ", ".join(f"{name} = ${place}" for place, name in enumerate(stored, start=2))
        await database.execute(f"UPDATE membership.member SET {assignments} WHERE id = $1", now["id"], *stored.values())
        if source.import_id is not None:
            before = {name: now[name] for name in changed if name in _COMPARED}
            after = {name: value for name, value in changed.items() if name in _COMPARED}
            await database.execute(
                "INSERT INTO membership.import_change (import_id, member_id, before, after) VALUES ($1, $2, $3, $4)",
                source.import_id,
                now["id"],
                msgspec.json.encode(before).decode(),
                msgspec.json.encode(after).decode(),
            )
    await database.execute(
        "INSERT INTO membership.event (member_id, kind, ref, at, data) SELECT id, 'profile_changed', 'change:' || "
        "nextval('membership.event_id_seq'), $3, jsonb_build_object('fields', string_to_array(fields, ',')) "
        "FROM unnest($1::bigint[], $2::text[]) c (id, fields)",
        [present[reference]["id"] for reference in changes],
        [",".join(sorted(changed)) for changed in changes.values()],
        at,
    )


def _stored(name: str, value: Any) -> Any:
    return msgspec.json.encode(value).decode() if name == "custom" else value


async def _insert(rows: list[dict[str, Any]], source: Source, chain: Chain) -> list[int]:
    if not rows:
        return []
    fields = [name for name in rows[0] if name not in ("place", "consent")]
    # The default is asked for by name: a record of the table's type would have null instead.
    inserted = await database.rows(
        f"INSERT INTO membership.member ({', '.join(fields)}, source, referral_code) SELECT {', '.join(fields)}, $2::jsonb, "
        "membership.new_referral_code() FROM jsonb_populate_recordset(NULL::membership.member, $1::jsonb) RETURNING id, external_ref",
        msgspec.json.encode(
            [{**{name: row[name] for name in fields}, "language": row["language"] or chain.language} for row in rows]
        ).decode(),
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
