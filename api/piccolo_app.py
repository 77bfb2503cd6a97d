"""Piccolo's entry for this domain."""

from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

APP_CONFIG = AppConfig(
    app_name="api",
    migrations_folder_path=str(Path(__file__).parent / "piccolo_migrations"),
    table_classes=table_finder(modules=["api.tables"]),
    migration_dependencies=["campaigns.piccolo_app"],
    commands=[],
)
