"""Reasons as releases before 1.0 wrote them, in rows and elsewhere: their English sentences → kinds. Pure.

They stored words where there are kinds today. Their words stand here as they were and never change: today's texts may.
"""

import re
from collections.abc import Mapping
from typing import Any

from tasks.ledger.delivery import LeftOut, LeftOutBecause, Outcome
from tasks.reasons import Kind, Reason

_FAILURES = {  # of the transport
    "the host's name has no address": "no_address",
    "the connection is refused": "connection_refused",
    "no connection in time": "connect_timeout",
    "no answer in time": "answer_timeout",
    "no TLS connection": "no_tls",
    "the connection was cut": "connection_cut",
    "no time left": "no_time_left",
    "no token in time": "no_token_in_time",
    "the answer holds no token": "no_token",
    "the answer is not WeCom's JSON": "not_json",
    "the answer is no file": "not_a_file",
    "a cursor came twice: the pages do not end": "repeated_cursor",
}
_SENTENCES = {
    "invalid": Kind.MEMBER_NOT_VISIBLE,
    "unlicensed": Kind.MEMBER_NOT_LICENSED,
    "time": Kind.NO_TIME_LEFT,
    "it was unfinished when the backup was made": Kind.UNFINISHED_IN_BACKUP,
    "WeCom refused it in a message": Kind.REFUSED_IN_MESSAGE,
    "there is no ciphertext (echostr or Encrypt): not from WeCom, or a proxy changes the request": Kind.NO_CIPHERTEXT,
    "the query was mangled on its way (+ or % decoded twice): let the proxy pass it on unchanged": Kind.QUERY_MANGLED,
    "the Token is right, the EncodingAESKey is not: copy WECOM_ENCODING_AES_KEY from WeCom's page again": (
        Kind.WRONG_AES_KEY
    ),
    "neither Token nor EncodingAESKey fits: another app's callback, or not from WeCom": Kind.WRONG_TOKEN_AND_KEY,
    "the EncodingAESKey is right, the Token is not: copy WECOM_TOKEN from WeCom's page again": Kind.WRONG_TOKEN,
    "the EncodingAESKey is right, Token and corp id are not: compare both with WeCom's page": (
        Kind.WRONG_TOKEN_AND_CORP
    ),
    "nothing is wrong": Kind.NOTHING_WRONG,
}
_QUERY = re.compile("the query has no (.*): not from WeCom, or a proxy drops the query string")
_CORP = re.compile("Token and EncodingAESKey are right, the corp id is not: WeCom writes to (.*)")
_ANSWER = re.compile(r"(-?\d+) (.*)", re.DOTALL)  # WeCom's errcode and errmsg
_HTTP = re.compile(r"HTTP (\d+)")


def reason(stored: str | None, errcode: int | None = None) -> Reason | None:
    """A stored reason, of whichever release; None for nothing. `errcode`: the row's, where it has one."""
    return _read(Reason.from_json(stored), errcode)


def reason_of_data(stored: Any, errcode: int | None = None) -> Reason | None:
    """The same, of one that stands inside other JSON."""
    return _read(Reason.from_data(stored), errcode)


def outcome_reason(
    stored: str | None, errcode: int | None, outcome: Outcome | None, steps: Mapping[str, int], app: str
) -> Reason | None:
    """As `reason`, of an outcome: a refusal before the message was made was one of ours."""
    found = reason(stored, errcode)
    ours = outcome is Outcome.REFUSED and errcode is None and "prepared" not in steps
    if ours and found is not None and found.kind is Kind.TEXT:
        return Reason.of(Kind.APP_NOT_CONFIGURED, app=app)
    return found


def left_out(numbers: list[int], steps: Mapping[str, int]) -> tuple[LeftOut, ...]:
    """The attachments that were not sent: the reason stood as a flag among the timings."""
    because = LeftOutBecause.NOT_UPLOADED
    if "lighter" in steps:
        because = LeftOutBecause.UNKNOWN if "media_not_ready" in steps else LeftOutBecause.REFUSED
    return tuple(LeftOut(number, because) for number in numbers)


def _read(found: Reason | None, errcode: int | None) -> Reason | None:
    if found is None or found.kind is not Kind.TEXT:
        return found
    return _of_sentence(str(found.params["text"]), errcode) or found


def _of_sentence(text: str, errcode: int | None) -> Reason | None:
    if text in _SENTENCES:
        return Reason.of(_SENTENCES[text])
    if text in _FAILURES:
        return Reason.of(Kind.NO_ANSWER, failure=_FAILURES[text])
    if found := _HTTP.fullmatch(text):
        return Reason.of(Kind.NO_ANSWER, failure="http_status", detail=found[1])
    if found := _QUERY.fullmatch(text):
        return Reason.of(Kind.QUERY_INCOMPLETE, names=found[1].split(", "))
    if found := _CORP.fullmatch(text):
        return Reason.of(Kind.WRONG_CORP, corp=found[1])
    if (found := _ANSWER.fullmatch(text)) and errcode in (None, int(found[1])):
        return Reason.of(Kind.WECOM_ERROR, errcode=int(found[1]), errmsg=found[2])
    return None
