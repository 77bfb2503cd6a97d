"""Tables of the schema `loyalty` with simple keys. The ledger itself is reached through `ledger.py` alone."""

from piccolo.columns import JSONB, BigInt, BigSerial, Boolean, Integer, SmallInt, Text, Timestamptz
from piccolo.table import Table


class Programme(Table, schema="loyalty"):
    id = SmallInt(primary_key=True, default=1, null=False)
    expiry_months = Integer(default=None, null=True)
    pending_days = Integer(default=0, null=False)
    grace_days = Integer(default=30, null=False)
    hold_minutes = Integer(default=15, null=False)
    point_value = BigInt(default=1, null=False)
    tier_months = Integer(default=12, null=False)
    revision = BigInt(default=1, null=False)


class EarnRuleVersion(Table, schema="loyalty", tablename="earn_rule"):
    id = BigSerial(primary_key=True, null=False)
    code = Text(default=None, null=False)
    version = Integer(default=None, null=False)
    kind = Text(default=None, null=False)
    points = Integer(default=0, null=False)
    per = BigInt(default=1, null=False)
    multiplier_milli = Integer(default=1000, null=False)
    fixed = Integer(default=0, null=False)
    conditions = JSONB(default="{}", null=False)
    valid_from = Timestamptz(null=False)
    valid_to = Timestamptz(null=False)


class Tier(Table, schema="loyalty"):
    id = BigSerial(primary_key=True, null=False)
    code = Text(default=None, null=False, unique=True)
    name = Text(default=None, null=False)
    rank = Integer(default=None, null=False, unique=True)
    threshold = BigInt(default=None, null=False)
    multiplier_milli = Integer(default=1000, null=False)


class Reward(Table, schema="loyalty"):
    id = BigSerial(primary_key=True, null=False)
    code = Text(default=None, null=False, unique=True)
    name = Text(default=None, null=False)
    points = BigInt(default=None, null=False)
    kind = Text(default=None, null=False)
    value = BigInt(default=0, null=False)
    active = Boolean(default=True, null=False)


class ReferralRule(Table, schema="loyalty", tablename="referral_rule"):
    id = SmallInt(primary_key=True, default=1, null=False)
    active = Boolean(default=False, null=False)
    spend_min = BigInt(default=0, null=False)
    window_days = Integer(default=14, null=False)
    referrer_points = Integer(default=100, null=False)
    referee_points = Integer(default=100, null=False)
    rewards_max = Integer(default=10, null=False)
    period_days = Integer(default=365, null=False)
