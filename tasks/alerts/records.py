"""The records of the alerts as texts, and back. Pure.

    alert|app    an Episode          past    when there was a reading          past|app    the Counts of an app

JSON by field. What a later release adds is left out, what it leaves out has its default; what is no record is none.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, TypeVar

from tasks.alerts.conditions import Alert, Counts, Finding, Past
from tasks.alerts.episode import Episode

PAST = "past"
T = TypeVar("T", Episode, Counts)


def name_of(finding: Finding) -> str:
    """Of the record of its episode."""
    return f"{finding.alert}|{finding.app}"


def episode_of(text: str | None) -> Episode | None:
    episode = None if text is None else _read(Episode, text)
    moments = () if episode is None else (episode.told_at, episode.clear_since, episode.over_at, episode.failed_at)
    if episode is None or not all(_number(one) for one in (episode.since, *filter(_given, moments))):
        return None
    return episode


def text_of(value: Episode | Counts | None) -> str | None:
    return None if value is None else json.dumps(asdict(value))


def episodes_in(records: Mapping[str, str]) -> list[str]:
    """The names of the records that are episodes."""
    alerts = {str(alert) for alert in Alert}
    return [name for name in records if name.partition("|")[0] in alerts]


def past_of(records: Mapping[str, str]) -> Past | None:
    """What earlier readings have shown; None: there was none."""
    known = _json(records.get(PAST, ""))
    try:
        watched_from, at = float(known["watched_from"]), float(known["at"])
    except (KeyError, TypeError, ValueError):
        return None
    apps = {}
    for name, text in records.items():
        kind, bar, app = name.partition("|")
        counts = _read(Counts, text) if kind == PAST and bar else None
        if counts is not None and _counted(counts):
            apps[app] = counts
    return Past(watched_from, at, apps)


def changes_of(before: Past | None, after: Past) -> dict[str, str | None]:
    """The records that make one past of the other."""
    known = {} if before is None else before.apps
    changes = {PAST: json.dumps({"watched_from": after.watched_from, "at": after.at})} | {
        f"{PAST}|{app}": text_of(counts) for app, counts in after.apps.items() if known.get(app) != counts
    }
    return changes | {f"{PAST}|{app}": None for app in known if app not in after.apps}


def _read(kind: type[T], text: str) -> T | None:
    known = _json(text)
    try:
        return kind(**{field.name: known[field.name] for field in fields(kind) if field.name in known})
    except TypeError:  # a field without a default is not there
        return None


def _given(value: object) -> bool:
    return value is not None


def _number(value: object) -> bool:
    return isinstance(value, int | float)


def _counted(counts: Counts) -> bool:
    """Whether its values are what they should be, or those of a release that has changed them."""
    for missed in (counts.missed, counts.missed_before):
        if not isinstance(missed, dict) or not all(_number(one) for one in missed.values()):
            return False
    return counts.missed_at is None or _number(counts.missed_at)


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
