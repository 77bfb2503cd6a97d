"""What loyalty/ refuses."""

from errors import DomainError, InvalidInput, NotFound
from loyalty.wording import Language, Reason


class InsufficientPoints(DomainError):
    """The account cannot cover the cost, holds included."""

    def __init__(self, *, available: int, cost: int) -> None:
        super().__init__(f"{cost} points are needed and {available} are available.", available=available, cost=cost)


class UnknownHold(NotFound):
    def __init__(self, *, hold_id: int) -> None:
        super().__init__(kind="redemption", name=hold_id)


class HoldSettled(DomainError):
    """The hold was captured, voided or has expired; it cannot become anything else."""

    def __init__(self, *, hold_id: int, status: str) -> None:
        super().__init__(f"Redemption {hold_id} is {status} already.", hold=hold_id, hold_status=status)


class UnknownReward(NotFound):
    def __init__(self, *, code: str) -> None:
        super().__init__(kind="reward", name=code)


class UnknownTier(NotFound):
    def __init__(self, *, code: str) -> None:
        super().__init__(kind="tier", name=code)


class RewardRefused(DomainError):
    """The reward cannot be had by this member, here, or any more."""

    def __init__(self, *, code: str, reason: str) -> None:
        super().__init__(f"Reward {code} cannot be had: {reason}.", code=code, reason=reason)


class VoucherRefused(DomainError):
    """A voucher cannot be applied to this basket. Nothing was sold: quote again without it."""

    def __init__(self, *, code: str, why: Reason, language: Language = "en") -> None:
        reason = why.text(language)
        said = Reason("voucher_refused", {"code": code, "reason": reason}).text(language)
        super().__init__(said, code=code, reason=reason)
        self.why = why

    def said_in(self, language: Language) -> "VoucherRefused":
        """The same in the words of whoever asked."""
        return VoucherRefused(code=str(self.facts["code"]), why=self.why, language=language)


class RefundRefused(DomainError):
    """What a redemption gave has been used already."""

    def __init__(self, *, hold_id: int, voucher: str) -> None:
        super().__init__(f"Voucher {voucher} of redemption {hold_id} has been used.", hold=hold_id, voucher=voucher)


class AccountFrozen(DomainError):
    """Stored value that is frozen is neither paid with nor paid out."""

    def __init__(self, *, number: str) -> None:
        super().__init__(f"The stored value of card {number} is frozen.", number=number)


class InsufficientFunds(DomainError):
    """Stored value does not cover what is to be paid. Minor units."""

    def __init__(self, *, available: int, cost: int) -> None:
        super().__init__(f"{cost} are needed and {available} are stored.", available=available, cost=cost)


class TransferRefused(DomainError):
    """Points do not go from this member to that one, or not so many."""

    def __init__(self, *, reason: str, **facts: object) -> None:
        super().__init__(f"The points stay: {reason}.", reason=reason, **facts)


class ClaimRefused(DomainError):
    """A receipt that cannot be claimed, and why."""

    def __init__(self, *, reason: str, **facts: object) -> None:
        super().__init__(f"The receipt cannot be claimed: {reason}.", reason=reason, **facts)


class HouseholdRefused(DomainError):
    """Who may not share a pool with whom."""

    def __init__(self, *, reason: str, **facts: object) -> None:
        super().__init__(f"The household stays as it is: {reason}.", reason=reason, **facts)


class NothingToReturn(InvalidInput):
    """A return asks for more of a line than is left of it."""

    def __init__(self, *, line_no: int, left: int) -> None:
        super().__init__(field="lines.quantity", why=f"of line {line_no} only {left} can still be returned")
        self.facts |= {"line_no": line_no, "left": left}


class NotASale(DomainError):
    """Only a sale can be returned."""

    def __init__(self, *, receipt_id: int) -> None:
        super().__init__(f"Receipt {receipt_id} is no sale.", receipt=receipt_id)


class OpenHolds(DomainError):
    """Points are set aside at a till; who is merged now would lose the hold."""

    def __init__(self, *, number: str, points: int) -> None:
        super().__init__(
            f"{points} points of card {number} are on hold. Capture or void the redemption first.",
            number=number,
            points=points,
        )


class UnmergeRefused(DomainError):
    """Points or vouchers that came with the merge were spent since: nobody can say by whom."""

    def __init__(self, *, points_spent: int, vouchers_used: list[str]) -> None:
        vouchers = f" and the vouchers {', '.join(vouchers_used)}" if vouchers_used else ""
        super().__init__(
            f"{points_spent} of the points that came with the merge{vouchers} were used since, which cannot be undone.",
            points_spent=points_spent,
            vouchers_used=vouchers_used,
        )
