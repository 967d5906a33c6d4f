"""`wecom-welcome deliveries`: for machines and on the terminal, filtered, followed."""

import json
import signal
import sys
from collections.abc import Iterator

import pytest

from tasks.followups.store import FollowUps
from tasks.ledger.claims import FollowUpProgress, SettledEvent, Settlement
from tasks.ledger.delivery import FollowUpStatus, Outcome
from tasks.services import build_services
from tasks.storage import keys
from tests.support.builders import CORP, ENVIRONMENT, in_words, some_settings
from tests.support.cli import failure, run
from tests.support.ledger import accepted, settled
from tests.support.processes import COMMAND, Process
from tests.support.until import until

FIELDS = [  # of `deliveries --json`: machines read them
    *("id", "app", "change", "user_id", "external_user_id", "state", "created_at", "received_at", "outcome", "errcode"),
    *("reason", "template", "rule", "variant", "attempts", "recoveries", "steps"),
    *("cause", "revision", "tries", "without", "lifeboat", "followup"),
]


@pytest.fixture
def shown(redis_url):
    """Arguments → the deliveries that are shown, as JSON."""

    def show(*arguments: str) -> list[dict]:
        result = run("deliveries", "--json", *arguments, **ENVIRONMENT, REDIS_URL=redis_url)
        assert (result.exit_code, result.stderr) == (0, "")
        return [json.loads(line) for line in result.stdout.splitlines()]

    return show


def greeted(ledger, outcome="sent", **different):
    errcode = {"sent": 0, "refused": 41050}.get(outcome)
    steps = {"claimed": 3, "answer_1": 250}
    settlement = Settlement(
        Outcome(outcome),
        reason=in_words("why"),
        errcode=errcode,
        template="default",
        rule="1",
        revision=1,
        attempts=1,
        steps=steps,
    )
    return settled(ledger, settlement, claimed=True, **different)


def test_a_delivery_in_json_has_the_fields_that_machines_read_in_their_order(ledger, shown):
    event = greeted(ledger, state="渠道-1")
    (row,) = shown()
    assert list(row) == FIELDS
    received_at = row.pop("received_at")
    assert 0 <= ledger.now() / 1000 - received_at < 30
    assert row == {
        "id": event.id,
        "app": "default",
        "change": "add",
        "user_id": "zhangsan",
        "external_user_id": event.external_user_id,
        "state": "渠道-1",
        "created_at": event.created_at,
        "outcome": "sent",
        "errcode": 0,
        "reason": "why",
        "template": "default",
        "rule": "1",
        "variant": "",
        "attempts": 1,
        "recoveries": 0,
        "steps": {"claimed": 3, "answer_1": 250},
        "cause": "",
        "revision": 1,
        "tries": [],
        "without": [],
        "lifeboat": False,
        "followup": None,
    }


def test_how_far_a_follow_up_is_stands_beside_the_outcome_and_it_can_be_done_again(ledger, shown, redis_url):
    event = settled(ledger, Settlement(Outcome.SENT, template="default"), claimed=True, follow_up=True)
    followups = FollowUps(ledger._redis)
    (task,) = followups.claim(9)
    followups.record(
        task,
        FollowUpProgress(FollowUpStatus.FAILED, in_words("40003 invalid userid"), tags=["来源/新客户"]),
    )
    (row,) = shown()
    assert 0 <= ledger.now() / 1000 - row["followup"].pop("at") < 30
    assert row["followup"] == {
        "state": "failed",
        "attempts": 1,
        "next_at": None,
        "reason": "40003 invalid userid",
        "tags": ["来源/新客户"],
        "remark": None,
    }
    _, line = run("deliveries", **ENVIRONMENT, REDIS_URL=redis_url).stdout.splitlines()
    assert line.endswith("then failed (no such userid (40003))")
    again = run("deliveries", "--retry-followup", event.id, **ENVIRONMENT, REDIS_URL=redis_url)
    assert again.exit_code == 0
    (row,) = shown()
    assert (row["followup"]["state"], row["followup"]["attempts"]) == ("waiting", 0)
    assert row["followup"]["next_at"] is not None
    assert [one.id for one in followups.claim(9)] == [event.id]
    line = failure("deliveries", "--retry-followup", "nobody", **ENVIRONMENT, REDIS_URL=redis_url)
    assert line == "event nobody has no follow-up that failed or waits; `deliveries` shows the ids"


def test_what_is_not_known_yet_is_null_not_zero(ledger, shown):
    accepted(ledger)
    (row,) = shown()
    assert list(row) == FIELDS
    assert (row["outcome"], row["errcode"], row["attempts"], row["recoveries"], row["steps"]) == (None, None, 0, 0, {})


def test_no_delivery_shows_a_welcome_code(ledger, redis_url):
    event = accepted(ledger)
    for form in ([], ["--json"]):
        result = run("deliveries", *form, **ENVIRONMENT, REDIS_URL=redis_url)
        assert event.id in result.stdout
        assert event.welcome_code not in result.output


def test_deliveries_are_shown_newest_first_and_not_more_than_asked_for(ledger, shown, redis_client):
    events = [greeted(ledger) for _ in range(5)]
    assert [row["id"] for row in shown("--limit", "3")] == [event.id for event in reversed(events)][:3]


def test_filters_narrow_what_is_shown_and_all_must_hold(ledger, shown):
    sent = greeted(ledger)
    refused = greeted(ledger, "refused", user_id="lisi")
    lisi = greeted(ledger, user_id="lisi")
    waiting = accepted(ledger, user_id="lisi")

    def ids(*arguments: str) -> set[str]:
        return {row["id"] for row in shown(*arguments)}

    assert ids("--outcome", "refused") == {refused.id}
    assert ids("--outcome", "open") == {waiting.id}
    assert ids("--member", "lisi") == {refused.id, lisi.id, waiting.id}
    assert ids("--member", "lisi", "--outcome", "sent") == {lisi.id}
    assert ids("--outcome", "dead") == set()
    assert ids("--app", "default") == {sent.id, refused.id, lisi.id, waiting.id}


def test_since_takes_a_span_a_date_or_a_moment(ledger, shown, redis_client):
    new, old = greeted(ledger), greeted(ledger)
    redis_client.zadd(keys.EVENTS, {old.id: ledger.now() - 3 * 3600 * 1000})
    for since in ("2h", "150m", "10s"):
        assert [row["id"] for row in shown("--since", since)] == [new.id]
    for since in ("4h", "1d", "2020-01-01", "2020-01-01T10:30", "2020-01-01T10:30:00+08:00"):
        assert [row["id"] for row in shown("--since", since)] == [new.id, old.id]
    assert shown("--since", "2999-01-01") == []


@pytest.mark.parametrize("since", ["", "yesterday", "h", "-1h", "1.5h", "2026-13-01", "9" * 30 + "d"])
def test_another_since_is_refused_with_those_there_are(since, redis_url):
    line = failure("deliveries", "--since", since, **ENVIRONMENT, REDIS_URL=redis_url)
    assert line == "--since takes 30m, 2h, 7d, 2026-11-22 or 2026-11-22T10:30"


def test_a_delivery_on_the_terminal_is_one_line_with_what_an_operator_asks(ledger, redis_url):
    event = greeted(ledger, "refused", state="douyin-1")
    header, line = run("deliveries", **ENVIRONMENT, REDIS_URL=redis_url).stdout.splitlines()
    for part in ("refused", "0.250 s", "zhangsan", event.external_user_id, "douyin-1", event.id):
        assert part in line
    assert "Not sent: refused by WeCom, the welcome code is used, not valid, or older than 20 seconds (41050)" in line
    for name, value in {"took": "0.250 s", "customer": event.external_user_id, "event id": event.id}.items():
        place = header.index(name) + (len(name) if name == "took" else 0)
        assert line.index(value) + (len(value) if name == "took" else 0) == place
    assert " app " not in header


def test_with_several_apps_a_delivery_on_the_terminal_names_its_app(redis_url, tmp_path):
    config = tmp_path / "apps.toml"
    config.write_text(
        "".join(
            f'[apps.{name}]\ncorp_id = "{CORP}"\nsecret = "{name}"\ntoken = "t"\n'
            f'encoding_aes_key = "{ENVIRONMENT["WECOM_ENCODING_AES_KEY"]}"\n'
            for name in ("sales", "service")
        )
    )
    ledger = build_services(some_settings(REDIS_URL=redis_url)).ledger
    greeted(ledger, app="service")
    header, line = run("deliveries", WELCOME_CONFIG=str(config), REDIS_URL=redis_url).stdout.splitlines()
    assert header.split()[3] == "app"
    assert line.split()[5] == "service"


def test_an_empty_ledger_says_what_to_do_next(redis_url):
    result = run("deliveries", **ENVIRONMENT, REDIS_URL=redis_url)
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "No deliveries match. `wecom-welcome simulate` makes a rehearsal.\n"


@pytest.fixture
def following(redis_url, tmp_path) -> Iterator[Process]:
    """`deliveries --follow`, to be started."""
    command = [sys.executable, str(COMMAND), "deliveries", "--json", "--follow"]
    process = Process("follow", command, {**ENVIRONMENT, "REDIS_URL": redis_url}, tmp_path)
    yield process
    process.kill()


def lines_of(process: Process) -> list[tuple[str, str | None]]:
    rows = [json.loads(line) for line in process.output().splitlines() if line.startswith("{")]
    return [(row["id"], row["outcome"]) for row in rows]


def test_follow_shows_each_new_delivery_once_when_it_has_its_outcome(ledger, following):
    before = greeted(ledger)
    following.start()
    until(lambda: len(lines_of(following)) > 0, what="the list")
    until(lambda: greeted(ledger) and len(lines_of(following)) > 1, every=0.3, what="the first new one")
    waiting = accepted(ledger)
    ledger.claim(1)
    refused = greeted(ledger, "refused")
    until(lambda: (refused.id, "refused") in lines_of(following), what="the refused one")
    assert waiting.id not in following.output()
    ledger.settle(SettledEvent(waiting, Settlement(Outcome.SENT)))
    until(lambda: (waiting.id, "sent") in lines_of(following), what="the one that waited")
    following.signal(signal.SIGINT)
    following.wait()
    ids = [identity for identity, _ in lines_of(following)]
    assert ids[0] == before.id
    assert len(ids) == len(set(ids))
    assert "Traceback" not in following.output()


def test_follow_shows_the_outcome_of_what_was_still_open_when_it_began(ledger, following):
    waiting = accepted(ledger)
    following.start()
    until(lambda: (waiting.id, None) in lines_of(following), what="the list")
    ledger.settle(SettledEvent(waiting, Settlement(Outcome.SENT)))
    until(lambda: (waiting.id, "sent") in lines_of(following), what="its outcome")
