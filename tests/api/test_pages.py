"""The server-rendered pages: figures from the database, and each role's own."""

from datetime import date

import pytest

from campaigns.planning import Draft, Expected, Offer, draft
from segmentation.rfm import score_members
from tests import shop
from tests.api.conftest import Client, SignIn


async def test_without_a_sign_in_pages_lead_to_it(nobody: Client) -> None:
    for path in ("/", "/rfm", "/till"):
        answer = await nobody.get(path)
        assert (answer.status_code, answer.headers["location"]) == (302, "/sign-in")
    assert "till_code" in (await nobody.get("/sign-in")).text


async def test_the_start_page_shows_live_figures(sign_in: SignIn) -> None:
    analyst = await sign_in("analyst")
    assert "No receipts yet" in (await analyst.get("/")).text
    member = await shop.join()
    await shop.sell(member, ("TEA", 6, 255))
    plan = Draft(
        name="Spring & <b>more</b>",
        segment="Lost",
        offer=Offer(kind="bonus_points", value=1),
        expected=Expected(response=0.3, uplift=0.1),
        budget_points=1,
    )
    await draft(plan, point_value=1)
    page = (await analyst.get("/")).text
    assert "MYR 15.30" in page
    assert "100%" in page
    assert "Spring &amp; &lt;b&gt;more" in page  # names are text, never markup


async def test_a_store_manager_s_start_page_is_of_their_store(sign_in: SignIn) -> None:
    await shop.sell(None, ("TEA", 6, 255), store="KL01")
    await shop.sell(None, ("CUP", 9, 1000), store="JB02")
    page = (await (await sign_in("store_manager", ["KL01"])).get("/")).text
    assert "MYR 15.30" in page
    assert "MYR 90.00" not in page
    assert "Points outstanding" not in page


async def test_the_grid_names_segments_that_lead_to_their_members(sign_in: SignIn) -> None:
    marketer = await sign_in("marketer")
    assert "Nothing scored yet" in (await marketer.get("/rfm")).text
    for place in range(6):
        await shop.sell(await shop.join(f"Member {place}"), ("CUP", 1 + place, 1000))
    result = await score_members(date(2026, 4, 1))
    name = result.segments[0].name
    assert f'href="/rfm/{name.replace(" ", "%20")}"' in (await marketer.get("/rfm")).text
    assert "Member" in (await marketer.get(f"/rfm/{name}")).text
    assert (await marketer.get("/rfm/Nobody")).status_code == 302


@pytest.mark.parametrize(
    ("role", "stores", "path", "leads"), [("cashier", ["KL01"], "/", "/till"), ("analyst", None, "/till", "/")]
)
async def test_a_page_of_another_role_leads_to_one_s_own(
    sign_in: SignIn, role: str, stores: list[str] | None, path: str, leads: str
) -> None:
    answer = await (await sign_in(role, stores)).get(path)
    assert (answer.status_code, answer.headers["location"]) == (302, leads)


async def test_a_till_s_page_is_bound_to_it(till: Client) -> None:
    page = (await till.get("/till")).text
    assert 'value="KL01|T2"' in page
    assert page.count("<option") == 1
