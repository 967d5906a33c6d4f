"""The last callback of each app."""

import time

from tasks.ledger.verifications import Verifications
from tasks.reasons import Kind, Reason
from tasks.storage.connections import Redis


def test_what_was_wrong_with_the_last_callback_is_kept_by_app(redis_client: Redis) -> None:
    verifications = Verifications(redis_client)
    assert verifications.last("sales") is None
    wrong = Reason.of(Kind.WRONG_TOKEN)
    verifications.record("sales", wrong)
    verified = verifications.last("sales")
    assert verified is not None
    assert (verified.problem, verified.proven) == (wrong, True)
    assert abs(verified.at - time.time()) < 5
    assert verifications.last("service") is None
