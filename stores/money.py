"""Money is integer minor units and a currency. Floats never touch it."""

import re
from decimal import Decimal

from errors import InvalidInput

# ISO 4217: the currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    "BHD": 3,
    "CLP": 0,
    "IQD": 3,
    "ISK": 0,
    "JOD": 3,
    "JPY": 0,
    "KRW": 0,
    "KWD": 3,
    "OMR": 3,
    "TND": 3,
    "VND": 0,
}


def exponent_of(currency: str) -> int:
    """How many decimals the currency has (ISO 4217)."""
    return _EXPONENTS.get(currency, 2)


def shown(minor: int, currency: str, *, whole: bool = False) -> str:
    """`MYR 15.30` for 1530; `whole` leaves the decimals out, for headlines."""
    exponent = exponent_of(currency)
    if whole:
        return f"{currency} {Decimal(minor).scaleb(-exponent):,.0f}"
    units, rest = divmod(abs(minor), 10**exponent)
    return f"{currency} {'-' if minor < 0 else ''}{units:,}" + (f".{rest:0{exponent}d}" if exponent else "")


def parsed(text: str, currency: str, *, field: str) -> int:
    """Minor units of a decimal such as `15.30`. Raises `InvalidInput` for anything the currency cannot say."""
    if not re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,6})?", text):
        raise InvalidInput(field=field, why=f"{text!r} is not an amount such as 15.30")
    minor = Decimal(text).scaleb(exponent_of(currency))
    if minor != minor.to_integral_value():
        raise InvalidInput(field=field, why=f"{text!r} is finer than the smallest unit of {currency}")
    return int(minor)


def spread(amount: int, weights: list[int]) -> list[int]:
    """Split `amount` in proportion to `weights`; the parts sum to `amount` exactly.

    Cumulative rounding down: part i is floor(amount*W_i/W) - floor(amount*W_(i-1)/W), W_i the running sum of weights.
    """
    whole = sum(weights)
    if whole == 0:
        return [0] * len(weights)
    parts, running, given = [], 0, 0
    for weight in weights:
        running += weight
        due = amount * running // whole
        parts.append(due - given)
        given = due
    return parts
