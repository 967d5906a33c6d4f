"""What is kept of alerts is read again, also by the release before and by the one after."""

import json

from tasks.alerts import records
from tasks.alerts.conditions import Alert, Counts, Finding, Past
from tasks.alerts.episode import Episode

PAST = Past(1000.0, 2000.0, {"sales": Counts({"expired": 3}, 1600.0, {"expired": 1}), "two": Counts({})})


def kept(changes: dict[str, str | None], before: dict[str, str] | None = None) -> dict[str, str]:
    return {name: text for name, text in {**(before or {}), **changes}.items() if text is not None}


def test_the_past_is_read_as_it_was_written_and_only_what_changed_is_written():
    stored = kept(records.changes_of(None, PAST))
    assert records.past_of(stored) == PAST
    later = Past(1000.0, 2005.0, {"sales": PAST.apps["sales"]})
    changes = records.changes_of(PAST, later)
    assert set(changes) == {"past", "past|two"}
    assert records.past_of(kept(changes, stored)) == later


def test_an_episode_is_read_as_it_was_written():
    episode = Episode(1.0, 2.0, True, 3.0, 4.0, True, 5.0)
    assert records.episode_of(records.text_of(episode)) == episode
    assert records.episode_of(None) is None
    assert records.name_of(Finding(Alert.TOKEN_REFUSED, True, "sales")) == "TokenRefused|sales"


def test_what_another_release_wrote_is_read_as_far_as_it_is_known():
    newer = json.dumps({"since": 1.0, "told": True, "mood": "good"})
    assert records.episode_of(newer) == Episode(1.0, told=True)
    assert records.episode_of("{}") is None
    assert records.episode_of("no JSON") is None
    assert records.past_of({"past": "[]"}) is None
    assert records.past_of({"past": '{"watched_from": 1, "at": 2}', "past|sales": "?"}) == Past(1.0, 2.0)
    assert records.episodes_in({"past": "", "past|a": "", "TokenRefused|a": "", "Later|b": ""}) == ["TokenRefused|a"]


def test_what_a_later_release_changed_the_meaning_of_is_no_record():
    for text in ('{"since": "soon"}', '{"since": 1.0, "told_at": {}}', '{"since": null}', "[1]", "7"):
        assert records.episode_of(text) is None
    for text in ('{"missed": 7}', '{"missed": {"expired": "many"}}', '{"missed": {}, "missed_at": "soon"}'):
        assert records.past_of({"past": '{"watched_from": 1, "at": 2}', "past|sales": text}) == Past(1.0, 2.0)
