"""The sizing table of deploy/README.md follows from the figures that stand there."""

from dataclasses import replace

from tests.bench.sizing import LOADS, PAGE, Load, lines, measured, sized
from tests.support.documents import Page

ONE = measured(Page(PAGE).rows())


def test_the_table_on_the_page_is_what_the_figures_on_the_page_give() -> None:
    page = PAGE.read_text("utf-8")
    assert "\n".join(lines(ONE)) in page, "python -m tests.bench.sizing prints the table"


def test_one_corp_needs_one_process_of_each_role_and_one_address() -> None:
    size = sized(Load(1, 1_000, 10), ONE)
    assert (size.installations, size.web, size.welcome, size.addresses) == (1, 1, 1, 1)
    assert size.connections == ONE.connections


def test_what_is_asked_for_carries_the_peak() -> None:
    for load in LOADS:
        size = sized(load, ONE)
        assert size.web * ONE.callbacks >= load.peak
        assert size.welcome * ONE.greetings >= load.peak
        assert size.cores * 1000 > load.peak * ONE.cpu
        assert size.redis_cores < size.installations  # Redis uses one core for commands


def test_twice_the_customers_of_a_day_take_twice_the_memory_of_redis_and_nothing_else() -> None:
    load = Load(100, 50_000, 300)
    once, twice = sized(load, ONE), sized(replace(load, day=100_000), ONE)
    assert twice == replace(once, redis=2 * once.redis)


def test_dearer_greetings_take_more_cores() -> None:
    load = Load(100, 50_000, 300)
    assert sized(load, replace(ONE, cpu=2 * ONE.cpu)).cores > sized(load, ONE).cores
