"""One example of everything that goes in or comes out, all from the same small shop. Each is decoded as what it is an example of,
so that none can be wrong in shape."""

from typing import Any, Final

import msgspec

from api.openapi.loyalty_examples import LOYALTY_EXAMPLES
from api.openapi.member_examples import MEMBER_EXAMPLES

_CARD: Final = "2000000012346"
_STORE: Final = {
    "code": "KL01",
    "name": "Kuala Lumpur, Jalan Bukit Bintang",
    "time_zone": "Asia/Kuala_Lumpur",
    "region": "Central",
    "address": "Jalan Bukit Bintang 111",
    "opened_on": "2019-05-01",
    "status": "open",
    "hours": {"mon": ["10:00-22:00"], "sat": ["09:00-13:00", "14:00-24:00"]},
}
_PRODUCT_LISTED: Final = {
    "sku": "85123A",
    "name": "White hanging heart",
    "category": "home/decoration",
    "brand": "Claytan",
    "kind": "goods",
    "price": 255,
}
_PRODUCT: Final = {**_PRODUCT_LISTED, "cost": 120, "attributes": {"colour": "white"}}
_SUGGESTION: Final = {"sku": "22423", "name": "Cake stand", "goes_with": "85123A", "lift": 3.1, "together": 214}
_STAFF: Final = {
    "id": 7,
    "email": "mei@kedai.example",
    "name": "Mei",
    "role": "store_manager",
    "stores": ["KL01"],
    "active": True,
    "invited": False,
}
_CONSENT: Final = {
    "channel": "email",
    "purpose": "marketing",
    "given": True,
    "wording": "v1",
    "at": "2026-03-01T10:12:00+08:00",
}
_MEMBER: Final = {
    "number": _CARD,
    "name": "Aisyah",
    "phone": "+60123456789",
    "email": "aisyah@example.com",
    "birth_year": None,
    "birth_month": 8,
    "birth_day": 31,
    "gender": "female",
    "language": "ms",
    "home_store": "KL01",
    "external_ref": None,
    "tags": ["tea"],
    "notes": "",
    "custom": {"shoe_size": 38},
    "referral_code": "K7QM2X9DRT",
    "source": {"channel": "till", "store": "KL01", "till": "T2"},
    "registered_at": "2026-03-01T10:12:00+08:00",
}
_POINTS: Final = {"earned": 15, "pending": 0, "spent": 0, "balance": 240}
_TIER: Final = {"code": "silver", "to_next": 84700}
_RULE: Final = {"rule": "base", "version": 3, "points": 15, "because": "1 per MYR 1.00 on MYR 15.30"}
_SUGGESTED: Final = {
    "sku": "22423",
    "name": "Cake stand",
    "because": "bought together 3.1 times more often than chance",
}
_RECEIPT: Final = {"store": "KL01", "till": "T2", "number": "000871"}
_BASKET: Final = {
    "store": "KL01",
    "business_time": "2026-03-01T10:15:00+08:00",
    "member": _CARD,
    "currency": "MYR",
    "lines": [{"sku": "85123A", "quantity": 6, "unit_price": 255, "discount": 0}],
    "vouchers": [],
    "points_to_spend": 0,
}
_LOT: Final = {"remaining": 15, "activates_at": "2026-03-01T10:15:00+08:00", "expires_at": "2027-03-31T23:59:59+08:00"}
_BALANCE: Final = {"usable": 240, "pending": 0, "held": 0}
_EVENT: Final = {
    "id": 88120,
    "kind": "bought",
    "at": "2026-03-01T10:15:00+08:00",
    "store": "KL01",
    "data": {"total": 1530, "lines": 1},
}
_RECEIPT_LISTED: Final = {
    "id": 991,
    **_RECEIPT,
    "kind": "sale",
    "business_time": "2026-03-01T10:15:00+08:00",
    "total": 1530,
    "lines": 1,
}
_OFFER: Final = {"kind": "amount_off", "value": 500, "spend_min": 3000}
_EXPECTED: Final = {"response": 0.12, "uplift": 0.04}
_CAMPAIGN: Final = {
    "id": 3,
    "name": "Come back in March",
    "segment": "At Risk",
    "status": "running",
    "offer": _OFFER,
    "expected": _EXPECTED,
    "budget_points": 200000,
    "reserved_points": 150000,
    "voucher_points": 500,
    "holdout_percent": 20,
    "window_days": 30,
    "salt": "5f0c2e9b71aa43d8",
    "created_at": "2026-03-01T09:00:00+08:00",
    "launched_at": "2026-03-01T09:30:00+08:00",
    "run_id": 12,
}
_INTERVAL: Final = {"estimate": 0.041, "low": 0.012, "high": 0.07}
_KEY: Final = {
    "id": 4,
    "name": "Web shop",
    "hint": "key_9bQmZx",
    "scopes": ["members:read", "till:sell"],
    "stores": ["KL01"],
    "created_at": "2026-03-01T09:00:00+08:00",
    "expires_at": "2027-03-01T00:00:00+08:00",
    "last_used_at": None,
    "revoked_at": None,
}
_WEBHOOK: Final = {
    "id": 2,
    "url": "https://warehouse.kedai.example/events",
    "events": ["bought", "returned"],
    "description": "Data warehouse",
    "status": "active",
    "failing_since": None,
    "last_error": "",
    "delivered": 10482,
    "pending": 0,
    "dead": 0,
    "created_at": "2026-03-01T09:00:00+08:00",
}
_DELIVERY: Final = {
    "id": 10482,
    "event_id": 88120,
    "kind": "bought",
    "status": "delivered",
    "attempts": 1,
    "next_at": None,
    "answer": 204,
    "error": "",
    "finished_at": "2026-03-01T10:15:02+08:00",
}
_SEGMENT: Final = {"name": "Champions", "members": 412, "value": 48211050, "share_of_value": 0.62}

_EXAMPLES: Final[dict[str, Any]] = {
    **MEMBER_EXAMPLES,
    **LOYALTY_EXAMPLES,
    "SignIn": {"email": "mei@kedai.example", "password": "correct horse battery", "totp": "492039"},
    "SessionShown": {"role": "store_manager", "stores": ["KL01"], "till": None, "second_factor_owed": False},
    "SessionList": {
        "items": [
            {
                "id": "5f0c2e9b71aa43d8",
                "opened_at": "2026-03-01T08:55:00+08:00",
                "address": "203.0.113.7",
                "agent": "Mozilla/5.0",
                "current": True,
            }
        ],
        "next": None,
    },
    "FactorAsked": {"totp": ""},
    "FactorOffered": {
        "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        "uri": "otpauth://totp/Regulars:mei%40kedai.example?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Regulars",
        "qr": "<svg …></svg>",
    },
    "CodeShown": {"totp": "492039"},
    "RecoveryCodes": {"recovery_codes": ["5f0c2-e9b71", "aa43d-8e210"]},
    "PasswordChange": {"current": "correct horse battery", "password": "a longer one than before"},
    "PinChosen": {"pin": "480215"},
    "ResetAsked": {"email": "mei@kedai.example"},
    "LinkRedeemed": {"token": "q3V0…", "password": "a longer one than before"},
    "StaffInvited": {"email": "mei@kedai.example", "name": "Mei", "role": "store_manager", "stores": ["KL01"]},
    "StaffShown": _STAFF,
    "StaffPage": {"items": [_STAFF], "next": None},
    "StaffChange": {"stores": ["KL01", "KL02"]},
    "KeyWanted": {
        "name": "Web shop",
        "scopes": ["members:read", "till:sell"],
        "expires_at": "2027-03-01T00:00:00+08:00",
        "stores": ["KL01"],
    },
    "Rotation": {"overlap_hours": 24},
    "KeyIssued": {"key": _KEY, "secret": "key_9bQmZx…"},
    "KeyPage": {"items": [_KEY], "next": None},
    "Branch": _STORE,
    "BranchChange": {"status": "closed"},
    "StoreList": {"items": [_STORE], "next": None},
    "TillWanted": {"code": "T2"},
    "Enrolment": {"store": "KL01", "till": "T2", "code": "K7QM-2X9D-RTWC", "expires_at": "2026-03-02T10:00:00+08:00"},
    "TillList": {"items": [{"code": "T2", "enrolled": True, "cashier": "Siti"}], "next": None},
    "Product": _PRODUCT,
    "ProductChange": {"price": 275},
    "ProductList": {"items": [_PRODUCT_LISTED], "next": "WyI4NTEyM0EiXQ"},
    "SuggestionList": {"items": [_SUGGESTION], "next": None},
    "Registration": {"name": "Aisyah", "phone": "012-345 6789", "consents": [{"channel": "email"}]},
    "Registered": {"number": _CARD},
    "MemberList": {
        "items": [
            {"id": 12, "number": _CARD, "name": "Aisyah", "phone": "+60123456789", "email": "aisyah@example.com"}
        ],
        "next": None,
    },
    "MemberProfile": _MEMBER,
    "MemberChange": {"language": "en", "tags": ["tea", "no nuts"]},
    "View360": {
        "member": _MEMBER,
        "cards": [{"number": _CARD, "status": "active", "issued_at": "2026-03-01T10:12:00+08:00"}],
        "birthday_in_days": 183,
        "advisor": None,
        "consents": [_CONSENT],
        "consents_waiting": [],
        "consumption": {
            "first_purchase": "2026-03-01T10:15:00+08:00",
            "last_purchase": "2026-03-01T10:15:00+08:00",
            "receipts": 1,
            "units": 6,
            "spend": 1530,
            "returns": 0,
            "returned": 0,
            "stores": 1,
        },
        "average_days_between": None,
        "points": _BALANCE,
        "lots": [_LOT],
        "tier": _TIER,
        "score": None,
        "vouchers": [],
        "receipts": [_RECEIPT_LISTED],
        "tickets": [],
        "tasks": [],
        "timeline": [_EVENT],
    },
    "TimelinePage": {"items": [_EVENT], "next": "Wzg4MTIwXQ"},
    "ReceiptPage": {"items": [_RECEIPT_LISTED], "next": None},
    "PointsPage": {
        "balance": _BALANCE,
        "lots": [_LOT],
        "items": [
            {
                "version": 9,
                "amount": 15,
                "balance_after": 240,
                "kind": "earn",
                "reason": "",
                "event_at": "2026-03-01T10:15:00+08:00",
                "explanation": {"rules": [_RULE]},
            }
        ],
        "next": None,
    },
    "ConsentGiven": {"channel": "email", "purpose": "marketing", "given": True, "wording": "v1", "method": "spoken"},
    "ConsentList": {"items": [_CONSENT], "next": None},
    "ShiftOpened": {"email": "siti@kedai.example", "pin": "480215"},
    "Shift": {"store": "KL01", "till": "T2", "cashier": "Siti", "opened_at": "2026-03-01T08:55:00+08:00"},
    "Basket": _BASKET,
    "QuoteAnswer": {
        "total": 1530,
        "due": 1530,
        "discount": 0,
        "currency": "MYR",
        "points": _POINTS,
        "stored_value": 0,
        "tier": _TIER,
        "vouchers": [],
        "explanation": [_RULE],
        "suggestions": [_SUGGESTED],
    },
    "CheckoutSent": {**_BASKET, "till": "T2", "number": "000871"},
    "CheckoutAnswer": {
        "id": 991,
        "receipt": _RECEIPT,
        "total": 1530,
        "due": 1530,
        "discount": 0,
        "currency": "MYR",
        "stored_value": 0,
        "points": _POINTS,
        "tier": _TIER,
        "explanation": [_RULE],
        "suggestions": [_SUGGESTED],
    },
    "ReturnSent": {
        "till": "T2",
        "number": "000872",
        "business_time": "2026-03-02T10:15:00+08:00",
        "lines": [{"line_no": 1, "quantity": 2}],
    },
    "ReturnAnswer": {
        "id": 992,
        "receipt": {**_RECEIPT, "number": "000872"},
        "refund": 510,
        "stored_value": 0,
        "currency": "MYR",
        "points_clawed_back": 5,
        "points_not_recovered": 0,
        "points_owed": 0,
        "points_given_back": 0,
        "balance": 235,
    },
    "RunPage": {
        "items": [
            {
                "id": 12,
                "kind": "rfm",
                "as_of": "2026-03-01T00:00:00+08:00",
                "parameters": {"gross": False},
                "data_from": None,
                "data_to": "2026-03-01T00:00:00+08:00",
                "row_count": 4338,
                "input_digest": "9c1d…",
                "result": {"value": 77761290},
                "quality": {},
                "code_version": "0.1.0",
                "started_at": "2026-03-01T02:00:00+08:00",
                "seconds": 0.04,
            }
        ],
        "next": None,
    },
    "RfmShown": {
        "run": 12,
        "as_of": "2026-03-01T00:00:00+08:00",
        "edges": {
            "recency": [12, 32, 71, 179],
            "frequency": [1, 2, 3, 6],
            "monetary": [25015, 49022, 94226, 205944],
        },
        "segments": [_SEGMENT],
        "grid": [{"r": 5, "f": 5, "members": 412, "value": 48211050, "segment": "Champions"}],
    },
    "ClustersShown": {
        "run": 13,
        "as_of": "2026-03-01T00:00:00+08:00",
        "k": 4,
        "churn": 0.03,
        "stability": {"3": 0.91, "4": 0.93},
        "clusters": [{"label": 1, "members": 512, "share_of_value": 0.61, "words": "buy often and much"}],
    },
    "Draft": {
        "name": "Come back in March",
        "segment": "At Risk",
        "offer": _OFFER,
        "expected": _EXPECTED,
        "budget_points": 200000,
    },
    "Campaign": _CAMPAIGN,
    "CampaignPage": {"items": [_CAMPAIGN], "next": None},
    "Launched": {
        "audience": 520,
        "queued": 300,
        "control": 75,
        "skipped": {"no consent": 145},
        "reserved_points": 150000,
    },
    "CampaignReport": {
        "campaign": 3,
        "name": "Come back in March",
        "status": "finished",
        "as_of": "2026-04-01T09:00:00+08:00",
        "audience": 520,
        "deliveries": {"sent": 300, "control": 75, "skipped": 145},
        "skipped": {"no consent": 145},
        "treated": {"members": 300, "buyers": 39, "response": 0.13, "spend": 5120.0},
        "control": {"members": 75, "buyers": 7, "response": 0.093, "spend": 3980.0},
        "response": {"expected": 0.12, "actual": 0.13},
        "uplift": {"expected": 0.04, "actual": 0.037},
        "effect": {
            "response": _INTERVAL,
            "spend": {"estimate": 1140.0, "low": -220.0, "high": 2500.0},
            "power": 0.49,
            "sample_ratio_p": 0.92,
            "verdict": "no verdict",
            "because": "power 49% is below 80%",
        },
        "incremental_buyers": 11.1,
        "incremental_revenue": 342000.0,
        "vouchers_used": 36,
        "points_reserved": 150000,
        "points_spent": 18000,
    },
    "WebhookWanted": {"url": "https://warehouse.kedai.example/events", "events": ["bought", "returned"]},
    "WebhookChange": {"status": "paused"},
    "Webhook": _WEBHOOK,
    "WebhookPage": {"items": [_WEBHOOK], "next": None},
    "WebhookMade": {"webhook": _WEBHOOK, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    "ReplayWanted": {"since": "2026-03-01T00:00:00+08:00"},
    "Delivery": _DELIVERY,
    "DeliveryPage": {"items": [_DELIVERY], "next": None},
    "AuditPage": {
        "items": [
            {
                "id": 310,
                "at": "2026-03-01T09:00:00+08:00",
                "actor": "staff:1",
                "role": "administrator",
                "action": "store.changed",
                "object": "store:KL01",
                "before": {"status": "planned"},
                "after": {"status": "open"},
                "address": "203.0.113.7",
                "request_id": "5f0c2e9b71aa43d8",
            }
        ],
        "next": None,
    },
    "JobList": {
        "queue": {"queued": 0, "active": 1, "workers": 1},
        "items": [
            {
                "key": "cron:nightly",
                "name": "nightly",
                "status": "complete",
                "attempts": 1,
                "progress": 0.0,
                "queued_at": "2026-03-01T00:10:00+08:00",
                "started_at": "2026-03-01T00:10:00+08:00",
                "completed_at": "2026-03-01T00:10:04+08:00",
                "error": None,
            }
        ],
        "next": None,
    },
    "Alive": {"alive": True},
    "Ready": {
        "ready": True,
        "database": True,
        "migrations": True,
        "redis": True,
        "worker": True,
        "replica_lag_seconds": None,
    },
}


class NoExample(LookupError):
    """A shape of the API has no example."""


def example_of(shape: type[msgspec.Struct]) -> Any:
    """The example of a Struct as JSON builtins. Raises `NoExample`, or `msgspec.ValidationError` for a wrong one."""
    if shape.__name__ not in _EXAMPLES:
        raise NoExample(shape.__name__)
    given = _EXAMPLES[shape.__name__]
    msgspec.convert(given, shape)
    return given


def example_names() -> frozenset[str]:
    """What there are examples of."""
    return frozenset(_EXAMPLES)
