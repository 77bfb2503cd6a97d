"""What campaigns/ refuses."""

from errors import DomainError, NotFound


class UnknownCampaign(NotFound):
    def __init__(self, *, campaign_id: int) -> None:
        super().__init__(kind="campaign", name=campaign_id)


class WrongState(DomainError):
    """The campaign cannot do this in the state it is in."""

    def __init__(self, *, campaign_id: int, state: str, wanted: str) -> None:
        super().__init__(
            f"Campaign {campaign_id} is {state}; only a {wanted} one can do this.", campaign=campaign_id, state=state
        )


class DispatchRunning(DomainError):
    """Another process is sending this campaign."""

    def __init__(self, *, campaign_id: int) -> None:
        super().__init__(f"Campaign {campaign_id} is being sent already.", campaign_id=campaign_id)


class EmptyAudience(DomainError):
    """Nobody would receive anything."""

    def __init__(self, *, segment: str) -> None:
        super().__init__(f"Segment {segment!r} has no members in the newest RFM run.", segment=segment)


class TemplateBroken(DomainError):
    """The content does not render."""

    status = 422

    def __init__(self, *, language: str, why: str) -> None:
        super().__init__(f"content.{language}: {why}", field=f"content.{language}")


__all__ = ["DispatchRunning", "EmptyAudience", "TemplateBroken", "UnknownCampaign", "WrongState"]
