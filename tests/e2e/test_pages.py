"""The pages as people use them."""

from datetime import UTC, date, datetime

import pyotp
import pytest
from playwright.async_api import Page, expect

from segmentation.rfm import score_members
from stores.shifts import set_pin
from stores.staff import hire
from stores.tills import enrol_till, offer_enrolment
from tests import shop
from tests.api.conftest import give_factor
from tests.api.test_sign_in import mailed_token

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
    staff_id = await hire(email="hq@shop.example", name="HQ", role="analyst", password="correct horse")
    code = (await give_factor(staff_id, "hq@shop.example"))[0]
    await page.goto(served)
    await page.get_by_label("E-mail").fill("hq@shop.example")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_text("Without the app").click()
    await page.get_by_label("Recovery code").fill(code)
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


async def test_headquarters_sets_up_a_second_factor_and_signs_in_with_it(served: str, page: Page) -> None:
    await shop.open_shop()
    await hire(email="ana@shop.example", name="Ana", role="administrator", password="correct horse")
    await page.goto(f"{served}/sign-in")
    await page.get_by_label("E-mail").fill("ana@shop.example")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{served}/account")
    await expect(page.get_by_role("alert").first).to_contain_text("set up a second factor")
    await page.get_by_role("button", name="Set up").click()
    await expect(page.locator("#factor-qr img")).to_be_visible()
    assert await page.locator("#factor-qr img").evaluate("image => image.naturalWidth") > 100
    secret = await page.locator("#factor-secret").inner_text()
    await page.get_by_label("Code").fill(pyotp.TOTP(secret).now())
    await page.get_by_role("button", name="Confirm").click()
    codes = page.locator("#factor-codes li")
    await expect(codes).to_have_count(10)
    code = await codes.first.inner_text()
    await page.get_by_role("link", name="Go on").click()
    await expect(page).to_have_url(f"{served}/")
    await page.goto(f"{served}/operation")
    await expect(page.get_by_role("cell", name="second_factor.confirmed")).to_be_visible()

    await page.get_by_role("button", name="Sign out").click()
    await expect(page).to_have_url(f"{served}/sign-in")
    await page.get_by_label("E-mail").fill("ana@shop.example")
    await page.get_by_label("Password").fill("correct horse")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_text("Without the app").click()
    await page.get_by_label("Recovery code").fill(code)
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{served}/")


async def test_a_forgotten_password_is_chosen_anew_by_the_mailed_link(served: str, page: Page) -> None:
    await shop.open_shop()
    await hire(email="siti@shop.example", name="Siti", role="cashier", password="correct horse", stores=["KL01"])
    await page.goto(f"{served}/sign-in")
    await page.get_by_role("link", name="Forgotten the password?").click()
    await page.get_by_label("E-mail").fill("siti@shop.example")
    await page.get_by_role("button", name="Send me a link").click()
    await expect(page.get_by_role("status")).to_contain_text("on its way")
    token = await mailed_token("siti@shop.example")
    await page.goto("about:blank")
    await page.goto(f"{served}/password#{token}")
    await page.get_by_label("New password").fill("another horse")
    await page.get_by_role("button", name="Use this password").click()
    await expect(page.get_by_role("status")).to_contain_text("You can sign in")
    assert token not in page.url
    await page.goto(f"{served}/sign-in")
    await page.get_by_label("E-mail").fill("siti@shop.example")
    await page.get_by_label("Password").fill("another horse")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page).to_have_url(f"{served}/till")
    await page.get_by_role("link", name="Account").click()
    await page.get_by_label("PIN, 6 to 12 digits").fill("480215")
    await page.get_by_role("button", name="Choose").click()
    await expect(page.get_by_text("Chosen.")).to_be_visible()


async def test_a_cashier_opens_and_ends_their_shift_at_the_till(served: str, page: Page) -> None:
    await shop.open_shop()
    staff_id = await hire(
        email="siti@shop.example", name="Siti", role="cashier", password="correct horse", stores=["KL01"]
    )
    await set_pin(staff_id, "480215")
    await page.goto(f"{served}/sign-in")
    await page.get_by_label("One-time code").fill((await offer_enrolment("KL01", "T1", at=datetime.now(UTC))).code)
    await page.get_by_role("button", name="Use as a till").click()
    await page.get_by_text("Begin a shift").click()
    await page.get_by_label("Cashier’s e-mail").fill("siti@shop.example")
    await page.get_by_label("PIN").fill("999999")
    await page.get_by_role("button", name="Open shift").click()
    await expect(page.get_by_role("status")).to_contain_text("wrong")
    await page.get_by_label("PIN").fill("480215")
    await page.get_by_role("button", name="Open shift").click()
    await expect(page.get_by_text("Siti is at this till.")).to_be_visible()
    await page.get_by_role("button", name="End shift").click()
    await expect(page.get_by_text("Begin a shift")).to_be_visible()
