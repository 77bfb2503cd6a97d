"""The member's number: an EAN-13 that any till scanner reads (GS1 restricted-circulation prefix 20-29)."""

import io
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import barcode
import msgspec
import segno
from barcode.writer import ImageWriter, SVGWriter

import database
from membership.errors import CardReplaced, InvalidCard, MemberErased, UnknownMember


def check_digit(twelve: str) -> int:
    """The thirteenth digit of an EAN-13 (GS1 General Specifications, 7.9)."""
    weighted = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(twelve))
    return -weighted % 10


def check_number(number: str) -> None:
    """Raises `InvalidCard` saying what is wrong with a number, before any look-up."""
    if len(number) != 13 or not (number.isascii() and number.isdigit()):
        raise InvalidCard(number=number, why="is no card number: 13 digits are needed")
    if number[0] != "2":
        raise InvalidCard(number=number, why="is no member card: those start with 2")
    if check_digit(number[:12]) != int(number[12]):
        raise InvalidCard(number=number, why="has a wrong check digit: scan the card again")


async def member_of_card(number: str) -> int:
    """The id of the member whose card it is, or of the one they have become part of. Raises `InvalidCard`, `CardReplaced`,
    `MemberErased` or `UnknownMember`."""
    check_number(number)
    row = await database.row(
        "SELECT CASE member.status WHEN 'merged' THEN membership.survivor(member.id) ELSE member.id END AS member_id, "
        "card.status, member.status AS of_member FROM membership.card JOIN membership.member ON member.id = member_id "
        "WHERE number = $1",
        number,
    )
    if row is None:
        raise UnknownMember(number=number)
    if row["of_member"] == "erased":
        raise MemberErased(number=number)
    if row["status"] == "replaced":
        raise CardReplaced(number=number)
    return int(row["member_id"])


async def members_of_cards(numbers: Sequence[str]) -> dict[str, int]:
    """The ids of the members whose cards these are, or of those they have become part of, as far as there are any."""
    rows = await database.rows(
        "SELECT number, membership.survivor(member_id) AS member_id FROM membership.card WHERE number = ANY($1)",
        list(numbers),
    )
    return {row["number"]: row["member_id"] for row in rows}


async def card_of_member(member_id: int) -> str:
    """The number of the member's active card."""
    return str(
        await database.value("SELECT number FROM membership.card WHERE member_id = $1 AND status = 'active'", member_id)
    )


class CardShown(msgspec.Struct, frozen=True, kw_only=True):
    """A card that leads to a member: the one in use, replaced ones, and those of members who became part of them."""

    number: str
    status: Literal["active", "replaced", "merged"]
    issued_at: datetime


async def cards_of(member_id: int) -> list[CardShown]:
    """Every card that leads, or led, to a member, the one in use first."""
    rows = await database.rows(
        "SELECT number, CASE WHEN member_id <> $1 THEN 'merged' ELSE status END AS status, issued_at FROM membership.card "
        "WHERE member_id = ANY(SELECT membership.everyone_in($1)) ORDER BY member_id <> $1, status, issued_at, number",
        member_id,
    )
    return [CardShown(**dict(row)) for row in rows]


async def replace_card(number: str) -> str:
    """Issue a new card for a lost one; its number. The old one is refused from now on."""
    async with database.transaction():
        member_id = await member_of_card(number)
        await database.lock_rows("membership.member", [member_id])
        # By the member, because the number may be that of somebody who has become part of them.
        await database.execute(
            "UPDATE membership.card SET status = 'replaced' WHERE member_id = $1 AND status = 'active'", member_id
        )
        return str(
            await database.value(
                f"INSERT INTO membership.card (number, member_id) VALUES ({NEXT_NUMBER}, $1) RETURNING number",
                member_id,
            )
        )


NEXT_NUMBER = "membership.ean13('20' || lpad(nextval('membership.card_number')::text, 10, '0'))"


def barcode_svg(number: str) -> bytes:
    """The number as an EAN-13 barcode."""
    sink = io.BytesIO()
    barcode.get("ean13", number, writer=SVGWriter()).write(sink)
    return sink.getvalue()


def barcode_png(number: str) -> bytes:
    """The number as an EAN-13 barcode, for what shows no SVG."""
    sink = io.BytesIO()
    barcode.get("ean13", number, writer=ImageWriter()).write(sink)
    return sink.getvalue()


def qr_png(number: str) -> bytes:
    """The number as a QR code, for what shows no SVG."""
    sink = io.BytesIO()
    segno.make(number, error="m").save(sink, kind="png", scale=6, border=2)
    return sink.getvalue()


def qr_svg(number: str) -> bytes:
    """The number as a QR code, for phones that show it to a camera scanner."""
    sink = io.BytesIO()
    segno.make(number, error="m").save(sink, kind="svg", scale=6, border=2)
    return sink.getvalue()
