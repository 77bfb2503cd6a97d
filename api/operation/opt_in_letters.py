"""The letters that ask an address to confirm what was said at the till, in the member's language."""

from datetime import datetime
from typing import Final

import database
from api.operation.mail import post
from membership.opting_in import DAYS, letters_to_write
from settings import settings

_WORDS: Final = {
    "en": (
        "Please confirm: news from {chain} by e-mail",
        "{name},\n\nyou said that {chain} may write to you. Please confirm it within {days} days:\n\n{link}\n\n"
        "If it was not you, do nothing: nobody will write.\n",
    ),
    "ms": (
        "Sila sahkan: berita daripada {chain} melalui e-mel",
        "{name},\n\nanda telah bersetuju menerima e-mel daripada {chain}. Sila sahkan dalam tempoh {days} hari:\n\n{link}\n\n"
        "Jika bukan anda, abaikan sahaja: tiada e-mel akan dihantar.\n",
    ),
    "zh-Hans": (
        "请确认：接收 {chain} 的电子邮件",
        "{name}：\n\n您同意 {chain} 给您发送电子邮件。请在 {days} 天内确认：\n\n{link}\n\n"
        "如果不是您本人，请忽略本邮件，我们不会再写信给您。\n",
    ),
    "zh-Hant": (
        "請確認：接收 {chain} 的電子郵件",
        "{name}：\n\n您同意 {chain} 寄送電子郵件給您。請在 {days} 天內確認：\n\n{link}\n\n"
        "如果不是您本人，請忽略本郵件，我們不會再寫信給您。\n",
    ),
}


async def write_opt_in_letters(at: datetime) -> int:
    """Write every letter that is due into the outgoing mail; how many."""
    async with database.transaction():
        letters = await letters_to_write(at)
        chain = await database.value("SELECT name FROM stores.chain") if letters else ""
        for letter in letters:
            subject, body = _WORDS[letter.language]
            # Behind the #, where no server, proxy or log ever sees it.
            link = f"{settings().base_url.rstrip('/')}/opt-in#{letter.token}"
            words = {"name": letter.name, "chain": chain, "days": DAYS, "link": link}
            await post("opt_in", letter.email, subject.format_map(words), body.format_map(words), at=at)
    return len(letters)
