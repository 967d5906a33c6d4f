"""A rehearsal's six steps, read from how the callback answered and from the ledger's row. `steps` is pure.

welcome:rehearsal:APP    the last rehearsal that was started in the console, as JSON

signature → decryption → stored → queued → selection → rendering; a step after one that failed is not known.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain, repeat

from tasks.ledger.delivery import Delivery, Outcome
from tasks.messages import Message
from tasks.monitoring.queue_status import SILENT
from tasks.storage import keys
from tasks.storage.connections import Redis
from webhook.outcomes import outcome_text
from webhook.rehearsal import Delivered

LIFE = 7 * 86400  # seconds for which the last one is shown

SIGNATURE, DECRYPTION, STORED = Message.of("Signature"), Message.of("Decryption"), Message.of("Stored")
QUEUED, SELECTION, RENDERING = Message.of("Queued"), Message.of("Selection"), Message.of("Rendering")
STEPS = (SIGNATURE, DECRYPTION, STORED, QUEUED, SELECTION, RENDERING)

DONE, FAILED, WAITING, UNKNOWN = "done", "failed", "waiting", "unknown"


@dataclass(frozen=True, slots=True)
class KeptRehearsal:
    """A rehearsal as it was sent. `status` None: the callback did not answer, for a `reason`. `at`: Unix seconds."""

    event: str
    at: float
    url: str
    member: str
    state: str
    author: str
    status: int | None
    reason: str = ""

    @classmethod
    def of(cls, delivered: Delivered, url: str, author: str, at: float) -> "KeptRehearsal":
        event = delivered.event
        return cls(event.id, at, url, event.user_id, event.state, author, delivered.status, delivered.reason)


def keep(client: Redis, app: str, kept: KeptRehearsal) -> None:
    """Store it as the last one. Raises redis.RedisError."""
    client.set(keys.rehearsal(app), json.dumps(asdict(kept), ensure_ascii=False), ex=LIFE)


def last(client: Redis, app: str) -> KeptRehearsal | None:
    """The last one; None if there was none lately, or none that this release can read. Raises redis.RedisError."""
    try:
        kept = client.get(keys.rehearsal(app))
        return None if kept is None else KeptRehearsal(**json.loads(kept))
    except (ValueError, TypeError):
        return None


# ------------------------------------------------------------------------------------------------ the steps


@dataclass(frozen=True, slots=True)
class RehearsalStep:
    """One of the six. `status`: done, failed, waiting or unknown. `ms`: since receipt, where it is known."""

    name: Message
    status: str
    detail: Message | None = None
    ms: int | None = None


def steps(kept: KeptRehearsal, row: Delivery | None, now: float, window: float) -> tuple[RehearsalStep, ...]:
    """The six steps of a rehearsal at the time `now`.

    row: of the ledger, None where there is none. window: seconds for which a welcome code is valid.
    """
    stands = chain(_on_the_way(kept, row, now, window), repeat(RehearsalStep(SIGNATURE, UNKNOWN)))
    return tuple(replace(stand, name=name) for name, stand in zip(STEPS, stands, strict=False))


def _on_the_way(kept: KeptRehearsal, row: Delivery | None, now: float, window: float) -> Iterator[RehearsalStep]:
    """The steps up to the first that is not done. `steps` sets their names."""

    def stand(status: str, detail: Message | None = None, ms: int | None = None) -> RehearsalStep:
        return RehearsalStep(SIGNATURE, status, detail, ms)

    if kept.status not in (200, 400, 503):
        yield stand(FAILED, _no_answer(kept))
        return
    yield stand(DONE)
    if kept.status == 400:
        yield stand(FAILED, Message.of("the callback cannot read what it was sent: is it started with these settings?"))
        return
    yield stand(DONE)
    if kept.status == 503:
        yield stand(FAILED, Message.of("the callback cannot store events: does Redis take writes?"))
        return
    if row is None:
        yield stand(FAILED, Message.of("the callback said “stored”, and this Redis has nothing: it uses another one"))
        return
    yield stand(DONE, ms=0)
    outcome = row.outcome
    if outcome is None and row.claims == 0:
        waited = now - kept.at
        late = Message.of(
            "no worker has taken it for %(seconds)s s: start `role welcome`", seconds=f"{max(0.0, waited):.0f}"
        )
        yield stand(WAITING) if waited < SILENT else stand(FAILED, late)
        return
    yield stand(DONE, ms=row.steps.get("started"))
    if outcome is Outcome.REHEARSED:
        yield stand(DONE)
        yield stand(DONE, ms=row.steps.get("prepared"))
    elif outcome is Outcome.NO_TEMPLATE:
        yield stand(FAILED, Message.of("no rule applies, and there is no welcome for everything else"))
    elif outcome:
        yield stand(FAILED, outcome_text(row, window).headline)
    else:
        yield stand(WAITING)


def _no_answer(kept: KeptRehearsal) -> Message:
    if kept.status is None:
        return Message.of("%(url)s does not answer from here (%(error)s)", url=kept.url, error=kept.reason)
    if kept.status == 403:
        return Message.of("the callback does not know this Token or corp: is it started with these settings?")
    if kept.status == 404:
        return Message.of("there is no callback of ours at %(url)s: look at the proxy", url=kept.url)
    return Message.of("%(url)s answers HTTP %(status)s: look at the proxy", url=kept.url, status=kept.status)
