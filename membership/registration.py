"""Becoming a member."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

import msgspec

import database
from errors import InvalidInput
from membership.cards import NEXT_NUMBER
from membership.consent import ConsentGiven, record_consent
from membership.contact import normal_email, normal_phone
from membership.custom_fields import custom_fields
from membership.custom_values import Values, checked
from membership.duplicates import Identity, Override, note_different, screen
from membership.errors import MemberExists
from membership.names import search_text
from membership.policy import member_policy
from membership.referring import refer
from stores.branches import store_id_of
from stores.chain import Chain, the_chain
from stores.credentials import fingerprint

Language = Literal["en", "zh-Hans", "zh-Hant", "ms"]
Gender = Literal["", "female", "male", "other"]
PersonName = Annotated[str, msgspec.Meta(max_length=200)]
Tags = Annotated[list[Annotated[str, msgspec.Meta(min_length=1, max_length=100)]], msgspec.Meta(max_length=50)]
Notes = Annotated[str, msgspec.Meta(max_length=5000)]


class BirthDate(msgspec.Struct, frozen=True, kw_only=True):
    """A birthday; the year may stay unknown."""

    month: Annotated[int, msgspec.Meta(ge=1, le=12)]
    day: Annotated[int, msgspec.Meta(ge=1, le=31)]
    year: Annotated[int, msgspec.Meta(ge=1900, le=2100)] | None = None

    def __post_init__(self) -> None:
        try:
            # 2000 is a leap year: without a year 29 February is a birthday.
            date(self.year or 2000, self.month, self.day)
        except ValueError:
            raise ValueError(f"{self.year or ''}-{self.month}-{self.day} is no day of the calendar") from None


class Registration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a new member gives; phone and name are enough. `referred_by` is the code of the member who brought them, `device` what
    tells one telephone or browser from another."""

    name: PersonName
    phone: str | None = None
    email: str | None = None
    birth: BirthDate | None = None
    gender: Gender = ""
    language: Language | None = None
    home_store: str | None = None
    tags: Tags = []
    notes: Notes = ""
    external_ref: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] | None = None
    consents: list[ConsentGiven] = []
    custom: Values = {}
    referred_by: Annotated[str, msgspec.Meta(max_length=20)] | None = None
    campaign: Annotated[str, msgspec.Meta(max_length=100)] | None = None
    device: Annotated[str, msgspec.Meta(min_length=8, max_length=200)] | None = None
    override: Override | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a registration came from."""

    channel: str = "till"
    store: str | None = None
    till: str | None = None
    staff_id: int | None = None
    import_id: int | None = None
    campaign: str | None = None
    referrer: str | None = None
    device: str | None = None


async def register(
    registration: Registration, *, source: Source, at: datetime | None = None, may_override: bool = False
) -> int:
    """Make a member with a card; its id. Raises `MemberExists` or `PossibleDuplicate` with the candidates when the chain's rules
    say that it may be one already; `may_override` lets an override past those that block."""
    at = at or datetime.now(UTC)
    chain = await the_chain()
    who = _identity(registration, chain)
    async with database.transaction():
        home_store_id = await store_id_of(registration.home_store or source.store)
        screened = await screen(who, await member_policy(), override=registration.override, may_override=may_override)
        columns = {
            **msgspec.structs.asdict(who),
            "name_search": search_text(who.name),
            "phone_shared": screened.phone_shared,
            "email_shared": screened.email_shared,
            "gender": registration.gender,
            "language": registration.language or chain.language,
            "home_store_id": home_store_id,
            "tags": registration.tags,
            "notes": registration.notes,
            "external_ref": registration.external_ref,
            "custom": await _custom(registration),
            "source": msgspec.json.encode(_source(source, registration)).decode(),
            "registered_at": at,
        }
        member_id = await _insert(columns)
        if member_id is None:
            await refuse_duplicate(phone=who.phone, email=who.email, external_ref=registration.external_ref)
            raise MemberExists(field="external_ref", candidates=[])
        await issue_cards([member_id])
        for consent in registration.consents:
            await record_consent(
                member_id, consent, source=source.channel, staff_id=source.staff_id, store_id=home_store_id, at=at
            )
        await note_registrations([member_id])
        if registration.referred_by:
            await refer(member_id, registration.referred_by, device=registration.device, at=at)
        if registration.override:
            await note_different(
                member_id, screened.others, reason=registration.override.reason, staff_id=source.staff_id, at=at
            )
    return member_id


def _identity(registration: Registration, chain: Chain) -> Identity:
    """Who this is, in the form it is stored. Raises `InvalidInput`, `InvalidPhone`."""
    name, birth = registration.name.strip(), registration.birth
    if not name or len(name) > 200:
        raise InvalidInput(field="name", why="1 to 200 characters are needed")
    if not (registration.phone or registration.external_ref):
        raise InvalidInput(field="phone", why="is needed")
    return Identity(
        name=name,
        phone=normal_phone(registration.phone, chain.region) if registration.phone else None,
        email=normal_email(registration.email) if registration.email else None,
        birth_year=birth.year if birth else None,
        birth_month=birth.month if birth else None,
        birth_day=birth.day if birth else None,
    )


async def _custom(registration: Registration) -> str:
    fields = await custom_fields(fixed=bool(registration.custom))
    return msgspec.json.encode(checked(fields, registration.custom)).decode()


async def _insert(columns: dict[str, Any]) -> int | None:
    """The new member's id, or None: the unique indexes decide, so two tills that register the same phone at once make one member."""
    places = ", ".join(f"${place}" for place, _ in enumerate(columns, start=1))
    member_id: int | None = await database.value(
        f"INSERT INTO membership.member ({', '.join(columns)}) VALUES ({places}) ON CONFLICT DO NOTHING RETURNING id",
        *columns.values(),
    )
    return member_id


def _source(source: Source, registration: Registration) -> Source:
    """With what the newcomer came by; of a device its fingerprint is enough."""
    return msgspec.structs.replace(
        source,
        campaign=registration.campaign,
        referrer=registration.referred_by,
        device=fingerprint(registration.device).hex() if registration.device else None,
    )


async def register_references(
    references: Sequence[str], *, prefix_name: str, source: Source, at: datetime
) -> dict[str, int]:
    """Members by external reference, made where they do not exist yet; set-based, for imports."""
    async with database.transaction():
        made = await database.rows(
            "INSERT INTO membership.member (name, external_ref, language, source, registered_at, name_search) "
            "SELECT $2 || ref, ref, (SELECT language FROM stores.chain), $3, $4, search "
            "FROM unnest($1::text[], $5::text[]) v (ref, search) "
            "ON CONFLICT (external_ref) DO NOTHING RETURNING id",
            list(references),
            prefix_name,
            msgspec.json.encode(source).decode(),
            at,
            [search_text(prefix_name + reference) for reference in references],
        )
        ids = [row["id"] for row in made]
        await issue_cards(ids)
        await note_registrations(ids)
    return await identify(references)


async def identify(references: Sequence[str]) -> dict[str, int]:
    """Members by external reference or card number; those that do not exist are left out."""
    rows = await database.rows(
        "SELECT external_ref AS ref, CASE status WHEN 'merged' THEN membership.survivor(id) ELSE id END AS id "
        "FROM membership.member WHERE external_ref = ANY($1) AND status <> 'erased' "
        "UNION ALL SELECT number, CASE member.status WHEN 'merged' THEN membership.survivor(member_id) ELSE member_id END "
        "FROM membership.card JOIN membership.member ON member.id = member_id WHERE number = ANY($2) AND member.status <> 'erased'",
        list(references),
        [reference for reference in references if len(reference) == 13 and reference.isdigit()],
    )
    return {row["ref"]: row["id"] for row in rows}


async def issue_cards(member_ids: Sequence[int]) -> None:
    """A first card for each new member."""
    await database.execute(
        f"INSERT INTO membership.card (number, member_id) SELECT {NEXT_NUMBER}, id FROM unnest($1::bigint[]) id",
        list(member_ids),
    )


async def note_registrations(member_ids: Sequence[int]) -> None:
    """The first event of each new member's timeline."""
    await database.execute(
        "INSERT INTO membership.event (member_id, kind, ref, at, store_id, data) "
        "SELECT id, 'registered', 'member:' || id, registered_at, home_store_id, source FROM membership.member "
        "WHERE id = ANY($1::bigint[])",
        list(member_ids),
    )


async def refuse_duplicate(**given: str | None) -> None:
    """Raises `MemberExists` with the candidates when somebody has one of these."""
    for field, value in given.items():
        if value is None:
            continue
        rows = await database.rows(
            f"SELECT number, name FROM membership.member JOIN membership.card ON member_id = member.id "
            f"WHERE {field} = $1 AND member.status = 'active' AND card.status = 'active'",
            value,
        )
        candidates: list[dict[str, Any]] = [dict(row) for row in rows]
        if candidates:
            raise MemberExists(field=field, candidates=candidates)
