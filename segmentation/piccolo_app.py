"""Piccolo's entry for this domain."""

from pathlib import Path

from piccolo.conf.apps import AppConfig, table_finder

APP_CONFIG = AppConfig(
    app_name="segmentation",
    migrations_folder_path=str(Path(__file__).parent / "piccolo_migrations"),
    table_classes=table_finder(modules=["segmentation.tables"]),
    migration_dependencies=["loyalty.piccolo_app"],
    commands=[],
)
