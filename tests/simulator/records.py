"""The outcome of every added contact: the judge of tests and benchmarks. Pure; times are `time.time()`."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(slots=True)
class Send:
    """One call of send_welcome_msg with this code. `result`: the errcode, or the fault that hit it.

    `answered` is None until the answer is on its way, False if the caller cannot have had it.
    """

    at: float
    result: int | str
    answered: bool | None = None
    spent: bool = False  # this call used the code up


@dataclass(slots=True)
class Record:
    """One added contact. Times are None until it has happened."""

    id: int
    app: str
    corp_id: str
    change: str
    user_id: str
    external_user_id: str
    welcome_code: str  # "" where the event carries none
    state: str
    planned_at: float  # when the push was due; fixed before a load starts, so that a slow generator hides nothing
    created_at: int  # WeCom's CreateTime
    add_way: int = 1  # how the contact was added, doc 92114
    pushed_at: float | None = None  # the first push; the code's window starts here
    pushes: int = 0
    failures: list[str] = field(default_factory=list)  # of the pushes: an HTTP status, "timeout", "refused" …
    accepted_at: float | None = None  # the callback answered 200
    callback_s: float | None = None  # how long that answer took
    sends: list[Send] = field(default_factory=list)
    spent_at: float | None = None  # the code was used
    greeted_at: float | None = None  # the customer has the greeting
    content: dict[str, Any] | None = None  # the greeting: text, attachments

    @property
    def greeted_after(self) -> float | None:
        """Seconds from the planned arrival to the greeting."""
        return None if self.greeted_at is None else self.greeted_at - self.planned_at

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Record":
        return cls(**{**value, "sends": [Send(**send) for send in value["sends"]]})

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Seconds. None where nothing was measured: unknown is not zero."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    max: float | None = None

    @classmethod
    def of(cls, values: Iterable[float]) -> "Percentiles":
        ordered = sorted(values)
        if not ordered:
            return cls()
        return cls(*(ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.50, 0.90, 0.99, 1)))


@dataclass(frozen=True, slots=True)
class Summary:
    """The results of a run. `greetable`: added with a code. `after_*`: seconds from the planned arrival."""

    added: int
    greetable: int
    accepted: int
    given_up: int  # no push was answered 200, and there will be no more
    greeted: int
    greeted_in_window: int
    window_s: float
    sends: int
    spent_twice: int  # calls with a used code, after the answer of its use had reached the caller
    retried_after_lost_answer: int  # calls with a used code, after that answer was lost: allowed
    unknown_codes: int  # calls with a code that was never issued
    to_greeting: Percentiles
    callback: Percentiles
    push_lag: Percentiles  # how late first pushes were: the generator's own delay
    answers: dict[str, dict[str, int]]  # path → errcode or fault → calls
    token_fetches: dict[str, int]  # app → successful gettoken calls
    token_refusals: int
    greeted_share: float | None = None  # in the window, of the greetable

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Summary":
        return cls(
            **{k: Percentiles(**v) if k in ("to_greeting", "callback", "push_lag") else v for k, v in value.items()}
        )


class Records:
    """Every added contact, by id and by code, and the counts of each path's answers."""

    def __init__(self) -> None:
        self.all: list[Record] = []
        self.by_code: dict[str, Record] = {}
        self.answers: Counter[tuple[str, int | str]] = Counter()
        self.accepted = self.given_up = self.greeted = self.unknown_codes = 0
        self.last_greeted_at = 0.0

    def add(self, record: Record) -> None:
        self.all.append(record)
        if record.welcome_code:
            self.by_code.setdefault(record.welcome_code, record)  # one code, one greeting, however many events bring it

    def accept(self, record: Record, now: float, callback_s: float) -> None:
        """The callback answered 200. Repeated pushes of an accepted event change nothing."""
        if record.accepted_at is None:
            record.accepted_at, record.callback_s = now, callback_s
            self.accepted += 1

    def greet(self, record: Record, at: float, content: dict[str, Any]) -> None:
        record.greeted_at, record.content = at, content
        self.greeted += 1
        self.last_greeted_at = max(self.last_greeted_at, at)

    def status(self) -> dict[str, Any]:
        """The counts that are cheap to poll."""
        return {
            "added": len(self.all),
            "accepted": self.accepted,
            "given_up": self.given_up,
            "greeted": self.greeted,
            "last_greeted_at": self.last_greeted_at,
        }

    def summary(self, window_s: float, token_fetches: Mapping[str, int], token_refusals: int) -> Summary:
        greetable = sum(1 for r in self.all if r.welcome_code)
        after = [r.greeted_after for r in self.all if r.greeted_after is not None]
        in_window = sum(seconds <= window_s for seconds in after)
        answers: dict[str, dict[str, int]] = {}
        for (path, result), count in sorted(self.answers.items(), key=str):
            answers.setdefault(path, {})[str(result)] = count
        again = [_calls_after_success(r.sends) for r in self.all if r.spent_at is not None and len(r.sends) > 1]
        return Summary(
            added=len(self.all),
            greetable=greetable,
            accepted=self.accepted,
            given_up=self.given_up,
            greeted=self.greeted,
            greeted_in_window=in_window,
            window_s=window_s,
            sends=sum(len(r.sends) for r in self.all),
            spent_twice=sum(needless for needless, _ in again),
            retried_after_lost_answer=sum(excused for _, excused in again),
            unknown_codes=self.unknown_codes,
            to_greeting=Percentiles.of(after),
            callback=Percentiles.of(r.callback_s for r in self.all if r.callback_s is not None),
            push_lag=Percentiles.of(r.pushed_at - r.planned_at for r in self.all if r.pushed_at is not None),
            answers=answers,
            token_fetches=dict(token_fetches),
            token_refusals=token_refusals,
            greeted_share=in_window / greetable if greetable else None,
        )


def _calls_after_success(sends: list[Send]) -> tuple[int, int]:
    """(needless, excused) calls after the one that used the code. Excused: the caller could not know of the success."""
    success = next(n for n, send in enumerate(sends) if send.spent)
    known = sends[success].answered is not False
    needless = excused = 0
    for send in sends[success + 1 :]:
        if known:
            needless += 1
        else:
            excused += 1
        known = known or (send.result in (41050, 41051) and send.answered is not False)
    return needless, excused
