"""Whatever an operator does in the console stands in the audit trail, and on its page."""

import html
import io
import re
from importlib import import_module
from pathlib import Path

import pytest

from tasks.audit import PAGE, Act, Entry, Via
from tasks.services import Services
from tests.simulator.client import StandIn
from tests.support.books import PNG
from tests.support.console import Browser, text_of
from tests.support.ledger import missed
from webhook import looks
from webhook.audit_texts import describe

BOOK = """\
version: 1
templates:
  default: {text: hello}
rules:
  - use: default
group_welcome:
  newcomers: {text: "欢迎"}
"""


@pytest.fixture
def variables(at_wecom: dict[str, str], wecom: StandIn) -> dict[str, str]:
    wecom.people(members={"zhangsan": {"name": "张三"}})
    return at_wecom | {"WECOM_AGENT_ID": "1000002"}


@pytest.fixture
def book() -> str:
    return BOOK


def done(browse: Browser) -> list[tuple[str, str, int | None]]:
    """(act, target, number), oldest first."""
    return [(one.act, one.target, one.number) for one in browse.services.audit.entries()][::-1]


def test_a_sign_in_and_a_sign_out_are_recorded_with_the_address_and_no_password(services: Services) -> None:
    browser = Browser(services, REMOTE_ADDR="203.0.113.9")
    browser.get("/login")
    browser.post("/login", {"name": "李敏", "password": "guess"})
    browser.sign_in()
    browser.post("/logout")
    entries = list(services.audit.entries())[::-1]
    assert [(one.act, one.who, one.address, one.app) for one in entries] == [
        ("signed_in", "李敏", "203.0.113.9", ""),
        ("signed_out", "李敏", "203.0.113.9", ""),
    ]


def test_pauses_of_both_lanes_are_recorded_once(browse: Browser) -> None:
    for lane in ("welcome", "follow-ups"):
        for act in ("pause", "pause", "resume", "resume"):
            browse.post(f"/queue/lanes/{lane}/{act}")
    assert done(browse) == [
        ("paused", "welcome", None),
        ("resumed", "welcome", None),
        ("paused", "follow-ups", None),
        ("resumed", "follow-ups", None),
    ]


def test_publishing_rolling_back_and_the_draft(browse: Browser) -> None:
    drafts = browse.services.drafts

    def replaced(text: str) -> None:
        data = {"version": drafts.working("default").version, "file": (io.BytesIO(text.encode()), "neu.yaml")}
        browse.post("/welcomes/import", data, content_type="multipart/form-data")

    replaced(BOOK.replace("hello", "hi"))
    browse.post("/welcomes/publish", {"version": drafts.working("default").version})
    browse.post("/welcomes/publish", {"version": 0})  # no draft: nothing is published
    browse.post("/welcomes/history/1/rollback", {"base": 2})
    replaced(BOOK.replace("hello", "hey"))
    browse.post("/welcomes/discard", {"version": drafts.working("default").version})
    assert done(browse) == [
        ("draft_replaced", "neu.yaml", None),
        ("published", "", 2),
        ("rolled_back", "1", 3),
        ("draft_replaced", "neu.yaml", None),
        ("draft_discarded", "", None),
    ]


def test_channels_media_and_group_welcomes(browse: Browser) -> None:
    new = {"name": "抖音", "state": "dy", "chosen": ["zhangsan"], "further": "", "skip_verify": "y"}
    browse.post("/channels/new", new)
    (channel,) = browse.services.app("default").channels.all().values()
    browse.post(f"/channels/{channel.config_id}/edit", new | {"was": channel.digest, "state": "dy2"})
    browse.post("/channels/new", new)  # refused: the name is taken
    browse.post(f"/channels/{channel.config_id}/delete")
    browse.post("/media", {"file": (io.BytesIO(PNG), "门店.png")}, content_type="multipart/form-data")
    browse.post("/media/delete", {"path": ["media/门店.png", "media/absent.png"]})
    browse.post("/groups/sync")
    browse.post("/groups/sync")  # nothing to do
    assert done(browse) == [
        ("channel_created", "抖音", None),
        ("channel_changed", "抖音", None),
        ("channel_deleted", "抖音", None),
        ("media_added", "门店.png", None),
        ("media_deleted", "media/门店.png", None),
        ("groups_synced", "", 1),
    ]


def test_what_is_done_about_the_missed_is_recorded_without_a_customer(browse: Browser) -> None:
    identity = missed(browse.services.redis, "expired", external_user_id="wm-secret")
    browse.post("/missed/remind", {"id": identity})
    browse.post("/missed/tick", {"id": identity})
    browse.post("/missed/tick", {"id": identity})
    browse.post("/missed/untick", {"id": identity})
    browse.post("/missed/automatic", {"on": "1"})
    browse.post("/missed/automatic", {"on": "0"})
    browse.post("/missed/compare")
    browse.post("/missed/compare")
    assert done(browse) == [
        ("reminded", "", 1),
        ("ticked_off", "", 1),
        ("ticked_back", "", 1),
        ("reminders_on", "", None),
        ("reminders_off", "", None),
        ("compared", "", None),
    ]
    assert "wm-secret" not in str(list(browse.services.audit.entries()))


def test_what_is_taken_out_is_recorded(browse: Browser) -> None:
    for page in ("/deliveries.csv", "/numbers.csv", "/welcomes/history/1/export", "/welcomes/history/9/export"):
        browse.get(page)
    acts = done(browse)
    assert [act for act, _target, _number in acts] == ["exported"] * 3
    assert [Path(target).suffix for _act, target, _number in acts] == [".csv", ".csv", ".yaml"]


def test_the_page_has_who_what_and_from_where_and_is_reached_from_the_set_up_page(browse: Browser) -> None:
    services = browse.services
    assert "Nothing has been done yet" in text_of(browse.get("/audit"))
    services.audit.record(Act.FORGOT, "root", Via.COMMAND, "default", number=4)
    services.audit.record(Act.CHANNEL_DELETED, "<b>x</b>", Via.CONSOLE, "default", "<i>dy</i>", address="10.0.0.9")
    page = browse.get("/audit")
    text = text_of(page)
    assert text.index("Deleted the channel <i>dy</i>") < text.index("Erased a customer: 4 rows")
    assert "command line" in text
    assert "10.0.0.9" in text
    assert "<b>x" not in page.text
    assert 'href="/console/audit"' in browse.get("/setup").text


def test_pages_of_it_follow_each_other_and_a_cursor_of_nobody_is_the_first_page(browse: Browser) -> None:
    for number in range(PAGE + 3):
        browse.services.audit.record(Act.PUBLISHED, "a", Via.CONSOLE, "default", number=number + 100)
    first = browse.get("/audit")
    assert "revision 152" in text_of(first)
    assert "revision 102" not in text_of(first)
    older = list(browse.services.audit.entries())[PAGE - 1].cursor
    second = text_of(browse.get("/audit", {"before": older}))
    assert "revision 102" in second
    assert "revision 103" not in second
    assert "revision 152" in text_of(browse.get("/audit", {"before": "nobody's"}))


def test_nobody_reads_it_who_is_not_signed_in(stranger: Browser) -> None:
    assert "Your name" in text_of(stranger.get("/audit"))


@pytest.mark.parametrize("act", [*Act, "of a later release"])
def test_every_act_has_its_words(act: str) -> None:
    words = str(describe(Entry(1.0, "1", "who", act, "console", target="thing", number=7)))
    assert words
    assert "%" not in words


def test_a_look_at_a_customer_is_recorded_once_an_hour_for_each_person(services: Services) -> None:
    one, two = (missed(services.redis, "expired", external_user_id=f"wm-secret{n}") for n in range(2))
    first, second = Browser(services).signed_in("李敏"), Browser(services).signed_in("王芳")
    for browser in (first, first, second):
        browser.get(f"/e/{one}")
        browser.get(f"/missed/{one}/greeting")
    first.get(f"/e/{two}")
    first.get("/e/nobody")
    told = [(one.who, one.act, one.target) for one in services.audit.entries()][::-1]
    assert told == [("李敏", "looked", one), ("王芳", "looked", one), ("李敏", "looked", two)]
    assert "wm-secret" not in str(list(services.audit.entries()))


def test_nobody_drives_others_acts_out_of_the_trail_by_looking(
    browse: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looks, "LOOKS", 2)
    for number in range(5):
        browse.get(f"/e/{missed(browse.services.redis, 'expired', external_user_id=f'wm{number}')}")
    assert [(act, number) for act, _target, number in done(browse)] == [
        ("looked", None),
        ("looked", None),
        ("looked_at_many", 2),
    ]


def test_one_is_not_told_as_many(browse: Browser, services: Services) -> None:
    for number in (1, 2):
        services.audit.record(Act.TICKED_OFF, "张伟", Via.CONSOLE, "default", number=number)
    said = text_of(browse.get("/audit"))
    assert "Marked 1 customer as followed up" in said
    assert "Marked 2 customers as followed up" in said


def test_it_is_searched_by_who_and_by_what_was_done(
    browse: Browser, services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        services.audit.record(Act.CHANNEL_CREATED, "张伟", Via.CONSOLE, "default", f"channel-{number:02d}")
    services.audit.record(Act.SIGNED_IN, "王芳", Via.CONSOLE)
    assert "张伟" not in text_of(browse.get("/audit?q=wf"))
    page = browse.get("/audit?q=zhangw+channel-07")
    assert "channel-07" in text_of(page)
    assert "channel-08" not in text_of(page)
    assert "No matches." in text_of(browse.get("/audit?q=nobody"))
    monkeypatch.setattr(import_module("webhook.console.audit"), "LOOKED", 10)
    page = browse.get("/audit?q=channel-01")
    assert "Older rows have not been searched yet" in text_of(page)
    older = re.search(r'rel="next" href="/console([^"]+)"', page.text)
    assert older is not None
    assert "channel-01" in text_of(browse.get(html.unescape(older[1])))
