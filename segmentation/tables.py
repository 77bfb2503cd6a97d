"""Tables of the schema `segmentation` with simple keys; scores and pairs are written by COPY and read by join."""

from piccolo.columns import JSONB, BigInt, BigSerial, DoublePrecision, Text, Timestamptz
from piccolo.table import Table


class Run(Table, schema="segmentation"):
    id = BigSerial(primary_key=True, null=False)
    kind = Text(default=None, null=False)
    as_of = Timestamptz(null=False)
    parameters = JSONB(default="{}", null=False)
    data_from = Timestamptz(default=None, null=True)
    data_to = Timestamptz(default=None, null=True)
    row_count = BigInt(default=None, null=False)
    input_digest = Text(default=None, null=False)
    result = JSONB(default="{}", null=False)
    quality = JSONB(default="{}", null=False)
    code_version = Text(default=None, null=False)
    started_at = Timestamptz(null=False)
    seconds = DoublePrecision(default=None, null=False)
