"""One line an occurrence, with the event's key on every line of its way."""

import io
import json
import logging
import threading
from collections.abc import Iterator

import pytest

from tasks.logs import about, escape_warnings, set_up

log = logging.getLogger("tasks.some.module")
QUIET = ("celery", "kombu", "urllib3", "gunicorn", "waitress")  # libraries whose lines below a warning are dropped


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    """Logging as it was before."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_json_line_says_when_who_and_what(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json", "welcome")
    with about(event="3f9a", app="sales"):
        log.info("sent after %.1f s", 0.4)
    (line,) = lines(capsys)
    told = json.loads(line)
    assert told.pop("time")
    assert told == {
        "level": "INFO",
        "logger": "tasks.some.module",
        "message": "sent after 0.4 s",
        "role": "welcome",
        "event": "3f9a",
        "app": "sales",
    }


def test_a_text_line_reads_and_ends_with_its_keys(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "text", "welcome")
    with about(event="3f9a", app="sales"):
        log.warning("您好")
    log.info("nobody's")
    first, second = lines(capsys)
    assert first.endswith("WARNING welcome 您好 app=sales event=3f9a")
    assert second.endswith("INFO    welcome nobody's")


def test_chinese_is_readable_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json", "web")
    log.info("欢迎语")
    assert "欢迎语" in lines(capsys)[0]


def test_without_a_terminal_the_default_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", None, "web")
    log.info("a")
    assert json.loads(lines(capsys)[0])["message"] == "a"


def test_keys_nest_and_are_taken_off_again(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json", "web")
    with about(app="sales"):
        with about(event="1"):
            log.info("inner")
        with pytest.raises(KeyError), about(event="2"):
            raise KeyError
        log.info("outer")
    log.info("none")
    keys = [{k: v for k, v in json.loads(line).items() if k in ("app", "event")} for line in lines(capsys)]
    assert keys == [{"app": "sales", "event": "1"}, {"app": "sales"}, {}]


def test_one_threads_keys_are_not_anothers(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json", "web")
    with about(event="1"):
        thread = threading.Thread(target=log.info, args=("elsewhere",))
        thread.start()
        thread.join()
    assert "event" not in json.loads(lines(capsys)[0])


def test_an_exception_stays_one_line_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "json", "web")
    try:
        raise ValueError("first\nsecond")
    except ValueError:
        log.exception("failed")
    (line,) = lines(capsys)
    assert "ValueError: first" in json.loads(line)["exc_info"]


def test_libraries_that_print_urls_are_quiet_even_at_debug(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("debug", "json", "web")
    logging.getLogger("urllib3.connectionpool").debug('"GET /cgi-bin/gettoken?corpsecret=x"')
    logging.getLogger("celery.worker").info("argsrepr")
    for library in QUIET:
        logging.getLogger(f"{library}.some.module").info("a connection was made")
    log.debug("ours")
    assert [json.loads(line)["message"] for line in lines(capsys)] == ["ours"]


def test_the_level_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("error", "json", "web")
    log.warning("not this")
    logging.getLogger("celery").warning("nor this")
    log.error("this")
    assert [json.loads(line)["message"] for line in lines(capsys)] == ["this"]


@pytest.mark.parametrize("style", ["text", "json"])
def test_what_comes_from_outside_forges_no_line_of_a_log(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    said = "x\n2026-11-26 INFO forged\x1b[2J\x9b\u2028\u202e"
    set_up("info", style, "web")
    with about(app="sales", event=said):
        logging.getLogger("here").info("State %s", said)
    (line,) = lines(capsys)
    assert "\\n2026-11-26 INFO forged\\u001b[2J\\u009b\\u2028\\u202e" in line
    if style == "json":
        assert json.loads(line)["message"] == f"State {said}"


def test_a_traceback_keeps_its_lines_in_text(capsys: pytest.CaptureFixture[str]) -> None:
    set_up("info", "text", "web")
    try:
        raise ValueError("a\x1b[2J")
    except ValueError:
        logging.getLogger("here").exception("broke")
    first, second, *_, last = lines(capsys)
    assert first.endswith("broke")
    assert second.startswith("Traceback")
    assert last == "ValueError: a\\u001b[2J"


def test_a_warning_of_a_command_that_sets_up_no_log_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "lastResort", logging._StderrHandler(logging.WARNING))
    escape_warnings()
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    log.warning("not known: %s", "a\nforged")
    assert lines(capsys) == ["not known: a\\nforged"]


def test_a_package_that_closes_stderr_costs_the_log_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", closed := io.StringIO())
    set_up("info", "text", "welcome")
    closed.close()
    log.info("greeted")
