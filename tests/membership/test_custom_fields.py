"""A chain's own fields."""

from typing import Any

import pytest

from errors import InvalidInput
from membership.custom_fields import (
    CustomFieldChange,
    change_field,
    custom_field,
    custom_fields,
    define_field,
    remove_field,
)
from membership.custom_values import CustomField, checked, condition, from_text
from membership.editing import MemberChange, change_member
from membership.errors import FieldExists, FieldInUse
from membership.profiles import members, profile
from membership.search import search
from tests import shop

SHOE = CustomField(code="shoe_size", kind="number")
CARE = CustomField(code="care", kind="choice", options=["dry skin", "oily skin"])
LIKES = CustomField(code="likes", kind="choices", options=["tea", "coffee", "cake"])
BABY = CustomField(code="baby_due", kind="date")
PLATE = CustomField(code="plate", kind="text", searchable=True)
PUSH = CustomField(code="push", kind="yes_no")
ALL = [SHOE, CARE, LIKES, BABY, PLATE, PUSH]

GOOD = {
    "shoe_size": 38.5,
    "care": "dry skin",
    "likes": ["cake", "tea"],
    "baby_due": "2026-05-31",
    "plate": "WXY 1234",
    "push": True,
}
BAD = [
    ("shoe_size", "38"),
    ("shoe_size", True),
    ("shoe_size", 1e300),
    ("care", "hair"),
    ("likes", "tea"),
    ("likes", ["tea", "beer"]),
    ("baby_due", "2026-02-30"),
    ("baby_due", "31.5.2026"),
    ("plate", 5),
    ("plate", "x" * 501),
    ("push", "yes"),
    ("nickname", "Ah Boy"),
]


@pytest.fixture(autouse=True)
async def _shop() -> None:
    await shop.open_shop()


async def defined() -> None:
    for field in ALL:
        await define_field(field)


async def test_values_are_kept_as_they_are_typed_and_shown_in_the_profile() -> None:
    await defined()
    number = await shop.join(custom=GOOD)
    assert (await profile(number)).custom == {**GOOD, "likes": ["tea", "cake"]}
    changed = await change_member(number, MemberChange(custom={"push": None, "shoe_size": 39}), at=shop.NOON)
    assert changed.custom == {
        **{k: v for k, v in GOOD.items() if k != "push"},
        "likes": ["tea", "cake"],
        "shoe_size": 39,
    }


@pytest.mark.parametrize(("code", "value"), BAD)
async def test_a_custom_field_is_validated_on_registration_and_change_alike(code: str, value: Any) -> None:
    await defined()
    with pytest.raises(InvalidInput) as registering:
        await shop.join(custom={code: value})
    number = await shop.join()
    with pytest.raises(InvalidInput) as changing:
        await change_member(number, MemberChange(custom={code: value}), at=shop.NOON)
    assert registering.value.facts["field"] == changing.value.facts["field"] == f"custom.{code}"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("shoe_size>=big", "no number"),
        ("care=hair", "none of"),
        ("care>dry skin", "takes = !="),
        ("baby_due<2026-02-30", "no date"),
        ("nickname=x", "no condition"),
        ("shoe_size", "no condition"),
        ("shoe_size=1'; DROP TABLE x", "no number"),
    ],
)
def test_a_segments_condition_on_a_field_is_validated_too(text: str, why: str) -> None:
    with pytest.raises(InvalidInput, match=why):
        condition(ALL, text)


async def test_members_are_picked_by_conditions_on_every_kind() -> None:
    await defined()
    number = await shop.join(custom=GOOD)
    other = await shop.join(custom={"shoe_size": 41, "likes": ["coffee"], "baby_due": "2026-07-01", "push": False})
    bare = await shop.join()

    async def picked(text: str) -> set[str]:
        return {each.number for each in await members(custom=condition(ALL, text))}

    assert await picked("shoe_size>=38.5") == {number, other}
    assert await picked("shoe_size<40") == {number}
    assert await picked("likes=tea") == {number}
    assert await picked("likes=tea;cake") == {number}
    assert await picked("care=dry skin") == {number}
    assert await picked("baby_due<=2026-06-01") == {number}
    assert await picked("push=no") == {other}
    assert await picked("plate=WXY 1234") == {number}
    assert await picked("care!=dry skin") == {other, bare}


async def test_a_searchable_field_is_searched_by_the_one_box() -> None:
    await define_field(PLATE)
    number = await shop.join(custom={"plate": "WXY 1234"})
    assert [found.number for found in await search("WXY 1234")] == [number]
    await change_field("plate", CustomFieldChange(searchable=False))
    assert await search("WXY 1234") == []


async def test_a_required_field_is_needed() -> None:
    await define_field(CustomField(code="ic", kind="text", required=True))
    with pytest.raises(InvalidInput, match=r"custom\.ic: is needed"):
        await shop.join()
    await shop.join(custom={"ic": "900531"})


async def test_changing_the_type_with_data_in_it_is_refused_with_the_count() -> None:
    await defined()
    for _ in range(3):
        await shop.join(custom={"shoe_size": 38})
    with pytest.raises(FieldInUse) as refused:
        await change_field("shoe_size", CustomFieldChange(kind="text"))
    assert refused.value.facts["members"] == 3
    assert (await custom_field("shoe_size")).kind == "number"
    assert (await change_field("push", CustomFieldChange(kind="text"))).kind == "text"


async def test_an_option_that_somebody_has_stays() -> None:
    await defined()
    await shop.join(custom={"care": "dry skin", "likes": ["tea"]})
    with pytest.raises(FieldInUse) as refused:
        await change_field("care", CustomFieldChange(options=["oily skin"]))
    assert refused.value.facts["members"] == 1
    with pytest.raises(FieldInUse):
        await change_field("likes", CustomFieldChange(options=["coffee"]))
    assert (await change_field("care", CustomFieldChange(options=["dry skin"]))).options == ["dry skin"]


async def test_deleting_a_field_lists_what_uses_it() -> None:
    await defined()
    number = await shop.join(custom={"shoe_size": 38, "push": True})
    with pytest.raises(FieldInUse) as refused:
        await remove_field("shoe_size", used_by=["import profile crm"])
    assert (refused.value.facts["members"], refused.value.facts["used_by"]) == (1, ["import profile crm"])
    with pytest.raises(FieldInUse):
        await remove_field("shoe_size")
    await remove_field("shoe_size", discard=True)
    assert (await profile(number)).custom == {"push": True}
    assert "shoe_size" not in {field.code for field in await custom_fields()}


async def test_a_field_that_makes_no_sense_is_refused() -> None:
    for field in (
        CustomField(code="a", kind="choice"),
        CustomField(code="b", kind="text", options=["x"]),
        CustomField(code="c", kind="choice", options=["x", "x"]),
        CustomField(code="d", kind="choices", options=["x;y"]),
    ):
        with pytest.raises(InvalidInput, match="options"):
            await define_field(field)
    await define_field(SHOE)
    with pytest.raises(FieldExists):
        await define_field(SHOE)


def test_cells_of_files_become_the_same_values() -> None:
    assert from_text(SHOE, " 38 ") == 38
    assert from_text(LIKES, "cake; tea") == ["tea", "cake"]
    assert from_text(PUSH, "Yes") is True
    assert checked(ALL, {"push": None}, present={"push": True}) == {}
