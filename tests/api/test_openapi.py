"""The API's description: whole, true in shape, and shown without another host."""

from typing import Any

import httpx
import jsonschema_rs

from api.openapi.document import document, operations
from api.openapi.examples import example_names
from tests.api.conftest import Client


async def test_every_operation_has_errors_examples_and_who_may(app: Any) -> None:
    schema = document(app)
    assert schema["openapi"].startswith("3.1")
    for method, path, _ in operations(app):
        operation = schema["paths"][path][method.lower()]
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert "500" in errors, (method, path)
        for status, answer in errors.items():
            if (path, status) != ("/health/ready", "503"):
                assert answer["content"]["application/problem+json"]["example"]["status"] == int(status)
        if "requestBody" in operation:
            assert all("example" in media for media in operation["requestBody"]["content"].values()), path
        for status, answer in operation["responses"].items():
            if status < "300" and "application/json" in answer.get("content", {}):
                assert "example" in answer["content"]["application/json"], (method, path)
        assert operation["summary"]
        assert operation["description"]


async def test_every_example_is_of_the_shape_it_stands_for(app: Any) -> None:
    schema = document(app)
    seen = 0
    for methods in schema["paths"].values():
        for operation in methods.values():
            bodies = [operation["requestBody"]] if "requestBody" in operation else []
            for content in [
                body["content"] for body in (*bodies, *operation["responses"].values()) if "content" in body
            ]:
                for media in content.values():
                    if "example" in media:
                        whole = {**media["schema"], "components": schema["components"]}
                        jsonschema_rs.validator_for(whole, validate_formats=True).validate(media["example"])
                        seen += 1
    assert seen > 400


async def test_no_example_is_left_over(app: Any) -> None:
    used = {name.rpartition(".")[2] for name in document(app)["components"]["schemas"]}
    assert {name for name in example_names() if not any(name in each for each in used)} == set()


async def test_the_reference_is_served_here_and_needs_nobody_else(nobody: Client) -> None:
    page = await nobody.get("/docs")
    assert page.status_code == 200
    for foreign in ('src="http', 'href="http', "<script>", "style="):
        assert foreign not in page.text
    assert page.text.count("<details") > 80
    assert "idempotency" in page.text.lower()
    served: httpx.Response = await nobody.get("/docs/openapi.json")
    assert served.json()["paths"].keys() == document_paths(served.json())


def document_paths(schema: dict[str, Any]) -> set[str]:
    return {path for path in schema["paths"] if path.startswith(("/v1", "/health", "/metrics"))}
