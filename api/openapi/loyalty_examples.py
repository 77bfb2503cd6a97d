"""Examples of the programme, its rules, rewards, vouchers and statements."""

from typing import Any, Final

_CARD: Final = "2000000012346"
_OTHER: Final = "2000000012353"
_AT: Final = "2026-03-01T10:15:00+08:00"
_MONTH: Final = {"since": "2026-02-01T00:00:00+08:00", "until": "2026-03-01T00:00:00+08:00"}
_RULE_SENT: Final = {
    "code": "tea-weekend",
    "kind": "bonus",
    "name": "Tea at the weekend",
    "multiplier_milli": 2000,
    "conditions": {"weekdays": [6, 7], "categories": ["drinks/tea"]},
    "caps": {"member_day_max": 500},
}
_RULE_VERSION: Final = {
    **_RULE_SENT,
    "version": 2,
    "points": 0,
    "per": 1,
    "per_item": 0,
    "fixed": 0,
    "active": True,
    "valid_from": _AT,
    "valid_to": None,
    "current": True,
    "text": "2 times the base points, on the categories drinks/tea, on Saturday, Sunday, at most 500 a member and day",
}
_TIER: Final = {
    "code": "silver",
    "name": "Silver",
    "threshold": 100000,
    "multiplier_milli": 1250,
    "benefits": ["Free delivery"],
}
_VERSION: Final = {"version": 1, "at": _AT, "by": "mei@kedai.example", "body": {"code": "silver", "threshold": 100000}}
_REWARD_SENT: Final = {
    "code": "five-off",
    "name": "MYR 5.00 off",
    "points": 500,
    "kind": "amount_off",
    "value": 500,
    "stock": 1000,
    "member_max": 2,
    "member_days": 30,
}
_REWARD: Final = {**_REWARD_SENT, "version": 1, "left": 998}
_TERMS_SENT: Final = {
    "batch": "new-year",
    "kind": "percent_off",
    "value": 10,
    "name": "10% off tea",
    "discount_max": 2000,
    "scope": {"categories": ["drinks/tea"]},
    "valid_days": 30,
}
_TERMS: Final = {**_TERMS_SENT, "version": 1, "published_at": _AT, "issued": 5000, "used": 214}
_SIDE: Final = {"points": 184200, "value": 184200, "receipts_earning": 9210, "by_rule": {"base": 184200}}
_SIMULATION_SENT: Final = {"rules": [_RULE_SENT], **_MONTH}
_RUN: Final = {
    "id": 3,
    "status": "done",
    "receipts_done": 9800,
    "requested_at": _AT,
    "finished_at": "2026-03-01T10:16:04+08:00",
    "request": _SIMULATION_SENT,
    "result": {
        **_MONTH,
        "receipts": 9800,
        "members": 3120,
        "before": _SIDE,
        "after": {**_SIDE, "points": 191700, "value": 191700, "by_rule": {"base": 184200, "tea-weekend": 7500}},
        "tiers": [
            {"tier": "", "members": 2900, "winners": 240, "losers": 0, "points_before": 150000, "points_after": 155000},
            {
                "tier": "silver",
                "members": 220,
                "winners": 31,
                "losers": 0,
                "points_before": 34200,
                "points_after": 36700,
            },
        ],
    },
}
_PROGRAMME: Final = {
    "expiry_months": 24,
    "expiry_rounding": "month",
    "pending_days": 14,
    "pending_date": None,
    "pending_event": None,
    "grace_days": 30,
    "hold_minutes": 15,
    "point_value": 1,
    "point_cost_milli": 800,
    "breakage_milli": None,
    "clawback": "within_balance",
    "earn_on_tax": True,
    "earn_excluded": ["tobacco"],
    "member_day_max": 5000,
    "offline_points_max": 500,
    "claim_days": 30,
    "transfer_day_max": 1000,
    "topup_bonus_milli": 50,
    "tier_metric": "spend",
    "tier_period": "rolling",
    "tier_months": 12,
    "tier_grace_days": 30,
    "tier_downgrade": "one_level",
}
_SIGNED: Final = {
    "sequence": 41,
    "body": '{"kind":"sale","number":"000872","charged":1530,"basket":{"store":"KL01","business_time":"2026-03-01T10:15:00+08:00",'
    '"lines":[{"sku":"85123A","quantity":6,"unit_price":255}]}}',
    "signature": "9f0b7c1e6a3d5f2480b1c9e7d6a5f4e3c2b1a09f8e7d6c5b4a3928170f6e5d4c",
}
_TRIAL_SIDE: Final = {
    "points": 15,
    "explanation": [{"rule": "base", "version": 3, "points": 15, "because": "1 per MYR 1.00 on MYR 15.30"}],
}

LOYALTY_EXAMPLES: Final[dict[str, Any]] = {
    "RewardList": {"items": [_REWARD], "next": None},
    "RewardSent": _REWARD_SENT,
    "Reward": _REWARD,
    "RedemptionSent": {"member": _CARD, "reward": "five-off", "store": "KL01"},
    "Redemption": {
        "id": 41,
        "member": _CARD,
        "points": 500,
        "reward": "five-off",
        "status": "captured",
        "expires_at": "2026-03-01T10:30:00+08:00",
        "available": 40,
        "voucher": "K7QM-2X9D-RTWC",
    },
    "ProgrammeSettings": _PROGRAMME,
    "ProgrammeChange": {"clawback": "allow_debt", "offline_points_max": 500},
    "RulePublished": {**_RULE_SENT, "valid_from": _AT},
    "RuleVersion": _RULE_VERSION,
    "RuleList": {"items": [_RULE_VERSION], "next": None},
    "RuleTrial": {
        "rule": _RULE_SENT,
        "basket": {
            "store": "KL01",
            "business_time": _AT,
            "member": _CARD,
            "lines": [{"sku": "85123A", "quantity": 6, "unit_price": 255}],
        },
    },
    "TrialAnswer": {"text": _RULE_VERSION["text"], "now": _TRIAL_SIDE, "then": _TRIAL_SIDE},
    "SimulationSent": _SIMULATION_SENT,
    "SimulationRun": _RUN,
    "SimulationPage": {"items": [_RUN], "next": None},
    "TierSent": {**_TIER, "rank": 1},
    "TierShown": _TIER,
    "TierList": {"items": [_TIER], "next": None},
    "VersionList": {"items": [_VERSION], "next": None},
    "TermsSent": _TERMS_SENT,
    "Terms": _TERMS,
    "TermsList": {"items": [_TERMS], "next": None},
    "CodesAsked": {"count": 5000},
    "CodesIssued": {"issued": 5000},
    "CodePage": {
        "items": [
            {"id": 1, "code": "K7QM-2X9D-RTWC", "uses": 0, "uses_max": 1, "expires_at": "2026-03-31T10:15:00+08:00"}
        ],
        "next": None,
    },
    "VoucherAsked": {"batch": "new-year", "member": _CARD},
    "VoucherGiven": {"code": "K7QM-2X9D-RTWC", "expires_at": "2026-03-31T10:15:00+08:00"},
    "VoucherCheck": {
        "store": "KL01",
        "member": _CARD,
        "lines": [{"sku": "85123A", "quantity": 6, "unit_price": 255}],
    },
    "VoucherChecked": {
        "code": "K7QM-2X9D-RTWC",
        "valid": True,
        "reason": "",
        "kind": "percent_off",
        "value": 10,
        "expires_at": "2026-03-31T10:15:00+08:00",
        "outcome": {"code": "K7QM-2X9D-RTWC", "applied": True, "discount": 153, "bonus_points": 0, "reason": ""},
    },
    "AdjustmentSent": {"points": 50, "reason": "Sorry for the wait", "store": "KL01"},
    "Balance": {"amount": 50, "balance": 290},
    "TransferSent": {"to": _OTHER, "points": 100},
    "StoredValue": {"balance": 5000, "frozen": False},
    "MoneySent": {"amount": 5000, "store": "KL01"},
    "PayoutSent": {"amount": 5000, "reason": "Moves abroad", "store": "KL01"},
    "HouseholdSent": {"members": [_OTHER]},
    "Household": {"members": [_CARD, _OTHER]},
    "ClaimSent": {"store": "KL01", "number": "000871", "total": 1530},
    "Claim": {"receipt_id": 991, "earned": 15, "balance": 255},
    "GrantSent": {"tier": "silver", "until": "2026-12-31T23:59:59+08:00", "reason": "Came from another chain"},
    "TierProgress": {"code": "silver", "to_next": 84700, "until": "2027-03-01T00:00:00+08:00"},
    "CancelSent": {"till": "T2", "number": "000873", "business_time": _AT},
    "BlindReturnSent": {
        "store": "KL01",
        "till": "T2",
        "number": "000874",
        "business_time": _AT,
        "member": _CARD,
        "lines": [{"sku": "85123A", "quantity": 1, "unit_price": 255}],
    },
    "EventSent": {"event": "delivered"},
    "Activated": {"points": 15},
    "SyncSent": {"events": [_SIGNED], "lost": []},
    "Synced": {
        "items": [
            {
                "sequence": 41,
                "status": "done",
                "receipt_id": 992,
                "earned": 15,
                "conflicts": [],
                "why": "",
                "again": False,
            }
        ],
        "next": 42,
        "missing": [],
    },
    "Liability": {
        **_MONTH,
        "currency": "MYR",
        "point_cost_milli": 800,
        "movement": {
            "opening": 100000,
            "issued": 12000,
            "redeemed": 7000,
            "expired": 500,
            "adjusted": 50,
            "closing": 104550,
            "by_kind": {"earn": 12300, "clawback": -300, "spend": -7000, "expire": -500, "adjust": 50},
        },
        "outstanding": 104600,
        "owed_by_members": 50,
        "value": 83680,
        "expected_breakage_milli": 66,
        "estimated": True,
        "expected_value": 78157,
        "by_age": [{"name": "up to 30 days", "points": 104600, "value": 83680}],
        "by_expiry": [{"name": "2028-Q1", "points": 104600, "value": 83680}],
    },
    "Settlement": {
        **_MONTH,
        "currency": "MYR",
        "point_cost_milli": 800,
        "stores": [
            {
                "store": "JB02",
                "issued_redeemed_elsewhere": 0,
                "redeemed_of_others": 500,
                "redeemed_of_own": 0,
                "net": 400,
            },
            {
                "store": "KL01",
                "issued_redeemed_elsewhere": 500,
                "redeemed_of_others": 0,
                "redeemed_of_own": 0,
                "net": -400,
            },
        ],
        "pairs": [{"issued_by": "KL01", "redeemed_by": "JB02", "points": 500, "value": 400}],
    },
}
