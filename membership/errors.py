"""What membership/ refuses."""

from errors import DomainError, InvalidInput, NotFound


class UnknownMember(NotFound):
    """No member goes by this card number."""

    def __init__(self, *, number: str) -> None:
        super().__init__(kind="member with card", name=number)


class CardReplaced(DomainError):
    """The card was reported lost and replaced; the member's new one works."""

    status = 410

    def __init__(self, *, number: str) -> None:
        super().__init__(
            f"Card {number} has been replaced and is no longer valid. Look the member up by phone.", number=number
        )


class InvalidCard(InvalidInput):
    """Not a card number at all: wrong length, prefix or check digit."""

    def __init__(self, *, number: str, why: str) -> None:
        super().__init__(field="member", why=f"{number!r} {why}")
        self.facts["number"] = number


class InvalidPhone(InvalidInput):
    def __init__(self, *, phone: str, region: str) -> None:
        super().__init__(
            field="phone",
            why=f"{phone!r} is no phone number; write it as dialled in {region}, or with + and the country code",
        )


class MemberExists(DomainError):
    """Phone, e-mail or reference already belong to a member."""

    def __init__(self, *, field: str, candidates: list[dict[str, str]]) -> None:
        super().__init__(f"This {field} already belongs to a member.", field=field, candidates=candidates)


class PossibleDuplicate(DomainError):
    """Somebody looks like members there are; who has looked at them can say that it is another person."""

    def __init__(self, *, candidates: list[dict[str, object]]) -> None:
        super().__init__(
            "This may be a member already. Look at the candidates; if it is another person, send it again with an override and "
            "its reason.",
            candidates=candidates,
        )


class MemberErased(DomainError):
    """The member asked to be forgotten; the card opens nothing any more."""

    status = 410

    def __init__(self, *, number: str) -> None:
        super().__init__(f"The member with card {number} has been erased. They may register anew.", number=number)


class SameMember(DomainError):
    """Both cards lead to one member."""

    def __init__(self) -> None:
        super().__init__("These two are one member already.")


class NotMerged(DomainError):
    def __init__(self, *, number: str) -> None:
        super().__init__(f"The holder of card {number} has not been merged into this member.", number=number)


class TicketMoveRefused(DomainError):
    """A ticket does not go from one status to the other."""

    def __init__(self, *, status: str, wanted: str, possible: list[str]) -> None:
        super().__init__(
            f"A ticket that is {status} does not become {wanted}; it can be {', '.join(possible)}.",
            status=status,
            wanted=wanted,
            possible=possible,
        )


class AlreadyAdvised(DomainError):
    """Somebody else was quicker, or looks after the member for long."""

    def __init__(self, *, advisor: str) -> None:
        super().__init__(f"{advisor} looks after this member.", advisor=advisor)


class AdvisorFull(DomainError):
    def __init__(self, *, staff_id: int, most: int) -> None:
        super().__init__(f"An advisor has {most} members at most.", staff_id=staff_id, most=most)


class NotAdvised(DomainError):
    def __init__(self) -> None:
        super().__init__("Nobody looks after this member.")


class OptInRefused(DomainError):
    """A link that confirms nothing (any more)."""

    status = 410

    def __init__(self) -> None:
        super().__init__("This link has expired or was for another address. Ask for a new one where you shop.")


class FieldExists(DomainError):
    def __init__(self, *, code: str) -> None:
        super().__init__(f"There is a field {code!r} already.", code=code)


class FieldInUse(DomainError):
    """A field cannot become what members' values, or what was built on it, would not fit."""

    def __init__(self, *, code: str, members: int, used_by: list[str]) -> None:
        by = f", {', '.join(used_by)}" if used_by else ""
        super().__init__(
            f"The field {code!r} is used by {members} members{by}.", code=code, members=members, used_by=used_by
        )


class UnknownPair(NotFound):
    def __init__(self, *, pair_id: int) -> None:
        super().__init__(kind="open pair", name=pair_id)


__all__ = [
    "AdvisorFull",
    "AlreadyAdvised",
    "CardReplaced",
    "FieldExists",
    "FieldInUse",
    "InvalidCard",
    "InvalidPhone",
    "MemberErased",
    "MemberExists",
    "NotAdvised",
    "NotMerged",
    "PossibleDuplicate",
    "SameMember",
    "TicketMoveRefused",
    "UnknownMember",
    "UnknownPair",
]
