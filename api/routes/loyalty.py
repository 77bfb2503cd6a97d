"""Spending points: the rewards, and redemptions that are held, then captured or voided."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from loyalty.errors import UnknownHold
from loyalty.redemption import Redemption, RewardOffer, capture, hold, rewards, store_of_hold, void
from stores.errors import UnknownStore


class RedemptionSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points to set aside: a number, or what a reward costs."""

    member: str
    points: int | None = None
    reward: str | None = None
    store: str | None = None


class RewardList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[RewardOffer]
    next: str | None = None


class RewardController(Controller):
    path = "/v1/rewards"
    tags = ("loyalty",)

    @get(summary="What points buy", opt={"permission": "rewards:read"})
    async def index(self) -> RewardList:
        return RewardList(items=await rewards())


class RedemptionController(Controller):
    path = "/v1/redemptions"
    tags = ("loyalty",)
    opt = {"permission": "till:sell"}

    @post(summary="Set points aside", status_code=201)
    async def hold(
        self,
        request: Request[Principal, Any, Any],
        data: JSONBody[RedemptionSent],
        idempotency_key: IdempotencyKey = "",
    ) -> Response[Redemption]:
        if not request.user.sees(data.store):
            raise UnknownStore(code=str(data.store))
        store = data.store or (next(iter(request.user.stores)) if request.user.till and request.user.stores else None)

        async def write() -> Redemption:
            return await hold(data.member, at=datetime.now(UTC), points=data.points, reward=data.reward, store=store)

        return await once(request, idempotency_key, write)

    @post("/{hold_id:int}/capture", summary="Spend what is held", status_code=200)
    async def capture(
        self, request: Request[Principal, Any, Any], hold_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[Redemption]:
        async def write() -> Redemption:
            await _check(request.user, hold_id)
            return await capture(hold_id, at=datetime.now(UTC))

        return await once(request, idempotency_key, write, status=200)

    @post("/{hold_id:int}/void", summary="Give back what is held", status_code=200)
    async def void(
        self, request: Request[Principal, Any, Any], hold_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[Redemption]:
        async def write() -> Redemption:
            await _check(request.user, hold_id)
            return await void(hold_id, at=datetime.now(UTC))

        return await once(request, idempotency_key, write, status=200)


async def _check(principal: Principal, hold_id: int) -> None:
    if not principal.sees(await store_of_hold(hold_id)):
        raise UnknownHold(hold_id=hold_id)
