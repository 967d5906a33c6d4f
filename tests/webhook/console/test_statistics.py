"""The page Numbers: what is counted, by what, for which days; and the table to take away."""

import csv
import html
import io
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from tasks.ledger import statistics
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.services import Services
from tests.support.builders import in_words
from tests.support.console import Browser, charts_of, text_of
from tests.support.ledger import settled
from webhook.console.statistics_charts import comparisons
from webhook.console.statistics_summary import OutcomeCount

SENT = Settlement(Outcome.SENT, template="t", rule="r", variant="a", steps={"answer_1": 1300})


def today() -> date:
    """The console's day, asked when it is needed: a run may come over midnight in Shanghai."""
    return datetime.now(ZoneInfo("Asia/Shanghai")).date()


def lines(browse: Browser, **query: str) -> list[list[str]]:
    response = browse.get("/numbers.csv", query)
    assert response.mimetype == "text/csv"
    return list(csv.reader(io.StringIO(response.text.removeprefix("\ufeff"))))


@pytest.mark.parametrize(
    ("by", "label"),
    [
        ("day", ""),  # today
        ("channel", "douyin-1"),
        ("member", "zhangsan"),
        ("welcome", "t"),
        ("variant", "r · a"),
    ],
)
def test_everything_is_counted_by_each_dimension(browse: Browser, services: Services, by: str, label: str) -> None:
    settled(services.ledger, SENT, state="douyin-1")
    settled(services.ledger, SENT, state="douyin-1")
    settled(services.ledger, Settlement(Outcome.EXPIRED, template="t", rule="r", variant="a"), state="douyin-1")
    settled(services.ledger, Settlement(Outcome.NO_CODE, template="t", rule="r", variant="a"), state="douyin-1")
    settled(services.ledger, Settlement(Outcome.REHEARSED), rehearsal=True)
    page = text_of(browse.get("/numbers", {"by": by}))
    assert (label or today().isoformat()) in page
    head, *rows = lines(browse, by=by)
    row = dict(zip(head, next(row for row in rows if int(row[-8])), strict=True))
    assert (row["added"], row["sent"], row["missed"], row["no_code"]) == ("4", "2", "1", "1")
    assert row["on_time"] == "0.6667"  # of those with a code


def test_days_without_customers_are_listed_and_older_ones_are_not(browse: Browser, services: Services) -> None:
    settled(services.ledger, SENT)
    now = today()
    since = (now - timedelta(3)).isoformat()
    _head, *rows = lines(browse, by="day", since=since, until=now.isoformat())
    assert [row[0] for row in rows] == [(now - timedelta(n)).isoformat() for n in range(4)]
    assert [row[1] for row in rows] == ["1", "0", "0", "0"]
    empty = {"since": (now - timedelta(9)).isoformat(), "until": (now - timedelta(8)).isoformat()}
    assert "Nobody was added in this time" in text_of(browse.get("/numbers", empty))


@pytest.mark.parametrize("by", ["channel", "member"])
@pytest.mark.parametrize(
    "value", ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "<script>alert(1)</script>", 'a,b"c', "\u202egnp"]
)
def test_hostile_values_are_shown_and_never_executed(browse: Browser, services: Services, by: str, value: str) -> None:
    field = {"channel": "state", "member": "user_id"}[by]
    settled(services.ledger, **{field: value})
    page = browse.get("/numbers", {"by": by})
    assert "<script>alert" not in page.text
    (cell,) = [row[0] for row in lines(browse, by=by)[1:]]
    assert not cell.startswith(("=", "+", "-", "@"))
    assert cell.lstrip("'") == value.lstrip("'")


def test_what_had_no_room_is_called_the_others(
    browse: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "FIELDS_LIMIT", 1)
    for state in ("one", "two", "three"):
        settled(services.ledger, SENT, state=state)
    assert "others" in text_of(browse.get("/numbers", {"by": "channel"}))
    assert [row[:2] for row in lines(browse, by="channel")[1:]] == [["(others)", "2"], ["one", "1"]]


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"since": "yesterday"}, "Write a date such as 2026-11-22"),
        ({"until": "2026-02-30"}, "Write a date such as 2026-11-22"),
        ({"since": "0001-01-01"}, "Write a date such as 2026-11-22"),
        ({"since": "2026-11-05", "until": "2026-11-01"}, "“Until” is before “since”"),
        ({"since": "2025-01-01", "until": "2026-11-01"}, "At most 400 days at once"),
        ({"since": "2026-01-01", "until": "2026-11-01", "by": "member"}, "At most 92 days at once"),
        ({"by": "colour"}, "Invalid value"),
    ],
)
def test_what_cannot_be_shown_is_said_and_kept(browse: Browser, query: dict[str, str], says: str) -> None:
    for path in ("/numbers", "/numbers.csv"):
        response = browse.get(path, query)
        assert response.status_code == 422
        assert says in text_of(response)
        for name in ("since", "until"):
            if name in query:
                assert f'value="{query[name]}"' in response.text


def test_a_few_customers_are_no_comparison(browse: Browser, services: Services) -> None:
    settled(services.ledger, SENT)
    assert "too few to compare" in text_of(browse.get("/numbers", {"by": "variant"}))


def test_variants_are_compared_by_intervals() -> None:
    def counts(*numbers: tuple[int, int]) -> dict[tuple[str, str], OutcomeCount]:
        return {("r", f"v{at}"): OutcomeCount(added=of, sent=sent) for at, (sent, of) in enumerate(numbers)}

    (same,) = comparisons(counts((285, 300), (268, 280)))
    assert same.low is not None
    assert same.high is not None
    assert same.low < 0 < same.high
    (apart,) = comparisons(counts((200, 300), (268, 280)))
    assert apart.high is not None
    assert apart.high < -0.2
    (few,) = comparisons(counts((285, 300), (199, 199)))
    assert (few.low, few.high) == (None, None)
    assert [one.of for one in few.variants] == [300, 199]
    (without_code,) = comparisons({("r", "a"): OutcomeCount(added=3, no_code=3)})
    assert without_code.variants[0].share is None


def test_the_page_says_which_variant_is_sent_more_often(browse: Browser, services: Services) -> None:
    key = statistics.key("default", today(), "variant")
    services.redis.hset(key, mapping={"sent|1|ra": 290, "expired|1|ra": 10, "sent|1|rb": 200, "expired|1|rb": 100})
    settled(services.ledger)
    page = text_of(browse.get("/numbers", {"by": "variant"}))
    assert "a is sent more often than b, by 24.2 to 35.7 points (95 % certain)" in page
    assert "94.0–98.2 %" in page


def url_of(chart: dict[str, Any], at: int) -> str:
    url: str = chart["start"] + chart["urls"][at]
    return url


def test_the_days_are_drawn_and_lead_to_their_deliveries(browse: Browser, services: Services) -> None:
    for outcome in ("sent", "sent", "expired", "no_code"):
        settled(services.ledger, Settlement(Outcome(outcome), steps={"answer_1": 1300}))
    page = browse.get("/numbers")
    outcomes, times, against = charts_of(page)
    assert [(one["name"], one["values"][-1], one["query"]["outcome"]) for one in outcomes["series"]] == [
        ("Sent", 2, "sent"),
        ("Missed", 1, "missed"),
        ("No welcome code", 1, "no_code"),
    ]
    assert outcomes["stacked"]
    day = today().isoformat()
    assert (outcomes["labels"][-1], outcomes["days"][-1]) == (day[5:], day)
    address = f"/console/deliveries?since={day}&until={day}"
    assert url_of(outcomes, -1) == address
    assert browse.get(url_of(outcomes, -1).removeprefix("/console")).text.count("/console/e/") == 4
    assert times["limits"] == [[20.0, "20 s"]]
    assert (times["series"][0]["values"], times["log"]) == ([None] * 6 + [1.25], True)
    assert [len(one["values"]) for one in against["series"]] == [24] * 3
    assert set(against["series"][2]["values"]) == {None}  # the weeks before are not known
    assert f'href="{html.escape(address)}&amp;outcome=missed"' in page.text  # without JavaScript, in the table


def test_one_day_is_drawn_by_hour(browse: Browser, services: Services) -> None:
    settled(services.ledger, SENT)
    day = today()
    hour = datetime.fromtimestamp(next(services.ledger.deliveries()).received_at, ZoneInfo("Asia/Shanghai")).hour
    page = browse.get("/numbers", {"since": day.isoformat(), "until": day.isoformat()})
    outcomes, times, _against = charts_of(page)
    assert outcomes["labels"] == [f"{n:02}" for n in range(24)]
    assert outcomes["series"][0]["values"][hour] == 1
    assert times["series"][0]["values"][hour] == 1.25
    url = url_of(outcomes, hour)
    assert f"T{hour:02}%3A00" in url or f"T{hour:02}:00" in url
    assert browse.get(url.removeprefix("/console")).text.count("/console/e/") == 1
    assert f'<a href="{html.escape(url)}">1</a>' in page.text  # the heat map's cell


def test_days_whose_rows_are_gone_lead_nowhere_and_a_long_range_has_the_totals(
    browse: Browser, services: Services
) -> None:
    old = today() - timedelta(services.settings.keep_days + 1)
    services.redis.hset(statistics.key("default", old, "hour"), "sent|09", 3)
    query = {"since": old.isoformat(), "until": today().isoformat()}
    outcomes = charts_of(browse.get("/numbers", query))[0]
    assert outcomes["series"][0]["values"][0] == 3
    assert "urls" not in outcomes or outcomes["urls"][0] == ""
    page = browse.get("/numbers", {**query, "since": (today() - timedelta(200)).isoformat()})
    assert len(charts_of(page)) == 1
    assert 'class="heat"' not in page.text


def test_channels_are_compared_by_day(browse: Browser, services: Services) -> None:
    for state in ("a", "a", "b", "", *"cdefg"):
        settled(services.ledger, SENT, state=state)
    page = browse.get("/numbers", {"by": "channel"})
    (chart,) = charts_of(page)
    assert [one["name"] for one in chart["series"]] == ["a", "b", "c", "d", "e"]
    assert chart["series"][0]["values"] == [0] * 6 + [2]
    assert chart["series"][0]["query"] == {"channel": "a"}
    assert "/console/deliveries?channel=a&amp;since=" in page.text


def test_why_they_were_missed_leads_to_them(browse: Browser, services: Services) -> None:
    settled(services.ledger, Settlement(Outcome.REFUSED, in_words("no"), 48002))
    page = browse.get("/numbers")
    assert "Refused by WeCom: the app is not allowed to call (48002)" in text_of(page)
    assert "outcome=refused" in page.text


def test_a_long_list_is_cut_and_can_be_shown(browse: Browser, services: Services) -> None:
    mapping = {f"sent|s{number:03}": 200 - number for number in range(120)}
    services.redis.hset(statistics.key("default", today(), "channel"), mapping=mapping)
    settled(services.ledger, SENT, state="s000")
    page = browse.get("/numbers", {"by": "channel"})
    assert page.text.count('<th scope="row">') == 32
    assert "89 more rows are in the CSV" in text_of(page)
    assert "Show up to 100 here" in text_of(page)
    assert browse.get("/numbers", {"by": "channel", "all": "1"}).text.count('<th scope="row">') == 101


def test_every_view_has_an_address(browse: Browser, services: Services) -> None:
    settled(services.ledger, SENT)
    day = today().isoformat()
    query = {"since": day, "until": day, "by": "channel"}
    page = browse.get("/numbers", query)
    assert urlencode(query).replace("&", "&amp;") in page.text
