"""Who stays: the page against what was lived, and nothing claimed of few."""

import math

import pytest

from tasks.services import Services
from tests.support.console import Browser, text_of
from tests.support.leaving import SENT, change_of, history, live
from tests.support.ledger import settled
from webhook.console.losses import Left, Row, comparisons, needed

APPROXIMATELY = 1e-9


def known(left: int, of: int) -> Left:
    return Left(left, of, left / of if of else None, 0.0, 1.0)


def variant(name: str, left: int, of: int) -> Row:
    return Row(("rule", name), of, [known(0, 0), known(left, of), known(0, 0)], [])


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("by", ["welcome", "variant", "channel", "member"])
def test_each_dimension_has_its_page(browse: Browser, services: Services, by: str, language: str) -> None:
    live(services, history(3, 60))
    browse.get(f"/language/{'zh_Hans' if language == 'zh' else 'en'}")
    page = browse.get("/numbers/staying", {"by": by})
    assert page.status_code == 200


def test_the_shares_are_those_that_were_lived(browse: Browser, services: Services) -> None:
    customers = history(3)
    live(services, customers)
    page = text_of(browse.get("/numbers/staying", {"by": "welcome", "days": "90"}))
    greeted = sum(one.outcome.value in ("sent", "unconfirmed") for one in customers)
    assert f" {greeted} " in page


def test_of_nobody_nothing_is_said(browse: Browser, services: Services) -> None:
    assert "Nobody was greeted in this time" in text_of(browse.get("/numbers/staying"))


@pytest.mark.parametrize("query", [{"by": "day"}, {"days": "7"}, {"days": "x"}])
def test_a_query_that_makes_no_sense_is_said(browse: Browser, query: dict[str, str]) -> None:
    assert browse.get("/numbers/staying", query).status_code == 422


def test_members_are_counted_for_thirty_days_at_most(browse: Browser) -> None:
    assert browse.get("/numbers/staying", {"by": "member", "days": "90"}).status_code == 200


def test_a_delivery_says_that_its_customer_left(browse: Browser, services: Services) -> None:
    event = settled(services.ledger, SENT)
    services.contact_changes.record(change_of(event, after=60))
    services.contact_changes.apply_due()
    assert "The customer deleted the member" in text_of(browse.get(f"/e/{event.id}"))


@pytest.mark.unit
def test_a_difference_is_claimed_of_enough_customers_alone() -> None:
    (few,) = comparisons([variant("a", 3, 20), variant("b", 1, 20)])
    assert few.low < 0 < few.high
    assert few.needed is not None
    assert few.needed > 20
    (many,) = comparisons([variant("a", 300, 2000), variant("b", 100, 2000)])
    assert many.low > 0
    assert many.needed is not None
    assert many.needed < 2000


@pytest.mark.unit
def test_how_many_are_needed_is_what_the_textbooks_have() -> None:
    assert needed(0.5, 0.4) == pytest.approx(388, abs=2)
    assert needed(0.10, 0.05) == pytest.approx(435, abs=2)
    assert needed(0.2, 0.2) is None
    assert needed(None, 0.2) is None
    assert math.isfinite(needed(0.0, 0.001) or math.inf)


@pytest.mark.unit
def test_a_rule_with_one_variant_is_not_compared() -> None:
    assert comparisons([variant("a", 3, 20)]) == []
