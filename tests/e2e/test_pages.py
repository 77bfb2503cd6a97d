"""The pages as people use them."""

from datetime import date

import pytest
from playwright.async_api import Page, expect

from segmentation.rfm import score_members
from stores.staff import hire
from stores.tills import enrol_till
from tests import shop

pytestmark = pytest.mark.e2e


async def test_a_cashier_registers_a_member_sells_and_finds_them_again(served: str, page: Page) -> None:
    await shop.open_shop()
    credential = await enrol_till("KL01", "T1")
    await page.goto(f"{served}/till")
    await expect(page).to_have_url(f"{served}/sign-in")
    await page.get_by_label("One-time code").fill(credential)
    await page.get_by_role("button", name="Use as a till").click()
    await expect(page).to_have_url(f"{served}/till")

    await page.get_by_label("Phone, card or name").fill("012-345 6789")
    await page.keyboard.press("Enter")
    await page.locator("#register").get_by_label("Name").fill("Aisyah")
    await page.keyboard.press("Enter")
    await expect(page.locator("#member strong")).to_have_text("Aisyah")

    for _ in range(2):
        await page.get_by_label("SKU").fill("CUP")
        await page.keyboard.press("Enter")
    await expect(page.locator("#quote")).to_contain_text("Earns 20 points")
    await page.get_by_role("button", name="Checkout").click()
    await expect(page.get_by_role("status")).to_contain_text("20 points earned, 20 in all")

    await page.get_by_label("Phone, card or name").fill("6789")
    await page.keyboard.press("Enter")
    await expect(page.locator("#member")).to_contain_text("20")


async def test_what_goes_wrong_at_the_till_is_said_and_the_basket_stays(served: str, page: Page) -> None:
    await shop.open_shop()
    await page.goto(f"{served}/sign-in")
    await page.get_by_label("One-time code").fill("till_wrong")
    await page.get_by_role("button", name="Use as a till").click()
    await expect(page.get_by_role("alert").last).to_contain_text("wrong")
    await page.get_by_label("One-time code").fill(await enrol_till("KL01", "T1"))
    await page.get_by_role("button", name="Use as a till").click()
    await page.get_by_label("SKU").fill("CUP")
    await page.keyboard.press("Enter")
    await expect(page.locator("#lines tr")).to_have_count(1)
    await page.get_by_label("SKU").fill("NOPE")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("status")).to_contain_text("NOPE")
    await page.get_by_label("Voucher").fill("AAAA-AAAA-AAAA")
    await page.keyboard.press("Tab")
    await expect(page.locator("#quote")).to_contain_text("there is no such voucher")
    await page.get_by_role("button", name="Checkout").click()
    await expect(page.get_by_role("status")).to_contain_text("refused")
    await expect(page.locator("#lines tr")).to_have_count(1)


async def test_headquarters_reads_the_figures_and_the_grid(served: str, page: Page) -> None:
    await shop.open_shop()
    for place in range(6):
        await shop.sell(await shop.join(f"Member {place}"), ("CUP", 1 + place, 1000))
    await score_members(date(2026, 4, 1))
    await hire(email="hq@shop.example", name="HQ", role="analyst", password="correct horse")
    await page.goto(served)
    await page.get_by_label("E-mail").fill("hq@shop.example")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.locator(".figures")).to_contain_text("MYR 210")
    await page.get_by_role("link", name="Segments").click()
    await page.locator(".grid a").first.click()
    await expect(page.locator("tbody tr").first).to_contain_text("Member")
    await page.goto(f"{served}/docs")
    await expect(page.get_by_text("/v1/checkouts/quote")).to_be_visible()
    await page.goto(served)
    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(f"{served}/sign-in")
