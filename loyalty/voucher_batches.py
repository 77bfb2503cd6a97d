"""Batches of vouchers: their terms as versions, and codes by the million, of our making or somebody else's."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
import pyarrow as pa

import database
from errors import InvalidInput, NotFound
from loyalty.rules import Code
from loyalty.vouchers import RANDOM_SYMBOLS, Scope, VoucherKind, is_ours, new_codes, normal_code

CODES_MAX = 1_000_000
EXTERNAL_MAX = 10_000

Minor = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
Uses = Annotated[int, msgspec.Meta(ge=1, le=10**9)]


class TermsSent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the vouchers of a batch are worth and to whom. Of `valid_days` after issue and `valid_to` the earlier ends a voucher."""

    batch: Code
    kind: VoucherKind
    value: Annotated[int, msgspec.Meta(ge=1, le=10**12)]
    name: Annotated[str, msgspec.Meta(max_length=200)] = ""
    spend_min: Minor = 0
    discount_max: Annotated[int, msgspec.Meta(ge=1, le=10**12)] | None = None
    scope: Scope = Scope()
    stacking: Code = "free"
    uses_max: Uses | None = 1
    member_uses_max: Uses | None = None
    valid_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | None = None
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class Terms(TermsSent, frozen=True, kw_only=True):
    """One version of a batch's terms, and how its codes fare. A reward's own batch is called reward:CODE, which nobody can send."""

    batch: str
    version: int
    published_at: datetime
    issued: int = 0
    used: int = 0
    cancelled_at: datetime | None = None


async def publish_terms(sent: TermsSent, *, staff_id: int | None = None) -> int:
    """Open a batch, or write the next version of its terms; the version. Codes that are out keep the terms they were issued
    under: they are a promise."""
    if sent.kind == "percent_off" and sent.value > 100:
        raise InvalidInput(field="value", why=f"{sent.value} percent is more than all of it")
    if sent.kind != "percent_off" and sent.discount_max is not None:
        raise InvalidInput(field="discount_max", why="only bounds a percent_off")
    if sent.valid_days is None and sent.valid_to is None:
        raise InvalidInput(field="valid_days", why="give valid_days or valid_to: a voucher has to end one day")
    if sent.valid_from is not None and sent.valid_to is not None and sent.valid_from >= sent.valid_to:
        raise InvalidInput(field="valid_to", why="must be after valid_from")
    async with database.transaction():
        await database.execute(
            "INSERT INTO loyalty.voucher_batch (batch) VALUES ($1) ON CONFLICT (batch) DO NOTHING", sent.batch
        )
        await _lock_batch(sent.batch)
        return int(
            await database.value(
                "INSERT INTO loyalty.voucher_terms (batch, version, name, kind, value, spend_min, discount_max, scope, stacking, "
                "uses_max, member_uses_max, valid_days, valid_from, valid_to, published_by) SELECT $1, coalesce(max(version), 0) + 1, "
                "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, coalesce($12::timestamptz, '-infinity'), "
                "coalesce($13::timestamptz, 'infinity'), $14 FROM loyalty.voucher_terms WHERE batch = $1 RETURNING version",
                sent.batch,
                sent.name,
                sent.kind,
                sent.value,
                sent.spend_min,
                sent.discount_max,
                msgspec.json.encode(sent.scope).decode(),
                sent.stacking,
                sent.uses_max,
                sent.member_uses_max,
                sent.valid_days,
                sent.valid_from,
                sent.valid_to,
                staff_id,
            )
        )


_COLUMNS = (
    "batch, version, name, kind, value, spend_min, discount_max, scope, stacking, uses_max, member_uses_max, valid_days, "
    "nullif(valid_from, '-infinity') AS valid_from, nullif(valid_to, 'infinity') AS valid_to, published_at"
)


async def terms_of(batch: str) -> list[Terms]:
    """Every version of a batch's terms, the newest first, with its codes counted. Raises `NotFound`."""
    rows = await database.rows(
        f"SELECT {_COLUMNS}, (SELECT count(*) FROM loyalty.voucher WHERE terms_id = t.id) AS issued, (SELECT count(*) "
        "FROM loyalty.voucher WHERE terms_id = t.id AND uses > 0) AS used, cancelled_at FROM loyalty.voucher_terms t "
        "JOIN loyalty.voucher_batch USING (batch) WHERE batch = $1 ORDER BY version DESC",
        batch,
    )
    if not rows:
        raise NotFound(kind="voucher batch", name=batch)
    return [_terms(row) for row in rows]


async def batches(*, after: str = "", limit: int = 50) -> list[Terms]:
    """The newest terms of each batch by its code, from the one after `after`. Codes are not counted: there may be millions."""
    rows = await database.rows(
        f"SELECT DISTINCT ON (batch) {_COLUMNS}, cancelled_at FROM loyalty.voucher_terms t JOIN loyalty.voucher_batch "
        "USING (batch) WHERE batch > $1 ORDER BY batch, version DESC LIMIT $2",
        after,
        limit,
    )
    return [_terms(row) for row in rows]


def _terms(row: database.Row) -> Terms:
    return Terms(**{**dict(row), "scope": msgspec.json.decode(row["scope"], type=Scope)})


async def generate(batch: str, count: int, *, at: datetime) -> int:
    """Issue codes to nobody in particular, by COPY; how many. Raises `NotFound`."""
    if not 1 <= count <= CODES_MAX:
        raise InvalidInput(field="count", why=f"1 to {CODES_MAX:,} codes can be made at a time")
    async with database.transaction():
        issued = 0
        while issued < count:  # again for the few, if any, that exist already
            issued += await _issue(batch, new_codes(count - issued), at)
        return issued


async def add_codes(batch: str, codes: Sequence[str], *, at: datetime) -> int:
    """Issue codes that somebody else has made; how many were new. Raises `InvalidInput` for one that could be mistaken for
    another, or that is there already under another batch."""
    if not 1 <= len(codes) <= EXTERNAL_MAX:
        raise InvalidInput(field="codes", why=f"1 to {EXTERNAL_MAX:,} codes are taken at a time")
    normal = [normal_code(code) for code in codes]
    for place, code in enumerate(normal):
        if not 4 <= len(code) <= 64 or not code.isprintable() or any(symbol.isspace() for symbol in code):
            raise InvalidInput(field=f"codes[{place}]", why="a code has 4 to 64 symbols and no spaces")
        bare = code.replace("-", "")
        if len(bare) == RANDOM_SYMBOLS + 1 and is_ours(bare):
            raise InvalidInput(field=f"codes[{place}]", why=f"{code} could be one of the codes made here")
    async with database.transaction():
        added = await _issue(batch, list(dict.fromkeys(normal)), at)
        elsewhere = await database.value(
            "SELECT code FROM loyalty.voucher JOIN loyalty.voucher_terms t ON t.id = terms_id WHERE code = ANY($1) "
            "AND t.batch <> $2 LIMIT 1",
            normal,
            batch,
        )
        if elsewhere is not None:
            raise InvalidInput(field="codes", why=f"{elsewhere} is in another batch already")
        return added


async def _issue(batch: str, codes: list[str], at: datetime) -> int:
    terms = await _newest_terms(batch)
    await database.execute("CREATE TEMP TABLE IF NOT EXISTS new_code (code text NOT NULL) ON COMMIT DROP")
    await database.execute("TRUNCATE new_code")
    await database.copy_in("new_code", pa.table({"code": codes}))
    return await database.execute(
        "INSERT INTO loyalty.voucher (code, terms_id, issued_at, expires_at, uses_max) SELECT code, $1, $2, $3, $4 FROM new_code "
        "ON CONFLICT (code) DO NOTHING",
        terms["id"],
        at,
        _expires_at(terms, at),
        terms["uses_max"],
    )


async def issue(
    batch: str, member_ids: Sequence[int], *, at: datetime, expires_at: datetime | None = None
) -> dict[int, int]:
    """One voucher for each member; voucher ids by member id. `expires_at` ends them earlier than their terms do."""
    terms = await _newest_terms(batch)
    ends = _expires_at(terms, at)
    rows = await database.rows(
        "INSERT INTO loyalty.voucher (code, terms_id, member_id, issued_at, expires_at, uses_max) "
        "SELECT code, $3, member_id, $4, $5, $6 FROM unnest($1::text[], $2::bigint[]) AS v (code, member_id) "
        "RETURNING id, member_id",
        new_codes(len(member_ids)),
        list(member_ids),
        terms["id"],
        at,
        ends if expires_at is None else min(ends, expires_at),
        terms["uses_max"],
    )
    return {row["member_id"]: row["id"] for row in rows}


async def issue_one(batch: str, member_id: int, *, at: datetime) -> tuple[str, datetime]:
    """A voucher for one member: its code, and when it ends."""
    async with database.transaction():
        voucher_id = (await issue(batch, [member_id], at=at))[member_id]
        row = await database.row("SELECT code, expires_at FROM loyalty.voucher WHERE id = $1", voucher_id)
        assert row is not None
        return row["code"], row["expires_at"]


async def _newest_terms(batch: str) -> database.Row:
    await _lock_batch(batch)
    return await database.row(
        "SELECT id, uses_max, valid_days, nullif(valid_to, 'infinity') AS valid_to FROM loyalty.voucher_terms "
        "WHERE batch = $1 ORDER BY version DESC LIMIT 1",
        batch,
    )


def _expires_at(terms: database.Row, at: datetime) -> datetime:
    ends: list[datetime] = [terms["valid_to"]] if terms["valid_to"] is not None else []
    if terms["valid_days"] is not None:
        ends.append(at + timedelta(days=terms["valid_days"]))
    if min(ends) <= at:
        raise InvalidInput(field="batch", why="its terms have ended; publish new ones first")
    return min(ends)


async def _lock_batch(batch: str) -> None:
    """Raises `NotFound`, and `InvalidInput` for a batch that is cancelled."""
    row = await database.row("SELECT cancelled_at FROM loyalty.voucher_batch WHERE batch = $1 FOR NO KEY UPDATE", batch)
    if row is None:
        raise NotFound(kind="voucher batch", name=batch)
    if row["cancelled_at"] is not None:
        raise InvalidInput(field="batch", why=f"{batch} was cancelled")


async def cancel_batch(batch: str, *, at: datetime) -> None:
    """Refuse every code of a batch from now on. Raises `NotFound`."""
    cancelled = await database.execute(
        "UPDATE loyalty.voucher_batch SET cancelled_at = coalesce(cancelled_at, $2) WHERE batch = $1", batch, at
    )
    if not cancelled:
        raise NotFound(kind="voucher batch", name=batch)


class CodeShown(msgspec.Struct, frozen=True, kw_only=True):
    """A code and how often it was used."""

    id: int
    code: str
    uses: int
    uses_max: int | None
    expires_at: datetime


async def codes_of(batch: str, *, after: int = 0, limit: int = 1000) -> list[CodeShown]:
    """Codes of a batch in the order of their making, from the one after the id `after`."""
    rows = await database.rows(
        "SELECT voucher.id, code, uses, voucher.uses_max, expires_at FROM loyalty.voucher WHERE terms_id IN "
        "(SELECT id FROM loyalty.voucher_terms WHERE batch = $1) AND voucher.id > $2 ORDER BY voucher.id LIMIT $3",
        batch,
        after,
        limit,
    )
    return [CodeShown(**dict(row)) for row in rows]
