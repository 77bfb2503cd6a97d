"""The catalogue of rewards: what points buy, while stock lasts, and for whom."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec

import database
from errors import InvalidInput
from loyalty.errors import RewardRefused, UnknownReward
from loyalty.programme import Programme, TierLevel
from loyalty.rules import Code
from loyalty.versions import publish
from loyalty.voucher_batches import TermsSent, publish_terms

RewardKind = Literal["amount_off", "percent_off", "product", "voucher"]
Count = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class RewardSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reward as it is written down.

    `value` is minor units or percent by `kind`, `sku` what a product is, `batch` whose vouchers a voucher is drawn from. What takes
    something off becomes a voucher of the member's own, good for `voucher_days`. `stock` bounds how many are given in all,
    `member_max` how many to one member within `member_days`, or ever.
    """

    code: Code
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    points: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    kind: RewardKind
    value: Annotated[int, msgspec.Meta(ge=0, le=10**12)] = 0
    sku: str | None = None
    batch: str | None = None
    stock: Annotated[int, msgspec.Meta(ge=0, le=10**9)] | None = None
    member_max: Count | None = None
    member_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
    tier_min: str | None = None
    stores: frozenset[str] = frozenset()
    valid_from: datetime | None = None
    valid_to: datetime | None = None
    voucher_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] = 30
    active: bool = True


class Reward(RewardSent, frozen=True, kw_only=True):
    """A reward in the catalogue. `left` is what remains of the stock."""

    version: int
    left: int | None


class StockedReward(Reward, frozen=True, kw_only=True):
    """A reward with its id."""

    id: int


_COLUMNS = (
    "id, code, name, points, kind, value, sku, batch, stock, member_max, member_days, tier_min, stores, voucher_days, active, "
    "version, stock - taken AS left, nullif(valid_from, '-infinity') AS valid_from, nullif(valid_to, 'infinity') AS valid_to"
)


async def rewards(*, every: bool = False, at: datetime) -> list[Reward]:
    """The rewards that can be had at a moment, cheapest first; with `every` those that cannot as well."""
    rows = await database.rows(
        f"SELECT {_COLUMNS} FROM loyalty.reward WHERE $1 OR (active AND valid_from <= $2 AND valid_to > $2 "
        "AND (stock IS NULL OR stock > taken)) ORDER BY points, code",
        every,
        at,
    )
    return [Reward(**{name: value for name, value in _fields(row).items() if name != "id"}) for row in rows]


def _fields(row: database.Row) -> dict[str, Any]:
    return {**dict(row), "stores": frozenset(row["stores"])}


async def reward(code: str, *, lock: bool = False) -> StockedReward:
    """One reward; `lock` keeps others from taking of its stock. Raises `UnknownReward`."""
    row = await database.row(
        f"SELECT {_COLUMNS} FROM loyalty.reward WHERE code = $1{' FOR NO KEY UPDATE' if lock else ''}", code
    )
    if row is None:
        raise UnknownReward(code=code)
    return StockedReward(**_fields(row))


async def publish_reward(sent: RewardSent, *, staff_id: int | None = None) -> Reward:
    """Add a reward, or change the one of that code; every state it had stays to be read. Holds keep the price they were made at.

    Raises `InvalidInput` for what its kind cannot be, for a tier, product or batch that there is not, and for less stock than has
    been given.
    """
    _check(sent)
    async with database.transaction():
        await _check_references(sent)
        body = {name: getattr(sent, name) for name in sent.__struct_fields__}
        version = await publish("reward", sent.code, body, staff_id=staff_id)
        taken = await database.value("SELECT taken FROM loyalty.reward WHERE code = $1 FOR NO KEY UPDATE", sent.code)
        if sent.stock is not None and taken is not None and taken > sent.stock:
            raise InvalidInput(field="stock", why=f"{taken} have been given already")
        await database.execute(
            "INSERT INTO loyalty.reward (code, name, points, kind, value, sku, batch, stock, member_max, member_days, tier_min, stores, "
            "valid_from, valid_to, voucher_days, active, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, "
            "coalesce($13::timestamptz, '-infinity'), coalesce($14::timestamptz, 'infinity'), $15, $16, $17) ON CONFLICT (code) DO UPDATE "
            "SET (name, points, kind, value, sku, batch, stock, member_max, member_days, tier_min, stores, valid_from, valid_to, "
            "voucher_days, active, version) = (excluded.name, excluded.points, excluded.kind, excluded.value, excluded.sku, "
            "excluded.batch, excluded.stock, excluded.member_max, excluded.member_days, excluded.tier_min, excluded.stores, "
            "excluded.valid_from, excluded.valid_to, excluded.voucher_days, excluded.active, excluded.version)",
            *(sorted(value) if name == "stores" else value for name, value in body.items()),
            version,
        )
        if sent.kind in {"amount_off", "percent_off"}:
            terms = TermsSent(
                batch=reward_batch(sent.code),
                kind=sent.kind,
                value=sent.value,
                name=sent.name,
                valid_days=sent.voucher_days,
            )
            await publish_terms(terms, staff_id=staff_id)
        return await reward(sent.code)


def reward_batch(code: str) -> str:
    """The batch of the vouchers that a reward becomes."""
    return f"reward:{code}"


def _check(sent: RewardSent) -> None:
    needs = {"amount_off": "value", "percent_off": "value", "product": "sku", "voucher": "batch"}[sent.kind]
    if not getattr(sent, needs):
        raise InvalidInput(field=needs, why=f"a reward of the kind {sent.kind} needs it")
    if sent.kind == "percent_off" and sent.value > 100:
        raise InvalidInput(field="value", why=f"{sent.value} percent is more than all of it")
    if sent.valid_from is not None and sent.valid_to is not None and sent.valid_from >= sent.valid_to:
        raise InvalidInput(field="valid_to", why="must be after valid_from")


async def _check_references(sent: RewardSent) -> None:
    for field, name, sql in (
        ("tier_min", sent.tier_min, "SELECT EXISTS (SELECT FROM loyalty.tier WHERE code = $1)"),
        ("sku", sent.sku, "SELECT EXISTS (SELECT FROM stores.product WHERE sku = $1)"),
        ("batch", sent.batch, "SELECT EXISTS (SELECT FROM loyalty.voucher_batch WHERE batch = $1)"),
    ):
        if name is not None and not await database.value(sql, name):
            raise InvalidInput(field=field, why=f"there is no {name}")
    missing = await database.value(
        "SELECT code FROM unnest($1::text[]) AS code WHERE NOT EXISTS (SELECT FROM stores.store s WHERE s.code = code.code) LIMIT 1",
        sorted(sent.stores),
    )
    if missing is not None:
        raise InvalidInput(field="stores", why=f"there is no store {missing}")


async def check_reward(
    wanted: StockedReward,
    *,
    account_id: int,
    tier: TierLevel | None,
    programme: Programme,
    store: str | None,
    at: datetime,
) -> None:
    """Raises `RewardRefused` saying why this member cannot have it, here and now."""
    needed = next((level for level in programme.tiers if level.code == wanted.tier_min), None)
    early, late = (
        wanted.valid_from is not None and wanted.valid_from > at,
        (wanted.valid_to is not None and wanted.valid_to <= at),
    )
    checks = (
        (not wanted.active, "it is not offered any more"),
        (early, "it is not offered yet"),
        (late, "it is not offered any more"),
        (wanted.left is not None and wanted.left <= 0, "none are left"),
        (bool(wanted.stores) and store not in wanted.stores, "this store does not offer it"),
        (
            needed is not None and (tier is None or tier.threshold < needed.threshold),
            f"it is for {wanted.tier_min} and above",
        ),
    )
    for refused, why in checks:
        if refused:
            raise RewardRefused(code=wanted.code, reason=why)
    if wanted.member_max is not None:
        since = None if wanted.member_days is None else at - timedelta(days=wanted.member_days)
        had = await database.value(
            "SELECT count(*) FROM loyalty.hold WHERE account_id IN (SELECT loyalty.with_absorbed($1)) AND reward_id = $2 "
            "AND status IN ('held', 'captured') AND ($3::timestamptz IS NULL OR held_at > $3)",
            account_id,
            wanted.id,
            since,
        )
        if had >= wanted.member_max:
            period = f" within {wanted.member_days} days" if wanted.member_days else ""
            raise RewardRefused(code=wanted.code, reason=f"a member has it {wanted.member_max} times at most{period}")
