"""Deliveries: the list, its filters and table, and one of them in full."""

import csv
import html
import importlib
import io
import json
import re
import time
from typing import Any

import pytest

from tasks.events import ContactAdded
from tasks.ledger.claims import FollowUpProgress, SettledEvent, Settlement
from tasks.ledger.delivery import Attempt, FollowUpStatus, LeftOut, LeftOutBecause, Outcome
from tasks.reasons import Kind, Reason
from tasks.services import Services, build_services
from tasks.settings import read
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.builders import BOOK, CORP, answered, in_words, some_settings
from tests.support.console import PASSWORD, Browser, text_of
from tests.support.ledger import accepted, settled
from tests.support.worker import Worker

STEPS = {"started": 29, "chosen": 30, "named": 93, "prepared": 95, "try_1": 96, "token": 97, "answer_1": 227}
NASTY = "<script>alert(1)</script>\u202e"
ATTACHED = """\
version: 1
templates:
  default:
    text: "您好{customer|朋友}"
    attachments:
      - link: {title: 手册, url: "https://example.com/book"}
      - link: {title: 价格, url: "https://example.com/price"}
rules:
  - name: 小红书
    when: {state: "xhs-*"}
    use: default
  - use: default
"""


@pytest.fixture
def published(services: Services) -> None:
    services.books.save("default", BOOK)


def added(services: Services, outcome: str | None = "sent", ago: int = 0, **different: Any) -> ContactAdded:
    """A customer of whom this became. `different`: of the event; of the settlement where its name ends with `_`."""
    values = {"template": "default", "rule": "1", "revision": 1, "attempts": 1, "steps": STEPS, "tries": [Attempt()]}
    values |= {name[:-1]: different.pop(name) for name in list(different) if name.endswith("_")}
    if outcome is None:
        return accepted(services.ledger, ago=ago, **different)
    return settled(services.ledger, Settlement(Outcome(outcome), **values), ago=ago, **different)


def ids(page: Any) -> list[str]:
    """The events that a list shows, in order."""
    return re.findall(r'<tr id="e-(\w+)"', page.text)


# ------------------------------------------------------------------------------------------------ the list


def test_rows_are_shown_newest_first_with_who_what_and_how_long(browse: Browser, services: Services) -> None:
    first = added(services, values_={"customer": "韩梅", "member": "张伟"}, state="xhs-11", ago=60)
    last = added(services, "expired", steps_={"started": 31000}, template_="", rule_="", tries_=())
    page = browse.get("/deliveries")
    said = text_of(page)
    assert ids(page) == [last.id, first.id]
    assert "Too late In the queue 31 s" in said
    assert "韩梅 → 张伟 xhs-11 Sent 0.2 s default" in said
    assert last.external_user_id not in said  # its two ends, the whole in the title


def test_a_console_without_customers_says_what_to_do(browse: Browser) -> None:
    assert "No customer yet" in text_of(browse.get("/deliveries"))


def test_each_filter_leaves_what_it_says_and_they_hold_together(browse: Browser, services: Services) -> None:
    events = {
        "sent": added(services, state="s1"),
        "late": added(services, "expired", state="s1", user_id="lisi"),
        "refused": added(services, "refused", template_="other", errcode_=60020),
        "open": added(services, None),
        "old": added(services, ago=3 * 86400),
    }
    names = {event.id: name for name, event in events.items()}

    def shown(**query: str) -> set[str]:
        page = browse.get("/deliveries", query)
        assert page.status_code == 200
        return {names[one] for one in ids(page)}

    assert shown() == set(names.values())
    assert shown(outcome="missed") == {"late", "refused"}
    assert shown(outcome="expired") == {"late"}
    assert shown(outcome="open") == {"open"}
    assert shown(member="lisi") == {"late"}
    assert shown(channel="s1") == {"sent", "late"}
    assert shown(channel="s1", outcome="sent") == {"sent"}
    assert shown(welcome="other") == {"refused"}
    assert shown(q=events["old"].external_user_id) == {"old"}
    now = time.time()
    zone = services.settings.timezone
    day = time.strftime("%Y-%m-%d", time.gmtime(now - 3 * 86400 + 8 * 3600))
    assert zone.key == "Asia/Shanghai"
    assert shown(since=day, until=day) == {"old"}
    assert shown(until=day) == {"old"}
    assert shown(since=f"{day}T00:00", until="") == set(names.values())
    assert shown(member="nobody") == set()


def test_what_is_filtered_is_said_and_each_part_can_be_dropped(browse: Browser, services: Services) -> None:
    added(services, "expired", user_id="lisi", values_={"member": "李四"}, state="s1")
    page = browse.get("/deliveries", {"outcome": "missed", "member": "lisi", "channel": "s1"})
    assert "Filtered by: Missed Member 李四 × Channel s1 × Clear" in text_of(page)
    assert 'href="/console/deliveries?outcome=missed&amp;channel=s1"' in page.text
    empty = browse.get("/deliveries", {"outcome": "missed", "member": "nobody"})
    assert "No matches. Remove “Missed” Remove “Member”" in text_of(empty)


def test_a_member_is_found_by_name_too(browse: Browser, services: Services) -> None:
    event = added(services, user_id="zhangwei")
    added(services, user_id="lisi")
    known(services, zhangwei="张伟", lisi="李四")
    page = browse.get("/deliveries", {"member": "张伟", "outcome": "sent"})
    assert ids(page) == [event.id]
    assert page.request.args.to_dict() == {"member": "zhangwei", "outcome": "sent"}
    unknown = browse.get("/deliveries", {"member": "王五"})
    assert unknown.status_code == 422
    assert "No member of this name has a recent customer" in text_of(unknown)
    known(services, lisi="张伟")
    assert "Several members have this name: lisi, zhangwei" in text_of(browse.get("/deliveries", {"member": "张伟"}))


def known(services: Services, **names: str) -> None:
    """Let the cache know these members."""
    for user_id, name in names.items():
        answer = {"answer": {"member": name, "department": 1}, "until": time.time() + 60}
        services.redis.set(keys.member("default", user_id), json.dumps(answer))


def test_an_event_id_leads_to_the_event(browse: Browser, services: Services, published: None) -> None:
    event = added(services)
    page = browse.get("/deliveries", {"q": f" {event.id} "})
    assert page.request.path == f"/console/e/{event.id}"


def test_tabs_count_the_chosen_time_and_say_nothing_that_they_do_not_know(browse: Browser, services: Services) -> None:
    added(services, "expired")
    added(services, "refused", errcode_=41050)
    added(services, ago=5 * 86400)
    assert "All 3 Sent 1 Missed 2" in text_of(browse.get("/deliveries"))
    yesterday = time.strftime("%Y-%m-%d", time.gmtime(time.time() - 86400 + 8 * 3600))
    assert "All 2 Sent 0 Missed 2" in text_of(browse.get("/deliveries", {"since": yesterday}))
    narrowed = text_of(browse.get("/deliveries", {"member": "zhangsan"}))
    assert "All Sent Missed" in narrowed
    chips = text_of(browse.get("/deliveries", {"outcome": "expired"}))
    assert "Too late 1 Refused by WeCom 1" in chips


def test_pages_go_on_where_the_one_before_ended_whatever_comes_meanwhile(browse: Browser, services: Services) -> None:
    events = [added(services, ago=100 + number) for number in range(60)]
    page = browse.get("/deliveries")
    assert ids(page) == [event.id for event in events[:50]]
    older = re.search(r'rel="next" href="/console([^"]+)"', page.text)
    assert older is not None
    added(services)
    second = browse.get(older[1].replace("&amp;", "&"))
    assert ids(second) == [event.id for event in events[50:]]
    newer = re.search(r'rel="prev" href="/console([^"]+)"', second.text)
    assert newer is not None
    assert ids(browse.get(newer[1].replace("&amp;", "&"))) == [event.id for event in events[:50]]


def test_new_rows_are_counted_and_do_not_push(browse: Browser, services: Services) -> None:
    first = added(services, None, ago=30)
    page = browse.get("/deliveries")
    polled = re.search(r'hx-get="/console([^"]+seen=[^"]+)"', page.text)
    assert polled is not None
    assert " new, show" not in text_of(page)
    for _ in range(3):
        added(services)
    services.ledger.settle(SettledEvent(first, Settlement(Outcome.SENT, steps=STEPS)))
    again = browse.get(polled[1].replace("&amp;", "&"))
    assert ids(again) == [first.id]
    assert "3 new, show" in text_of(again)
    assert "Sent 0.2 s" in text_of(again)  # what was in progress is what it became


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"since": "yesterday"}, "Write a date such as 2026-11-22"),
        ({"until": "2026-13-01"}, "Write a date such as 2026-11-22"),
        ({"since": "2026-11-22T10:00+08:00"}, "Write a date such as 2026-11-22"),
        ({"since": "9999-12-31"}, "Write a date such as 2026-11-22"),
        ({"since": "2026-11-22", "until": "2026-11-21"}, "“Until” is before “since”"),
        ({"outcome": "<b>"}, "There is no such outcome"),
        ({"member": "x" * 300}, "256"),
    ],
)
def test_a_filter_that_cannot_be_is_shown_again_with_what_is_wrong(
    browse: Browser, query: dict[str, str], said: str
) -> None:
    for path in ("/deliveries", "/deliveries.csv"):
        page = browse.get(path, query)
        assert page.status_code == 422
        assert "1 thing to fix" in text_of(page)
        assert said in text_of(page)
        for value in query.values():
            assert f'value="{value}"'.replace("<b>", "&lt;b&gt;") in page.text


@pytest.mark.parametrize("cursor", ["x", "-", "1e9-a", "9" * 30 + "-a", "%00-"])
def test_a_place_that_is_none_leads_to_the_newest(browse: Browser, services: Services, cursor: str) -> None:
    event = added(services)
    for name in ("before", "after", "seen"):
        page = browse.get("/deliveries", {name: cursor})
        assert page.status_code == 200
        assert ids(page) in ([event.id], [])


def test_names_from_outside_are_shown_and_not_run(browse: Browser, services: Services, published: None) -> None:
    settled = {"values_": {"customer": NASTY}, "reason_": in_words(NASTY), "errcode_": 9, "rule_": NASTY}
    event = added(services, "refused", user_id=NASTY, state=NASTY, **settled)
    for path in ("/deliveries", f"/e/{event.id}", f"/deliveries?channel={NASTY}", f"/deliveries?q={NASTY}"):
        page = browse.get(path)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "</footer>" in page.text


def test_an_app_sees_its_own_customers(services: Services, redis_url: str, tmp_path: Any) -> None:
    file = tmp_path / "apps.toml"
    key = services.settings.apps["default"].encoding_aes_key
    file.write_text(
        "".join(
            f'[apps.{name}]\ncorp_id = "{CORP}"\nsecret = "{name}"\ntoken = "t"\nencoding_aes_key = "{key}"\n'
            for name in ("sales", "service")
        )
    )
    variables = {"WELCOME_CONFIG": str(file), "REDIS_URL": redis_url, "CONSOLE_PASSWORD": PASSWORD}
    both = build_services(read(variables, tmp_path), timeout=5)
    browse = Browser(both).sign_in()
    ours, theirs = added(both, app="sales"), added(both, app="service")
    assert ids(browse.get("/deliveries")) == [ours.id]
    assert ids(browse.get("/deliveries", {"app": "service"})) == [theirs.id]
    page = browse.get(f"/e/{theirs.id}")  # as log lines name it
    assert page.status_code == 200
    assert page.request.args["app"] == "service"
    assert 'href="/console/deliveries?app=service"' in page.text
    both.redis.close()


# ------------------------------------------------------------------------------------------------ the table


def table(browse: Browser, **query: str) -> list[dict[str, str]]:
    answer = browse.get("/deliveries.csv", query)
    assert answer.status_code == 200
    assert answer.content_type == "text/csv; charset=utf-8"
    text = answer.get_data(as_text=True)
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:])))


def test_the_table_has_the_rows_of_the_filter_and_no_names(browse: Browser, services: Services) -> None:
    event = added(services, state="s1", values_={"customer": "韩梅", "member": "张伟"})
    added(services, "expired")
    (row,) = table(browse, channel="s1")
    assert (row["Event id"], row["Outcome"], row["Took (ms)"], row["Channel"]) == (event.id, "Sent", "227", "s1")
    assert row["What happened"] == "Sent 0.2 s after WeCom's notification; accepted by WeCom"
    assert row["Outcome code"] == "sent"
    assert "韩梅" not in str(row)
    assert "张伟" not in str(row)
    assert len(table(browse)) == 2
    assert table(browse, member="nobody") == []


def test_the_table_goes_beyond_a_page(browse: Browser, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("webhook.console.deliveries")
    monkeypatch.setattr(module, "TABLE_BATCH", 3)
    events = [added(services, ago=number + 1) for number in range(10)]
    assert [row["Event id"] for row in table(browse)] == [event.id for event in events]
    monkeypatch.setattr(module, "TABLE_ROWS", 7)
    assert len(table(browse)) == 7


@pytest.mark.parametrize("hostile", ["=HYPERLINK(0)", "+1", "-1", "@SUM(1)", "\t=1"])
def test_no_cell_of_the_table_is_a_formula(browse: Browser, services: Services, hostile: str) -> None:
    added(services, "refused", state=hostile, reason_=in_words(hostile), errcode_=-1)
    (row,) = table(browse)
    assert row["Channel"] == f"'{hostile}"
    assert row["Reason"] == f"'{hostile}"
    assert row["Error code"] == "-1"  # a number is one


# ------------------------------------------------------------------------------------------------ one of them


def test_a_delivery_says_what_happened_and_which_step_took_how_long(
    browse: Browser, services: Services, published: None
) -> None:
    steps = STEPS | {"try_2": 1257, "answer_2": 1366}
    names = {"customer": "王芳", "member": "张伟"}
    event = added(services, steps_=steps, attempts_=2, tries_=[Attempt(answered(-1, "busy")), Attempt()], values_=names)
    said = text_of(browse.get(f"/e/{event.id}"))
    for words in (
        "Sent: 王芳",
        "Sent 1.4 s after WeCom's notification; accepted by WeCom",
        "Try 1 failed: WeCom is busy (-1). Try 2 was accepted.",
        "1.4 s of 20 s",
        "In the queue 29 ms Choosing the welcome 1 ms Looking up names 63 ms",
        "Try 1 131 ms WeCom is busy (-1) Waiting to try again slowest 1030 ms Try 2 109 ms accepted by WeCom",
        "您好王芳，我是张伟，很高兴认识您！",
    ):
        assert words in said


def test_each_worker_that_had_the_event_is_in_the_timeline(
    browse: Browser, services: Services, published: None
) -> None:
    steps = {"started": 4512, "prepared": 4520, "try_2": 4521, "answer_2": 4600}
    event = added(services, steps_=steps, attempts_=2, tries_=[Attempt()])
    course = '{"steps":{"started":12},"begun":1}'
    services.redis.hset(keys.event(event.id), mapping={"claims": 2, "worker": 2, "course_1": course})
    said = text_of(browse.get(f"/e/{event.id}"))
    for words in (
        "Worker 1 In the queue 12 ms Stopped midway, at try 1, until another one took over slowest 4500 ms",
        "Worker 2 Choosing, names, message 8 ms Try 2 79 ms accepted by WeCom",
    ):
        assert words in said
    services.redis.hdel(keys.event(event.id), "outcome", "steps")
    said = text_of(browse.get(f"/e/{event.id}"))
    assert "Worker 1 In the queue 12 ms The other steps appear once it has ended" in said


def test_the_message_is_the_one_that_was_sent_whatever_is_live_now(browse: Browser, services: Services) -> None:
    services.books.save("default", ATTACHED)
    event = added(
        services, values_={"customer": "王芳"}, left_out_=[LeftOut(1, LeftOutBecause.NOT_UPLOADED)], rule_="2"
    )
    services.books.save("default", ATTACHED.replace("您好", "早上好").replace("价格", "新价格"))
    said = text_of(browse.get(f"/e/{event.id}"))
    assert "您好王芳" in said
    assert "价格" in said
    assert "手册" not in said
    assert "新价格" not in said
    assert "Left out: attachment 1" in said
    assert "Rule 小红书 : there is no State" in said
    assert "Rule 2 → default" in said


def test_a_rule_of_a_department_says_whether_the_member_is_in_it(browse: Browser, services: Services) -> None:
    book = BOOK.replace("rules:\n", "rules:\n  - {name: 门店, when: {department: 5}, use: default}\n", 1)
    services.books.save("default", book)
    event = added(services, rule_="2")
    assert "Rule 门店 : the departments of zhangsan are not known" in text_of(browse.get(f"/e/{event.id}"))
    member = {"answer": {"member": "张三", "departments": [3], "department": 3}, "until": 0}
    services.redis.set(keys.member("default", "zhangsan"), json.dumps(member))
    services.redis.set(keys.department_tree("default"), json.dumps({"answer": {"3": 1, "5": 1, "1": 0}, "until": 0}))
    assert "Rule 门店 : 张三 is not in department 5 or below" in text_of(browse.get(f"/e/{event.id}"))
    kept = {"members": {}, "departments": [[5, "门店部", 0]], "whole": True, "until": 0}
    services.redis.set(keys.staff("default"), json.dumps(kept))
    assert "Rule 门店 : 张三 is not in department 门店部 or below" in text_of(browse.get(f"/e/{event.id}"))


def test_who_waited_past_the_limit_is_told_by_how_much(browse: Browser, services: Services) -> None:
    reason = Reason.of(Kind.WINDOW_OVER, where="queue", seconds=223.0)
    one = settled(services.ledger, Settlement(Outcome.EXPIRED, reason, steps={"started": 223000})).id
    said = text_of(browse.get(f"/e/{one}"))
    assert "203 s past the limit of 20 s" in said
    assert "223 s of 20 s" not in said
    assert "ms" not in said.partition("In the queue")[2][:12]


def test_who_waited_for_a_worker_is_told_when_there_was_none(browse: Browser, services: Services) -> None:
    late = Settlement(
        Outcome.EXPIRED, Reason.of(Kind.WINDOW_OVER, where="queue", seconds=31.0), steps={"started": 31000}
    )
    one = settled(services.ledger, late).id
    assert "No worker was free: none was running, or all were busy." in text_of(browse.get(f"/e/{one}"))
    now = services.ledger.now()
    services.redis.zadd(keys.IDLE, {f"{now - 1000}:{now + 30000}": now + 30000})
    said = text_of(browse.get(f"/e/{one}"))
    assert re.search(r"No worker was running from (\d\d-\d\d )?\d\d:\d\d:\d\d to (\d\d-\d\d )?\d\d:\d\d:\d\d\.", said)
    assert "No worker was free" not in said


def test_a_row_of_an_earlier_release_says_what_it_does_not_know(
    browse: Browser, services: Services, published: None
) -> None:
    event = added(services)
    services.redis.hdel(keys.event(event.id), "values", "try_reasons", "left_out", "steps")
    said = text_of(browse.get(f"/e/{event.id}"))
    assert "The names were not kept" in said
    assert "No steps were recorded" in said
    assert "Sent; accepted by WeCom" in said
    services.redis.hset(keys.event(event.id), "revision", 99)
    assert "this revision is no longer kept" in text_of(browse.get(f"/e/{event.id}"))


def test_one_in_progress_shows_no_zero_for_what_is_not_known(
    browse: Browser, services: Services, published: None
) -> None:
    event = added(services, None)
    page = browse.get(f"/e/{event.id}")
    said = text_of(page)
    assert "In progress: 20 s left" in said or "In progress: 19" in said
    assert "The other steps appear once it has ended" in said
    assert "Shown once it has ended." in said
    assert "data-live" in page.text


def test_the_welcome_code_is_on_no_page(browse: Browser, services: Services) -> None:
    event = added(services, None, welcome_code="the-code-that-nobody-may-see")
    for path in ("/deliveries", f"/e/{event.id}", "/deliveries.csv"):
        assert "the-code" not in browse.get(path).get_data(as_text=True)


def test_neighbours_are_those_of_the_filter(browse: Browser, services: Services, published: None) -> None:
    old, other, middle, new = (
        added(services, state=state, ago=ago) for state, ago in (("s1", 40), ("s2", 30), ("s1", 20), ("s1", 10))
    )
    page = browse.get(f"/e/{middle.id}", {"channel": "s1"})
    assert f'rel="prev" href="/console/e/{new.id}?channel=s1"' in page.text
    assert f'rel="next" href="/console/e/{old.id}?channel=s1"' in page.text
    assert f'rel="next" href="/console/e/{other.id}"' in browse.get(f"/e/{middle.id}").text
    assert 'rel="next"' not in browse.get(f"/e/{old.id}").text


@pytest.mark.parametrize("identity", ["0" * 32, "x" * 5000, "..", "%2e%2e%2f", "<b>"])
def test_what_is_no_event_is_not_found(browse: Browser, identity: str) -> None:
    assert browse.get(f"/e/{identity}").status_code == 404
    assert browse.post(f"/e/{identity}/follow-up").status_code in (404, 405)


def test_a_follow_up_that_failed_is_done_again_at_a_press(browse: Browser, services: Services, published: None) -> None:
    event = settled(services.ledger, Settlement(Outcome.SENT, template="default", revision=1), follow_up=True)
    followups = services.follow_ups
    (task,) = followups.claim(1)
    followups.record(
        task,
        FollowUpProgress(FollowUpStatus.FAILED, in_words("40003 invalid userid"), tags=["来源/新客户"]),
    )
    said = text_of(browse.get(f"/e/{event.id}"))
    assert "failed: no such userid (40003) 来源/新客户" in said
    done = browse.post(f"/e/{event.id}/follow-up")
    assert "retried within seconds" in text_of(done)
    assert [one.id for one in followups.claim(9)] == [event.id]
    services.redis.hdel(keys.event(event.id), "follow_state")
    assert "Nothing to retry" in text_of(browse.post(f"/e/{event.id}/follow-up"))


def test_the_message_on_the_page_is_what_wecom_was_sent(wecom: StandIn, redis_url: str) -> None:
    worker = Worker.made(wecom, redis_url, BOOK.replace("您好{customer}", "您好{customer|朋友}，渠道{state}"))
    record, claim = worker.claimed(state="<b>xhs</b>")
    wecom.people(members={"zhangsan": {"name": "张三"}}, customers={record.external_user_id: {"name": "李四{member}"}})
    worker.greet(claim)
    worker.close()
    content = wecom.record(record).content
    assert content is not None
    services = build_services(some_settings(REDIS_URL=redis_url, CONSOLE_PASSWORD=PASSWORD), timeout=5)
    page = Browser(services).sign_in().get(f"/e/{claim.id}")
    shown = re.search(r'class="phone-text"[^>]*>([^<]*)<', page.text)
    assert shown is not None
    assert (
        html.unescape(shown[1]) == content["text"]["content"] if isinstance(content["text"], dict) else content["text"]
    )
    assert "accepted by WeCom" in text_of(page)
    services.redis.close()


@pytest.mark.timeout(300)
def test_a_page_costs_the_same_with_a_hundred_thousand_rows(browse: Browser, services: Services) -> None:
    events = many(services, 100_000)
    browse.get("/deliveries")
    for path in (
        "/deliveries",
        "/deliveries?outcome=missed&member=m7",
        "/deliveries?member=m3&channel=s2&outcome=expired",  # a filter that few rows pass
        "/deliveries?channel=nobody",
        f"/e/{events[50_000]}?member=m3",
    ):
        took = []
        for _ in range(10):
            began = worked(services)
            assert browse.get(path).status_code == 200
            took.append(worked(services) - began)
        assert min(took) < 0.25, (path, took)  # some 10 ms; who reads all rows takes seconds, on any machine


def worked(services: Services) -> float:
    """Seconds of CPU that this process and Redis have used: what a page costs, however busy the machine is."""
    redis = services.redis.info("cpu")
    return time.process_time() + redis["used_cpu_user"] + redis["used_cpu_sys"]


def many(services: Services, count: int) -> list[str]:
    """So many settled rows, written past the ledger's scripts: a tenth of them missed, of ten members."""
    now, identities = services.ledger.now(), [f"{number:032x}" for number in range(count)]
    with services.redis.pipeline(transaction=False) as pipe:
        for number, identity in enumerate(identities):
            at = now - 20 * (count - number)
            outcome = "expired" if number % 10 == 0 else "sent"
            row = {
                "app": "default",
                "corp_id": CORP,
                "change": "add",
                "user_id": f"m{number % 7}",
                "external_user_id": f"wm{number}",
                "state": f"s{number % 5}",
                "created_at": at // 1000,
                "received_at": at,
                "claims": 1,
                "attempts": 1,
                "answers": 0,
                "rehearsal": 0,
                "outcome": outcome,
                "template": "default",
                "rule": "1",
                "revision": 1,
                "steps": '{"started": 3, "answer_1": 300}',
            }
            pipe.hset(keys.event(identity), mapping=row)
            pipe.zadd(keys.EVENTS, {identity: at})
            for kind, value in (("outcome", outcome), ("member", row["user_id"]), ("channel", row["state"])):
                pipe.zadd(keys.index("default", kind, value), {identity: at})
            if number % 5000 == 4999:
                pipe.execute()
        pipe.execute()
    return identities
