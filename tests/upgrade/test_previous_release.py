"""A running installation upgrades in place: what commit db5e3bc left behind is read, and its work goes on.

Asked at the product's own doors alone: commands, pages, the callback. `golden/` has what db5e3bc said of the same data.
"""

import csv
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import requests

from tasks.storage import connections, keys
from tasks.wecom import WeComClient
from tests.simulator.client import StandIn
from tests.support.until import until
from tests.upgrade.previous import (
    CORP,
    HERE,
    OPERATOR,
    WINDOW,
    WORDS,
    Installation,
    Operator,
    copy_data,
    golden,
    golden_lines,
    move_to_now,
)
from tests.upgrade.words import ANSWERED, in_these_words, line_in_these_words, row_in_these_words

NAME, HEADLINE, EVENT_ID = 1, 2, -2  # columns of the table of deliveries
LANGUAGES = ("en", "zh_Hans")
PAGES = (
    *(
        "/",
        "/welcomes",
        "/welcomes/history",
        "/welcomes/history/2",
        "/welcomes/publish",
        "/welcomes/edit?name=brochure",
    ),
    *("/deliveries", "/missed", "/missed?tab=done", "/missed?tab=unsure", "/missed?tab=no_code", "/queue", "/numbers"),
    *("/channels", "/groups", "/media", "/setup", "/setup?app=mangled", "/deliveries?app=bare", "/queue?app=bare"),
)


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Installation]:
    """This release's server and web side on the data; no worker, so nothing of it changes."""
    folder = tmp_path_factory.mktemp("previous")
    installation = Installation(folder, stand_in)
    copy_data(folder / "var")
    stand_in.pristine()
    installation.register()
    with installation.server():
        web = installation.process("role", "web", "--port", str(installation.port)).start()
        try:
            until(installation.answers, 60, what="the web side")
            yield installation
        finally:
            web.stop()


@pytest.fixture(scope="module")
def operator(old: Installation) -> Operator:
    return Operator(old.url)


def test_the_data_holds_every_outcome_and_every_state_of_a_follow_up_and_of_a_reminder() -> None:
    rows, missed = golden_lines("deliveries.jsonl"), golden_lines("missed.jsonl")
    greeted = {"sent", "unconfirmed", "lost", "no_code", "rehearsed", None}
    not_greeted = {"no_template", "expired", "stale", "refused", "failed", "dead"}
    assert {row["outcome"] for row in rows} == greeted | not_greeted
    assert {row["outcome"] for row in missed} == not_greeted | {"unannounced"}
    assert {(row["followup"] or {}).get("state") for row in rows} == {"waiting", "done", "failed", None}
    assert {row["reminder"] for row in missed} == {"sent", "unsure", "failed", None}


def test_every_key_is_known_and_of_the_same_type(old: Installation) -> None:
    with connections.connect(old.embedded.url, timeout=5) as client:
        found = {key: client.type(key) for key in client.scan_iter(count=1000) if not key.startswith("_kombu.")}
    there = {key: kind for key, kind in found.items() if kind != "none"}  # without those that ended meanwhile
    assert len(there) > 400
    known = {key: keys.find(key) for key in there}
    assert {key: None if one is None else one.type for key, one in known.items()} == there


# ------------------------------------------------------------------------------------------------ on the terminal


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("deliveries.jsonl", ("deliveries", "--json", "--limit", "1000")),
        ("missed.jsonl", ("missed", "--json", "--limit", "1000", "--app", "default")),
        ("missed-done.jsonl", ("missed", "--done", "--json", "--app", "default")),
    ],
)
def test_machines_read_every_old_row_as_before(old: Installation, file: str, command: tuple[str, ...]) -> None:
    before = golden_lines(file)
    now = {row["id"]: row for row in map(json.loads, old.command(*command).splitlines())}
    assert list(now) == [row["id"] for row in before]
    for row in before:
        assert {name: now[row["id"]][name] for name in row} == row


@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("deliveries.txt", ("deliveries", "--limit", "1000")),
        ("missed.txt", ("missed", "--limit", "1000", "--app", "default")),
        ("history.txt", ("templates", "history", "--app", "default")),
        ("book.yaml", ("templates", "export", "--app", "default")),
        ("channels.txt", ("channels", "list", "--app", "default")),
    ],
)
def test_the_terminal_says_the_same_of_it(old: Installation, file: str, command: tuple[str, ...]) -> None:
    now, before = old.command(*command).splitlines(), golden(file).splitlines()
    if file == "deliveries.txt":
        before = [line_in_these_words(line) for line in before]
    assert [in_these_words(line) for line in now] == [in_these_words(line) for line in before]


# ------------------------------------------------------------------------------------------------ in the console


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_shows_it(operator: Operator, page: str, language: str) -> None:
    assert operator.text(page, language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_deliverys_page_has_the_same_words(operator: Operator, language: str) -> None:
    for identity, known in WORDS["rows"].items():
        said = in_these_words(operator.text(f"/e/{identity}", language), language)
        words = row_in_these_words(identity, language)
        for sentence in (words["name"], words["headline"], *words["more"], *words["answers"]):
            assert sentence in said, known["customer"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_list_of_deliveries_has_the_same_few_words(operator: Operator, language: str) -> None:
    said = in_these_words(_all_pages(operator, "/deliveries", language), language)
    for known in WORDS["rows"].values():
        if known["app"] == "default" and known["outcome"] != "unannounced":
            assert in_these_words(known[language]["note"] or "", language) in said, known["customer"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_of_deliveries_has_the_same_words(operator: Operator, language: str) -> None:
    before = _cells(golden(f"{language}.deliveries.csv"), language)
    for row in before:
        if row[EVENT_ID] in ANSWERED:
            words = row_in_these_words(row[EVENT_ID], language)
            row[NAME], row[HEADLINE] = words["name"], words["headline"]
    now = _cells(operator.get("/deliveries.csv", language).removeprefix("\ufeff"), language)
    assert now == before


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_work_list_has_the_same_words(operator: Operator, language: str) -> None:
    said = in_these_words(_all_pages(operator, "/missed", language), language)
    for name, cure in WORDS["missed"][language]:
        assert in_these_words(name, language) in said
        assert in_these_words(cure, language) in said
    for known in WORDS["rows"].values():
        if known["app"] == "default":
            assert in_these_words(known[language]["reminder"], language) in said, known["customer"]
    assert OPERATOR in operator.text("/missed?tab=done", language)


@pytest.mark.parametrize("language", LANGUAGES)
def test_set_up_says_what_was_wrong_with_each_refused_callback(operator: Operator, language: str) -> None:
    for app, known in WORDS["callbacks"].items():
        said = in_these_words(operator.text(f"/setup?app={app}", language), language)
        verdicts = [one[language] for one in WORDS["callbacks"].values() if language in one]
        shown = [one for one in verdicts if in_these_words(one, language) in said]
        assert shown == ([known[language]] if language in known else []), app
        classes = {"bad": 'class="verdict bad"', "warn": 'class="verdict warn"'}
        page = operator.get(f"/setup?app={app}", language)
        assert [tone for tone, mark in classes.items() if mark in page] == [
            one for one in classes if one == known["tone"]
        ]


@pytest.mark.parametrize("app", ["default", "mangled"])
def test_set_up_shows_the_last_check(old: Installation, operator: Operator, app: str) -> None:
    with connections.connect(old.embedded.url, timeout=5) as client:
        findings = json.loads(client.get(f"welcome:checkup:{app}") or "")["findings"]
    said = operator.text(f"/setup?app={app}").replace("`", "")
    for what, _fine, detail, cure in findings:
        for part in (what, detail, cure):
            assert " ".join(_english(part).replace("`", "").split()) in said


def test_what_was_refused_or_failed_is_told_where_it_was(old: Installation, operator: Operator) -> None:
    assert "(48002)" in operator.text("/missed?tab=done")  # what the nightly comparison has to wait for
    assert "WeCom gave no answer" in operator.text("/missed?tab=done&app=bare")
    found = old.command("check", "--app", "default", fails=True)
    media, queue = operator.text("/media"), operator.text("/queue")
    for reason in WORDS["groups"].values():
        assert in_these_words(reason) in found
    for reason in WORDS["ready"]:
        assert in_these_words(reason) in media
    for row in golden_lines("deliveries.jsonl"):
        if row["app"] == "default" and row["followup"] and row["followup"]["state"] == "failed":
            reason = row["followup"][
                "reason"
            ]  # of a sentence that an earlier release stored, nothing is put into other words
            assert reason in queue or in_these_words(reason) in queue
    assert OPERATOR in queue  # who has paused the follow-ups


@pytest.mark.parametrize("by", ["day", "channel", "member", "welcome", "variant"])
def test_the_counts_are_the_same(operator: Operator, by: str) -> None:
    before = golden(f"numbers-by-{by}.csv")
    days = sorted(line.partition(",")[0] for line in golden("numbers-by-day.csv").splitlines()[1:])
    now = operator.get(f"/numbers.csv?by={by}&since={days[0]}&until={days[-1]}").removeprefix("\ufeff")
    assert sorted(now.splitlines()) == sorted(before.splitlines())


def test_the_counters_go_on(old: Installation) -> None:
    lines = requests.get(f"{old.url}/metrics", timeout=30).text.splitlines()
    assert [line for line in golden("metrics.txt").splitlines() if line not in lines] == []


# ------------------------------------------------------------------------------------------------ a backup


def test_a_backup_of_the_previous_release_is_restored(tmp_path: Path, wecom: StandIn) -> None:
    installation = Installation(tmp_path, wecom)
    with installation.server() as client:
        installation.command("restore", str(HERE / "backup.zip"))
        assert installation.command("templates", "export", "--app", "default") == golden("book.yaml")
        now = installation.deliveries()
        unfinished: set[str] = set()
        for row in golden_lines("deliveries.jsonl"):
            if row["outcome"] is None:
                ended = ("expired", "it was unfinished when the backup was made")
                assert (now[row["id"]]["outcome"], now[row["id"]]["reason"]) == ended
                unfinished.add(row["id"])
            else:
                assert {name: now[row["id"]][name] for name in row} == row
        assert client.zcard("welcome:due") == 0
        missed = set(client.zrange("welcome:missed:default", 0, -1))
        greet_by_hand = {one for one in unfinished if not now[one]["external_user_id"].startswith("rehearsal-")}
        assert len(greet_by_hand) == 8
        assert missed == {row["id"] for row in golden_lines("missed.jsonl")} | greet_by_hand
        assert set(client.zrange("welcome:index:default:outcome:expired", 0, -1)) >= greet_by_hand


# ------------------------------------------------------------------------------------------------ the work goes on


class Upgraded:
    """`up` of this release on a copy of the data whose unfinished events are of this moment, but one."""

    def __init__(self, folder: Path, wecom: StandIn) -> None:
        self.installation = Installation(folder, wecom, WELCOME_WINDOW_S=str(WINDOW))
        copy_data(folder / "var")
        wecom.settings(window_s=WINDOW)
        self.installation.register()
        wecom.people(members={"wangwu": {"name": "王五", "department": [3]}}, departments={3: {"name": "东区"}})
        self.up = self.installation.process("up", "--port", str(self.installation.port))
        self.ids: dict[str, str] = {}  # customer → event id
        with self.installation.server() as client:
            for row in golden_lines("deliveries.jsonl"):
                customer = row["external_user_id"]
                if row["outcome"] is None and customer != "wm-open-late":
                    self.ids[customer] = move_to_now(client, wecom, row["id"])
                elif row["followup"] and row["followup"]["state"] == "waiting" and row["app"] == "default":
                    wecom.add(push=False, user_id=row["user_id"], external_user_id=customer, welcome_code="spent")
        self._spend(wecom, "code-of-open-in-doubt")

    @staticmethod
    def _spend(wecom: StandIn, code: str) -> None:
        """The try whose answer the previous release's worker did not live to see was taken by WeCom."""
        client = WeComClient(CORP, "not-a-secret-of-default", wecom.base_url)
        client.external_contact.send_welcome_msg({"welcome_code": code, "text": {"content": "您好"}})
        client.close()

    def outcomes(self) -> dict[str, Any]:
        """Customer → outcome, of those who were unfinished."""
        rows = self.installation.deliveries()
        names = {row["id"]: row["external_user_id"] for row in golden_lines("deliveries.jsonl")}
        known = self.ids | {name: one for one, name in names.items() if name == "wm-open-late"}
        return {name: rows[identity]["outcome"] for name, identity in known.items()}

    def follow_ups(self) -> dict[str, Any]:
        """Customer → state of the follow-up, of those that waited."""
        rows = self.installation.deliveries()
        waited = [row for row in golden_lines("deliveries.jsonl") if (row["followup"] or {}).get("state") == "waiting"]
        return {row["external_user_id"]: rows[row["id"]]["followup"] for row in waited}


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory, stand_in: StandIn) -> Iterator[Upgraded]:
    stand_in.pristine()
    upgraded = Upgraded(tmp_path_factory.mktemp("upgraded"), stand_in)
    upgraded.up.start()
    try:
        until(lambda: upgraded.installation.answers("/readyz/intake"), 60, what="the web side")
        yield upgraded
    finally:
        upgraded.up.stop()
        print(upgraded.up.output()[-6000:])
        stand_in.pristine()


def test_unfinished_events_are_greeted(upgraded: Upgraded, stand_in: StandIn) -> None:
    until(lambda: None not in upgraded.outcomes().values(), 60, every=1, what="an outcome of each")
    found = upgraded.outcomes()
    assert found.pop("wm-open-late") == "expired"  # its code has died with the previous release
    assert found.pop("wm-open-in-doubt") == "unconfirmed"
    rehearsals = {found.pop(name) for name in list(found) if name.startswith("rehearsal-")}
    assert rehearsals == {"rehearsed"}
    assert set(found.values()) == {"sent"}
    assert len(found) == 6
    greeted = {record.external_user_id for record in stand_in.records() if record.greeted_at is not None}
    assert set(found) <= greeted


def test_the_pause_still_holds_and_then_the_follow_ups_that_waited_are_done(upgraded: Upgraded) -> None:
    before = {row["external_user_id"]: row["followup"] for row in golden_lines("deliveries.jsonl")}
    assert upgraded.follow_ups() == {name: before[name] for name in upgraded.follow_ups()}
    operator = Operator(upgraded.installation.url)
    page = operator.get("/queue")
    (action,) = [one for one in _actions(page) if one.partition("?")[0].endswith("/follow-ups/resume")]
    operator.post(action.removeprefix("/console"), page)

    def states() -> dict[str, str]:
        return {name: followup["state"] for name, followup in upgraded.follow_ups().items() if followup}

    until(lambda: "waiting" not in states().values(), 60, every=1, what="the end of each follow-up")
    found = states()
    gone = {name: found.pop(name) for name in list(found) if name.startswith("wm-failed-")}
    assert set(gone.values()) == {"failed"}  # of an app that was taken out of the settings
    assert set(found.values()) == {"done"}
    assert len(found) == 10


def test_a_follow_up_that_had_failed_can_be_done_again(upgraded: Upgraded, stand_in: StandIn) -> None:
    (row,) = [one for one in golden_lines("deliveries.jsonl") if one["external_user_id"] == "wm-follow-given-up"]
    stand_in.add(push=False, user_id=row["user_id"], external_user_id=row["external_user_id"], welcome_code="spent")
    upgraded.installation.command("deliveries", "--retry-followup", row["id"])

    def state() -> str:
        return str(upgraded.installation.deliveries()[row["id"]]["followup"]["state"])

    until(lambda: state() == "done", 60, every=1, what="the follow-up")


def test_whoever_is_added_afterwards_is_greeted(upgraded: Upgraded, stand_in: StandIn) -> None:
    record = stand_in.add(user_id="zhangsan")
    until(lambda: stand_in.record(record).greeted_at is not None, what="the greeting")


# ------------------------------------------------------------------------------------------------ small things


def _english(kept: Any) -> str:
    """A stored sentence: a text, or {"msgid", "values"}."""
    if not isinstance(kept, dict):
        return kept or ""
    values = {name: _english(value) for name, value in kept["values"].items()}
    return str(kept["msgid"] % values if values else kept["msgid"])


def _cells(table: str, language: str) -> list[list[str]]:
    """The rows of a CSV file, without its heading."""
    return [[in_these_words(cell, language) for cell in row] for row in csv.reader(io.StringIO(table))][1:]


def _all_pages(operator: Operator, path: str, language: str) -> str:
    """What a list says, to its end."""
    said, query = "", ""
    for _ in range(20):
        said += operator.text(path + query, language)
        older = re.search(r'href="[^"]*[?&;]before=([^"&]+)', operator.get(path + query, language))
        if older is None or query.endswith(unescape(older[1])):
            return said
        query = f"?before={unescape(older[1])}"
    raise AssertionError("the list has no end")


def _actions(page: str) -> list[str]:
    """Where the forms of a page lead."""
    return [unescape(one) for one in re.findall(r'action="([^"]+)"', page)]
