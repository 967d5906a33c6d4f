"""What this release says otherwise on purpose, and means the same: the previous release's words → its own.

The reasons that `--json` gives are for programs: they stay as they are. What an errcode means is no part of a row.
"""

import json
import re
from typing import Any

from tasks.wecom.errors import CODES
from tests.upgrade.previous import WORDS, golden

ERRCODES: dict[str, tuple[str, str]] = json.loads(golden("errcodes.json"))
UNDER_A_TENTH = r"0\.0\d"  # of a second: durations are told no finer than by tenths, and never as nothing

WECOMS_WORDS = {  # errmsg → errcode, which the previous release showed and this one has words of its own for
    "system busy": -1,
    "invalid video size": 40011,
    "invalid Request Parameter, text": 40058,
    "invalid Request Parameter, tag": 40058,
    "invalid external userid": 40096,
    "api forbidden": 48002,
    "not external contact": 84061,
}
REWORDED: dict[str, dict[str, str]] = {  # regular expression → template
    "en": {
        r"no answer: the answer holds no token": "the answer holds no token",
        r"WeCom never announced the customer": "Not greeted: WeCom sent no notification of this customer",
        r"WeCom never told of this customer": "WeCom sent no notification of this customer",
        **{f"{code} {words}": f"{CODES[code].meaning} ({code})" for words, code in WECOMS_WORDS.items()},
        # a delivery
        rf"Sent {UNDER_A_TENTH} s after": "Sent 0.1 s after",
        r"look into the chat": "check the chat",
        r"The welcome code has died, so it cannot be": "The welcome code has expired; it cannot be",
        r"Not sent yet, and the 20 s are over": "Not sent yet, and the limit of 20 s is over",
        r"No worker has taken it to its end: are": "No worker has finished it. Are",
        r"in the queue, and the code lives 20 s": "in the queue; the limit is 20 s",
        r"(took [\d.]+ s) of the 20 s": r"\1; the limit is 20 s",
        r"the 20 s were over before a try could begin": "the limit of 20 s was over before the first try",
        r"none was running, or all of them were busy": "none was running, or all were busy",
        r"WeCom took long to tell the names that the text uses": (
            "The text uses names, and WeCom was slow to give them"
        ),
        r"A rule asks WeCom about the member or the customer, and the answer took long": (
            "A rule looks up the member or the customer at WeCom, which answered slowly"
        ),
        r"Is the network, or WeCom, down\? The Set-up page tries it": ("Is the network or WeCom down? Check in Set-up"),
        r" \(nobody: it passes by itself\)": "",
        r" \(the member\)": "",
        r"stopped in the middle of it, one after the other": "stopped midway again and again",
        r"stopped in the middle and another": "stopped midway and another",
        r"WeCom could not accept this message": "the message breaks a limit of WeCom's",
        r"WeCom told 20 minutes late, when the code had died": (
            "WeCom's notification came 20 min late; the welcome code had expired"
        ),
        r"20 minutes late": "20 min late",
        r"WeCom sends again what this server could not take\. Was it, or its proxy, away at that time\?": (
            "WeCom resends what a server does not accept. Was this one, or its proxy, down?"
        ),
        r"( found the two as contacts\.) WeCom does not guarantee its notifications\.": r"\1",
        # the work list
        r"Workers stopped in the middle, one after the other\. The server's log says why": (
            "Workers stopped midway again and again. See the server's log"
        ),
        r"WeCom never told of them; the nightly comparison found them\. Its notifications are not guaranteed": (
            "WeCom sent no notification; the nightly comparison found them"
        ),
        r"WeCom told of them too late\. Was this server, or its proxy, away at that time\?": (
            "WeCom's notifications came too late. Was this server or its proxy down?"
        ),
        r"They waited in the queue for longer than a welcome code lives\. Are the workers running\? See Queue": (
            "They waited in the queue past the time limit. Check in Queue that the workers are running"
        ),
        r"WeCom, or the way to it, was too slow": "WeCom or the network was too slow",
        r"WeCom did not answer to the end\. Is the network down\? The Set-up page tries it": (
            "WeCom could not be reached. Check the network in Set-up"
        ),
    },
    "zh_Hans": {
        # these were English within Chinese
        r"(没有回答|无响应)：the answer holds no token": "返回里没有 access_token",
        r"the host's name has no address": "域名没有地址",
        r"msg_signature, timestamp, nonce": "msg_signature、timestamp、nonce",
        r" \((45009|48002)\)": r"（\1）",
        # a delivery
        rf"收到通知后 {UNDER_A_TENTH} 秒": "收到通知后 0.1 秒",
        r"怎么办：": "处理：",
        r"（不用处理，会自动恢复）": "",
        r"（成员）": "",
        r"发出后没有收到回答": "发出后没有收到响应",
        r"没有及时回答": "响应超时",
        r"^没有回答：": "无响应：",
        r"：没有回答：": "：无响应：",
        r"回答不是企业微信的格式": "返回的不是企业微信的格式",
        r"而回答很慢": "而响应很慢",
        r"企业微信说凭证已用过": "企业微信说欢迎凭证已使用",
        r"欢迎凭证已用过、不认识或超过 20 秒": "欢迎凭证已使用、无效或已超过 20 秒",
        r"还没有发出，20 秒已过": "还没有发出，时限 20 秒已过",
        r"没有处理进程把它做完：处理进程": "没有处理进程处理完这一条。处理进程",
        r"，凭证只有 20 秒": "，时限 20 秒",
        r"用了 ([\d.]+ 秒)，一共只有 20 秒": r"用时 \1，时限 20 秒",
        r"还没来得及发送，20 秒就过了": "还没开始发送，时限 20 秒就已过",
        r"企业微信很久才答复文字里用到的名字": "文字里用到名字，而企业微信响应很慢",
        r"已由他人欢迎": "已另行欢迎",
        r"20 秒内接口不通": "20 秒内连不上企业微信",
        r"到「设置」页检查": "请在「设置」检查",
        r"处理进程接连中途停止": "处理进程多次中途停止",
        r"这条内容企业微信不会接受": "内容超出企业微信的限制",
        r"企业微信 20 分钟后才通知": "企业微信的通知晚了 20 分钟",
        r"(发现双方已是联系人。)企业微信不保证每次都推送通知。": r"\1",
        # the work list
        r"企业微信一直没有回答。网络是否断了？可在「设置」里检查": "一直连不上企业微信。请在「设置」检查网络",
        r"(由夜间核对发现。)企业微信不保证每次都推送通知。": r"\1",
        r"排队时间超过了欢迎凭证的时限。处理进程在运行吗？请看「队列」": "排队超过时限。请在「队列」确认处理进程在运行",
        r"代理是否断开过": "代理是否中断过",
    },
}

# A greeting that failed although WeCom did answer, with an errcode, is no longer called unreachable.
_UNREACHABLE = {
    "en": re.compile(r"Not sent: WeCom could not be reached within 20 s \(tries: (\d+)\)"),
    "zh_Hans": re.compile(r"没有发出：20 秒内接口不通（试了 (\d+) 次）"),
}
_LAST_TRY = {
    "en": re.compile(r"The last try: (.+ \((-?\d+)\))\."),
    "zh_Hans": re.compile(r"最后一次：(.+（(-?\d+)）)。"),
}
_FAILED = {
    "en": r"Not sent within 20 s: {why}, tries: {tries}",
    "zh_Hans": "20 秒内没有发出：{why}，试了 {tries} 次",
}
_NAMES = {  # errcode, or None for any other → the outcome's name
    "en": {"-1": "WeCom busy", "45009": "Rate limit", None: "Refused by WeCom"},
    "zh_Hans": {"-1": "企业微信繁忙", "45009": "频率限制", None: "企业微信拒绝"},
}


ANSWERED = frozenset(  # events' ids
    identity
    for identity, known in WORDS["rows"].items()
    if _UNREACHABLE["en"].fullmatch(known["en"]["headline"]) and _LAST_TRY["en"].fullmatch(known["en"]["more"][0])
)


def in_these_words(text: str, language: str = "en") -> str:
    """Either release's words as this one has them, in one line."""
    errcodes = ((before, (CODES[int(code)].meaning, CODES[int(code)].cure)) for code, before in ERRCODES.items())
    changed = {was: now for pair in errcodes for was, now in zip(*pair, strict=True) if was != now and language == "en"}
    for before, now in changed.items():
        text = text.replace(before, now)
    for pattern, template in REWORDED[language].items():
        text = re.sub(pattern, template, text)
    return " ".join(text.split())


def row_in_these_words(identity: str, language: str) -> dict[str, Any]:
    """What the previous release said of a row (name, headline, more, note, answers, reminder), as this one has it."""
    words = WORDS["rows"][identity][language]
    told = {**words, "more": list(words["more"])}
    if identity in ANSWERED:
        unreachable = _UNREACHABLE[language].fullmatch(words["headline"])
        last_try = _LAST_TRY[language].fullmatch(words["more"][0])
        assert unreachable is not None
        assert last_try is not None
        names = _NAMES[language]
        told["name"] = names.get(last_try[2], names[None])
        told["headline"] = _FAILED[language].format(why=last_try[1], tries=unreachable[1])
        del told["more"][0]
    return {
        key: [in_these_words(one, language) for one in value]
        if isinstance(value, list)
        else in_these_words(value or "", language)
        for key, value in told.items()
    }


def line_in_these_words(line: str) -> str:
    """A line of `deliveries`: it has the row's headline and the first sentence after it."""
    for identity, known in WORDS["rows"].items():
        if identity in line:
            was, now = known["en"], row_in_these_words(identity, "en")
            line = line.replace(was["headline"], now["headline"])
            return line.replace(was["more"][0], now["more"][0]) if was["more"] else line
    return line
