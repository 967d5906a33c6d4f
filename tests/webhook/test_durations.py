"""Times as people say them."""

import pytest

from webhook.durations import duration, seconds


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (0.004, "0.1"), (0.09, "0.1"), (0.14, "0.1"), (1.44, "1.4"), (9.96, "10"), (31.2, "31")],
)
def test_seconds_have_one_precision(value: float, said: str) -> None:
    assert seconds(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        *((0.04, "0.1 s"), (42, "42 s"), (89, "89 s"), (90, "2 min"), (600, "10 min"), (3600, "60 min")),
        *((5400, "2 h"), (86400, "24 h"), (3 * 86400, "3 days")),
    ],
)
def test_a_longer_time_has_a_larger_unit(value: float, said: str) -> None:
    assert str(duration(value)) == said
