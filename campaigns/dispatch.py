"""Sending, at most once.

A delivery is claimed and committed before the provider hears of it. A definite refusal makes it `failed`; an answer that
never came makes it `ambiguous`, which nobody retries by machine. Only a delivery that was never offered goes back to the
queue.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

import aiosmtplib
import msgspec

import database
from campaigns.content import Content, render
from campaigns.errors import DispatchRunning, TemplateBroken, WrongState
from campaigns.planning import Campaign, campaign
from campaigns.smtp import connect_smtp
from membership.tickets import COMPLAINING
from segmentation.cross_sell import suggest
from stores.chain import Chain, the_chain
from stores.money import shown

CONNECTIONS: Final = 4
CLAIM_ROWS: Final = 50

Progress = Callable[[int], None]


class Dispatched(msgspec.Struct, frozen=True, kw_only=True):
    """What one dispatch did with the queue."""

    sent: int = 0
    failed: int = 0
    ambiguous: int = 0
    skipped: int = 0


class _Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery in our hands: from here on it is offered to the provider once, or never."""

    id: int
    member_id: int
    name: str
    email: str
    language: str
    voucher: str
    expires_at: datetime
    points: int
    skus: list[str]
    refused: str


async def dispatch(
    campaign_id: int, *, smtp_url: str, sender: str, at: datetime, progress: Progress = lambda sent: None
) -> Dispatched:
    """Send what is queued through an SMTP server. Raises `Unreachable`, with everything unsent still queued, and
    `DispatchRunning` while somebody else sends: what is in flight there would look like a crash's remains here.

    Run again after a crash it leaves what was in flight as `ambiguous` and goes on with the rest.
    """
    async with database.exclusively(f"dispatch of campaign {campaign_id}") as alone:
        if not alone:
            raise DispatchRunning(campaign_id=campaign_id)
        return await _dispatch(campaign_id, smtp_url=smtp_url, sender=sender, at=at, progress=progress)


async def _dispatch(campaign_id: int, *, smtp_url: str, sender: str, at: datetime, progress: Progress) -> Dispatched:
    planned = await campaign(campaign_id)
    if planned.status not in ("running", "finished"):
        raise WrongState(campaign_id=campaign_id, state=planned.status, wanted="running")
    await database.execute(
        "UPDATE campaigns.delivery SET status = 'ambiguous', reason = 'interrupted', finished_at = $2 "
        "WHERE campaign_id = $1 AND status = 'sending'",
        campaign_id,
        at,
    )
    contents = {
        row["language"]: Content(subject=row["subject"], body=row["body"])
        for row in await database.rows("SELECT * FROM campaigns.content WHERE campaign_id = $1", campaign_id)
    }
    sending = _Sending(planned, contents, await the_chain(), sender, at, progress)
    parts = await asyncio.gather(*(sending.run(smtp_url) for _ in range(CONNECTIONS)), return_exceptions=True)
    await database.execute(
        "UPDATE campaigns.campaign SET status = 'finished' WHERE id = $1 AND status = 'running' AND NOT EXISTS (SELECT FROM "
        "campaigns.delivery WHERE campaign_id = $1 AND status IN ('queued', 'sending'))",
        campaign_id,
    )
    for part in parts:
        if isinstance(part, BaseException):
            raise part
    return Dispatched(**sending.counts)


class _Sending:
    """One dispatch of one campaign, over several connections."""

    def __init__(
        self,
        planned: Campaign,
        contents: dict[str, Content],
        chain: Chain,
        sender: str,
        at: datetime,
        progress: Progress,
    ) -> None:
        self.planned, self.contents, self.chain = planned, contents, chain
        self.sender, self.at, self.progress = sender, at, progress
        self.counts = {"sent": 0, "failed": 0, "ambiguous": 0, "skipped": 0}
        self.names: dict[tuple[str, ...], list[str]] = {}

    async def run(self, smtp_url: str) -> None:
        smtp = await connect_smtp(smtp_url)
        try:
            while claimed := await self._claim():
                outcomes: list[tuple[str, str]] = []
                try:
                    for delivery in claimed:
                        if not smtp.is_connected:
                            smtp = await connect_smtp(smtp_url)
                        # Noted before it is offered: whatever stops us in the middle, it is not offered again.
                        outcomes.append(("ambiguous", "interrupted"))
                        outcomes[-1] = await self._offer(smtp, delivery)
                finally:
                    await self._settle(claimed, outcomes)
        finally:
            smtp.close()

    async def _claim(self) -> list[_Claimed]:
        """Take the next of the queue and commit, before anything is offered. Consent is asked again, now."""
        rows = await database.rows(_CLAIM, self.planned.id, CLAIM_ROWS, self.at)
        return [_Claimed(**dict(row)) for row in rows]

    async def _offer(self, smtp: aiosmtplib.SMTP, delivery: _Claimed) -> tuple[str, str]:
        """Status and reason of one delivery."""
        if delivery.refused:
            return "skipped", delivery.refused
        try:
            message = await self._message(delivery)
        except TemplateBroken as error:
            return "failed", str(error)[:200]
        try:
            await smtp.send_message(message)
        except aiosmtplib.SMTPResponseException as error:
            return "failed", f"{error.code} {error.message}"[:200]
        except aiosmtplib.SMTPRecipientsRefused as error:
            return "failed", str(error.recipients[0])[:200]
        except (aiosmtplib.SMTPException, OSError) as error:
            return "ambiguous", type(error).__name__
        return "sent", ""

    async def _settle(self, claimed: list[_Claimed], outcomes: list[tuple[str, str]]) -> None:
        """Write the outcomes down; what was claimed but not offered goes back to the queue."""
        await database.execute(
            "UPDATE campaigns.delivery SET status = 'queued', claimed_at = NULL WHERE id = ANY($1::bigint[])",
            [delivery.id for delivery in claimed[len(outcomes) :]],
        )
        await database.execute(
            _SETTLE,
            [delivery.id for delivery in claimed[: len(outcomes)]],
            [status for status, _ in outcomes],
            [reason for _, reason in outcomes],
            self.at,
            self.planned.id,
        )
        for status, _ in outcomes:
            self.counts[status] += 1
        self.progress(len(outcomes))

    async def _message(self, delivery: _Claimed) -> EmailMessage:
        data = {
            "name": delivery.name,
            "points": delivery.points,
            "voucher": delivery.voucher,
            "offer": _offer_words(self.planned, self.chain, delivery.language),
            "expires": delivery.expires_at.astimezone(self.chain.zone).date().isoformat(),
            "suggestions": await self._suggestions(delivery.skus),
            "chain": self.chain.name,
        }
        written = render(self.contents[delivery.language], data, language=delivery.language)
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, delivery.email, written.subject
        message["Date"] = format_datetime(self.at)
        # Named after the delivery, so that a server that deduplicates sees two copies as one.
        message["Message-ID"] = f"<delivery-{delivery.id}@{self.sender.rpartition('@')[2].rstrip('> ') or 'regulars'}>"
        message.set_content(written.body)
        message["Content-Language"] = delivery.language  # after the content, which clears what is said of it
        return message

    async def _suggestions(self, skus: list[str]) -> list[str]:
        key = tuple(skus)
        if key not in self.names:
            self.names[key] = (
                [suggestion.name or suggestion.sku for suggestion in await suggest(skus, limit=3)] if skus else []
            )
        return self.names[key]


# The member's last basket makes the suggestions.
_CLAIM = (
    """
WITH claimed AS (
    UPDATE campaigns.delivery SET status = 'sending', claimed_at = $3 WHERE id IN (
        SELECT id FROM campaigns.delivery WHERE campaign_id = $1 AND status = 'queued' ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
    RETURNING id, member_id, voucher_id
)
SELECT claimed.id, claimed.member_id, member.name, coalesce(email, '') AS email, language, voucher.code AS voucher,
    voucher.expires_at, coalesce(account.balance, 0) AS points,
    ARRAY(SELECT sku FROM stores.receipt_line JOIN stores.product ON product.id = product_id AND kind = 'goods'
        WHERE receipt_id = (SELECT id FROM stores.receipt WHERE receipt.member_id = claimed.member_id AND kind = 'sale'
            AND business_time <= $3 ORDER BY business_time DESC LIMIT 1) ORDER BY sku LIMIT 5) AS skus,
    CASE WHEN member.status <> 'active' THEN 'no member any more'
        WHEN email IS NULL OR NOT coalesce((SELECT given FROM membership.consent c WHERE c.member_id = claimed.member_id
            AND channel = 'email' AND purpose = 'marketing' ORDER BY c.id DESC LIMIT 1), false) THEN 'consent withdrawn'
        WHEN EXISTS ("""
    + COMPLAINING.format(member="claimed.member_id")
    + """) THEN 'open complaint' ELSE '' END AS refused
FROM claimed JOIN membership.member ON member.id = claimed.member_id
JOIN loyalty.voucher ON voucher.id = claimed.voucher_id
LEFT JOIN loyalty.account ON account.member_id = claimed.member_id AND unit = 'points'
ORDER BY claimed.id
"""
)

_SETTLE = """
WITH outcome AS (
    UPDATE campaigns.delivery SET status = o.status, reason = o.reason, finished_at = $4
    FROM unnest($1::bigint[], $2::text[], $3::text[]) AS o (id, status, reason)
    WHERE delivery.id = o.id AND delivery.status = 'sending'
    RETURNING delivery.id, delivery.member_id, delivery.status
)
INSERT INTO membership.event (member_id, kind, ref, at, data)
SELECT member_id, 'messaged', 'delivery:' || id, $4, jsonb_build_object('campaign', $5::bigint, 'channel', 'email')
FROM outcome WHERE status = 'sent'
"""


_OFFERS = {
    "en": ("{} off", "{}% off", "{} bonus points"),
    "ms": ("potongan {}", "potongan {}%", "{} mata bonus"),
    "zh-Hans": ("立减 {}", "减 {}%", "{} 奖励积分"),
    "zh-Hant": ("折抵 {}", "減 {}%", "{} 點紅利積分"),
}


def _offer_words(planned: Campaign, chain: Chain, language: str) -> str:
    amount, percent, points = _OFFERS[language]
    if planned.offer.kind == "amount_off":
        return amount.format(shown(planned.offer.value, chain.currency))
    return (percent if planned.offer.kind == "percent_off" else points).format(planned.offer.value)
