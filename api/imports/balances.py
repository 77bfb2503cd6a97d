"""Opening balances from a file: all of it or nothing, against a control total."""

from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from api.imports.tables import chunks
from errors import InvalidInput
from loyalty.funds import Unit
from loyalty.opening import Opened, OpeningBalance, open_balances
from stores.chain import the_chain
from stores.money import parsed


class BalanceRow(msgspec.Struct, frozen=True, kw_only=True):
    """What one member has: points, or stored value as a decimal such as 12.50. `member` is a card number or an external reference,
    `expires_on` the first day on which points are gone, `store` who issued them."""

    member: str
    amount: str
    expires_on: date | None = None
    store: str | None = None


async def import_balances(
    path: Path, *, control_total: str, unit: Unit = "points", delimiter: str = ",", dry_run: bool = False
) -> Opened:
    """Post the balances of a file. Raises `InvalidInput` naming the first row that is wrong; then nothing is posted."""
    currency = (await the_chain()).currency
    balances = []
    for rows, rejects in chunks(path, BalanceRow, delimiter):
        if rejects:
            first = min(rejects, key=lambda reject: reject.row)
            raise InvalidInput(field=f"row {first.row}, {first.column}", why=f"{first.reason}; nothing was posted")
        balances += [
            OpeningBalance(
                row=number,
                member=row.member,
                amount=_amount(row.amount, unit, currency, field=f"row {number}, amount"),
                expires_on=row.expires_on,
                store=row.store,
            )
            for number, row in rows
        ]
    return await open_balances(
        balances,
        control_total=_amount(control_total, unit, currency, field="control_total"),
        content=path.read_bytes(),
        unit=unit,
        at=datetime.now(UTC),
        dry_run=dry_run,
    )


def _amount(text: str, unit: Unit, currency: str, *, field: str) -> int:
    if unit == "money":
        return parsed(text, currency, field=field)
    if not text.strip().isdecimal():
        raise InvalidInput(field=field, why=f"{text!r} is no number of points; nothing was posted")
    return int(text)
