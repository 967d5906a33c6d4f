"""The page Numbers: what is counted, by what, for which days; and the table to take away."""

import csv
import io
from datetime import date, datetime, timedelta
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from tasks.ledger import statistics
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.services import Services
from tests.support.console import Browser, text_of
from tests.support.ledger import settled

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


def test_every_view_has_an_address(browse: Browser, services: Services) -> None:
    settled(services.ledger, SENT)
    day = today().isoformat()
    query = {"since": day, "until": day, "by": "channel"}
    page = browse.get("/numbers", query)
    assert urlencode(query).replace("&", "&amp;") in page.text
