"""What every reader of files gives: text, with the number of its row."""

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa


class Reject(msgspec.Struct, frozen=True):
    """Why a row was left out."""

    row: int
    column: str
    reason: str


class TextBatch(msgspec.Struct, frozen=True):
    """Rows of a file: their numbers, shape (n,), and their columns as text.

    `broken` holds what the rows of the wrong length do say, by column, so that it can be told what they belong to.
    """

    rows: npt.NDArray[np.int64]
    columns: pa.RecordBatch
    rejects: list[Reject]
    broken: list[dict[str, str | None]] = []
