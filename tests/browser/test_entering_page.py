"""Signing in, in a browser: the way in, the limits, both themes, and a session that ends in the middle of a form."""

import pytest

from witness import axe, watched

WIDTHS = (390, 768, 1440)
NO_OVERFLOW = "document.documentElement.scrollWidth - window.innerWidth"


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_login_is_accessible_and_never_too_wide(browser, scene, theme):
    async with watched(browser, color_scheme=theme) as page:
        await page.goto(f"{scene.base}/login")
        assert await axe(page) == []
        for width in WIDTHS:
            await page.set_viewport_size({"width": width, "height": 800})
            assert await page.evaluate(NO_OVERFLOW) <= 0


async def test_who_signs_in_is_where_he_wanted_to_be(page, scene):
    await scene.enter(page, "owner", "/settings")
    assert "Your account" in await page.title()


async def test_a_wrong_password_says_so_and_keeps_the_address(page, scene):
    page.witness.expect("401")
    who = await scene.who("admin")
    await page.goto(f"{scene.base}/login")
    await page.get_by_label("Email").fill(who.email)
    await page.get_by_label("Password", exact=True).fill("not the password")
    await page.get_by_role("button", name="Sign in").click()
    await page.get_by_role("alert").wait_for()
    assert "wrong" in await page.get_by_role("alert").inner_text()
    assert await page.get_by_label("Email").input_value() == who.email
    assert await page.get_by_label("Password", exact=True).input_value() == ""
