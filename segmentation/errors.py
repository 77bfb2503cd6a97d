"""What segmentation/ refuses."""

from errors import DomainError


class TooLittleData(DomainError):
    """A model cannot be computed on what there is."""

    def __init__(self, *, what: str, have: int, need: int) -> None:
        super().__init__(f"{what}: {have} are too few, {need} are needed.", have=have, need=need)


class NoRun(DomainError):
    """Nothing of the kind has been computed yet."""

    status = 404

    def __init__(self, *, kind: str) -> None:
        super().__init__(
            f"There is no {kind} run yet: 'regulars segment {kind.replace('_', '-')}' makes one.", kind=kind
        )


__all__ = ["NoRun", "TooLittleData"]
