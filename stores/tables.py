"""Tables of the schema `stores`. Constraints, indexes and the tables with composite keys stand in the migrations."""

from piccolo.columns import (
    JSONB,
    BigInt,
    BigSerial,
    Boolean,
    Bytea,
    Date,
    ForeignKey,
    Integer,
    OnDelete,
    SmallInt,
    Text,
    Timestamptz,
)
from piccolo.table import Table


class Chain(Table, schema="stores"):
    id = SmallInt(primary_key=True, default=1, null=False)
    name = Text(default=None, null=False)
    currency = Text(default=None, null=False)
    exponent = SmallInt(default=None, null=False)
    region = Text(default=None, null=False)
    language = Text(default=None, null=False)
    time_zone = Text(default=None, null=False)


class Store(Table, schema="stores"):
    id = BigSerial(primary_key=True, null=False)
    code = Text(default=None, null=False, unique=True)
    name = Text(default=None, null=False)
    region = Text(default="", null=False)
    address = Text(default="", null=False)
    time_zone = Text(default=None, null=False)
    opened_on = Date(default=None, null=True)
    status = Text(default="open", null=False)
    hours = JSONB(default="{}", null=False)


class Till(Table, schema="stores"):
    id = BigSerial(primary_key=True, null=False)
    store_id = ForeignKey(Store, default=None, null=False, on_delete=OnDelete.restrict)
    code = Text(default=None, null=False)
    credential_hash = Bytea(default=None, null=True)
    enrolment_hash = Bytea(default=None, null=True, unique=True)
    enrolment_expires_at = Timestamptz(default=None, null=True)


class Staff(Table, schema="stores"):
    id = BigSerial(primary_key=True, null=False)
    email = Text(default=None, null=False, unique=True)
    name = Text(default="", null=False)
    password_hash = Text(default=None, null=True, secret=True)
    role = Text(default=None, null=False)
    active = Boolean(default=True, null=False)
    pin_hash = Text(default=None, null=True, secret=True)


class Shift(Table, schema="stores"):
    id = BigSerial(primary_key=True, null=False)
    till_id = ForeignKey(Till, default=None, null=False, on_delete=OnDelete.restrict)
    staff_id = ForeignKey(Staff, default=None, null=False, on_delete=OnDelete.restrict)
    opened_at = Timestamptz(null=False)
    closed_at = Timestamptz(default=None, null=True)


class Product(Table, schema="stores"):
    id = BigSerial(primary_key=True, null=False)
    sku = Text(default=None, null=False, unique=True)
    name = Text(default="", null=False)
    category = Text(default="", null=False)
    brand = Text(default="", null=False)
    price = BigInt(default=None, null=True)
    cost = BigInt(default=None, null=True)
    tax_class = Text(default="", null=False)
    kind = Text(default="goods", null=False)
    warranty_months = Integer(default=None, null=True)
    replacement_days = Integer(default=None, null=True)
    attributes = JSONB(default="{}", null=False)


class ImportRun(Table, schema="stores", tablename="import_run"):
    id = BigSerial(primary_key=True, null=False)
    kind = Text(default=None, null=False)
    file = Text(default=None, null=False)
    profile = Text(default=None, null=False)
    started_at = Timestamptz(null=False)
    counts = JSONB(default="{}", null=False)
    digest = Text(default="", null=False)
    status = Text(default="finished", null=False)
    rows_done = BigInt(default=0, null=False)
    undone_at = Timestamptz(default=None, null=True)
