"""The console over the large installation: 300 templates, 200 rules, 2000 members, 100 channels."""

from collections import Counter
from datetime import datetime, timedelta

import pytest

from tasks.ledger import statistics
from tasks.services import Services
from tests.bench.pages import addresses
from tests.simulator.client import StandIn
from tests.support import large
from tests.support.console import Browser


@pytest.fixture
def variables(at_wecom: dict[str, str]) -> dict[str, str]:
    """Of an app that the stand-in knows: pages ask WeCom for its members."""
    return at_wecom


@pytest.fixture
def filled(services: Services, wecom: StandIn) -> Services:
    large.people(wecom)
    large.fill(services, large.Size(deliveries=300))
    return services


def test_it_is_as_large_as_it_says_and_its_totals_are_those_of_its_rows(filled: Services) -> None:
    book = filled.books.book("default", 1)
    assert (len(book.templates), len(book.rules)) == (300, 200)
    assert len(filled.app("default").channels.all()) == 100
    rows = list(filled.ledger.deliveries())
    assert len(rows) == 300
    today = datetime.now(filled.settings.timezone).date()
    days = [today - timedelta(n) for n in range(large.DAYS + 1)]
    totals = statistics.added(statistics.read(filled.redis, "default", days, ["total"]).values())
    assert {outcome: n for (_, _, outcome), n in totals.items()} == Counter(str(row.outcome) for row in rows)


def test_every_page_stands_over_it(filled: Services, browse: Browser) -> None:
    for path in addresses(filled, browse).values():
        assert browse.get(path).status_code == 200, path
