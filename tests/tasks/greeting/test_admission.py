"""Who is greeted when more customers come than can be: a model of workers under load, and the decision itself."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from tasks.greeting.admission import PATIENCE, RECENT, Load, PassingOver, Took, admission, needed
from tasks.greeting.policy import LEAST
from tasks.ledger.claims import Admission
from tests.support.overload import EVERYBODY, Api, Fate, Model

OVERLOAD, AFTER = 60.0, 30.0  # seconds


def coming(rate: float, since: float, until: float, app: str = "default") -> Iterator[tuple[float, str]]:
    """Customers at random, `rate` a second."""
    chance = random.Random(7)
    at = since
    while (at := at + chance.expovariate(rate)) < until:
        yield at, app


def lasting(rate: float, after: float) -> list[tuple[float, str]]:
    """An overload of OVERLOAD seconds, then AFTER seconds of `after` a second."""
    return [*coming(rate, 0, OVERLOAD), *coming(after, OVERLOAD, OVERLOAD + AFTER)]


def taking(*steps: tuple[float, float], spread: float = 0.3) -> Api:
    """An API that takes about so many seconds from a time on: (time, seconds), ..."""

    def api(now: float, app: str, chance: random.Random) -> float:
        return [seconds for at, seconds in steps if at <= max(now, 0)][-1] * chance.uniform(1 - spread, 1 + spread)

    return api


def greeted(fates: list[Fate], since: float = -1e9, until: float = 1e9, app: str = "") -> float:
    """The share of the customers who came in that time that was greeted."""
    asked = [fate for fate in fates if since <= fate.at < until and app in ("", fate.app)]
    return sum(fate.sent_at is not None for fate in asked) / len(asked)


def median_wait(fates: list[Fate], since: float) -> float:
    waits = sorted(fate.waited for fate in fates if fate.at >= since)
    return waits[len(waits) // 2]


def oldest_first(model: Model) -> Model:
    """The same under the rule before there was one."""
    return replace(model, admits=lambda _: EVERYBODY)


# ------------------------------------------------------------------------------------------------ overload


@pytest.mark.parametrize("times", [1.15, 2, 5])
@pytest.mark.parametrize(
    ("seconds", "threads", "workers"), [(0.08, 4, 1), (0.08, 2, 3), (0.7, 8, 1), (0.7, 3, 4), (2.0, 8, 1), (2.0, 8, 4)]
)
def test_nine_tenths_of_the_capacity_are_greeted_for_as_long_as_an_overload_lasts(
    seconds: float, threads: int, workers: int, times: float
) -> None:
    capacity = threads * workers / seconds
    model = Model(lasting(capacity * times, capacity / 2), taking((0, seconds)), threads, workers)
    fates = model.run()
    assert model.useful(5, OVERLOAD) >= 0.9
    assert greeted(fates, OVERLOAD + 1) == 1, "everybody after it"


@pytest.mark.parametrize(
    ("steps", "threads"),
    [
        (((0, 0.08), (20, 2.0), (40, 0.08)), 8),
        (((0, 2.0), (15, 0.3), (30, 2.5), (45, 0.1)), 8),
        (((0, 0.7), (30, 1.4)), 32),
        (tuple((at, 0.1 + at / 25) for at in range(60)), 8),  # slower and slower
        (tuple((at, 2.5 - at / 25) for at in range(60)), 8),
        (tuple((at, 0.2 if at % 10 < 5 else 2.0) for at in range(60)), 8),
    ],
)
def test_an_api_that_changes_costs_no_more(steps: tuple[tuple[float, float], ...], threads: int) -> None:
    most = threads / min(seconds for _, seconds in steps)
    model = Model(lasting(most * 1.2, threads / 5), taking(*steps), threads)
    fates = model.run()
    assert model.useful(5, OVERLOAD) >= 0.9
    assert greeted(fates, OVERLOAD + 1) == 1


def test_a_tenth_of_the_calls_that_hang_costs_no_more_than_their_time() -> None:
    def api(now: float, app: str, chance: random.Random) -> float:
        return float("inf") if chance.random() < 0.1 else chance.uniform(0.5, 0.9)

    model = Model(lasting(25, 3), api)
    fates = model.run()
    assert model.useful(5, OVERLOAD) >= 0.9
    assert greeted(fates, OVERLOAD + 1) == 1


@pytest.mark.parametrize("hangs", [10.0, 25.0])
def test_an_api_that_hung_is_tried_and_found_to_be_fast_again(hangs: float) -> None:
    api = taking((0, 0.5), (20, 1e9), (20 + hangs, 0.5))
    model = Model([*coming(25, 0, 80), *coming(5, 80, 110)], api)
    fates = model.run()
    assert model.useful(5, 20) >= 0.9
    assert model.useful(20 + hangs + 5, 80) >= 0.9, "from one time-out after it"
    assert greeted(fates, 81) == 1


@pytest.mark.parametrize(
    ("seconds", "times", "most"), [(0.7, 2.2, 0.5), (0.7, 5, 0.1), (2.0, 2.2, 0.3), (2.0, 5, 0.01)]
)
def test_oldest_first_would_greet_ever_fewer(seconds: float, times: float, most: float) -> None:
    """So the model can tell a good rule from a bad one."""
    capacity = 8 / seconds
    model = oldest_first(Model(lasting(capacity * times, capacity / 2), taking((0, seconds))))
    model.run()
    assert model.useful(25, OVERLOAD) <= most


def test_after_an_overload_new_customers_are_greeted_at_once() -> None:
    model = Model(lasting(25, 5), taking((0, 0.7)))
    assert median_wait(model.run(), OVERLOAD) < 1
    without_a_turn = replace(model, admits=lambda one: replace(one, newest_first=False))
    assert median_wait(without_a_turn.run(), OVERLOAD) > 5


# ------------------------------------------------------------------------------------------------ no overload


def same(model: Model) -> None:
    """Both rules greet the same customers at the same time."""
    assert [fate.sent_at for fate in model.run()] == [fate.sent_at for fate in oldest_first(model).run()]


@pytest.mark.parametrize("rate", [1.0, 8.0, 11.0])
def test_without_overload_nothing_is_different(rate: float) -> None:
    model = Model(lasting(rate, 1), taking((0, 0.7)))
    same(model)
    assert greeted(model.run()) == 1


def test_a_peak_that_can_be_served_is_served_oldest_first_and_whole() -> None:
    peak = [(number / 8000, "default") for number in range(8000)]
    model = Model([*peak, *coming(25, 1, 60)], taking((0, 0.08)), threads=40, workers=1)
    same(model)
    assert greeted(model.run()) == 1


@pytest.mark.parametrize(("rate", "seconds"), [(8.0, 0.7), (25.0, 0.08), (3.0, 2.0)])
def test_after_workers_were_away_no_fewer_are_greeted_than_oldest_first(rate: float, seconds: float) -> None:
    model = Model([*coming(rate, -60, 60)], taking((0, seconds)))
    ours, before = greeted(model.run(), -20), greeted(oldest_first(model).run(), -20)
    assert ours >= before - 0.03, "but for some who had hardly the time"
    assert greeted(model.run(), 20) == 1


def test_with_threads_free_whoever_has_little_time_left_is_tried() -> None:
    slow = Load(20)
    for _ in range(RECENT):
        slow.greeted(Took(4.0, answered=True))
    assert slow.admission(0).worthwhile == 5
    model = Model([(-19.0, "default"), (1.0, "default")], taking((0, 0.2)))
    for worker in model.crew:
        worker.load = slow
    assert greeted(model.run()) == 1


# ------------------------------------------------------------------------------------------------ beside others


@pytest.mark.parametrize(("slow", "fast"), [(10, 4), (30, 4), (10, 40), (100, 10)])
def test_the_customers_of_a_fast_app_have_their_share_beside_those_of_a_slow_one(slow: float, fast: float) -> None:
    def api(now: float, app: str, chance: random.Random) -> float:
        return (2.5 if app == "slow" else 0.2) * chance.uniform(0.7, 1.3)

    crowd = [*coming(slow, 0, OVERLOAD, "slow"), *coming(fast, 0, OVERLOAD, "fast")]
    model = Model(crowd, api, threads=16, shared_by=2)
    fates, before = model.run(), oldest_first(replace(model, shared_by=0)).run()
    assert greeted(fates, app="fast") >= max(0.75, greeted(before, app="fast"))
    assert greeted(fates, app="slow") >= greeted(before, app="slow")
    assert model.useful(5, OVERLOAD) >= 0.9


def test_workers_share_what_there_is() -> None:
    model = Model(lasting(25, 5), taking((0, 0.7)), threads=4, workers=3)
    model.run()
    assert model.useful(5, OVERLOAD) >= 0.9
    assert max(worker.greeted for worker in model.crew) < 1.2 * min(worker.greeted for worker in model.crew)


def test_workers_that_die_cost_their_time_and_the_calls_under_way() -> None:
    api, threads = taking((0, 0.7)), 8
    model = Model(lasting(25, 5), api, threads, 2, dies={20.0: 0, 30.0: 1, 31.0: 0, 40.0: 0})
    fates = model.run()
    away = 4 * (1.0 + 0.7) * threads / (2 * threads * (OVERLOAD - 5))
    assert model.useful(5, OVERLOAD) >= 0.9 - away
    assert any(fate.claims == 2 and fate.sent_at for fate in fates)
    assert greeted(fates, OVERLOAD + 1) == 1


@pytest.mark.parametrize(("window", "seconds"), [(1.0, 0.2), (2.0, 0.3), (5.0, 0.7), (60.0, 2.0)])
def test_codes_may_live_for_other_times(window: float, seconds: float) -> None:
    capacity = 8 / seconds
    model = Model(lasting(capacity * 3, capacity / 3), taking((0, seconds)), window=window)
    fates = model.run()
    assert model.useful(5, OVERLOAD) >= 0.9
    assert greeted(fates, OVERLOAD + 1) == 1


# ------------------------------------------------------------------------------------------------ the decision


@pytest.mark.parametrize(
    ("recent", "window", "seconds"),
    [
        ([], 20.0, LEAST),
        ([0.08] * 32, 20.0, LEAST),
        ([0.8], 20.0, 1.0),
        ([0.08] * 29 + [2.0] * 3, 20.0, LEAST),  # a few slow ones
        ([0.08] * 28 + [2.0] * 4, 20.0, 2.5),
        ([2.0] * 4 + [0.08] * 28, 20.0, 2.5),  # in any order
        ([15.0] * 32, 20.0, 5.0),  # an API that hangs
        ([15.0] * 32, 4.0, 2.0),
        ([15.0] * 32, 1.0, LEAST),
    ],
)
def test_what_a_try_needs_is_what_nine_of_ten_took_and_a_quarter(
    recent: list[float], window: float, seconds: float
) -> None:
    assert needed(recent, window) == pytest.approx(seconds)


def test_only_the_last_greetings_count() -> None:
    load = Load(20)
    for _ in range(RECENT):
        load.greeted(Took(3.0, answered=False))
    assert load.admission(0).worthwhile == 5
    for _ in range(RECENT):
        load.greeted(Took(0.8, answered=True))
    assert load.admission(0).worthwhile == pytest.approx(1.0)


def test_a_greeting_without_an_answer_counts_as_one_that_would_have_taken_longer() -> None:
    load = Load(20)
    load.greeted(Took(1.0, answered=False))
    assert load.admission(0).worthwhile == pytest.approx(2.5)


@pytest.mark.parametrize(
    ("seen", "now", "newest_first"),
    [
        ([], 100.0, False),
        ([(100.0, True, True)], 100.1, False),
        ([(100.0, True, True), (104.4, True, True)], 104.4, False),
        ([(100.0, True, True), (104.4, True, True)], 104.5, True),
        ([(100.0, True, True), (104.4, True, True)], 105.0, False),  # not for a while
        ([(100.0, True, True), (103.0, True, False), (104.4, True, True)], 104.5, True),  # now and then
        ([(100.0, True, True), (103.0, False, False), (104.4, True, True)], 104.5, False),  # nobody waited meanwhile
    ],
)
def test_the_newest_come_first_when_customers_are_passed_over_for_a_while(
    seen: list[tuple[float, bool, bool]], now: float, newest_first: bool
) -> None:
    passing_over = PassingOver()
    for at, waits, passed_over in seen:
        passing_over = passing_over.after(at, waits, passed_over)
    assert PATIENCE + PATIENCE * LEAST == 4.5
    assert admission(LEAST, 20.0, passing_over, now) == Admission(LEAST, newest_first)
    assert not admission(0.7, 60.0, passing_over, now).newest_first, "the slower the API, the longer the while"


def test_the_while_is_a_third_of_the_window_at_most() -> None:
    passing_over = PassingOver(first=100.0, last=104.9)
    assert [admission(4.0, 15.0, passing_over, now).newest_first for now in (104.9, 105.0)] == [False, True]
