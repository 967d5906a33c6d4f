"""`wecom-welcome channels …`, as an operator types it."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from tasks.channels import Channel, ChannelError
from tasks.state import backup
from tasks.storage import connections, keys
from tasks.wecom import WeComClient
from tasks.wecom.errors import from_answer
from tasks.wecom.external_contact import ExternalContact
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support import cli
from tests.support.books import a_rule
from tests.support.cli import complaint, said
from tests.support.lost_answers import lose_an_answer

Run = Callable[..., Result]
NO_RULE = "has no rule of its own in the current book"


@pytest.fixture
def app(app: App, wecom: StandIn) -> App:
    wecom.people(members={"zhangsan": {}, "lisi": {}, "left": {"status": 5}})
    return app


@pytest.fixture
def api(app: App, wecom: StandIn) -> ExternalContact:
    return WeComClient(app.corp_id, app.secret, wecom.base_url).external_contact


@pytest.fixture
def run(environ: dict[str, str]) -> Run:
    """`wecom-welcome channels …`, beside a book with a rule for Douyin."""
    Path("book.yaml").write_text(a_rule('{state: "douyin-*"}'), "utf-8")
    said(cli.run("templates", "import", "book.yaml", **environ))
    return lambda *arguments: cli.run("channels", *arguments, **environ)


def stored(client: connections.Redis, name: str) -> Channel:
    return Channel.read(client.hget(keys.channels("default"), name))


def test_a_channel_is_made_kept_and_its_code_written(
    run: Run, api: ExternalContact, redis_client: connections.Redis
) -> None:
    result = run("create", "抖音", "--state", "douyin-1", "--member", "zhangsan", "--png", "code.png")
    first, url, last = said(result)
    channel = stored(redis_client, "抖音")
    assert first == f"抖音: State douyin-1, config_id {channel.config_id}"
    assert url.strip() == channel.qr_code
    assert last == "code.png: the QR code"
    assert Path("code.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert result.stderr == ""
    way = api.get_contact_way(channel.config_id)["contact_way"]
    assert {key: way[key] for key in ("type", "scene", "remark", "state", "user", "skip_verify")} == {
        "type": 1,
        "scene": 2,
        "remark": "抖音",
        "state": "douyin-1",
        "user": ["zhangsan"],
        "skip_verify": True,
    }


def test_a_state_is_made_up_where_none_is_given_and_said_to_have_no_rule(run: Run) -> None:
    result = run("create", "several", "--member", "zhangsan", "--member", "lisi", "--department", "3")
    made_up = re.search(r"State (ch-[0-9a-f]{8}),", said(result)[0])
    assert made_up is not None
    assert f"! State {made_up[1]} {NO_RULE}" in result.stderr


def test_the_list_says_whom_a_code_leads_to_and_its_rule(run: Run, redis_client: connections.Redis) -> None:
    assert "No channels." in run("list").stderr
    run("create", "a", "--state", "douyin-1", "--member", "zhangsan")
    run("create", "b", "--state", "shop", "--member", "lisi", "--department", "3")
    a, b = stored(redis_client, "a").config_id, stored(redis_client, "b").config_id
    assert said(run("list")) == [
        f"a  douyin-1  zhangsan            {a}  rule first",
        f"b  shop      lisi, department 3  {b}  no rule of its own",
    ]


def test_codes_that_were_made_elsewhere_and_codes_that_are_gone_are_found(
    run: Run, api: ExternalContact, redis_client: connections.Redis
) -> None:
    run("create", "a", "--state", "douyin-1", "--member", "zhangsan")
    api.del_contact_way(stored(redis_client, "a").config_id)
    other = api.add_contact_way(1, 2, remark="by hand", state="x", user=["lisi"])["config_id"]
    ours, theirs = said(run("list", "--all"))
    assert ours.endswith("rule first  (WeCom does not have it any more)")
    assert theirs == f"not made here: by hand  x  {other}"
    assert len(said(run("list"))) == 1


def test_a_channel_is_shown_as_wecom_has_it(run: Run, api: ExternalContact, redis_client: connections.Redis) -> None:
    run("create", "a", "--state", "douyin-1", "--member", "zhangsan", "--no-skip-verify")
    assert "  leads to zhangsan, the member has to confirm" in said(run("show", "a", "--png", "a.png"))
    assert Path("a.png").exists()
    api.update_contact_way(stored(redis_client, "a").config_id, None, state="else")
    result = run("show", "a")
    assert "WeCom has another State: else; `channels update a --state …` sets it" in result.stderr


def test_a_channel_is_changed_and_what_is_not_given_stays(
    run: Run, api: ExternalContact, redis_client: connections.Redis
) -> None:
    run("create", "a", "--state", "douyin-1", "--member", "zhangsan", "--no-skip-verify")
    config_id = stored(redis_client, "a").config_id
    result = run("update", "a", "--name", "b", "--state", "shop", "--member", "lisi")
    assert said(result) == ["b: State shop, leads to lisi"]
    assert NO_RULE in result.stderr
    assert redis_client.hkeys(keys.channels("default")) == ["b"]
    way = api.get_contact_way(config_id)["contact_way"]
    assert (way["remark"], way["state"], way["user"], way["skip_verify"]) == ("b", "shop", ["lisi"], False)
    assert complaint(run("update", "b", "--department", "3")) == (
        "this code was made for one member, and WeCom keeps it so; create another channel"
    )
    assert complaint(run("update", "b")).startswith("nothing to change")


def test_a_channel_is_deleted_only_with_yes(run: Run, api: ExternalContact, redis_client: connections.Redis) -> None:
    run("create", "a", "--state", "douyin-1", "--member", "zhangsan")
    assert complaint(run("delete", "a")) == ("printed codes of a (State douyin-1) would lead nowhere; if so, add --yes")
    assert len(api.list_contact_way()["contact_way"]) == 1
    assert said(run("delete", "a", "--yes")) == ["a is deleted"]
    assert api.list_contact_way()["contact_way"] == []
    assert redis_client.exists(keys.channels("default")) == 0


def test_a_code_that_was_deleted_elsewhere_can_be_forgotten(
    run: Run, api: ExternalContact, redis_client: connections.Redis
) -> None:
    run("create", "a", "--state", "douyin-1", "--member", "zhangsan")
    api.del_contact_way(stored(redis_client, "a").config_id)
    assert "40058" in complaint(run("delete", "a", "--yes"))
    assert said(run("delete", "a", "--yes", "--here-only")) == ["a is forgotten here, and WeCom keeps it"]
    assert redis_client.exists(keys.channels("default")) == 0


def test_channels_are_in_a_backup(run: Run, redis_client: connections.Redis) -> None:
    run("create", "a", "--state", "douyin-1", "--member", "zhangsan")
    before = said(run("list"))
    backup.backup(redis_client, Path("a.zip"))
    redis_client.delete(keys.channels("default"))
    backup.restore(redis_client, Path("a.zip"), force=True)
    assert said(run("list")) == before


# ------------------------------------------------------------------------------------------------ errors


def test_what_is_wrong_is_said_in_one_line(run: Run) -> None:
    run("create", "a", "--state", "douyin-1", "--member", "zhangsan")
    assert complaint(run("create", "a", "--member", "lisi")).startswith("there is a channel a already")
    assert complaint(run("create", "b")) == "a code leads to somebody: give --member or --department"
    assert complaint(run("show", "b")) == "no channel b; there are a"
    assert "60111" in complaint(run("create", "b", "--member", "nobody"))
    assert "(the member is not activated: the member signs in to WeCom)" in complaint(
        run("create", "b", "--member", "left")
    )
    assert len(said(run("list"))) == 1


@pytest.mark.parametrize("option", ["name", "--state"])
def test_more_than_30_characters_are_refused(run: Run, option: str) -> None:
    long = "名" * 31
    given = (long,) if option == "name" else ("a", "--state", long)
    result = run("create", *given, "--member", "zhangsan")
    assert result.exit_code == 2
    assert "it has 31 characters, and WeCom takes 30." in result.stderr


@pytest.mark.parametrize("code", range(41037, 41046))
def test_each_refusal_of_a_contact_way_has_a_cure(run: Run, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(self: ExternalContact, **_: object) -> None:
        raise from_answer(code, "invalid contact way", "externalcontact/add_contact_way")

    monkeypatch.setattr(ExternalContact, "add_contact_way", refuse)
    line = complaint(run("create", "a", "--member", "zhangsan"))
    assert re.fullmatch(rf"externalcontact/add_contact_way: {code} invalid contact way \(.{{20,}}\)", line)


def test_a_code_whose_image_cannot_be_had_or_written_is_there_all_the_same(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = complaint(run("create", "a", "--state", "douyin-1", "--member", "zhangsan", "--png", "no-such-folder/a.png"))
    assert "the channel is there: write it elsewhere" in line

    def refuse(*_: object) -> None:
        raise ChannelError("the code's image did not come in time")

    monkeypatch.setattr("webhook.cli.channels.picture", refuse)
    assert complaint(run("show", "a", "--png", "a.png")) == (
        "the code's image did not come in time; the channel is there: `channels show a --png a.png` tries again"
    )
    assert len(said(run("list"))) == 1


def test_a_code_stays_when_the_answer_to_keeping_it_is_lost(
    run: Run, api: ExternalContact, redis_client: connections.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = lose_an_answer(monkeypatch, "HSETNX")
    said(run("create", "抖音", "--member", "zhangsan"))
    assert done.count("HSETNX") == 1
    assert api.get_contact_way(stored(redis_client, "抖音").config_id)["errcode"] == 0


@pytest.mark.parametrize("empty", ["", " ", "\t"])
@pytest.mark.parametrize(
    "command",
    [
        ("channels", "create", "抖音", "--member", "zhangsan", "--member"),
        ("channels", "update", "抖音", "--member"),
        ("deliveries", "--member"),
        ("simulate", "--url", "http://127.0.0.1:1/callback", "--member"),
        ("templates", "explain", "--member"),
    ],
    ids=lambda command: " ".join(command[:2]),
)
def test_an_empty_member_is_refused_by_name(environ: dict[str, str], command: tuple[str, ...], empty: str) -> None:
    result = cli.run(*command, empty, **environ)
    assert result.exit_code == 2
    assert "--member" in result.stderr
    assert "it is empty: give a member's userid" in result.stderr
