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
from membership.names import fold, misspelt, prefix_query, search_text, typo_query
from membership.profiles import SUMMARY, MemberSummary
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
        return await _found("member.id = $1", await member_of_card(digits), limit=1)
    if "@" in text:
        return await _found("member.email = $1", text.lower(), limit=limit)
    if re.fullmatch(r"\+?\d{3,15}", digits):
        return await _by_phone(digits, limit) or await _by_field(text, limit)
    return await _by_name(text, limit) or await _by_field(text, limit)


async def _by_phone(digits: str, limit: int) -> list[MemberSummary]:
    try:
        phone = normal_phone(digits, (await the_chain()).region)
    except InvalidPhone:
        phone = ""
    exact = await _found("member.phone = $1", phone, limit=limit) if phone else []
    return exact or await _found("reverse(member.phone) LIKE $1", digits.lstrip("+")[::-1] + "%", limit=limit)


async def _by_field(text: str, limit: int) -> list[MemberSummary]:
    """Members with exactly this in a field of the chain's own that is searched."""
    for field in await custom_fields():
        if field.searchable:
            try:
                asked = condition([field], f"{field.code}={text}")
            except InvalidInput:
                continue
            if found := await _found(asked.sql.format("$1"), asked.argument, limit=limit):
                return found
    return []


async def _by_name(text: str, limit: int) -> list[MemberSummary]:
    """Names that begin so; then those with a word, or a part of one, that does; then, if there is none, those misspelt."""
    start, query = " ".join(fold(text).split()), prefix_query(text)
    # The index by name gives these in order and stops; a common name would else be sorted whole.
    found = await _found("name_search LIKE $1", _like(start) + "%", limit=limit, order="name_search, member.id")
    if len(found) < limit and query is not None:
        there = {member.id for member in found}
        more = await _found(_TERMS, query, limit=CANDIDATES_MAX)
        found += _best(text, [member for member in more if member.id not in there])[: limit - len(found)]
    typo = typo_query(text)
    if not found and typo is not None:
        wanted = fold(text).split()
        alike = await _found(_TERMS, typo, limit=CANDIDATES_MAX)
        # The query takes some that differ by two letters for alike.
        found = _best(text, [each for each in alike if any(misspelt(word, each.name) for word in wanted)])[:limit]
    return found


def _best(text: str, members: Sequence[MemberSummary]) -> list[MemberSummary]:
    """Those with the text as a whole word first, then by name."""
    whole = set(fold(text).split())

    def rank(member: MemberSummary) -> tuple[bool, str, int]:
        name = search_text(member.name)
        return (not whole <= set(name.split()), name, member.id)

    return sorted(members, key=rank)


_TERMS: Final = "membership.name_terms(name_search) @@ $1::text::tsquery"


async def _found(where: str, value: object, *, limit: int, order: str = "") -> list[MemberSummary]:
    rows = await database.rows(
        f"{SUMMARY} WHERE member.status = 'active' AND {where} {f'ORDER BY {order}' if order else ''} LIMIT $2",
        value,
        limit,
    )
    return [MemberSummary(**dict(row)) for row in rows]


def _like(text: str) -> str:
    return re.sub(r"([\\%_])", r"\\\1", text)
