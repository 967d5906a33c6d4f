"""Hypothesis' strategies for rules: any conditions, any contact."""

from datetime import date, datetime, time
from typing import Any

from hypothesis import strategies as st

from tasks.templates.conditions import Contact, Directory
from tasks.templates.model import Dates, Hours, When
from tests.support.books import SHANGHAI

# the corp is 1; 2 and 3 are below it, 4 below 3, 5 below 4
PARENTS = {1: 0, 2: 1, 3: 1, 4: 3, 5: 4}
STATES = ("", "a", "ab", "b-1", "B")
PATTERNS = ("a", "a*", "*", "?", "b-?", "*1", "")
days = st.dates(date(2026, 1, 1), date(2026, 1, 20))
instants = st.builds(datetime.combine, days, st.times(), st.just(SHANGHAI))
times = st.sampled_from([time(0, 0), time(0, 1), time(8, 30), time(12, 0), time(21, 0), time(23, 59)])
hours = st.builds(Hours, times, times | st.none()).filter(lambda one: one.start != one.end)
dates = st.builds(lambda a, b: Dates(min(a, b), max(a, b)), days, days)


def some(strategy: Any) -> Any:
    """A condition: mostly absent, else one or two values."""
    return st.just(()) | st.just(()) | st.lists(strategy, min_size=1, max_size=2).map(tuple)


whens = st.builds(
    When,
    member=some(st.sampled_from(("zhangsan", "lisi"))),
    department=some(st.integers(1, 6)),
    state=some(st.sampled_from(PATTERNS)),
    hours=some(hours),
    weekdays=some(st.integers(0, 6)),
    dates=some(dates),
    customer_type=some(st.sampled_from(("wechat", "wecom"))),
    add_way=some(st.integers(0, 2)),
    change=some(st.sampled_from(("add", "half_add"))),
)
directories = st.builds(
    Directory,
    st.dictionaries(st.sampled_from(("zhangsan", "lisi")), st.frozensets(st.integers(1, 6), min_size=1)),
    st.none() | st.just(PARENTS),
)
contacts = st.builds(
    Contact,
    app=st.just("default"),
    user_id=st.sampled_from(("zhangsan", "lisi")),
    external_user_id=st.sampled_from(("wm1", "wm2")),
    state=st.sampled_from(STATES),
    change=st.sampled_from(("add", "half_add")),
    at=instants,
    directory=directories,
    customer_type=st.sampled_from((None, "wechat", "wecom")),
    add_way=st.none() | st.integers(0, 2),
)
