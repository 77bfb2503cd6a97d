"""Schemas go forwards and backwards, and Piccolo's tables say what the database has."""

import pytest
from piccolo.columns import Column
from piccolo.conf.apps import Finder

import database
from api.migrations import migrate, pending, unmigrate

SCHEMAS = {"stores", "membership", "loyalty", "segmentation", "campaigns", "api"}


async def _schemas() -> set[str]:
    rows = await database.rows("SELECT nspname FROM pg_namespace")
    return {row["nspname"] for row in rows} & SCHEMAS


@pytest.mark.usefixtures("own_database")
async def test_migrations_go_backwards_and_forwards_again() -> None:
    assert await pending() == []
    await unmigrate()
    assert await _schemas() == set()
    applied = await migrate()
    assert {name.partition("/")[0] for name in applied} == SCHEMAS
    assert await _schemas() == SCHEMAS
    assert await migrate() == []


async def test_piccolo_tables_match_the_database() -> None:
    tables = Finder().get_table_classes(exclude_apps=["user", "session_auth", "migrations"])
    assert len(tables) >= 15
    for table in tables:
        columns = await database.rows(
            "SELECT column_name, is_nullable FROM information_schema.columns WHERE table_schema = $1 AND table_name = $2",
            table._meta.schema,
            table._meta.tablename,
        )
        actual = {row["column_name"]: row["is_nullable"] == "YES" for row in columns}
        declared = {column._meta.db_column_name: _nullable(column) for column in table._meta.columns}
        assert declared == actual, table


def _nullable(column: Column) -> bool:
    return bool(column._meta.null)
