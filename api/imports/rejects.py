"""The reject file: each row that was left out, with column and reason."""

from collections.abc import Sequence
from pathlib import Path

from api.exports import write_csv
from stores.batches import Reject
from stores.errors import FileRefused


def reject_path(source: Path) -> Path:
    """`receipts.csv` has `receipts.rejects.csv`, in the folder the command runs in."""
    name = source.name.removesuffix(".gz").removesuffix(".bz2")
    return Path.cwd() / f"{Path(name).stem}.rejects.csv"


def write_rejects(path: Path, rejects: Sequence[Reject]) -> None:
    """Write the rejects, by row; an earlier file is replaced, and removed when there is nothing to say."""
    try:
        if not rejects:
            path.unlink(missing_ok=True)
            return
        with path.open("w", newline="", encoding="utf-8") as file:
            ordered = sorted(rejects, key=_place)
            write_csv(file, ["row", "column", "reason"], ((each.row, each.column, each.reason) for each in ordered))
    except OSError as error:
        raise FileRefused(field="rejects", why=f"{path} cannot be written: {error.strerror}") from error


def _place(reject: Reject) -> tuple[int, str]:
    return (reject.row, reject.column)
