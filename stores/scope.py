"""Store scope: what a caller who is bound to some stores may see. The one place that puts it into a query."""

from typing import TypeAlias

Scope: TypeAlias = frozenset[str] | None
"""Codes of the stores in view; None is the whole chain."""


def in_scope(store_id: str, parameter: int) -> str:
    """SQL that holds for rows whose column `store_id` is of a store in view. The parameter takes `codes(scope)`."""
    return (
        f"(${parameter}::text[] IS NULL OR {store_id} IN "
        f"(SELECT scope.id FROM stores.store scope WHERE scope.code = ANY(${parameter}::text[])))"
    )


def codes(scope: Scope) -> list[str] | None:
    """The parameter that `in_scope` takes."""
    return None if scope is None else sorted(scope)
