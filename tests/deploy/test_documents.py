"""The documents say what is so: links lead somewhere, commands are understood, tables have what the code has."""

import re
import textwrap
import tomllib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from urllib.parse import unquote

import click
import pytest
from click.testing import CliRunner

from tasks.lifeboat.lifeboat import Status
from tasks.lifeboat.metrics import metrics
from tasks.monitoring.metrics import NAMESPACE, exposition, of_this_process
from tasks.monitoring.queue_status import Queues
from tasks.settings import VARIABLES
from tasks.storage.connections import Redis
from tasks.templates.book import KEYS
from tasks.templates.book import read as read_book
from tasks.templates.render import PLACEHOLDERS
from tasks.wecom.errors import CODES
from tests.support.books import FILES, looking_at
from tests.support.cli import all_commands
from tests.support.documents import ROOT, Page, commands, pages
from webhook.cli.main import main
from webhook.outcomes import NAMES as OUTCOMES

PAGES = pages()
IN_CHINESE = [page for page in PAGES if page.path.name.endswith(".zh-CN.md")]
REQUIRED = {"WECOM_CORP_ID", "WECOM_CORP_SECRET", "WECOM_TOKEN", "WECOM_ENCODING_AES_KEY"}
METAVAR = re.compile(r"[A-Z][A-Z_]*")
GENERAL = {"--help", "--app", "--version"}  # options that the page describes once for all commands

each_document = pytest.mark.parametrize("document", PAGES, ids=str)


def the(path: str) -> Page:
    return Page(ROOT / path)


def test_the_readme_has_a_thousand_words_at_most() -> None:
    assert len(the("README.md").text.split()) <= 1000


# ------------------------------------------------------------------------------------------------ links and paths


@each_document
def test_each_link_leads_to_a_file_and_to_a_heading_in_it(document: Page) -> None:
    dead = []
    for link in document.links:
        path, _, anchor = unquote(link).partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        target = (document.path.parent / path).resolve() if path else document.path
        if not target.exists() or (anchor and anchor not in Page(target).anchors):
            dead.append(link)
    assert not dead


@each_document
def test_each_path_that_is_named_is_there(document: Page) -> None:
    named = [span for span in document.spans if re.fullmatch(r"(tasks|webhook|tests|deploy)/[\w./*-]*", span)]
    assert not [path for path in named if path != "deploy/config/" and not list(ROOT.glob(path))]


def test_the_design_shows_the_folders_as_they_are() -> None:
    shown: dict[str, str] = {}
    top = folder = ""
    for line in the("design.md").blocks[0][1].splitlines():
        if begins := re.match(r"( {2})?(\w+)/ ", line):
            folder = f"{top}/{begins[2]}" if begins[1] else begins[2]
        elif re.match(r" {2}\S", line):
            folder = top
        top = folder.partition("/")[0]
        shown[folder] = f"{shown.get(folder, '')}{line}\n"
    modules = [one.relative_to(ROOT) for one in (*ROOT.glob("tasks/*/*.py"), *ROOT.glob("webhook/*/*.py"))]
    assert {*shown} == {"tasks", "webhook", *(one.parent.as_posix() for one in modules)}
    for folder, text in shown.items():
        named, files = {*re.findall(r"\w+\.py\b", text)}, {one.name for one in (ROOT / folder).glob("[!_]*.py")}
        assert not named - files, f"{folder} has none of these"
        assert not files - named or "…" in text or "a file" in text, f"{folder} has others, too"


def test_each_module_that_has_moved_is_where_the_page_says() -> None:
    rows = the("deploy/UPGRADING.md").section("Moved modules").rows()
    now = [name for cells in rows for name in re.findall(r"`((?:tasks|webhook)(?:\.\w+)+)`", cells[1])]
    assert len(now) > 50
    assert not [name for name in now if not (ROOT / f"{name.replace('.', '/')}.py").exists()]


def test_the_entry_point_is_the_one_that_the_page_names() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    assert f"`{scripts['wecom-welcome']}`" in the("deploy/UPGRADING.md").text


# ------------------------------------------------------------------------------------------------ commands


def a_synopsis(command: str) -> bool:
    """Whether it shows a command's form, and is no command that somebody could type."""
    return any(sign in command for sign in "[]|…") or any(METAVAR.fullmatch(word) for word in command.split())


def forms(command: str) -> Iterator[list[str]]:
    """The words of a synopsis, once for each alternative that it has."""
    words = [word for word in re.split(r"[\s\[\]…]+", command) if word]
    yield from (list(form) for form in product(*(word.split("|") for word in words)))


def parts_of(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that these words begin with, and the rest of them."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and words[0][0] != "-" and words[0] != "METHOD":
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"no command {words[0]}"
        command, words = found, words[1:]
    return command, words


def options_of(command: click.Command) -> set[str]:
    return {
        name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts) if name[0] == "-"
    }


def understand(command: str) -> None:
    """Raises AssertionError unless the command line knows it. It is read, and not run."""
    if a_synopsis(command):
        for words in forms(command):
            found, rest = parts_of(words)
            if not isinstance(found, click.Group):  # METHOD has further options
                assert {word for word in rest if word.startswith("-")} <= options_of(found), command
            kinds = [one.type for one in found.params if isinstance(one, click.Argument)]
            choices = [choice for kind in kinds if isinstance(kind, click.Choice) for choice in kind.choices]
            assert not choices or rest[0] in choices, command
    elif parts_of(command.split())[1]:  # else it is only named
        for name in re.findall(r"@(\S+)", command):
            Path(name).write_text("{}")
        result = CliRunner().invoke(main, command.split())
        assert result.exit_code == 0, f"{command}: {result.output}"


@pytest.fixture
def read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands are read, and not run; files that they name are looked for in an empty folder."""
    monkeypatch.setattr(click.Command, "invoke", lambda command, ctx: None)
    monkeypatch.chdir(tmp_path)


@each_document
@pytest.mark.usefixtures("read_only")
def test_each_command_that_is_quoted_is_understood(document: Page) -> None:
    for command in commands(document):
        understand(command)


@pytest.mark.parametrize(
    "text",
    ["`wecom-welcome chekc`", "`wecom-welcome up [--prot P]`", "`wecom-welcome role web|worker`",
     "```sh\n.venv/bin/wecom-welcome role worker\n```", "```console\n$ wecom-welcome missed --copmare\n```"],
)  # fmt: skip
@pytest.mark.usefixtures("read_only")
def test_a_command_that_does_not_exist_would_be_noticed(text: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.md").write_text(text)
    (command,) = commands(Page(tmp_path / "wrong.md"))
    with pytest.raises(AssertionError):
        understand(command)


def described() -> Iterator[tuple[str, click.Command]]:
    """What has a description of its own: each command, and `api`, whose methods have theirs elsewhere."""
    for path, command in all_commands():
        if not isinstance(command, click.Group) or path == ("api",):
            yield " ".join(path), command


@pytest.mark.parametrize(
    ("path", "command"), list(described()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_each_command_is_described_with_each_of_its_options(path: str, command: click.Command) -> None:
    synopses = [one for one in commands(the("webhook/cli/README.md")) if f"{one} ".startswith(f"{path} ")]
    described = {word for synopsis in synopses for words in forms(synopsis) for word in words}
    assert synopses
    assert {option for option in options_of(command) if option.startswith("--")} <= described | GENERAL


# ------------------------------------------------------------------------------------------------ examples


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md"])
def test_the_first_settings_and_the_first_book_are_good(document: str) -> None:
    code = dict(the(document).blocks)
    settings = re.findall(r"^ *([A-Z_]+)=", code["sh"], re.MULTILINE)
    assert set(settings) > REQUIRED
    assert set(settings) <= {variable.name for variable in VARIABLES}
    read_book(textwrap.dedent(code["yaml"]))


@pytest.mark.parametrize("document", ["tasks/templates/README.md", "tasks/templates/README.zh-CN.md"])
def test_the_books_in_its_reference_are_good(document: str) -> None:
    whole, part = (code for language, code in the(document).blocks if language == "yaml")
    read_book(whole, looking_at(FILES))
    read_book(f"version: 1\n{part}rules: [use: default]\n")


# ------------------------------------------------------------------------------------------------ tables


def first_spans(rows: list[list[str]]) -> list[str]:
    """Every name that stands in code in the first cells."""
    return [span for cells in rows for span in re.findall(r"`([^`]+)`", cells[0])]


def test_the_settings_are_those_of_the_code_with_their_defaults() -> None:
    rows = the("deploy/README.md").section("Settings").rows()
    assert [cells[0] for cells in rows] == [f"`{variable.name}`" for variable in VARIABLES]
    shown = {cells[0].strip("`"): cells[1] for cells in rows}
    for variable in VARIABLES:
        none = "required" if variable.name in REQUIRED else "embedded server" if variable.name == "REDIS_URL" else "–"
        assert shown[variable.name] == (f"`{variable.default}`" if variable.default else none)


def exported(redis_client: Redis) -> set[str]:
    own = [*of_this_process(redis_is_up=True), *metrics(Status())]
    text = exposition(redis_client, Queues(redis_client, {}), own).decode()
    return set(re.findall(r"^# TYPE (\w+) ", text, re.MULTILINE))


def test_the_metrics_are_those_that_are_exposed(redis_client: Redis) -> None:
    exposed = {name.removeprefix(NAMESPACE) for name in exported(redis_client)}
    assert set(first_spans(the("deploy/README.md").section("Metrics").rows())) == exposed


def test_each_metric_that_a_page_names_is_exposed(redis_client: Redis) -> None:
    exposed = exported(redis_client)
    named = {name for page in PAGES for name in re.findall(rf"\b{NAMESPACE}\w+", page.text) if page.path.name[0] != "C"}
    assert named - {NAMESPACE} <= exposed


@pytest.mark.parametrize("document", ["deploy/RUNBOOK.md", "deploy/RUNBOOK.zh-CN.md"])
def test_the_runbook_has_a_section_for_each_outcome(document: str) -> None:
    outcomes = the(document).headings
    assert set(OUTCOMES) <= {text for level, text in outcomes if level == 3}


@pytest.mark.parametrize("document", ["deploy/RUNBOOK.md", "deploy/RUNBOOK.zh-CN.md"])
def test_the_errcodes_of_the_runbook_are_known(document: str) -> None:
    codes = [
        int(code) for cells in the(document).rows() for code in cells[0].split(", ") if re.fullmatch(r"-?\d+", code)
    ]
    assert len(codes) > 30
    assert set(codes) <= set(CODES)


@pytest.mark.parametrize("document", ["tasks/templates/README.md", "tasks/templates/README.zh-CN.md"])
def test_the_page_about_the_book_has_each_placeholder_condition_and_attachment(document: str) -> None:
    named = first_spans(the(document).rows())
    assert {name.strip("{}") for name in named if name.startswith("{")} == set(PLACEHOLDERS)
    assert {name.partition(":")[0] for name in named if ":" in name} == set(KEYS["when"])
    assert {"image", "link", "miniprogram", "video", "file"} <= set(named)


# ------------------------------------------------------------------------------------------------ two languages


@pytest.mark.parametrize("document", IN_CHINESE, ids=str)
def test_a_page_in_chinese_has_the_structure_of_the_english_one(document: Page) -> None:
    english = Page(document.path.with_name(document.path.name.replace(".zh-CN", "")))
    assert [level for level, _ in document.headings] == [level for level, _ in english.headings]
    assert [language for language, _ in document.blocks] == [language for language, _ in english.blocks]
    assert [len(cells) for cells in document.rows()] == [len(cells) for cells in english.rows()]
    assert set(commands(document)) == set(commands(english))


# ------------------------------------------------------------------------------------------------ the design's tree


def test_the_design_names_files_that_are_there_and_every_folder() -> None:
    tree, *ways = (code for _, code in the("design.md").blocks)
    sources = [
        path for top in ("tasks", "webhook") for path in (ROOT / top).rglob("*") if path.suffix in (".py", ".lua")
    ]
    files = {path.name for path in sources} | {path.relative_to(ROOT).as_posix() for path in sources}
    named = re.findall(r"[\w/|]+\.(?:py|lua)\b", "".join([tree, *ways]))
    alternatives = [f"{one.removesuffix(suffix)}{suffix}" for name in named for suffix in (name[name.rindex(".") :],)
                    for one in name.split("|")]  # fmt: skip
    assert not set(alternatives) - files
    folders = {path.parent.name for path in (ROOT / "tasks").glob("*/__init__.py")}
    folders |= {path.parent.name for path in (ROOT / "webhook").glob("*/__init__.py")}
    assert folders <= set(re.findall(r"^ +(\w+)/ ", tree, re.MULTILINE)) | set(re.findall(r" (\w+)/ ", tree))
