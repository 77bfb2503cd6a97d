"""Names found by any part, in any script, with a letter wrong."""

from piccolo.apps.migrations.auto.migration_manager import MigrationManager

import database
from database import execute

ID = "2026-11-23T01:00:00:000002"
VERSION = "1.38.0"
DESCRIPTION = "Names found by any part, in any script, with a letter wrong."

FORWARDS = """
ALTER TABLE membership.member ADD COLUMN name_search text COLLATE "C";
COMMENT ON COLUMN membership.member.name_search IS 'names.search_text of the name: folded words, and pinyin; empty once erased';

-- Terms: each word's endings, so that a prefix query finds any part of it; and behind a ~ each Latin word with one letter left
-- out, so that another spelling finds it. Kept in the index alone.
-- The cost keeps the planner from computing them row by row instead of asking the index.
CREATE FUNCTION membership.name_terms(name_search text) RETURNS tsvector
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE COST 100000 AS $$
    SELECT coalesce(array_to_tsvector(array_agg(DISTINCT term)), ''::tsvector)
    FROM unnest(string_to_array(name_search, ' ')) word, LATERAL (
        SELECT substr(word, i) AS term
        FROM generate_series(1, CASE WHEN word ~ '^[a-z0-9]+$' THEN greatest(length(word) - 2, 1) ELSE length(word) END) i
        UNION ALL
        SELECT '~' || left(word, i - 1) || substr(word, i + 1) FROM generate_series(1, length(word)) i
        WHERE length(word) >= 4 AND word ~ '^[a-z0-9]+$'
    ) terms
    WHERE term <> ''
$$;
"""

INDEXES = """
ALTER TABLE membership.member ALTER COLUMN name_search SET NOT NULL;
DROP INDEX membership.member_name;
CREATE INDEX member_name ON membership.member (name_search, id) WHERE status = 'active';
CREATE INDEX member_name_terms ON membership.member USING gin (membership.name_terms(name_search)) WHERE status = 'active';
"""

BACKWARDS = """
DROP INDEX membership.member_name_terms, membership.member_name;
DROP FUNCTION membership.name_terms(text);
ALTER TABLE membership.member DROP COLUMN name_search;
CREATE INDEX member_name ON membership.member (lower(name) text_pattern_ops) WHERE status = 'active';
"""

BATCH = 10_000


async def _fill() -> None:
    from membership.names import search_text

    after = 0
    while rows := await database.rows(
        f"SELECT id, name FROM membership.member WHERE id > $1 ORDER BY id LIMIT {BATCH}", after
    ):
        await execute(
            "UPDATE membership.member SET name_search = v.text FROM unnest($1::bigint[], $2::text[]) AS v (id, text) "
            "WHERE member.id = v.id",
            [row["id"] for row in rows],
            [search_text(row["name"]) for row in rows],
        )
        after = rows[-1]["id"]


async def forwards() -> MigrationManager:
    manager = MigrationManager(migration_id=ID, app_name="membership", description=DESCRIPTION)

    async def up() -> None:
        await execute(FORWARDS)
        await _fill()
        await execute(INDEXES)

    async def down() -> None:
        await execute(BACKWARDS)

    manager.add_raw(up)
    manager.add_raw_backwards(down)
    return manager
