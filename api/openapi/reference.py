"""The API reference at `/docs`: the OpenAPI document as a page and as a file, without a script or another host."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader
from litestar import Litestar, Request
from litestar.enums import MediaType
from litestar.openapi.plugins import OpenAPIRenderPlugin
from markupsafe import Markup, escape

_environment = Environment(loader=FileSystemLoader(Path(__file__).parents[1] / "pages" / "templates"), autoescape=True)


Document = Callable[[Litestar], dict[str, Any]]


class DocumentFile(OpenAPIRenderPlugin):
    """The document itself."""

    def __init__(self, document: Document) -> None:
        super().__init__(path="/openapi.json", media_type=MediaType.JSON)
        self._document = document

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        return msgspec.json.encode(self._document(request.app), enc_hook=str)


class ReferencePage(OpenAPIRenderPlugin):
    """Renders every operation with its parameters, body, answers and examples."""

    def __init__(self, document: Document) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)
        self._document = document

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        schema = self._document(request.app)
        page = _environment.get_template("reference.html").render(
            info=schema["info"],
            tags=schema["tags"],
            operations=list(_operations(schema)),
            schemas=schema["components"]["schemas"],
            pretty=pretty,
            coded=coded,
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


def coded(text: str) -> Markup:
    """A description with what stands between backticks as code, and everything else as text."""
    parts = escape(text).split("`")
    return Markup("".join(f"<code>{part}</code>" if place % 2 else part for place, part in enumerate(parts)))  # noqa: S704  (escaped)


def pretty(example: Any) -> str:
    """An example as indented JSON."""
    return json.dumps(json.loads(msgspec.json.encode(example, enc_hook=str)), indent=2, ensure_ascii=False)
