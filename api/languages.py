"""Which of the four languages a caller reads."""

from typing import Any

from litestar import Request

from api.operation.context import header
from loyalty.wording import Language


def spoken(request: Request[Any, Any, Any]) -> Language:
    """The best of Accept-Language (RFC 9110, 12.5.4); English where it names none of ours."""
    asked, wanted = header(request.scope, b"accept-language"), []
    for place, part in enumerate(asked.split(",") if asked else ()):
        name, _, quality = part.strip().partition(";q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            continue
        language = _ours(name.strip().lower())
        if language is not None and weight > 0:
            wanted.append((-weight, place, language))
    return min(wanted)[2] if wanted else "en"


def _ours(name: str) -> Language | None:
    if name in ("zh-hant", "zh-tw", "zh-hk", "zh-mo") or name.startswith("zh-hant-"):
        return "zh-Hant"
    primary = name.split("-", maxsplit=1)[0]
    return "zh-Hans" if primary == "zh" else "ms" if primary in ("ms", "id") else "en" if primary == "en" else None
