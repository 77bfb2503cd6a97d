"""Rewards, and redemptions that are held, then captured or voided."""

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from api.access.permissions import Principal
from api.idempotency import IdempotencyKey, once
from api.operation.audit import audit
from api.routes.programme import VersionList
from errors import NotFound
from loyalty.errors import UnknownHold, UnknownReward
from loyalty.redemption import Redemption, capture, hold, refund, store_of_hold, void
from loyalty.rewards import Reward, RewardSent, publish_reward, reward, rewards
from loyalty.versions import versions
from stores.errors import UnknownStore

Every = Annotated[bool, QueryParameter(description="Also those that cannot be had now.")]


class RedemptionSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Points to set aside: a number, or what a reward costs."""

    member: str
    points: int | None = None
    reward: str | None = None
    store: str | None = None


class RewardList(msgspec.Struct, frozen=True, kw_only=True):
    items: list[Reward]
    next: str | None = None


class RewardController(Controller):
    path = "/v1/rewards"
    tags = ("loyalty",)
    opt = {"permission": "rewards:read"}

    @get(summary="What points buy")
    async def index(self, every: Every = False) -> RewardList:
        return RewardList(items=await rewards(every=every, at=datetime.now(UTC)))

    @post(
        summary="Add a reward, or change one",
        description="Redemptions that are held keep the price they were made at.",
        opt={"permission": "loyalty:write"},
        status_code=201,
    )
    async def publish(
        self, request: Request[Principal, Any, Any], data: JSONBody[RewardSent], idempotency_key: IdempotencyKey = ""
    ) -> Response[Reward]:
        async def write() -> Reward:
            try:
                before = _shown(await reward(data.code))
            except UnknownReward:
                before = None
            after = _shown(await publish_reward(data, staff_id=request.user.staff_id))
            await audit(request.user, "reward.changed", f"reward:{data.code}", before=before, after=after)
            return after

        return await once(request, idempotency_key, write)

    @get(
        "/{code:str}/versions", summary="Every state a reward had, the newest first", opt={"permission": "loyalty:read"}
    )
    async def history(self, code: FromPath[str]) -> VersionList:
        found = await versions("reward", code)
        if not found:
            raise NotFound(kind="reward", name=code)
        return VersionList(items=found)


def _shown(stocked: Reward) -> Reward:
    """Without the id, which is ours."""
    return Reward(**{name: getattr(stocked, name) for name in Reward.__struct_fields__})


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
        store = data.store or request.user.here

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

    @post(
        "/{hold_id:int}/refund",
        summary="Undo a redemption that was captured",
        description="The points go back into the lots they came from; a voucher that it became is cancelled, unless it was used.",
        status_code=200,
    )
    async def refund(
        self, request: Request[Principal, Any, Any], hold_id: FromPath[int], idempotency_key: IdempotencyKey = ""
    ) -> Response[Redemption]:
        async def write() -> Redemption:
            await _check(request.user, hold_id)
            return await refund(hold_id, at=datetime.now(UTC))

        return await once(request, idempotency_key, write, status=200)


async def _check(principal: Principal, hold_id: int) -> None:
    if not principal.sees(await store_of_hold(hold_id)):
        raise UnknownHold(hold_id=hold_id)
