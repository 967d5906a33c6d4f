"""The page Queue: what it says of the system, what it cannot know, and what can be done on it."""

import re
from dataclasses import replace

import pytest
import redis

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.ledger.pauses import FOLLOW_UPS, WELCOME, Pause
from tasks.rate_limits.limiter import Status
from tasks.services import Services
from tasks.storage import keys
from tests.support.console import NAME, Browser, a_flow, at_the_limit, charts_of, text_of
from tests.support.ledger import a_failed_follow_up, accepted, refused_for_its_limit, settled
from tests.support.until import until
from webhook.console.queue import Flow, verdict
from webhook.console.recent_failures import recent_failures


@pytest.mark.parametrize(
    ("flow", "pause", "half", "tone", "says"),
    [
        (None, None, None, "unknown", "Cannot read"),
        (a_flow(), None, None, "ok", "Ready. Nobody has been greeted"),
        (a_flow(oldest=0.3), None, "1.4", "ok", "in about 1.7 s"),
        (a_flow(oldest=7.0), None, "1.4", "warn", "longest wait is 7.0 s"),
        (a_flow(oldest=19.0), None, "1.4", "bad", "More customers than can be greeted"),
        (a_flow(oldest=42.0), None, "1.4", "bad", "missing their greeting"),
        (a_flow(silence=30.0), None, "1.4", "bad", "not being greeted"),
        (a_flow(silence=None), None, None, "bad", "not being greeted"),
        (a_flow(), Pause(NAME, 1, 700, 100), "1.4", "bad", "is paused"),
        (a_flow(), Pause(NAME, 1, 90, 100), "1.4", "ok", "in about 1.4 s"),
    ],
)
def test_one_sentence_says_whether_the_next_customer_is_greeted(
    flow: Flow | None, pause: Pause | None, half: str | None, tone: str, says: str
) -> None:
    found = verdict(flow, pause, half, window=20.0)
    assert found.tone == tone
    assert says in str(found.headline)


@pytest.mark.parametrize(
    ("memory", "says"),
    [
        (97, "Redis is nearly full: workers cannot take anything from it"),
        (80, "The workers have not responded for 30 s"),
    ],
)
def test_workers_that_take_nothing_from_a_nearly_full_redis_are_not_said_to_be_away(memory: int, says: str) -> None:
    found = verdict(a_flow(silence=30.0, memory=memory, memory_limit=100), None, None, window=20.0)
    assert str(found.more) == says


@pytest.mark.parametrize(
    ("calls", "oldest", "tone", "says"),
    [
        (at_the_limit(45009), 0.1, "bad", "(45009) 9,700 of 9,700 were sent in the last minute. One call at a time"),
        (at_the_limit(45009, minute=12), 0.1, "bad", "Only 12 of 9,700 were sent in the last minute: another program"),
        (at_the_limit(45033, minute=12), 0.1, "warn", "too many at once for WeCom (45033) Fewer are sent at once"),
        (at_the_limit(), 1.0, "warn", "WeCom's rate limit is reached 9,700 of 9,700 were sent in the last minute"),
        (at_the_limit(), 9.0, "bad", "WeCom's rate limit is reached"),
        (at_the_limit(hour=145_500), 1.0, "bad", "145,500 of 145,500 were sent in the last hour"),
        (replace(at_the_limit(45009), now=2000.0), 0.1, "ok", "Ready"),  # the last one was held back long ago
    ],
)
def test_wecoms_limits_are_named_when_they_hold_greetings_back(
    calls: Status, oldest: float, tone: str, says: str
) -> None:
    found = verdict(replace(a_flow(oldest=oldest), calls=calls), None, None, window=20.0)
    assert found.tone == tone
    assert says in f"{found.headline} {found.more}"


def test_the_pages_say_that_wecom_refuses_greetings_for_its_limit(browse: Browser, services: Services) -> None:
    services.ledger.claim(0)
    text = text_of(browse.get("/system"))
    assert "Sent to WeCom 0 of 9,700 in the last minute, 0 of 145,500 in the last hour" in text
    refused_for_its_limit(services.redis, services.settings.apps["default"].corp_id)
    for page in ("/queue", "/"):
        text = text_of(browse.get(page))
        assert "Greetings are waiting: WeCom's rate limit (45009)" in text
    assert "Refused by WeCom 45009 · 0 of 9,700" in text_of(browse.get("/system"))


def test_what_is_there_is_shown(browse: Browser, services: Services) -> None:
    services.ledger.claim(0)
    for _ in range(3):
        accepted(services.ledger)
    settled(services.ledger, Settlement(Outcome.SENT, steps={"answer_1": 1300}))
    text = text_of(browse.get("/queue"))
    assert "3 Waiting" in text.replace("Waiting 3", "3 Waiting")
    assert "1 greeting today: median 1.2 s" in text


def test_the_limit_that_is_shown_is_the_window_of_the_settings(services: Services) -> None:
    settled(services.ledger, Settlement(Outcome.SENT, steps={"answer_1": 1300}))
    # 13 bars, from 0.1 to 0.2 s, to 14 to 20 s; the first goes from -0.5 to 0.5, and the picture ends at 20 s
    for window, x in ((10.0, 10.5), (20.0, 12.5), (60.0, 12.5)):
        given = replace(services, settings=replace(services.settings, window=window))
        browse = Browser(given).signed_in()
        page = browse.get("/queue")
        assert f"the limit is {window:g} s" in text_of(page)
        assert f"the limit is {window:g} s" in text_of(browse.get("/"))
        (chart,) = [one for one in charts_of(page) if "edges" in one]
        assert chart["limits"] == [[x, f"{window:g} s"]]
        assert chart["edges"][-6:] == ["3", "5", "7", "10", "14", "20"]


def test_the_welcome_lane_is_paused_and_resumed_with_a_name(browse: Browser, services: Services) -> None:
    page = text_of(browse.get("/queue"))
    assert "Customers added while it is paused miss their greeting" in page
    page = text_of(browse.post(f"/queue/lanes/{WELCOME}/pause"))
    assert "It resumes by itself in 10 minutes" in page
    assert f"Paused by {NAME}" in page
    assert services.queue_pauses.paused()[WELCOME].by == NAME
    until(lambda: "is paused" in text_of(browse.get("/numbers")))  # all pages share a reading of two seconds
    page = text_of(browse.post(f"/queue/lanes/{WELCOME}/resume"))
    assert "The lane is resumed" in page
    assert services.queue_pauses.paused() == {}
    assert "The lane had been resumed already" in text_of(browse.post(f"/queue/lanes/{WELCOME}/resume"))


def test_follow_ups_are_paused_until_somebody_resumes_them(browse: Browser, services: Services) -> None:
    browse.get("/queue")
    assert "until somebody resumes it" in text_of(browse.post(f"/queue/lanes/{FOLLOW_UPS}/pause"))
    assert services.queue_pauses.paused()[FOLLOW_UPS].left is None
    assert "paused already" in text_of(browse.post(f"/queue/lanes/{FOLLOW_UPS}/pause"))


@pytest.mark.parametrize("address", ["/queue/lanes/other/pause", "/queue/lanes/other/resume"])
def test_there_are_two_lanes(browse: Browser, address: str) -> None:
    browse.get("/queue")
    assert browse.post(address).status_code == 404


def test_a_change_needs_the_token_of_the_page(browse: Browser, services: Services) -> None:
    response = browse.post(f"/queue/lanes/{WELCOME}/pause", {"csrf_token": "forged"})
    assert response.status_code == 403
    assert services.queue_pauses.paused() == {}


def test_those_shown_are_retried_and_no_others(browse: Browser, services: Services) -> None:
    shown, later, other = (
        a_failed_follow_up(services),
        a_failed_follow_up(services),
        a_failed_follow_up(services, app="sales"),
    )
    browse.get("/queue")
    page = text_of(browse.post("/queue/follow-ups/retry", {"id": [shown.id, other.id, "nonsense"]}))
    assert "1 follow-up is tried again now" in page
    assert "2 were finished meanwhile" in page
    states = {task.id: services.redis.hget(keys.event(task.id), "follow_state") for task in (shown, later, other)}
    assert states == {shown.id: "waiting", later.id: "failed", other.id: "failed"}


def test_a_follow_up_names_its_member_where_the_name_is_known(browse: Browser, services: Services) -> None:
    a_failed_follow_up(services)
    assert "zhangsan" in text_of(browse.get("/queue"))
    services.redis.set(keys.member("default", "zhangsan"), '{"answer": {"member": "张三"}, "until": 0}')
    page = text_of(browse.get("/queue"))
    assert "张三" in page
    assert "zhangsan" not in page


def test_the_button_names_how_many_it_retries(browse: Browser, services: Services) -> None:
    a_failed_follow_up(services)
    a_failed_follow_up(services)
    page = browse.get("/queue")
    assert "Retry these 2" in text_of(page)
    assert len(re.findall('name="id"', page.text)) == 2
    assert "<b>" not in page.text.replace("&lt;b&gt;", "")


def test_a_page_shows_the_rest_where_a_key_is_of_another_type(browse: Browser, services: Services) -> None:
    services.redis.set(keys.SAMPLES, "no list")
    page = text_of(browse.get("/queue"))
    assert f"This page is not whole: keys in Redis are of another type than they should be · {keys.SAMPLES}" in page
    assert "Welcome lane" in page
    assert "Time to the greeting" in page


def test_the_last_hour_is_drawn_and_stands_in_a_table(browse: Browser, services: Services) -> None:
    assert "the queue was not recorded in the last hour" in text_of(browse.get("/queue"))
    minutes = [f"{1_700_000_000_000 + 10_000 * n}|{n}|1|2|{2 * n}|0" for n in range(31)]  # from 06:13:20 on
    services.redis.lpush(keys.SAMPLES, *minutes)
    page = browse.get("/queue")
    depth, rates = charts_of(page)
    assert [one["name"] for one in depth["series"]] == ["Waiting", "In progress"]
    assert depth["series"][0]["values"] == list(range(31))
    assert depth["zone"] == "Asia/Shanghai"
    assert [one["values"][-1] for one in rates["series"]] == [12.0, 12.0, 0.0]
    assert "06:15 30 1 42 42 0" in " ".join(text_of(page).split())


def test_nothing_is_shown_as_zero_when_redis_is_away(
    browse: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    browse.get("/queue")
    asked = []

    def away(*_args: object, **_options: object) -> None:
        asked.append(1)
        raise redis.ConnectionError

    monkeypatch.setattr(services.redis.connection_pool, "get_connection", away)
    for path in ("/queue", "/", "/system"):
        asked.clear()
        page = text_of(browse.get(path))
        assert "Cannot read: Redis is not responding" in page or (path == "/system" and "Redis does not answer" in page)
        assert not re.search(r"(Waiting|Sent|Missed) 0", page)
        assert len(asked) < 2 * 8, "a read is tried twice, and no more reads wait than there are panels"


def come(services: Services, *outcomes: str) -> None:
    """Customers who came one after the other, and what became of them."""
    for outcome in outcomes:
        settled(services.ledger, Settlement(outcome, errcode=-1 if outcome == "failed" else None))


def test_while_wecom_takes_nothing_no_page_says_that_all_is_well(browse: Browser, services: Services) -> None:
    services.redis.set(keys.CONSUMED, services.ledger.now())
    come(services, "sent", *["failed"] * 3)
    page = text_of(browse.get("/queue"))
    assert "New customers are missing their greeting" in page
    assert "The last 3 in a row were missed: WeCom is busy (-1)" in page
    assert "Trouble" in page
    assert "All well" not in page
    assert "it is tried again" not in page  # a code that has died is not


def test_when_every_second_one_fails_no_page_says_that_all_is_well(browse: Browser, services: Services) -> None:
    services.redis.set(keys.CONSUMED, services.ledger.now())
    come(services, *["failed", "sent"] * 3)
    page = text_of(browse.get("/queue"))
    assert (
        "New customers are missing their greeting 3 of the last 6 were missed; the latest: WeCom is busy (-1)" in page
    )
    assert "Trouble" in page
    assert "All well" not in page


@pytest.mark.parametrize(
    "outcomes",
    [
        [*["failed"] * 9, *["sent"] * 12],  # long ago
        ["sent", "failed", "failed"],
        ["failed", "sent", "failed", "sent"],  # of four
        [*["failed", "sent", "sent"] * 6],
        ["stale"] * 9,
        [],
    ],
)
def test_a_few_or_earlier_ones_are_no_trouble_now(services: Services, outcomes: list[str]) -> None:
    come(services, *outcomes)
    assert recent_failures(services.ledger, "default").message is None


def test_a_pause_is_on_the_next_page_already(browse: Browser) -> None:
    assert "The welcome lane is paused" not in text_of(browse.get("/channels"))
    browse.post(f"/queue/lanes/{WELCOME}/pause")
    page = text_of(browse.get("/channels"))
    assert "The welcome lane is paused: new customers may miss their greeting" in page
    assert "Paused" in page
