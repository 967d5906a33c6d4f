"""A locale that is not UTF-8, as on many servers in China: the system starts, and every command works."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.simulator.client import StandIn
from tests.support.processes import COMMAND, Up

BOOK = """version: 1
templates:
  default: {text: "您好{customer}，欢迎 ✓ 😀"}
rules:
  - {name: 夜间, when: {hours: "21:00-08:30"}, use: default}
  - {use: default}
"""
C = {"LC_ALL": "C", "LANG": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}  # Python would take UTF-8 otherwise


@pytest.fixture(scope="module", params=["GBK", "C"])
def locale(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    require_tool: Callable[[str], str],
) -> dict[str, str]:
    """Variables that make a process run in this locale."""
    if request.param == "C":
        return C
    folder = tmp_path_factory.mktemp("locales")
    made = folder / "zh_CN.GBK"
    require_tool("/usr/share/i18n/locales/zh_CN")  # of the package `locales`; localedef alone comes with the C library
    subprocess.run([require_tool("localedef"), "-i", "zh_CN", "-f", "GBK", str(made)], check=False, capture_output=True)
    assert made.is_dir()
    return {"LOCPATH": str(folder), "LC_ALL": "zh_CN.GBK", "LANG": "zh_CN.GBK", "PYTHONUTF8": "0"}


@pytest.fixture(scope="module")
def up(locale: dict[str, str], tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Up]:
    there = Up(tmp_path_factory.mktemp("up"), stand_in, **locale)
    (there.folder / "book.yaml").write_text(BOOK, "utf-8")
    with there as started:
        yield started


def run(up: Up, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """`wecom-welcome` with these arguments; Python itself, if the first is -c."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WECOM_", "WELCOME_"))}
    return subprocess.run(
        [sys.executable, *([] if arguments[0] == "-c" else [str(COMMAND)]), *arguments],
        env=inherited | up.environ,
        cwd=up.folder,
        capture_output=True,
        timeout=180,
        check=False,
    )


def test_the_locale_is_what_the_test_says(up: Up, locale: dict[str, str]) -> None:
    asked = [sys.executable, "-c", "import locale; print(locale.getencoding().upper())"]
    said = subprocess.run(asked, env=os.environ | locale, capture_output=True, check=True).stdout.decode().strip()
    assert said in ("GBK", "ANSI_X3.4-1968", "US-ASCII")


def test_customers_are_greeted_and_every_command_works(up: Up, wecom: StandIn) -> None:
    wecom.register(up.app)
    record = wecom.add(push=False, state="抖音✓")
    wecom.people(customers={record.external_user_id: {"name": "李雷✓😀"}})
    wecom.repeat(record)
    wecom.wait_until_greeted(1)
    (greeted,) = wecom.records()
    assert greeted.content is not None
    assert greeted.content["text"] == "您好李雷✓😀，欢迎 ✓ 😀"
    assert "Traceback" not in up.supervisor.output()
    commands = [[word.replace("{callback}", up.app.callback_url) for word in command] for command in COMMANDS]
    done = run(up, "-c", EACH, json.dumps(commands))
    said = done.stdout + done.stderr
    assert b"Traceback" not in said, said.decode(errors="replace")
    ended = [line.split(b" ", 2) for line in said.splitlines() if line.startswith(b"ended: ")]
    assert [code for _, code, _ in ended] == [b"0"] * len(COMMANDS), said.decode(errors="replace")


EACH = """
import json, sys
from webhook.cli.main import main
for words in json.loads(sys.argv[1]):  # in one process: sixteen take as many times half a second to start
    try:
        main(words, prog_name="wecom-welcome")
    except SystemExit as end:
        print("ended:", end.code or 0, words, flush=True)
"""
COMMANDS = [
    ["check"],
    ["deliveries"],
    ["deliveries", "--json"],
    ["templates", "validate", "book.yaml"],
    ["templates", "list"],
    ["templates", "history"],
    ["templates", "export"],
    ["templates", "export", "out.yaml"],
    ["templates", "export", "out.zip"],
    ["templates", "import", "out.zip", "--note", "again"],
    ["templates", "explain", "--member", "zhangsan"],
    ["channels", "list"],
    ["missed"],
    ["simulate", "--url", "{callback}"],
    ["backup", "state.zip"],
    ["--help"],
]


def test_what_goes_to_a_pipe_is_utf_8(up: Up, wecom: StandIn) -> None:
    wecom.register(up.app)
    wecom.add(state="抖音✓")
    wecom.wait_until_greeted(1)
    rows = [json.loads(line) for line in run(up, "deliveries", "--json").stdout.decode("utf-8").splitlines()]
    assert "抖音✓" in {row["state"] for row in rows}
    assert BOOK.strip() in run(up, "templates", "export").stdout.decode("utf-8")
    assert run(up, "templates", "export", "book2.yaml").returncode == 0
    assert BOOK.strip() in (up.folder / "book2.yaml").read_text("utf-8")


def test_a_terminal_gets_a_replacement_for_what_it_cannot_show(up: Up, tmp_path: Path) -> None:
    """In `script`'s place: a pseudo-terminal of our own."""
    here, there = os.openpty()
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("WECOM_", "WELCOME_"))}
    process = subprocess.Popen(
        [sys.executable, str(COMMAND), "templates", "export"],
        env=inherited | up.environ,
        cwd=up.folder,
        stdout=there,
        stderr=there,
        stdin=subprocess.DEVNULL,
    )
    os.close(there)
    shown = b""
    while True:
        try:
            data = os.read(here, 65536)
        except OSError:  # Linux' word for the end
            break
        if not data:
            break
        shown += data
    os.close(here)
    assert process.wait(30) == 0, shown
    assert b"Traceback" not in shown
    encoding = "gbk" if "GBK" in up.environ["LC_ALL"] else "utf-8"  # click takes UTF-8 where Python says ASCII
    text = BOOK.encode(encoding, "replace").decode(encoding).strip()
    assert shown.decode(encoding).replace("\r\n", "\n").strip().startswith("# wecom-welcome: revision")
    assert text in shown.decode(encoding).replace("\r\n", "\n")
