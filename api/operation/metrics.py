"""What Prometheus reads: latency by route, connections, queue, ledger postings, deliveries."""

import os
from typing import Any, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from redis.exceptions import RedisError

import database
from api.worker.queue import JobQueue

REQUEST_SECONDS: Final = Histogram(
    "regulars_request_seconds",
    "Time to answer, by route.",
    ("method", "route", "status"),
    buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
RATE_LIMITED: Final = Counter("regulars_rate_limited", "Requests refused with 429.", ("kind",))
LIMITER_FAILED_OPEN: Final = Counter(
    "regulars_rate_limiter_failed_open", "Requests let through because Redis did not answer."
)
REPLICA_FELL_BACK: Final = Counter(
    "regulars_replica_fell_back", "Reports read from the primary because the replica failed."
)

_STATE_SQL: Final = """
SELECT (SELECT coalesce(last_value, 0) FROM pg_sequences
        WHERE schemaname = 'loyalty' AND sequencename = 'entry_id_seq') AS ledger_entries,
    (SELECT count(*) FROM api.delivery WHERE status = 'pending') AS deliveries_pending,
    (SELECT coalesce(sum(delivered), 0)::bigint FROM api.webhook) AS deliveries_delivered,
    (SELECT count(*) FROM api.delivery WHERE status = 'dead') AS deliveries_dead,
    (SELECT coalesce(extract(epoch FROM now() - min(next_at)), 0)::float FROM api.delivery
        WHERE status = 'pending' AND next_at < now()) AS deliveries_late_seconds,
    (SELECT count(*) FROM api.mail WHERE status = 'queued') AS mail_queued,
    (SELECT count(*) FROM campaigns.delivery WHERE status = 'queued') AS messages_queued,
    (SELECT count(*) FROM api.idempotency) AS idempotency_keys
"""


async def exposition(queue: JobQueue) -> bytes:
    """Everything in Prometheus' text format: this process's own (all processes' when several serve), and the state as it
    is in the servers."""
    state = CollectorRegistry()
    await _database_state(state)
    await _queue_state(state, queue)
    return _own() + generate_latest(state)


def _own() -> bytes:
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        several = CollectorRegistry()
        MultiProcessCollector(several)  # type: ignore[no-untyped-call]  # prometheus-client leaves this one untyped
        return generate_latest(several)
    own = CollectorRegistry()
    for metric in (REQUEST_SECONDS, RATE_LIMITED, LIMITER_FAILED_OPEN, REPLICA_FELL_BACK):
        own.register(metric)
    return generate_latest(own)


async def _database_state(state: CollectorRegistry) -> None:
    pool: Any = database.engine().pool
    if pool is not None:
        connections = Gauge(
            "regulars_pool_connections", "Database connections of this process.", ("state",), registry=state
        )
        connections.labels("idle").set(pool.get_idle_size())
        connections.labels("used").set(pool.get_size() - pool.get_idle_size())
        Gauge("regulars_pool_connections_max", "As many as there may be.", registry=state).set(pool.get_max_size())
    figures = await database.row(_STATE_SQL)
    assert figures is not None
    words = {
        "ledger_entries": "Entries posted to the ledger since it began.",
        "deliveries_pending": "Webhook deliveries to come.",
        "deliveries_delivered": "Webhook deliveries made.",
        "deliveries_dead": "Webhook deliveries given up.",
        "deliveries_late_seconds": "How long the oldest due webhook delivery has waited.",
        "mail_queued": "Letters to staff that wait.",
        "messages_queued": "Campaign messages that wait.",
        "idempotency_keys": "Remembered idempotency keys.",
    }
    for name, meaning in words.items():
        Gauge(f"regulars_{name}", meaning, registry=state).set(figures[name])


async def _queue_state(state: CollectorRegistry, queue: JobQueue) -> None:
    up = Gauge("regulars_redis_up", "Whether Redis answers.", registry=state)
    try:
        seen = await queue.state()
    except (RedisError, OSError):
        up.set(0)
        return
    up.set(1)
    jobs = Gauge("regulars_jobs", "Jobs of the worker.", ("state",), registry=state)
    jobs.labels("queued").set(seen.queued)
    jobs.labels("active").set(seen.active)
    Gauge("regulars_workers", "Workers with a heartbeat.", registry=state).set(seen.workers)
