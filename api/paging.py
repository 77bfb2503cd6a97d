"""Pages of a list. A cursor names the last item seen by the values it is sorted by, so that rows which are added or removed
meanwhile neither repeat nor hide others."""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeVar

import msgspec
from litestar.params import QueryParameter

from api.errors import InvalidCursor

Item = TypeVar("Item")
Place = int | str
_Number = Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
LENGTH_MAX: Final = 1000

Limit = Annotated[int, QueryParameter(ge=1, le=200, description="At most this many items.")]
Cursor = Annotated[
    str | None,
    QueryParameter(
        description="`next` of the page before, as it is; nothing for the first page.", max_length=LENGTH_MAX
    ),
]


def page(found: Sequence[Item], limit: int, place: Callable[[Item], Sequence[Place]]) -> tuple[list[Item], str | None]:
    """The items of a page and the cursor of the next, out of one more item than `limit` where there is one."""
    items = list(found[:limit])
    return items, (_encoded(place(items[-1])) if len(found) > limit else None)


def number_at(cursor: str | None) -> int | None:
    """The number that a cursor holds; None for the first page. Raises `InvalidCursor`."""
    return None if cursor is None else _decoded(cursor, tuple[_Number])[0]


def numbers_at(cursor: str | None) -> tuple[int, int] | None:
    """The two numbers that a cursor holds; None for the first page. Raises `InvalidCursor`."""
    return None if cursor is None else _decoded(cursor, tuple[_Number, _Number])


def text_at(cursor: str | None) -> str | None:
    """The text that a cursor holds; None for the first page. Raises `InvalidCursor`."""
    return None if cursor is None else _decoded(cursor, tuple[str])[0]


def _encoded(place: Sequence[Place]) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(list(place))).rstrip(b"=").decode()


def _decoded(cursor: str, shape: type[Item]) -> Item:
    try:
        return msgspec.json.decode(
            base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True), type=shape
        )
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise InvalidCursor from None
