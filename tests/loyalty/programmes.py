"""A programme for pure tests."""

from typing import Any

from loyalty.programme import Programme
from tests.shop import CHAIN


def programme(**fields: Any) -> Programme:
    """A programme with the defaults of a new database."""
    defaults: dict[str, Any] = {
        "revision": 1,
        "expiry_months": 24,
        "expiry_rounding": "month",
        "pending_days": 0,
        "pending_date": None,
        "pending_event": None,
        "grace_days": 30,
        "hold_minutes": 15,
        "point_value": 1,
        "point_cost_milli": None,
        "breakage_milli": None,
        "clawback": "within_balance",
        "earn_on_tax": True,
        "earn_excluded": frozenset(),
        "member_day_max": None,
        "offline_points_max": 0,
        "claim_days": 30,
        "transfer_day_max": 0,
        "topup_bonus_milli": 0,
        "tier_metric": "spend",
        "tier_period": "rolling",
        "tier_months": 12,
        "tier_grace_days": 0,
        "tier_downgrade": "one_level",
        "tiers": [],
        "rules": [],
    }
    return Programme(chain=CHAIN, **{**defaults, **fields})
