"""From the timeline to deliveries: each webhook reads it like a log, in the order in which transactions ended."""

from typing import Final

import database

BATCH: Final = 1000

# Only events of transactions that are older than every one still open: a later look finds nothing before them.
_READ: Final = """
WITH place AS (
    SELECT id, events, round, read_in, read_id FROM api.webhook WHERE id = $1 AND status = 'active' FOR NO KEY UPDATE
), seen AS (
    SELECT e.id, e.recorded_in, e.member_id, e.kind FROM place, membership.event e
    WHERE (e.recorded_in, e.id) > (place.read_in, place.read_id)
        AND e.recorded_in < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
    ORDER BY e.recorded_in, e.id LIMIT $2
), added AS (
    INSERT INTO api.delivery (webhook_id, round, event_id, member_id)
    SELECT place.id, place.round, seen.id, seen.member_id FROM place, seen
    WHERE cardinality(place.events) = 0 OR seen.kind = ANY(place.events)
    ORDER BY seen.recorded_in, seen.id
    ON CONFLICT DO NOTHING
), moved AS (
    UPDATE api.webhook w SET read_in = newest.recorded_in, read_id = newest.id
    FROM (SELECT recorded_in, id FROM seen ORDER BY recorded_in DESC, id DESC LIMIT 1) newest WHERE w.id = $1
)
SELECT count(*) FROM seen
"""


async def read_timeline() -> int:
    """Turn what is new in the timeline into deliveries; how many events were read. Only so far ahead of each receiver that
    one which is away does not fill the table."""
    rows = await database.rows(
        "SELECT w.id FROM api.webhook w WHERE status = 'active' AND removed_at IS NULL AND "
        "(SELECT count(*) FROM (SELECT FROM api.delivery d WHERE d.webhook_id = w.id AND d.status = 'pending' LIMIT 10000) d) < 10000"
    )
    read = 0
    for row in rows:
        read += int(await database.value(_READ, row["id"], BATCH))
    return read
