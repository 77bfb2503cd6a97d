"""Bringing the schemas up to date, with Piccolo's migrations."""

import contextlib
import io

from piccolo.apps.migrations.commands.backwards import run_backwards
from piccolo.apps.migrations.commands.base import BaseMigrationManager
from piccolo.apps.migrations.commands.forwards import run_forwards
from piccolo.apps.migrations.tables import Migration

from errors import DomainError


class MigrationFailed(DomainError):
    """A migration did not apply; it was rolled back."""

    status = 500

    def __init__(self, *, said: str) -> None:
        super().__init__(f"The database could not be migrated: {said}")


class NotMigrated(DomainError):
    """The database is older than the program."""

    status = 503

    def __init__(self, *, pending: list[str]) -> None:
        super().__init__(
            f"The database lacks {len(pending)} migrations ({', '.join(pending)}): run 'regulars migrate'."
        )


async def pending() -> list[str]:
    """Migrations that are not applied yet, as app/id, in order."""
    manager = BaseMigrationManager()
    there = await Migration.table_exists().run()
    applied = {(row["app_name"], row["name"]) for row in await Migration.select()} if there else set()
    waiting = []
    for app in manager.get_sorted_app_names():
        folder = manager.get_app_config(app_name=app).resolved_migrations_folder_path
        ids = manager.get_migration_ids(manager.get_migration_modules(folder))
        waiting += [f"{app}/{migration}" for migration in ids if (app, migration) not in applied]
    return waiting


async def migrate() -> list[str]:
    """Apply what is pending; what that was. Piccolo's chatter is kept for the case that it fails."""
    waiting = await pending()
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        result = await run_forwards("all")
    if not result.success:
        raise MigrationFailed(said=said.getvalue().strip())
    return waiting


async def unmigrate() -> None:
    """Undo every migration, newest schema first. Everything in them is lost."""
    with contextlib.redirect_stdout(io.StringIO()):
        for app in reversed(BaseMigrationManager().get_sorted_app_names()):
            await run_backwards(app_name=app, migration_id="all", auto_agree=True)
