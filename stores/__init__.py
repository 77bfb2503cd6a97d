"""The chain itself: settings, branches, tills, staff, catalogue, receipts.

The modules below are the public surface; names with an underscore are each module's own.
"""

__all__ = [
    "batches",
    "branches",
    "cancellations",
    "catalogue",
    "chain",
    "changes",
    "credentials",
    "errors",
    "history",
    "hours",
    "import_runs",
    "money",
    "profiles",
    "receipts",
    "scope",
    "sheets",
    "shifts",
    "single_row",
    "staff",
    "tabular",
    "tills",
]
