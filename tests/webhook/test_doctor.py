"""What `check` says of the systems that events are forwarded to; nothing is sent to them."""

import socket
from dataclasses import replace
from pathlib import Path

from tasks.services import Services
from tasks.settings import TaskTarget
from tests.support.forwarding import an_installation, given_up
from tests.support.receiver import receiver
from webhook import doctor

NOWHERE = {"WECOM_API_BASE": "http://127.0.0.1:1", "WECOM_PROXY": "direct"}


def said(services: Services) -> list[str]:
    app = services.settings.apps["sales"]
    found = doctor.examine(services.settings, app)
    return [line for one in found if one.what == doctor.FORWARDING for line in one.lines]


def test_each_target_that_can_be_reached_is_said_to_be_and_gets_nothing(redis_url: str, tmp_path: Path) -> None:
    with receiver() as there:
        services = an_installation(redis_url, tmp_path, ("sales", there.url, ""), **NOWHERE)
        assert said(services) == ["✓ forwarding: 127.0.0.1 can be reached"]
        assert (there.got, there.refused) == ([], 0)


def test_what_is_not_reached_or_not_allowed_is_named_with_its_cure(redis_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    targets = [("sales", f"http://127.0.0.1:{port}/", ""), ("sales", "https://127.0.0.2/", "")]
    lines = said(an_installation(redis_url, tmp_path, *targets, **NOWHERE))
    assert lines[0].startswith("! forwarding: 127.0.0.1: ")
    assert lines[1] == "    → let this machine reach it; events wait for a day, and then are given up"
    assert lines[2].startswith("! forwarding: 127.0.0.2: ")
    assert lines[3] == "    → set `private = true` in its table of WELCOME_CONFIG, if it is the corp's own"


def test_events_that_were_given_up_are_counted(redis_url: str, tmp_path: Path) -> None:
    with receiver() as there:
        services = an_installation(redis_url, tmp_path, ("sales", there.url, ""), **NOWHERE)
        given_up(services)
        assert said(services)[1:] == [
            "! forwarding: 1 events for 127.0.0.1 were given up",
            "    → `wecom-welcome forwards` says why; with `--retry all` they are sent again",
        ]


def test_a_broker_of_its_own_is_reached_and_ours_is_not_asked(redis_url: str, tmp_path: Path) -> None:
    services = an_installation(redis_url, tmp_path, ("sales", "http://127.0.0.1:1/", ""), **NOWHERE)
    (app,) = services.settings.apps.values()
    brokers = ("", "memory://", "redis://127.0.0.1:1/0")
    tasks = tuple(TaskTarget(f"crm.welcomed{number}", "crm", url) for number, url in enumerate(brokers))
    lines = [str(one) for one in doctor.forwarding(replace(app, forwards=tasks), None)]
    assert lines[:2] == [
        "✓ forwarding: crm.welcomed0 goes to Redis, as a task",
        "✓ forwarding: crm.welcomed1 can be reached",
    ]
    assert lines[2].startswith("! forwarding: crm.welcomed2: ")
