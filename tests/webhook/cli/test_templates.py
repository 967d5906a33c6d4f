"""`wecom-welcome templates …`, as an operator types it."""

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tasks.books.approvals import Approvals
from tasks.books.revisions import BookStore
from tasks.storage import connections, keys
from tests.simulator.client import StandIn
from tests.support import cli
from tests.support.books import FILES, a_folder, a_rule, a_template
from tests.support.builders import BOOK
from tests.support.cli import complaint, complaints, failure, said
from tests.support.crm import crm, installed_here

Run = Callable[..., Result]


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    def run(*arguments: str, **variables: str) -> Result:
        return cli.run(*arguments, **environ | {"USER": "wang"} | variables)

    return run


def write(text: str, name: str = "book.yaml") -> str:
    Path(name).write_text(text, "utf-8")
    return name


# ------------------------------------------------------------------------------------------------ in and out


def test_a_book_is_imported_and_exported_with_everything(run: Run, tmp_path: Path) -> None:
    a_folder(tmp_path)
    assert said(run("templates", "validate", "book.yaml")) == ["book.yaml: 2 templates, 7 rules, nothing wrong"]
    assert said(run("templates", "import", "book.yaml")) == ["default: revision 1, the first"]
    assert said(run("templates", "export", "out.zip")) == ["out.zip: revision 1 of default, 4 files"]
    with zipfile.ZipFile("out.zip") as archive:
        assert set(archive.namelist()) == {"book.yaml", *FILES}
    assert said(run("templates", "import", "out.zip")) == [
        "default: revision 1 is this book already; nothing has changed"
    ]
    assert said(run("templates", "validate", "out.zip")) == ["out.zip: 2 templates, 7 rules, nothing wrong"]


def test_a_book_without_files_is_exported_as_yaml(run: Run) -> None:
    source = a_template("text: t")
    run("templates", "import", write(source))
    assert said(run("templates", "export", "out.yaml")) == ["out.yaml: revision 1 of default, 0 files"]
    before = Path("out.yaml").read_bytes()
    assert complaint(run("templates", "export", "out.yaml")) == (
        "out.yaml exists already; choose another name, or replace it with --force"
    )
    assert Path("out.yaml").read_bytes() == before
    assert said(run("templates", "export", "out.yaml", "--force")) == ["out.yaml: revision 1 of default, 0 files"]
    first, rest = Path("out.yaml").read_text("utf-8").split("\n", 1)
    assert first.startswith("# wecom-welcome: revision 1 of app default (")
    assert rest == source
    assert run("templates", "export").stdout == Path("out.yaml").read_text("utf-8")


def test_a_book_with_files_needs_a_zip(run: Run, tmp_path: Path) -> None:
    run("templates", "import", str(a_folder(tmp_path)))
    assert complaint(run("templates", "export", "out.yaml")) == (
        "this book shows 4 files: export it as .zip, such as book.zip"
    )
    assert not Path("out.yaml").exists()
    assert "and 4 files: `templates export book.zip` has them too" in run("templates", "export").stderr


def test_two_editors_do_not_overwrite_each_other(run: Run) -> None:
    run("templates", "import", write(a_template("text: a")))
    for name in ("mine.yaml", "yours.yaml"):
        run("templates", "export", name)
    write(Path("mine.yaml").read_text("utf-8").replace("text: a", "text: b"), "mine.yaml")
    write(Path("yours.yaml").read_text("utf-8").replace("text: a", "text: c"), "yours.yaml")
    assert said(run("templates", "import", "mine.yaml", "--author", "li")) == ["default: revision 2, after 1"]
    assert complaint(run("templates", "import", "yours.yaml")) == (
        "yours.yaml was exported from revision 1, and li has saved 2 since: see `templates diff 1`, export anew, or use"
        " --force"
    )
    assert said(run("templates", "import", "yours.yaml", "--force")) == ["default: revision 3, after 2"]


def test_a_book_that_cannot_be_is_refused_with_a_line_for_each_mistake_and_changes_nothing(run: Run) -> None:
    write(a_template("text: '{nobody}'\nattachments: [image: {file: gone.png}]"))
    first, second = complaints(run("templates", "import", "book.yaml"))
    assert first.startswith("book.yaml: line 4, column 11: no placeholder {nobody}; there are")
    assert second == "book.yaml: line 5, column 33: no file gone.png beside the book; paths are relative to it"
    assert complaint(run("templates", "list")) == (
        "no welcome book is stored for default; `templates import FILE` stores one"
    )


def test_media_beyond_the_cap_are_refused(run: Run, tmp_path: Path) -> None:
    a_folder(tmp_path, a_template("text: t\nattachments: [file: {file: a.pdf}]"), {"a.pdf": bytes(2 << 20)})
    line = complaint(run("templates", "import", "book.yaml", WELCOME_MEDIA_MB="1"))
    assert line == "stored media would have 2.0 MB, and WELCOME_MEDIA_MB allows 1; raise it"


def test_a_member_that_does_not_exist_is_a_remark(run: Run, wecom: StandIn) -> None:
    wecom.people(members={"zhangsan": {}})
    write(a_rule("{member: [zhangsan, lisi]}"))
    result = run("templates", "import", "book.yaml")
    assert said(result) == ["default: revision 1, the first"]
    assert result.stderr.splitlines() == [
        "! line 4: rule first names lisi, who is no member with 客户联系 in the app's visible range",
        "! template two is used by no rule",
    ]


# ------------------------------------------------------------------------------------------------ history


def test_going_back_to_what_no_package_provides_is_refused(run: Run, redis_url: str) -> None:
    books = BookStore(connections.connect(redis_url, timeout=2))
    for text in ("'{crm.level|会员}'", "a"):
        books.save("default", a_template(f"text: {text}"))
    assert "no package here provides crm.level, which revision 1 uses" in complaint(run("templates", "rollback", "1"))
    assert said(run("templates", "rollback", "1", "--force")) == ["default: revision 3, the same as 1"]


def test_history_difference_and_rollback(run: Run) -> None:
    run("templates", "import", write(a_template("text: a")), "--note", "the first")
    run("templates", "import", write(a_template("text: b")), "--author", "li")
    assert said(run("templates", "rollback", "1", "--note", "b was wrong")) == ["default: revision 3, the same as 1"]
    newest, second, first = [line.split() for line in said(run("templates", "history"))]
    assert (newest[:2], newest[4:]) == (["*", "3"], ["wang", "b", "was", "wrong"])
    assert (second[0], second[3:]) == ("2", ["li"])
    assert (first[0], first[3:]) == ("1", ["wang", "the", "first"])
    difference = said(run("templates", "diff", "1", "2"))
    assert difference[:3] == ["~ template default: text", "--- revision 1", "+++ revision 2"]
    assert "-    text: a" in difference
    assert said(run("templates", "diff"))[-3:] != difference[-3:]
    assert said(run("templates", "rollback", "1")) == ["default: revision 3 is the same as 1; nothing has changed"]
    assert complaint(run("templates", "diff", "1", "9")) == (
        "the book of default has no revision 9; `templates history` shows which there are"
    )
    assert complaint(run("templates", "rollback", "9")).startswith("the book of default has no revision 9")


def test_a_single_revision_has_nothing_to_differ_from(run: Run) -> None:
    run("templates", "import", write(a_template("text: a")))
    assert complaint(run("templates", "diff")) == "there is one revision only; `templates list` shows it"


def test_the_current_book_is_listed(run: Run, tmp_path: Path) -> None:
    run("templates", "import", str(a_folder(tmp_path)))
    lines = said(run("templates", "list"))
    assert lines[:2] == ["default: revision 1", "  default: 您好{customer}，我是{member}，很高兴认识您！"]
    assert "  rule douyin (state) → brochure 70, default 30" in lines
    assert "  rule 7 (always) → default" in lines
    assert lines[-1] == "  group welcome newcomers"


# ------------------------------------------------------------------------------------------------ explain


def test_it_is_explained_with_the_members_names(run: Run, wecom: StandIn, tmp_path: Path) -> None:
    wecom.people(members={"zhangsan": {"name": "张三"}})
    run("templates", "import", str(a_folder(tmp_path)))
    options = ("--at", "2026-11-22T21:30", "--state", "wx", "--customer", "王芳", "--customer-type", "wecom")
    lines = said(run("templates", "explain", "--member", "zhangsan", *options))
    assert lines[0] == "zhangsan is added at 2026-11-22 21:30 (add, State wx):"
    assert lines[1] == "✗ rule night: sun 2026-11-22 is not mon, tue, wed, thu or fri"
    assert "✓ rule two-members applies" in lines


def test_a_book_is_explained_before_it_is_imported(run: Run, wecom: StandIn) -> None:
    wecom.people(members={"zhangsan": {"name": "张三"}})
    write(a_template("text: '{customer|朋友}，我是{member|顾问}'"))
    lines = said(run("templates", "explain", "--member", "zhangsan", "--file", "book.yaml"))
    assert lines[1:] == ["✓ rule 1 applies", "→ template default:", "    朋友，我是张三"]


def test_packages_are_asked_about_a_customer_who_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "installed").mkdir()
    with crm() as theirs, installed_here(tmp_path / "installed"):
        theirs.known["wm1"] = {"level": "金卡"}
        write(a_template("text: '您好{crm.level|会员}'"))
        ask = ("templates", "explain", "--member", "zhangsan", "--file", "book.yaml")
        assert said(run(*ask))[-1] == "    您好会员"
        assert theirs.asked == []
        assert said(run(*ask, "--customer-id", "wm1", CRM_URL=theirs.url))[-1] == "    您好金卡"
        unset = run(*ask, "--customer-id", "wm1", "--json")
        assert json.loads(unset.stdout)["greetings"][0]["text"] == "您好会员"
        assert re.fullmatch(r"! crm gives no values: KeyError at \w+\.py:\d+\n", unset.stderr)
    assert "no installed package provides {crm.level}" in complaint(run(*ask))


def test_without_redis_and_wecom_it_is_explained_all_the_same(run: Run, tmp_path: Path) -> None:
    write(a_template("text: '我是{member|顾问}'"))
    nowhere = {"REDIS_URL": "", "WECOM_API_BASE": "http://127.0.0.1:1", "WELCOME_DATA_DIR": str(tmp_path / "none")}
    result = run("templates", "explain", "--member", "zhangsan", "--file", "book.yaml", **nowhere)
    assert said(result)[-1] == "    我是顾问"


@pytest.mark.parametrize(
    ("at", "line"),
    [("21:30", "21:30"), ("2026-11-22", "2026-11-22 00:00"), ("2026-11-22T21:30+00:00", "2026-11-23 05:30")],
)
def test_a_moment_is_in_the_set_zone(run: Run, at: str, line: str) -> None:
    write(a_template("text: t"))
    assert line in said(run("templates", "explain", "--member", "a", "--file", "book.yaml", "--at", at))[0]


@pytest.mark.parametrize("at", ["soon", "0001-01-01T00:00+14:00"])
def test_a_moment_that_is_none_is_refused(run: Run, at: str) -> None:
    write(a_template("text: t"))
    result = run("templates", "explain", "--member", "a", "--file", "book.yaml", "--at", at)
    assert complaint(result) == "--at takes 21:30, 2026-11-22 or 2026-11-22T21:30"


# ------------------------------------------------------------------------------------------------ state


def test_a_backup_is_restored_elsewhere(run: Run, redis_url: str, tmp_path: Path) -> None:
    run("templates", "import", str(a_folder(tmp_path)))
    (line,) = said(run("backup", "state.zip"))
    assert line.startswith("state.zip: ")
    assert complaint(run("restore", "state.zip")) == "there is state here already; `restore --force` replaces all of it"
    with connections.connect(redis_url, timeout=5) as client:
        client.flushall()
    assert said(run("restore", "state.zip"))[0].endswith(" entries restored")
    assert said(run("templates", "export", "out.zip")) == ["out.zip: revision 1 of default, 4 files"]
    assert complaint(run("restore", str(tmp_path / "book.yaml"))).endswith("book.yaml is not a backup of wecom-welcome")
    assert complaint(run("backup", "no/such/folder.zip")) == "no/such/folder.zip: No such file or directory"


def test_a_customer_of_whom_nothing_is_kept_is_said(run: Run) -> None:
    assert said(run("forget", "wm1")) == ["nothing is kept about this customer"]


@pytest.mark.parametrize("command", ["validate", "import", "export", "list", "history", "diff", "rollback", "explain"])
def test_every_command_has_an_example(run: Run, command: str) -> None:
    assert f"Example:  wecom-welcome templates {command}" in " ".join(said(run("templates", command, "--help")))


# ------------------------------------------------------------------------------------------------ group welcomes


def test_group_welcomes_are_brought_in_step_after_a_look_at_what_would_be_done(run: Run) -> None:
    source = a_template("text: t")
    run("templates", "import", write(source + "group_welcome:\n  hello: {text: 欢迎}\n"))
    assert said(run("templates", "groups", "--dry-run")) == ["+ hello: would be added"]
    assert said(run("templates", "groups")) == ["+ hello: added"]
    assert said(run("templates", "groups")) == ["= hello: the same"]
    run("templates", "import", write(source))
    assert said(run("templates", "groups")) == ["- hello: deleted"]
    assert said(run("templates", "groups")) == ["the book has no group welcomes, and none were made from it"]


def test_group_welcomes_that_wecom_refuses_fail_the_command_with_the_reason(run: Run, wecom: StandIn) -> None:
    run("templates", "import", write(a_template("text: t") + "group_welcome:\n  hello: {text: 欢迎}\n"))
    wecom.faults(busy=1, paths=("externalcontact/group_welcome_template/add",))
    result = run("templates", "groups")
    assert result.stdout.startswith("! hello: failed (WeCom is busy (-1))")
    assert complaint(result) == "1 of 1 group welcomes are not in step: hello"


def test_an_exported_zip_takes_the_ids_along_and_another_app_does_not_take_them_over(
    run: Run, redis_client: connections.Redis
) -> None:
    run("templates", "import", write(a_template("text: t") + "group_welcome:\n  hello: {text: 欢迎}\n"))
    run("templates", "groups")
    said(run("templates", "export", "out.zip"))
    redis_client.flushall()  # another installation
    said(run("templates", "import", "out.zip"))
    assert said(run("templates", "groups")) == ["~ hello: edited"]
    redis_client.flushall()
    said(run("templates", "import", "out.zip", WECOM_CORP_ID="ww0123456789abcdef"))
    assert redis_client.keys(keys.group_welcomes("*")) == []


# ------------------------------------------------------------------------------------------------ validated


def test_a_book_in_order_is_said_to_be_so(tmp_path):
    (tmp_path / "book.yaml").write_text(BOOK, "utf-8")
    assert cli.run("templates", "validate", "book.yaml").stdout == "book.yaml: 1 template, 1 rule, nothing wrong\n"


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
    lines = complaints(cli.run("templates", "validate", "book.yaml"))
    assert any(line.startswith(f"book.yaml: {problem}") for line in lines), lines


def test_each_mistake_of_a_book_is_a_line_with_its_place(tmp_path):
    (tmp_path / "book.yaml").write_text(
        BOOK.replace("version: 1", "version: 2").replace("use: default", "use: defualt")
    )
    assert complaints(cli.run("templates", "validate", "book.yaml")) == [
        "book.yaml: line 1, column 10: `version: 1` is required",
        "book.yaml: line 6, column 10: no template is called defualt; there are default; did you mean default?",
    ]


def test_a_book_that_cannot_be_read_is_said_so(tmp_path):
    assert failure("templates", "validate", "book.yaml") == "book.yaml: No such file or directory"
    (tmp_path / "book.yaml").write_bytes(BOOK.encode("gbk"))
    assert failure("templates", "validate", "book.yaml") == "book.yaml is not UTF-8"


def test_where_a_second_person_publishes_a_command_says_that_it_went_around_it(run: Run, redis_url: str) -> None:
    run("templates", "import", write(a_template("text: one")))
    Approvals(connections.connect(redis_url, timeout=5)).switch("default", True, "zhangsan", "张三")
    around = "! default: in the console a second person publishes; this went around it"
    for arguments in (("import", write(a_template("text: two"))), ("rollback", "1")):
        done = run("templates", *arguments)
        assert done.exit_code == 0
        assert around in done.stderr
    assert around not in run("templates", "rollback", "3").stderr  # nothing has changed
    assert "rolled_back" in run("audit", "--json").stdout
