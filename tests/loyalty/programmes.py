"""A programme for pure tests."""

from typing import Any

from loyalty.programme import Programme
from tests.shop import CHAIN


def programme(**fields: Any) -> Programme:
    """A programme with the defaults of a new database."""
    defaults: dict[str, Any] = {
        "revision": 1,
        "expiry_months": 24,
        "pending_days": 0,
        "grace_days": 30,
        "hold_minutes": 15,
        "point_value": 1,
        "tier_months": 12,
        "tiers": [],
        "rules": [],
    }
    return Programme(chain=CHAIN, **{**defaults, **fields})
