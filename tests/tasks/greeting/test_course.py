"""What is known of a greeting after a try: whether it may have been delivered."""

import pytest

from tasks.greeting.course import Course
from tasks.wecom.errors import Failure, NoAnswer, NotSent, from_answer, from_status
from tests.support.builders import a_claim

SEND = "externalcontact/send_welcome_msg"


@pytest.mark.parametrize(
    ("error", "in_doubt", "erred"),
    [
        (from_status(502, SEND), True, False),
        (from_status(204, SEND), True, False),
        (NoAnswer(SEND, Failure.ANSWER_TIMEOUT), True, False),
        (from_status(404, SEND), False, True),
        (from_status(302, SEND), False, True),
        (from_answer(-1, "system busy", SEND), False, True),
        (from_answer(41096, "another app", SEND), False, False),
        (NotSent(SEND, Failure.CONNECTION_REFUSED), False, False),
        (None, False, False),
    ],
)
def test_what_a_try_leaves_in_doubt(error: Exception | None, in_doubt: bool, erred: bool) -> None:
    course = Course.of(a_claim())
    course.try_begins()
    course.try_ended(error)
    assert (course.in_doubt, course.erred, course.answers) == (in_doubt, erred, 0 if in_doubt else 1)
