"""Consent: an append-only record per channel and purpose; what holds now is derived from the newest."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec

import database
from errors import InvalidInput
from membership.policy import member_policy

Channel = Literal["email", "sms", "chat", "post", "phone"]
Purpose = Literal["marketing", "service", "profiling"]


class ConsentGiven(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Consent given or withdrawn, and the version of the wording that was shown."""

    channel: Channel
    purpose: Purpose = "marketing"
    given: bool = True
    wording: Annotated[str, msgspec.Meta(min_length=1, max_length=200)] = "v1"
    method: Annotated[str, msgspec.Meta(max_length=200)] = "spoken"


class CurrentConsent(msgspec.Struct, frozen=True, kw_only=True):
    """What holds now for one channel and purpose, and since when."""

    channel: str
    purpose: str
    given: bool
    wording: str
    at: datetime


async def record_consent(
    member_id: int,
    consent: ConsentGiven,
    *,
    source: str,
    at: datetime,
    staff_id: int | None = None,
    store_id: int | None = None,
) -> None:
    """Take down what a member said. Where the chain wants e-mail confirmed, consent to it waits until it is."""
    async with database.transaction():
        if consent.given and consent.channel == "email" and (await member_policy()).double_opt_in:
            await _ask_to_confirm(member_id, consent, source=source, staff_id=staff_id, store_id=store_id, at=at)
        else:
            await append_consent(member_id, consent, source=source, staff_id=staff_id, store_id=store_id, at=at)


async def _ask_to_confirm(
    member_id: int, consent: ConsentGiven, *, source: str, staff_id: int | None, store_id: int | None, at: datetime
) -> None:
    email = await database.value("SELECT email FROM membership.member WHERE id = $1", member_id)
    if email is None:
        raise InvalidInput(field="consents", why="consent to e-mail needs an e-mail address to confirm it from")
    await database.execute(
        "INSERT INTO membership.opt_in (member_id, purpose, wording, source, staff_id, store_id, email, asked_at) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        member_id,
        consent.purpose,
        consent.wording,
        source,
        staff_id,
        store_id,
        email,
        at,
    )


async def append_consent(
    member_id: int,
    consent: ConsentGiven,
    *,
    source: str,
    at: datetime,
    staff_id: int | None = None,
    store_id: int | None = None,
    cleared: bool = False,
) -> int:
    """Append a record and note it in the timeline; its id. `cleared` makes it as if never asked."""
    async with database.transaction():
        consent_id = await database.value(
            "INSERT INTO membership.consent (member_id, channel, purpose, given, wording, method, source, staff_id, store_id, at, "
            "cleared) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
            member_id,
            consent.channel,
            consent.purpose,
            consent.given,
            consent.wording,
            consent.method,
            source,
            staff_id,
            store_id,
            at,
            cleared,
        )
        await database.execute(
            "INSERT INTO membership.event (member_id, kind, ref, at, store_id, data) VALUES ($1, $2, $3, $4, $5, $6)",
            member_id,
            "consent_given" if consent.given else "consent_withdrawn",
            f"consent:{consent_id}",
            at,
            store_id,
            msgspec.json.encode({"channel": consent.channel, "purpose": consent.purpose}).decode(),
        )
    return int(consent_id)


async def current_consents(member_id: int) -> list[CurrentConsent]:
    """The newest record of each channel and purpose."""
    rows = await database.rows(
        "SELECT channel, purpose, given, wording, at FROM (SELECT DISTINCT ON (channel, purpose) * FROM membership.consent "
        "WHERE member_id = $1 ORDER BY channel, purpose, id DESC) newest WHERE NOT cleared ORDER BY channel, purpose",
        member_id,
    )
    return [CurrentConsent(**dict(row)) for row in rows]


# Members who may be sent marketing by a channel ($CHANNEL); for joining into audience queries.
CONSENTING = """
    SELECT member_id FROM (
        SELECT DISTINCT ON (member_id) member_id, given FROM membership.consent
        WHERE channel = '{channel}' AND purpose = 'marketing' ORDER BY member_id, id DESC
    ) newest WHERE given
"""
