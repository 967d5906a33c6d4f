"""How many calls of one API may begin, so that WeCom's limits are never reached. Pure. Docs 90312, 90454.

WeCom allows a corp 10 000 calls a minute and 150 000 an hour of each API, and an IP address 20 000 and 600 000 of all
of them together. Who exceeds a limit is refused (45009) for as long as its unit of time. No document says whether
WeCom's minute slides, so the one here does: a call counts in its second, and the last SECONDS of them count. They are
more than 60, since a call reaches WeCom a moment after it was counted.

calls.lua does the same in Redis; a test compares the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

SEND = "externalcontact/send_welcome_msg"
ALL_CORPS = "all"  # in place of a corp's id: the greetings of all of them, counted where there are several

SECONDS, MINUTES = 63, 61  # buckets that count: 60 and those at both ends; and 2 s on the way to WeCom
PERCENT = 97  # of WeCom's limits, unless WECOM_LIMIT_PERCENT says otherwise
BACKGROUND = 0.8  # of that, for what is no greeting: greetings have what is left, and all of it if they need it

TOO_MANY, TOO_MANY_AT_ONCE = 45009, 45033
LIMIT_CODES = frozenset({TOO_MANY, TOO_MANY_AT_ONCE})
PAUSES = (1.0, 2.0, 4.0, 5.0)  # seconds after the first, second … 45009 in a row; then one call tries
CROWDED = 0.25  # seconds after a 45033: it is over when some of the calls have ended
CROWDED_GROWS = 20.0  # seconds after a 45033 in which as many calls more may be under way as at first
FIRST_AGAIN = 16  # greetings under way at first when a 45009 is over: they may be too many still
AGAIN_GROWS = 0.5  # seconds in which that grows by as many
PROBE = 4.0  # seconds within which the call that tries is answered, or another one tries


@dataclass(frozen=True, slots=True)
class Limits:
    """Calls a minute and an hour: of one API of a corp, and of an IP address."""

    minute: int
    hour: int
    address_minute: int
    address_hour: int

    @classmethod
    def of(cls, percent: int = PERCENT, share: float = 1.0) -> "Limits":
        """So many percent of WeCom's limits, and of that a `share`; at least one call each."""
        scale = percent / 100 * share
        minute, hour, address_minute, address_hour = (
            max(1, int(calls * scale)) for calls in (10_000, 150_000, 20_000, 600_000)
        )
        return cls(minute, hour, address_minute, address_hour)


@dataclass(frozen=True, slots=True)
class Window:
    """Calls by bucket of `unit` seconds; the last `span` buckets count."""

    unit: int
    span: int
    calls: Mapping[int, int] = field(default_factory=dict)

    def at(self, now: float) -> "Window":
        """What counts at `now`, in seconds. If the clock was set back, all that counted does so from now on."""
        here = int(now) // self.unit
        if any(bucket > here for bucket in self.calls):
            return Window(self.unit, self.span, {here: sum(self.calls.values())})
        counts = {bucket: calls for bucket, calls in self.calls.items() if bucket > here - self.span}
        return Window(self.unit, self.span, counts)

    def begun(self, calls: int, now: float) -> "Window":
        """With so many calls more."""
        here, counting = int(now) // self.unit, self.at(now).calls
        return Window(self.unit, self.span, {**counting, here: counting.get(here, 0) + calls})

    def used(self, now: float) -> int:
        return sum(self.at(now).calls.values())


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of one API, in its minute and its hour."""

    minute: Window = field(default_factory=lambda: Window(1, SECONDS))
    hour: Window = field(default_factory=lambda: Window(60, MINUTES))

    def begun(self, calls: int, now: float) -> "Calls":
        return Calls(self.minute.begun(calls, now), self.hour.begun(calls, now))

    def left(self, limits: Limits, now: float) -> int:
        """How many more may begin."""
        return max(0, min(limits.minute - self.minute.used(now), limits.hour - self.hour.used(now)))


def pause(errcode: int, times: int) -> float:
    """Seconds for which nobody calls after WeCom refused a call for its limit, `times` in a row."""
    return CROWDED if errcode == TOO_MANY_AT_ONCE else PAUSES[min(max(times, 1), len(PAUSES)) - 1]
