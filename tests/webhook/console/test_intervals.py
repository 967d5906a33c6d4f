"""Intervals of shares: the published examples, and how often they hold what they should, counted in full."""

from math import comb

import pytest

from webhook.console.intervals import newcombe, wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [  # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_published_shares(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@pytest.mark.parametrize(
    ("first", "second", "low", "high"),
    [  # Newcombe 1998, "Interval estimation for the difference between independent proportions", table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0),
        ((10, 10), (0, 10), 0.6075, 1.0),
    ],
)
def test_published_differences(first: tuple[int, int], second: tuple[int, int], low: float, high: float) -> None:
    assert newcombe(*first, *second) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    back = newcombe(*second, *first)
    assert back == (pytest.approx(-high, abs=5e-5), pytest.approx(-low, abs=5e-5))


def test_of_none_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert newcombe(0, 0, 3, 9) == newcombe(3, 9, 0, 0) == (-1.0, 1.0)


@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.93, 0.99])
def test_an_interval_holds_the_true_share_about_95_times_in_100(share: float) -> None:
    of = 120
    held = sum(
        comb(of, hits) * share**hits * (1 - share) ** (of - hits)
        for hits in range(of + 1)
        if wilson(hits, of)[0] <= share <= wilson(hits, of)[1]
    )
    assert 0.92 < held < 0.98


def test_more_customers_make_it_narrower_and_it_stays_within_0_and_1() -> None:
    widths = [high - low for low, high in (wilson(n, 2 * n) for n in (1, 5, 50, 500))]
    assert widths == sorted(widths, reverse=True)
    for of in range(1, 40):
        for hits in range(of + 1):
            low, high = wilson(hits, of)
            assert 0 <= low <= hits / of <= high <= 1
