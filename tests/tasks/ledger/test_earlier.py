"""What releases before 1.0 stored as English sentences is read as kinds, wherever it stands."""

import json
from typing import Any

import pytest

from tasks.books.media_store import ReadyMedia
from tasks.ledger import earlier
from tasks.reasons import Kind, Reason
from tasks.storage import keys
from tasks.storage.connections import Redis


@pytest.mark.parametrize(
    ("stored", "errcode", "read"),
    [
        (None, None, None),
        ("", None, None),
        ("WeCom refused it in a message", None, Reason.of(Kind.REFUSED_IN_MESSAGE)),
        ("no answer in time", None, Reason.of(Kind.NO_ANSWER, failure="answer_timeout")),
        ("60011 no privilege", 60011, Reason.of(Kind.WECOM_ERROR, errcode=60011, errmsg="no privilege")),
        ("60011 no privilege", 48002, Reason.of(Kind.TEXT, text="60011 no privilege")),
        ("words of nobody's", None, Reason.of(Kind.TEXT, text="words of nobody's")),
        (
            {"kind": "wecom_error", "errcode": 1, "errmsg": "x"},
            None,
            Reason.of(Kind.WECOM_ERROR, errcode=1, errmsg="x"),
        ),
    ],
)
def test_a_sentence_or_what_is_stored_today(stored: Any, errcode: int | None, read: Reason | None) -> None:
    assert earlier.reason_of_data(stored, errcode) == read
    assert earlier.reason(json.dumps(stored) if isinstance(stored, dict) else stored, errcode) == read


def test_the_reason_at_a_file_of_an_earlier_release_is_a_kind(redis_client: Redis) -> None:
    stored = {"value": None, "reason": "WeCom refused it in a message"}
    redis_client.hset(keys.ready_media("ww0"), "image id sha", json.dumps(stored))
    (record,) = ReadyMedia(redis_client).all("ww0").values()
    assert record.reason == Reason.of(Kind.REFUSED_IN_MESSAGE)
