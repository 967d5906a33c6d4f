"""Charts: drawn over their tables, zoomed by dragging, left by a click, and in the colours of the scheme."""

import json
from datetime import datetime, timedelta
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tasks.ledger import statistics
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.services import Services
from tasks.storage import keys
from tests.support.chromium import POLL, Visit
from tests.support.ledger import settled
from tests.support.until import until

OUTCOMES = '[aria-labelledby="outcomes"] .plot'
PIXELS = """box => {  // how often each colour that is opaque stands on a canvas
  const canvas = box.querySelector("canvas"), copy = document.createElement("canvas");
  Object.assign(copy, {width: canvas.width, height: canvas.height});
  const context = copy.getContext("2d", {willReadFrequently: true});
  context.drawImage(canvas, 0, 0);
  const data = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const found = {};
  for (let at = 0; at < data.length; at += 4) if (data[at + 3] === 255) {
    const name = data.slice(at, at + 3).join(","); found[name] = (found[name] || 0) + 1; }
  return found;
}"""
RESTS = """async () => {  // a page that a finger pushed scrolls on by itself
  const was = scrollY;
  await new Promise((done) => setTimeout(done, 100));
  return scrollY === was;
}"""


def a_week(services: Services) -> list[str]:
    """Adds of each of the last seven days, some of today missed. → the days."""
    today = datetime.now(services.settings.timezone).date()
    days = [today - timedelta(ago) for ago in reversed(range(7))]
    for day in days[:-1]:
        services.redis.hset(statistics.key("default", day, "hour"), "sent|10", 8)
    for outcome in (*[Outcome.SENT] * 4, *[Outcome.EXPIRED] * 4):
        settled(services.ledger, Settlement(outcome, steps={"answer_1": 900}))
    return [day.isoformat() for day in days]


def at(page: Page, part: float, height: float) -> tuple[float, float]:
    """Where a chart's area is so far from its left and bottom, 0 to 1."""
    box = page.locator(f"{OUTCOMES} .u-over").bounding_box()
    assert box is not None
    return box["x"] + part * box["width"], box["y"] + (1 - height) * box["height"]


def series_1(page: Page) -> int:
    """How many pixels of the chart are in the first series' colour."""
    color = page.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--series-1').trim()")
    rgb = ",".join(str(int(color[n : n + 2], 16)) for n in (1, 3, 5))
    found: int = page.locator(OUTCOMES).evaluate(PIXELS).get(rgb, 0)
    return found


def test_a_drag_zooms_and_what_is_shown_can_be_opened_as_a_page(visit: Visit, services: Services) -> None:
    days = a_week(services)
    page = visit("/numbers", language="en")
    page.locator(OUTCOMES).scroll_into_view_if_needed()
    whole = until(lambda: series_1(page), what="the chart")
    page.mouse.move(*at(page, 2.2 / 7, 0.5))
    page.mouse.down()
    page.mouse.move(*at(page, 4.6 / 7, 0.5), steps=4)
    page.mouse.up()
    link = page.locator('[aria-labelledby="outcomes"]').get_by_role("link", name="Show these days only")
    expect(link).to_be_visible()
    assert page.url.endswith("/numbers")  # a drag is no click
    asked = parse_qs(urlsplit(link.get_attribute("href") or "").query)
    assert (asked["since"], asked["until"]) == ([days[2]], [days[4]])
    until(lambda: series_1(page) != whole, what="another chart")
    page.get_by_role("button", name="Show all again").locator("visible=true").click()
    expect(link).to_be_hidden()
    until(lambda: series_1(page) == whole, what="the whole chart")


def test_a_click_on_a_bar_leads_to_what_is_behind_it(visit: Visit, services: Services) -> None:
    days = a_week(services)
    page = visit("/numbers", language="en")
    page.locator(OUTCOMES).scroll_into_view_if_needed()
    page.mouse.click(*at(page, 6.5 / 7, 0.7))  # eight in all: the upper four were missed
    expect(page.get_by_role("heading", name="Deliveries")).to_be_visible()
    assert parse_qs(urlsplit(page.url).query) == {"since": [days[-1]], "until": [days[-1]], "outcome": ["missed"]}
    expect(page.locator('a[href*="/console/e/"]').nth(3)).to_be_attached()


def test_it_follows_the_colour_scheme(visit: Visit, services: Services) -> None:
    a_week(services)
    page = visit("/numbers")
    until(lambda: series_1(page) > 1000, what="the chart")
    light = page.locator(OUTCOMES).evaluate(PIXELS)
    page.emulate_media(color_scheme="dark")
    expect(page.locator(f"{OUTCOMES} canvas")).to_have_count(1)
    until(lambda: series_1(page) > 1000, what="the chart in the dark scheme's colour")
    assert page.locator(OUTCOMES).evaluate(PIXELS).keys() != light.keys()


def test_it_is_drawn_when_it_is_printed(visit: Visit, services: Services) -> None:
    a_week(services)
    box = visit("/numbers").locator(OUTCOMES)
    expect(box.locator("canvas")).to_be_visible()
    assert box.evaluate(f"box => {{ dispatchEvent(new Event('beforeprint')); return ({PIXELS})(box); }}")


def test_the_last_hour_goes_on_by_itself(visit: Visit, services: Services) -> None:
    now = services.ledger.now()
    services.redis.lpush(keys.SAMPLES, *(f"{now - 10_000 * ago}|1|1|2|{100 - ago}|0" for ago in range(50, 0, -1)))
    page = visit("/queue", clock=True)
    plot = page.locator('[aria-labelledby="hour"] .plot').first
    expect(plot.locator("canvas")).to_have_count(1)
    plot.evaluate("box => { box.querySelector('canvas').dataset.same = '1' }")
    services.redis.lpush(keys.SAMPLES, f"{now}|7|1|2|101|0")
    page.clock.run_for(POLL)
    expect(plot).to_have_js_property("children.length", 1)
    newest = "box => JSON.parse(box.dataset.chart).series[0].values.at(-1) === 7"
    page.wait_for_function(newest, arg=plot.element_handle())
    assert plot.locator("canvas").get_attribute("data-same") == "1"  # it is not drawn anew, so that a zoom stays
    assert json.loads(plot.get_attribute("data-chart") or "")["series"][0]["values"].count(7) == 1


def test_a_finger_zooms_sideways_and_scrolls_up_and_down(visit: Visit, services: Services) -> None:
    days = a_week(services)
    page = visit("/numbers", "en", 390)
    page.locator(OUTCOMES).scroll_into_view_if_needed()
    touch = page.context.new_cdp_session(page)

    def finger(*places: tuple[float, float]) -> None:
        kinds = ["touchStart", *["touchMove"] * (len(places) - 1)]
        for kind, (x, y) in zip(kinds, places, strict=True):
            touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    link = page.locator('[aria-labelledby="outcomes"]').get_by_role("link", name="Show these days only")
    scrolled = page.evaluate("scrollY")
    finger(*(at(page, 4 / 7, height) for height in (0.3, 0.4, 0.6, 0.8, 1.0)))
    page.wait_for_function("was => scrollY !== was", arg=scrolled)
    expect(link).to_be_hidden()
    page.wait_for_function(RESTS)
    page.locator(OUTCOMES).scroll_into_view_if_needed()
    finger(*(at(page, part / 7, 0.5) for part in (2.2, 2.6, 3.4, 4.2, 4.6)))
    expect(link).to_be_visible()
    asked = parse_qs(urlsplit(link.get_attribute("href") or "").query)
    assert (asked["since"], asked["until"]) == ([days[2]], [days[4]])
