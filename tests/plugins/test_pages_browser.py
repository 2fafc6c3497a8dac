"""The pages in a browser, framed as Airflow frames them: no error, no access fault, light and dark, by keyboard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Make = Callable[..., Any]
PATHS = (
    "/models", "/models/detector/3", "/models/detector/3/promote", "/models/detector/rollback", "/datasets",
    f"/datasets/{'f' * 64}", "/compare?v=detector/1&v=detector/2", "/models/detector/99",
    "/upload", "/try", "/try/detector/3",
)  # fmt: skip


def test_every_page_is_without_errors_and_accessible_in_both_themes(open_tab: Make, server: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    for scheme in ("light", "dark"):
        tab, said = open_tab(color_scheme=scheme, viewport={"width": 1280, "height": 900})
        for path in PATHS:
            answer = tab.goto(f"{server}/boxwright{path}")
            assert tab.evaluate("document.documentElement.dataset.theme") == scheme
            found = Axe().run(tab).response["violations"]
            serious = [
                (one["id"], one["nodes"][0]["html"]) for one in found if one["impact"] in ("serious", "critical")
            ]
            assert not serious, (path, scheme, serious)
            # The browser itself calls a page that is not found an error.
            assert not said or answer.status == 404, (path, said)
            said.clear()


def test_the_theme_follows_airflows_choice_at_once(open_tab: Make, server: str) -> None:
    tab, _ = open_tab(color_scheme="light")
    tab.goto(f"{server}/frame?src=/boxwright/models")
    inner = tab.frame_locator("iframe").locator("html")
    assert inner.get_attribute("data-theme") == "light"
    tab.evaluate("localStorage.setItem('theme', 'dark')")
    tab.frame_locator("iframe").locator("html[data-theme=dark]").wait_for(state="attached")


def test_a_link_to_a_run_leaves_the_frame(open_tab: Make, server: str, registry: Any) -> None:
    registry._client.set_version_tag("detector", 3, "boxwright.run_url", f"{server}/dags/d/runs/run-3")
    tab, said = open_tab()
    tab.goto(f"{server}/frame?src=/boxwright/models/detector/3")
    tab.frame_locator("iframe").get_by_role("link", name="run-3", exact=True).click()
    tab.wait_for_url(f"{server}/dags/d/runs/run-3")
    assert tab.title() == "A run in Airflow" and not said


def test_a_promotion_by_keyboard_in_the_frame(open_tab: Make, server: str, registry: Any) -> None:
    tab, said = open_tab()
    tab.goto(f"{server}/frame?src=/boxwright/models/detector/3")
    inner = tab.frame_locator("iframe")
    inner.get_by_role("link", name="Promote to champion").press("Enter")
    button = inner.get_by_role("button", name="Make version 3 the champion")
    button.wait_for()
    inner.get_by_role("link", name="Skip to the content").focus()
    reached = ""
    for _ in range(20):
        tab.keyboard.press("Tab")
        reached = inner.locator(":focus").inner_text()
        if reached == "Make version 3 the champion":
            break
    assert reached == "Make version 3 the champion", "the button is not reached with Tab"
    tab.keyboard.press("Enter")
    inner.get_by_text("This version is the champion now").wait_for()
    assert registry.aliases("detector")["champion"] == 3
    assert not said


def test_two_versions_are_selected_and_compared(open_tab: Make, server: str) -> None:
    tab, said = open_tab()
    tab.goto(f"{server}/boxwright/models")
    tab.get_by_label("Select detector version 1").check()
    tab.get_by_label("Select detector version 3").check()
    tab.get_by_role("button", name="Compare selected").click()
    assert tab.get_by_role("heading", level=1).inner_text() == "Compare detector 3, detector 1"
    assert not said
