"""The last hour of the queue: spans and rates, against a count by hand over generated hours."""

import random

import pytest

from tasks.ledger.samples import Sample
from webhook.console import last_hour

NAMES = ("added", "greeted", "missed")


def an_hour(seed: int) -> list[Sample]:
    """Samples of every kind: with gaps, with counts that are not known, at uneven times."""
    chance = random.Random(seed)
    at, found = 1_700_000_000.0, []
    for _ in range(chance.choice((0, 1, 5, 200))):
        seconds = chance.uniform(9.5, 12)
        if chance.random() < 0.05:
            found += [Sample(at + 60), Sample(at + 120, 1, 1)]
            at += 120
        at += seconds
        counts = [chance.randrange(9) if chance.random() < 0.97 else None for _ in NAMES]
        found.append(Sample(at, chance.randrange(50), chance.randrange(9), seconds, *counts))
    return found


@pytest.mark.parametrize("seed", range(12))
def test_a_span_holds_what_was_sampled_in_it(seed: int) -> None:
    samples = an_hour(seed)
    spans = last_hour.spans(samples)
    assert [one.start for one in spans] == sorted({one.at - one.at % 300 for one in samples}, reverse=True)
    for span in spans:
        within = [one for one in samples if span.start <= one.at < span.start + 300]
        for name in (*NAMES, "waiting", "in_flight"):
            known = [value for one in within if (value := getattr(one, name)) is not None]
            expected = (sum if name in NAMES else max)(known) if known else None
            assert getattr(span, name) == expected


@pytest.mark.parametrize("seed", range(12))
def test_a_rate_is_of_the_minute_before(seed: int) -> None:
    samples = an_hour(seed)
    for name in NAMES:
        for at, rate in enumerate(last_hour.per_minute(samples, name)):
            number, seconds = 0, 0.0
            for one in reversed(samples[: at + 1]):
                value = getattr(one, name)
                if value is None or seconds >= 59:
                    break
                number, seconds = number + value, seconds + (one.seconds or 0)
            known = getattr(samples[at], name) is not None
            assert rate == (pytest.approx(60 * number / seconds, abs=0.051) if known else None)


def test_the_first_sample_and_a_gap_have_no_rate() -> None:
    samples = [Sample(10, 0, 0), Sample(20, 1, 0, 10, 2, 2, 0), Sample(50), Sample(90, 5, 0)]
    assert last_hour.per_minute(samples, "added") == [None, 12.0, None, None]
    chart = last_hour.depth(samples, "UTC").data()
    assert [one["values"] for one in chart["series"]] == [[0, 1, None, 5], [0, 0, None, 0]]
