"""The command line: what each command says, on which stream, and with which exit code."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
import requests
from click.testing import Result

from tasks.followups.store import FollowUps
from tasks.ledger.claims import FollowUpProgress, Settlement
from tasks.ledger.delivery import FollowUpStatus, Outcome
from tasks.reasons import Kind, Reason
from tasks.services import build_services
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.builders import BOOK, CORP, ENVIRONMENT, in_words, some_settings
from tests.support.cli import failure, run
from tests.support.ledger import accepted, settled
from tests.support.processes import COMMAND, Process, Product, free_port
from tests.support.until import until
from tests.support.web import WebProcess
from webhook.callback.diagnosis import is_proven
from webhook.cli.main import main
from webhook.reason_texts import describe

FIELDS = [  # of `deliveries --json`: machines read them
    *("id", "app", "change", "user_id", "external_user_id", "state", "created_at", "received_at", "outcome", "errcode"),
    *("reason", "template", "rule", "variant", "attempts", "recoveries", "steps"),
    *("cause", "revision", "tries", "without", "followup"),
]


def all_commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, (*path, name))
        else:
            yield (*path, name)


COMMANDS = list(all_commands(main))
HERE = {"PYTHONPATH": str(Path(__file__).parents[3])}  # this checkout's code


# --- --help


@pytest.mark.parametrize(
    "command",
    [pytest.param(path, id=" ".join(path) or "wecom-welcome") for path in COMMANDS],
)
def test_every_help_has_an_example(command):
    assert re.search(rf"Example:  wecom-welcome {' '.join(command)}", run(*command, "--help").stdout)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: " ".join(path) or "wecom-welcome")
def test_every_help_fits_100_columns(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert max(map(len, help_of(command).splitlines())) <= 100


def test_the_example_of_a_help_is_a_command_that_is_understood(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for path in COMMANDS:
        example = re.search(r"Example:  wecom-welcome (.+)", help_of(path))
        if example is not None:
            assert run(*example[1].split()).exit_code == 1  # no settings; 2 would be a mistake in the command itself


def help_of(path: tuple[str, ...]) -> str:
    """As on a terminal of COLUMNS; click's own test runner is always 80 wide."""
    context = main.make_context("wecom-welcome", [], resilient_parsing=True)
    for name in path:
        context = context.command.commands[name].make_context(name, [], parent=context, resilient_parsing=True)
    return context.get_help()


WORKER = "import tasks.workers, webhook.cli.main, webhook.cli.supervisor"
WEB = """
from tasks.services import build_services
from tests.support.builders import some_settings
from webhook import create_app
create_app(build_services(some_settings(REDIS_URL="redis://127.0.0.1:1/0")))
"""


@pytest.mark.parametrize(
    ("script", "heavy"),
    [
        (WORKER, {"flask", "werkzeug", "jinja2", "babel", "wtforms", "gunicorn"}),
        (WEB, {"babel", "wtforms", "flask_limiter", "celery", "kombu", "requests"}),
    ],
    ids=[
        "a worker or a command: nothing of the web side",
        "the web side: no worker, and no console without a password",
    ],
)
def test_a_process_loads_what_it_needs(script, heavy):
    """The rest would cost it a third of a second, and twenty megabytes."""
    command = [sys.executable, "-c", f"{script}\nimport sys; print(*sys.modules)"]
    done = subprocess.run(command, env=HERE, capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    assert not {name.partition(".")[0] for name in done.stdout.split()} & heavy


def test_the_version_is_told():
    assert re.search(r"\d+\.\d+\.\d+", run("--version").stdout)


# --- settings


@pytest.mark.parametrize("command", [["up"], ["role", "web"], ["role", "beat"], ["simulate"], ["deliveries"]])
def test_whatever_is_missing_or_malformed_is_said_at_once_on_a_line_each(command):
    given = {"WECOM_CORP_SECRET": "hunter-secret", "WECOM_TOKEN": "hunter!", "WELCOME_WINDOW_S": "long"}
    result = run(*command, **given)
    named = ["WECOM_TOKEN", "WELCOME_WINDOW_S", "WECOM_CORP_ID", "WECOM_ENCODING_AES_KEY"]
    assert result.exit_code == 1
    assert [line.split()[:3] for line in result.stderr.splitlines()] == [
        ["wecom-welcome:", "settings:", name] for name in named
    ]


def test_a_real_process_says_the_same_and_nothing_more(tmp_path):
    done = subprocess.run(
        [COMMAND, "up"], cwd=tmp_path, env=HERE, capture_output=True, text=True, timeout=90, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"(wecom-welcome: settings: \w+ is not set .*\n){4}", done.stderr)


def test_an_unknown_role_is_refused_with_the_roles_there_are():
    result = run("role", "cook", **ENVIRONMENT)
    assert (result.exit_code, result.stdout) == (2, "")
    for name in ("web", "welcome", "upkeep", "beat"):
        assert f"'{name}'" in result.stderr


@pytest.mark.parametrize("command", [["role", "welcome"], ["deliveries"]])
def test_without_a_redis_it_is_said_how_to_get_one(command):
    line = failure(*command, **ENVIRONMENT)
    assert line == "no Redis: set REDIS_URL, or start `wecom-welcome up` with this data directory first"


def test_a_redis_that_does_not_answer_is_said_so():
    line = failure("deliveries", **ENVIRONMENT, REDIS_URL=f"redis://:hunter@127.0.0.1:{free_port()}")
    assert line == "Redis does not answer (ConnectionError): is it running, is REDIS_URL right?"


def test_up_refuses_a_port_that_is_taken(redis_url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = failure("up", "--port", str(port), **ENVIRONMENT, REDIS_URL=redis_url)
    assert line == f"cannot listen on 127.0.0.1:{port} (Address already in use); choose another with --port"


def test_up_refuses_a_book_that_is_wrong_before_it_starts_anything(tmp_path):
    (tmp_path / "book.yaml").write_text("version: 1\n")
    assert "`templates` is missing" in failure("up", **ENVIRONMENT, WELCOME_BOOK="book.yaml")


@pytest.mark.parametrize("command", [["up"], ["role", "beat"], ["check"], ["simulate"], ["deliveries"]])
def test_an_app_that_is_not_configured_is_refused_with_those_that_are(command, redis_url):
    result = run(*command, "--app", "sales", **ENVIRONMENT, REDIS_URL=redis_url)
    assert result.exit_code == 1
    assert result.stderr == "wecom-welcome: no app sales is configured; there are default\n"


def test_where_several_apps_are_configured_one_must_be_chosen_to_simulate(tmp_path):
    table = f'corp_id = "{CORP}"\nsecret = "s"\ntoken = "t"\nencoding_aes_key = "{"k" * 43}"\n'
    (tmp_path / "apps.toml").write_text(f"[apps.sales]\n{table}[apps.service]\n{table}")
    line = failure("simulate", WELCOME_CONFIG="apps.toml")
    assert line == "several apps are configured; choose one with --app: sales, service"


# --- templates validate


def test_a_book_in_order_is_said_to_be_so(tmp_path):
    (tmp_path / "book.yaml").write_text(BOOK, "utf-8")
    assert run("templates", "validate", "book.yaml").stdout == "book.yaml: 1 templates, 1 rules, nothing wrong\n"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("version: 1", "version: 2"), "line 1, column 10: `version: 1` is required"),
        (("use: default", "use: defualt"), "line 6, column 10: no template is called defualt; there are default"),
        (("{member}", "{boss}"), "line 4, column 11: no placeholder {boss}; there are customer, member"),
        (("{member}", "{member"), "line 4, column 11: a single {"),
        (("认识您", "认识您" * 500), "line 4, column 11: the text has up to "),
        (("    text", "    txet"), "line 4, column 5: template default has no `txet`; there are text"),
        (("rules:", "rules: *all"), "line 5, column 8: aliases and anchors are not used in a book"),
        (("text: ", "text: !!str "), "line 4, column 11: tags are not used in a book"),
        (("  default:", "\tdefault:"), "line 3, column 1: not YAML"),
    ],
)
def test_a_mistake_in_a_book_is_shown_with_its_place(tmp_path, change, problem):
    (tmp_path / "book.yaml").write_text(BOOK.replace(*change, 1), "utf-8")
    assert f"book.yaml: {problem}" in failure("templates", "validate", "book.yaml").replace(
        "; line", "\nbook.yaml: line"
    )


def test_all_mistakes_of_a_book_are_shown_in_one_line(tmp_path):
    (tmp_path / "book.yaml").write_text(BOOK.replace("version: 1", "version: 2").replace("use: default", "use: other"))
    assert failure("templates", "validate", "book.yaml").count("line ") == 2


def test_a_book_that_cannot_be_read_is_said_so(tmp_path):
    assert failure("templates", "validate", "book.yaml") == "book.yaml: No such file or directory"
    (tmp_path / "book.yaml").write_bytes(BOOK.encode("gbk"))
    assert failure("templates", "validate", "book.yaml") == "book.yaml is not UTF-8"


# --- deliveries


@pytest.fixture
def ledger(redis_url):
    return build_services(some_settings(REDIS_URL=redis_url)).ledger


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
    assert line.endswith("then failed (40003 invalid userid)")
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
    assert "Not sent: refused by WeCom, the welcome code is used, unknown or older than 20 seconds (41050)" in line
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
    ledger.settle(waiting, Settlement(Outcome.SENT))
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
    ledger.settle(waiting, Settlement(Outcome.SENT))
    until(lambda: (waiting.id, "sent") in lines_of(following), what="its outcome")


# --- simulate, and everything together


@pytest.fixture(scope="module")
def product(stand_in: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    stand_in.reset()
    with Product(tmp_path_factory.mktemp("product"), stand_in) as product:
        yield product


def test_a_rehearsal_runs_through_everything_but_the_send(product):
    url = f"{product.url}/callback"
    result = run("simulate", "--url", url, "--count", "3", "--rate", "50", "--state", "douyin-1", **product.environ)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(r"[0-9a-f]{32}  HTTP 200 in \d+ ms  rehearsed in \d+ ms", line)
    rows = {row["id"]: row for row in product.rows()}
    for line in lines:
        row = rows[line[:32]]
        assert (row["outcome"], row["user_id"], row["state"]) == ("rehearsed", "rehearsal", "douyin-1")
        assert row["template"] == "default"
    assert product.wecom.status()["greeted"] == 0
    assert "rehearsed" not in requests.get(f"{product.url}/metrics", timeout=30).text


def test_the_public_url_is_where_a_rehearsal_goes_by_itself(product):
    result = run("simulate", "--member", "lisi", **product.environ, WELCOME_PUBLIC_URL=product.url)
    assert result.exit_code == 0
    assert product.rows()[0]["user_id"] == "lisi"


def test_a_rehearsal_that_is_refused_fails(product):
    environ = product.environ | {"WECOM_TOKEN": "anotherToken"}
    url = f"{product.url}/callback"
    result = run("simulate", "--url", url, **environ)
    assert result.exit_code == 1
    assert re.fullmatch(r"[0-9a-f]{32}  HTTP 403 in \d+ ms\n", result.stdout)
    assert result.stderr.startswith(f"wecom-welcome: 1 of 1 rehearsals failed: is {url} right, and is `up` running")


def test_a_rehearsal_that_nobody_answers_fails(redis_url):
    url = f"http://127.0.0.1:{free_port()}/callback"
    result = run("simulate", "--url", url, "--count", "2", "--rate", "200", **ENVIRONMENT, REDIS_URL=redis_url)
    assert result.exit_code == 1
    assert result.stdout.count("ConnectionError") == 2
    assert result.stderr.startswith("wecom-welcome: 2 of 2 rehearsals failed")


def test_a_rehearsal_that_no_worker_takes_fails(redis_url, tmp_path):
    with WebProcess(tmp_path, redis_url) as web:
        environ = {**ENVIRONMENT, "REDIS_URL": redis_url, "WELCOME_WINDOW_S": "1"}
        result = run("simulate", "--url", f"{web.url}/callback", **environ)
    assert result.exit_code == 1
    assert result.stdout.endswith("no outcome after 1 s\n")


def test_a_real_customer_shows_up_in_the_deliveries(product):
    product.wecom.add(user_id="zhangsan", state="douyin-2")
    product.wecom.wait_until_greeted(1)
    until(lambda: product.rows()[0]["outcome"] == "sent")
    arguments = ["deliveries", "--json", "--member", "zhangsan", "--since", "5m"]
    (line,) = run(*arguments, **product.environ).stdout.splitlines()
    row = json.loads(line)
    assert (row["outcome"], row["state"], row["template"]) == ("sent", "douyin-2", "default")
    assert row["steps"]


# --- check


def findings(result: Result) -> dict[str, str]:
    """What was looked at → the whole finding."""
    found = {}
    for part in re.split(r"\n(?=[✓✗!])", result.stdout.rstrip("\n")):
        found[part[2:].split("\n")[0].split(":")[0]] = part
    return found


@pytest.fixture
def registered(environ: dict[str, str], wecom: StandIn) -> dict[str, str]:
    """The settings of an app that WeCom knows, with a member, on an empty Redis."""
    wecom.people(members={"zhangsan": {"name": "张三"}})
    return environ


def test_the_doctor_finds_nothing_wrong_with_a_running_system(product):
    product.wecom.people(members={"zhangsan": {"name": "张三"}})
    result = run("check", **product.environ, WELCOME_PUBLIC_URL=product.url)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert "✗" not in result.stdout
    found = findings(result)
    assert found["callback URL"].startswith(f"✓ callback URL: {product.url}/callback verifies; enter it in 接收消息")
    for step in ("settings", "EncodingAESKey", "Redis", "clock", "welcome worker", "welcome book", "access token"):
        assert found[step].startswith("✓")
    assert found["members with 客户联系 in the app's range"].endswith(": 1")


@pytest.mark.parametrize(("clock", "said"), [(-300, "ahead of"), (300, "behind")])
def test_a_clock_that_is_minutes_off_is_named(registered, wecom, clock, said):
    """This machine's and Redis', which is on it: WeCom's answers say what time it is there."""
    wecom.settings(clock_s=clock)
    lines = run("check", **registered).stdout.splitlines()
    for whose in ("this machine's is", "Redis' is"):
        (line,) = (line for line in lines if line.startswith(f"! clock: {whose} "))
        number = int(line.removeprefix(f"! clock: {whose} ").split()[0])
        assert 298 <= number <= 302
        assert line.endswith(f" s {said} WeCom's")


def test_a_clock_that_is_right_is_said_to_be(registered):
    assert re.search(r"^✓ clock: [01] s apart from WeCom's$", run("check", **registered).stdout, re.MULTILINE)


def test_a_refused_secret_tells_the_time_too(registered, wecom):
    wecom.settings(clock_s=-300)
    assert "ahead of WeCom's" in run("check", **registered | {"WECOM_CORP_SECRET": "an-old-secret"}).stdout


def test_without_a_worker_and_a_book_the_doctor_says_so_with_the_cure(registered):
    result = run("check", **registered)
    assert result.exit_code == 1
    assert result.stderr == "wecom-welcome: 2 of these would stop a welcome; the cures are above\n"
    found = findings(result)
    assert found["welcome worker"].startswith(
        "✗ welcome worker: takes no messages (never; at least every 6 s)\n    → start "
    )
    assert found["welcome book"] == ("✗ welcome book: none is stored\n    → wecom-welcome templates import FILE")
    assert found["access token"] == "✓ access token"


def test_a_wrong_secret_is_found_with_wecoms_errcode_and_the_cure(registered):
    result = run("check", **registered | {"WECOM_CORP_SECRET": "an-old-secret"})
    assert result.exit_code == 1
    finding = findings(result)["access token"]
    assert finding.startswith("✗ access token: ")
    assert "40001" in finding
    assert "\n    → " in finding


def test_members_out_of_range_stop_a_welcome(registered, wecom):
    wecom.reset()
    finding = findings(run("check", **registered))["members with 客户联系 in the app's range"]
    assert finding.startswith("✗")
    assert "可见范围" in finding


def test_an_api_out_of_reach_is_found(registered):
    result = run("check", **registered | {"WECOM_API_BASE": f"http://127.0.0.1:{free_port()}"})
    assert result.exit_code == 1
    assert findings(result)["WeCom's API"].endswith("→ let this machine reach WECOM_API_BASE")


def test_a_redis_out_of_reach_is_found_and_the_rest_is_looked_at_all_the_same(registered):
    result = run("check", **registered | {"REDIS_URL": f"redis://127.0.0.1:{free_port()}"})
    assert result.exit_code == 1
    found = findings(result)
    assert found["Redis"].startswith("✗ Redis: does not take a write: ConnectionError")
    assert found["access token"] == "✓ access token"


def test_without_a_redis_url_and_without_up_the_doctor_says_what_to_start(registered):
    del registered["REDIS_URL"]
    result = run("check", **registered)
    assert result.exit_code == 1
    assert findings(result)["Redis"].startswith("✗ Redis: no REDIS_URL, and no running `up`")


def test_a_redis_that_evicts_stops_a_welcome_and_one_that_forgets_is_remarked(registered, hurt_server):
    with hurt_server.client() as client:
        client.flushall()
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        result = run("check", **registered | {"REDIS_URL": hurt_server.url})
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")
    assert "✗ Redis: may evict accepted customers\n    → set `maxmemory-policy noeviction`\n" in result.stdout
    assert "! Redis: keeps nothing over a restart\n" in result.stdout


def test_a_redis_user_that_may_not_write_is_found(registered, hurt_server):
    with hurt_server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", "-set")
    url = hurt_server.url.replace("unix://", "unix://reader:pw@")
    assert "✓ Redis" not in run("check", **registered | {"REDIS_URL": url}).stdout


def test_a_full_or_read_only_redis_is_found(registered, hurt_server):
    with hurt_server.client() as client:
        client.replicaof("127.0.0.1", 1)
        result = run("check", **registered | {"REDIS_URL": hurt_server.url})
        client.replicaof("NO", "ONE")
    assert findings(result)["Redis"].startswith("✗ Redis: does not take a write: ReadOnlyError")


@pytest.mark.parametrize(
    ("kind", "mark"), [(Kind.WRONG_AES_KEY, "✗"), (Kind.WRONG_TOKEN, "!"), (Kind.WRONG_TOKEN_AND_KEY, "!")]
)
def test_a_refused_callback_is_shown_and_stops_a_welcome_if_it_was_wecoms(registered, ledger, kind, mark):
    problem = Reason.of(kind)
    ledger.record_verification("default", problem, is_proven(problem))
    result = run("check", **registered)
    assert f"{2 + (mark == '✗')} of these" in result.stderr  # worker and book, as ever
    finding = findings(result)["callback refused"]
    assert finding.startswith(mark)
    assert finding.endswith(f"\n    → {describe(problem)}")


def test_a_public_url_that_leads_elsewhere_is_found(product):
    url = f"{product.url}/elsewhere"
    finding = findings(run("check", **product.environ, WELCOME_PUBLIC_URL=url))["callback URL"]
    assert finding.startswith(f"✗ callback URL: {url}/callback answers HTTP 404\n    → let the proxy pass")


def test_a_worker_that_stopped_consuming_is_found(registered, ledger, redis_client):
    redis_client.set(keys.CONSUMED, ledger.now() - 60_000)
    finding = findings(run("check", **registered))["welcome worker"]
    assert finding.startswith("✗ welcome worker: takes no messages (last 60 s ago;")


def test_the_doctor_names_every_setting_that_is_missing():
    result = run("check", WECOM_TOKEN="hunter!")
    assert result.exit_code == 1
    assert [line.split()[:3:2] for line in result.stdout.splitlines()] == [
        ["✗", name] for name in ("WECOM_TOKEN", "WECOM_CORP_ID", "WECOM_CORP_SECRET", "WECOM_ENCODING_AES_KEY")
    ]
    assert result.stderr == "wecom-welcome: 4 settings are missing or malformed; see above\n"


def test_the_doctor_leaves_no_trace_among_the_events(registered, redis_client):
    run("check", **registered)
    assert redis_client.keys(keys.event("*")) == []


def test_the_command_and_the_module_are_one():
    done = subprocess.run(
        [sys.executable, "-m", "webhook", "--version"],
        env=HERE,
        capture_output=True,
        text=True,
        timeout=90,
        check=True,
    )
    assert done.stdout == run("--version").stdout.replace("wecom-welcome, ", "python -m webhook, ")
