"""Members: profiles, cards, consent, the timeline and what each has bought.

The modules below are the public surface; names with an underscore are each module's own.
"""

__all__ = [
    "advising",
    "assigning",
    "birthdays",
    "cards",
    "consent",
    "consumption",
    "contact",
    "custom_fields",
    "custom_values",
    "duplicate_scan",
    "duplicates",
    "editing",
    "errors",
    "import_undoing",
    "member_rows",
    "merge_consent",
    "merge_journal",
    "merge_profile",
    "merging",
    "names",
    "opting_in",
    "policy",
    "profiles",
    "receipts",
    "referring",
    "registration",
    "registration_many",
    "search",
    "tasks",
    "tickets",
]
