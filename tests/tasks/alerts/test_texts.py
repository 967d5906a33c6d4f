"""The messages: in both languages, short enough, with what to do, and with nobody's name."""

from zoneinfo import ZoneInfo

import pytest

from tasks.alerts.conditions import Alert, Finding
from tasks.alerts.episode import Notice
from tasks.alerts.texts import OUTCOMES, WORDS, Sender, message, of_test, spoken
from tasks.ledger.delivery import MISSED
from tasks.wecom.robot import LIMIT

NOW = 1_800_000_000.0
SENDER = Sender("web-1", ZoneInfo("Asia/Shanghai"), "https://welcome.example.com/console")
FACTS: dict[Alert, dict[str, object]] = {
    Alert.GREETINGS_MISSED: {"outcomes": dict.fromkeys(sorted(MISSED), 1000)},
    Alert.CALLBACKS_SILENT: {"usual": 40, "seconds": 9000},
    Alert.WORKERS_SILENT: {"seconds": 90},
    Alert.QUEUE_BEHIND: {"waited": 11},
    Alert.TOKEN_REFUSED: {"errcode": 40001},
    Alert.MEDIA_FAILING: {"files": 2},
    Alert.LIMIT_REACHED: {"errcode": 45009},
    Alert.JOB_LATE: {"jobs": "watch_media"},
    Alert.FORWARDS_FAILING: {"hosts": [f"crm-{n}.example.com" for n in range(9)], "waited": 90000, "parked": 1000},
    Alert.PLACEHOLDERS_FAILING: {"hooks": [f"crm{n}" for n in range(9)]},
    Alert.REDIS_MEMORY_HIGH: {"percent": 91},
}
OF_APPS = {
    Alert.GREETINGS_MISSED,
    Alert.CALLBACKS_SILENT,
    Alert.TOKEN_REFUSED,
    Alert.MEDIA_FAILING,
    Alert.LIMIT_REACHED,
    Alert.FORWARDS_FAILING,
}


def text(alert: Alert, notice: Notice, apps: int = 1, sender: Sender = SENDER) -> str:
    names = [f"app-{number:03}-{'x' * 24}" for number in range(apps)] if alert in OF_APPS else [""]
    told = [(Finding(alert, True, name, FACTS.get(alert, {})), NOW - 7200) for name in names]
    return message(alert, notice, told, NOW, sender)


@pytest.mark.parametrize("notice", Notice)
@pytest.mark.parametrize("alert", Alert)
def test_each_message_fits_and_is_chinese_first_then_english(alert: Alert, notice: Notice):
    said = text(alert, notice, apps=10_000)
    assert len(said.encode()) <= LIMIT
    lines = said.split("\n")
    over = notice is Notice.OVER
    words = WORDS[alert]
    assert (words.zh_over if over else words.zh) in lines[0]
    assert (words.en_over if over else words.en) in lines[-2]
    assert ((words.zh_cure in said) and (words.en_cure in said)) is not over
    assert lines[-1] == f'<font color="comment">{alert} · web-1 · 01-15 16:00:00</font>'
    assert ("RUNBOOK.zh-CN.md" in said) is not over
    assert "%" not in said or alert is Alert.REDIS_MEMORY_HIGH


def test_a_message_links_to_the_page_of_the_console_where_its_address_is_known():
    assert "[未送达](https://welcome.example.com/console/missed)" in text(Alert.GREETINGS_MISSED, Notice.BEGAN)
    without = text(Alert.GREETINGS_MISSED, Notice.BEGAN, sender=Sender("web-1", SENDER.zone))
    assert "（控制台：未送达）" in without
    assert "](" not in without


def test_it_says_for_each_app_how_many_and_why():
    said = message(
        Alert.GREETINGS_MISSED,
        Notice.BEGAN,
        [(Finding(Alert.GREETINGS_MISSED, True, "sales", {"outcomes": {"expired": 3, "refused": 1}}), NOW)],
        NOW,
        SENDER,
    )
    assert "> 应用 sales：4 位（超时 3，企业微信拒绝 1）\n" in said
    assert "customers were not greeted (app sales: 4 (too late 3, refused by WeCom 1))" in said


@pytest.mark.parametrize("alert", Alert)
def test_what_lasts_says_for_how_long_once(alert: Alert):
    said = text(alert, Notice.LASTS)
    assert said.count("已 ") + said.count("已持续 ") == 1
    assert said.count("for 2 hours") + said.count("for 90 s") == 1


def test_each_outcome_that_is_missed_has_its_words():
    assert set(OUTCOMES) == {str(one) for one in MISSED}


def test_many_apps_are_counted():
    assert "等共 50 个应用" in text(Alert.TOKEN_REFUSED, Notice.BEGAN, apps=50)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 秒"), (119, "119 秒"), (125, "2 分钟"), (7200, "2 小时"), (172_800, "2 天"), ("?", "0 秒")],
)
def test_times_are_short(seconds: object, words: str):
    assert spoken(seconds)[0] == words


def test_a_hosts_name_cannot_write_markdown():
    said = of_test(NOW, Sender("[a](https://evil)\n# x", SENDER.zone))
    assert said.split("\n")[-1] == '<font color="comment">wecom-welcome · ahttps:evilx · 01-15 16:00:00</font>'
