"""Several applications in one process; views that a traceback names."""

import inspect
from collections.abc import Iterator
from importlib import import_module

from flask import Flask

from tasks.ledger import intake
from tasks.services import build_services
from tests.support.builders import AES_KEY, CORP, some_settings
from tests.support.console import PASSWORD, Browser
from tests.support.pushes import ENVELOPE, a_push
from tests.support.web import Web
from webhook import create_app
from webhook.callback.crypto import Envelope

OTHER_TOKEN = "anotherToken"


def test_two_applications_in_one_process_have_keys_of_their_own(redis_url: str) -> None:
    first, second = (
        Web(some_settings(REDIS_URL=redis_url)),
        Web(some_settings(REDIS_URL=redis_url, WECOM_TOKEN=OTHER_TOKEN)),
    )
    for envelope, answers in ((ENVELOPE, [200, 403]), (Envelope.of(OTHER_TOKEN, AES_KEY, CORP), [403, 200])) * 2:
        push = a_push(envelope=envelope)
        assert [web.post(push).status_code for web in (first, second)] == answers


def test_two_consoles_in_one_process_have_passwords_of_their_own(redis_url: str) -> None:
    passwords = (PASSWORD, "let-nobody-in")
    consoles = [
        Browser(build_services(some_settings(REDIS_URL=redis_url, CONSOLE_PASSWORD=one), timeout=intake.TIMEOUT))
        for one in passwords
    ]
    for password in passwords:
        entered = []
        for console in consoles:
            console.get("/login")
            answer = console.post("/login", {"name": "x", "password": password}, follow_redirects=False)
            entered.append(answer.status_code)
        assert entered == [302 if password == own else 422 for own in passwords]


def test_every_view_is_a_function_of_its_module(redis_url: str) -> None:
    """So that a traceback, a profile and an outline name it."""
    settings = some_settings(REDIS_URL=redis_url, CONSOLE_PASSWORD=PASSWORD)
    application = create_app(build_services(settings, timeout=intake.TIMEOUT))
    views = [*views_of(application), *views_of(application.extensions["console"])]
    assert len(views) > 60
    for view in views:
        assert getattr(import_module(view.__module__), view.__qualname__, None) is view, view.__qualname__


def views_of(app: Flask) -> Iterator[object]:
    for endpoint, view in app.view_functions.items():
        if endpoint != "static":
            yield inspect.unwrap(view)


def test_wecoms_file_of_the_domain_is_served_beside_the_callback(redis_url: str) -> None:
    web = Web(some_settings(REDIS_URL=redis_url, WECOM_DOMAIN_VERIFICATION="WW_verify_0123456789abcdef"))
    answer = web.get("/WW_verify_0123456789abcdef.txt")
    assert (answer.status_code, answer.data, answer.mimetype) == (200, b"0123456789abcdef", "text/plain")
    for path in (
        "/WW_verify_0123456789abcde.txt",
        "/WW_verify_.txt",
        "/WW_verify_0123456789abcdef",
        "/WW_verify_x/y.txt",
    ):
        assert web.get(path).status_code == 404
    assert Web(some_settings(REDIS_URL=redis_url)).get("/WW_verify_0123456789abcdef.txt").status_code == 404
