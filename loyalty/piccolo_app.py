"""Piccolo's entry for this domain."""

from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

APP_CONFIG = AppConfig(
    app_name="loyalty",
    migrations_folder_path=str(Path(__file__).parent / "piccolo_migrations"),
    table_classes=table_finder(modules=["loyalty.tables"]),
    migration_dependencies=["membership.piccolo_app"],
    commands=[],
)
