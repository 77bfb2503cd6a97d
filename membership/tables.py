"""Tables of the schema `membership`. Constraints, partial and composite indexes stand in the migrations."""

from piccolo.columns import (
    JSONB,
    Array,
    BigInt,
    BigSerial,
    Boolean,
    Bytea,
    ForeignKey,
    Integer,
    OnDelete,
    SmallInt,
    Text,
    Timestamptz,
)
from piccolo.table import Table

from stores.tables import Staff, Store


class Member(Table, schema="membership"):
    id = BigSerial(primary_key=True, null=False)
    name = Text(default=None, null=False)
    phone = Text(default=None, null=True)
    email = Text(default=None, null=True)
    birth_year = SmallInt(default=None, null=True)
    birth_month = SmallInt(default=None, null=True)
    birth_day = SmallInt(default=None, null=True)
    gender = Text(default="", null=False)
    language = Text(default="en", null=False)
    home_store_id = ForeignKey(Store, default=None, null=True, on_delete=OnDelete.restrict)
    external_ref = Text(default=None, null=True, unique=True)
    tags = Array(Text(), default=list, null=False)
    notes = Text(default="", null=False)
    source = JSONB(default="{}", null=False)
    status = Text(default="active", null=False)
    registered_at = Timestamptz(null=False)
    name_search = Text(default=None, null=False)
    phone_shared = Boolean(default=False, null=False)
    email_shared = Boolean(default=False, null=False)
    custom = JSONB(default="{}", null=False)
    merged_into = BigInt(default=None, null=True)
    referral_code = Text(default=None, null=False, unique=True)


class Card(Table, schema="membership"):
    number = Text(primary_key=True, default=None, null=False)
    member_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    status = Text(default="active", null=False)
    issued_at = Timestamptz(null=False)


class Consent(Table, schema="membership"):
    id = BigSerial(primary_key=True, null=False)
    member_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    channel = Text(default=None, null=False)
    purpose = Text(default=None, null=False)
    given = Boolean(default=None, null=False)
    wording = Text(default=None, null=False)
    source = Text(default="", null=False)
    method = Text(default="", null=False)
    staff_id = ForeignKey(Staff, default=None, null=True, on_delete=OnDelete.restrict)
    store_id = ForeignKey(Store, default=None, null=True, on_delete=OnDelete.restrict)
    at = Timestamptz(null=False)
    cleared = Boolean(default=False, null=False)


class Consumption(Table, schema="membership"):
    member_id = ForeignKey(Member, primary_key=True, default=None, null=False, on_delete=OnDelete.restrict)
    first_purchase = Timestamptz(default=None, null=True)
    last_purchase = Timestamptz(default=None, null=True)
    receipts = Integer(default=0, null=False)
    units = BigInt(default=0, null=False)
    spend = BigInt(default=0, null=False)
    gross_receipts = Integer(default=0, null=False)
    gross_spend = BigInt(default=0, null=False)
    gross_last_purchase = Timestamptz(default=None, null=True)
    returns = Integer(default=0, null=False)
    returned = BigInt(default=0, null=False)
    store_ids = Array(BigInt(), default=list, null=False)


class Event(Table, schema="membership"):
    id = BigSerial(primary_key=True, null=False)
    member_id = BigInt(default=None, null=False)
    kind = Text(default=None, null=False)
    about = Text(default=None, null=False, db_column_name="ref")  # `ref` is a method of Piccolo's tables
    at = Timestamptz(null=False)
    recorded_at = Timestamptz(null=False)
    store_id = BigInt(default=None, null=True)
    data = JSONB(default="{}", null=False)
    recorded_in = BigInt(default=0, null=False)


class Policy(Table, schema="membership"):
    id = SmallInt(primary_key=True, default=1, null=False)
    same_phone = Text(default="block", null=False)
    same_email = Text(default="block", null=False)
    same_birth_similar_name = Text(default="warn", null=False)
    near_phone_similar_name = Text(default="warn", null=False)
    double_opt_in = Boolean(default=False, null=False)
    ticket_assignment = Text(default="least_busy", null=False)
    sla_minutes_low = Integer(default=2880, null=False)
    sla_minutes_normal = Integer(default=1440, null=False)
    sla_minutes_high = Integer(default=480, null=False)
    sla_minutes_urgent = Integer(default=120, null=False)
    advisor_members_max = Integer(default=100, null=False)
    advisor_idle_days = Integer(default=90, null=False)


class CustomFieldRow(Table, schema="membership", tablename="custom_field"):
    id = BigSerial(primary_key=True, null=False)
    code = Text(default=None, null=False, unique=True)
    kind = Text(default=None, null=False)
    labels = JSONB(default="{}", null=False)
    options = Array(Text(), default=list, null=False)
    required = Boolean(default=False, null=False)
    searchable = Boolean(default=False, null=False)
    place = Integer(default=0, null=False)


class DuplicatePair(Table, schema="membership", tablename="duplicate_pair"):
    id = BigSerial(primary_key=True, null=False)
    one_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    other_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    score = SmallInt(default=None, null=False)
    reasons = Array(Text(), default=list, null=False)
    status = Text(default="open", null=False)
    note = Text(default="", null=False)
    staff_id = ForeignKey(Staff, default=None, null=True, on_delete=OnDelete.restrict)
    found_at = Timestamptz(null=False)
    decided_at = Timestamptz(default=None, null=True)


class Merge(Table, schema="membership"):
    id = BigSerial(primary_key=True, null=False)
    survivor_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    loser_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    reason = Text(default="", null=False)
    staff_id = ForeignKey(Staff, default=None, null=True, on_delete=OnDelete.restrict)
    merged_at = Timestamptz(null=False)
    unmerged_at = Timestamptz(default=None, null=True)
    newest_receipt_id = BigInt(default=None, null=False)
    profile_before = JSONB(default=None, null=True)
    profile_after = JSONB(default=None, null=True)


class Ticket(Table, schema="membership"):
    id = BigSerial(primary_key=True, null=False)
    member_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    store_id = ForeignKey(Store, default=None, null=False, on_delete=OnDelete.restrict)
    category = Text(default=None, null=False)
    priority = Text(default=None, null=False)
    subject = Text(default=None, null=False)
    status = Text(default="open", null=False)
    assignee_id = ForeignKey(Staff, default=None, null=True, on_delete=OnDelete.restrict)
    assigned_at = Timestamptz(default=None, null=True)
    opened_by = ForeignKey(Staff, default=None, null=True, on_delete=OnDelete.restrict)
    opened_at = Timestamptz(null=False)
    sla_minutes = Integer(default=None, null=False)
    used_seconds = BigInt(default=0, null=False)
    running_since = Timestamptz(default=None, null=True)
    due_at = Timestamptz(default=None, null=True)
    resolved_at = Timestamptz(default=None, null=True)
    closed_at = Timestamptz(default=None, null=True)
    score = SmallInt(default=None, null=True)
    comment = Text(default="", null=False)


class TicketNote(Table, schema="membership", tablename="ticket_note"):
    id = BigSerial(primary_key=True, null=False)
    ticket_id = ForeignKey(Ticket, default=None, null=False, on_delete=OnDelete.restrict)
    staff_id = ForeignKey(Staff, default=None, null=True, on_delete=OnDelete.restrict)
    at = Timestamptz(null=False)
    text = Text(default=None, null=False)


class Task(Table, schema="membership"):
    id = BigSerial(primary_key=True, null=False)
    member_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    store_id = ForeignKey(Store, default=None, null=True, on_delete=OnDelete.restrict)
    ticket_id = ForeignKey(Ticket, default=None, null=True, on_delete=OnDelete.restrict)
    owner_id = ForeignKey(Staff, default=None, null=False, on_delete=OnDelete.restrict)
    title = Text(default=None, null=False)
    due_at = Timestamptz(null=False)
    created_at = Timestamptz(null=False)
    done_at = Timestamptz(default=None, null=True)


class Contact(Table, schema="membership"):
    id = BigSerial(primary_key=True, null=False)
    member_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    store_id = ForeignKey(Store, default=None, null=True, on_delete=OnDelete.restrict)
    staff_id = ForeignKey(Staff, default=None, null=True, on_delete=OnDelete.restrict)
    kind = Text(default=None, null=False)
    note = Text(default="", null=False)
    at = Timestamptz(null=False)


class OptIn(Table, schema="membership", tablename="opt_in"):
    id = BigSerial(primary_key=True, null=False)
    member_id = ForeignKey(Member, default=None, null=False, on_delete=OnDelete.restrict)
    purpose = Text(default=None, null=False)
    wording = Text(default=None, null=False)
    source = Text(default=None, null=False)
    staff_id = ForeignKey(Staff, default=None, null=True, on_delete=OnDelete.restrict)
    store_id = ForeignKey(Store, default=None, null=True, on_delete=OnDelete.restrict)
    email = Text(default=None, null=False)
    asked_at = Timestamptz(null=False)
    token_hash = Bytea(default=None, null=True, unique=True)
    mailed_at = Timestamptz(default=None, null=True)
    confirmed_at = Timestamptz(default=None, null=True)
