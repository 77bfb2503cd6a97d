"""Examples of what is said of members beyond their profile: who they may be, fields, service, advisors, privacy."""

from typing import Any, Final

_CARD: Final = "2000000012346"
_OTHER: Final = "2000000012353"
_REASON: Final = "Mother and daughter share the phone."

_FIELD: Final = {
    "code": "shoe_size",
    "kind": "number",
    "labels": {"en": "Shoe size", "ms": "Saiz kasut"},
    "options": [],
    "required": False,
    "searchable": False,
    "place": 10,
}

_TICKET: Final = {
    "id": 31,
    "member": _CARD,
    "store": "KL01",
    "category": "complaint",
    "priority": "high",
    "subject": "Cup arrived broken",
    "status": "in_progress",
    "assignee_id": 7,
    "assignee": "Mei",
    "opened_at": "2026-03-02T10:15:00+08:00",
    "due_at": "2026-03-02T18:15:00+08:00",
    "sla_minutes": 480,
    "used_seconds": 900,
    "resolved_at": None,
    "closed_at": None,
    "score": None,
    "comment": "",
    "notes": [{"id": 5, "staff": "Mei", "at": "2026-03-02T10:20:00+08:00", "text": "A new one is on its way."}],
}
_TASK: Final = {
    "id": 12,
    "member": _CARD,
    "store": "KL01",
    "ticket_id": 31,
    "owner_id": 7,
    "owner": "Mei",
    "title": "Call when the new cup is here",
    "due_at": "2026-03-05T12:00:00+08:00",
    "done_at": None,
}

_IMPORT: Final = {
    "id": 4,
    "kind": "members",
    "file": "members.xlsx",
    "status": "finished",
    "rows_done": 12000,
    "counts": {"rows": 12000, "added": 12000, "changed": 0, "unchanged": 0},
    "started_at": "2026-03-02T10:15:00+08:00",
    "undone_at": None,
}

MEMBER_EXAMPLES: Final[dict[str, Any]] = {
    "Apart": {"reason": _REASON},
    "MergeAsked": {"other": _OTHER, "reason": "One person with two phones"},
    "Merged": {"id": 5, "number": _CARD, "absorbed": _OTHER, "points_moved": 310, "receipts_moved": 2},
    "UnmergeAsked": {"other": _OTHER},
    "Unmerged": {"number": _CARD, "released": _OTHER, "points_moved_back": 310, "stays": []},
    "TicketOpened": {"store": "KL01", "subject": "Cup arrived broken", "category": "complaint", "priority": "high"},
    "TicketChange": {"status": "resolved"},
    "Ticket": _TICKET,
    "TicketPage": {"items": [{**_TICKET, "notes": []}], "next": None},
    "NoteWritten": {"text": "A new one is on its way."},
    "TaskSet": {"title": "Call when the new cup is here", "due_at": "2026-03-05T12:00:00+08:00", "ticket_id": 31},
    "TaskChange": {"done": True},
    "Task": _TASK,
    "TaskPage": {"items": [_TASK], "next": None},
    "Claimed": {},
    "Advisor": {
        "staff_id": 7,
        "name": "Mei",
        "since": "2026-03-02T10:15:00+08:00",
        "contacted_at": "2026-03-04T16:00:00+08:00",
    },
    "HandedOver": {"to": 8},
    "HandOver": {"members": 41},
    "ContactMade": {"kind": "called", "note": "Asked for the spring catalogue"},
    "OptInConfirmed": {"token": "q0Yk2xw0v0sN5m8b8Zb0dQ"},
    "ReferralRule": {
        "active": True,
        "spend_min": 5000,
        "window_days": 14,
        "referrer_points": 500,
        "referee_points": 200,
        "rewards_max": 10,
        "period_days": 365,
    },
    "ReferralRuleChange": {"active": True, "referrer_points": 500},
    "Referrals": {
        "code": "K7QM2X9DRT",
        "items": [{"name": "Siti", "referred_at": "2026-03-02T10:15:00+08:00", "status": "waiting", "reason": ""}],
        "next": None,
    },
    "ViewPage": {
        "items": [
            {
                "id": 902,
                "principal": "till:KL01/T2",
                "staff": "Siti",
                "part": "profile",
                "at": "2026-03-02T10:15:00+08:00",
                "address": "10.1.2.3",
            }
        ],
        "next": None,
    },
    "Chain": {
        "name": "Kedai Kita",
        "currency": "MYR",
        "region": "MY",
        "language": "ms",
        "time_zone": "Asia/Kuala_Lumpur",
    },
    "ChainChange": {"name": "Kedai Kita"},
    "ImportRun": _IMPORT,
    "ImportPage": {"items": [_IMPORT], "next": None},
    "MembersUndone": {"removed": 11998, "restored": 0, "kept": 2},
    "PairList": {
        "items": [
            {
                "id": 17,
                "score": 96,
                "reasons": ["near_phone_similar_name", "same_birth_similar_name"],
                "members": [
                    {"number": _CARD, "name": "Tan Mei Ling", "phone": "+60123456789", "email": None},
                    {"number": _OTHER, "name": "Tan Mei Lin", "phone": "+60123456780", "email": "mei@example.com"},
                ],
                "found_at": "2026-03-02T03:00:04+08:00",
            }
        ],
        "next": None,
    },
    "CustomField": _FIELD,
    "CustomFieldList": {"items": [_FIELD], "next": None},
    "CustomFieldChange": {"required": True, "labels": {"en": "Shoe size (EU)"}},
    "MemberPolicy": {
        "same_phone": "block",
        "same_email": "block",
        "same_birth_similar_name": "warn",
        "near_phone_similar_name": "warn",
        "double_opt_in": True,
        "ticket_assignment": "least_busy",
        "sla_minutes_low": 2880,
        "sla_minutes_normal": 1440,
        "sla_minutes_high": 480,
        "sla_minutes_urgent": 120,
        "advisor_members_max": 100,
        "advisor_idle_days": 90,
    },
    "MemberPolicyChange": {"same_phone": "warn", "double_opt_in": True},
}
