"""How many left, held to a count of the histories themselves."""

from datetime import datetime, timedelta

import pytest

from tasks.changes import losses
from tasks.changes.losses import Cohort, Share
from tasks.ledger import statistics
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import GREETED, Outcome
from tasks.services import Services
from tests.support.leaving import NOW, ZONE, Customer, history, live
from tests.support.past import Past, write

TODAY = datetime.now(ZONE).date()
DAYS = [TODAY - timedelta(days) for days in range(40)]


@pytest.mark.parametrize("seed", range(3))
def test_the_shares_are_what_a_count_of_the_histories_gives(services: Services, seed: int) -> None:
    customers = history(seed)
    live(services, customers)
    greeted = statistics.read(services.redis, "default", DAYS, ("total", "template"))
    lost = losses.read(services.redis, "default", DAYS)
    for dimension, value in (("total", ""), ("template", "a"), ("template", "b")):
        ours = [one for one in customers if one.outcome in GREETED and (dimension == "total" or one.template == value)]
        cohorts = losses.cohorts(greeted, lost, dimension, value, TODAY)
        for days in losses.WITHIN:
            old = [one for one in ours if (TODAY - one.at.date()).days - 1 >= days]
            gone = [one for one in old if one.left_after is not None and one.left_after < timedelta(days)]
            assert losses.within(cohorts, days) == Share(len(gone), len(old))


def test_the_curve_is_the_share_that_stays_where_all_have_been_observed(services: Services) -> None:
    customers = [one for one in history(7) if (TODAY - one.at.date()).days > 20]
    live(services, customers)
    greeted = statistics.read(services.redis, "default", DAYS, ("total",))
    curve = losses.survival(losses.cohorts(greeted, losses.read(services.redis, "default", DAYS), "total", "", TODAY))
    ours = [one for one in customers if one.outcome in GREETED]
    for day in range(20):
        there = [one for one in ours if one.left_after is None or one.left_after >= timedelta(day)]
        assert curve[day] == pytest.approx(len(there) / len(ours))


def test_those_who_were_added_lately_count_for_as_long_as_they_are_known() -> None:
    old = Cohort(100, 10, {0: 10, 5: 9})  # 90 are left after a day, 81 after six
    young = Cohort(100, 2, {0: 30})
    assert losses.survival([old]) == pytest.approx([1, *[0.9] * 5, *[0.81] * 5])
    both = losses.survival([old, young])
    assert both[:3] == pytest.approx([1, 0.8, 0.8])
    assert both[6] == pytest.approx(0.8 * 81 / 90)
    assert losses.within([old, young], 7) == Share(19, 100)
    assert losses.within([young], 7) == Share(0, 0)
    assert losses.survival([]) == []


def test_nobody_is_counted_under_a_value_that_is_too_long(services: Services) -> None:
    event = Customer(1, NOW, "a", Outcome.SENT, None).event
    row = services.ledger
    write(services, [Past(event, NOW.timestamp(), Settlement(Outcome.SENT, template="x" * 700))])
    delivery = row.delivery(event.id)
    assert delivery is not None
    assert losses.fields(delivery, 400) == ["31|total|", "31|channel|", "31|member|zhangsan"]
