"""A callback URL that was registered slightly differently is served; one that is wrong is diagnosed."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.reasons import Kind, Reason
from tasks.settings import read
from tests.support.builders import AES_KEY, CORP, ENVIRONMENT, some_settings
from tests.support.pushes import TOKEN, Push, a_push, a_verification
from tests.support.web import Web, stored
from webhook.callback import refusals
from webhook.callback.crypto import Envelope
from webhook.callback.path import served_as

MEANT = [
    ("/callback", "/callback"),
    ("/callback/", "/callback"),
    ("//callback", "/callback"),
    ("//callback//", "/callback"),
    ("/CALLBACK", "/callback"),
    ("/Callback/", "/callback"),
    ("/callback ", "/callback"),
    ("/ callback", "/callback"),
    ("/callback/\n", "/callback"),
    ("/callback%2F", "/callback"),  # encoded twice: WSGI has decoded it once
    ("/callback%20", "/callback"),
    ("/callback/sales", "/callback/sales"),
    ("/callback/sales/", "/callback/sales"),
    ("/callback//sales", "/callback/sales"),
    ("//callback/sales", "/callback/sales"),
    ("/callback%2Fsales", "/callback/sales"),
    ("/callback%2fsales%2f", "/callback/sales"),
    ("/callback\\sales", "/callback/sales"),
    ("/CallBack/SALES", "/callback/sales"),
    ("/callback/twin", "/callback/twin"),
    ("/callback/TWIN", "/callback/TWIN"),
    ("/callback/Twin", "/callback/Twin"),  # which of the two is not known
    ("/callback/nobody/", "/callback/nobody"),
    ("/", None),
    ("", None),
    ("/callbacks", None),
    ("/call/back", None),
    ("/wecom/callback", None),
    ("/callback/sales/more", None),
    ("/callback/../console", None),
    ("/console", None),
    ("/healthz", None),
    ("/metrics/", None),
]


@pytest.mark.parametrize(("path", "meant"), MEANT)
def test_what_a_path_means(path, meant):
    assert served_as(path, ["default", "sales", "twin", "TWIN"]) == meant


@given(path=st.text(st.sampled_from("/\\. %2fFcallbackCONSOLEconsole"), max_size=24))
def test_no_path_leads_anywhere_but_to_the_callback(path):
    meant = served_as(path, ["default"])
    assert meant is None or meant == "/callback" or meant.startswith("/callback/")
    assert meant is None or meant.count("/") == 1 + ("/callback/" in meant)


@pytest.mark.parametrize(
    "path",
    ["/callback/", "//callback", "/callback/default/", "//CALLBACK//Default", "/callback%2Fdefault", "/callback "],
)
@pytest.mark.parametrize("variables", [{}, {"CONSOLE_PASSWORD": "a-long-password-of-the-console"}])
def test_a_path_that_can_mean_nothing_else_is_served(redis_url, redis_client, path, variables):
    web = Web(some_settings(REDIS_URL=redis_url, **variables))
    there = {"environ_overrides": {"PATH_INFO": path}}
    assert web.get("/", a_verification(b"1616140317555161061"), **there).data == b"1616140317555161061"
    assert web.post(a_push(), "/", **there).data == b"success"
    assert stored(redis_client) == (1, 1, 1)


@pytest.mark.parametrize(
    "path", ["/", "/wecom/callback", "/callbak", "/callback/sales", "/callback/default/x", "/%0d%0ax"]
)
@pytest.mark.parametrize("method", ["get", "post"])
def test_another_path_is_named_in_the_log_and_for_check_and_the_sender_is_not_told(web, caplog, path, method):
    answer = web.get(path, a_verification(b"1")) if method == "get" else web.post(a_push(), path)
    assert answer.status_code == 404
    assert b"callback" not in answer.data.lower().replace(path.encode(), b"")
    problem = web.verdict()
    assert problem is not None
    assert (problem.kind, problem.params["right"]) == (Kind.WRONG_PATH, "/callback")
    assert problem.params["path"].isprintable()
    assert not web.services.verifications.last("default").proven
    (line,) = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert problem.params["path"] in line
    assert "\n" not in line


def test_the_verdict_goes_once_wecom_is_accepted(web):
    web.post(a_push(), "/wecom/callback")
    assert web.verdict() is not None
    web.post(a_push())
    assert web.verdict() is None


def test_what_does_not_look_like_wecoms_is_404_without_a_word(web, caplog):
    for path in ("/", "/callback/sales", "/robots.txt"):
        assert web.get(path).status_code == 404
        assert web.post(Push({}, b"x" * 100), path).status_code == 404
    assert caplog.records == []
    assert web.verdict() is None


def test_of_several_apps_the_one_that_it_is_signed_for_is_told(tmp_path, redis_url, caplog, monkeypatch):
    monkeypatch.setattr(refusals, "INTERVAL", 0)
    table = f'corp_id = "{CORP}"\nsecret = "s"\nencoding_aes_key = "{AES_KEY}"\n'
    (tmp_path / "apps.toml").write_text(
        f'[apps.sales]\n{table}token = "{TOKEN}"\n[apps.service]\n{table}token = "anotherToken"\n'
    )
    web = Web(read({"WELCOME_CONFIG": "apps.toml", "REDIS_URL": redis_url}, tmp_path))
    web.post(a_push(), "/callback")
    assert web.verdict("sales") == Reason.of(Kind.WRONG_PATH, path="/callback", right="/callback/sales")
    assert web.verdict("service") is None
    web.get("/callback", a_verification(b"1", Envelope.of("anotherToken", AES_KEY, CORP)))
    assert web.verdict("service") == Reason.of(Kind.WRONG_PATH, path="/callback", right="/callback/service")
    web.post(a_push(envelope=Envelope.of("nobodysToken", AES_KEY, CORP)), "/callback")
    assert "/callback/sales / /callback/service" in caplog.text


def test_a_flood_at_other_paths_costs_one_diagnosis_a_second(web, caplog, monkeypatch):
    monkeypatch.setattr(refusals, "INTERVAL", 60)
    for _ in range(20):
        assert web.post(a_push(), "/elsewhere").status_code == 404
    assert len(caplog.records) == 1


def test_no_line_of_it_holds_a_signature_or_a_ciphertext(web, caplog):
    push = a_push()
    web.post(push, "/elsewhere")
    assert push.query["msg_signature"] not in caplog.text
    assert ENVIRONMENT["WECOM_TOKEN"] not in caplog.text
