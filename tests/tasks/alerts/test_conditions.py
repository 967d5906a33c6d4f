"""What is an alert, from a reading and what is remembered of earlier ones."""

from collections.abc import Mapping
from typing import Any

import pytest

from tasks.alerts.conditions import (
    CALM,
    PATIENCE,
    QUIET,
    Alert,
    AppReading,
    Counts,
    Finding,
    Local,
    Past,
    Reading,
    TargetReading,
    judge,
    judge_locally,
    quiet_since,
    remembered,
)
from tasks.monitoring.jobs import Job

NOW = 1_800_000_000.0
FINE = Reading(NOW, 20.0, consumed_at=NOW - 1, memory=0.1, apps={"sales": AppReading(called_at=NOW - 60)})
WATCHED = Past(NOW - 86_400, NOW - 5, {"sales": Counts({})})


def a_reading(**different: Any) -> Reading:
    values = {name: getattr(FINE, name) for name in FINE.__slots__}
    return Reading(**values | different)


def of_app(**different: Any) -> Reading:
    return a_reading(apps={"sales": AppReading(**{"called_at": NOW - 60} | different)})


def found(
    reading: Reading, past: Past | None = WATCHED, usual: Mapping[str, int | None] | None = None
) -> list[Finding]:
    return list(judge(reading, remembered(past, reading), usual or {}))


def alerts(reading: Reading, past: Past | None = WATCHED, usual: Mapping[str, int | None] | None = None) -> set[Alert]:
    return {one.alert for one in found(reading, past, usual) if one.holds}


def test_nothing_is_wrong_with_what_works_and_everything_but_what_a_web_process_knows_is_looked_at():
    assert alerts(FINE) == set()
    locally = {one.alert for one in judge_locally(Local())}
    assert {one.alert for one in found(FINE)} | locally == set(Alert) == set(PATIENCE)
    assert {one.alert for one in found(FINE)} & locally == set()


@pytest.mark.parametrize(("ago", "holds"), [(0.5, False), (19, False), (21, True), (86_400, True)])
def test_workers_are_silent_when_none_took_a_message_within_the_window(ago: float, holds: bool):
    assert (Alert.WORKERS_SILENT in alerts(a_reading(consumed_at=NOW - ago))) is holds


def test_a_worker_that_never_came_is_silent_too():
    (finding,) = (one for one in found(a_reading(consumed_at=None)) if one.alert is Alert.WORKERS_SILENT)
    assert (finding.holds, finding.facts) == (True, {})


def test_a_start_after_a_night_is_no_alarm():
    overnight = Past(NOW - 9e4, NOW - 4e4, {"sales": Counts({})})
    late = a_reading(consumed_at=NOW - 4e4, jobs=(Job("tasks.upkeep.trim_ledger", 600, fine_at=NOW - 4e4),))
    assert alerts(late, overnight) == alerts(late, None) == set()
    assert {Alert.WORKERS_SILENT, Alert.JOB_LATE} <= alerts(late)


@pytest.mark.parametrize(("oldest", "holds"), [(9.0, False), (11.0, True)])
def test_a_queue_is_behind_when_half_of_the_window_is_over(oldest: float, holds: bool):
    assert (Alert.QUEUE_BEHIND in alerts(a_reading(oldest=oldest))) is holds


def test_without_workers_nobody_is_told_that_the_queue_is_behind_as_well():
    assert alerts(a_reading(oldest=60.0, consumed_at=NOW - 60)) == {Alert.WORKERS_SILENT}


@pytest.mark.parametrize(
    ("every", "ago", "holds"), [(60, 800, False), (60, 1000, True), (600, 1700, False), (600, 1900, True)]
)
def test_a_job_is_late_after_a_quarter_of_an_hour_or_three_runs(every: float, ago: float, holds: bool):
    reading = a_reading(jobs=(Job("tasks.upkeep.watch_media", every, fine_at=NOW - ago), Job("x.y", 60, fine_at=NOW)))
    (finding,) = (one for one in found(reading) if one.alert is Alert.JOB_LATE)
    assert (finding.holds, finding.facts) == (holds, {"jobs": "watch_media" if holds else ""})


def test_a_job_that_never_succeeded_is_late_when_that_was_watched_for_long_enough():
    never = a_reading(jobs=(Job("tasks.upkeep.watch_media", 60),))
    assert Alert.JOB_LATE in alerts(never)
    assert Alert.JOB_LATE not in alerts(never, Past(NOW - 600, NOW - 5))


@pytest.mark.parametrize(
    ("target", "holds"),
    [
        (TargetReading("crm", oldest=3500), False),
        (TargetReading("crm", oldest=3700), True),
        (TargetReading("crm", parked=2, parked_at=NOW - 60), True),
        (TargetReading("crm", parked=2, parked_at=NOW - 3700), False),  # it was told, and nobody has tried it again
    ],
)
def test_a_system_does_not_get_its_events_for_an_hour_or_at_all(target: TargetReading, holds: bool):
    fine = TargetReading("lake", oldest=5)
    (finding,) = (one for one in found(of_app(targets=(fine, target))) if one.alert is Alert.FORWARDS_FAILING)
    assert (finding.app, finding.holds) == ("sales", holds)
    assert finding.facts["hosts"] == (["crm"] if holds else [])


@pytest.mark.parametrize("hooks", [(), ("crm",)])
def test_a_hook_that_does_not_answer_is_told_by_name(hooks: tuple[str, ...]):
    (finding,) = (one for one in found(a_reading(hooks=hooks)) if one.alert is Alert.PLACEHOLDERS_FAILING)
    assert (finding.app, finding.holds, finding.facts) == ("", bool(hooks), {"hooks": list(hooks)})


@pytest.mark.parametrize(("share", "holds"), [(0.84, False), (0.86, True)])
def test_redis_is_almost_full(share: float, holds: bool):
    assert (Alert.REDIS_MEMORY_HIGH in alerts(a_reading(memory=share))) is holds


def test_what_redis_does_not_tell_is_not_judged():
    assert Alert.REDIS_MEMORY_HIGH not in {one.alert for one in found(a_reading(memory=None))}


@pytest.mark.parametrize(
    ("reading", "holds"),
    [
        (AppReading(refused=40001, has_token=False), True),
        (AppReading(refused=40001, has_token=True), True),  # it lives on, and there will be no other
        (AppReading(has_token=False), None),  # between two tries
        (AppReading(), False),
    ],
)
def test_a_refused_token_is_over_only_when_there_is_one(reading: AppReading, holds: bool | None):
    (finding,) = (one for one in found(a_reading(apps={"sales": reading})) if one.alert is Alert.TOKEN_REFUSED)
    assert (finding.app, finding.holds) == ("sales", holds)


def test_media_that_fails_and_a_limit_that_holds_greetings_back():
    assert alerts(of_app(media=2)) == {Alert.MEDIA_FAILING}
    assert alerts(of_app(limit=0)) == alerts(of_app(limit=45009)) == {Alert.LIMIT_REACHED}


# ------------------------------------------------------------------------------------------------ missed greetings


def after(past: Past | None, *steps: tuple[float, dict[str, int]]) -> tuple[list[bool | None], Mapping[str, object]]:
    """What of GreetingsMissed holds after each reading (seconds later, counts); the facts after the last."""
    holds: list[bool | None] = []
    facts: Mapping[str, object] = {}
    for later, counts in steps:
        reading = Reading(NOW + later, 20.0, consumed_at=NOW + later, apps={"sales": AppReading(missed=counts)})
        past = remembered(past, reading)
        (finding,) = (one for one in judge(reading, past, {}) if one.alert is Alert.GREETINGS_MISSED)
        holds.append(finding.holds)
        facts = finding.facts
    return holds, facts


def test_what_was_missed_before_anybody_watched_is_no_alarm():
    assert after(None, (0, {"expired": 7})) == ([False], {})


def test_the_first_miss_is_one_until_nobody_was_missed_for_ten_minutes():
    steps = [
        (0.0, {}),
        (5.0, {"expired": 1}),
        (300.0, {"expired": 1}),
        (604.0, {"expired": 1}),
        (606.0, {"expired": 1}),
    ]
    assert after(None, *steps)[0] == [False, True, True, True, False]
    assert CALM == 600


def test_it_says_how_many_since_it_began_and_by_outcome():
    steps = [(0.0, {"expired": 7}), (5.0, {"expired": 8}), (90.0, {"expired": 9, "refused": 1})]
    assert after(None, *steps)[1] == {"outcomes": {"expired": 2, "refused": 1}}
    later = [*steps, (2000.0, {"expired": 9, "refused": 1}), (2005.0, {"expired": 10, "refused": 1})]
    assert after(None, *later)[1] == {"outcomes": {"expired": 1}}


def test_those_who_were_missed_while_nobody_watched_are_told():
    assert after(None, (0.0, {"expired": 1}), (4000.0, {"expired": 3}))[0] == [False, True]


def test_another_redis_begins_anew():
    assert after(None, (0.0, {"expired": 9}), (5.0, {"expired": 1}), (10.0, {"expired": 1}))[0] == [False, False, False]


# ------------------------------------------------------------------------------------------------ silent callbacks


def silent(ago: float | None, usual: int | None) -> Finding:
    """CallbacksSilent, with the last callback so long ago; None: not known."""
    reading = of_app(called_at=NOW - ago if ago is not None else None)
    (finding,) = (one for one in found(reading, usual={"sales": usual}) if one.alert is Alert.CALLBACKS_SILENT)
    return finding


def test_callbacks_are_silent_only_if_that_is_unusual():
    assert silent(QUIET + 1, usual=12).holds is True
    assert silent(QUIET + 1, usual=None).holds is None  # goes on, if it was so before: few are usual at night
    assert silent(None, usual=12).holds is True
    assert silent(None, usual=None).holds is None


def test_a_callback_ends_the_silence_whatever_is_usual():
    assert silent(QUIET - 1, usual=12).holds is False
    assert silent(0, usual=None).holds is False


def test_silence_counts_from_when_somebody_watched():
    overnight = Past(NOW - 9e4, NOW - 4e4)
    app = AppReading(called_at=NOW - 5e4)
    assert quiet_since(app, WATCHED) == NOW - 5e4
    assert quiet_since(app, remembered(overnight, FINE)) == NOW


# ------------------------------------------------------------------------------------------------ without Redis


@pytest.mark.parametrize(
    ("local", "held"),
    [
        (Local(), set()),
        (Local(away=5.0, can_take=True), {Alert.LIFEBOAT_IN_USE}),
        (Local(in_use=True), {Alert.LIFEBOAT_IN_USE}),  # Redis is back, the records are not in it yet
        (Local(away=5.0, in_use=True, can_take=True), {Alert.LIFEBOAT_IN_USE}),
        (Local(away=5.0, in_use=True), {Alert.LIFEBOAT_IN_USE, Alert.INTAKE_FAILING}),  # its disk is full meanwhile
        (Local(away=5.0), {Alert.INTAKE_FAILING}),
    ],
)
def test_a_web_process_knows_that_redis_is_gone_and_whether_customers_are_greeted(local: Local, held: set[Alert]):
    assert {one.alert for one in judge_locally(local) if one.holds} == held
