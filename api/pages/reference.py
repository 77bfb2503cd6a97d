"""The API reference at `/docs`: the OpenAPI document as a page, without a script or another host."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from litestar import Request
from litestar.enums import MediaType
from litestar.openapi.plugins import OpenAPIRenderPlugin

_environment = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)


class ReferencePage(OpenAPIRenderPlugin):
    """Renders every operation with its parameters, body and answers."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        page = _environment.get_template("reference.html").render(
            info=openapi_schema["info"],
            operations=list(_operations(openapi_schema)),
            schemas=openapi_schema.get("components", {}).get("schemas", {}),
            principal=None,
            path="/docs",
            words=words,
        )
        return page.encode()


def _operations(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            if isinstance(operation, dict) and "responses" in operation:
                yield {"path": path, "method": method.upper(), **operation}


def words(schema: dict[str, Any] | None) -> str:
    """A schema's type in a few words; references by their name."""
    if not schema:
        return ""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    for several in ("oneOf", "anyOf"):
        if several in schema:
            return " or ".join(words(part) for part in schema[several])
    if schema.get("type") == "array":
        return f"list of {words(schema.get('items'))}"
    return str(schema.get("format") or schema.get("type") or schema.get("const") or "any")
