"""Every variable of every process: one table, read once, all that is wrong reported at once. Pure but for `load`.

    environment + .env  ── load ──▶  Settings (frozen)  ──▶  every process gets it as an argument

An empty variable counts as unset, and a misspelt name is said with the nearest known one. The environment wins over
`.env`, with an empty one too. No secret has a default.
"""

import hashlib
import os
import re
import stat
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from dotenv.parser import Original, parse_stream

from tasks import setting_names
from tasks import setting_values as read_as
from tasks.events import CHANGES, LATER_CHANGES
from tasks.people.roles import Admin
from tasks.rate_limits import limits
from tasks.spelling import nearest
from tasks.wecom.proxy import url_for

DEFAULT_APP = "default"  # the name of the single app that the WECOM_* variables describe


class SettingsError(Exception):
    """`problems`: one line each, by the variable's name, with the cure; never a value that could be a secret."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Forward:
    """Another system of the corp's, to which events are passed on. `secret`: signs them.

    names, ids: whether it gets customers' and members' names, and the ids of corp, member and customer. private:
    whether it may be in a private network.
    """

    url: str = field(repr=False)  # its query may hold a token
    secret: bytes = field(repr=False)
    changes: frozenset[str]  # of FORWARDED
    names: bool = False
    ids: bool = True
    private: bool = False

    @property
    def id(self) -> str:
        """12 hex digits, of the URL."""
        return hashlib.sha256(self.url.encode()).hexdigest()[:12]

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


@dataclass(frozen=True, slots=True)
class TaskTarget:
    """A task of the corp's own Celery app, which gets each added customer once it is settled.

    `broker`: the URL of its own; "": ours.
    """

    name: str
    queue: str
    broker: str = field(default="", repr=False)
    names: ClassVar[bool] = False
    ids: ClassVar[bool] = True

    @property
    def changes(self) -> frozenset[str]:
        return frozenset(CHANGES.values())

    @property
    def id(self) -> str:
        """12 hex digits, of what it is."""
        return hashlib.sha256(f"{self.name}\0{self.queue}\0{self.broker}".encode()).hexdigest()[:12]

    @property
    def host(self) -> str:
        """What stands for it where people read it."""
        return self.name


Target = Forward | TaskTarget


@dataclass(frozen=True, slots=True)
class App:
    """One self-built app of one corp. `agent_id` is "" unless members are to be messaged; `book`: to import."""

    name: str
    corp_id: str
    secret: str = field(repr=False)
    token: str = field(repr=False)
    encoding_aes_key: str = field(repr=False)
    agent_id: str = ""
    book: Path | None = None
    forwards: tuple[Target, ...] = ()

    @property
    def callback_path(self) -> str:
        return "/callback" if self.name == DEFAULT_APP else f"/callback/{self.name}"


@dataclass(frozen=True, slots=True)
class Settings:
    """What VARIABLES say, read and checked. `redis_url` None: the embedded server in `data_dir`."""

    apps: Mapping[str, App]
    api_base: str
    redis_url: str | None = field(repr=False)
    data_dir: Path
    public_url: str | None
    window: float  # seconds
    timezone: ZoneInfo
    keep_days: int
    media_mb: int
    concurrency: int
    limit_percent: int  # of WeCom's rate limits
    web_processes: int
    console_password: str | None = field(repr=False)
    console_bind: str | None
    metrics_bind: str | None
    trusted_proxies: int
    secret_key: str | None = field(repr=False)
    log_level: str
    log_format: str | None  # None: text on a terminal, else json
    proxy: str | None = field(default=None, repr=False)  # the outbound proxy's URL, of WECOM_PROXY or the environment
    domain_verification: str | None = None  # the code in WeCom's WW_verify_<code>.txt
    liveness_file: Path | None = None  # its time is renewed every second: tasks.liveness
    notify_socket: str | None = None  # systemd's NOTIFY_SOCKET
    lifeboat: bool = True  # where the data directory can be written
    alert_webhook: str | None = field(default=None, repr=False)  # the URL of a group robot: it has its key
    alert_proxy: str | None = field(default=None, repr=False)  # the outbound proxy on the way to it
    console_admins: tuple[Admin, ...] = ()  # who are admins of the console, whatever is given there
    remote_control: bool = True  # workers send events to Celery's tools, and answer them

    @property
    def has_stand_in(self) -> bool:
        """Whether WeCom's part is played on this machine: in a demo or a test."""
        return urlsplit(self.api_base).hostname in ("127.0.0.1", "localhost", "::1")

    @property
    def forwarding(self) -> frozenset[str]:
        """The apps whose events are passed on to other systems."""
        return frozenset(name for name, app in self.apps.items() if app.forwards)

    @property
    def has_console(self) -> bool:
        """Whether there is a way to sign in to it."""
        return bool(self.console_password or self.console_admins)


@dataclass(frozen=True, slots=True)
class ToolSettings:
    """What Celery's own tools need: no secret of WeCom's. Fields are as in Settings."""

    redis_url: str | None = field(repr=False)
    data_dir: Path
    remote_control: bool


@dataclass(frozen=True, slots=True)
class Variable:
    """A row of the table. `read` turns text into a value; ValueError says what it should look like."""

    name: str
    default: str | None
    read: Callable[[str], object]
    meaning: str


VARIABLES: tuple[Variable, ...] = (
    Variable("WECOM_CORP_ID", None, read_as.corp_id, "企业ID"),
    Variable("WECOM_CORP_SECRET", None, read_as.app_secret, "secret of the app listed in 客户联系 → 可调用接口的应用"),
    Variable("WECOM_TOKEN", None, read_as.token, "callback Token"),
    Variable("WECOM_ENCODING_AES_KEY", None, read_as.aes_key, "callback EncodingAESKey, 43 characters"),
    Variable("WECOM_AGENT_ID", None, read_as.agent_id, "that app's id, needed only to message members"),
    Variable("WELCOME_CONFIG", None, str, "a TOML file with several apps, instead of the WECOM_* app variables"),
    Variable("WECOM_API_BASE", "https://qyapi.weixin.qq.com", read_as.http_url, "API host, for a proxy or a stand-in"),
    Variable("WECOM_PROXY", None, read_as.proxy, "an outbound proxy for the API, http://user:pass@host:port"),
    Variable("WECOM_DOMAIN_VERIFICATION", None, read_as.domain_verification, "WW_verify_<code>, which WeCom looks for"),
    Variable(
        "REDIS_URL", None, read_as.redis_url, "redis://, rediss://, unix:// or sentinel://; unset: the embedded server"
    ),
    Variable("WELCOME_DATA_DIR", "./var", Path, "the embedded server's files, and the lifeboat's"),
    Variable(
        "WELCOME_LIFEBOAT", "on", read_as.one_of("on", "off"), "whether the web process greets while Redis is away"
    ),
    Variable(
        "CELERY_REMOTE_CONTROL",
        "on",
        read_as.one_of("on", "off"),
        "whether workers answer Celery's tools, and send them events",
    ),
    Variable("WELCOME_PUBLIC_URL", None, read_as.http_url, "what WeCom reaches, to print the callback URL"),
    Variable("WELCOME_BOOK", None, Path, "a welcome book to import at start if none is stored yet"),
    Variable("WELCOME_WINDOW_S", "20", read_as.number(float, 1, 3600), "seconds a welcome code lives"),
    Variable("WELCOME_TIMEZONE", "Asia/Shanghai", read_as.zone, "for rules with hours and dates"),
    Variable(
        "WELCOME_KEEP_DAYS", "30", read_as.number(int, 1, 3650), "days a ledger row is kept; then daily totals only"
    ),
    Variable("WELCOME_MEDIA_MB", "512", read_as.number(int, 1, 1_000_000), "cap on stored media"),
    Variable("WELCOME_CONCURRENCY", "256", read_as.number(int, 1, 512), "greetings in flight per worker, at most"),
    Variable(
        "WECOM_LIMIT_PERCENT",
        str(limits.PERCENT),
        read_as.number(int, 1, 1000),
        "percent of WeCom's rate limits that this installation may use",
    ),
    Variable("WEB_CONCURRENCY", "1", read_as.number(int, 1, 512), "web processes"),
    Variable(
        "CONSOLE_PASSWORD",
        None,
        read_as.long_secret(8, "a shorter one is guessed"),
        "operators' password; unset: no console, or with CONSOLE_ADMINS a sign-in with WeCom alone",
    ),
    Variable(
        "CONSOLE_ADMINS",
        None,
        read_as.admins,
        "userids of the console's admins, who sign in with WeCom: zhangsan,lisi; with several corps corp id/userid",
    ),
    Variable("CONSOLE_BIND", None, read_as.bind, "host:port of the console's own; unset: with the callback"),
    Variable("METRICS_BIND", None, read_as.bind, "host:port of the metrics' own; unset: with the callback"),
    Variable("ALERT_WEBHOOK", None, read_as.robot_url, "the URL of a WeCom group robot (群机器人) that is sent alerts"),
    Variable("TRUSTED_PROXIES", "0", read_as.number(int, 0, 16), "hops whose forwarded headers count"),
    Variable(
        "SECRET_KEY",
        None,
        read_as.long_secret(16, "a shorter one is guessed from a cookie; leave it out to have one made"),
        "session signing; unset: generated once, kept in Redis",
    ),
    Variable("WELCOME_LIVENESS_FILE", None, Path, "a file whose time is renewed every second while the process works"),
    Variable("LOG_LEVEL", "info", read_as.one_of("debug", "info", "warning", "error"), "what is logged"),
    Variable("LOG_FORMAT", None, read_as.one_of("text", "json"), "unset: text on a terminal, else json"),
)

NAMES = frozenset(variable.name for variable in VARIABLES)
_REQUIRED_TOGETHER = ("WECOM_CORP_ID", "WECOM_CORP_SECRET", "WECOM_TOKEN", "WECOM_ENCODING_AES_KEY")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_APP_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
_APP_KEYS: Mapping[str, Callable[[str], str]] = {
    "corp_id": read_as.corp_id,
    "secret": read_as.app_secret,
    "token": read_as.token,
    "encoding_aes_key": read_as.aes_key,
    "agent_id": read_as.agent_id,
    "book": str,
    "on_settled": read_as.task_name,
    "on_settled_queue": read_as.queue_name,
    "on_settled_broker": read_as.broker_url,
}
_APP_OPTIONAL = ("agent_id", "book", "on_settled", "on_settled_queue", "on_settled_broker")
ON_SETTLED_QUEUE = "on-settled"
_FORWARD = "forward"  # the one key of an app that is no text: an array of tables
FORWARDED = (*CHANGES.values(), *LATER_CHANGES)  # what a target can ask for
_FORWARD_FLAGS = {"names": False, "ids": True, "private": False}
_FORWARD_KEYS = ("url", "secret", "changes", *_FORWARD_FLAGS)


def load(environ: Mapping[str, str] = os.environ, directory: Path | None = None) -> Settings:
    """Settings from the environment and from `.env` in `directory` (default: the working directory).

    Raises SettingsError with everything that is missing or malformed.
    """
    directory = directory or Path.cwd()
    given, problems = _given(environ, directory)
    try:
        return read(given, directory, problems)
    except SettingsError as error:
        shut = _shut(directory / ".env")
        if not shut:
            raise
        raise SettingsError(shut + error.problems) from None


def load_for_tools() -> ToolSettings:
    """As `load`, of the few variables that Celery's own tools need."""
    directory = Path.cwd()
    given, problems = _given(os.environ, directory)
    values = _values(given, ("REDIS_URL", "WELCOME_DATA_DIR", "CELERY_REMOTE_CONTROL"), problems)
    if problems:
        raise SettingsError(problems)
    return ToolSettings(
        redis_url=values["REDIS_URL"],
        data_dir=directory / values["WELCOME_DATA_DIR"],
        remote_control=values["CELERY_REMOTE_CONTROL"] == "on",
    )


def _given(environ: Mapping[str, str], directory: Path) -> tuple[Mapping[str, str], list[str]]:
    """(variables that are set, the problems of `.env`)."""
    stored, problems = _dot_env(directory / ".env")
    return {name: value for name, value in {**stored, **environ}.items() if value}, problems


def unknown(environ: Mapping[str, str] = os.environ, directory: Path | None = None) -> list[str]:
    """A line for each variable that looks like a setting, and is none that this release has."""
    given, _ = _given(environ, directory or Path.cwd())
    return setting_names.unknown(given, NAMES)


def exposed(environ: Mapping[str, str] = os.environ, directory: Path | None = None) -> list[Path]:
    """The files with secrets, `.env` and that of WELCOME_CONFIG, that every user of the host can read or write."""
    directory = directory or Path.cwd()
    stored, _ = _dot_env(directory / ".env")
    config = environ.get("WELCOME_CONFIG", stored.get("WELCOME_CONFIG"))
    found = []
    for file in [directory / ".env", *([directory / config] if config else [])]:
        try:
            mode = file.stat().st_mode
        except OSError:  # there is none
            continue
        if mode & (stat.S_IROTH | stat.S_IWOTH):
            found.append(file)
    return found


def _dot_env(file: Path) -> tuple[Mapping[str, str | None], list[str]]:
    """(what is stored in it, the lines that store nothing). Raises SettingsError if it is no text."""
    try:
        text = file.read_text("utf-8-sig")
    except OSError:  # there is none
        return {}, []
    except UnicodeDecodeError:
        raise SettingsError([f"{file} is not UTF-8; save it as UTF-8"]) from None
    lines = list(parse_stream(StringIO(text)))
    problems = [
        f"{file}, line {_line(line.original)} is not NAME=value; mend it, or put # before it"  # it may hold a secret
        for line in lines
        if line.error or (line.value is None and line.key is not None and not _NAME.fullmatch(line.key))
    ]
    return {line.key: line.value for line in lines if line.key is not None}, problems


def _shut(file: Path) -> list[str]:
    """A line if this user may not read a file that is there: what is missing may be in it."""
    try:
        file.open().close()
    except PermissionError:
        return [f"{file} may not be read by this user: run this as its owner, or let this user read it"]
    except OSError:
        pass
    return []


def _line(original: Original) -> int:
    """Its number, from 1; the empty lines before it are counted to it."""
    return original.line + original.string[: -len(original.string.lstrip()) or None].count("\n")


def read(given: Mapping[str, str], directory: Path, known: Sequence[str] = ()) -> Settings:
    """As `load`, from a mapping alone. Relative paths start at `directory`. `known`: problems found before."""
    problems = [*known, *setting_names.misspelt(given, NAMES)]
    values = _values(given, NAMES, problems)
    if values["WECOM_PROXY"] is None and not given.get("WECOM_PROXY") and values["WECOM_API_BASE"] is not None:
        values["WECOM_PROXY"] = _proxy_of_environment(values["WECOM_API_BASE"], given, problems)
    alert_proxy = values["WECOM_PROXY"]
    if not given.get("WECOM_PROXY") and values["ALERT_WEBHOOK"] is not None:
        alert_proxy = _proxy_of_environment(values["ALERT_WEBHOOK"], given, problems)
    apps = _apps(given, values, directory, problems)
    problems += _admins(values["CONSOLE_ADMINS"] or (), apps)
    problems = list(dict.fromkeys(problems))
    if problems:
        raise SettingsError(problems)
    return Settings(
        apps=apps,
        api_base=values["WECOM_API_BASE"],
        redis_url=values["REDIS_URL"],
        data_dir=directory / values["WELCOME_DATA_DIR"],
        public_url=values["WELCOME_PUBLIC_URL"],
        window=values["WELCOME_WINDOW_S"],
        timezone=values["WELCOME_TIMEZONE"],
        keep_days=values["WELCOME_KEEP_DAYS"],
        media_mb=values["WELCOME_MEDIA_MB"],
        concurrency=values["WELCOME_CONCURRENCY"],
        limit_percent=values["WECOM_LIMIT_PERCENT"],
        web_processes=values["WEB_CONCURRENCY"],
        console_password=values["CONSOLE_PASSWORD"],
        console_admins=values["CONSOLE_ADMINS"] or (),
        console_bind=values["CONSOLE_BIND"],
        metrics_bind=values["METRICS_BIND"],
        trusted_proxies=values["TRUSTED_PROXIES"],
        secret_key=values["SECRET_KEY"],
        log_level=values["LOG_LEVEL"],
        log_format=values["LOG_FORMAT"],
        proxy=values["WECOM_PROXY"],
        domain_verification=values["WECOM_DOMAIN_VERIFICATION"],
        liveness_file=directory / values["WELCOME_LIVENESS_FILE"] if values["WELCOME_LIVENESS_FILE"] else None,
        notify_socket=given.get("NOTIFY_SOCKET"),
        lifeboat=values["WELCOME_LIFEBOAT"] == "on",
        alert_webhook=values["ALERT_WEBHOOK"],
        alert_proxy=alert_proxy,
        remote_control=values["CELERY_REMOTE_CONTROL"] == "on",
    )


def _admins(admins: Sequence[Admin], apps: Mapping[str, App]) -> Iterator[str]:
    """What keeps those whom CONSOLE_ADMINS names from signing in: nobody else would notice."""
    corps = {app.corp_id for app in apps.values()}
    for one in admins if apps else ():
        if not one.corp_id and len(corps) > 1:
            yield f"CONSOLE_ADMINS names {one.userid} without a corp, and there are several: write corp id/userid"
        elif one.corp_id and one.corp_id not in corps:
            yield f"CONSOLE_ADMINS names the corp {one.corp_id}, which no app is of"
        elif not any(app.agent_id for app in apps.values() if one.corp_id in ("", app.corp_id)):
            yield "CONSOLE_ADMINS is set, and WECOM_AGENT_ID (agent_id) is not: that is how they sign in"


def _values(given: Mapping[str, str], names: Collection[str], problems: list[str]) -> dict[str, Any]:
    """Name → what its `read` has made of it; None if that is nothing. What is malformed is added to `problems`."""
    values: dict[str, Any] = {}
    for variable in VARIABLES:
        if variable.name not in names:
            continue
        text = given.get(variable.name) or variable.default
        try:
            values[variable.name] = None if text is None else variable.read(text)
        except ValueError as error:
            problems.append(f"{variable.name} {error}")
            values[variable.name] = None
    return values


def _proxy_of_environment(api_base: str, given: Mapping[str, str], problems: list[str]) -> str | None:
    found = url_for(api_base, given)
    if found is None:
        return None
    variable, url = found
    try:
        return read_as.proxy(url)
    except ValueError as error:
        problems.append(f"{variable} {error}; set WECOM_PROXY, or name the API's host in NO_PROXY")
        return None


def _apps(
    given: Mapping[str, str], values: Mapping[str, object], directory: Path, problems: list[str]
) -> Mapping[str, App]:
    named = [name for name in (*_REQUIRED_TOGETHER, "WECOM_AGENT_ID") if given.get(name)]
    config = given.get("WELCOME_CONFIG")
    if config and named:
        problems.append(f"WELCOME_CONFIG and {', '.join(named)} are both set: use one or the other")
        return {}
    book = directory / values["WELCOME_BOOK"] if isinstance(values["WELCOME_BOOK"], Path) else None
    if config:
        return _apps_of_file(directory / config, book, problems)
    missing = [name for name in _REQUIRED_TOGETHER if not given.get(name)]
    if missing:
        problems.extend(
            f"{name} is not set ({next(v.meaning for v in VARIABLES if v.name == name)})"
            + ("" if named else "; or set WELCOME_CONFIG for several apps")
            for name in missing
        )
        return {}
    app = App(
        name=DEFAULT_APP,
        corp_id=str(values["WECOM_CORP_ID"]),
        secret=str(values["WECOM_CORP_SECRET"]),
        token=str(values["WECOM_TOKEN"]),
        encoding_aes_key=str(values["WECOM_ENCODING_AES_KEY"]),
        agent_id=str(values["WECOM_AGENT_ID"] or ""),
        book=book,
    )
    return {app.name: app}


def _apps_of_file(file: Path, default_book: Path | None, problems: list[str]) -> Mapping[str, App]:
    try:
        document = tomllib.loads(file.read_text("utf-8-sig"))
    except OSError as error:
        problems.append(f"WELCOME_CONFIG: {file}: {error.strerror}")
        return {}
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        place = re.search(r"line \d+, column \d+", str(error))  # the rest of the message may quote a secret
        problems.append(f"WELCOME_CONFIG: {file} is not TOML{f': see {place.group()}' if place else ''}")
        return {}
    tables = document.get("apps")
    if not isinstance(tables, dict) or not tables:
        problems.append(f"WELCOME_CONFIG: {file} has no [apps.NAME] table")
        return {}
    apps = {}
    for name, table in tables.items():
        at = f"WELCOME_CONFIG: apps.{name}"
        if not _APP_NAME.fullmatch(name):
            problems.append(f"{at}: an app's name has lower-case letters, digits, - and _, at most 32")
        if not isinstance(table, dict):
            problems.append(f"{at} is not a table")
            continue
        problems.extend(_unknown_keys(at, table, (*_APP_KEYS, _FORWARD)))
        fields: dict[str, str] = {}
        for key, reader in _APP_KEYS.items():
            value = table.get(key, "")
            if value == "":
                if key not in _APP_OPTIONAL:
                    problems.append(f"{at}.{key} is not set")
                continue
            try:
                fields[key] = reader(str(value))
            except ValueError as error:
                problems.append(f"{at}.{key} {error}")
        if all(key in fields for key in _APP_KEYS if key not in _APP_OPTIONAL):
            book = file.parent / fields.pop("book") if "book" in fields else default_book
            forwards: tuple[Target, ...] = _forwards(at, table.get(_FORWARD, []), problems)
            forwards += _on_settled(at, fields, problems)
            apps[name] = App(name=name, book=book, forwards=forwards, **fields)
    return apps


def _on_settled(at: str, fields: dict[str, str], problems: list[str]) -> tuple[TaskTarget, ...]:
    """What an app's settings say of a task of the corp's own; they are taken out of `fields`."""
    name, queue, broker = (fields.pop(f"on_settled{part}", "") for part in ("", "_queue", "_broker"))
    if name:
        return (TaskTarget(name, queue or ON_SETTLED_QUEUE, broker),)
    if queue or broker:
        problems.append(f"{at}.on_settled is not set: it names the task that the rest is about")
    return ()


def _unknown_keys(at: str, table: Mapping[str, object], known: Sequence[str]) -> Iterator[str]:
    for key in table:
        if key not in known:
            meant = nearest(key, known)
            near = f"; did you mean {meant}?" if meant else ""
            yield f"{at}.{key} is not a setting; there are {', '.join(known)}{near}"


def _forwards(app: str, tables: object, problems: list[str]) -> tuple[Forward, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        problems.append(f"{app}.{_FORWARD} is not an array of tables: write [[{app.partition(': ')[2]}.{_FORWARD}]]")
        return ()
    forwards = []
    for number, table in enumerate(tables, 1):
        at = f"{app}.{_FORWARD} {number}"
        before = len(problems)
        problems.extend(_unknown_keys(at, table, _FORWARD_KEYS))
        flags = {name: table.get(name, default) for name, default in _FORWARD_FLAGS.items()}
        wrong = [name for name, flag in flags.items() if not isinstance(flag, bool)]
        problems.extend(f"{at}.{name} must be true or false" for name in wrong)
        values: dict[str, Any] = {}
        for key, reader in (("url", read_as.forward_url), ("secret", read_as.signing_secret)):
            try:
                values[key] = reader(str(table.get(key, "")))
            except ValueError as error:
                problems.append(f"{at}.{key} {error}" if table.get(key) else f"{at}.{key} is not set")
        changes = table.get("changes", list(FORWARDED))
        if not isinstance(changes, list) or not changes or not all(one in FORWARDED for one in changes):
            problems.append(f"{at}.changes must be a list of some of {', '.join(FORWARDED)}")
        if len(problems) == before:
            forwards.append(Forward(changes=frozenset(changes), **values, **flags))
    urls = [one.url for one in forwards]
    problems.extend(f"{app}.{_FORWARD}: two targets have the same url" for _ in range(len(urls) != len(set(urls))))
    return tuple(forwards)
