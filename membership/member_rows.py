"""A member as a row of a file, and what of it goes into which column."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from errors import DomainError
from membership.contact import normal_email, normal_phone
from membership.custom_values import CustomField, Values, checked, from_text
from membership.names import search_text
from membership.registration import BirthDate, Language
from stores.chain import Chain


class MemberRow(msgspec.Struct, frozen=True, kw_only=True):
    """One member in a file. `birth_date` is YYYY-MM-DD, or --MM-DD without the year; `tags` are parted by semicolons; `custom` is
    what stands in the columns `custom.…`."""

    external_ref: str
    name: str
    phone: str | None = None
    email: str | None = None
    birth_date: str | None = None
    gender: str = ""
    language: Language | None = None
    home_store: str | None = None
    tags: str | None = None
    notes: str | None = None
    registered_at: datetime | None = None
    marketing_email: bool = False
    custom: dict[str, str] = {}


def columns_of(
    member: MemberRow, chain: Chain, stores: dict[str, int], fields: Sequence[CustomField], at: datetime
) -> dict[str, Any]:
    """A row as the columns of a member; `consent` is marketing by e-mail. Raises a `DomainError` whose `field` is the column."""
    birth = _birth(member.birth_date)
    name = member.name.strip()
    if not name or len(name) > 200:
        raise _wrong("name", "1 to 200 characters are needed")
    if member.gender not in ("", "female", "male", "other"):
        raise _wrong("gender", f"{member.gender!r} is none of female, male, other")
    if member.home_store is not None and member.home_store not in stores:
        raise _wrong("home_store", f"{member.home_store!r} is unknown; import stores first")
    registered_at = member.registered_at or at
    if registered_at.tzinfo is None:
        registered_at = registered_at.replace(tzinfo=chain.zone)
    return {
        "name": name,
        "name_search": search_text(name),
        "phone": normal_phone(member.phone, chain.region) if member.phone else None,
        "email": normal_email(member.email) if member.email else None,
        "phone_shared": False,
        "email_shared": False,
        "birth_year": birth.year if birth else None,
        "birth_month": birth.month if birth else None,
        "birth_day": birth.day if birth else None,
        "gender": member.gender,
        "language": member.language,
        "home_store_id": stores[member.home_store] if member.home_store else None,
        "tags": [tag.strip() for tag in (member.tags or "").split(";") if tag.strip()],
        "notes": member.notes or "",
        "custom": _custom(member.custom, fields),
        "external_ref": member.external_ref,
        "registered_at": registered_at,
        "consent": member.marketing_email,
    }


def _custom(given: dict[str, str], fields: Sequence[CustomField]) -> Values:
    if not given and not fields:
        return {}
    known = {field.code: field for field in fields}
    values: Values = {code: from_text(known[code], text) if code in known else text for code, text in given.items()}
    return checked(fields, values)


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
