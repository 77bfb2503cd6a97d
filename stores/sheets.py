"""Parquet and Excel files as the text that a delimited file would hold, a few thousand rows at a time."""

import zipfile
from collections.abc import Iterator
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stores.batches import TextBatch
from stores.errors import FileRefused

ROWS: Final = 10_000
_Columns = tuple[npt.NDArray[np.int64], list[list[Any]]]


def is_sheet(path: Path) -> bool:
    """Whether a file is one of these, by its name."""
    return path.suffix.lower() in (".parquet", ".xlsx")


def header(path: Path) -> list[str]:
    """The names of the columns. Raises `FileRefused`."""
    if not path.exists():
        raise FileRefused(field="file", why=f"{path} does not exist")
    if path.suffix.lower() == ".parquet":
        return list(_parquet(path).schema_arrow.names)
    first = next(_rows(path), ())
    if not any(first):
        raise FileRefused(field="file", why=f"{path.name} is empty")
    return [str(cell or "") for cell in first]


def read(path: Path) -> Iterator[TextBatch]:
    """The rows. The header is row 1. Raises `FileRefused`."""
    names = header(path)
    parquet = path.suffix.lower() == ".parquet"
    for numbers, columns in _parquet_columns(path) if parquet else _excel_columns(path, len(names)):
        arrays = [pa.array([_text(value) for value in column], pa.string()) for column in columns]
        yield TextBatch(numbers, pa.RecordBatch.from_arrays(arrays, names), [])


def _parquet(path: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise FileRefused(field="file", why=f"{path.name} cannot be read: {error}") from None


def _parquet_columns(path: Path) -> Iterator[_Columns]:
    row = 2
    try:
        for batch in _parquet(path).iter_batches(batch_size=ROWS):
            yield np.arange(row, row + batch.num_rows), [column.to_pylist() for column in batch.columns]
            row += batch.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise FileRefused(field="file", why=f"{path.name} cannot be read: {error}") from None


def _excel_columns(path: Path, width: int) -> Iterator[_Columns]:
    rows = ((number, row) for number, row in enumerate(_rows(path), start=1) if any(cell is not None for cell in row))
    next(rows)
    while chunk := list(islice(rows, ROWS)):
        padded = [(*row[:width], *[None] * (width - len(row))) for _, row in chunk]
        yield np.array([number for number, _ in chunk]), [list(column) for column in zip(*padded, strict=True)]


def _rows(path: Path) -> Iterator[tuple[Any, ...]]:
    """The first sheet, row by row: the file is never whole in memory."""
    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
        try:
            yield from book.worksheets[0].iter_rows(values_only=True)
        finally:
            book.close()
    except (InvalidFileException, zipfile.BadZipFile, KeyError, OSError) as error:
        raise FileRefused(field="file", why=f"{path.name} cannot be read: {error}") from None


def _text(value: Any) -> str | None:
    """A cell as somebody would have typed it: 60123456789.0 is a whole number, and midnight is a date."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        at_midnight = (value.hour, value.minute, value.second, value.microsecond) == (
            0,
            0,
            0,
            0,
        ) and value.tzinfo is None
        return value.date().isoformat() if at_midnight else value.isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
