"""A chain's own fields: the form that every till and office fills in."""

from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.access.permissions import Principal
from api.etags import IfMatch, check_match, etag_of, tagged
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from membership.custom_fields import (
    CustomFieldChange,
    change_field,
    custom_field,
    custom_fields,
    define_field,
    remove_field,
)
from membership.custom_values import CustomField
from stores.import_runs import profiles_naming


class CustomFieldList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[CustomField]
    next: str | None = None


class MemberFieldController(Controller):
    path = "/v1/member-fields"
    tags = ("members",)
    opt = {"permission": "members:policy"}

    @get(summary="The chain's own fields, in the order of the form", opt={"permission": "members:read"})
    async def fields(self) -> CustomFieldList:
        return CustomFieldList(items=await custom_fields())

    @post(summary="Define a field", status_code=201)
    async def define(
        self, request: Request[Principal, Any, Any], data: JSONBody[CustomField], idempotency_key: IdempotencyKey = ""
    ) -> Response[CustomField]:
        async def write() -> CustomField:
            await audit(request.user, "member_field.defined", f"member-field:{data.code}", after=data)
            return await define_field(data)

        return await once(request, idempotency_key, write)

    @get("/{code:str}", summary="One field", opt={"permission": "members:read"})
    async def field(self, request: Request[Principal, Any, Any], code: FromPath[str]) -> Response[CustomField]:
        return tagged(request, await custom_field(code))

    @patch(
        "/{code:str}",
        summary="Change a field",
        description="Another kind, or fewer options, is refused with the count while members have values that would not fit.",
    )
    async def change(
        self,
        request: Request[Principal, Any, Any],
        code: FromPath[str],
        data: JSONBody[CustomFieldChange],
        if_match: IfMatch = None,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[CustomField]:
        async def write() -> CustomField:
            now = await custom_field(code, lock=True)
            check_match(if_match, now)
            became = await change_field(code, data)
            await audit(request.user, "member_field.changed", f"member-field:{code}", before=now, after=became)
            return became

        return await once(request, idempotency_key, write, status=200, tag=etag_of)

    @delete(
        "/{code:str}",
        summary="Remove a field",
        description="Refused with what uses it; with `discard` members' values go with the field.",
        status_code=204,
    )
    async def remove(
        self,
        request: Request[Principal, Any, Any],
        code: FromPath[str],
        discard: Annotated[bool, QueryParameter(description="Throw members' values away.")] = False,
        idempotency_key: IdempotencyKey = "",
    ) -> Response[None]:
        async def write() -> None:
            before = await custom_field(code)
            used_by = [f"import profile {name}" for name in await profiles_naming(f"custom.{code}")]
            await remove_field(code, discard=discard, used_by=used_by)
            await audit(request.user, "member_field.removed", f"member-field:{code}", before=before)

        return await once(request, idempotency_key, write, status=204)
