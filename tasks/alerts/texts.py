"""The messages of alerts: markdown, Chinese first and then English, what happened and what to do. Pure.

They hold no customer's and no member's name: a group has many readers.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from tasks.alerts.conditions import Alert, Finding
from tasks.alerts.episode import Notice

MOST_APPS = 8  # that a message names
MOST_NAMES = 3
Facts = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Sender:
    """Who tells. host: of the process that tells. console: its URL, None if that is not known."""

    host: str
    zone: tzinfo
    console: str | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """What an alert says in both languages: what is wrong, what is so when it is over, its facts, the cure.

    page: of the console, where one helps.
    """

    zh: str
    en: str
    zh_over: str
    en_over: str
    zh_cure: str
    en_cure: str
    facts: Callable[[Facts], tuple[str, str]]
    page: str = ""


OUTCOMES = {  # of those that are missed → Chinese, English
    "expired": ("超时", "too late"),
    "stale": ("通知来得太晚", "announced too late"),
    "refused": ("企业微信拒绝", "refused by WeCom"),
    "failed": ("接口不通", "WeCom unreachable"),
    "no_template": ("没有匹配的欢迎语", "no matching welcome"),
    "dead": ("多次中断", "interrupted too often"),
}
PAGES = {
    "missed": ("未送达", "Missed"),
    "queue": ("队列", "Queue"),
    "setup": ("设置", "Set-up"),
    "media": ("素材", "Media"),
    "system": ("系统", "System"),
}
TITLES = {  # notice → color, Chinese, English
    Notice.BEGAN: ("warning", "告警", "Alert"),
    Notice.LASTS: ("warning", "仍未恢复", "Still so"),
    Notice.AGAIN: ("warning", "再次出现", "Again"),
    Notice.OVER: ("info", "已恢复", "Over"),
}


def _none(_: Facts) -> tuple[str, str]:
    return "", ""


def _missed(facts: Facts) -> tuple[str, str]:
    found = facts.get("outcomes")
    outcomes = found if isinstance(found, Mapping) else {}
    names = {name: OUTCOMES.get(name, (name, name)) for name in outcomes}
    zh = "，".join(f"{names[name][0]} {number}" for name, number in outcomes.items())
    en = ", ".join(f"{names[name][1]} {number}" for name, number in outcomes.items())
    return f"{sum(outcomes.values())} 位（{zh}）", f"{sum(outcomes.values())} ({en})"


def _callbacks(facts: Facts) -> tuple[str, str]:
    usual, (zh, en) = facts.get("usual"), spoken(facts.get("seconds"))
    return (
        f"已 {zh}；往常这段时间至少有 {usual} 位新客户",
        f"for {en}; at least {usual} customers are usual in these hours",
    )


def _workers(facts: Facts) -> tuple[str, str]:
    if "seconds" not in facts:
        return "从未有过", "never yet"
    return f"已 {spoken(facts['seconds'])[0]}", f"for {spoken(facts['seconds'])[1]}"


def _waited(facts: Facts) -> tuple[str, str]:
    return f"最久的已等 {facts.get('waited')} 秒", f"the oldest has waited {facts.get('waited')} s"


def _errcode(facts: Facts) -> tuple[str, str]:
    code = facts.get("errcode")
    return (f"错误码 {code}", f"errcode {code}") if code else ("", "")


def _forwards(facts: Facts) -> tuple[str, str]:
    waited, parked = facts.get("waited"), facts.get("parked")
    zh, en = ([names] for names in _some(facts.get("hosts")))
    if waited:
        zh.append(f"最久的已等 {spoken(waited)[0]}")
        en.append(f"the first has waited for {spoken(waited)[1]}")
    if parked:
        zh.append(f"已放弃 {parked} 个")
        en.append(f"{parked} given up")
    return "，".join(zh), ", ".join(en)


def _some(found: object) -> tuple[str, str]:
    """The first of a list's names."""
    names = [str(one) for one in found] if isinstance(found, list) else []
    more = len(names) > MOST_NAMES
    zh, en = "、".join(names[:MOST_NAMES]), ", ".join(names[:MOST_NAMES])
    return (f"{zh}等", f"{en} …") if more else (zh, en)


WORDS: Mapping[Alert, Words] = {
    Alert.GREETINGS_MISSED: Words(
        "有客户没有收到欢迎语",
        "customers were not greeted",
        "十分钟内没有再漏掉客户",
        "nobody was missed for ten minutes",
        "请成员手动问候；名单上有每一位的原因",
        "greet them by hand; the list says why for each",
        _missed,
        "missed",
    ),
    Alert.CALLBACKS_SILENT: Words(
        "很久没有收到企业微信的通知",
        "no callbacks from WeCom for unusually long",
        "又收到企业微信的通知了",
        "callbacks arrive again",
        "核对回调地址、证书、代理和应用的「接收消息」设置，再做一次检查；放假时可忽略",
        "look at the callback URL, its certificate, the proxy and 接收消息, and run the checks; ignore it on a holiday",
        _callbacks,
        "setup",
    ),
    Alert.WORKERS_SILENT: Words(
        "没有进程在发送欢迎语，现在添加的客户收不到",
        "no worker greets: whoever is added now misses the greeting",
        "欢迎语进程恢复工作",
        "workers greet again",
        "启动 `wecom-welcome up` 或 `role welcome`，看它的日志",
        "start `wecom-welcome up` or `role welcome`, and look at its log",
        _workers,
        "queue",
    ),
    Alert.QUEUE_BEHIND: Words(
        "欢迎语排队太久，快要超时",
        "greetings wait too long, and will soon be too late",
        "欢迎语不再排队",
        "greetings no longer wait",
        "看企业微信是否变慢；增加欢迎语进程",
        "see whether WeCom is slow; start more welcome workers",
        _waited,
        "queue",
    ),
    Alert.TOKEN_REFUSED: Words(
        "企业微信拒绝签发 access token，欢迎语发不出去",
        "WeCom refuses the access token: nobody can be greeted",
        "又能取得 access token 了",
        "there is an access token again",
        "核对 Secret、企业ID 和企业可信IP，改好后重启",
        "compare the secret, the corp id and 企业可信IP, then restart",
        _errcode,
        "setup",
    ),
    Alert.MEDIA_FAILING: Words(
        "素材没有传到企业微信，或没有续期",
        "media is not at WeCom, or not renewed",
        "素材都在企业微信了",
        "all media is at WeCom",
        "查看原因并处理；在此之前欢迎语不带这些素材",
        "see why, and mend it; until then greetings go without it",
        lambda facts: (f"{facts.get('files')} 个", f"{facts.get('files')} files"),
        "media",
    ),
    Alert.LIMIT_REACHED: Words(
        "到了企业微信的频率上限，欢迎语在等待",
        "WeCom's limit is reached: greetings wait",
        "频率限制已解除",
        "the limit is lifted",
        "会自行恢复；若还有别的程序调用同一接口，请停掉",
        "it passes by itself; stop other programs that call the same API",
        _errcode,
        "queue",
    ),
    Alert.JOB_LATE: Words(
        "定时任务没有完成",
        "scheduled jobs do not succeed",
        "定时任务恢复正常",
        "scheduled jobs succeed again",
        "看 `role upkeep` 和 `role beat` 是否在运行，以及它们的日志",
        "see whether `role upkeep` and `role beat` run, and look at their logs",
        lambda facts: (str(facts.get("jobs", "")), str(facts.get("jobs", ""))),
        "queue",
    ),
    Alert.FORWARDS_FAILING: Words(
        "转发给其他系统的事件没有送到",
        "events do not reach another system",
        "又送得到了，一小时内没有放弃事件",
        "they reach it again, and none was given up for an hour",
        "请对方恢复；放弃的事件用 `wecom-welcome forwards --retry all` 再发一次",
        "have that system mended; `wecom-welcome forwards --retry all` sends what was given up",
        _forwards,
        "system",
    ),
    Alert.PLACEHOLDERS_FAILING: Words(
        "自有占位符查询失败，欢迎语使用后备文字",
        "placeholders of your own fail: greetings go with their fallbacks",
        "自有占位符恢复正常",
        "placeholders of your own work again",
        "看它所查询的系统和欢迎语进程的日志；确认每台机器都装了该程序包",
        "look at the system that they ask and at the welcome workers' logs; have the package installed on every host",
        lambda facts: _some(facts.get("hooks")),
        "system",
    ),
    Alert.REDIS_MEMORY_HIGH: Words(
        "Redis 的内存快满了，满了就不再接收新客户",
        "Redis is almost full; a full one takes no customers",
        "Redis 的内存够用了",
        "Redis has room again",
        "调高 maxmemory，或调低 WELCOME_KEEP_DAYS、WELCOME_MEDIA_MB",
        "raise maxmemory, or lower WELCOME_KEEP_DAYS or WELCOME_MEDIA_MB",
        lambda facts: (f"已用 {facts.get('percent')}%", f"{facts.get('percent')} % used"),
    ),
    Alert.LIFEBOAT_IN_USE: Words(
        "Redis 不接收写入，由 web 进程自行发送欢迎语（救生艇）",
        "Redis takes no writes: the web process greets by itself (lifeboat)",
        "Redis 恢复写入，记录已补上",
        "Redis takes writes again, and has the records",
        "客户照常收到欢迎语；请尽快恢复 Redis，记录会自动补上",
        "customers are greeted; bring Redis back, and the records follow by themselves",
        _none,
    ),
    Alert.INTAKE_FAILING: Words(
        "无法受理新客户：Redis 不接收写入，救生艇也不能代替",
        "customers cannot be taken: Redis takes no writes, and there is no lifeboat",
        "又能受理新客户了",
        "customers are taken again",
        "立即恢复 Redis；企业微信只重发 3 次",
        "bring Redis back at once; WeCom sends again three times only",
        _none,
    ),
}


def message(alert: Alert, notice: Notice, told: Sequence[tuple[Finding, float]], now: float, sender: Sender) -> str:
    """What the group reads. told: the findings of one alert with the begin of each (Unix seconds)."""
    words = WORDS[alert]
    color, zh, en = TITLES[notice]
    lasted = spoken(now - min(since for _, since in told))
    over = notice is Notice.OVER
    lines = [f'### <font color="{color}">{zh}：{words.zh_over if over else words.zh}</font>']
    lines += [f"> {line}" for line in _apps(told, words, 0, over)]
    english = f"{en}: {words.en_over if over else words.en}"
    facts = "; ".join(_apps(told, words, 1, over))
    english += f" ({facts})" if facts else ""
    if over or (notice is not Notice.BEGAN and not any("seconds" in finding.facts for finding, _ in told)):
        lines.append(f"> {'历时' if over else '已持续'} {lasted[0]}")
        english += f", {'after' if over else 'for'} {lasted[1]}"
    if notice is Notice.AGAIN:
        lines.append("> 一小时内反复出现；之后每小时最多提醒一次，平静一小时后才报恢复")
        english += "; it comes and goes, so the next message is in an hour"
    if not over:
        lines.append(f"**处理**：{words.zh_cure}{_page(words, sender, 0)}。手册：RUNBOOK.zh-CN.md → {alert}")
        english += f". To do: {words.en_cure}{_page(words, sender, 1)}. Runbook: {alert}"
    return "\n".join([*lines, f"{english}.", _footer(alert, now, sender)])


def of_test(now: float, sender: Sender) -> str:
    """What `alert --test`, and the console's button, send."""
    lines = ['### <font color="info">测试：告警会发到这个群</font>', "Test: alerts come to this group."]
    return "\n".join([*lines, _footer("wecom-welcome", now, sender)])


def spoken(seconds: object) -> tuple[str, str]:
    """A time in both languages."""
    whole = int(seconds) if isinstance(seconds, int | float) and math.isfinite(seconds) else 0
    for unit, zh, en in ((86400, "天", "days"), (3600, "小时", "hours"), (60, "分钟", "minutes")):
        if whole >= 2 * unit:
            return f"{whole // unit} {zh}", f"{whole // unit} {en}"
    return f"{max(0, whole)} 秒", f"{max(0, whole)} s"


def _apps(told: Sequence[tuple[Finding, float]], words: Words, language: int, over: bool) -> list[str]:
    """A line for each app, with the facts; not of what is over: those are gone."""
    lines = []
    for finding, _ in told[:MOST_APPS]:
        facts = "" if over else words.facts(finding.facts)[language]
        name = f"{('应用', 'app')[language]} {finding.app}" if finding.app else ""
        lines.append(("：", ": ")[language].join(filter(None, (name, facts))))
    if len(told) > MOST_APPS:
        lines.append((f"等共 {len(told)} 个应用", f"{len(told)} apps in all")[language])
    return [line for line in lines if line]


def _page(words: Words, sender: Sender, language: int) -> str:
    """Where to look in the console."""
    if not words.page:
        return ""
    name = PAGES[words.page][language]
    shown = f"[{name}]({sender.console}/{words.page})" if sender.console else name
    return (f"（控制台：{shown}）", f" (console: {shown})")[language]


def _footer(name: str, now: float, sender: Sender) -> str:
    host = re.sub(r"[^\w.:-]", "", sender.host)[:64]
    at = datetime.fromtimestamp(now, sender.zone)
    return f'<font color="comment">{name} · {host} · {at:%m-%d %H:%M:%S}</font>'
