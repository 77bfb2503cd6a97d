"""Piccolo's engine and its list of apps.

Importing this starts the embedded PostgreSQL when `DATABASE_URL` is unset; `database.py` imports it on first use.
"""

from piccolo.conf.apps import AppRegistry
from piccolo.engine.postgres import PostgresEngine

import embedded
from database import connection_arguments
from settings import settings

DB = PostgresEngine(
    config=connection_arguments(settings().database_url or embedded.postgres_url(settings().home)),
    extensions=(),
)

APP_REGISTRY = AppRegistry(
    apps=[f"{domain}.piccolo_app" for domain in ("stores", "membership", "loyalty", "segmentation", "campaigns", "api")]
)
