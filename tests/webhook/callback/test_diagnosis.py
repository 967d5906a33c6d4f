"""Why a callback was refused: told to the operator, never to whoever sent it."""

import logging
import time
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reasons import Kind, Reason
from tasks.settings import read
from tests.support.builders import AES_KEY, CORP
from tests.support.pushes import ENVELOPE, TOKEN, Push, a_push, a_verification, an_event, sealed, signed, xml
from tests.support.until import until
from tests.support.web import Web
from webhook.callback import refusals
from webhook.callback.crypto import Envelope, signature
from webhook.callback.diagnosis import FRESH, SIGNED, diagnose
from webhook.callback.parsing import read_ciphertext
from webhook.reason_texts import describe

OTHER_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"

TOKEN_WRONG = Reason.of(Kind.WRONG_TOKEN)
KEY_WRONG = Reason.of(Kind.WRONG_AES_KEY)
CORP_WRONG = Reason.of(Kind.WRONG_CORP, corp="wwANOTHERCORP")
TOKEN_AND_CORP_WRONG = Reason.of(Kind.WRONG_TOKEN_AND_CORP)
NEITHER = Reason.of(Kind.WRONG_TOKEN_AND_KEY)
QUERY_DROPPED = Reason.of(Kind.QUERY_INCOMPLETE, names=list(SIGNED))
MANGLED = Reason.of(Kind.QUERY_MANGLED)

BY_SENDER = [
    pytest.param(Envelope.of(TOKEN, AES_KEY, CORP), Reason.of(Kind.NOTHING_WRONG), id="all right"),
    pytest.param(Envelope.of("anotherToken", AES_KEY, CORP), TOKEN_WRONG, id="token"),
    pytest.param(Envelope.of(TOKEN, OTHER_KEY, CORP), KEY_WRONG, id="key"),
    pytest.param(Envelope.of(TOKEN, AES_KEY, "wwANOTHERCORP"), CORP_WRONG, id="corp"),
    pytest.param(Envelope.of("anotherToken", AES_KEY, "wwANOTHERCORP"), TOKEN_AND_CORP_WRONG, id="token and corp"),
    pytest.param(Envelope.of("anotherToken", OTHER_KEY, CORP), NEITHER, id="token and key"),
    pytest.param(Envelope.of(TOKEN, OTHER_KEY, "wwANOTHERCORP"), KEY_WRONG, id="key and corp"),
]
wrong_senders = pytest.mark.parametrize(("sender", "verdict"), BY_SENDER[1:])


def with_a_plus(envelope: Envelope = ENVELOPE) -> tuple[dict[str, str], str]:
    while "+" not in (made := sealed(b"1616140317555161061", envelope))[1]:
        pass
    return made


# --- the table


@pytest.mark.parametrize(("sender", "verdict"), BY_SENDER)
def test_what_the_sender_has_different_is_named(sender, verdict):
    assert diagnose(ENVELOPE, *sealed(b"message", sender)) == verdict


@pytest.mark.parametrize(
    "mangle",
    [
        pytest.param(lambda text: text.replace("+", " "), id="+ to space"),
        pytest.param(lambda text: text.replace("+", "%2B"), id="%2B not decoded"),
        pytest.param(lambda text: quote(text, safe=""), id="encoded twice"),
        pytest.param(lambda text: text.replace("+", " ").replace("=", "%3D"), id="both"),
    ],
)
def test_a_mangled_query_is_recognised(mangle):
    query, ciphertext = with_a_plus()
    assert diagnose(ENVELOPE, query, mangle(ciphertext)) == MANGLED


def test_a_wrong_token_is_named_though_a_plus_became_a_space():
    query, ciphertext = with_a_plus(Envelope.of("anotherToken", AES_KEY, CORP))
    assert diagnose(ENVELOPE, query, ciphertext.replace("+", " ")) == TOKEN_WRONG


@pytest.mark.parametrize("missing", [("msg_signature",), ("timestamp", "nonce"), SIGNED])
@pytest.mark.parametrize("value", [None, ""])
def test_a_query_that_was_dropped_is_named_by_its_parts(missing, value):
    query, ciphertext = sealed(b"message")
    for name in missing:
        del query[name]
        if value is not None:
            query[name] = value
    assert diagnose(ENVELOPE, query, ciphertext) == Reason.of(Kind.QUERY_INCOMPLETE, names=list(missing))


def test_without_a_ciphertext_it_is_said_that_there_is_none():
    assert diagnose(ENVELOPE, sealed(b"")[0], "") == Reason.of(Kind.NO_CIPHERTEXT)


def test_a_corp_without_a_name_is_called_nobody():
    assert diagnose(ENVELOPE, *sealed(b"", Envelope.of(TOKEN, AES_KEY, ""))) == Reason.of(
        Kind.WRONG_CORP, corp="nobody"
    )


def test_signed_junk_is_blamed_on_the_key():
    push = signed("AAAA")
    assert diagnose(ENVELOPE, push.query, "AAAA") == KEY_WRONG


text = st.text(st.characters(), max_size=60)


@given(query=st.dictionaries(st.sampled_from(SIGNED), text), ciphertext=text)
def test_junk_has_a_diagnosis_of_one_line_that_quotes_nothing(query, ciphertext):
    problem = diagnose(ENVELOPE, query, ciphertext)
    assert "\n" not in str(describe(problem))
    assert problem.kind in {Kind.WRONG_TOKEN_AND_KEY, Kind.QUERY_INCOMPLETE, Kind.NO_CIPHERTEXT}
    assert set(problem.params.get("names", ())) <= set(SIGNED)


# --- what proves that it was WeCom


def proven(web) -> bool:
    return web.services.verifications.last("default").proven


def captured(web) -> Push:
    """A push of WeCom's that somebody listened to on its way: it was accepted."""
    push = a_push()
    assert web.post(push).status_code == 200
    return push


CAPTURED = {  # what a listener can make of it
    "another signature": lambda query, text: (query | {"msg_signature": "0" * 40}, text),
    "another nonce": lambda query, text: (query | {"nonce": "0"}, text),
    "another timestamp": lambda query, text: (query | {"timestamp": "1"}, text),
    "no query": lambda query, text: ({}, text),
    "blanks for +": lambda query, text: (query, text.replace("+", " ")),
    "encoded": lambda query, text: (query, quote(text, safe="")),
    "cut": lambda query, text: (query, text[:-44]),
    "no ciphertext": lambda query, text: (query, ""),
}


@pytest.mark.parametrize("method", ["get", "post"])
@pytest.mark.parametrize("change", CAPTURED.values(), ids=CAPTURED)
def test_nothing_that_was_captured_plants_a_proven_verdict(web, monkeypatch, method, change):
    monkeypatch.setattr(refusals, "INTERVAL", 0)
    push = captured(web)
    while "+" not in (text := read_ciphertext(push.body)):
        push = captured(web)
    query, text = change(dict(push.query), text)
    if method == "get":
        assert web.get("/callback", query | {"echostr": text}).status_code in (403, 400)
    else:
        assert web.post(Push(query, xml({"Encrypt": text}))).status_code in (403, 400)
    assert web.verdict() is not None
    assert not proven(web)


@pytest.mark.parametrize(("sender", "verdict"), BY_SENDER[1:])
def test_only_a_valid_signature_proves(web, sender, verdict):
    web.post(a_push(envelope=sender))
    assert web.verdict() == verdict
    assert proven(web) is (sender.token == TOKEN)


def test_a_push_captured_before_the_key_was_changed_proves_nothing(web):
    query, ciphertext = sealed(b"message", Envelope.of(TOKEN, OTHER_KEY, CORP))
    old = str(int(query["timestamp"]) - FRESH - 60)
    query |= {"timestamp": old, "msg_signature": signature(TOKEN, old, query["nonce"], ciphertext)}
    web.post(Push(query, xml({"Encrypt": ciphertext})))
    assert web.verdict() == KEY_WRONG
    assert not proven(web)


# --- where it goes


@wrong_senders
@pytest.mark.parametrize("method", ["get", "post"])
def test_the_log_and_the_ledger_are_told_and_the_sender_is_not(web, caplog, method, sender, verdict):
    if method == "get":
        answer = web.get("/callback", a_verification(b"echo", sender))
    else:
        answer = web.post(a_push(envelope=sender))
    assert web.verdict() == verdict
    assert [record.getMessage() for record in caplog.records] == [
        f"a callback of app default was refused: {describe(verdict)}"
    ]
    assert answer.data in (b"forbidden", b"unreadable")


def test_the_ledger_says_when(web):
    web.get("/callback")
    assert abs(web.services.verifications.last("default").at - time.time()) < 60


def test_before_anything_was_refused_there_is_no_verdict(web):
    assert web.verdict() is None


def test_a_verification_that_succeeds_clears_the_verdict(web):
    web.get("/callback", a_verification(b"echo", Envelope.of("anotherToken", AES_KEY, CORP)))
    assert web.verdict() == TOKEN_WRONG
    web.get("/callback", a_verification(b"echo"))
    assert web.verdict() is None


def test_a_flood_of_forgeries_costs_one_diagnosis_a_second(web, caplog, monkeypatch):
    assert refusals.INTERVAL == 1
    monkeypatch.setattr(refusals, "INTERVAL", 60)  # however slow this machine is
    for _ in range(20):
        assert web.post(Push({}, b"")).status_code == 403
    assert len(caplog.records) == 1


def test_after_a_while_the_next_one_is_diagnosed(web, caplog, monkeypatch):
    monkeypatch.setattr(refusals, "INTERVAL", 0.1)
    web.get("/callback")
    assert web.verdict() == QUERY_DROPPED

    def named() -> bool:
        web.post(a_push(envelope=Envelope.of(TOKEN, OTHER_KEY, CORP)))
        return web.verdict() == KEY_WRONG

    until(named)
    assert len(caplog.records) == 2


def test_what_anybody_can_cause_does_not_hide_what_is_wrong_with_wecoms_own(web, monkeypatch):
    monkeypatch.setattr(refusals, "INTERVAL", 0)
    web.post(a_push(envelope=Envelope.of(TOKEN, OTHER_KEY, CORP)))
    web.get("/callback")
    assert web.verdict() == KEY_WRONG
    web.post(a_push())  # and once WeCom is accepted, nothing is wrong
    assert web.verdict() is None


def test_each_app_has_a_diagnosis_of_its_own(tmp_path, redis_url, caplog):
    caplog.set_level(logging.WARNING)
    table = f'corp_id = "{CORP}"\nsecret = "s"\ntoken = "{TOKEN}"\nencoding_aes_key = "{AES_KEY}"\n'
    (tmp_path / "apps.toml").write_text(f"[apps.sales]\n{table}[apps.service]\n{table}")
    web = Web(read({"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url}, tmp_path))
    web.get("/callback/sales")
    web.post(a_push(envelope=Envelope.of("anotherToken", AES_KEY, CORP)), "/callback/service")
    assert web.verdict("sales") == QUERY_DROPPED
    assert web.verdict("service") == TOKEN_WRONG
    assert len(caplog.records) == 2


def test_our_own_requests_do_not_hide_what_was_wrong_with_wecoms(web):
    web.get("/callback", a_verification(b"echo", Envelope.of(TOKEN, OTHER_KEY, CORP)))
    assert web.verdict() == KEY_WRONG
    web.get("/callback", a_verification(b"rehearsal-1616140317555161061"))
    assert web.post(a_push(xml(an_event(Rehearsal="1")))).status_code == 200
    assert web.verdict() == KEY_WRONG
    web.post(a_push())
    assert web.verdict() is None
