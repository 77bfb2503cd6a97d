"""The imports there were, and taking one back."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.imports.members import undo_import
from api.operation.audit import audit
from api.paging import Cursor, Limit, number_at, page
from membership.import_undoing import MembersUndone
from stores.import_runs import ImportRun, import_run, import_runs


class ImportPage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[ImportRun]
    next: str | None = None


class ImportController(Controller):
    path = "/v1/imports"
    tags = ("operation",)
    opt = {"permission": "imports:write"}

    @get(summary="The imports there were, the newest first")
    async def runs(self, cursor: Cursor = None, limit: Limit = 50) -> ImportPage:
        found = await import_runs(before=number_at(cursor), limit=limit + 1)
        items, after = page(found, limit, lambda run: [run.id])
        return ImportPage(items=items, next=after)

    @get("/{import_id:int}", summary="One import: how far it is, and what it did")
    async def run(self, import_id: FromPath[int]) -> ImportRun:
        return await import_run(import_id)

    @post(
        "/{import_id:int}/undo",
        summary="Take an import of members back",
        description="What it added goes, what it changed is as it was. Who has bought or been served since stays, and is counted.",
        status_code=200,
    )
    async def undo(
        self, request: Request[Principal, Any, Any], import_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[MembersUndone]:
        async def write() -> MembersUndone:
            undone = await undo_import(import_id, at=datetime.now(UTC))
            await audit(request.user, "import.undone", f"import:{import_id}", after=undone)
            return undone

        return await once(request, idempotency_key, write, status=200)
