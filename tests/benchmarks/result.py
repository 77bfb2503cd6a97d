"""What a benchmark says: a figure, its reference, their ratio and the limit it is held to."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """One line of the table. `value` and `reference` share a unit; without a reference the value itself is limited."""

    what: str
    value: float
    reference: float | None
    unit: str
    limit: float
    at_most: bool

    @property
    def figure(self) -> float:
        return self.value if self.reference is None else self.value / self.reference

    @property
    def holds(self) -> bool:
        return self.figure <= self.limit if self.at_most else self.figure >= self.limit


def as_table(results: list[Result]) -> str:
    """A Markdown table, as docs/benchmarks.md shows it."""
    lines = ["| What | Ours | Reference | Figure | Limit | |", "|---|---|---|---|---|---|"]
    for result in results:
        reference = "–" if result.reference is None else f"{result.reference:,.2f} {result.unit}"
        figure = f"{result.value:,.2f} {result.unit}" if result.reference is None else f"{result.figure:.2f} ×"
        bound = f"{'≤' if result.at_most else '≥'} {result.limit:g}{'' if result.reference is None else ' ×'}"
        lines.append(
            f"| {result.what} | {result.value:,.2f} {result.unit} | {reference} | {figure} | {bound} | "
            f"{'holds' if result.holds else 'MISSED'} |"
        )
    return "\n".join(lines)
