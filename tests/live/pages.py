"""A browser that is logged in to Airflow, and what every page has to stand up to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt
from axe_playwright_python.sync_playwright import Axe

from boxwright.stack.environment import Stack
from live.live_runs import log_in

SERIOUS = ("serious", "critical")
WIDTH, HEIGHT = 1280, 900
# Milliseconds until what a page is waited for is late.
WAIT = 120_000
_MOST_IN_FRAMES = 100
# Airflow's moving bar at the top of a page that loads something: without a GPU it takes an eighth of a core to draw.
_STILL = """{
  const still = new CSSStyleSheet();
  still.replaceSync('.chakra-progress__range { animation: none !important }');
  document.adoptedStyleSheets.push(still);
}"""
_FOCUSABLE = """() => [...document.querySelectorAll(
  'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]')]
  .filter((one) => !one.disabled && one.checkVisibility({visibilityProperty: true}) && !one.closest('[inert]'))
  .map((one, i) => { one.dataset.stop = i; return one.outerHTML.slice(0, 120); })"""
_SCROLL = """async () => {
  for (let y = 0; y < document.body.scrollHeight; y += 600) {
    scrollTo(0, y);
    await new Promise((done) => setTimeout(done, 50));
  }
  scrollTo(0, 0);
}"""
_FOCUSED = "() => document.activeElement?.dataset.stop ?? document.activeElement?.tagName"


def viewer_cookie(stack: Stack) -> dict[str, str]:
    """The log-in of a viewer, as Airflow would sign it: the stack has an administrator only."""
    claims = jwt.decode(log_in(stack)["_token"], options={"verify_signature": False})
    claims |= {"sub": "viewer", "role": "viewer"}
    return {"_token": jwt.encode(claims, stack.secrets["jwt_secret"], algorithm="HS512")}


@dataclass
class Visit:
    """One page of the browser, with what went wrong on it.

    Attributes:
        origin: of Airflow.
        problems: console errors, and requests to any other host.
    """

    page: Any
    origin: str
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"error: {error}"))
        self.page.on("request", self._request)

    def _console(self, message: Any) -> None:
        # Airflow's own pages are around ours, and are not what is tested here.
        if message.type == "error" and "/boxwright/" in message.location.get("url", "/boxwright/"):
            self.problems.append(f"console: {message.text} ({message.location})")

    def _request(self, request: Any) -> None:
        if urlsplit(request.url).scheme not in ("data", "blob") and not request.url.startswith(f"{self.origin}/"):
            self.problems.append(f"request to {request.url}")

    def open(self, path: str, status: int = 200) -> Any:
        """Goes to a page of ours, outside of Airflow's frame."""
        answer = self.page.goto(f"{self.origin}/boxwright{path}", wait_until="networkidle")
        assert answer.status == status, f"{path}: {answer.status}"
        return self.page

    def open_in_airflow(self, path: str) -> Any:
        """Goes to a page of Airflow's and returns our frame in it."""
        self.page.goto(f"{self.origin}{path}")
        frame = self.page.frame_locator("iframe").first
        frame.locator("main").wait_for()
        return frame


@contextmanager
def visiting(browser: Any, stack: Stack, cookies: dict[str, str], theme: str = "light") -> Iterator[Visit]:
    """A visit as somebody, with Airflow set to a theme."""
    context = browser.new_context(viewport={"width": WIDTH, "height": HEIGHT}, accept_downloads=False)
    cookies_of_url = [{"name": name, "value": value, "url": stack.airflow_url} for name, value in cookies.items()]
    context.add_cookies(cookies_of_url)
    # Airflow's form is a large program, and the machine runs two stacks beside the browser.
    context.set_default_timeout(WAIT)
    # Not in the frame of a report, which is shut off from everything.
    context.add_init_script(f"if (origin !== 'null') localStorage.setItem('theme', '{theme}')")
    context.add_init_script(_STILL)
    try:
        yield Visit(context.new_page(), stack.airflow_url)
    finally:
        context.close()


def serious_findings(page: Any) -> list[str]:
    """What axe-core says of the page that would keep somebody out."""
    found = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:160] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in SERIOUS
    ]


def out_of_reach(page: Any) -> list[str]:
    """What can be used on the page, and not come to with the Tab key."""
    there = page.evaluate(_FOCUSABLE)
    missing = {str(i): html for i, html in enumerate(there)}
    page.locator("body").evaluate("() => document.activeElement?.blur()")
    # A frame has stops of its own.
    for _ in range(len(there) + _MOST_IN_FRAMES):
        if not missing:
            break
        page.keyboard.press("Tab")
        missing.pop(page.evaluate(_FOCUSED), None)
    return list(missing.values())


def keep(visit: Visit, folder: Path, name: str, whole: bool = True) -> Path:
    """Keeps a picture of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{re.sub(r'[^a-z0-9-]+', '-', name.lower())}.png"
    if whole:  # pictures and frames are loaded when they come into sight
        visit.page.evaluate(_SCROLL)
        visit.page.wait_for_load_state("networkidle")
    visit.page.screenshot(path=str(path), full_page=whole)
    return path
