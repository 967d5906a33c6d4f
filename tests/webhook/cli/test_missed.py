"""`wecom-welcome missed`: the work list on the terminal, and the comparison run by hand."""

import json
import time

from tasks.changes import failed_transfers
from tasks.changes.failed_transfers import FailedTransfer
from tasks.missed.work_list import WorkList
from tasks.storage import keys
from tests.support.cli import failure, run
from tests.support.ledger import missed


def test_who_was_missed_is_shown_newest_first_without_a_name(environ, redis_client):
    older = missed(redis_client, "refused", 40058, state="xhs\x1b[2J")
    newer = missed(redis_client)
    WorkList(redis_client, "default").name(newer, "李雷")
    result = run("missed", **environ)
    first, second = result.stdout.splitlines()
    assert newer in first
    assert older in second
    assert "refused" in second
    assert "李雷" not in result.stdout
    rows = [json.loads(line) for line in run("missed", "--json", **environ).stdout.splitlines()]
    assert [row["id"] for row in rows] == [newer, older]
    assert rows[1]["errcode"] == 40058
    assert rows[0]["reminder"] is None
    assert len(run("missed", "--limit", "1", **environ).stdout.splitlines()) == 1


def test_who_was_not_handed_over_is_listed_with_the_reason(environ, redis_client):
    failed_transfers.add(redis_client, FailedTransfer("default", "ww1", "lisi", "wm1", "customer_refused"), 86_400)
    assert "the customer refused the hand-over" in run("missed", **environ).stdout
    row = json.loads(run("missed", "--json", **environ).stdout)
    assert (row["user_id"], row["external_user_id"], row["outcome"]) == ("lisi", "wm1", "not_transferred")
    assert row["reason"] == "the customer refused the hand-over"


def test_who_was_ticked_off_is_shown_with_the_name_of_who_did_it(environ, redis_client):
    WorkList(redis_client, "default").tick([missed(redis_client)], "李敏", int(time.time() * 1000))
    assert "waiting to be greeted" in run("missed", **environ).stderr
    assert "ticked off by 李敏" in run("missed", "--done", **environ).stdout


def test_a_long_list_is_shown_whole(environ, redis_client):
    ids = {missed(redis_client) for _ in range(70)}
    lines = run("missed", "--json", "--limit", "500", **environ).stdout.splitlines()
    assert {json.loads(line)["id"] for line in lines} == ids


def test_a_comparison_can_be_run_by_hand(environ, redis_client, wecom):
    redis_client.hset(keys.comparison("default"), "begun_at", 1)
    wecom.add(push=False, created_at=int(time.time()) - 3600, external_user_id="wm-lost")
    result = run("missed", "--compare", **environ)
    assert result.exit_code == 0
    assert "1 customer of 1 member compared: 1 new, 1 never announced, 0 members left out" in result.stderr
    assert "wm-lost" in result.stdout
    assert "unannounced" in result.stdout


def test_a_hand_over_is_asked_about_and_who_was_not_handed_over_is_listed(environ, redis_client, wecom):
    wecom.people(members={"zhangsan": {}, "lisi": {}}, customers={"wm1": {"transfer": 3}})
    for customer in ("wm1", "wm2"):
        wecom.add(user_id="zhangsan", external_user_id=customer, push=False)
    called = ("externalcontact/transfer_customer", "--handover_userid", "zhangsan", "--takeover_userid", "lisi")
    customers = ("--external_userid", "wm1", "--external_userid", "wm2")
    assert run("api", *called, *customers, **environ).exit_code == 0
    result = run("missed", "--transfer", "zhangsan", "lisi", **environ)
    assert "zhangsan → lisi: 0 handed over, 1 waiting, 1 refused, 0 without room; asked again" in result.stderr
    assert "wm1" in result.stdout
    assert "wm2" not in result.stdout
    assert "zhangsan → lisi" in run("audit", **environ).stdout


def test_what_wecom_says_of_a_hand_over_is_told_in_words(environ, wecom):
    wecom.people(members={"zhangsan": {"transfers": 48002}, "lisi": {}})
    said = failure("missed", "--transfer", "zhangsan", "lisi", **environ)
    assert "the app is not allowed to call (48002); the upkeep role asks again" in said
    assert "tick it in 客户联系 → 可调用接口的应用" in said
    unknown = failure("missed", "--transfer", "zhangsan", "nobody", **environ)
    assert unknown.endswith("no such member (60111). What to do: check the member's id.")
    assert "that is one member" in run("missed", "--transfer", "lisi", "LiSi", **environ).stderr


def test_a_comparison_that_cannot_go_on_says_why_and_when(environ, wecom):
    wecom.faults(limited=1.0, paths=("externalcontact/get_follow_user_list",))
    said = failure("missed", "--compare", **environ)
    assert "45009" in said
    assert "goes on with it at" in said
