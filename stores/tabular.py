"""Reading tables of files (delimited text, Parquet, Excel) as a stream of Arrow batches in bounded memory.

Every value arrives as text with the number of its row, because only the reader of a column knows what is wrong with it.
A row is a record; the header is row 1.
"""

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pa_csv

from stores import sheets
from stores.batches import Reject, TextBatch
from stores.errors import FileRefused

BLOCK_BYTES = 4 << 20


def read(
    path: Path,
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
    delimiter: str = ",",
    names: Mapping[str, str] = {},
) -> Iterator[TextBatch]:
    """Stream `path` (delimited text, plain or .gz or .bz2; .parquet; .xlsx). `names` says what a column of the file is called here,
    nothing for one to pass over. Raises `FileRefused` before the first batch when the file as a whole is wrong."""
    header = check_file(path, required=required, optional=optional, delimiter=delimiter, names=names)
    here = [names.get(column, column) for column in header]
    for batch in sheets.read(path) if sheets.is_sheet(path) else _read_text(path, header, delimiter):
        columns = dict(zip(here, batch.columns.columns, strict=True))
        columns.pop("", None)
        yield TextBatch(batch.rows, pa.RecordBatch.from_pydict(columns), batch.rejects, batch.broken)


def _read_text(path: Path, header: list[str], delimiter: str) -> Iterator[TextBatch]:
    short: list[Reject] = []
    broken: list[dict[str, str | None]] = []

    def wrong_length(row: pa_csv.InvalidRow) -> str:
        why = f"has {row.actual_columns} values where the header has {row.expected_columns}"
        short.append(Reject(row.number or 0, "", why))
        broken.append(dict(zip(header, next(csv.reader([row.text], delimiter=delimiter), []), strict=False)))
        return "skip"

    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            reader = pa_csv.open_csv(
                stream,
                read_options=pa_csv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False, encoding="utf-8"),
                parse_options=pa_csv.ParseOptions(
                    delimiter=delimiter, newlines_in_values=True, invalid_row_handler=wrong_length
                ),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=True, null_values=[""]
                ),
            )
            row = 2
            for batch in reader:
                numbers = _numbered(row, batch.num_rows, [reject.row for reject in short])
                yield TextBatch(numbers, batch, list(short), list(broken))
                row = int(max([row - 1, *numbers[-1:], *(reject.row for reject in short)])) + 1
                short.clear()
                broken.clear()
    except (pa.ArrowInvalid, OSError) as error:
        raise FileRefused(field="file", why=f"{path.name} cannot be read: {error}") from None


def check_file(
    path: Path,
    *,
    required: Sequence[str],
    optional: Sequence[str] = (),
    delimiter: str = ",",
    names: Mapping[str, str] = {},
) -> list[str]:
    """The header of `path`, as it stands there. Raises `FileRefused` when the file as a whole is wrong."""
    header = sheets.header(path) if sheets.is_sheet(path) else _header(path, delimiter)
    absent = sorted(set(names) - set(header))
    if absent:
        raise FileRefused(field="file", why=f"the header lacks {', '.join(absent)}; it has {', '.join(header)}")
    named = [names.get(column, column) for column in header]
    _check_header([column for column in named if column], required, optional, delimiter)
    return header


def _numbered(start: int, count: int, left_out: list[int]) -> npt.NDArray[np.int64]:
    """Row numbers of the `count` rows from `start` on that are not among `left_out`."""
    numbers = np.arange(start, start + count + len(left_out))
    return numbers[~np.isin(numbers, left_out)][:count]


def _header(path: Path, delimiter: str) -> list[str]:
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            first = bytes(stream.read(1 << 16)).split(b"\n", 1)[0].decode("utf-8-sig").strip("\r")
    except FileNotFoundError:
        raise FileRefused(field="file", why=f"{path} does not exist") from None
    except UnicodeDecodeError:
        raise FileRefused(field="file", why=f"{path.name} is not UTF-8 text") from None
    except (OSError, pa.ArrowInvalid) as error:
        raise FileRefused(field="file", why=f"{path.name} cannot be read: {error}") from None
    if not first.strip():
        raise FileRefused(field="file", why=f"{path.name} is empty")
    return next(csv.reader([first], delimiter=delimiter))


def _check_header(header: list[str], required: Sequence[str], optional: Sequence[str], delimiter: str) -> None:
    if len(header) == 1 and len(required) > 1:
        for other, name in ((";", "';'"), ("\t", "tabs"), ("|", "'|'"), (",", "','")):
            if other != delimiter and other in header[0]:
                raise FileRefused(
                    field="file",
                    why=f"the columns are separated by {name}, not {delimiter!r}; say --delimiter {other!r}",
                )
    missing = [name for name in required if name not in header]
    if missing:
        raise FileRefused(field="file", why=f"the header lacks {', '.join(missing)}; it has {', '.join(header)}")
    unknown = [name for name in header if name not in (*required, *optional)]
    if unknown:
        raise FileRefused(
            field="file",
            why=f"unknown column {', '.join(map(repr, unknown))}; known are {', '.join((*required, *optional))}",
        )
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise FileRefused(field="file", why=f"column {', '.join(sorted(twice))} stands twice in the header")
