"""A benchmark's findings as the tables that the documents hold, in Markdown and in both languages. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.bench.runs import Result, cpu_per_send, memory_all, memory_common
from tests.bench.targets import Findings, Measure, share

SYSTEMS = ("reference", "tuned", "product")  # a column each
HEADS = {
    "en": ("", "reference, stock", "reference, tuned", "wecom-welcome"),
    "zh": ("", "一般写法，默认设置", "一般写法，调优后", "wecom-welcome"),
}
NONE = "–"  # not measured
JOINED = {"en": "; ", "zh": "；"}
LISTED = {"en": ", ", "zh": "、"}
UNITS = {"en": {"s": "s", "ms": "ms"}, "zh": {"s": "秒", "ms": "毫秒"}}

Cell = Callable[[Findings, str, str], str]  # (everything, system, language) → text


@dataclass(frozen=True, slots=True)
class Row:
    en: str
    zh: str
    cell: Cell

    def title(self, language: str) -> str:
        return self.zh if language == "zh" else self.en


def documents(found: Findings) -> str:
    """What stands below the heading in each of the three documents, under the document's name."""
    return "\n\n".join(
        f"=== {name}\n{INTRODUCTIONS[name]}\n\n{markdown(found, language, rows)}"
        for name, language, rows in (
            ("README.md, Measured", "en", FRONT),
            ("README.zh-CN.md, 实测", "zh", FRONT),
            ("deploy/README.md, Sizing", "en", REFERENCE),
        )
    )


def markdown(found: Findings, language: str, rows: Sequence[Row]) -> str:
    """One table."""
    head = HEADS[language]
    lines = [head, ["---"] * len(head)]
    lines += [[row.title(language), *(row.cell(found, system, language) for system in SYSTEMS)] for row in rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines).replace("|  |", "| |").replace(" --- ", "---")


def seconds(value: float | None, language: str) -> str:
    return NONE if value is None else f"{value:.{1 if value >= 1 else 2}f} {UNITS[language]['s']}"


def _steady_both(found: Findings, system: str, language: str) -> str:
    return _all(LISTED[language], (_share(found.one(run, system)) for run in ("steady100", "steady200")))


def _p99(run: str) -> Cell:
    def cell(found: Findings, system: str, language: str) -> str:
        result = found.one(run, system)
        return NONE if result is None else seconds(result.summary.to_greeting.p99, language)

    return cell


def _steady(run: str) -> Cell:
    def cell(found: Findings, system: str, language: str) -> str:
        result = found.one(run, system)
        if result is None:
            return NONE
        summary = result.summary
        return JOINED[language].join([_share(result), seconds(summary.to_greeting.p99, language)])

    return cell


def _bursts(found: Findings, system: str, language: str) -> str:
    return _all(LISTED[language], (_share(found.one(f"burst{size}", system)) for size in (1000, 4000, 8000)))


def _overload(found: Findings, system: str, language: str) -> str:
    value = found.value("overload", system, lambda result: result.goodput)
    return NONE if value is None else f"{value:.0%}".replace("%", " %")


def _faults(found: Findings, system: str, language: str) -> str:
    result = found.one("faults", system)
    if result is None:
        return NONE
    twice = result.summary.spent_twice
    words = {
        "en": f"{twice or 'no'} code{'s' if twice > 1 else ''} spent twice",
        "zh": f"{twice} 个凭证用了两次" if twice else "没有凭证用两次",
    }
    return f"{_share(result)}{', ' if language == 'en' else '，'}{words[language]}"


def _frozen(found: Findings, system: str, language: str) -> str:
    result = found.one("freeze", system)
    if result is None:
        return NONE
    never = {"en": "never", "zh": "不恢复"}[language]
    times = [result.recoveries.get(role) for role in ("welcome", "web")]
    return LISTED[language].join(never if time is None else seconds(time, language) for time in times)


def _cpu(found: Findings, system: str, language: str) -> str:
    value = found.value("cpu", system, cpu_per_send)
    if value is None:
        return NONE
    own = f"{value * 1000:.2f} {UNITS[language]['ms']}"
    others = [found.ratio("cpu", other, cpu_per_send) for other in SYSTEMS[:2]]
    if system != "product" or None in others:
        return own
    ratios = LISTED[language].join(f"{other:.2f} ×" for other in others)
    return f"{own} ({ratios})" if language == "en" else f"{own}（{ratios}）"


def _idle(found: Findings, system: str, language: str) -> str:
    value = found.idle_of("console" if system == "product" else system)
    return NONE if value is None else f"{value * 1000:.1f} {UNITS[language]['ms']}"


def _memory(found: Findings, system: str, language: str) -> str:
    common = _megabytes(found, "steady100", system, memory_common if system == "product" else memory_all)
    if system != "product":
        return common
    return _all(JOINED[language], (common, _megabytes(found, "memory", "console", memory_all)))


def _memory_by(of: Measure) -> Cell:
    """Two values of the product: without the console, and with it."""

    def cell(found: Findings, system: str, language: str) -> str:
        if system != "product":
            return NONE if of is memory_all else _megabytes(found, "steady100", system, memory_all)
        without, with_console = ("steady100", "product"), ("memory", "console")
        return _all("; ", (_megabytes(found, run, name, of) for run, name in (without, with_console)))

    return cell


def _pages(found: Findings, system: str, language: str) -> str:
    if system != "product" or not found.pages:
        return NONE
    return LISTED[language].join(
        f"{min(costs) * 1000:.0f}–{max(costs) * 1000:.0f} {UNITS[language]['ms']}"
        for costs in ([page.little for page in found.pages], [page.much for page in found.pages])
    )


def _share(result: Result | None) -> str:
    if result is None:
        return NONE
    value = result.summary.greeted_share
    return share(value) if value is None or value > 0.99 else f"{value * 100:.0f} %"


def _megabytes(found: Findings, run: str, system: str, of: Measure) -> str:
    value = found.value(run, system, of)
    return NONE if value is None else f"{value / 1e6:.0f} MB"


def _all(between: str, cells: Iterable[str]) -> str:
    """The cells in one; NONE alone where none was measured."""
    texts = list(cells)
    return NONE if set(texts) == {NONE} else between.join(texts)


FRONT: Sequence[Row] = (  # few words: the README has room for a thousand
    Row("steady 100/s, 200/s: in time", "持续 100、200/秒：按时发出", _steady_both),
    Row("200/s: p99", "200/秒：p99", _p99("steady200")),
    Row("burst of 1000, 4000, 8000: in time", "一秒内涌入 1000、4000、8000 位：按时发出", _bursts),
    Row("overload: of what the API takes", "超载：占接口承受得了的", _overload),
    Row("CPU per send", "每次发送的 CPU", _cpu),
    Row("memory: web, worker, Redis; all roles, console", "内存：web、welcome、Redis；全部角色和控制台", _memory),
)
REFERENCE: Sequence[Row] = (
    Row("steady 100/s: greeted in time; p99", "", _steady("steady100")),
    Row("steady 200/s: greeted in time; p99", "", _steady("steady200")),
    Row("steady 167/s, 1 s for each API call: greeted in time; p99", "", _steady("steady167")),
    Row("burst of 1000, 4000, 8000 in one second: greeted in time", "", _bursts),
    Row("overload, 25/s where 11/s can be sent: greeted in time, of what can be sent", "", _overload),
    Row("API faults (-1 10 %, 5xx 5 %, dropped 5 %, answers lost 3 %, hung 3 %) at 50/s", "", _faults),
    Row("worker, web process frozen (SIGSTOP): greeting again after", "", _frozen),
    Row("CPU per send, the ledger's indexes and statistics included (ratio to either)", "", _cpu),
    Row("CPU a second while idle, all roles with the console", "", _idle),
    Row("memory (PSS): web + welcome worker + Redis; with the console", "", _memory_by(memory_common)),
    Row("memory (PSS): all roles + Redis; with the console", "", _memory_by(memory_all)),
    Row("a console page with 1000, with 100 000 rows in the ledger: CPU", "", _pages),
)
INTRODUCTIONS = {
    "README.md, Measured": """\
`make bench`, two cores, load generator included, API latency 80 ± 20 ms. The reference is Flask, wechatpy, Celery,
gunicorn: with stock settings, and tuned (64 threads, hiredis, no results):""",
    "README.zh-CN.md, 实测": """\
`make bench`：两个核，压测程序和模拟器也在其中，接口延迟 80 ± 20 毫秒。一般写法是 Flask、wechatpy、Celery、gunicorn：\
先用默认设置，再调优（64 个线程、hiredis、不存结果、不发事件）：""",
    "deploy/README.md, Sizing": """\
Measured by `make bench` on two cores shared with the load generator and the simulator, API latency 80 ± 20 ms. The
reference is the system as most would write it: Flask, wechatpy, Celery, gunicorn with stock settings. Tuned, it is run
as an expert would: 64 threads for calls and 2 × 16 for callbacks, connections that are kept, no results, events or
gossip, Redis' answers parsed by hiredis. CPU is the median of three rounds, a ratio that of three within a round.""",
}
