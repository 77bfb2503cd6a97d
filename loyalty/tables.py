"""Tables of the schema `loyalty` with simple keys. The ledger itself is reached through `ledger.py` alone."""

from piccolo.columns import JSONB, Array, BigInt, BigSerial, Boolean, Date, Integer, SmallInt, Text, Timestamptz
from piccolo.table import Table


class Programme(Table, schema="loyalty"):
    id = SmallInt(primary_key=True, default=1, null=False)
    expiry_months = Integer(default=None, null=True)
    expiry_rounding = Text(default="month", null=False)
    pending_days = Integer(default=0, null=False)
    pending_date = Date(default=None, null=True)
    pending_event = Text(default=None, null=True)
    grace_days = Integer(default=30, null=False)
    hold_minutes = Integer(default=15, null=False)
    point_value = BigInt(default=1, null=False)
    point_cost_milli = BigInt(default=None, null=True)
    breakage_milli = Integer(default=None, null=True)
    clawback = Text(default="within_balance", null=False)
    earn_on_tax = Boolean(default=True, null=False)
    earn_excluded = Array(base_column=Text(), default=list, null=False)
    member_day_max = BigInt(default=None, null=True)
    offline_points_max = BigInt(default=0, null=False)
    claim_days = Integer(default=30, null=False)
    transfer_day_max = BigInt(default=0, null=False)
    topup_bonus_milli = Integer(default=0, null=False)
    tier_metric = Text(default="spend", null=False)
    tier_period = Text(default="rolling", null=False)
    tier_months = Integer(default=12, null=False)
    tier_grace_days = Integer(default=0, null=False)
    tier_downgrade = Text(default="one_level", null=False)
    revision = BigInt(default=1, null=False)


class EarnRuleVersion(Table, schema="loyalty", tablename="earn_rule"):
    id = BigSerial(primary_key=True, null=False)
    code = Text(default=None, null=False)
    version = Integer(default=None, null=False)
    kind = Text(default=None, null=False)
    name = Text(default="", null=False)
    points = Integer(default=0, null=False)
    per = BigInt(default=1, null=False)
    per_item = Integer(default=0, null=False)
    multiplier_milli = Integer(default=1000, null=False)
    fixed = Integer(default=0, null=False)
    conditions = JSONB(default="{}", null=False)
    caps = JSONB(default="{}", null=False)
    active = Boolean(default=True, null=False)
    valid_from = Timestamptz(null=False)
    valid_to = Timestamptz(null=False)
    published_at = Timestamptz(null=False)
    published_by = BigInt(default=None, null=True)


class Tier(Table, schema="loyalty"):
    id = BigSerial(primary_key=True, null=False)
    code = Text(default=None, null=False, unique=True)
    name = Text(default=None, null=False)
    rank = Integer(default=None, null=False, unique=True)
    threshold = BigInt(default=None, null=False)
    multiplier_milli = Integer(default=1000, null=False)
    version = Integer(default=1, null=False)
    benefits = JSONB(default="[]", null=False)


class Reward(Table, schema="loyalty"):
    id = BigSerial(primary_key=True, null=False)
    code = Text(default=None, null=False, unique=True)
    name = Text(default=None, null=False)
    points = BigInt(default=None, null=False)
    kind = Text(default=None, null=False)
    value = BigInt(default=0, null=False)
    active = Boolean(default=True, null=False)
    version = Integer(default=1, null=False)
    sku = Text(default=None, null=True)
    batch = Text(default=None, null=True)
    stock = BigInt(default=None, null=True)
    taken = BigInt(default=0, null=False)
    member_max = Integer(default=None, null=True)
    member_days = Integer(default=None, null=True)
    tier_min = Text(default=None, null=True)
    stores = Array(base_column=Text(), default=list, null=False)
    valid_from = Timestamptz(null=False)
    valid_to = Timestamptz(null=False)
    voucher_days = Integer(default=30, null=False)


class ReferralRule(Table, schema="loyalty", tablename="referral_rule"):
    id = SmallInt(primary_key=True, default=1, null=False)
    active = Boolean(default=False, null=False)
    spend_min = BigInt(default=0, null=False)
    window_days = Integer(default=14, null=False)
    referrer_points = Integer(default=100, null=False)
    referee_points = Integer(default=100, null=False)
    rewards_max = Integer(default=10, null=False)
    period_days = Integer(default=365, null=False)
