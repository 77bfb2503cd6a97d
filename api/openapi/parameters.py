"""Query parameters that nobody knows are refused: a mistyped filter would otherwise answer with everything."""

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers.base import BaseRouteHandler

from api.openapi.document import document, operations
from errors import InvalidInput


async def known_query_guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Raises `InvalidInput` for a query parameter that the operation does not have."""
    if not connection.query_params or not handler.resolve_include_in_schema():  # type: ignore[attr-defined]  # every HTTP handler has it
        return
    known = _known(connection).get((connection.scope["method"], connection.scope["path_template"]))  # type: ignore[typeddict-item]  # HTTP alone has a method
    for name in connection.query_params:
        if known is not None and name not in known:
            raise InvalidInput(
                field=name, why=f"is no parameter of this operation; {', '.join(sorted(known)) or 'it has none'}"
            )


def _known(connection: ASGIConnection[Any, Any, Any, Any]) -> dict[tuple[str, str], frozenset[str]]:
    """The query parameters of each operation, by method and path."""
    state = connection.app.state
    if "known_query" not in state:
        paths = document(connection.app)["paths"]
        state.known_query = {
            (method, path): frozenset(
                parameter["name"]
                for parameter in paths[path][method.lower()].get("parameters", [])
                if parameter["in"] == "query"
            )
            for method, path, _ in operations(connection.app)
        }
    found: dict[tuple[str, str], frozenset[str]] = state.known_query
    return found
