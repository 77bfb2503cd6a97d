"""Phones and e-mails in the one form they are stored and compared in."""

import re
import unicodedata

import phonenumbers

from errors import InvalidInput
from membership.errors import InvalidPhone


def normal_phone(phone: str, region: str) -> str:
    """E.164, with `region`'s country code where the number has none; full-width digits are folded."""
    try:
        parsed = phonenumbers.parse(unicodedata.normalize("NFKC", phone), region)
    except phonenumbers.NumberParseException:
        raise InvalidPhone(phone=phone, region=region) from None
    if not phonenumbers.is_possible_number(parsed):
        raise InvalidPhone(phone=phone, region=region)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)


def normal_email(email: str) -> str:
    """Trimmed and case-folded. Raises `InvalidInput` for what can be no address."""
    folded = unicodedata.normalize("NFKC", email).strip().lower()
    if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s.]+", folded) or len(folded) > 254:
        raise InvalidInput(field="email", why=f"{email!r} is no e-mail address")
    return folded
