"""The page Missed: what is to do, by cause; actions on the rows that the form carries and on no other."""

import re
import time
from html import escape, unescape

import pytest
from werkzeug.test import TestResponse

from tasks import upkeep
from tasks.changes import failed_transfers
from tasks.changes.failed_transfers import FailedTransfer
from tasks.ledger import intake
from tasks.missed.work_list import WorkList
from tasks.services import build_services
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.support.builders import BOOK, some_settings
from tests.support.console import NAME, PASSWORD, Browser, text_of
from tests.support.ledger import missed, unannounced
from webhook.console import layout


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    wecom.people(members={"zhangsan": {"name": "张三"}, "lisi": {"name": "李四"}})
    return at_wecom


def work(browse: Browser) -> WorkList:
    return browse.services.app("default").work_list


def a_miss(browse: Browser, name: str = "", outcome: str = "expired", errcode: int | None = None, **fields: str) -> str:
    identity = missed(browse.services.redis, outcome, errcode, **fields)
    if name:
        work(browse).name(identity, name)
    return identity


def tab(page: TestResponse, name: str) -> str:
    """What a tab of the page says of itself."""
    found = re.search(rf"<a [^>]*>(?:<svg.*?</svg><span>)?({name}.*?)</a>", page.text, re.DOTALL)
    assert found is not None
    return text_of_html(found[1])


def text_of_html(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


# ------------------------------------------------------------------------------------------------ shown


def test_customers_stand_under_their_cause_with_its_cure_and_the_badge_counts_them(browse: Browser) -> None:
    a_miss(browse, "李雷")
    a_miss(browse, "韩梅", "refused", 48002)
    a_miss(browse, "王芳", "refused", 48002)
    page = browse.get("/missed")
    said = text_of(page)
    assert "李雷" in said
    assert "Refused by WeCom 2 customers" in said
    assert "(48002). What to do: tick it in 客户联系 → 可调用接口的应用 (the WeCom administrator)." in said
    assert said.index("Refused by WeCom") < said.index("王芳") < said.index("Too late")  # the newest first
    assert tab(page, "To do") == "To do 3"
    assert tab(page, "Missed") == "Missed 3"


def test_a_customer_without_a_known_name_is_told_apart_by_the_id(browse: Browser) -> None:
    a_miss(browse, external_user_id="wmAAAAAAAAabc123")
    assert "Customer …abc123" in text_of(browse.get("/missed"))


def test_who_was_not_handed_over_has_a_cause_of_their_own_and_no_member_is_reminded(
    browse: Browser, wecom: StandIn
) -> None:
    for customer, why in (("wm1", "customer_refused"), ("wm2", "customer_limit_exceed")):
        failed = FailedTransfer("default", "ww1", "lisi", customer, why)
        assert failed_transfers.add(browse.services.redis, failed, 86_400)
    said = text_of(browse.get("/missed"))
    assert "Hand-over failed 1 customer" in said
    assert "The customers refused to be handed over to this member. The customer stays with the colleague." in said
    assert "The member has as many customers as WeCom allows. Hand the customer over to another member" in said
    assert "say hello" not in said
    assert "Copy greeting" not in said
    ids = [row.id for row in sorted(work(browse).page().rows, key=lambda row: row.external_user_id)]
    answer = browse.post("/missed/remind", {"id": ids}, follow_redirects=True)
    assert "No member was reminded of 2 customers: the hand-over failed" in text_of(answer)
    assert wecom.messages() == []
    assert browse.get(f"/missed/{ids[0]}/greeting").status_code == 404
    one = text_of(browse.get(f"/e/{ids[1]}"))
    assert "Not handed over: the member has as many customers as WeCom allows" in one
    assert "greet by hand" not in one
    assert "Received and acknowledged" not in one


def test_nobody_missed_is_said_and_not_made_up(browse: Browser) -> None:
    said = text_of(browse.get("/missed"))
    assert "Nobody is waiting to be greeted by hand" in said
    assert "Never yet So it is not known whether WeCom announced every customer." in said
    identity = a_miss(browse)
    work(browse).tick([identity], "a", int(time.time() * 1000))
    assert "The last missed customer was added today" in text_of(browse.get("/missed"))


def test_names_are_shown_and_never_run(browse: Browser) -> None:
    a_miss(browse, "<script>alert(1)</script>", user_id="<b>x", state="{{7*7}}\u202e")
    page = browse.get("/missed")
    assert "<script>alert" not in page.text
    assert "&lt;script&gt;alert(1)" in page.text
    assert "&lt;b&gt;x" in page.text
    assert "{{7*7}}" in page.text
    assert "\u202e" not in re.sub(r'title="[^"]*"', "", page.text)


def test_pages_follow_each_other(browse: Browser) -> None:
    for number in range(53):
        work(browse).add_unannounced([unannounced(f"{number:032x}", customer_name=f"客户{number:02}号")], 1000)
    first = browse.get("/missed")
    older = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert older is not None
    second = browse.get(unescape(older[1]).removeprefix("/console"))
    names = re.findall(r"客户(\d\d)号</bdi>", first.text + second.text)
    assert len(names) == len(set(names)) == 53
    assert "Nobody is waiting" not in text_of(browse.get("/missed", {"before": "1-a"}))


@pytest.mark.parametrize("query", [{"before": "nonsense"}, {"before": "-"}, {"before": "9" * 400 + "-a"}])
def test_an_address_that_was_tampered_with_is_the_first_page(browse: Browser, query: dict[str, str]) -> None:
    a_miss(browse, "李雷")
    assert "李雷" in browse.get("/missed", query).text


def test_what_the_page_polls_is_the_page_itself(browse: Browser) -> None:
    a_miss(browse, "李雷")
    polled = re.search(r'id="live" hx-get="([^"]+)"', browse.get("/missed", {"tab": "todo"}).text)
    assert polled is not None
    assert "李雷" in browse.client.get(unescape(polled[1])).text


def test_there_are_four_tabs_and_no_other(browse: Browser) -> None:
    a_miss(browse, outcome="unconfirmed")
    a_miss(browse, outcome="no_code")
    a_miss(browse, outcome="lost")
    assert tab(browse.get("/missed"), "Uncertain") == "Uncertain 1"
    assert "check the chat" in text_of(browse.get("/missed", {"tab": "unsure"}))
    no_code = text_of(browse.get("/missed", {"tab": "no_code"}))
    assert "No welcome code 1 customer" in no_code
    assert "Greeted elsewhere 1 customer" in no_code
    assert "Nobody has been followed up yet" in text_of(browse.get("/missed", {"tab": "done"}))
    assert browse.get("/missed", {"tab": "x"}).status_code == 404


# ------------------------------------------------------------------------------------------------ handed over


def test_wecom_is_asked_about_a_hand_over_and_the_page_says_what_it_answers(browse: Browser, wecom: StandIn) -> None:
    wecom.people(customers={"wm1": {"transfer": 3}})
    for customer in ("wm1", "wm2"):
        wecom.add(user_id="zhangsan", external_user_id=customer, push=False)
    browse.services.clients["default"].external_contact.transfer_customer("zhangsan", "lisi", ["wm1", "wm2"])
    browse.get("/missed")
    answer = text_of(browse.post("/missed/transfer", {"handover": " 张三", "takeover": "lisi"}))
    assert "WeCom is asked within a minute" in answer
    upkeep.compare_customers(browse.services)
    said = text_of(browse.get("/missed"))
    assert "Handed over: 0, waiting: 1, refused: 1, without room: 0" in said
    assert re.search(r"again \S+ 03:00", said)
    assert "Hand-over failed 1 customer" in said


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ({"handover": "zhangsan", "takeover": ""}, "Enter both members"),
        ({"handover": "lisi", "takeover": "LISI"}, "Enter two members"),
        ({"handover": "a|b", "takeover": "<b>lisi"}, "That is no account of a member"),
    ],
)
def test_what_is_wrong_with_two_members_is_said_and_what_was_typed_is_kept(
    browse: Browser, pair: dict[str, str], words: str
) -> None:
    browse.get("/missed")
    page = browse.post("/missed/transfer", pair)
    assert words in text_of(page)
    assert all(f'value="{escape(typed)}"' in page.text for typed in pair.values())
    assert browse.services.app("default").transfer_results.pairs() == []


def test_why_wecom_does_not_tell_of_a_hand_over_is_said_in_words(browse: Browser, wecom: StandIn) -> None:
    wecom.people(members={"zhangsan": {"transfers": 48002}})
    browse.get("/missed")
    browse.post("/missed/transfer", {"handover": "zhangsan", "takeover": "lisi"})
    upkeep.compare_customers(browse.services)
    said = text_of(browse.get("/missed"))
    assert "Not read the app is not allowed to call (48002) What to do: tick it in 客户联系" in said


# ------------------------------------------------------------------------------------------------ ticked


def test_a_tick_names_who_and_can_be_undone_at_once(browse: Browser) -> None:
    one, two, other = a_miss(browse, "李雷"), a_miss(browse, "韩梅"), a_miss(browse, "王芳")
    page = browse.post("/missed/tick", {"id": [one, two]})
    assert "2 customers are marked as followed up" in text_of(page)
    assert [row.id for row in work(browse).page().rows] == [other]
    done = text_of(browse.get("/missed", {"tab": "done"}))
    assert f"✓ {NAME}" in done
    at = re.search(r'name="at" value="(\d+)"', page.text)
    assert at is not None
    assert "2 customers are to do again" in text_of(browse.post("/missed/untick", {"at": at[1]}))
    assert work(browse).counts() == (3, 0)


def test_one_can_be_put_back_later(browse: Browser) -> None:
    one, two = a_miss(browse), a_miss(browse)
    browse.post("/missed/tick", {"id": [one, two]})
    assert "1 customer is to do again" in text_of(browse.post("/missed/untick", {"id": one}))
    assert work(browse).counts() == (1, 1)


def test_rows_that_changed_meanwhile_are_skipped_and_reported(browse: Browser) -> None:
    one, two = a_miss(browse), a_miss(browse)
    work(browse).tick([two], "王五", 1)
    said = text_of(browse.post("/missed/tick", {"id": [one, two, "nobody"]}))
    assert "1 customer is marked as followed up" in said
    assert "2 customers were skipped: they had changed meanwhile" in said
    assert work(browse).page(done=True).rows[-1].tick.by == "王五"


def test_nothing_ticked_is_nothing_done(browse: Browser) -> None:
    a_miss(browse)
    for action in ("tick", "remind"):
        assert "Tick at least one customer" in text_of(browse.post(f"/missed/{action}"))
    assert work(browse).counts() == (1, 0)


def test_no_more_than_a_page_is_acted_on(browse: Browser) -> None:
    ids = [f"{number:032x}" for number in range(60)]
    work(browse).add_unannounced([unannounced(one) for one in ids], 1000)
    browse.post("/missed/tick", {"id": ids})
    assert work(browse).counts() == (10, 50)


def test_an_old_click_is_not_offered_to_be_undone(browse: Browser) -> None:
    one = a_miss(browse)
    work(browse).tick([one], "a", int((time.time() - 3600) * 1000))
    for at in (str(int((time.time() - 3600) * 1000)), "x", "9" * 30, "²"):
        assert 'name="at"' not in browse.get("/missed", {"ticked": at}).text


# ------------------------------------------------------------------------------------------------ reminded


def test_the_members_of_the_ticked_rows_are_reminded(browse: Browser, wecom: StandIn) -> None:
    one, two, three = a_miss(browse, "李雷"), a_miss(browse, "韩梅"), a_miss(browse, "王芳", user_id="lisi")
    a_miss(browse, "赵敏")
    said = text_of(browse.post("/missed/remind", {"id": [one, two, three]}))
    assert "2 members were reminded" in said
    assert said.count("Reminded today") == 3
    assert [message["members"] for message in wecom.messages()] == [["lisi"], ["zhangsan"]] or [
        message["members"] for message in wecom.messages()
    ] == [["zhangsan"], ["lisi"]]
    texts = " ".join(message["text"]["content"] for message in wecom.messages())
    assert "赵敏" not in texts


def test_whoever_cannot_be_reminded_is_named_with_the_reason(browse: Browser) -> None:
    ids = [a_miss(browse, user_id="gone"), a_miss(browse)]
    said = text_of(browse.post("/missed/remind", {"id": ids}))
    assert "1 member was reminded" in said
    assert "Not reminded: gone (not in the app's visible range)" in said


def test_a_second_reminder_is_skipped_unless_it_is_asked_for(browse: Browser, wecom: StandIn) -> None:
    one = a_miss(browse)
    browse.post("/missed/remind", {"id": one})
    assert "1 customer was skipped" in text_of(browse.post("/missed/remind", {"id": one}))
    assert len(wecom.messages()) == 1
    assert "1 member was reminded" in text_of(browse.post("/missed/remind", {"id": one, "again": "1"}))


def test_without_an_agent_id_there_is_no_button_that_cannot_work(redis_url: str) -> None:
    services = build_services(some_settings(REDIS_URL=redis_url, CONSOLE_PASSWORD=PASSWORD), timeout=intake.TIMEOUT)
    browse = Browser(services).sign_in()
    one = a_miss(browse)
    page = browse.get("/missed")
    assert "/missed/remind" not in page.text
    assert "whoever runs the server sets WECOM_AGENT_ID" in text_of(page)
    assert "WECOM_AGENT_ID is not set" in text_of(browse.post("/missed/remind", {"id": one}))
    services.redis.close()


def test_automatic_reminders_are_switched_on_and_off_by_name(browse: Browser) -> None:
    assert "Automatic reminders: off" in text_of(browse.get("/missed"))
    said = text_of(browse.post("/missed/automatic", {"on": "1"}))
    assert "Members are reminded automatically from now on" in said
    assert f"switched on by {NAME}" in said
    assert browse.services.app("default").reminders.switch() is not None
    assert "Automatic reminders: off" in text_of(browse.post("/missed/automatic", {"on": "0"}))


# ------------------------------------------------------------------------------------------------ compared


def test_a_comparison_is_asked_for_and_its_result_is_shown(browse: Browser, wecom: StandIn) -> None:
    browse.services.redis.hset(keys.comparison("default"), "begun_at", 1)
    wecom.add(push=False, created_at=int(time.time()) - 3600, external_user_id="wm-lost")
    said = text_of(browse.post("/missed/compare"))
    assert "The comparison begins within a minute" in said
    assert "Under way It begins within a minute." in said
    assert "A comparison is under way already" in text_of(browse.post("/missed/compare"))
    wecom.faults(limited=1.0, paths=("externalcontact/get_follow_user_list",))
    browse.services.app("default").comparison.advance()
    assert "Why: too many calls (45009)" in text_of(browse.get("/missed"))
    wecom.faults()
    browse.post("/missed/compare")
    browse.services.app("default").comparison.advance()
    said = text_of(browse.get("/missed"))
    assert ": 1, 1 never announced Compared today" in said
    assert "Never announced 1 customer" in said


def test_a_comparison_says_of_which_customers_it_speaks(browse: Browser) -> None:
    """`0 new customers` beside seventeen of today would be a riddle: they are left to the next comparison."""
    app = browse.services.app("default")
    assert "Whether WeCom left out a notification is not known" in text_of(browse.get("/missed"))
    app.comparison.advance()  # the first one, right after the installation began
    said = text_of(browse.get("/missed"))
    assert "Nothing to compare yet: who was added in the last ten minutes is left to the next comparison" in said
    assert "Compared today" in said
    assert "0 new" not in said
    assert "is not known" not in said


# ------------------------------------------------------------------------------------------------ by hand


def test_the_greeting_is_rendered_for_this_customer(browse: Browser) -> None:
    browse.services.books.save("default", BOOK)
    one = a_miss(browse, "李雷")
    said = text_of(browse.get(f"/missed/{one}/greeting"))
    assert "您好李雷，我是张三，很高兴认识您！" in said
    nameless = a_miss(browse)
    assert "left to the fallback: {customer}" in text_of(browse.get(f"/missed/{nameless}/greeting"))


def test_without_a_welcome_the_greeting_says_what_to_do(browse: Browser) -> None:
    assert "No welcome applies" in text_of(browse.get(f"/missed/{a_miss(browse)}/greeting"))


def test_there_is_no_greeting_for_nobody_or_for_another_apps_customer(browse: Browser) -> None:
    elsewhere = a_miss(browse, app="sales")
    for identity in ("nobody", elsewhere, "%00", "a" * 3000):
        assert browse.get(f"/missed/{identity}/greeting").status_code == 404


def test_no_name_is_in_an_address_or_a_cookie(browse: Browser) -> None:
    one = a_miss(browse, "李雷", user_id="gone")
    page = browse.post("/missed/remind", {"id": one})
    assert "%E6%9D%8E%E9%9B%B7" not in page.text
    assert "李雷" not in str(browse.session())


def test_the_page_does_not_cost_more_with_history(browse: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page reads its rows and a few counts, however many there are."""
    monkeypatch.setattr(layout, "_FRESH", 600.0)  # the state is read by one page of several

    def cost() -> tuple[int, int]:
        """(commands, bytes that Redis sent) of one page."""
        before = browse.services.redis.info("all")
        browse.get("/missed")
        after = browse.services.redis.info("all")
        return tuple(after[name] - before[name] for name in ("total_commands_processed", "total_net_output_bytes"))

    rows = [unannounced(f"{number:032x}", received_ms=1000 + number) for number in range(2000)]
    work(browse).add_unannounced(rows[:100], 1000)
    browse.get("/missed")  # which has caches to fill
    commands, output = cost()
    work(browse).add_unannounced(rows[100:], 1000)
    more_commands, more_output = cost()
    assert more_commands < commands + 20
    assert more_output < 1.5 * output
