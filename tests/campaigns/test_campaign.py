"""A campaign from draft to result, through a real SMTP server."""

import email
import email.policy
from collections.abc import AsyncIterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session

import database
from api.demo.outbox import outbox
from campaigns.content import Content
from campaigns.dispatch import dispatch
from campaigns.errors import EmptyAudience, TemplateBroken, UnknownCampaign, WrongState
from campaigns.holdout import held_out
from campaigns.launch import delivery_counts, launch
from campaigns.planning import Draft, Expected, Offer, campaign, draft
from campaigns.report import report
from errors import InvalidInput, Unreachable
from membership.cards import member_of_card
from membership.consent import ConsentGiven, record_consent
from membership.tickets import TicketChange, TicketOpened, change_ticket, open_ticket
from segmentation.rfm import score_members
from tests import shop

# Letters go out over several connections, each with a database connection of its own.
pytestmark = pytest.mark.usefixtures("own_database")
AT = shop.NOON + timedelta(days=30)
SENDER = "Regulars <regulars@shop.example>"


async def _audience(count: int = 12) -> list[str]:
    """Members who all bought the same, so that all are in one segment; one has no consent, one no e-mail."""
    await shop.open_shop()
    languages = ("en", "ms", "zh-Hans", "zh-Hant")
    members = []
    for place in range(count):
        consents = [] if place == 0 else [ConsentGiven(channel="email")]
        address = None if place == 1 else f"m{place}@mail.example"
        members.append(
            await shop.join(f"Member {place}", email=address, consents=consents, language=languages[place % 4])
        )
        await shop.sell(members[-1], ("CUP", 1, 1000))
    await score_members(date(2026, 4, 1))
    return members


async def _segment() -> str:
    return str(await database.value("SELECT min(segment) FROM segmentation.rfm_score"))


def _plan(segment: str, **fields: object) -> Draft:
    defaults: dict[str, object] = {
        "name": "Spring",
        "offer": Offer(kind="bonus_points", value=100),
        "expected": Expected(response=0.3, uplift=0.1),
        "budget_points": 10_000,
        "holdout_percent": 0,
    }
    return Draft(segment=segment, **{**defaults, **fields})  # type: ignore[arg-type]  # a test's shorthand


@pytest.fixture
async def mail(tmp_path: Path) -> AsyncIterator[tuple[str, Path]]:
    """A real SMTP server and where it keeps what it gets."""
    async with outbox(tmp_path) as url:
        yield url, tmp_path


async def test_everyone_in_the_audience_has_one_row_and_the_parts_sum_to_it() -> None:
    members = [await member_of_card(number) for number in await _audience()]
    campaign_id = await draft(_plan(await _segment(), holdout_percent=40), point_value=1, salt="spring")
    launched = await launch(campaign_id, at=AT)
    assert launched.audience == 12
    assert launched.skipped == {"no consent": 1, "no address": 1}
    rows = await database.rows("SELECT member_id FROM campaigns.delivery WHERE status = 'control' ORDER BY 1")
    control = [member_id for member_id in members[2:] if held_out("spring", member_id, percent=40)]
    assert [row["member_id"] for row in rows] == control
    assert 0 < launched.control == len(control) == 10 - launched.queued
    assert launched.reserved_points == 100 * launched.queued
    assert await database.value("SELECT count(*) FROM loyalty.voucher") == launched.queued


async def test_letters_are_in_each_member_s_language_with_their_own_voucher(mail: tuple[str, Path]) -> None:
    await _audience()
    campaign_id = await draft(_plan(await _segment()), point_value=1)
    await launch(campaign_id, at=AT)
    done = await dispatch(campaign_id, smtp_url=mail[0], sender=SENDER, at=AT)
    assert (done.sent, done.failed, done.ambiguous) == (10, 0, 0)
    letters = [
        email.message_from_bytes(path.read_bytes(), policy=email.policy.default) for path in mail[1].glob("*.eml")
    ]
    assert {letter["Content-Language"] for letter in letters} == {"en", "ms", "zh-Hans", "zh-Hant"}
    codes = {row["code"] for row in await database.rows("SELECT code FROM loyalty.voucher")}
    for letter in letters:
        text = letter.get_content()  # type: ignore[attr-defined]  # an EmailMessage
        assert len([code for code in codes if code in text]) == 1
        assert "10" in text  # the balance
    assert len({letter["Message-ID"] for letter in letters}) == 10
    assert (await campaign(campaign_id)).status == "finished"
    assert await database.value("SELECT count(*) FROM membership.event WHERE kind = 'messaged'") == 10


async def test_nobody_is_written_to_twice(mail: tuple[str, Path]) -> None:
    await _audience()
    campaign_id = await draft(_plan(await _segment()), point_value=1)
    await launch(campaign_id, at=AT)
    for _ in range(3):
        await dispatch(campaign_id, smtp_url=mail[0], sender=SENDER, at=AT)
    assert len(list(mail[1].glob("*.eml"))) == 10
    with pytest.raises(WrongState):
        await launch(campaign_id, at=AT)


async def test_withdrawing_consent_takes_effect_for_a_message_already_queued(mail: tuple[str, Path]) -> None:
    members = await _audience()
    campaign_id = await draft(_plan(await _segment()), point_value=1)
    await launch(campaign_id, at=AT)
    withdrawn = ConsentGiven(channel="email", given=False)
    await record_consent(await member_of_card(members[5]), withdrawn, source="till", at=AT)
    done = await dispatch(campaign_id, smtp_url=mail[0], sender=SENDER, at=AT)
    assert (done.sent, done.skipped) == (9, 1)
    assert (await delivery_counts(campaign_id))["skipped", "consent withdrawn"] == 1


async def test_marketing_is_paused_while_a_complaint_is_open(mail: tuple[str, Path]) -> None:
    members = await _audience()
    at_launch, later = [await member_of_card(members[place]) for place in (4, 5)]
    complaint = TicketOpened(store="KL01", subject="Broken", category="complaint")
    opened = await open_ticket(at_launch, complaint, staff_id=None, at=AT)
    campaign_id = await draft(_plan(await _segment()), point_value=1)
    assert (await launch(campaign_id, at=AT)).skipped["open complaint"] == 1
    await open_ticket(later, complaint, staff_id=None, at=AT)
    done = await dispatch(campaign_id, smtp_url=mail[0], sender=SENDER, at=AT)
    assert (done.sent, done.skipped) == (8, 1)
    await change_ticket(opened.id, TicketChange(status="resolved"), at=AT)
    again = await draft(_plan(await _segment()), point_value=1)
    assert (await launch(again, at=AT)).skipped["open complaint"] == 1


async def test_a_budget_reaches_as_many_as_it_pays_for() -> None:
    await _audience()
    campaign_id = await draft(_plan(await _segment(), budget_points=350), point_value=1)
    launched = await launch(campaign_id, at=AT)
    assert (launched.queued, launched.skipped["budget"], launched.reserved_points) == (3, 7, 300)


async def test_money_offers_count_in_points_rounded_up() -> None:
    await _audience()
    segment = await _segment()
    first = await draft(_plan(segment, offer=Offer(kind="amount_off", value=501)), point_value=2)
    second = await draft(_plan(segment, offer=Offer(kind="percent_off", value=10, spend_min=5000)), point_value=1)
    assert ((await campaign(first)).voucher_points, (await campaign(second)).voucher_points) == (251, 500)


class _Refusing:
    """A server that refuses some addresses and hangs up on one after taking its letter."""

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("m2@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if envelope.rcpt_tos[0].startswith("m3@"):
            assert server.transport is not None
            server.transport.abort()
        return "250 ok"


async def test_a_refusal_is_failed_and_a_lost_answer_is_ambiguous_and_neither_is_tried_again() -> None:
    import asyncio

    server = await asyncio.get_running_loop().create_server(lambda: SMTP(_Refusing()), "127.0.0.1", 0)
    url = f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await _audience()
    campaign_id = await draft(_plan(await _segment()), point_value=1)
    await launch(campaign_id, at=AT)
    try:
        done = await dispatch(campaign_id, smtp_url=url, sender=SENDER, at=AT)
        again = await dispatch(campaign_id, smtp_url=url, sender=SENDER, at=AT)
    finally:
        server.close()
    assert (done.sent, done.failed, done.ambiguous) == (8, 1, 1)
    assert (again.sent, again.failed, again.ambiguous) == (0, 0, 0)
    counts = await delivery_counts(campaign_id)
    assert any(status == "failed" and "550" in reason for status, reason in counts)
    assert sum(counts.values()) == 12


async def test_an_interrupted_delivery_is_ambiguous_afterwards(mail: tuple[str, Path]) -> None:
    await _audience()
    campaign_id = await draft(_plan(await _segment()), point_value=1)
    await launch(campaign_id, at=AT)
    await database.execute(
        "UPDATE campaigns.delivery SET status = 'sending' WHERE id = (SELECT min(id) FROM campaigns.delivery WHERE status = 'queued')"
    )
    done = await dispatch(campaign_id, smtp_url=mail[0], sender=SENDER, at=AT)
    assert done.sent == 9
    assert (await delivery_counts(campaign_id))["ambiguous", "interrupted"] == 1


async def test_an_unreachable_server_leaves_everything_queued() -> None:
    await _audience()
    campaign_id = await draft(_plan(await _segment()), point_value=1)
    await launch(campaign_id, at=AT)
    with pytest.raises(Unreachable, match="SMTP_URL"):
        await dispatch(campaign_id, smtp_url="smtp://127.0.0.1:1", sender=SENDER, at=AT)
    assert (await delivery_counts(campaign_id))["queued", ""] == 10


async def test_the_report_sets_expected_beside_actual_and_gives_no_verdict_on_too_little() -> None:
    members = await _audience()
    campaign_id = await draft(_plan(await _segment(), holdout_percent=40), point_value=1, salt="spring")
    await launch(campaign_id, at=AT)
    await shop.sell(members[3], ("CUP", 2, 1000), at=AT + timedelta(days=1))
    found = await report(campaign_id, at=AT + timedelta(days=31))
    assert found.treated.buyers + found.control.buyers == 1
    assert found.treated.members + found.control.members == 10
    assert found.effect.verdict == "no verdict"
    assert "too little data" in found.effect.because
    assert found.response.expected == 0.3
    early = await report(campaign_id, at=AT + timedelta(days=2))
    assert "open until" in early.effect.because


@pytest.mark.parametrize(
    ("fields", "error", "match"),
    [
        ({"segment": "Nobody"}, InvalidInput, "segment"),
        ({"name": " "}, InvalidInput, "name"),
        ({"expected": Expected(response=0.1, uplift=0.2)}, InvalidInput, "uplift"),
        ({"content": {"fr": Content(subject="a", body="b")}}, InvalidInput, "content"),
        ({"content": {"en": Content(subject="{{ nme }}", body="b")}}, TemplateBroken, "nme"),
        ({"content": {"en": Content(subject="{% if", body="b")}}, TemplateBroken, "content.en"),
        ({"content": {"en": Content(subject="{{ ''.__class__.__mro__ }}", body="b")}}, TemplateBroken, "content.en"),
    ],
)
async def test_a_plan_that_cannot_be_is_refused(fields: dict[str, object], error: type[Exception], match: str) -> None:
    await shop.open_shop()
    plan = _plan(str(fields.pop("segment", "Champions")), **fields)
    with pytest.raises(error, match=match):
        await draft(plan, point_value=1)
    assert await database.value("SELECT count(*) FROM campaigns.campaign") == 0


async def test_an_empty_segment_and_an_unknown_campaign_are_refused() -> None:
    await _audience()
    empty = "Lost" if await _segment() != "Lost" else "Champions"
    campaign_id = await draft(_plan(empty), point_value=1)
    with pytest.raises(EmptyAudience):
        await launch(campaign_id, at=AT)
    with pytest.raises(UnknownCampaign):
        await launch(404, at=AT)
