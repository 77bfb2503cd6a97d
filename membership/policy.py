"""What a chain has decided about its members: one row that the rest of the domain reads."""

from typing import Annotated, Literal

import msgspec

from stores.single_row import change_row, read_row

Action = Literal["block", "warn", "ignore"]
Assignment = Literal["least_busy", "round_robin", "none"]
Minutes = Annotated[int, msgspec.Meta(ge=1, le=525_600)]


class MemberPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """The rules. `same_phone` and its like: what a registration does that looks like a member there is. `sla_minutes_…`: how
    much opening time a ticket of a priority may take. Advisors: how many members each, and after how long without any contact
    a member goes back to the store's pool."""

    same_phone: Action
    same_email: Action
    same_birth_similar_name: Action
    near_phone_similar_name: Action
    double_opt_in: bool
    ticket_assignment: Assignment
    sla_minutes_low: int
    sla_minutes_normal: int
    sla_minutes_high: int
    sla_minutes_urgent: int
    advisor_members_max: int
    advisor_idle_days: int


class MemberPolicyChange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of the rules; what is left out stays."""

    same_phone: Action | msgspec.UnsetType = msgspec.UNSET
    same_email: Action | msgspec.UnsetType = msgspec.UNSET
    same_birth_similar_name: Action | msgspec.UnsetType = msgspec.UNSET
    near_phone_similar_name: Action | msgspec.UnsetType = msgspec.UNSET
    double_opt_in: bool | msgspec.UnsetType = msgspec.UNSET
    ticket_assignment: Assignment | msgspec.UnsetType = msgspec.UNSET
    sla_minutes_low: Minutes | msgspec.UnsetType = msgspec.UNSET
    sla_minutes_normal: Minutes | msgspec.UnsetType = msgspec.UNSET
    sla_minutes_high: Minutes | msgspec.UnsetType = msgspec.UNSET
    sla_minutes_urgent: Minutes | msgspec.UnsetType = msgspec.UNSET
    advisor_members_max: Annotated[int, msgspec.Meta(ge=1, le=100_000)] | msgspec.UnsetType = msgspec.UNSET
    advisor_idle_days: Annotated[int, msgspec.Meta(ge=1, le=3650)] | msgspec.UnsetType = msgspec.UNSET


async def member_policy(*, lock: bool = False) -> MemberPolicy:
    """The rules as they are; `lock` keeps others from changing them."""
    return await read_row("membership.policy", MemberPolicy, lock=lock)


async def change_member_policy(change: MemberPolicyChange) -> MemberPolicy:
    """Change the rules."""
    return await change_row("membership.policy", MemberPolicy, change)
