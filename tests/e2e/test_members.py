"""Registering at the till somebody who looks like a member, and confirming an e-mail address."""

import pytest
from playwright.async_api import Page, expect

import database
from membership.consent import ConsentGiven
from membership.custom_fields import define_field
from membership.custom_values import CustomField
from membership.policy import MemberPolicyChange, change_member_policy
from stores.staff import hire
from stores.tills import enrol_till
from tests import shop
from tests.api.test_opt_in import mailed

pytestmark = pytest.mark.e2e


async def at_the_till(served: str, page: Page) -> None:
    await page.goto(f"{served}/sign-in")
    await page.get_by_label("One-time code").fill(await enrol_till("KL01", "T1"))
    await page.get_by_role("button", name="Use as a till").click()
    await expect(page).to_have_url(f"{served}/till")


async def test_a_newcomer_who_looks_like_a_member_is_chosen_or_said_to_be_another(served: str, page: Page) -> None:
    await shop.open_shop()
    await define_field(CustomField(code="ic", kind="text", required=True, labels={"en": "IC number"}))
    await shop.join("Muthusamy", phone="+60123456789", custom={"ic": "1"})
    await at_the_till(served, page)
    await page.get_by_label("Phone, card or name").fill("0123456780")
    await page.keyboard.press("Enter")
    form = page.locator("#register")
    await form.get_by_label("Name").fill("Muthusami")
    await form.get_by_label("IC number").fill("900531-10-1234")
    await form.get_by_role("button", name="Register").click()
    await expect(page.get_by_role("status")).to_contain_text("may be a member already")
    await expect(page.locator("#found button")).to_contain_text("Muthusamy")
    await form.get_by_label("It is another person").fill("His cousin")
    await form.get_by_role("button", name="Register").click()
    await expect(page.locator("#member strong")).to_have_text("Muthusami")
    await page.get_by_label("Phone, card or name").fill("muthusamy")
    await page.keyboard.press("Enter")
    await expect(page.locator("#member strong")).to_have_text("Muthusamy")


async def test_staff_sign_in_over_a_till_and_leave_it_a_till(served: str, page: Page) -> None:
    await shop.open_shop()
    password = "correct horse"
    await hire(email="mei@shop.example", name="Mei", role="store_manager", password=password, stores=["KL01"])
    await at_the_till(served, page)
    await expect(page.get_by_role("button", name="Sign out")).to_have_count(0)
    await page.get_by_role("link", name="Sign in").click()
    await page.get_by_label("E-mail").fill("mei@shop.example")
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("link", name="Account")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(f"{served}/sign-in")
    await page.goto(f"{served}/till")
    await expect(page.get_by_label("Phone, card or name")).to_be_visible()


async def test_a_member_confirms_their_address_by_the_link_in_the_letter(served: str, page: Page) -> None:
    await shop.open_shop()
    await change_member_policy(MemberPolicyChange(double_opt_in=True))
    await shop.join(email="aisyah@example.com", consents=[ConsentGiven(channel="email")])
    _, token = await mailed("aisyah@example.com")
    await page.goto(f"{served}/opt-in#{token}")
    assert not await database.value("SELECT count(*) FROM membership.consent"), (
        "opening the link is not pressing the button"
    )
    await page.get_by_role("button", name="OK").click()
    await expect(page.get_by_role("status")).to_contain_text("Terima kasih")
    assert await database.value("SELECT given FROM membership.consent") is True
