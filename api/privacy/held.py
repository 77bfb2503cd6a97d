"""Every table that holds something of a member, what of it goes into their export, and what becomes of it when they are erased.

A test walks the schema: a table that refers to members, directly or through others, and stands neither here nor in `NOT_OF_MEMBERS`
makes it fail.
"""

from typing import Final

import msgspec


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a table holds of members. `of` is the condition on its rows `t` that takes the members' ids as `$1`. `erase` is the
    statement that makes them say nothing of anybody; without one, `kept` says why nothing has to be done."""

    table: str
    of: str = "t.member_id = ANY($1)"
    erase: str = ""
    kept: str = ""


_TICKETS: Final = "(SELECT id FROM membership.ticket WHERE member_id = ANY($1))"
_ACCOUNTS: Final = "(SELECT id FROM loyalty.account WHERE member_id = ANY($1))"
_RECEIPTS: Final = "(SELECT id FROM stores.receipt WHERE member_id = ANY($1))"
_MERGES: Final = "(SELECT id FROM membership.merge WHERE survivor_id = ANY($1) OR loser_id = ANY($1))"
_NUMBERS: Final = "numbers, times and codes without a name: sales, points and what they owe have to stay what they were"

HELD: Final[tuple[Held, ...]] = (
    Held(
        table="membership.member",
        of="t.id = ANY($1)",
        erase="UPDATE membership.member SET name = '', name_search = '', phone = NULL, email = NULL, birth_year = NULL, "
        "birth_month = NULL, birth_day = NULL, gender = '', external_ref = NULL, tags = '{}', notes = '', custom = '{}', source = '{}', "
        "phone_shared = false, email_shared = false, merged_into = NULL, referral_code = membership.new_referral_code(), "
        "status = 'erased' WHERE id = ANY($1)",
    ),
    Held(table="membership.card", kept="the number alone, so that the card is refused with the reason"),
    Held(table="membership.consent", kept="the proof that what was sent was allowed; channel, wording and time"),
    Held(table="membership.consumption", kept=_NUMBERS),
    Held(table="membership.event", kept="kinds, times and numbers; no event says a name, a phone or a text"),
    Held(table="membership.opt_in", erase="DELETE FROM membership.opt_in WHERE member_id = ANY($1)"),
    Held(
        table="membership.duplicate_pair",
        of="t.one_id = ANY($1) OR t.other_id = ANY($1)",
        erase="DELETE FROM membership.duplicate_pair WHERE one_id = ANY($1) OR other_id = ANY($1)",
    ),
    Held(
        table="membership.merge",
        of="t.survivor_id = ANY($1) OR t.loser_id = ANY($1)",
        erase="UPDATE membership.merge SET reason = '', profile_before = NULL, profile_after = NULL "
        "WHERE survivor_id = ANY($1) OR loser_id = ANY($1)",
    ),
    Held(
        table="membership.merge_move",
        of=f"t.merge_id IN {_MERGES}",
        erase=f"UPDATE membership.merge_move SET before = NULL WHERE merge_id IN {_MERGES}",
    ),
    Held(
        table="membership.ticket",
        erase="UPDATE membership.ticket SET subject = '', comment = '' WHERE member_id = ANY($1)",
    ),
    Held(
        table="membership.ticket_note",
        of=f"t.ticket_id IN {_TICKETS}",
        erase=f"UPDATE membership.ticket_note SET text = '' WHERE ticket_id IN {_TICKETS}",
    ),
    Held(table="membership.task", erase="UPDATE membership.task SET title = '' WHERE member_id = ANY($1)"),
    Held(table="membership.contact", erase="UPDATE membership.contact SET note = '' WHERE member_id = ANY($1)"),
    Held(table="membership.advisor", erase="DELETE FROM membership.advisor WHERE member_id = ANY($1)"),
    Held(
        table="membership.import_change",
        erase="DELETE FROM membership.import_change WHERE member_id = ANY($1)",
    ),
    Held(
        table="membership.referral",
        of="t.referee_id = ANY($1) OR t.referrer_id = ANY($1)",
        erase="UPDATE membership.referral SET device = NULL WHERE referee_id = ANY($1)",
    ),
    Held(table="stores.receipt", kept=_NUMBERS),
    Held(table="stores.receipt_line", of=f"t.receipt_id IN {_RECEIPTS}", kept=_NUMBERS),
    Held(table="stores.payment", of=f"t.receipt_id IN {_RECEIPTS}", kept=_NUMBERS),
    Held(table="loyalty.account", kept=_NUMBERS),
    Held(table="loyalty.entry", of=f"t.account_id IN {_ACCOUNTS}", kept=_NUMBERS),
    Held(table="loyalty.lot", of=f"t.account_id IN {_ACCOUNTS}", kept=_NUMBERS),
    Held(
        table="loyalty.lot_use",
        of=f"t.lot_id IN (SELECT id FROM loyalty.lot WHERE account_id IN {_ACCOUNTS})",
        kept=_NUMBERS,
    ),
    Held(table="loyalty.hold", of=f"t.account_id IN {_ACCOUNTS}", kept=_NUMBERS),
    Held(
        table="loyalty.lot_hold",
        of=f"t.hold_id IN (SELECT id FROM loyalty.hold WHERE account_id IN {_ACCOUNTS})",
        kept=_NUMBERS,
    ),
    Held(
        table="loyalty.debt_move",
        of=f"t.entry_id IN (SELECT id FROM loyalty.entry WHERE account_id IN {_ACCOUNTS})",
        kept=_NUMBERS,
    ),
    Held(table="loyalty.standing", kept=_NUMBERS),
    Held(table="loyalty.qualifying", kept=_NUMBERS),
    Held(table="loyalty.rule_given", kept=_NUMBERS),
    Held(
        table="loyalty.household_member",
        erase="DELETE FROM loyalty.household_member WHERE member_id = ANY($1)",
    ),
    Held(table="loyalty.voucher", kept=_NUMBERS),
    Held(table="loyalty.voucher_use", kept=_NUMBERS),
    Held(table="segmentation.rfm_score", kept=_NUMBERS),
    Held(table="segmentation.cluster_member", kept=_NUMBERS),
    Held(
        table="campaigns.delivery",
        # A mail server's refusal quotes the address it refuses.
        erase="UPDATE campaigns.delivery SET reason = 'erased' WHERE member_id = ANY($1) AND status IN ('failed', 'ambiguous')",
    ),
    Held(table="api.delivery", erase="UPDATE api.delivery SET error = '' WHERE member_id = ANY($1)"),
    Held(table="api.profile_view", kept="who looked and when: what staff did, and no more of the member than the id"),
)

# Tables that only seem to refer to members, by the name of a column.
NOT_OF_MEMBERS: Final[dict[str, str]] = {}
