"""Vouchers: batches and their terms, codes, and whether one is good."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.languages import spoken
from api.operation.audit import audit
from api.paging import Cursor, Limit, number_at, page, text_at
from api.routes.till import VoucherFate, shown_fates
from errors import InvalidInput
from loyalty.checkout import quote
from loyalty.pricing import BasketLine
from loyalty.sales import Basket
from loyalty.voucher_batches import (
    CODES_MAX,
    EXTERNAL_MAX,
    CodeShown,
    Terms,
    TermsSent,
    add_codes,
    batches,
    cancel_batch,
    codes_of,
    generate,
    issue_one,
    publish_terms,
    terms_of,
)
from loyalty.vouchers import Checked, check_voucher
from loyalty.wording import Language
from membership.cards import member_of_card
from stores.errors import UnknownStore


class TermsList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Terms]
    next: str | None = None


class CodesAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Codes to make, by number, or codes that somebody else has made."""

    count: Annotated[int, msgspec.Meta(ge=1, le=CODES_MAX)] | None = None
    codes: Annotated[list[str], msgspec.Meta(min_length=1, max_length=EXTERNAL_MAX)] | None = None


class CodesIssued(msgspec.Struct, frozen=True, kw_only=True):
    """How many are new."""

    issued: int


class CodePage(msgspec.Struct, frozen=True, kw_only=True):
    items: list[CodeShown]
    next: str | None = None


class VoucherAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A voucher of a batch for one member."""

    batch: str
    member: str


class VoucherGiven(msgspec.Struct, frozen=True, kw_only=True):
    """The member's voucher."""

    code: str
    expires_at: datetime


class VoucherCheck(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a voucher is to be used, by whom, and on what: without lines only what the code itself says is checked."""

    store: str
    member: str | None = None
    lines: list[BasketLine] | None = None


class VoucherChecked(msgspec.Struct, frozen=True, kw_only=True):
    """Whether it is good, and why not, in the language that was asked for. `outcome` is what it does to the lines."""

    code: str
    valid: bool
    reason: str
    kind: str | None = None
    value: int | None = None
    expires_at: datetime | None = None
    outcome: VoucherFate | None = None


class VoucherBatchController(Controller):
    path = "/v1/voucher-batches"
    tags = ("loyalty",)
    opt = {"permission": "loyalty:write"}

    @get(summary="Batches by their code, with their newest terms", opt={"permission": "loyalty:read"})
    async def index(self, cursor: Cursor = None, limit: Limit = 50) -> TermsList:
        items, after = page(
            await batches(after=text_at(cursor) or "", limit=limit + 1), limit, lambda terms: [terms.batch]
        )
        return TermsList(items=items, next=after)

    @post(
        summary="Open a batch, or write the next version of its terms",
        description="Codes that are out keep the terms they were issued under.",
        status_code=201,
    )
    async def publish(
        self, request: Request[Principal, Any, Any], data: JSONBody[TermsSent], idempotency_key: IdempotencyKey = ""
    ) -> Response[Terms]:
        async def write() -> Terms:
            version = await publish_terms(data, staff_id=request.user.staff_id)
            await audit(
                request.user, "voucher_terms.published", f"voucher_batch:{data.batch}", after={"version": version}
            )
            return (await terms_of(data.batch))[0]

        return await once(request, idempotency_key, write)

    @get("/{batch:str}", summary="Every version of a batch's terms", opt={"permission": "loyalty:read"})
    async def history(self, batch: FromPath[str]) -> TermsList:
        return TermsList(items=await terms_of(batch))

    @post("/{batch:str}/codes", summary="Issue codes, or take in those of others", status_code=201)
    async def issue(
        self,
        request: Request[Principal, Any, Any],
        batch: FromPath[str],
        data: JSONBody[CodesAsked],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[CodesIssued]:
        async def write() -> CodesIssued:
            now = datetime.now(UTC)
            if data.count is not None and data.codes is None:
                issued = await generate(batch, data.count, at=now)
            elif data.codes is not None and data.count is None:
                issued = await add_codes(batch, data.codes, at=now)
            else:
                raise InvalidInput(field="count", why="give either count or codes")
            await audit(request.user, "vouchers.issued", f"voucher_batch:{batch}", after={"issued": issued})
            return CodesIssued(issued=issued)

        return await once(request, idempotency_key, write)

    @get("/{batch:str}/codes", summary="The codes of a batch, in the order of their making")
    async def codes(self, batch: FromPath[str], cursor: Cursor = None, limit: Limit = 50) -> CodePage:
        found = await codes_of(batch, after=number_at(cursor) or 0, limit=limit + 1)
        items, after = page(found, limit, lambda code: [code.id])
        return CodePage(items=items, next=after)

    @post("/{batch:str}/cancel", summary="Refuse every code of a batch from now on", status_code=200)
    async def cancel(
        self, request: Request[Principal, Any, Any], batch: FromPath[str], idempotency_key: IdempotencyKey = ""
    ) -> Response[Terms]:
        async def write() -> Terms:
            await cancel_batch(batch, at=datetime.now(UTC))
            await audit(request.user, "voucher_batch.cancelled", f"voucher_batch:{batch}")
            return (await terms_of(batch))[0]

        return await once(request, idempotency_key, write, status=200)


class VoucherController(Controller):
    path = "/v1/vouchers"
    tags = ("loyalty",)

    @post(summary="Give a member a voucher of a batch", opt={"permission": "loyalty:write"}, status_code=201)
    async def give(
        self, request: Request[Principal, Any, Any], data: JSONBody[VoucherAsked], idempotency_key: IdempotencyKey = ""
    ) -> Response[VoucherGiven]:
        async def write() -> VoucherGiven:
            code, expires_at = await issue_one(data.batch, await member_of_card(data.member), at=datetime.now(UTC))
            await audit(request.user, "voucher.given", f"voucher_batch:{data.batch}")
            return VoucherGiven(code=code, expires_at=expires_at)

        return await once(request, idempotency_key, write)

    @post(
        "/{code:str}/validate",
        summary="Whether a voucher is good here, and why not; writes nothing",
        opt={"permission": "till:sell"},
        status_code=200,
    )
    async def validate(
        self, request: Request[Principal, Any, Any], code: FromPath[str], data: JSONBody[VoucherCheck]
    ) -> VoucherChecked:
        if not request.user.sees(data.store):
            raise UnknownStore(code=data.store)
        language, now = spoken(request), datetime.now(UTC)
        member_id = await member_of_card(data.member) if data.member is not None else None
        found = await check_voucher(code, member_id=member_id, store=data.store, at=now)
        outcome = None
        if data.lines is not None:
            basket = Basket(store=data.store, business_time=now, member=data.member, lines=data.lines, vouchers=[code])
            outcome = shown_fates((await quote(basket)).settlement.vouchers, language)[0]
        return _checked(code, found, outcome, language)


def _checked(code: str, found: Checked, outcome: VoucherFate | None, language: Language) -> VoucherChecked:
    reason = found.reason.text(language) if found.reason is not None else outcome.reason if outcome else ""
    voucher = found.voucher
    return VoucherChecked(
        code=voucher.code if voucher else code,
        valid=not reason,
        reason=reason,
        kind=voucher.kind if voucher else None,
        value=voucher.value if voucher else None,
        expires_at=voucher.expires_at if voucher else None,
        outcome=outcome,
    )
