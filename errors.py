"""The root of every refusal.

Each domain names its refusals in its own `errors.py`, one class each, with the facts as keyword arguments. Only
`api/problems.py` turns them into HTTP, by the class name and `status`.
"""

from typing import ClassVar


class DomainError(Exception):
    """Something was refused for a reason that the caller can act on. Nothing has been changed."""

    status: ClassVar[int] = 409

    def __init__(self, message: str, **facts: object) -> None:
        super().__init__(message)
        self.facts = facts


class InvalidInput(DomainError):
    """A field's value cannot be used: which field, why, what to do."""

    status = 422

    def __init__(self, *, field: str, why: str) -> None:
        super().__init__(f"{field}: {why}", field=field)


class NotFound(DomainError):
    """Nothing goes by that name, or the caller may not see it: the two are not told apart."""

    status = 404

    def __init__(self, *, kind: str, name: object) -> None:
        super().__init__(f"There is no {kind} {name!r}.", kind=kind, name=str(name))


class Unreachable(DomainError):
    """A server that this needs does not answer."""

    status = 503

    def __init__(self, *, server: str, why: str) -> None:
        super().__init__(f"{server} cannot be reached: {why}", server=server)
