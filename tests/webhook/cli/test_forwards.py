"""`wecom-welcome forwards`: what other systems have not got, tried again or forwarded once more."""

import json
import re
from pathlib import Path

import pytest

from tasks.audit import AuditTrail
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.services import Services
from tasks.storage import keys
from tests.support.cli import failure, run, said
from tests.support.forwarding import HOST, an_installation, failed, given_up
from tests.support.ledger import settled


@pytest.fixture
def services(redis_url: str, tmp_path: Path) -> Services:
    return an_installation(redis_url, tmp_path, ("sales", f"https://{HOST}/hook?token=SECRET-1", ""))


@pytest.fixture
def environ(redis_url: str, tmp_path: Path, services: Services) -> dict[str, str]:
    return {"WELCOME_CONFIG": str(tmp_path / "apps.toml"), "REDIS_URL": redis_url}


def test_what_failed_is_listed_with_its_reason(services: Services, environ: dict[str, str]) -> None:
    identity = failed(services)
    system, event = said(run("forwards", **environ))
    assert system == (f"{HOST}: 0 delivered, 1 on their way, 0 given up, does not answer: the connection is refused")
    assert identity in event
    assert re.search(r"failed 1×, tried again from \d\d-\d\d [\d:]{8}: the connection is refused", event)
    (values,) = (json.loads(line) for line in said(run("forwards", "--json", **environ)))
    assert (values["id"], values["host"], values["tries"], values["given_up"]) == (identity, HOST, 1, False)
    assert "SECRET-1" not in system + event + json.dumps(values)


def test_what_was_given_up_is_tried_again(services: Services, environ: dict[str, str]) -> None:
    identity = given_up(services)
    assert "given up" in said(run("forwards", **environ))[1]
    assert run("forwards", "--retry", identity, **environ).exit_code == 0
    (target,) = services.forwards.status("sales")
    services.redis.delete(keys.forward_target("sales", target))  # it has rested
    (entry,) = services.forwards.claim("sales", target, 1)
    assert (entry.id, entry.tries) == (identity, 1)
    (act,) = AuditTrail(services.redis).entries()
    assert (act.act, act.target) == ("forward_retried", identity)


def test_all_that_was_given_up_is_tried_again(services: Services, environ: dict[str, str]) -> None:
    given_up(services)
    assert run("forwards", "--retry", "all", **environ).stderr == "1 event tried again now.\n"
    assert run("forwards", "--retry", "all", **environ).stderr == "0 events tried again now.\n"
    (status,) = services.forwards.status("sales").values()
    assert (status.waiting, status.parked) == (1, 0)


@pytest.mark.parametrize("which", ["all", ""])
def test_what_waits_for_its_next_try_is_tried_now(services: Services, environ: dict[str, str], which: str) -> None:
    identity = failed(services)
    (target,) = services.forwards.status("sales")
    due = keys.forward_due("sales", target)
    (line,) = services.redis.zrange(due, 0, -1)
    services.redis.zincrby(due, 3_600_000, line)  # it has failed some more times
    assert services.forwards.claim("sales", target, 1) == []
    assert run("forwards", "--retry", which or identity, **environ).exit_code == 0
    (entry,) = services.forwards.claim("sales", target, 1)
    assert (entry.id, entry.tries) == (identity, 2)
    assert run("forwards", "--retry", "all", **environ).stderr == "0 events tried again now.\n"  # it is under a lease


def test_a_period_that_ends_before_it_begins_is_a_misuse(environ: dict[str, str]) -> None:
    result = run("forwards", "--replay", "--since", "2h", "--until", "3h", **environ)
    assert (result.exit_code, result.stderr) == (2, "wecom-welcome: --until is before --since\n")
    wrong = failure("forwards", "--replay", "--since", "2h", "--until", "gestern", **environ)
    assert wrong.startswith("--until takes 30m")


def test_a_period_is_forwarded_once_more(services: Services, environ: dict[str, str]) -> None:
    settled(services.ledger, Settlement(Outcome.SENT), app="sales", ago=7200)
    late = settled(services.ledger, Settlement(Outcome.SENT), app="sales")
    services.redis.delete(keys.FORWARD_NEW)
    answer = run("forwards", "--replay", "--since", "1h", **environ)
    assert answer.stderr.strip() == "1 event will be forwarded once more."
    assert services.redis.lrange(keys.FORWARD_NEW, 0, -1) == [f"event:{late.id}"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--replay"], "--replay needs --since TIME"),
        (["--since", "1h"], "--since and --until belong to --replay"),
        (["--retry", "1f", "--until", "1h"], "--since and --until belong to --replay"),
        (["--retry", "1f", "--replay"], "--retry and --replay do different things: give one of them"),
    ],
)
def test_options_that_make_no_sense_are_a_misuse(environ: dict[str, str], options: list[str], says: str) -> None:
    result = run("forwards", *options, **environ)
    assert (result.exit_code, result.stderr) == (2, f"wecom-welcome: {says}\n")


def test_an_event_that_is_not_there_is_not_tried_again(environ: dict[str, str]) -> None:
    says = "no event 1f of app sales failed; `forwards` lists them"
    assert failure("forwards", "--retry", "1f", **environ) == says


def test_without_a_target_it_says_how_to_name_one(redis_url: str, tmp_path: Path) -> None:
    an_installation(redis_url, tmp_path, ("sales", "https://crm.example.com", ""))
    config = tmp_path / "apps.toml"
    config.write_text(config.read_text().partition("[[")[0])
    answer = failure("forwards", WELCOME_CONFIG=str(config), REDIS_URL=redis_url)
    assert answer.startswith("app sales forwards nothing: add [[apps.sales.forward]]")
