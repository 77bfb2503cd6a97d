"""The values of a chain's own fields: checked the same way whichever way they come in, and asked for by the same conditions."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Annotated, Any, Final, Literal

import msgspec

from errors import InvalidInput

Kind = Literal["text", "number", "date", "yes_no", "choice", "choices"]
FieldCode = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Value = str | float | bool | list[str] | None
Values = dict[str, Value]
TEXT_LENGTH_MAX: Final = 500
WORDS_FOR_YES: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}


class CustomField(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A field: what it is called in each language, what may stand in it, whether it has to be filled in and is searched."""

    code: FieldCode
    kind: Kind
    labels: dict[Literal["en", "zh-Hans", "zh-Hant", "ms"], Annotated[str, msgspec.Meta(max_length=100)]] = {}
    options: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=100)]], msgspec.Meta(max_length=200)
    ] = []
    required: bool = False
    searchable: bool = False
    place: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0


def checked(fields: Sequence[CustomField], given: Mapping[str, Value], *, present: Mapping[str, Value] = {}) -> Values:
    """`present` values with the `given` ones over them, null taking one away. Raises `InvalidInput` naming the field."""
    known = {field.code: field for field in fields}
    unknown = sorted(given.keys() - known.keys())
    if unknown:
        raise _refused(unknown[0], f"there is no such field; there are {', '.join(sorted(known)) or 'none'}")
    became = dict(present)
    for code, value in given.items():
        if value is None or value in ("", []):
            became.pop(code, None)
        else:
            became[code] = checked_value(known[code], value)
    missing = [field.code for field in fields if field.required and field.code not in became]
    if missing:
        raise _refused(missing[0], "is needed")
    return became


def checked_value(field: CustomField, value: Value) -> Value:
    """A value in the form it is kept. Raises `InvalidInput` saying what the field takes."""
    return _CHECKS[field.kind](field, value)


def from_text(field: CustomField, text: str) -> Value:
    """What stands in a cell of a file, or in a filter, as a value of the field. Raises `InvalidInput`."""
    text = text.strip()
    if field.kind == "number":
        try:
            number = float(text)
        except ValueError:
            raise _refused(field.code, f"{text!r} is no number") from None
        return checked_value(field, number)
    if field.kind == "yes_no":
        if text.casefold() not in WORDS_FOR_YES:
            raise _refused(field.code, f"{text!r} is neither yes nor no")
        return WORDS_FOR_YES[text.casefold()]
    if field.kind == "choices":
        return checked_value(field, [part.strip() for part in text.split(";") if part.strip()])
    return checked_value(field, text)


def _text(field: CustomField, value: Value) -> Value:
    if not isinstance(value, str) or len(value) > TEXT_LENGTH_MAX or "\0" in value:
        raise _refused(field.code, f"a text of at most {TEXT_LENGTH_MAX} characters is needed")
    return value.strip()


def _number(field: CustomField, value: Value) -> Value:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or abs(value) > 1e15:
        raise _refused(field.code, f"{value!r} is no number")
    return int(value) if float(value).is_integer() else value


def _date(field: CustomField, value: Value) -> Value:
    try:
        if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
            raise ValueError
        return date.fromisoformat(value).isoformat()
    except ValueError:
        raise _refused(field.code, f"{value!r} is no date such as 2026-05-31") from None


def _yes_no(field: CustomField, value: Value) -> Value:
    if not isinstance(value, bool):
        raise _refused(field.code, "true or false is needed")
    return value


def _choice(field: CustomField, value: Value) -> Value:
    if value not in field.options:
        raise _refused(field.code, f"{value!r} is none of {', '.join(field.options)}")
    return value


def _choices(field: CustomField, value: Value) -> Value:
    if not isinstance(value, list):
        raise _refused(field.code, f"a list of some of {', '.join(field.options)} is needed")
    for each in value:
        _choice(field, each)
    return [option for option in field.options if option in value]


_CHECKS: Final[dict[Kind, Callable[[CustomField, Value], Value]]] = {
    "text": _text,
    "number": _number,
    "date": _date,
    "yes_no": _yes_no,
    "choice": _choice,
    "choices": _choices,
}


class Condition(msgspec.Struct, frozen=True, kw_only=True):
    """SQL over `member.custom` that takes one parameter, in place of `{0}`, and the parameter."""

    sql: str
    argument: Any


_OPERATORS: Final[dict[Kind, tuple[str, ...]]] = {
    "text": ("=", "!="),
    "number": ("=", "!=", "<", "<=", ">", ">="),
    "date": ("=", "!=", "<", "<=", ">", ">="),
    "yes_no": ("=", "!="),
    "choice": ("=", "!="),
    "choices": ("=", "!="),
}


def condition(fields: Sequence[CustomField], text: str) -> Condition:
    """The condition that a text such as `shoe_size>=42` asks for. Who has no value fulfils none, but `!=`. Raises `InvalidInput`."""
    parts = re.fullmatch(r"([a-z][a-z0-9_]*)(=|!=|<=|>=|<|>)(.*)", text, re.DOTALL)
    field = next((field for field in fields if parts and field.code == parts[1]), None)
    if parts is None or field is None:
        raise InvalidInput(field="custom", why=f"{text!r} is no condition on a field, such as shoe_size>=42")
    operator = parts[2]
    if operator not in _OPERATORS[field.kind]:
        raise _refused(field.code, f"takes {' '.join(_OPERATORS[field.kind])}, not {operator}")
    value = from_text(field, parts[3])
    if operator in ("=", "!="):
        contained = msgspec.json.encode({field.code: value}).decode()
        return Condition(sql=f"{'NOT ' if operator == '!=' else ''}custom @> {{0}}::text::jsonb", argument=contained)
    kind = "numeric" if field.kind == "number" else "date"
    # The code is one of ours, of letters, digits and _ alone.
    return Condition(
        sql=f"custom ? '{field.code}' AND (custom->>'{field.code}')::{kind} {operator} {{0}}::text::{kind}",
        argument=str(value),
    )


def _refused(code: str, why: str) -> InvalidInput:
    return InvalidInput(field=f"custom.{code}", why=why)
