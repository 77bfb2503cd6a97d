"""The one box of the till: card, phone or its last digits, e-mail, or a name in any script."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

import database
from errors import InvalidInput
from membership.cards import check_number, member_of_card
from membership.contact import normal_phone
from membership.custom_fields import custom_fields
from membership.custom_values import condition
from membership.errors import InvalidPhone
from membership.names import fold, misspelt, prefix_query, typo_query
from membership.profiles import MemberSummary
from stores.chain import the_chain

RESULTS_MAX: Final = 20
# As many that a query finds are looked at for the best; whoever sees none of them types another letter.
CANDIDATES_MAX: Final = 200


async def search(text: str, *, limit: int = RESULTS_MAX) -> list[MemberSummary]:
    """The members that a text means, the likeliest first. Raises `InvalidCard`, `CardReplaced` and the like for a text that is
    a card's number."""
    text = unicodedata.normalize("NFKC", text).strip()
    digits = re.sub(r"[\s().-]", "", text)
    if not text:
        return []
    if re.fullmatch(r"2\d{12}", digits):
        check_number(digits)
        return await _by_card(digits)
    if "@" in text:
        return await _found("member.email = $2", text.lower(), limit=limit)
    if re.fullmatch(r"\+?\d{3,15}", digits):
        return await _by_phone(digits, limit) or await _by_field(text, limit)
    return await _by_name(text, limit) or await _by_field(text, limit)


async def _by_phone(digits: str, limit: int) -> list[MemberSummary]:
    try:
        phone = normal_phone(digits, (await the_chain()).region)
    except InvalidPhone:
        phone = ""
    exact = await _found("member.phone = $2", phone, limit=limit) if phone else []
    return exact or await _found(_ENDING, *_prefix(digits.lstrip("+")[::-1]), limit=limit)


async def _by_field(text: str, limit: int) -> list[MemberSummary]:
    """Members with exactly this in a field of the chain's own that is searched."""
    for field in await custom_fields():
        if field.searchable:
            try:
                asked = condition([field], f"{field.code}={text}")
            except InvalidInput:
                continue
            if found := await _found(asked.sql.format("$2"), asked.argument, limit=limit):
                return found
    return []


async def _by_name(text: str, limit: int) -> list[MemberSummary]:
    """Names that begin so; then those with a word, or a part of one, that does; then, if there is none, those misspelt."""
    start, query = " ".join(fold(text).split()), prefix_query(text)
    # The index by name gives these in order and stops; a common name would else be sorted whole.
    found = await _rows(_BEGINNING, *_prefix(start), limit=limit, order="name_search, member.id")
    if len(found) < limit and query is not None:
        there = {row["id"] for row in found}
        more = await _rows(_TERMS, query, limit=CANDIDATES_MAX)
        found += _best(text, [row for row in more if row["id"] not in there])[: limit - len(found)]
    typo = typo_query(text)
    if not found and typo is not None:
        wanted = fold(text).split()
        alike = await _rows(_TERMS, typo, limit=CANDIDATES_MAX)
        # The query takes some that differ by two letters for alike.
        close = [row for row in alike if any(misspelt(word, row["name_search"]) for word in wanted)]
        found = _best(text, close)[:limit]
    return [_summary(row) for row in found]


def _best(text: str, rows: Sequence[database.Row]) -> list[database.Row]:
    """Those with the text as a whole word first, then by name."""
    whole = set(fold(text).split())

    def rank(row: database.Row) -> tuple[bool, str, int]:
        return (not whole <= set(row["name_search"].split()), row["name_search"], row["id"])

    return sorted(rows, key=rank)


async def _by_card(number: str) -> list[MemberSummary]:
    """In one round trip, because a queue waits; what is wrong with a card is asked when something is."""
    row = await database.row(_BY_CARD, number)
    return [_summary(row)] if row else await _found("member.id = $2", await member_of_card(number), limit=1)


_COLUMNS: Final = "card.number, member.name, member.phone, member.email, member.id, member.name_search"
_BY_CARD: Final = (
    f"SELECT {_COLUMNS} FROM membership.card JOIN membership.member ON member.id = member_id "
    "WHERE number = $1 AND card.status = 'active' AND member.status = 'active'"
)
_TERMS: Final = "membership.name_terms(name_search) @@ $2::text::tsquery"
# Ranges and not LIKE, whose pattern a prepared statement does not know when it is planned.
_BEGINNING: Final = "name_search >= $2 AND name_search < $3"
_ENDING: Final = "reverse(member.phone) ~>=~ $2 AND reverse(member.phone) ~<~ $3"


async def _found(where: str, *values: object, limit: int) -> list[MemberSummary]:
    return [_summary(row) for row in await _rows(where, *values, limit=limit)]


async def _rows(where: str, *values: object, limit: int, order: str = "") -> list[database.Row]:
    """The members first and by themselves, so that they come from the index of their condition and from no join's order."""
    ordered = f"ORDER BY {order}" if order else ""
    return await database.rows(
        "WITH member AS MATERIALIZED (SELECT * FROM membership.member WHERE member.status = 'active' "
        f"AND {where} {ordered} LIMIT $1) SELECT {_COLUMNS} FROM member JOIN membership.card ON member_id = member.id "
        f"AND card.status = 'active' {ordered}",
        limit,
        *values,
    )


def _summary(row: database.Row) -> MemberSummary:
    return MemberSummary(id=row["id"], number=row["number"], name=row["name"], phone=row["phone"], email=row["email"])


def _prefix(text: str) -> tuple[str, str]:
    """The first text that begins so, and one after the last."""
    return text, text + "\U0010ffff"
