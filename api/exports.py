"""Files for spreadsheets."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from litestar import Response

# A cell that begins so is a formula to a spreadsheet, and some of what we export was typed in by strangers.
# https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_cell(value: Any) -> Any:
    """A cell as plain text to every spreadsheet. Numbers stay numbers, negative ones too."""
    if isinstance(value, int | float) or value is None:
        return value
    text = value if isinstance(value, str) else _text(value)
    text = text.replace("\0", "")
    return f"'{text}" if text.startswith(_FORMULA) else text


def plain_cell(text: str) -> str:
    """What `safe_cell` was given, or somebody's spreadsheet: without the apostrophe that made it text."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(_FORMULA) else text


def write_csv(file: Any, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows under their head, each cell made safe."""
    csv.writer(file).writerow(head)
    write_rows(file, rows)


def write_rows(file: Any, rows: Iterable[Sequence[Any]]) -> None:
    """Write rows, each cell made safe."""
    csv.writer(file).writerows([safe_cell(cell) for cell in row] for row in rows)


def csv_answer(name: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> Response[bytes]:
    """A download called `name`, which is ours and no caller's: nothing of a request ever names a file."""
    sink = io.StringIO(newline="")
    write_csv(sink, head, rows)
    return Response(
        sink.getvalue().encode("utf-8-sig"),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _text(value: Any) -> str:
    if isinstance(value, dict | list):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(msgspec.to_builtins(value))
