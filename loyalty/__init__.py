"""Points: the ledger and its lots, earning, checkout, returns, redemption, vouchers, tiers.

The modules below are the public surface; names with an underscore are each module's own.
"""

__all__ = [
    "checkout",
    "earning",
    "errors",
    "history",
    "ledger",
    "lots",
    "merging",
    "nightly",
    "pricing",
    "programme",
    "redemption",
    "referrals",
    "returns",
    "sales",
    "statement",
    "tiers",
    "verification",
    "vouchers",
]
