"""One-to-one content: templates per language, rendered safely with a member's own data."""

from collections.abc import Mapping
from typing import Final

import msgspec
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from campaigns.errors import TemplateBroken

# Sandboxed, because marketers write templates and members choose their names. Strict, because a gap in a letter is worse
# than an error in the preview. Plain text: nothing to escape.
_environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False)


class Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message in one language. Both parts are templates over `PLACEHOLDERS`."""

    subject: str
    body: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A rendered message."""

    subject: str
    body: str


PLACEHOLDERS: Final = {
    "name": "Aisyah",
    "points": 240,
    "voucher": "K7QM-2X9D-RTWC",
    "offer": "+200",
    "expires": "2026-03-31",
    "suggestions": ["Tea"],
    "chain": "Kedai",
}


def render(content: Content, data: Mapping[str, object], *, language: str) -> Message:
    """Fill the placeholders. Raises `TemplateBroken` naming the language."""
    try:
        subject = _environment.from_string(content.subject).render(data)
        body = _environment.from_string(content.body).render(data)
    except TemplateError as error:
        raise TemplateBroken(language=language, why=str(error)) from None
    # A line break in a subject would start a header of its own.
    return Message(subject=" ".join(subject.split()), body=body)


def check(contents: Mapping[str, Content]) -> None:
    """Raises `TemplateBroken` for a template that does not render with sample data."""
    for language, content in contents.items():
        render(content, PLACEHOLDERS, language=language)


DEFAULT_CONTENT: Final = {
    "en": Content(
        subject="{{ name }}, {{ offer }} for your next visit",
        body="Dear {{ name }},\n\nShow {{ voucher }} at any {{ chain }} till until {{ expires }}: {{ offer }}.\n"
        "You have {{ points }} points.\n"
        "{% if suggestions %}\nOthers who shop like you also chose: {{ suggestions | join(', ') }}.\n{% endif %}",
    ),
    "ms": Content(
        subject="{{ name }}, {{ offer }} untuk lawatan anda yang seterusnya",
        body="{{ name }} yang dihormati,\n\nTunjukkan {{ voucher }} di mana-mana kaunter {{ chain }} sebelum {{ expires }}: "
        "{{ offer }}.\nAnda mempunyai {{ points }} mata.\n"
        "{% if suggestions %}\nPelanggan seperti anda turut memilih: {{ suggestions | join(', ') }}.\n{% endif %}",
    ),
    "zh-Hans": Content(
        subject="{{ name }}，下次光临可享 {{ offer }}",
        body="{{ name }}，您好：\n\n请在 {{ expires }} 之前于任何 {{ chain }} 门店出示 {{ voucher }}：{{ offer }}。\n"
        "您现有 {{ points }} 积分。\n"
        "{% if suggestions %}\n与您喜好相近的顾客还选购了：{{ suggestions | join('、') }}。\n{% endif %}",
    ),
    "zh-Hant": Content(
        subject="{{ name }}，下次光臨可享 {{ offer }}",
        body="{{ name }}，您好：\n\n請於 {{ expires }} 之前在任何 {{ chain }} 門市出示 {{ voucher }}：{{ offer }}。\n"
        "您現有 {{ points }} 點積分。\n"
        "{% if suggestions %}\n與您喜好相近的顧客還選購了：{{ suggestions | join('、') }}。\n{% endif %}",
    ),
}
