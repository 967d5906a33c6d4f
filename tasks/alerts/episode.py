"""The course of one alert: when people are told, and when not. Pure.

    begins ── lasts `after` ──▶ BEGAN ── each hour ──▶ LASTS … ── over for `steady` ──▶ OVER
                                                  begins anew within the hour ──▶ AGAIN, and calm for an hour ──▶ OVER

So what comes and goes is told three times in the first hour at most, and once an hour from then on. An episode that is
over before anybody was told leaves no trace. A time of the future is of a clock that was wrong: nobody waits for it.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from tasks.alerts.conditions import Patience

HOUR = 3600.0  # seconds between two messages about one alert
RETRY = 60.0  # seconds after a message that could not be sent
LATE = 3600.0  # seconds after which nobody needs to be told that it was over


class Notice(StrEnum):
    BEGAN = "began"
    LASTS = "lasts"
    AGAIN = "again"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Episode:
    """An alert that lasts, or was over lately. All times are Unix seconds.

    told_at: the last message but OVER, which may have been of the episode before; told: people know of this one.
    clear_since: it has been over since, and may come back. over_at: people know that it is over.
    restless: it began anew within the hour. failed_at: the last message that could not be sent.
    """

    since: float
    told_at: float | None = None
    told: bool = False
    clear_since: float | None = None
    over_at: float | None = None
    restless: bool = False
    failed_at: float | None = None


def step(
    episode: Episode | None, holds: bool | None, now: float, patience: Patience, since: float | None = None
) -> tuple[Episode | None, Notice | None]:
    """(the episode after a reading, None for none; what people are to be told now).

    holds None: not known. since: when it began, if it is new; None: now.
    """
    if holds is None:
        return episode, None
    if holds:
        return _lasts(episode, now, patience, now if since is None else since)
    return _clear(episode, now, patience)


def _lasts(episode: Episode | None, now: float, patience: Patience, since: float) -> tuple[Episode, Notice | None]:
    if episode is None:
        episode = Episode(since)
    elif episode.over_at is not None:
        episode = Episode(since, told_at=episode.told_at, restless=True)
    elif episode.clear_since is not None:
        episode = replace(episode, clear_since=None)
    if _waits(episode, now):
        return episode, None
    if not episode.told:
        if 0 <= now - episode.since < patience.after:
            return episode, None
        return episode, Notice.AGAIN if episode.restless else Notice.BEGAN
    return episode, None if _lately(episode, now) else Notice.LASTS


def _clear(episode: Episode | None, now: float, patience: Patience) -> tuple[Episode | None, Notice | None]:
    if episode is None:
        return None, None
    if episode.over_at is not None:
        return (episode if _lately(episode, now) else None), None
    if not episode.told:
        if episode.restless and _lately(episode, now):
            return replace(episode, over_at=now), None  # it came back for moments: as before
        return None, None
    if episode.clear_since is None:
        episode = replace(episode, clear_since=now)
    since = episode.clear_since or now
    steady = HOUR if episode.restless else patience.steady
    if 0 <= now - since < steady or _waits(episode, now):
        return episode, None
    return (None, None) if now - since > steady + LATE else (episode, Notice.OVER)


def _lately(episode: Episode, now: float) -> bool:
    """Whether there was a message within the hour. One of the future is of a clock that was wrong."""
    return episode.told_at is not None and 0 <= now - episode.told_at < HOUR


def _waits(episode: Episode, now: float) -> bool:
    """Whether a message could not be sent a moment ago."""
    return episode.failed_at is not None and 0 <= now - episode.failed_at < RETRY


def sent(episode: Episode, notice: Notice, now: float) -> Episode | None:
    """The episode after people were told; None: nothing of it is left."""
    if notice is Notice.OVER:
        return replace(episode, over_at=now, failed_at=None) if _lately(episode, now) else None
    return replace(episode, told_at=now, told=True, failed_at=None)


def not_sent(episode: Episode, now: float) -> Episode:
    """The episode after a message could not be sent: it is tried again, unless it is over by then."""
    return replace(episode, failed_at=now)
