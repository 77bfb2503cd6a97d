"""The chain itself: settings, branches, tills, staff, catalogue, receipts.

The modules below are the public surface; names with an underscore are each module's own.
"""

__all__ = [
    "branches",
    "cancellations",
    "catalogue",
    "chain",
    "changes",
    "errors",
    "history",
    "hours",
    "money",
    "profiles",
    "receipts",
    "scope",
    "shifts",
    "staff",
    "tabular",
    "tills",
]
