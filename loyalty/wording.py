"""What the till says, in the cashier's language: why points were given, and why a voucher was not taken.

A reason is a key and facts, so that the ledger keeps it for good and every reader has it in their own words.
"""

from decimal import Decimal
from typing import Any, Final, Literal

import msgspec

Language = Literal["en", "ms", "zh-Hans", "zh-Hant"]


class Reason(msgspec.Struct, frozen=True):
    """Something to say, and what it is about."""

    key: str
    facts: dict[str, Any] = {}

    def text(self, language: Language = "en") -> str:
        """In words."""
        return TEXTS[self.key][language].format_map(self.facts)


def joined(reasons: list[Reason], language: Language = "en") -> str:
    """Several reasons as one phrase."""
    return _COMMA[language].join(reason.text(language) for reason in reasons)


def times(milli: int) -> str:
    """`1.5` for 1500 thousandths."""
    return f"{Decimal(milli).scaleb(-3).normalize():f}"


_COMMA: Final[dict[Language, str]] = {"en": ", ", "ms": ", ", "zh-Hans": "，", "zh-Hant": "，"}

TEXTS: Final[dict[str, dict[Language, str]]] = {
    "plain": {"en": "{text}", "ms": "{text}", "zh-Hans": "{text}", "zh-Hant": "{text}"},
    # why points were given
    "rate": {
        "en": "{points} per {per} on {amount}",
        "ms": "{points} bagi setiap {per} atas {amount}",
        "zh-Hans": "{amount} 按每 {per} 得 {points} 分",
        "zh-Hant": "{amount} 按每 {per} 得 {points} 點",
    },
    "per_item": {
        "en": "{points} for each of {items} items",
        "ms": "{points} bagi setiap satu daripada {items} barang",
        "zh-Hans": "{items} 件商品，每件 {points} 分",
        "zh-Hant": "{items} 件商品，每件 {points} 點",
    },
    "tier": {
        "en": "{tier} earns ×{times}",
        "ms": "{tier} mendapat ×{times}",
        "zh-Hans": "{tier} 会员 {times} 倍积分",
        "zh-Hant": "{tier} 會員 {times} 倍點數",
    },
    "times": {"en": "×{times}", "ms": "×{times}", "zh-Hans": "{times} 倍", "zh-Hant": "{times} 倍"},
    "plus": {"en": "+{points}", "ms": "+{points}", "zh-Hans": "加 {points} 分", "zh-Hant": "加 {points} 點"},
    "capped": {
        "en": "no more than {points} are left of the rule's limit",
        "ms": "had peraturan ini tinggal {points} sahaja",
        "zh-Hans": "此规则的上限只剩 {points} 分",
        "zh-Hant": "此規則的上限只剩 {points} 點",
    },
    "day_max": {
        "en": "a member earns at most {points} more today",
        "ms": "ahli boleh mendapat {points} lagi sahaja hari ini",
        "zh-Hans": "会员今天最多还能得 {points} 分",
        "zh-Hant": "會員今天最多還能得 {points} 點",
    },
    "voucher_bonus": {"en": "bonus voucher", "ms": "baucar bonus", "zh-Hans": "积分奖励券", "zh-Hant": "紅利點數券"},
    # why a voucher was not taken
    "voucher_refused": {
        "en": "Voucher {code} is refused: {reason}.",
        "ms": "Baucar {code} ditolak: {reason}.",
        "zh-Hans": "优惠券 {code} 不能使用：{reason}。",
        "zh-Hant": "優惠券 {code} 不能使用：{reason}。",
    },
    "voucher_unknown": {
        "en": "there is no such voucher",
        "ms": "tiada baucar sedemikian",
        "zh-Hans": "没有此优惠券",
        "zh-Hant": "沒有此優惠券",
    },
    "voucher_used": {"en": "it has been used", "ms": "sudah digunakan", "zh-Hans": "已经用过", "zh-Hant": "已經用過"},
    "voucher_used_by_member": {
        "en": "this member has used it as often as allowed ({uses})",
        "ms": "ahli ini sudah menggunakannya sebanyak yang dibenarkan ({uses})",
        "zh-Hans": "该会员已达使用次数上限（{uses} 次）",
        "zh-Hant": "該會員已達使用次數上限（{uses} 次）",
    },
    "voucher_expired": {
        "en": "it has expired",
        "ms": "sudah tamat tempoh",
        "zh-Hans": "已经过期",
        "zh-Hant": "已經過期",
    },
    "voucher_early": {
        "en": "it is not valid yet",
        "ms": "belum sah lagi",
        "zh-Hans": "尚未生效",
        "zh-Hant": "尚未生效",
    },
    "voucher_cancelled": {
        "en": "it has been cancelled",
        "ms": "telah dibatalkan",
        "zh-Hans": "已被取消",
        "zh-Hant": "已被取消",
    },
    "voucher_of_another": {
        "en": "it belongs to another member",
        "ms": "milik ahli lain",
        "zh-Hans": "属于其他会员",
        "zh-Hant": "屬於其他會員",
    },
    "voucher_needs_member": {
        "en": "it needs a member's card",
        "ms": "memerlukan kad ahli",
        "zh-Hans": "需要会员卡",
        "zh-Hant": "需要會員卡",
    },
    "voucher_below_minimum": {
        "en": "the basket is below its minimum spend",
        "ms": "jumlah belian kurang daripada minimum",
        "zh-Hans": "未达最低消费",
        "zh-Hant": "未達最低消費",
    },
    "voucher_elsewhere": {
        "en": "it is not for this store",
        "ms": "bukan untuk kedai ini",
        "zh-Hans": "本店不适用",
        "zh-Hant": "本店不適用",
    },
    "voucher_other_goods": {
        "en": "none of the goods are what it is for",
        "ms": "tiada barang yang layak",
        "zh-Hans": "没有适用的商品",
        "zh-Hant": "沒有適用的商品",
    },
    "voucher_twice": {
        "en": "it stands twice in this basket",
        "ms": "dimasukkan dua kali",
        "zh-Hans": "重复输入",
        "zh-Hant": "重複輸入",
    },
    "voucher_alone": {
        "en": "it does not go with another voucher",
        "ms": "tidak boleh digabung dengan baucar lain",
        "zh-Hans": "不能与其他优惠券同用",
        "zh-Hant": "不能與其他優惠券併用",
    },
    "voucher_stacking": {
        "en": "only one voucher of its kind ({stacking}) is taken",
        "ms": "hanya satu baucar jenis ini ({stacking}) diterima",
        "zh-Hans": "同类优惠券（{stacking}）只能用一张",
        "zh-Hant": "同類優惠券（{stacking}）只能用一張",
    },
    "voucher_nothing_left": {
        "en": "nothing is left to take it off",
        "ms": "tiada baki untuk ditolak",
        "zh-Hans": "没有可抵扣的金额",
        "zh-Hant": "沒有可折抵的金額",
    },
}
