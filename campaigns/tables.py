"""Tables of the schema `campaigns` with simple keys. Deliveries are written set-based in `launch.py`."""

from piccolo.columns import BigInt, BigSerial, DoublePrecision, ForeignKey, Integer, OnDelete, Text, Timestamptz
from piccolo.table import Table

from segmentation.tables import Run


class Campaign(Table, schema="campaigns"):
    id = BigSerial(primary_key=True, null=False)
    name = Text(default=None, null=False)
    segment = Text(default=None, null=False)
    status = Text(default="draft", null=False)
    holdout_percent = Integer(default=None, null=False)
    salt = Text(default=None, null=False)
    budget_points = BigInt(default=None, null=False)
    reserved_points = BigInt(default=0, null=False)
    voucher_kind = Text(default=None, null=False)
    voucher_value = BigInt(default=None, null=False)
    voucher_points = BigInt(default=None, null=False)
    spend_min = BigInt(default=0, null=False)
    window_days = Integer(default=None, null=False)
    expected_response = DoublePrecision(default=None, null=False)
    expected_uplift = DoublePrecision(default=None, null=False)
    created_at = Timestamptz(null=False)
    launched_at = Timestamptz(default=None, null=True)
    run_id = ForeignKey(Run, default=None, null=True, on_delete=OnDelete.restrict)
