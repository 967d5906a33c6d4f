"""Numbers by the API: those of the console's pages."""

import csv
from datetime import UTC, datetime, timedelta

import pytest

from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tests.support.api import Program
from tests.support.console import Browser
from tests.support.leaving import history, live
from tests.support.ledger import settled
from webhook.console import losses

SENT = Settlement(Outcome.SENT, template="spring", rule="a/b", variant="spring", steps={"answer_1": 120})
MISSED = Settlement(Outcome.EXPIRED, template="spring")


def some_customers(ask: Program) -> None:
    for settlement, member, state in ((SENT, "zhangsan", "shop"), (SENT, "lisi", "shop"), (MISSED, "lisi", "")):
        settled(ask.services.ledger, settlement, user_id=member, state=state)


def today(ask: Program) -> datetime:
    return datetime.now(UTC).astimezone(ask.services.settings.timezone)


@pytest.mark.parametrize("by", ["day", "channel", "member", "welcome", "variant"])
def test_the_numbers_are_those_of_the_consoles_file(ask: Program, by: str) -> None:
    some_customers(ask)
    since, until = f"{today(ask) - timedelta(2):%Y-%m-%d}", f"{today(ask):%Y-%m-%d}"
    asked = {"since": since, "until": until, "by": by}
    found = ask.get("numbers", **asked).json
    page = Browser(ask.services).signed_in().get("/numbers.csv", asked)
    rows = list(csv.DictReader(page.text.removeprefix("\ufeff").splitlines()))
    assert len(rows) == len(found["items"]) > 0
    for row, item in zip(rows, found["items"], strict=True):
        assert row[by] == (item["value"] or "")
        for name in ("added", "sent", "missed", "unconfirmed", "no_code", "lost"):
            assert row[name] == str(item[name])
    assert {name: found["total"][name] for name in ("added", "sent", "missed")} == {"added": 3, "sent": 2, "missed": 1}
    assert found["total"]["on_time"] == pytest.approx(2 / 3)


def test_the_rows_beyond_the_limit_are_counted(ask: Program) -> None:
    some_customers(ask)
    day = f"{today(ask):%Y-%m-%d}"
    found = ask.get("numbers", since=day, until=day, by="member", limit=1).json
    assert ([one["value"] for one in found["items"]], found["further"]) == (["lisi"], 1)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ({"since": "2026-11-02", "until": "2026-11-01"}, "until"),
        ({"since": "2025-01-01", "until": "2026-11-01"}, "until"),
        ({"since": "2026-01-01", "until": "2026-11-01", "by": "member"}, "until"),
        ({"since": "yesterday", "until": "2026-11-01"}, "since"),
        ({"until": "2026-11-01"}, "since"),
        ({"since": "2026-11-01", "until": "2026-11-01", "by": "rule"}, "by"),
    ],
)
def test_days_that_cannot_be_counted_are_refused(ask: Program, asked: dict[str, str], name: str) -> None:
    answer = ask.get("numbers", **asked)
    assert answer.status_code == 422
    assert {one["name"] for one in answer.json["errors"]} == {name}


@pytest.mark.parametrize("by", ["welcome", "variant", "channel", "member"])
def test_who_stays_is_what_the_page_knows(ask: Program, by: str) -> None:
    live(ask.services, history(3))
    found = ask.get("numbers/staying", by=by).json
    known = losses.known(ask.services, "default", today(ask).date(), 30, by)
    assert known.total.greeted > 100
    for item, row in zip([*found["items"], found["total"]], [*known.rows, known.total], strict=True):
        assert item["greeted"] == row.greeted
        assert [one["within"] for one in item["left"]] == [1, 7, 30]
        told = [(one["left"], one["of"], one["share"], one["low"], one["high"]) for one in item["left"]]
        assert told == [(one.left, one.of, one.share, one.low, one.high) for one in row.left]
        assert (item["staying"] or [1.0])[0] == 1.0
    assert found["again"] == known.again
    compared = [(one["rule"], one["needed"]) for one in found["compared"]]
    assert compared == [(one.rule, one.needed) for one in known.compared]


def test_who_stays_by_member_is_known_for_thirty_days(ask: Program) -> None:
    assert ask.get("numbers/staying", by="member", days=90).json["errors"][0]["name"] == "days"
    assert ask.get("numbers/staying", by="channel", days=90).status_code == 200
