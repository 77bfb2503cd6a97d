"""What the worker does, job by job. Each can be run again at any time: after a crash, twice at once, or days late."""

import functools
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

import database
from api.idempotency import KEPT_DAYS, forget_keys
from api.operation.logs import log
from campaigns.dispatch import dispatch
from campaigns.errors import DispatchRunning
from errors import DomainError
from loyalty.nightly import run_nightly
from loyalty.simulations import work_off
from membership.advising import release_idle
from membership.duplicate_scan import scan_duplicates
from segmentation.clusters import cluster_members
from segmentation.cross_sell import relate_products
from segmentation.errors import TooLittleData
from segmentation.rfm import score_members, segments_of
from settings import settings
from stores.chain import the_chain
from stores.errors import NoChain

DELIVERIES_KEPT_DAYS: Final = 30

Context = dict[str, Any]
Result = dict[str, Any]


class JobFailed(Exception):
    """Named for what went wrong; the text of the cause stays in no queue, because it may quote somebody's data."""


def job(work: Callable[[], Awaitable[Result]]) -> Callable[[Context], Awaitable[Result]]:
    """A job as the queue calls it. A refusal is a result (there is nothing to try again); a fault is tried again."""

    @functools.wraps(work)
    async def run(context: Context) -> Result:
        try:
            result = await work()
        except (NoChain, TooLittleData, MailNotConfigured) as refusal:
            log().info("job skipped", job=work.__qualname__, why=str(refusal))
            return {"skipped": type(refusal).__name__}
        except Exception as error:
            log().error("job failed", job=work.__qualname__, exc_info=error)
            raise JobFailed(type(error).__name__) from None
        log().info("job done", job=work.__qualname__, **result)
        return result

    return run


@job
async def nightly() -> Result:
    """Tiers up, then holds and lots expire, for every night that is due; members whose advisor forgot them go back to the pool."""
    now = datetime.now(UTC)
    return {**_figures(await run_nightly(now)), "advisors_released": await release_idle(now)}


@job
async def rfm() -> Result:
    """This morning's RFM scores."""
    result = await score_members(await _today())
    return {"run": result.run_id, "members": result.members}


@job
async def clusters() -> Result:
    """This morning's clusters."""
    result = await cluster_members(await _today())
    return {"run": result.run_id, "k": result.k}


@job
async def cross_sell() -> Result:
    """This morning's suggestions."""
    result = await relate_products(await _today())
    return {"run": result.run_id, "pairs": result.pairs}


@job
async def duplicates() -> Result:
    """Members that may be one person, for somebody to look at."""
    return _figures(await scan_duplicates(datetime.now(UTC)))


@job
async def campaigns() -> Result:
    """Send what launched campaigns have queued."""
    configured, sent = settings(), 0
    waiting = await database.rows(
        "SELECT id FROM campaigns.campaign c WHERE status = 'running' AND EXISTS (SELECT FROM campaigns.delivery d "
        "WHERE d.campaign_id = c.id AND d.status IN ('queued', 'sending')) ORDER BY id"
    )
    if waiting and not configured.smtp_url:
        raise MailNotConfigured
    for row in waiting:
        try:
            done = await dispatch(
                row["id"], smtp_url=configured.smtp_url, sender=configured.mail_from, at=datetime.now(UTC)
            )
        except DispatchRunning:
            continue
        sent += done.sent
    return {"campaigns": len(waiting), "sent": sent}


@job
async def simulations() -> Result:
    """What rules would have given, for whoever asked."""
    return {"simulations": await work_off(segments_of, at=lambda: datetime.now(UTC))}


@job
async def housekeeping() -> Result:
    """Forget what has served its time: idempotency keys, finished deliveries, spent links."""
    now = datetime.now(UTC)
    return {
        "idempotency_keys": await forget_keys(before=now - timedelta(days=KEPT_DAYS)),
        "deliveries": await database.execute(
            "DELETE FROM api.delivery WHERE finished_at < $1", now - timedelta(days=DELIVERIES_KEPT_DAYS)
        ),
        "links": await database.execute("DELETE FROM api.staff_link WHERE expires_at < $1", now - timedelta(days=7)),
        "letters": await database.execute(
            "DELETE FROM api.mail WHERE status <> 'queued' AND created_at < $1", now - timedelta(days=30)
        ),
    }


class MailNotConfigured(DomainError):
    status = 503

    def __init__(self) -> None:
        super().__init__("SMTP_URL is not set: campaigns and letters to staff cannot be sent.")


async def _today() -> Any:
    return datetime.now(UTC).astimezone((await the_chain()).zone).date()


def _figures(result: msgspec.Struct) -> Result:
    return {name: value for name, value in msgspec.to_builtins(result).items() if isinstance(value, int)}


# When, in the chain's time zone. The night's work comes first, then what is computed from it.
TIMETABLE: Final[tuple[tuple[Callable[[Context], Awaitable[Result]], str], ...]] = (
    (nightly, "10 0 * * *"),
    (rfm, "0 2 * * *"),
    (clusters, "20 2 * * *"),
    (cross_sell, "40 2 * * *"),
    (duplicates, "0 3 * * *"),
    (campaigns, "* * * * *"),
    (simulations, "* * * * *"),
    (housekeeping, "5 * * * *"),
)
