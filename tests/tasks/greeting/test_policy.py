"""What to do next with an event: every case is a row of a table."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.greeting import policy
from tasks.greeting.policy import Finish, Retry, TryState
from tasks.ledger.delivery import OUTCOMES
from tasks.ledger.ledger import CLAIM_LEASE, LEFT_BEHIND
from tasks.messages import translate
from tasks.reasons import Kind, Reason
from tasks.wecom.errors import CODES, Failure, NoAnswer, NotSent, from_answer, from_status
from tests.support.builders import a_claim, a_contact
from webhook.reason_texts import describe

SEND = "externalcontact/send_welcome_msg"
NOW = int(time.time())


def after(error: Exception, jitter: float = 0.5, **different: Any) -> Finish | Retry:
    """What follows a first try that failed with all the window left."""
    values: dict[str, Any] = {"number": 1, "in_doubt": False, "left": 20.0}
    return policy.next_step(error, TryState(**values | different), jitter)


def words(finish: Finish | Retry) -> str:
    assert isinstance(finish, Finish)
    assert finish.reason is not None
    return translate(describe(finish.reason))


def answered(errcode: int) -> Exception:
    return from_answer(errcode, "said WeCom", SEND)


# ------------------------------------------------------------------------------------------------ before


@pytest.mark.parametrize(
    ("event", "claim", "outcome"),
    [
        ({}, {}, None),
        ({"welcome_code": ""}, {}, "no_code"),
        ({"welcome_code": "", "rehearsal": True}, {}, None),
        ({"created_at": NOW - 290}, {}, None),
        ({"created_at": NOW - 310}, {}, "stale"),
        ({"created_at": NOW - 310, "rehearsal": True}, {}, None),
        ({"created_at": NOW + 3600}, {}, None),  # WeCom's clock, or ours: no reason not to try
        ({}, {"age": 19.4}, None),
        ({}, {"age": 19.6}, "expired"),
        ({}, {"age": 45.0}, "expired"),
        ({}, {"age": 2.6, "window": 3.0}, "expired"),
        ({}, {"age": 45.0, "fencing_token": 2, "attempts": 2, "answers": 2}, "expired"),
        ({}, {"age": 45.0, "fencing_token": 2, "attempts": 2, "answers": 1}, "unconfirmed"),  # its try may have arrived
        ({}, {"fencing_token": policy.MOST_REDELIVERIES + 1}, None),
        ({}, {"fencing_token": policy.MOST_REDELIVERIES + 2}, "dead"),
        (
            {},
            {"fencing_token": policy.MANY_REDELIVERIES + 2, "age": 12.6},
            None,
        ),  # as long as there is time, it is tried
        ({}, {"fencing_token": policy.MANY_REDELIVERIES + 2, "age": 19.4}, None),
        ({}, {"fencing_token": policy.MANY_REDELIVERIES + 2, "age": 19.6}, "dead"),
        ({}, {"fencing_token": policy.MANY_REDELIVERIES + 2, "age": 45.0, "attempts": 4}, "dead"),
        ({}, {"fencing_token": policy.MANY_REDELIVERIES + 1, "age": 45.0, "attempts": 3}, "unconfirmed"),
        # by WeCom's clock alone, where the push has a timestamp: whatever the hosts' clocks say
        ({"created_at": NOW - 400, "pushed_at": NOW - 399}, {}, None),  # Redis' clock is fast
        ({"created_at": NOW - 86400, "pushed_at": NOW - 86399}, {}, None),
        ({"created_at": NOW - 310, "pushed_at": NOW - 15}, {}, None),  # pushed again, 295 s late
        ({"created_at": NOW - 310, "pushed_at": NOW - 5}, {}, "stale"),
        ({"created_at": NOW + 400, "pushed_at": NOW + 701}, {}, "stale"),  # Redis' clock is slow
        ({"created_at": NOW + 400, "pushed_at": NOW + 401}, {}, None),
        ({"created_at": NOW, "pushed_at": 1}, {}, None),
        ({"welcome_code": ""}, {"age": 45.0}, "no_code"),
        ({"created_at": NOW - 310}, {"age": 45.0}, "stale"),
    ],
)
def test_wecom_is_called_only_for_who_can_still_be_greeted(
    event: dict[str, Any], claim: dict[str, Any], outcome: str | None
) -> None:
    settlement = policy.before_greeting(a_claim(a_contact(**event), received_at=NOW * 1000, **claim))
    assert (settlement and settlement.outcome) == outcome
    assert settlement is None or settlement.reason


@pytest.mark.parametrize(
    ("claim", "reason"),
    [
        ({"age": 45.0}, "45.0 s in the queue"),
        ({"age": 21.0, "fencing_token": 2, "attempts": 2, "answers": 2}, "21.0 s in tries"),
    ],
)
def test_expired_names_the_step_that_took_the_time(claim: dict[str, Any], reason: str) -> None:
    finish = policy.before_greeting(a_claim(**claim))
    assert finish is not None
    assert words(finish) == reason


@pytest.mark.parametrize(
    ("served_for", "claim", "kind"),
    [
        (30.0, {"age": 19.6}, Kind.OVERLOADED),
        (30.0, {"age": 29.9}, Kind.OVERLOADED),
        (30.0, {"age": 31.0}, Kind.WINDOW_OVER),  # it came before this process was there
        (0.0, {"age": 19.6}, Kind.WINDOW_OVER),
        (30.0, {"age": 19.6, "fencing_token": 2, "attempts": 1, "answers": 1}, Kind.WINDOW_OVER),
        (30.0, {"age": 19.6, "fencing_token": 2, "attempts": 1}, Kind.WORKER_DIED_IN_TRY),
        (30.0, {"age": 5.0}, None),
    ],
)
def test_who_waited_while_workers_did_all_they_could_had_too_many_beside_them(
    served_for: float, claim: dict[str, Any], kind: Kind | None
) -> None:
    finish = policy.given_up(a_claim(**claim), time.monotonic() - served_for)
    assert (finish and finish.reason and finish.reason.kind) == kind


# ------------------------------------------------------------------------------------------------ a try


@pytest.mark.parametrize(
    ("number", "left", "timeout"),
    [
        (1, 20.0, 3.0),
        (2, 16.9, 4.0),
        (3, 12.8, 5.0),
        (4, 7.7, 5.0),
        (4, 19.0, 5.0),  # a worker that dies in it is missed no longer than that
        (9, 19.0, 5.0),
        (9, 0.5, 0.5),
        (1, 1.2, 1.2),
        (1, 0.49, None),
        (4, -3.0, None),
    ],
)
def test_time_outs_grow_and_end_with_the_window(number: int, left: float, timeout: float | None) -> None:
    assert policy.try_timeout(number, left) == timeout


@given(st.integers(1, 50), st.floats(-10, 3600))
def test_no_try_goes_beyond_the_window_or_begins_too_late(number: int, left: float) -> None:
    timeout = policy.try_timeout(number, left)
    assert (timeout is None) == (left < 0.5)
    assert timeout is None or 0.5 <= timeout <= left


@given(st.integers(1, 2), st.lists(st.floats(0, 1), min_size=9, max_size=9))
def test_a_hung_connection_leaves_time_for_three_more_tries(hung: int, jitters: list[float]) -> None:
    """Even when they hang as well."""
    left, tries = 20.0, 0
    while (timeout := policy.try_timeout(tries + 1, left)) is not None:
        tries += 1
        left -= timeout
        decision = after(
            NoAnswer(SEND, Failure.ANSWER_TIMEOUT), number=tries, in_doubt=True, left=left, jitter=jitters[tries]
        )
        if isinstance(decision, Finish):
            break
        left -= decision.wait
    assert tries >= 4


# ------------------------------------------------------------------------------------------------ after a try

AGAIN = "again"
ERRCODES = {  # every code that is known (docs 90313, 90455, 92137) → what follows a first try
    **dict.fromkeys([-1, 45033, 45035, 41096, 45009], AGAIN),
    **dict.fromkeys([40014, 42001, 41001], AGAIN),  # renewed by the client already, and refused once more
    41051: "lost",
    **dict.fromkeys([40001, 40003, 60111, 40004, 40005, 40006, 40007, 40008, 40009, 40011, 40013, 40033], "refused"),
    **dict.fromkeys([40058, 40063, 40096, 40098, 40123, 41002, 41004, 41006, 41009, 41049, 41050, 41052], "refused"),
    **dict.fromkeys([41053, 41054, 41055, 41058, 41064, 41065, 41088, 44001, 44004, 45001, 45002], "refused"),
    **dict.fromkeys([48001, 48002, 48005, 48006, 50002, 50003, 50100, 60011, 60020, 60021, 81013], "refused"),
    **dict.fromkeys([84061, 84074, 90207, 90208, 301002, 701008, 40050, 40056, 40068, 40071, 40097, 40100], "refused"),
    **dict.fromkeys([40029, 45029, 46004, 48009, 50001, 60123, 81017, 93000, 830002], "refused"),
    41063: AGAIN,
    # of other calls
    **dict.fromkeys([6000, 40082, 40085, 41078, 41079, 41094, 42009], AGAIN),
    **dict.fromkeys([40031, 40066, 40070, 40072, 40080, 40083, 40084, 40088, 40099, 40126, 40128, 40129], "refused"),
    **dict.fromkeys([40130, 40131, 40132, 40143, 40201, 41011, 41035, 41037, 41038, 41039, 41040, 41041], "refused"),
    **dict.fromkeys([41042, 41043, 41044, 41045, 41046, 41047, 41048, 41056, 41060, 41061, 41062, 41070], "refused"),
    **dict.fromkeys([41071, 41072, 41074, 41075, 41080, 41081, 41082, 41089, 41091, 41093, 41095, 45031], "refused"),
    **dict.fromkeys([48003, 48004, 49008, 60003, 82001, 84083, 85002, 86003, 90206, 90500, 90501, 90502], "refused"),
    **dict.fromkeys([90503, 90504, 90507, 90508, 90511, 600018, 710000], "refused"),
    987654: "refused",  # one that nobody has heard of is not repeated
}


def test_the_table_of_errcodes_is_whole() -> None:
    assert set(ERRCODES) - {987654} == set(CODES)


@pytest.mark.parametrize(("errcode", "follows"), ERRCODES.items())
def test_what_follows_an_errcode(errcode: int, follows: str) -> None:
    decision = after(answered(errcode))
    if follows == AGAIN:
        assert isinstance(decision, Retry)
        return
    assert isinstance(decision, Finish)
    assert (decision.outcome, decision.errcode) == (follows, errcode)
    assert decision.reason == Reason.from_error(answered(errcode))
    assert decision.outcome in OUTCOMES


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (answered(-1), [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]),
        (answered(45033), [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]),
        (answered(42001), [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]),
        (answered(41096), [1.0, 2.0, 3.0, 3.0]),
        (answered(45009), [1.0, 2.0, 2.0]),
        (NotSent(SEND, Failure.CONNECTION_REFUSED), [0.2, 0.4, 0.8, 1.0, 1.0]),
        (from_status(404, SEND), [0.2, 0.4, 0.8, 1.0, 1.0]),
        (NoAnswer(SEND, Failure.ANSWER_TIMEOUT), [0.1, 0.1, 0.1]),
        (NoAnswer(SEND, Failure.CONNECTION_CUT), [0.2, 0.4, 0.8, 1.0, 1.0]),
        (from_status(502, SEND), [0.2, 0.4, 0.8, 1.0, 1.0]),
    ],
    ids=lambda value: str(value) if isinstance(value, Exception) else "",
)
def test_how_long_to_wait(error: Exception, seconds: list[float]) -> None:
    waits = [after(error, number=number, left=100.0).wait for number in range(1, len(seconds) + 1)]
    assert waits == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("errcode", "waits_in_the_ledger"), [(45009, True), (45033, True), (-1, False), (41096, False)]
)
def test_an_event_that_a_limit_holds_back_keeps_no_thread(errcode: int, waits_in_the_ledger: bool) -> None:
    assert after(answered(errcode), number=1, left=9.0).give_back is waits_in_the_ledger


@pytest.mark.parametrize("errcode", [41050, 41051])
def test_a_used_code_after_a_lost_answer_was_ours_for_all_we_know(errcode: int) -> None:
    decision = after(answered(errcode), number=2, in_doubt=True)
    assert (decision.outcome, decision.errcode) == ("unconfirmed", errcode)


@pytest.mark.parametrize("errcode", [41050, 41051])
def test_a_used_code_after_an_error_of_wecoms_own_was_ours_for_all_we_know(errcode: int) -> None:
    decision = after(answered(errcode), number=2, erred=True)
    assert (decision.outcome, decision.errcode) == ("unconfirmed", errcode)
    assert decision.reason == Reason.of(Kind.CODE_USED_AFTER_ERROR)


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (answered(-1), True),
        (answered(-2), True),
        (from_answer(-1, "system busy", "gettoken"), False),
        *((answered(code), False) for code in (45009, 45033, 41096, 40014, 42001, 40001, 60020, 41050, 987654)),
        (NotSent(SEND, Failure.CONNECTION_REFUSED), False),
        (from_status(403, SEND), True),
        (from_status(404, "gettoken"), False),
    ],
)
def test_an_error_of_wecoms_own_may_have_delivered(error: Exception, may: bool) -> None:
    assert policy.may_have_delivered(error) is may


def test_a_used_code_without_a_lost_answer_was_somebody_elses() -> None:
    assert after(answered(41050)).outcome == "refused"
    assert after(answered(41051)).outcome == "lost"


def test_a_race_to_the_end_is_lost_to_the_other_app() -> None:
    decision = after(answered(41096), number=6, left=1.0)
    assert (decision.outcome, decision.errcode) == ("lost", 41096)


@pytest.mark.parametrize(
    ("error", "errcode", "reason"),
    [
        (answered(-1), -1, "3 tries, the last: -1 said WeCom"),
        (answered(45009), 45009, "3 tries, the last: 45009 said WeCom"),
        (answered(40014), 40014, "3 tries, the last: 40014 said WeCom"),
        (NotSent(SEND, Failure.CONNECTION_REFUSED), None, "3 tries, the last: the connection is refused"),
        (NoAnswer(SEND, Failure.HTTP_STATUS, "502"), None, "3 tries, the last: HTTP 502"),
        (from_status(404, SEND), None, "3 tries, the last: HTTP 404"),
    ],
)
def test_trouble_to_the_end_has_failed_and_says_what_was_last(error: Exception, errcode: int, reason: str) -> None:
    decision = after(error, number=3, left=0.55)
    assert (decision.outcome, decision.errcode, words(decision)) == ("failed", errcode, reason)


def test_a_failure_says_that_the_customer_may_have_been_greeted_all_the_same() -> None:
    decision = after(answered(-1), number=3, in_doubt=True, left=0.55)
    assert (decision.outcome, words(decision)) == ("failed", "3 tries, the last: -1 said WeCom; an answer may be lost")


def test_one_try_is_called_a_try() -> None:
    assert words(after(NotSent(SEND, Failure.NO_TLS), left=0.1)) == "1 try, the last: no TLS connection"


errors = st.sampled_from(
    [
        *map(answered, ERRCODES),
        NotSent(SEND, Failure.CONNECTION_REFUSED),
        NoAnswer(SEND, Failure.ANSWER_TIMEOUT),
        *(from_status(status, SEND) for status in (302, 403, 404, 502)),
    ]
)


@given(errors, st.integers(1, 40), st.booleans(), st.floats(-5, 30), st.floats(0, 1))
def test_no_wait_uses_up_the_time_for_the_next_try(
    error: Exception, number: int, in_doubt: bool, left: float, jitter: float
) -> None:
    decision = after(error, jitter, number=number, in_doubt=in_doubt, left=left)
    if isinstance(decision, Finish):
        assert decision.outcome in OUTCOMES
    else:
        assert decision.wait > 0
        assert policy.try_timeout(number + 1, left - decision.wait) is not None


@given(errors, st.integers(1, 40), st.floats(0, 1))
def test_jitter_moves_a_wait_by_a_quarter_at_most(error: Exception, number: int, jitter: float) -> None:
    middle, moved = (after(error, number=number, left=1000.0, jitter=j) for j in (0.5, jitter))
    if isinstance(middle, Finish):
        assert moved == middle
    else:
        assert isinstance(moved, Retry)
        assert 0.75 * middle.wait - 1e-9 <= moved.wait <= 1.25 * middle.wait + 1e-9


# ------------------------------------------------------------------------------------------------ the message


@pytest.mark.parametrize(
    ("errcode", "step"),
    [
        (40007, Retry(0.0, media_died=True, drop=policy.WITH_MEDIA, keep_urls=True)),
        (40009, Retry(0.0, media_died=True, drop=policy.WITH_MEDIA)),
        (90207, Retry(0.0, drop=frozenset({"miniprogram"}))),
        (41064, Retry(0.0, drop=policy.EVERY_ATTACHMENT)),
        (987654, Retry(0.0, drop=policy.EVERY_ATTACHMENT)),
    ],
)
def test_what_may_be_an_attachments_fault_is_tried_at_once_without_it(errcode: int, step: Retry) -> None:
    assert after(answered(errcode), has_attachments=True) == step
    assert isinstance(after(answered(errcode)), Finish), "there is nothing to leave out"
    late = after(answered(errcode), has_attachments=True, left=0.3)
    assert isinstance(late, Finish), "there is no time for another try"
    assert late.media_died == step.media_died, "the next customer is to get what was renewed"


def test_media_is_renewed_once_and_then_left_out() -> None:
    step = after(answered(40007), has_attachments=True, media_renewed=True)
    assert step == Retry(0.0, drop=policy.WITH_MEDIA, keep_urls=True)


@pytest.mark.parametrize("in_tries", [False, True])
def test_an_event_whose_workers_all_die_is_tried_to_the_end_of_its_window_and_then_dead(in_tries: bool) -> None:
    """In a storm of kills too there is nobody whom a limit gives up with time left."""
    left, recoveries = 20.0, 0
    while (timeout := policy.try_timeout(recoveries + 1, left)) is not None:
        left -= (timeout + 1.0 if in_tries and recoveries else CLAIM_LEASE) + LEFT_BEHIND
        recoveries += 1
    assert policy.MANY_REDELIVERIES < recoveries <= policy.MOST_REDELIVERIES
