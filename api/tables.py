"""Tables of the schema `api`: its one table has a composite key and is reached through `idempotency.py`."""
