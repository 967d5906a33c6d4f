"""The command line: what each command says, on which stream, and with which exit code."""

import errno
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
import pytest

from tasks import settings
from tests.support.builders import CORP, ENVIRONMENT
from tests.support.cli import all_commands, complaints, failure, run
from tests.support.processes import COMMAND, free_port
from tests.support.servers import Server, answering, redis_saying, whole
from tests.support.until import until
from webhook.cli import roles
from webhook.cli.main import main

COMMANDS = [path for path, _ in all_commands()]
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


@pytest.mark.parametrize("command", ["", "templates", "channels", "tokens"])
def test_a_list_of_commands_cuts_no_sentence(command):
    listed = run(*command.split(), "--help").stdout.split("\nCommands:\n")[1]
    assert "..." not in listed
    assert listed.count("\n  ") >= 2


@pytest.mark.parametrize("command", COMMANDS, ids=lambda path: " ".join(path) or "wecom-welcome")
def test_no_help_shows_the_mark_that_keeps_its_lines(command):
    """As a raw docstring would: click takes the character \\b for it, and prints the two of its spelling."""
    assert "\\b" not in help_of(command)


def test_the_example_of_a_help_is_a_command_that_is_understood(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    for path in COMMANDS:
        example = re.search(r"Example:  wecom-welcome (.+)", help_of(path))
        if example is not None and path != ("completion",):  # which needs no settings
            assert run(*example[1].split()).exit_code == 1  # no settings; 2 would be a mistake in the command itself


@pytest.mark.parametrize("command", ["up", "role", "alert", "backup", "restore"])
def test_what_is_about_all_apps_says_that_the_option_app_has_no_effect(command):
    assert re.search(r"--app NAME +Without effect: this is about all apps\.\n", run(command, "--help").stdout)


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
        (WORKER, {"flask", "werkzeug", "jinja2", "babel", "wtforms", "gunicorn", "waitress"}),
        (WEB, {"babel", "wtforms", "flask_limiter", "celery", "kombu", "requests"}),
        (WEB.replace('/0"', '/0", CONSOLE_PASSWORD="let-me-in"'), {"celery", "kombu", "requests", "flask_smorest"}),
    ],
    ids=[
        "a worker or a command: nothing of the web side",
        "the web side: no worker, and no console without a password",
        "with a console: no API before its first request",
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


# --- what is typed wrongly


def wrongly_typed() -> Iterator[tuple[str, ...]]:
    for path, command in all_commands():
        yield (*path, "--no-such-option")
        if isinstance(command, click.Group):
            yield path
            yield (*path, "no-such-command") if path != ("api",) else (*path, "--lits")
        elif any(one.required for one in command.params):
            yield path
        else:
            yield (*path, "one", "two", "three")  # arguments that nothing takes
        for option in command.params:
            if isinstance(option, click.Option) and isinstance(option.type, click.Choice | click.IntRange):
                yield (*path, *("one" for one in command.params if one.required), option.opts[0], "no-such-value")
            elif isinstance(option, click.Option) and not option.is_flag and not option.count:
                yield (*path, option.opts[0])  # without its value


@pytest.mark.parametrize("typed", list(wrongly_typed()), ids=" ".join)
def test_what_is_typed_wrongly_is_one_line_that_leads_to_the_help(typed):
    result = run(*typed)
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert re.fullmatch(r"wecom-welcome: .{5,}[.?!)] See `wecom-welcome( [a-z]+)* --help`\.", line)
    help_ = re.search(r"See `wecom-welcome(.*) --help`", line)[1].split()
    assert tuple(help_) == typed[: len(help_)]
    assert run(*help_, "--help").exit_code == 0
    assert not any(char in line for char in "\t\\")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("templtes", "Did you mean templates?"),
        ("chanels list", "Did you mean channels?"),
        ("templates lst", "Did you mean list?"),
        ("up --prot 80", "Did you mean --port?"),
        ("deliveries --outcome snt", "Did you mean sent?"),
        ("role webb", "Did you mean web?"),
        ("--app sales check", "The option --app belongs after the command."),
        ("up --port 0", "--port takes a whole number from 1 to 65535, and not '0'."),
        ("up --port x", "--port takes a whole number from 1 to 65535, and not 'x'."),
        ("role", "`role` needs one of web, welcome, upkeep, beat."),
        ("backup", "FILE is missing."),
        ("templates diff a", "A takes a whole number, 1 or more, and not 'a'."),
        ("", "Which command? There are up, role, check"),
        ("templates", "Which command? There are validate, import,"),
    ],
)
def test_what_was_meant_is_said(typed, meant):
    result = run(*typed.split())
    assert result.exit_code == 2
    assert meant in result.stderr


# --- ends


def test_who_has_seen_enough_of_a_list_hears_no_complaint():
    with subprocess.Popen(
        [COMMAND, "api", "--list"], env=HERE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 0


@pytest.fixture
def interruptible():
    """SIGINT as a shell's foreground has it: a suite that runs in the background ignores it, and so would a command."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_ends_a_command_at_once_and_quietly(tmp_path):
    with Server(answering(whole(b"success"))) as server:
        command = [COMMAND, "simulate", "--count", "100", "--url", f"{server.url}/callback"]
        process = subprocess.Popen(
            command, cwd=tmp_path, env=HERE | ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        until(lambda: server.requests, what="the first rehearsal")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (130, "")
    assert len(out.splitlines()) < 10


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
    assert result.stderr == (
        "wecom-welcome: `role` takes web, welcome, upkeep, beat, and not 'cook'. See `wecom-welcome role --help`.\n"
    )


@pytest.mark.parametrize("command", [["role", "welcome"], ["deliveries"]])
def test_without_a_redis_it_is_said_how_to_get_one(command):
    line = failure(*command, **ENVIRONMENT)
    assert line == "no Redis: set REDIS_URL, or start `wecom-welcome up` with this data directory first"


@pytest.mark.parametrize(
    ("name", "says"),
    [("web", "begins on http://[::1]:8000, http://127.0.0.1:9100, with"), ("beat", "begins, with")],
)
def test_a_role_says_first_what_it_is_where_it_listens_and_which_redis_it_uses(name, says):
    config = settings.load(
        ENVIRONMENT | {"REDIS_URL": "redis://:hunter@redis:6380/2", "METRICS_BIND": "127.0.0.1:9100"}
    )
    version = metadata.version("wecom-welcome")
    said = roles.beginning(name, config, "::1", 8000)
    assert said == f"role {name} of wecom-welcome {version} {says} Redis at redis://redis:6380/2"


def test_a_redis_that_does_not_answer_is_said_so():
    port = free_port()
    line = failure("deliveries", **ENVIRONMENT, REDIS_URL=f"redis://:hunter@127.0.0.1:{port}")
    assert line == (
        f"Redis at redis://127.0.0.1:{port}/0 refuses the connection: nothing listens at this address;"
        " start it, or correct REDIS_URL"
    )


def test_a_redis_that_refuses_says_why_in_its_own_words_and_no_password_is_shown(hurt_server):
    with hurt_server.client() as client:
        client.execute_command("ACL", "SETUSER", "hand", "reset", "on", ">hunter2", "~*", "+@all")
        url = hurt_server.url.replace("unix://", "unix://hand:hunter3@")
        for command in (["deliveries"], ["up"], ["templates", "list"], ["backup", "b.zip"]):
            line = failure(*command, **ENVIRONMENT, REDIS_URL=url)
            assert line.startswith(f"Redis at {hurt_server.url} refuses this user or password (WRONGPASS ")
            assert line.partition("; ")[2].startswith("correct them in REDIS_URL")
            assert "hunter" not in line


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"-NOAUTH Authentication required.\r\n", "(NOAUTH Authentication required.); put it into REDIS_URL"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "what answers there is no Redis; correct host and port"),
        (b"-ERR DB index is out of range\r\n", "(DB index is out of range); correct the number"),
    ],
    ids=["no password", "no Redis", "no such database"],
)
def test_up_ends_at_once_where_only_another_redis_url_helps(answer, said):
    with Server(redis_saying(answer)) as server:
        line = failure("up", "--port", str(free_port()), **ENVIRONMENT, REDIS_URL=f"redis://127.0.0.1:{server.port}")
    assert line.startswith(f"Redis at redis://127.0.0.1:{server.port}/0 ")
    assert said in line


@pytest.mark.parametrize("answer", [b"-LOADING Redis is loading the dataset in memory\r\n", None])
def test_up_waits_for_a_redis_that_may_come(answer, monkeypatch):
    monkeypatch.setattr("webhook.cli.supervisor.up", lambda *_: None)
    with Server(redis_saying(answer or b"")) as server:
        port = server.port if answer else free_port()
        assert run("up", **ENVIRONMENT, REDIS_URL=f"redis://127.0.0.1:{port}").exit_code == 0


@pytest.mark.parametrize("command", [["deliveries"], ["role", "welcome"], ["backup", "b.zip"], ["templates", "list"]])
def test_a_data_directory_that_is_another_users_is_said_so(command, tmp_path, monkeypatch):
    """Root sees everything: the kernel's answer to another user stands in for one."""

    def shut(_: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "exists", shut)
    line = failure(*command, **ENVIRONMENT, WELCOME_DATA_DIR=str(tmp_path / "var"))
    assert line == (
        f"{tmp_path}/var is another user's alone: run this as the user that runs `wecom-welcome up`, or set"
        " WELCOME_DATA_DIR"
    )


def test_up_refuses_a_port_that_is_taken(redis_url):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = failure("up", "--port", str(port), **ENVIRONMENT, REDIS_URL=redis_url)
    assert line == f"cannot listen on 127.0.0.1:{port} (Address already in use); choose another with --port"


@pytest.mark.parametrize("command", [["up"], ["role", "web"]])
@pytest.mark.parametrize("name", ["CONSOLE_BIND", "METRICS_BIND"])
def test_a_port_of_its_own_that_is_taken_is_named_by_its_setting(command, name, redis_url, monkeypatch):
    monkeypatch.setattr(roles, "LISTEN_WITHIN", 0.0)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        given = {"REDIS_URL": redis_url, name: place}
        line = failure(*command, "--port", str(free_port()), **ENVIRONMENT, **given)
    assert line == f"cannot listen on {place} (Address already in use); choose another with {name}"


@pytest.mark.parametrize("command", [["up"], ["role", "beat"]])
def test_a_file_for_signs_of_work_that_cannot_be_written_is_refused(command, redis_url, tmp_path):
    line = failure(*command, **ENVIRONMENT, REDIS_URL=redis_url, WELCOME_LIVENESS_FILE="there/is/no/such/folder")
    assert line.startswith("WELCOME_LIVENESS_FILE: cannot write ")
    assert line.endswith("there/is/no/such/folder (No such file or directory)")


def test_up_refuses_a_book_that_is_wrong_before_it_starts_anything(tmp_path):
    (tmp_path / "book.yaml").write_text("version: 2\nrules: 3\n")
    lines = complaints(run("up", **ENVIRONMENT, WELCOME_BOOK="book.yaml"))
    assert len(lines) > 1
    assert all(line.startswith(f"WELCOME_BOOK of app default: {tmp_path}/book.yaml: line ") for line in lines), lines


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
