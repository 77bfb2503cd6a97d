"""A member's accounts: adjustments, transfers, stored value, household, receipts claimed later, a tier given by hand."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, delete, get, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from errors import InvalidInput
from loyalty.accounts import (
    AMOUNT_MAX,
    Balance,
    Reason,
    StoredValue,
    adjust,
    freeze,
    pay_out,
    stored_value,
    top_up,
    transfer,
)
from loyalty.claiming import Claim, claim
from loyalty.households import Household, join, leave, numbers_of
from loyalty.programme import the_programme
from loyalty.tiers import TierProgress, grant, withdraw
from membership.cards import member_of_card
from stores.errors import UnknownStore

Amount = Annotated[int, msgspec.Meta(ge=1, le=AMOUNT_MAX)]


class AdjustmentSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points to give, or with a minus to take, and why."""

    points: Annotated[int, msgspec.Meta(ge=-AMOUNT_MAX, le=AMOUNT_MAX)]
    reason: Reason
    store: str | None = None


class TransferSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points to give to the holder of another card."""

    to: str
    points: Amount
    store: str | None = None


class MoneySent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Minor units to store."""

    amount: Amount
    store: str | None = None


class PayoutSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Minor units to pay out again, and why."""

    amount: Amount
    reason: Reason
    store: str | None = None


class HouseholdSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose cards are to share this one's points."""

    members: Annotated[list[str], msgspec.Meta(min_length=1, max_length=10)]


class ClaimSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A receipt as it is printed: its number and total prove that it was seen."""

    store: str
    number: str
    total: int
    till: str | None = None


class GrantSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tier to give by hand, until when, and why."""

    tier: str
    until: datetime
    reason: Reason


class MemberAccountController(Controller):
    path = "/v1/members/{number:str}"
    tags = ("loyalty",)
    opt = {"permission": "till:sell"}

    @post("/adjustments", summary="Correct a member's points", opt={"permission": "ledger:adjust"}, status_code=201)
    async def adjust(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[AdjustmentSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Balance]:
        store = _store(request.user, data.store)

        async def write() -> Balance:
            done = await adjust(
                number,
                data.points,
                reason=data.reason,
                at=datetime.now(UTC),
                store=store,
                staff_id=request.user.staff_id,
            )
            await audit(request.user, "points.adjusted", f"member:{number}", after={"points": data.points})
            return done

        return await once(request, idempotency_key, write)

    @post("/transfers", summary="Give points to another member", status_code=201)
    async def transfer(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[TransferSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Balance]:
        store = _store(request.user, data.store)

        async def write() -> Balance:
            return await transfer(
                number, data.to, data.points, at=datetime.now(UTC), store=store, staff_id=request.user.staff_id
            )

        return await once(request, idempotency_key, write)

    @get("/stored-value", summary="What a member has stored", opt={"permission": "members:read"})
    async def stored(self, number: FromPath[str]) -> StoredValue:
        return await stored_value(await member_of_card(number))

    @post("/stored-value/top-ups", summary="Store money", status_code=201)
    async def top_up(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[MoneySent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Balance]:
        store = _store(request.user, data.store)

        async def write() -> Balance:
            return await top_up(number, data.amount, at=datetime.now(UTC), store=store, staff_id=request.user.staff_id)

        return await once(request, idempotency_key, write)

    @post("/stored-value/payouts", summary="Pay stored money out", opt={"permission": "ledger:adjust"}, status_code=201)
    async def pay_out(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[PayoutSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Balance]:
        store = _store(request.user, data.store)

        async def write() -> Balance:
            done = await pay_out(
                number,
                data.amount,
                reason=data.reason,
                at=datetime.now(UTC),
                store=store,
                staff_id=request.user.staff_id,
            )
            await audit(request.user, "stored_value.paid_out", f"member:{number}", after={"amount": data.amount})
            return done

        return await once(request, idempotency_key, write)

    @post(
        "/stored-value/freeze",
        summary="Let nothing be paid from it",
        opt={"permission": "ledger:adjust"},
        status_code=200,
    )
    async def freeze(
        self, request: Request[Principal, Any, Any], number: FromPath[str], idempotency_key: IdempotencyKey = ""
    ) -> Response[StoredValue]:
        return await _freeze(request, number, idempotency_key, datetime.now(UTC))

    @post(
        "/stored-value/unfreeze",
        summary="Let it be paid from again",
        opt={"permission": "ledger:adjust"},
        status_code=200,
    )
    async def unfreeze(
        self, request: Request[Principal, Any, Any], number: FromPath[str], idempotency_key: IdempotencyKey = ""
    ) -> Response[StoredValue]:
        return await _freeze(request, number, idempotency_key, None)

    @get("/household", summary="Who shares points with a member", opt={"permission": "members:read"})
    async def household(self, number: FromPath[str]) -> Household:
        return await _household(await member_of_card(number))

    @post(
        "/household",
        summary="Let members share one pool of points",
        description="Everybody's points stay their own; spending takes those that end first, and every use says whose they were.",
        status_code=200,
    )
    async def join(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[HouseholdSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Household]:
        async def write() -> Household:
            await join(number, data.members, at=datetime.now(UTC))
            await audit(request.user, "household.joined", f"member:{number}", after={"members": len(data.members)})
            return await _household(await member_of_card(number))

        return await once(request, idempotency_key, write, status=200)

    @delete("/household", summary="Take a member out of their household", status_code=200)
    async def leave(
        self, request: Request[Principal, Any, Any], number: FromPath[str], idempotency_key: IdempotencyKey = ""
    ) -> Response[Household]:
        async def write() -> Household:
            await leave(number, at=datetime.now(UTC))
            await audit(request.user, "household.left", f"member:{number}")
            return await _household(await member_of_card(number))

        return await once(request, idempotency_key, write, status=200)

    @post("/claims", summary="Claim a receipt that was anonymous", status_code=201)
    async def claim(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[ClaimSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Claim]:
        if not request.user.sees(data.store):
            raise UnknownStore(code=data.store)

        async def write() -> Claim:
            return await claim(
                number,
                store=data.store,
                receipt_number=data.number,
                total=data.total,
                till=data.till,
                at=datetime.now(UTC),
                staff_id=request.user.staff_id,
            )

        return await once(request, idempotency_key, write)

    @post("/tier", summary="Give a tier by hand, until a day", opt={"permission": "ledger:adjust"}, status_code=201)
    async def grant(
        self,
        request: Request[Principal, Any, Any],
        number: FromPath[str],
        data: JSONBody[GrantSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[TierProgress]:
        now = datetime.now(UTC)
        if data.until.tzinfo is None or data.until <= now:
            raise InvalidInput(field="until", why="must lie in the future, with an offset")

        async def write() -> TierProgress:
            reached = await grant(number, data.tier, until=data.until, programme=await the_programme(), at=now)
            after = {"tier": data.tier, "until": data.until.isoformat(), "reason": data.reason}
            await audit(request.user, "tier.granted", f"member:{number}", after=after)
            return reached

        return await once(request, idempotency_key, write)

    @delete(
        "/tier",
        summary="Take back a tier that was given by hand",
        opt={"permission": "ledger:adjust"},
        status_code=200,
    )
    async def withdraw(
        self, request: Request[Principal, Any, Any], number: FromPath[str], idempotency_key: IdempotencyKey = ""
    ) -> Response[TierProgress]:
        async def write() -> TierProgress:
            reached = await withdraw(number, programme=await the_programme(), at=datetime.now(UTC))
            await audit(request.user, "tier.withdrawn", f"member:{number}")
            return reached

        return await once(request, idempotency_key, write, status=200)


def _store(principal: Principal, store: str | None) -> str | None:
    """Where it happens: as said, if it is the caller's to say, or where they stand."""
    if not principal.sees(store):
        raise UnknownStore(code=str(store))
    return store or principal.here


async def _freeze(
    request: Request[Principal, Any, Any], number: str, idempotency_key: str, at: datetime | None
) -> Response[StoredValue]:
    async def write() -> StoredValue:
        after = await freeze(number, at=at)
        await audit(request.user, "stored_value.frozen" if at else "stored_value.unfrozen", f"member:{number}")
        return after

    return await once(request, idempotency_key, write, status=200)


async def _household(member_id: int) -> Household:
    return Household(members=await numbers_of(member_id))
