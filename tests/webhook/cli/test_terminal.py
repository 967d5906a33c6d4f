"""What is printed: what comes from outside ends no line and steers no terminal, in words, errors and JSON."""

import ast
import io
import json
import re
import sys
import unicodedata
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wcwidth import wcswidth

import webhook.cli
from tasks.ledger.claims import Settlement
from tasks.ledger.delivery import Outcome
from tasks.messages import Message
from tasks.visible_text import escaped
from tasks.wecom.errors import from_answer
from tests.support.builders import in_words
from tests.support.cli import run
from tests.support.ledger import a_ledger, missed, settled
from webhook.cli import terminal as terminal_module
from webhook.cli.common import CommandFailure
from webhook.doctor import Finding

ENGLAND = "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
FORGED = "x\n11-26 08:00:00  refused      0.100 s  zhangsan  wmFORGED"
HOSTILE = {
    "an end of line": FORGED,
    "a return": "x\r11-26 08:00:00  sent",
    "a colour": "\x1b[31mred",
    "a title": "\x1b]0;owned\x07",
    "C1": "\x9b31m\x85\x90",
    "ends of lines of Unicode": "a\u2028b\u2029c",
    "a tab, a feed and a backspace": "a\tb\x0c\x0b\x08\x7f",
    "turned": "\u202ecba\u2066\u200f\u061c",
    "hidden": "douyin\u200b\ufeff\u00ad\U000e0041",
}


def harmless(text: str) -> bool:
    return not any(unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp") for one in text.replace("\n", ""))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x\n\r\ty", "x\\n\\r\\ty"),
        ("\x1b[31m\x9b31m\x07\x7f\x85", "\\u001b[31m\\u009b31m\\u0007\\u007f\\u0085"),
        ("\u202eabc\u2066", "\\u202eabc\\u2066"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("a\u200bb\ufeff", "a\\u200bb\\ufeff"),
        ("\U000e0041", "\\udb40\\udc41"),
        ("\ud83d", "\\ud83d"),
        # and what stays
        ("您好 李四，C:\\new", "您好 李四，C:\\new"),
        ("👨\u200d👩\u200d👧 می\u200cخواهم क\u094d\u200dष", "👨\u200d👩\u200d👧 می\u200cخواهم क\u094d\u200dष"),
        (ENGLAND, ENGLAND),
        ("محمد", "محمد"),
        ("\U0001fae8", "\U0001fae8"),
    ],
)
def test_what_would_steer_is_spelled_and_the_rest_stays(text, line):
    assert escaped(text) == line


@given(st.text())
def test_no_text_is_more_than_one_line_on_a_terminal(text):
    line = escaped(text)
    assert len(line.splitlines()) <= 1
    line.encode()
    assert escaped(line) == line


@given(st.text() | st.lists(st.text()) | st.dictionaries(st.text(), st.text()))
def test_json_is_one_line_and_the_same_value(value):
    line = json.dumps(value, ensure_ascii=False)
    assert json.loads(escaped(line)) == json.loads(line)


def test_nothing_but_the_terminal_module_prints():
    for file in Path(webhook.cli.__file__).parent.glob("*.py"):
        if file.name == "terminal.py":
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in ("click.echo", "click.secho", "print", "sys.stdout.write"), file


# --- commands


@pytest.mark.parametrize("state", HOSTILE.values(), ids=HOSTILE)
def test_a_state_forges_no_row_of_deliveries(environ, redis_client, state):
    ledger = a_ledger(redis_client)
    settled(ledger, Settlement(Outcome.REFUSED, errcode=40096, reason=in_words(state), template=state), state=state)
    header, *rows = run("deliveries", **environ).stdout.split("\n")
    assert len(rows) == 2  # the row, and what is behind its end
    assert header.startswith("time")
    assert harmless(rows[0])
    (line,) = run("deliveries", "--json", **environ).stdout.splitlines()
    assert harmless(line)
    assert json.loads(line)["state"] == state


@pytest.mark.parametrize("state", HOSTILE.values(), ids=HOSTILE)
def test_a_state_forges_no_row_of_missed(environ, redis_client, state):
    missed(redis_client, "refused", 40058, state=state, user_id=state)
    for arguments in (("missed",), ("missed", "--json")):
        (line,) = run(*arguments, **environ).stdout.splitlines()
        assert harmless(line)


def test_what_was_typed_and_is_wrong_comes_back_escaped(environ):
    typed = "x\x1b[31m\nwecom-welcome: settings are fine\u202e"
    for arguments in (
        (f"--{typed}",),
        (typed,),
        ("deliveries", f"--{typed}"),
        ("deliveries", "--outcome", typed),
        ("deliveries", "--app", typed),
        ("deliveries", "--retry-followup", typed),
        ("templates", "validate", typed),
        ("templates", "import", typed),
        ("channels", "show", typed),
        ("channels", "create", typed, "--member", typed),
        ("api", typed),
        ("api", "user/get", "--userid", typed),
        ("api", "user/get", f"--{typed}", "x"),
        ("role", typed),
        ("restore", typed),
        ("backup", f"no/{typed}"),
    ):
        result = run(*arguments, **environ)
        assert result.exit_code, arguments
        (line,) = result.stderr.splitlines()
        assert line.startswith("wecom-welcome: ")
        assert harmless(line), arguments
        assert not result.stdout


def test_a_setting_that_is_wrong_is_one_line_whatever_is_in_it(environ):
    result = run(
        "deliveries", **environ | {"LOG_LEVEL": "x\nwecom-welcome: settings: all fine", "WELCOME_WINDOW_S": "a\x1b"}
    )
    assert len(result.stderr.splitlines()) == 2
    assert harmless(result.stderr)


def test_what_wecom_answers_is_escaped(environ, wecom):
    name = FORGED + "\x1b[2J\u202e\u2028"
    wecom.people(members={"zhangsan": {"name": name}})
    (line,) = run("api", "user/get", "--userid", "zhangsan", **environ).stdout.splitlines()
    assert harmless(line)
    assert json.loads(line)["name"] == name


def test_what_wecom_refuses_is_told_in_one_line(environ, monkeypatch):
    def refused(*_: object, **__: object) -> None:
        raise from_answer(40003, "no\n\x1b[2Jwecom-welcome: fine\u202e", "user/get")

    monkeypatch.setattr("tasks.wecom.client.WeComClient.get", refused)  # no stand-in sends such an errmsg
    result = run("api", "user/get", "--userid", "zhangsan", **environ)
    (line,) = result.stderr.splitlines()
    assert harmless(line)


def test_a_finding_is_two_lines_at_most(capsys):
    terminal_module.say(*Finding(Message.of("clock"), False, FORGED, Message.of("set it")).lines)
    assert capsys.readouterr().out.splitlines() == [
        "✗ clock: x\\n11-26 08:00:00  refused      0.100 s  zhangsan  wmFORGED",
        "    → set it",
    ]


def test_each_line_of_a_failure_is_one(capsys):
    CommandFailure("a\nb", "c\u2028d").show()
    assert capsys.readouterr().err == "wecom-welcome: a\\nb\nwecom-welcome: c\\u2028d\n"


def test_a_file_is_printed_as_it_is_where_it_is_piped_and_escaped_where_it_is_seen(capsys, monkeypatch):
    book = "version: 1\n# \u202eturned\ttab\n"
    terminal_module.say_document(book)
    assert capsys.readouterr().out == book
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    terminal_module.say_document(book)
    assert capsys.readouterr().out == "version: 1\n# \\u202eturned\ttab\n"


# --- encodings


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "✓ x 😀\n✗ x 😀\n! x 😀\n"),
        ("gbk", "√ x ?\n× x ?\n! x ?\n"),
        ("big5", "√ x ?\n× x ?\n! x ?\n"),
    ],
)
def test_right_and_wrong_are_told_apart_on_every_terminal(encoding, shown, monkeypatch):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding, errors="replace"))
    terminal_module.say(*map(terminal_module.marked, ("✓ x 😀", "✗ x 😀", "! x 😀")))
    assert out.getvalue().decode(encoding) == shown


# --- colours, columns, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def shown(monkeypatch):
    """What is printed with these variables, on a terminal or into a pipe; progress goes to stderr, as the rest."""

    def shown(act, *, terminal=True, **variables):
        for name in ("NO_COLOR", "FORCE_COLOR", "TERM"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        stream = Terminal() if terminal else io.StringIO()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", stream)
            patch.setattr(sys, "stderr", stream)
            act()
        return stream.getvalue()

    return shown


@pytest.mark.parametrize(
    ("terminal", "variables", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),  # no-color.org: not an empty string
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (False, {"TERM": "xterm"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": "0"}, False),
        (False, {"FORCE_COLOR": ""}, False),
    ],
)
def test_colours_are_for_a_terminal_unless_asked_otherwise(shown, terminal, variables, coloured):
    line = (terminal_module.Painted("✗", terminal_module.Colour.WRONG), " Redis: x\x1b[2J\n")
    said = shown(lambda: terminal_module.say(line), terminal=terminal, **variables)
    plain = "✗ Redis: x\\u001b[2J\\n\n"
    assert said == (f"\x1b[31m\x1b[1m✗\x1b[0m{plain[1:]}" if coloured else plain)


def test_what_would_stop_a_welcome_and_what_became_of_customers_is_coloured(environ, redis_client):
    settled(a_ledger(redis_client), Settlement(Outcome.REFUSED, errcode=40096))
    (row,) = run("deliveries", **environ, FORCE_COLOR="1").stdout.splitlines()[1:]
    assert re.search(r"\x1b\[31m\x1b\[1mrefused +\x1b\[0m  ", row)
    found = run("check", **environ, FORCE_COLOR="1").stdout
    for mark, code in (("✓", "32m"), ("!", "33m"), ("✗", "31m\x1b[1m")):
        assert f"\x1b[{code}{mark}\x1b[0m " in found


def test_columns_stand_below_each_other_in_chinese_too():
    lines = terminal_module.table([["抖音", "a", "x"], ["b", "一二三", "y"], ["👨\u200d👩\u200d👧", "c\n", ""]])
    assert lines == ["抖音  a       x", "b     一二三  y", "👨\u200d👩\u200d👧    c\\n"]
    assert terminal_module.padded("张三", 6) + "|" == "张三  |"
    assert terminal_module.padded("longer than it", 3) == "longer than it"


def test_a_row_of_deliveries_is_in_line_with_its_header(environ, redis_client):
    settled(a_ledger(redis_client), Settlement(Outcome.SENT, template="默认"), user_id="张三", state="抖音")
    header, row = run("deliveries", **environ).stdout.splitlines()
    assert wcswidth(row[: row.index("默认")]) == header.index("welcome")


def test_progress_is_one_line_of_a_terminal_that_goes_at_the_end(shown, monkeypatch):
    monkeypatch.setattr(terminal_module.Progress, "_EVERY", 0.0)

    def work():
        with terminal_module.Progress("restoring") as progress:
            progress(1, 4)
            progress(4, 4)

    line = "\r\x1b[Krestoring: "
    assert shown(work, TERM="xterm") == f"{line}25 % (1 of 4){line}100 % (4 of 4)\r\x1b[K"
    assert shown(work, TERM="dumb") == ""
    assert shown(work, terminal=False) == ""


def test_progress_of_what_is_quick_is_not_shown(shown):
    def work():
        with terminal_module.Progress("restoring") as progress:
            progress(1, 4)

    assert shown(work, TERM="xterm") == ""


def test_a_backup_is_no_text_for_a_terminal_and_goes_into_a_pipe_whole(environ, redis_client, tmp_path):
    settled(a_ledger(redis_client), Settlement(Outcome.SENT))
    result = run("backup", "-", **environ)
    assert result.exit_code == 0
    assert result.stderr.startswith("stdout: ")
    assert zipfile.ZipFile(io.BytesIO(result.stdout_bytes)).testzip() is None
