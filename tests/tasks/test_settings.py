"""Every variable of every process: what is wrong is said at once, by name, with the cure, and never with a secret."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks import setting_names
from tasks.people.roles import Admin
from tasks.settings import NAMES, VARIABLES, App, Settings, SettingsError, exposed, load, read, unknown
from tests.support.builders import AES_KEY, CORP, ENVIRONMENT, some_settings

HERE = Path("/srv/welcome")
SECRETS = {
    "WECOM_CORP_SECRET": "hunter-secret",
    "WECOM_TOKEN": "hunterToken",
    "WECOM_ENCODING_AES_KEY": "hunterKey0123456789012345678901234567890123",
    "CONSOLE_PASSWORD": "hunter-password",
    "SECRET_KEY": "hunter-key-of-sessions",
    "REDIS_URL": "redis://:hunter-redis@localhost/0",
    "ALERT_WEBHOOK": "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=hunter-robot",
}
REQUIRED = ["WECOM_CORP_ID", "WECOM_CORP_SECRET", "WECOM_TOKEN", "WECOM_ENCODING_AES_KEY"]


def problems_of(given: dict[str, str], directory: Path = HERE) -> list[str]:
    with pytest.raises(SettingsError) as refused:
        read(given, directory)
    assert str(refused.value) == "; ".join(refused.value.problems)
    return refused.value.problems


def table(**different: str) -> str:
    """An app's table of WELCOME_CONFIG; "" leaves a key out."""
    plain = {"corp_id": CORP, "secret": "s", "token": "aToken", "encoding_aes_key": AES_KEY}
    return "".join(f'{key} = "{value}"\n' for key, value in (plain | different).items() if value)


# --- what is right


def test_the_four_required_variables_are_enough():
    assert read(ENVIRONMENT, HERE) == Settings(
        apps={
            "default": App(
                name="default",
                corp_id=CORP,
                secret=ENVIRONMENT["WECOM_CORP_SECRET"],
                token=ENVIRONMENT["WECOM_TOKEN"],
                encoding_aes_key=AES_KEY,
            )
        },
        api_base="https://qyapi.weixin.qq.com",
        redis_url=None,
        data_dir=HERE / "var",
        public_url=None,
        window=20,
        timezone=ZoneInfo("Asia/Shanghai"),
        keep_days=30,
        media_mb=512,
        concurrency=256,
        limit_percent=97,
        web_processes=1,
        console_password=None,
        console_bind=None,
        metrics_bind=None,
        trusted_proxies=0,
        secret_key=None,
        log_level="info",
        log_format=None,
    )


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("WECOM_API_BASE", "http://127.0.0.1:9000/", "api_base", "http://127.0.0.1:9000"),
        ("REDIS_URL", "redis://localhost:6379/1", "redis_url", "redis://localhost:6379/1"),
        ("REDIS_URL", "rediss://:p@h:6380/0", "redis_url", "rediss://:p@h:6380/0"),
        ("REDIS_URL", "unix:///run/valkey.sock?db=1", "redis_url", "unix:///run/valkey.sock?db=1"),
        ("REDIS_URL", "sentinel://:p@a:1,b:2/m/0", "redis_url", "sentinel://:p@a:1,b:2/m/0"),
        ("REDIS_URL", "sentinel://a:26379/mymaster", "redis_url", "sentinel://a:26379/mymaster"),
        ("WELCOME_DATA_DIR", "data", "data_dir", HERE / "data"),
        ("WELCOME_DATA_DIR", "/var/lib/welcome", "data_dir", Path("/var/lib/welcome")),
        ("WELCOME_PUBLIC_URL", "https://a.example/", "public_url", "https://a.example"),
        ("WELCOME_WINDOW_S", "600.5", "window", 600.5),
        ("WELCOME_TIMEZONE", "Europe/Berlin", "timezone", ZoneInfo("Europe/Berlin")),
        ("WELCOME_KEEP_DAYS", "1", "keep_days", 1),
        ("WELCOME_MEDIA_MB", "64", "media_mb", 64),
        ("WELCOME_CONCURRENCY", "512", "concurrency", 512),
        ("CONSOLE_BIND", "127.0.0.1:9001", "console_bind", "127.0.0.1:9001"),
        ("METRICS_BIND", "[::1]:9100", "metrics_bind", "[::1]:9100"),
        ("METRICS_BIND", ":9100", "metrics_bind", ":9100"),
        ("TRUSTED_PROXIES", "2", "trusted_proxies", 2),
        ("LOG_LEVEL", "DEBUG", "log_level", "debug"),
        ("LOG_FORMAT", "Json", "log_format", "json"),
    ],
)
def test_a_variable_is_read(name, text, field, value):
    assert getattr(some_settings(HERE, **{name: text}), field) == value


def test_the_apps_book_and_agent_are_read():
    app = some_settings(HERE, WELCOME_BOOK="book.yaml", WECOM_AGENT_ID="1000002").apps["default"]
    assert (app.book, app.agent_id) == (HERE / "book.yaml", "1000002")


def test_a_key_with_unused_bits_is_a_key():
    assert some_settings(WECOM_ENCODING_AES_KEY=AES_KEY).apps["default"].encoding_aes_key == AES_KEY


# --- what is wrong

MALFORMED = [
    ("WELCOME_LIFEBOAT", "yes", "must be one of on, off"),
    ("CELERY_REMOTE_CONTROL", "true", "must be one of on, off"),
    ("WECOM_PROXY", "https://u:hunter@proxy:3128", "must begin with http://"),
    ("WECOM_PROXY", "http://u:hunter@proxy:99999", "must be http://host:port"),
    ("WECOM_DOMAIN_VERIFICATION", "0123456789abcdef", "must be the name of WeCom's file"),
    ("WECOM_DOMAIN_VERIFICATION", "WW_verify_", "must be the name of WeCom's file"),
    ("WECOM_DOMAIN_VERIFICATION", "WW_verify_../x", "must be the name of WeCom's file"),
    ("WECOM_DOMAIN_VERIFICATION", "ww_verify_0123", "must be the name of WeCom's file"),
    ("WECOM_CORP_ID", "ww", "must be the 企业ID"),
    ("WECOM_CORP_ID", "ww123 456", "must be the 企业ID"),
    ("WECOM_CORP_ID", "ww1234567890abcdef\n", "must be the 企业ID"),
    ("WECOM_CORP_ID", "企业微信", "must be the 企业ID"),
    ("WECOM_TOKEN", "with-dash", "must be 1 to 32 letters and digits"),
    ("WECOM_TOKEN", "x" * 33, "must be 1 to 32 letters and digits"),
    ("WECOM_TOKEN", "密钥", "must be 1 to 32 letters and digits"),
    ("WECOM_ENCODING_AES_KEY", AES_KEY[:-1], "must be the 43 characters of EncodingAESKey (doc 90930); it has 42"),
    ("WECOM_ENCODING_AES_KEY", AES_KEY + "=", "must be the 43 characters of EncodingAESKey (doc 90930); it has 44"),
    (
        "WECOM_ENCODING_AES_KEY",
        AES_KEY[:-1] + "$",
        "must be the 43 characters of EncodingAESKey (doc 90930), letters and digits; number 43 is something else",
    ),
    ("WECOM_ENCODING_AES_KEY", "密" * 43, "must be the 43 characters"),
    ("WECOM_AGENT_ID", "sales", "must be the app's AgentId, a number"),
    ("WECOM_AGENT_ID", "-1", "must be the app's AgentId, a number"),
    ("WECOM_API_BASE", "qyapi.weixin.qq.com", "must start with http:// or https://"),
    ("WECOM_API_BASE", "ftp://qyapi.weixin.qq.com", "must start with http:// or https://"),
    ("WECOM_API_BASE", "https://", "must start with http:// or https://"),
    ("WELCOME_PUBLIC_URL", "a.example:443", "must start with http:// or https://"),
    ("REDIS_URL", "localhost:6379", "must start with redis://"),
    ("REDIS_URL", "http://localhost:6379", "must start with redis://"),
    ("REDIS_URL", "redis://", "must start with redis://"),
    ("REDIS_URL", "sentinel://a/m", "must look like sentinel://"),
    ("REDIS_URL", "sentinel://a:1", "must look like sentinel://"),
    ("REDIS_URL", "sentinel://a:1/m/zero", "must look like sentinel://"),
    ("WELCOME_WINDOW_S", "twenty", "must be a number from 1 to 3600"),
    ("WELCOME_WINDOW_S", "0.9", "must be a number from 1 to 3600"),
    ("WELCOME_WINDOW_S", "nan", "must be a number from 1 to 3600"),
    ("WELCOME_WINDOW_S", "inf", "must be a number from 1 to 3600"),
    ("WELCOME_TIMEZONE", "../../etc/passwd", "must be a time zone's name"),
    ("WELCOME_KEEP_DAYS", "0", "must be a number from 1 to 3650"),
    ("WELCOME_KEEP_DAYS", "1.5", "must be a number from 1 to 3650"),
    ("WELCOME_MEDIA_MB", "-1", "must be a number from 1 to 1e+06"),
    ("WELCOME_CONCURRENCY", "513", "must be a number from 1 to 512"),
    ("WECOM_CORP_SECRET", "two secrets", "has a blank or a control character inside"),
    ("WECOM_CORP_SECRET", "secret\n", "begins or ends with a blank or a line end"),
    ("CONSOLE_PASSWORD", "seven77", "must have at least 8 characters"),
    ("SECRET_KEY", "k" * 15, "must have at least 16 characters"),
    ("CONSOLE_PASSWORD", " password", "begins or ends with a blank or a line end"),
    ("SECRET_KEY", "a-key-of-sessions\u3000", "begins or ends with a blank or a line end"),
    ("WECOM_LIMIT_PERCENT", "0", "must be a number from 1 to 1000"),
    ("WEB_CONCURRENCY", "0", "must be a number from 1 to 512"),
    ("TRUSTED_PROXIES", "all", "must be a number from 0 to 16"),
    ("CONSOLE_BIND", "9001", "must be host:port"),
    ("CONSOLE_BIND", "a b:9001", "must be host:port"),
    ("METRICS_BIND", "127.0.0.1", "must be host:port"),
    ("METRICS_BIND", "::1:9100", "must be host:port"),
    ("METRICS_BIND", "localhost:http", "must be host:port"),
    ("ALERT_WEBHOOK", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send", "must be the group robot's whole URL"),
    ("ALERT_WEBHOOK", "693a91f6-7xxx", "must be the group robot's whole URL"),
    ("CONSOLE_ADMINS", "zhang san", "must be userids with commas between them"),
    ("LOG_LEVEL", "loud", "must be one of debug, info, warning, error"),
    ("LOG_FORMAT", "xml", "must be one of text, json"),
]
SUBTLE = [
    (
        "WECOM_ENCODING_AES_KEY",
        AES_KEY[:-1] + "=",
        "must be the 43 characters",
    ),
    ("WEB_CONCURRENCY", "-1", "must be a number from 1 to 512"),
    ("WEB_CONCURRENCY", "two", "must be a number from 1 to 512"),
    ("WEB_CONCURRENCY", "1.5", "must be a number from 1 to 512"),
    ("WEB_CONCURRENCY", "auto", "must be a number from 1 to 512"),
    ("CONSOLE_PASSWORD", "a", "must have at least 8 characters"),
    ("CONSOLE_PASSWORD", "密码密码密码密", "must have at least 8 characters"),
    ("CONSOLE_PASSWORD", "a      b      "[:6] + " ", "must have at least 8 characters"),
    ("SECRET_KEY", "0", "must have at least 16 characters"),
    ("WECOM_CORP_SECRET", "\tsecret", "begins or ends with a blank or a line end"),
    ("SECRET_KEY", "a-key-of-sessions\r\n", "begins or ends with a blank or a line end"),
    ("WELCOME_TIMEZONE", "Mars/Phobos", "must be a time zone's name"),
    ("WELCOME_TIMEZONE", "Asia", "must be a time zone's name"),
    ("METRICS_BIND", "localhost:99999", "must be host:port"),
    ("METRICS_BIND", "localhost:０９", "must be host:port"),
    ("METRICS_BIND", "[::1]", "must be host:port"),
    ("METRICS_BIND", "[::zz]:9100", "must be host:port"),
    ("CONSOLE_BIND", "[127.0.0.1]:9100", "must be host:port"),
    ("CONSOLE_BIND", ":::9100", "must be host:port"),
    ("WECOM_API_BASE", "http:qyapi", "must start with http:// or https://"),
    ("WECOM_API_BASE", "https:///cgi-bin", "must start with http:// or https://"),
    ("REDIS_URL", "redis:localhost", "must start with redis://"),
    ("REDIS_URL", "redis://localhost:port", "must"),
    ("REDIS_URL", "redis://localhost:99999", "must"),
    ("ALERT_WEBHOOK", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=", "must be the group robot's whole URL"),
    ("ALERT_WEBHOOK", "http://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k", "must be the group robot's whole URL"),
    ("ALERT_WEBHOOK", "https://qyapi.weixin.qq.com/hook?key=k", "must be the group robot's whole URL"),
    ("ALERT_WEBHOOK", "https://u:p@relay.example.com/?key=k", "must be the group robot's whole URL"),
    (
        "ALERT_WEBHOOK",
        "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=钥匙",
        "must be the group robot's whole URL",
    ),
    ("CONSOLE_ADMINS", "zhangsan,,lisi", "must be userids"),
    ("CONSOLE_ADMINS", "/zhangsan", "must be userids"),
    ("CONSOLE_ADMINS", "*", "must be userids"),
    ("CONSOLE_ADMINS", "张三", "must be userids"),
    ("CONSOLE_ADMINS", "ww1;/zhangsan", "must be the 企业ID"),
    ("WECOM_AGENT_ID", "²", "must be the app's AgentId, a number"),
]


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    MALFORMED + SUBTLE,
)
def test_a_malformed_value_is_refused_by_name_with_what_it_should_be(name, value, cure):
    (problem,) = problems_of(ENVIRONMENT | {name: value})
    assert problem.startswith(f"{name} {cure}")


def test_every_variable_that_can_be_malformed_is_in_the_table():
    takes_anything = {"WELCOME_CONFIG", "WELCOME_DATA_DIR", "WELCOME_BOOK", "WELCOME_LIVENESS_FILE"}
    assert {row[0] for row in MALFORMED} | takes_anything == {variable.name for variable in VARIABLES}


def test_the_admins_of_the_console_are_members_who_can_sign_in(tmp_path):
    settings = some_settings(CONSOLE_ADMINS="zhangsan, Li.Si@x", WECOM_AGENT_ID="1000002")
    assert settings.console_admins == (Admin("zhangsan"), Admin("Li.Si@x"))
    assert settings.has_console
    assert some_settings(CONSOLE_PASSWORD="hunter-password").has_console
    assert not some_settings().has_console
    (problem,) = problems_of(ENVIRONMENT | {"CONSOLE_ADMINS": "zhangsan"})
    assert "WECOM_AGENT_ID" in problem


@pytest.mark.parametrize(
    ("admins", "problem"),
    [
        ("wwcorpone/zhangsan", None),
        ("zhangsan", "without a corp"),  # there may be one in each
        ("wwelsewhere/zhangsan", "which no app is of"),
        ("wwcorptwo/zhangsan", "WECOM_AGENT_ID (agent_id) is not"),
    ],
)
def test_an_admin_is_of_one_of_several_corps(tmp_path, admins, problem):
    app = f'secret = "s"\ntoken = "t"\nencoding_aes_key = "{AES_KEY}"\n'
    one, two = '[apps.one]\ncorp_id = "wwcorpone"\nagent_id = "1000002"\n', '[apps.two]\ncorp_id = "wwcorptwo"\n'
    (tmp_path / "apps.toml").write_text(f"{one}{app}{two}{app}")
    given = {"WELCOME_CONFIG": "apps.toml", "CONSOLE_ADMINS": admins}
    if problem is None:
        assert read(given, tmp_path).console_admins == (Admin("zhangsan", "wwcorpone"),)
        return
    with pytest.raises(SettingsError) as refused:
        read(given, tmp_path)
    assert problem in str(refused.value)


def test_all_that_is_wrong_is_reported_at_once():
    wrong = {name: value for name, value, _ in MALFORMED}
    problems = problems_of(ENVIRONMENT | wrong)
    assert {problem.split()[0] for problem in problems} == set(wrong)
    assert len(problems) == len(wrong)


def test_what_is_missing_and_what_is_malformed_come_together():
    problems = problems_of({"WECOM_TOKEN": "with-dash", "WELCOME_WINDOW_S": "long"})
    assert [problem.split()[0] for problem in problems] == [
        *("WECOM_TOKEN", "WELCOME_WINDOW_S"),
        *("WECOM_CORP_ID", "WECOM_CORP_SECRET", "WECOM_ENCODING_AES_KEY"),
    ]


def test_with_nothing_set_the_four_are_named_and_the_way_to_several_apps():
    problems = problems_of({})
    assert [problem.split()[0] for problem in problems] == REQUIRED
    assert all(problem.endswith("; or set WELCOME_CONFIG for several apps") for problem in problems)


@pytest.mark.parametrize("missing", REQUIRED)
def test_half_a_set_is_an_error_that_names_the_other_half(missing):
    (problem,) = problems_of({name: value for name, value in ENVIRONMENT.items() if name != missing})
    assert problem.startswith(f"{missing} is not set (")


def test_an_agent_id_alone_is_half_a_set():
    assert [problem.split()[0] for problem in problems_of({"WECOM_AGENT_ID": "1000002"})] == REQUIRED


# --- environment and .env


def write_env(directory: Path, **variables: str) -> Path:
    (directory / ".env").write_text("".join(f"{name}={value}\n" for name, value in variables.items()), "utf-8")
    return directory


def test_dot_env_in_the_directory_is_read(tmp_path):
    assert load({}, write_env(tmp_path, **ENVIRONMENT, LOG_LEVEL="error")).log_level == "error"


def test_the_working_directory_is_the_default(tmp_path, monkeypatch):
    monkeypatch.chdir(write_env(tmp_path, **ENVIRONMENT, WELCOME_DATA_DIR="here"))
    for variable in VARIABLES:
        monkeypatch.delenv(variable.name, raising=False)
    assert load().data_dir == tmp_path / "here"


def test_the_environment_wins_over_dot_env(tmp_path):
    write_env(tmp_path, **ENVIRONMENT, LOG_LEVEL="error")
    assert load({"LOG_LEVEL": "debug"}, tmp_path).log_level == "debug"


def test_an_empty_variable_counts_as_unset(tmp_path):
    empty = {variable.name: "" for variable in VARIABLES if variable.name not in REQUIRED}
    assert load(ENVIRONMENT | empty, tmp_path) == load(ENVIRONMENT, tmp_path)
    assert read(ENVIRONMENT | empty, tmp_path) == read(ENVIRONMENT, tmp_path)


def test_an_empty_variable_shadows_dot_env(tmp_path):
    write_env(tmp_path, **ENVIRONMENT, METRICS_BIND="127.0.0.1:9100", LOG_LEVEL="error")
    given = load({"METRICS_BIND": "", "LOG_LEVEL": ""}, tmp_path)
    assert (given.metrics_bind, given.log_level) == (None, "info")


def test_a_line_of_dot_env_without_a_value_counts_as_unset(tmp_path):
    write_env(tmp_path, **ENVIRONMENT)
    (tmp_path / ".env").write_text((tmp_path / ".env").read_text() + "METRICS_BIND\nLOG_LEVEL=\n")
    assert load({}, tmp_path).metrics_bind is None


def test_a_dollar_in_dot_env_is_a_dollar(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/root")
    write_env(tmp_path, **ENVIRONMENT, CONSOLE_PASSWORD="pa${HOME}ss")
    assert load({}, tmp_path).console_password == "pa${HOME}ss"


def test_variables_of_others_are_left_alone(tmp_path):
    assert load(ENVIRONMENT | {"PATH": "/bin", "WELCOME_UNHEARD_OF": "x"}, tmp_path) == load(ENVIRONMENT, tmp_path)


def dot_env(tmp_path: Path, content: bytes) -> Path:
    (tmp_path / ".env").write_bytes(content)
    return tmp_path


LINES = "".join(f"{name}={value}\n" for name, value in ENVIRONMENT.items())


def test_a_dot_env_with_the_byte_order_mark_of_windows_is_read(tmp_path):
    assert load({}, dot_env(tmp_path, b"\xef\xbb\xbf" + LINES.encode())) == read(ENVIRONMENT, tmp_path)


def test_a_dot_env_that_is_not_utf_8_is_a_problem_like_any_other(tmp_path):
    with pytest.raises(SettingsError):
        load({}, dot_env(tmp_path, "# 企业微信\n".encode("gbk") + LINES.encode()))


@pytest.mark.parametrize(
    "line", ["WECOM TOKEN=hunter", "= hunter", "'hunter", "hunter two", "WECOM_TOKEN:hunter", "<<<<<<< hunter"]
)
def test_a_line_of_dot_env_that_stores_nothing_is_named_and_not_shown(tmp_path, line):
    given = f"# 企业微信\nexport LOG_LEVEL=error\n\n{line}\n{LINES}"
    with pytest.raises(SettingsError) as error:
        load(ENVIRONMENT, dot_env(tmp_path, given.encode()))
    assert error.value.problems == [f"{tmp_path / '.env'}, line 4 is not NAME=value; mend it, or put # before it"]


# --- WELCOME_CONFIG


def config(tmp_path: Path, content: str, **variables: str) -> dict[str, str]:
    (tmp_path / "apps.toml").write_text(content, "utf-8")
    return {"WELCOME_CONFIG": "apps.toml", **variables}


def test_several_apps_come_from_a_file(tmp_path):
    content = f"[apps.sales]\n{table(secret='one')}[apps.service-2]\n{table(secret='two', agent_id='1000003')}"
    apps = read(config(tmp_path, content), tmp_path).apps
    assert list(apps) == ["sales", "service-2"]
    assert (apps["sales"].secret, apps["service-2"].secret) == ("one", "two")
    assert (apps["sales"].agent_id, apps["service-2"].agent_id) == ("", "1000003")


def test_an_agent_id_may_be_a_number(tmp_path):
    content = f"[apps.sales]\n{table()}agent_id = 1000002\n"
    assert read(config(tmp_path, content), tmp_path).apps["sales"].agent_id == "1000002"


def test_a_book_is_relative_to_the_file_that_names_it(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/apps.toml").write_text(f"[apps.sales]\n{table(book='sales.yaml')}[apps.service]\n{table()}")
    given = {"WELCOME_CONFIG": "etc/apps.toml", "WELCOME_BOOK": "all.yaml"}
    apps = read(given, tmp_path).apps
    assert apps["sales"].book == tmp_path / "etc/sales.yaml"
    assert apps["service"].book == tmp_path / "all.yaml"


@pytest.mark.parametrize("name", [*REQUIRED, "WECOM_AGENT_ID"])
def test_a_file_and_a_variable_of_one_app_are_an_error(tmp_path, name):
    given = config(tmp_path, f"[apps.sales]\n{table()}", WECOM_AGENT_ID="1") | {
        name: (ENVIRONMENT | {"WECOM_AGENT_ID": "1"})[name]
    }
    (problem,) = problems_of(given, tmp_path)
    assert problem.startswith("WELCOME_CONFIG and ")
    assert name in problem


@pytest.mark.parametrize(
    ("content", "wrong"),
    [
        ("", ["apps.toml has no [apps.NAME] table"]),
        ("apps = 1", ["apps.toml has no [apps.NAME] table"]),
        ("[apps]", ["apps.toml has no [apps.NAME] table"]),
        ("[apps.sales", ["apps.toml is not TOML"]),
        ("[apps.sales]\nsecret = x", ["apps.toml is not TOML: see line 2, column 10"]),
        ("[apps]\nsales = 1", ["apps.sales is not a table"]),
        (f"[apps.Sales]\n{table()}", ["apps.Sales: an app's name has lower-case letters"]),
        (f'[apps."a/b"]\n{table()}', ["apps.a/b: an app's name has lower-case letters"]),
        (f"[apps.sales]\n{table(token='')}", ["apps.sales.token is not set"]),
        (
            f"[apps.sales]\n{table(tokne='x')}",
            [
                "apps.sales.tokne is not a setting; there are corp_id, secret, token, encoding_aes_key,"
                " agent_id, book, on_settled, on_settled_queue, on_settled_broker, forward; did you mean token?"
            ],
        ),
        (f"[apps.sales]\n{table(token='a-b')}", ["apps.sales.token must be 1 to 32 letters and digits"]),
        (f"[apps.sales]\n{table(encoding_aes_key='k')}", ["apps.sales.encoding_aes_key must be the 43 characters"]),
        (
            "[apps.a]\n[apps.b]",
            [f"apps.{a}.{k} is not set" for a in "ab" for k in ("corp_id", "secret", "token", "encoding_aes_key")],
        ),
    ],
)
def test_what_is_wrong_with_the_file_is_said_all_at_once(tmp_path, content, wrong):
    problems = problems_of(config(tmp_path, content), tmp_path)
    assert len(problems) == len(wrong)
    for problem, part in zip(problems, wrong, strict=True):
        assert problem.startswith("WELCOME_CONFIG: ")
        assert part in problem


def forward(**different: str) -> str:
    """An app, and a table of what it forwards; "" leaves a key out. Values are TOML."""
    plain = {"url": '"https://crm.example.com/hook?token=hunter"', "secret": f'"whsec_{"QUJD" * 8}"'}
    lines = "".join(f"{key} = {value}\n" for key, value in (plain | different).items() if value)
    return f"[apps.sales]\n{table()}[[apps.sales.forward]]\n{lines}"


def test_what_is_forwarded_is_read(tmp_path):
    (app,) = read(config(tmp_path, forward(changes='["add", "del_follow_user"]', names="true")), tmp_path).apps.values()
    (target,) = app.forwards
    assert (target.url, target.secret) == ("https://crm.example.com/hook?token=hunter", b"ABC" * 8)
    assert (target.changes, target.names, target.ids) == ({"add", "del_follow_user"}, True, True)
    assert (target.private, target.host) == (False, "crm.example.com")
    assert "hunter" not in repr(app)
    assert "ABC" not in repr(app)


def test_a_task_of_the_corps_own_is_read(tmp_path):
    more = {"on_settled": "crm.greeted", "on_settled_broker": "amqp://crm:hunter@10.0.0.5//"}
    (app,) = read(config(tmp_path, f"[apps.sales]\n{table(**more)}"), tmp_path).apps.values()
    (target,) = app.forwards
    assert (target.name, target.queue, target.broker) == ("crm.greeted", "on-settled", more["on_settled_broker"])
    assert target.changes == {"add", "half_add", "audit_approved"}
    assert "hunter" not in repr(app)


@pytest.mark.parametrize(
    ("different", "wrong"),
    [
        ({"on_settled": "crm greeted"}, "apps.sales.on_settled must be the name of a Celery task"),
        ({"on_settled": "t", "on_settled_queue": "welcome"}, "apps.sales.on_settled_queue must be a Celery queue's"),
        ({"on_settled": "t", "on_settled_broker": "hunter"}, "apps.sales.on_settled_broker must be a Celery broker's"),
        ({"on_settled": "t", "on_settled_broker": "unix:///s"}, "apps.sales.on_settled_broker must be a Celery"),
        (
            {"on_settled": "t", "on_settled_broker": "sqs://k:hunter@"},
            "apps.sales.on_settled_broker needs a Python library",
        ),
        (
            {"on_settled": "t", "on_settled_broker": "kafka://hunter"},
            "apps.sales.on_settled_broker needs a Python library",
        ),
        ({"on_settled_queue": "theirs"}, "apps.sales.on_settled is not set"),
    ],
)
def test_what_is_wrong_with_a_task_of_the_corps_own_is_said(tmp_path, different, wrong):
    (problem,) = problems_of(config(tmp_path, f"[apps.sales]\n{table(**different)}"), tmp_path)
    assert problem.startswith(f"WELCOME_CONFIG: {wrong}")
    assert "hunter" not in problem


def test_without_a_choice_all_changes_are_forwarded(tmp_path):
    (app,) = read(config(tmp_path, forward()), tmp_path).apps.values()
    assert len(app.forwards[0].changes) == 7


@pytest.mark.parametrize(
    ("different", "wrong"),
    [
        ({"url": ""}, "apps.sales.forward 1.url is not set"),
        ({"secret": ""}, "apps.sales.forward 1.secret is not set"),
        ({"url": '"http://crm.example.com"'}, "apps.sales.forward 1.url must be https://host/path"),
        ({"url": '"ftp://crm.example.com"'}, "apps.sales.forward 1.url must be https://host/path"),
        ({"url": '"https://hunter:hunter@crm.example.com"'}, "apps.sales.forward 1.url must be https://host/path"),
        ({"url": '"https://crm.example.com/#x"'}, "apps.sales.forward 1.url must be https://host/path"),
        ({"secret": '"hunter"'}, "apps.sales.forward 1.secret must be whsec_ and the Base64"),
        ({"secret": '"whsec_aHVudGVy"'}, "apps.sales.forward 1.secret must be whsec_ and the Base64"),
        ({"changes": "[]"}, "apps.sales.forward 1.changes must be a list of some of add, half_add"),
        ({"changes": '["added"]'}, "apps.sales.forward 1.changes must be a list of some of add, half_add"),
        ({"changes": '"add"'}, "apps.sales.forward 1.changes must be a list of some of add, half_add"),
        ({"changes": "[{}]"}, "apps.sales.forward 1.changes must be a list of some of add, half_add"),
        ({"names": '"yes"'}, "apps.sales.forward 1.names must be true or false"),
        ({"private": "1"}, "apps.sales.forward 1.private must be true or false"),
        ({"secrets": '"x"'}, "apps.sales.forward 1.secrets is not a setting; there are url, secret"),
    ],
)
def test_what_is_wrong_with_a_forward_is_said(tmp_path, different, wrong):
    (problem,) = problems_of(config(tmp_path, forward(**different)), tmp_path)
    assert problem.startswith(f"WELCOME_CONFIG: {wrong}")
    assert "hunter" not in problem


@pytest.mark.parametrize("content", ["forward = 1", 'forward = ["x"]', "[apps.sales.forward]"])
def test_a_forward_that_is_no_array_of_tables_is_said(tmp_path, content):
    (problem,) = problems_of(config(tmp_path, f"[apps.sales]\n{table()}{content}"), tmp_path)
    assert problem.endswith("apps.sales.forward is not an array of tables: write [[apps.sales.forward]]")


def test_a_target_that_is_there_twice_is_said(tmp_path):
    twice = forward() + "[[apps.sales.forward]]" + forward().partition("[[apps.sales.forward]]")[2]
    (problem,) = problems_of(config(tmp_path, twice), tmp_path)
    assert problem == "WELCOME_CONFIG: apps.sales.forward: two targets have the same url"


def test_http_is_taken_on_this_machine(tmp_path):
    for url in ("http://127.0.0.1:8080/hook", "http://localhost/hook", "http://[::1]:1/"):
        assert read(config(tmp_path, forward(url=f'"{url}"')), tmp_path).apps["sales"].forwards[0].url == url


def test_a_file_that_is_not_there_is_named(tmp_path):
    (problem,) = problems_of({"WELCOME_CONFIG": "apps.toml"}, tmp_path)
    assert problem == f"WELCOME_CONFIG: {tmp_path / 'apps.toml'}: No such file or directory"


def test_a_file_that_is_not_utf_8_is_a_problem_like_any_other(tmp_path):
    (tmp_path / "apps.toml").write_bytes("# 企业微信".encode("gbk"))
    (problem,) = problems_of({"WELCOME_CONFIG": "apps.toml"}, tmp_path)
    assert problem.endswith("apps.toml is not TOML")


def test_an_error_in_the_file_does_not_quote_a_secret(tmp_path):
    for line in ('secret = "hunter-secret', "secret = hunter-secret", 'token = "hunter-secret"', "hunter-secret"):
        for problem in problems_of(config(tmp_path, f"[apps.sales]\n{line}\n"), tmp_path):
            assert "hunter" not in problem


# --- secrets


def test_no_repr_shows_a_secret():
    shown = repr(read({"WECOM_CORP_ID": CORP, **SECRETS}, HERE))
    assert CORP in shown
    assert "hunter" not in shown


@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize(
    "spoilt", ["hunter!", "hunter\n", "密hunter", " hunter", "hunter@[::1", "redis://:hunter@[::1"]
)
def test_no_message_holds_the_value_of_a_secret(name, spoilt):
    given = {"WECOM_CORP_ID": "!", **SECRETS, name: spoilt}
    for problem in problems_of(given):
        assert "hunter" not in problem


def test_no_message_holds_a_password_that_urlsplit_stumbles_over():
    for problem in problems_of(ENVIRONMENT | {"REDIS_URL": "redis://:hunter℀@localhost"}):
        assert "hunter" not in problem


names = st.sampled_from([variable.name for variable in VARIABLES if variable.name != "WELCOME_CONFIG"])


@given(name=names, value=st.text(min_size=1))
def test_junk_is_taken_or_refused_by_name_and_nothing_else(name, value):
    refused = []
    try:
        read(ENVIRONMENT | {name: value}, HERE)
    except SettingsError as error:
        refused = [problem.split()[0] for problem in error.problems]
    assert refused in ([], [name])


@pytest.mark.parametrize(
    ("name", "value"),
    [("CONSOLE_PASSWORD", "8-enough"), ("CONSOLE_PASSWORD", "密码密码密码密码"), ("SECRET_KEY", "k" * 16)],
)
def test_a_secret_that_is_just_long_enough_is_taken(name: str, value: str) -> None:
    settings = some_settings(**{name: value})
    assert value in (settings.console_password, settings.secret_key)


@pytest.mark.parametrize(
    ("mode", "said"), [(0o600, False), (0o640, False), (0o660, False), (0o644, True), (0o604, True), (0o602, True)]
)
@pytest.mark.parametrize("by", ["environment", ".env"])
def test_files_with_secrets_that_others_can_read_are_found(tmp_path: Path, mode: int, said: bool, by: str) -> None:
    env, config = tmp_path / ".env", tmp_path / "apps.toml"
    env.write_text("WELCOME_CONFIG=apps.toml\n" if by == ".env" else "")
    config.write_text("")
    for file in (env, config):
        file.chmod(mode)
    environ = {"WELCOME_CONFIG": "apps.toml"} if by == "environment" else {}
    assert exposed(environ, tmp_path) == ([env, config] if said else [])


def test_without_such_files_nobody_can_read_them(tmp_path: Path) -> None:
    assert exposed({"WELCOME_CONFIG": "absent.toml"}, tmp_path) == []


# --- an outbound proxy, and the domain's file


ROBOT = "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=k"


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"WECOM_PROXY": "http://proxy:3128"}, "http://proxy:3128"),
        ({"HTTPS_PROXY": "http://b:2"}, "http://b:2"),
        ({"HTTPS_PROXY": "http://b:2", "no_proxy": "qq.com"}, None),
        ({"HTTPS_PROXY": "http://b:2", "no_proxy": "relay", "ALERT_WEBHOOK": "https://relay/robot"}, None),
    ],
)
def test_the_group_robot_is_reached_as_the_api_is(variables: dict[str, str], proxy: str | None):
    assert read(ENVIRONMENT | {"ALERT_WEBHOOK": ROBOT} | variables, HERE).alert_proxy == proxy


def test_a_proxy_that_cannot_be_used_is_said_once():
    assert len(problems_of(ENVIRONMENT | {"ALERT_WEBHOOK": ROBOT, "https_proxy": "socks5://b:2"})) == 1


@pytest.mark.parametrize(
    ("variables", "proxy"),
    [
        ({}, None),
        ({"WECOM_PROXY": "http://u:p@proxy:3128"}, "http://u:p@proxy:3128"),
        ({"WECOM_PROXY": "http://a:1", "HTTPS_PROXY": "http://b:2", "NO_PROXY": "*"}, "http://a:1"),
        ({"WECOM_PROXY": "http://a:1", "HTTPS_PROXY": "socks5://b:2"}, "http://a:1"),
        ({"HTTPS_PROXY": "http://b:2"}, "http://b:2"),
        ({"https_proxy": "b:2"}, "b:2"),
        ({"HTTPS_PROXY": "http://b:2", "NO_PROXY": ".weixin.qq.com"}, None),
        ({"HTTPS_PROXY": "socks5://b:2", "no_proxy": "qq.com"}, None),
        ({"HTTPS_PROXY": "http://b:2", "WECOM_API_BASE": "http://10.0.0.1:9000"}, "http://b:2"),
    ],
)
def test_the_outbound_proxy_is_this_products_else_the_environments(variables: dict[str, str], proxy: str | None):
    settings = read(ENVIRONMENT | variables, HERE)
    assert settings.proxy == proxy
    assert "u:p" not in repr(settings)


def test_a_proxy_of_the_environment_that_cannot_be_used_is_refused_at_the_start():
    (problem,) = problems_of(ENVIRONMENT | {"https_proxy": "socks5://u:hunter@b:2"})
    assert problem.startswith("https_proxy must begin with http://")
    assert "WECOM_PROXY" in problem
    assert "hunter" not in problem


@pytest.mark.parametrize("value", ["WW_verify_0123456789abcdef", "WW_verify_0123456789abcdef.txt"])
def test_the_domains_file_is_named_as_wecom_names_it(value: str):
    assert read(ENVIRONMENT | {"WECOM_DOMAIN_VERIFICATION": value}, HERE).domain_verification == "0123456789abcdef"


def test_what_is_missing_may_be_in_a_file_that_is_shut(tmp_path, monkeypatch):
    """Root reads everything: the kernel's answer to another user stands in for one."""
    (tmp_path / ".env").write_text("WECOM_CORP_ID=ww1", "utf-8")

    def shut(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", shut)
    monkeypatch.setattr(Path, "read_text", shut)
    with pytest.raises(SettingsError) as refused:
        load({}, tmp_path)
    first, second, *_ = refused.value.problems
    assert first == f"{tmp_path}/.env may not be read by this user: run this as its owner, or let this user read it"
    assert second.startswith("WECOM_CORP_ID is not set")
    assert load(ENVIRONMENT, tmp_path)  # everything is in the environment


# --- names that are none


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("WELCOME_BOK", "WELCOME_BOOK"),
        ("WECOM_CORPID", "WECOM_CORP_ID"),
        ("WECOM_CORP_SECERT", "WECOM_CORP_SECRET"),
        ("wecom_token", "WECOM_TOKEN"),
        ("WELCOME_PROXY", "WECOM_PROXY"),
        ("CONSOLE_PASSWD", "CONSOLE_PASSWORD"),
        ("METRICS_BINDS", "METRICS_BIND"),
    ],
)
def test_a_misspelt_name_is_said_with_the_one_that_is_meant_and_never_its_value(name, meant, tmp_path):
    line = f"{name} is not a setting; did you mean {meant}?"
    assert problems_of(ENVIRONMENT | {name: "hunter"}) == [line]
    (tmp_path / ".env").write_text(f"{name}=hunter\n", "utf-8")
    with pytest.raises(SettingsError) as refused:
        load(ENVIRONMENT, tmp_path)
    assert refused.value.problems == [line]


def test_a_misspelt_name_is_said_before_what_is_missing_for_it():
    given = {name: value for name, value in ENVIRONMENT.items() if name != "WECOM_CORP_ID"} | {"WECOM_COPR_ID": CORP}
    first, second = problems_of(given)
    assert first == "WECOM_COPR_ID is not a setting; did you mean WECOM_CORP_ID?"
    assert second.startswith("WECOM_CORP_ID is not set")


@pytest.mark.parametrize(
    ("name", "value", "lines"),
    [
        ("WELCOME_TZ", "UTC", ["WELCOME_TZ is not a setting; did you mean WELCOME_TIMEZONE?"]),
        ("WECOM_OF_A_LATER_RELEASE", "1", ["WECOM_OF_A_LATER_RELEASE is not a setting"]),
        ("WELCOME_PORT", "tcp://10.0.0.1:80", []),  # Kubernetes, for a service called welcome
        ("WELCOME_SERVICE_HOST", "10.0.0.1", []),
        ("WELCOME_PORT_80_TCP_ADDR", "10.0.0.1", []),
        ("METRICS_OTHER", "", []),
        ("TIMEZONE", "UTC", []),
    ],
)
def test_a_name_that_may_be_somebody_elses_is_a_remark(name, value, lines, tmp_path):
    assert load(ENVIRONMENT | {name: value}, tmp_path)
    assert unknown(ENVIRONMENT | {name: value}, tmp_path) == lines


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_no_name_of_a_setting_is_taken_for_a_misspelt_one(variable):
    assert setting_names.misspelt({variable.name: "x"}, NAMES) == []
    assert setting_names.unknown({variable.name: "x"}, NAMES) == []
