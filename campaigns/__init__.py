"""Campaigns: planned, launched with a control group, sent at most once, measured.

The modules below are the public surface; names with an underscore are each module's own.
"""

__all__ = [
    "content",
    "dispatch",
    "errors",
    "holdout",
    "launch",
    "measurement",
    "planning",
    "report",
]
