"""`wecom-welcome check`: the doctor names what would stop a welcome, with its cure."""

import json
import re
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import Result

from tasks.books.revisions import BookStore
from tasks.ledger.verifications import Verifications
from tasks.lifeboat.journal import Journal
from tasks.monitoring import jobs
from tasks.monitoring.heartbeat import Heartbeat
from tasks.reasons import Kind, Reason
from tasks.storage import keys
from tests.simulator.client import StandIn
from tests.simulator.world import App
from tests.support.books import a_template
from tests.support.cli import run
from tests.support.crm import installed_here
from tests.support.ledger import refused_for_its_limit
from tests.support.outbound_proxy import OutboundProxy
from tests.support.processes import free_port
from tests.support.servers import Server, answering, whole
from webhook.callback.diagnosis import is_proven
from webhook.reason_texts import describe


def findings(result: Result) -> dict[str, str]:
    """What was looked at → the whole finding."""
    found = {}
    for part in re.split(r"\n(?=[✓✗!])", result.stdout.rstrip("\n")):
        found[part[2:].split("\n")[0].split(":")[0]] = part
    return found


@pytest.fixture
def registered(environ: dict[str, str], wecom: StandIn) -> dict[str, str]:
    """The settings of an app that WeCom knows, with a member, on an empty Redis."""
    wecom.people(members={"zhangsan": {"name": "张三"}})
    return environ


def test_the_doctor_finds_nothing_wrong_with_a_running_system(product):
    product.wecom.people(members={"zhangsan": {"name": "张三"}})
    result = run("check", **product.environ, WELCOME_PUBLIC_URL=product.url)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    assert "✗" not in result.stdout
    found = findings(result)
    assert found["callback URL"].startswith(f"✓ callback URL: {product.url}/callback verifies; enter it in 接收消息")
    for step in ("settings", "EncodingAESKey", "Redis", "clock", "welcome worker", "welcome book", "access token"):
        assert found[step].startswith("✓")
    assert found["members with 客户联系 in the app's range"].endswith(": 1")


@pytest.mark.parametrize(("clock", "said"), [(-300, "ahead of"), (300, "behind")])
def test_a_clock_that_is_minutes_off_is_named(registered, wecom, clock, said):
    """This machine's and Redis', which is on it: WeCom's answers say what time it is there."""
    wecom.settings(clock_s=clock)
    lines = run("check", **registered).stdout.splitlines()
    for whose in ("this machine's is", "Redis' is"):
        (line,) = (line for line in lines if line.startswith(f"! clock: {whose} "))
        assert line == f"! clock: {whose} 5 min {said} WeCom's"


def test_a_clock_that_is_right_is_said_to_be(registered):
    assert re.search(r"^✓ clock: [01] s apart from WeCom's$", run("check", **registered).stdout, re.MULTILINE)


def test_a_refused_secret_tells_the_time_too(registered, wecom):
    wecom.settings(clock_s=-300)
    assert "ahead of WeCom's" in run("check", **registered | {"WECOM_CORP_SECRET": "an-old-secret"}).stdout


def test_without_a_worker_and_a_book_the_doctor_says_so_with_the_cure(registered):
    result = run("check", **registered)
    assert result.exit_code == 1
    assert result.stderr == "wecom-welcome: 2 of these would stop a welcome; the cures are above\n"
    found = findings(result)
    assert found["welcome worker"].startswith(
        "✗ welcome worker: takes no messages (never; at least every 6 s)\n    → start "
    )
    assert found["welcome book"] == ("✗ welcome book: none is stored\n    → wecom-welcome templates import FILE")
    assert found["access token"] == "✓ access token"


def test_a_wrong_secret_is_found_with_wecoms_errcode_and_the_cure(registered):
    result = run("check", **registered | {"WECOM_CORP_SECRET": "an-old-secret"})
    assert result.exit_code == 1
    finding = findings(result)["access token"]
    assert finding.startswith("✗ access token: ")
    assert "40001" in finding
    assert "\n    → " in finding


def test_a_secret_that_was_reset_is_found_although_there_is_a_token(registered, wecom):
    """At once, by the call that WeCom refuses with the old token, and from then on by what is remembered."""
    assert findings(run("check", **registered))["access token"] == "✓ access token"
    wecom.register(App(corp_id=registered["WECOM_CORP_ID"], secret="the-new-secret"))
    wecom.revoke_tokens()
    for _ in range(2):
        found = findings(run("check", **registered))
        assert found["access token"].startswith("✗ access token: the secret is wrong (40001)")
        assert "IP allow-list and permission for customer contact" not in found


def test_members_out_of_range_stop_a_welcome(registered, wecom):
    wecom.reset()
    finding = findings(run("check", **registered))["members with 客户联系 in the app's range"]
    assert finding.startswith("✗")
    assert "可见范围" in finding


def test_an_api_out_of_reach_is_found(registered):
    result = run("check", **registered | {"WECOM_API_BASE": f"http://127.0.0.1:{free_port()}"})
    assert result.exit_code == 1
    assert findings(result)["WeCom's API"].endswith("→ let this machine reach WECOM_API_BASE")


def test_a_redis_out_of_reach_is_found_and_the_rest_is_looked_at_all_the_same(registered):
    result = run("check", **registered | {"REDIS_URL": f"redis://127.0.0.1:{free_port()}"})
    assert result.exit_code == 1
    found = findings(result)
    assert found["Redis"].startswith(
        "✗ Redis: refuses the connection: nothing listens at this address\n    → start it, "
    )
    assert found["access token"] == "✓ access token"


def test_without_a_redis_url_and_without_up_the_doctor_says_what_to_start(registered):
    del registered["REDIS_URL"]
    result = run("check", **registered)
    assert result.exit_code == 1
    assert findings(result)["Redis"].startswith("✗ Redis: no REDIS_URL, and no running `up`")


def test_a_redis_that_evicts_stops_a_welcome_and_one_that_forgets_is_remarked(registered, hurt_server):
    with hurt_server.client() as client:
        client.flushall()
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        result = run("check", **registered | {"REDIS_URL": hurt_server.url})
        client.config_set("maxmemory-policy", "noeviction")
        client.config_set("appendonly", "yes")
    assert "✗ Redis: may evict accepted customers\n    → set `maxmemory-policy noeviction`\n" in result.stdout
    assert "! Redis: keeps nothing over a restart\n" in result.stdout


def test_a_redis_user_that_may_not_write_is_found(registered, hurt_server):
    with hurt_server.client() as client:
        client.execute_command("ACL", "SETUSER", "reader", "on", ">pw", "~*", "+@all", "-set")
    url = hurt_server.url.replace("unix://", "unix://reader:pw@")
    found = findings(run("check", **registered | {"REDIS_URL": url}))
    assert found["Redis"].startswith("✗ Redis: does not let this user do what is needed (NOPERM User reader has no ")
    assert "\n    → give it the right: ACL SETUSER" in found["Redis"]


def test_a_full_or_read_only_redis_is_found(registered, hurt_server):
    with hurt_server.client() as client:
        client.config_set("maxmemory", "1")
        result = run("check", **registered | {"REDIS_URL": hurt_server.url})
        client.config_set("maxmemory", "0")
        assert findings(result)["Redis"].startswith("✗ Redis: is full (OOM command not allowed ")
        assert "\n    → raise its `maxmemory`" in findings(result)["Redis"]
        client.replicaof("127.0.0.1", 1)
        result = run("check", **registered | {"REDIS_URL": hurt_server.url})
        client.replicaof("NO", "ONE")
    assert findings(result)["Redis"].startswith("✗ Redis: is a replica, which takes no writes (READONLY ")


@pytest.mark.parametrize(
    ("kind", "mark"), [(Kind.WRONG_AES_KEY, "✗"), (Kind.WRONG_TOKEN, "!"), (Kind.WRONG_TOKEN_AND_KEY, "!")]
)
def test_a_refused_callback_is_shown_and_stops_a_welcome_if_it_was_wecoms(registered, redis_client, kind, mark):
    problem = Reason.of(kind)
    Verifications(redis_client).record("default", problem, is_proven(problem))
    result = run("check", **registered)
    assert f"{2 + (mark == '✗')} of these" in result.stderr  # worker and book, as ever
    finding = findings(result)["callback refused"]
    assert finding.startswith(mark)
    assert finding.endswith(f"\n    → {describe(problem)}")


def test_a_public_url_that_leads_elsewhere_is_found(product):
    url = f"{product.url}/elsewhere"
    finding = findings(run("check", **product.environ, WELCOME_PUBLIC_URL=url))["callback URL"]
    assert finding.startswith(f"✗ callback URL: {url}/callback answers HTTP 404\n    → let the proxy pass")


@pytest.mark.parametrize(("mode", "said"), [(0o644, True), (0o640, False)])
def test_a_file_with_secrets_that_others_can_read_is_said(registered, redis_client, mode, said):
    Path(".env").write_text("LOG_LEVEL=info\n", "utf-8")
    Path(".env").chmod(mode)
    text = run("check", **registered).stdout
    assert ("! settings: every user of this host can read or write" in text) is said
    assert ("chmod o= " in text) is said


def test_a_name_that_is_no_setting_is_said(registered):
    text = run("check", **registered, WELCOME_TZ="UTC").stdout
    assert "\n! settings: WELCOME_TZ is not a setting; did you mean WELCOME_TIMEZONE?\n    → " in text


def test_greetings_that_wait_for_wecoms_limit_are_remarked(registered, redis_client):
    refused_for_its_limit(redis_client, registered["WECOM_CORP_ID"])
    finding = findings(run("check", **registered))["WeCom's rate limit"]
    assert finding.startswith("! WeCom's rate limit: greetings are waiting: WeCom's rate limit (45009)")


def test_a_schedule_that_has_stopped_is_found(registered, redis_client):
    with jobs.recorded(redis_client, "tasks.upkeep.refresh_tokens"):
        pass
    assert findings(run("check", **registered))["schedule"].startswith("✓")
    long_ago = time.time() - 600
    redis_client.hset(keys.job("tasks.upkeep.refresh_tokens"), mapping={"at": long_ago, "fine_at": long_ago})
    found = findings(run("check", **registered))["schedule"]
    assert found == "! schedule: nothing has run for minutes\n    → start `role upkeep` and `role beat`, or `up`"


def test_a_worker_that_stopped_consuming_is_found(registered, ledger, redis_client):
    redis_client.set(keys.CONSUMED, ledger.now() - 60_000)
    finding = findings(run("check", **registered))["welcome worker"]
    assert finding.startswith("✗ welcome worker: takes no messages (last 60 s ago;")


def test_the_doctor_names_every_setting_that_is_missing():
    result = run("check", WECOM_TOKEN="hunter!")
    assert result.exit_code == 1
    assert [line.split()[:3:2] for line in result.stdout.splitlines()] == [
        ["✗", name] for name in ("WECOM_TOKEN", "WECOM_CORP_ID", "WECOM_CORP_SECRET", "WECOM_ENCODING_AES_KEY")
    ]
    assert result.stderr == "wecom-welcome: 4 settings are missing or malformed; see above\n"


def test_the_doctor_counts_one_wrong_setting(registered):
    result = run("check", **registered, WELCOME_BOK="book.yaml")
    assert result.stdout == "✗ settings: WELCOME_BOK is not a setting; did you mean WELCOME_BOOK?\n"
    assert result.stderr == "wecom-welcome: 1 setting is missing or malformed; see above\n"


def test_the_doctor_leaves_no_trace_among_the_events(registered, redis_client):
    run("check", **registered)
    assert redis_client.keys(keys.event("*")) == []


REFUSED_ADDRESS = "not allow to access from your ip, hint: [1], from ip: 203.0.113.9, more info at https://x"


def test_the_address_to_be_allowed_is_shown(registered):
    def answer(number: int) -> bytes:
        token = {"errcode": 0, "access_token": "t", "expires_in": 7200}
        return whole(json.dumps(token if number == 1 else {"errcode": 60020, "errmsg": REFUSED_ADDRESS}).encode())

    with Server(answering(answer)) as wecom:
        finding = findings(run("check", **registered | {"WECOM_API_BASE": wecom.url}))
    finding = finding["IP allow-list and permission for customer contact"]
    assert "this server's IP is not allowed (60020)" in finding
    assert "→ add 203.0.113.9 to 企业可信IP" in finding
    assert "hint" not in finding


@pytest.mark.parametrize("variable", ["WECOM_PROXY", "HTTPS_PROXY", "https_proxy"])
def test_the_doctor_goes_through_the_outbound_proxy_as_the_product_does(registered, wecom, variable):
    host = "qyapi.wecom.invalid"
    with OutboundProxy({host: urlsplit(wecom.base_url).port}, user="u:hunter2") as proxy:
        way = {"WECOM_API_BASE": f"http://{host}", variable: f"http://u:hunter2@127.0.0.1:{proxy.port}"}
        result = run("check", **registered | way)
        found = findings(result)
        assert found["outbound proxy"].startswith(
            f"✓ outbound proxy: the API is reached through 127.0.0.1:{proxy.port}"
        )
        assert found["access token"].startswith("✓")
        assert found["members with 客户联系 in the app's range"].endswith(": 1")
        assert proxy.asked[0].startswith(f"GET http://{host}/cgi-bin/gettoken?")
        refused = run("check", **registered | way | {variable: f"http://u:hunter3@127.0.0.1:{proxy.port}"})
    assert "✗ outbound proxy: the outbound proxy refuses: HTTP 407" in refused.stdout
    assert "hunter" not in result.output + refused.output


def test_the_lifeboat_is_said_to_be_on_off_or_without_a_place(registered, redis_client, tmp_path):
    def said(**variables: str) -> str:
        return findings(run("check", **registered | {"WELCOME_DATA_DIR": str(tmp_path / "var")} | variables))[
            "lifeboat"
        ]

    assert said() == "✓ lifeboat: greets while Redis takes no events"
    assert not (tmp_path / "var").exists()
    assert said(WELCOME_LIFEBOAT="off").startswith(
        "! lifeboat: is off: while Redis takes no events, WeCom is answered 503"
    )
    (tmp_path / "file").write_text("", "utf-8")
    assert "cannot be written from here" in said(WELCOME_DATA_DIR=str(tmp_path / "file"))
    journal = Journal.create(tmp_path / "var" / "lifeboat")
    journal.append({"event": {}})
    assert said().startswith("! lifeboat: has events that are not in the ledger yet")
    journal.remove()


def test_it_says_whether_a_group_is_told_and_sends_nothing(registered, wecom):
    assert findings(run("check", **registered))["alerts"] == "✓ alerts: go to no group robot: ALERT_WEBHOOK is not set"
    robot = wecom.robot()
    result = run("check", **registered, ALERT_WEBHOOK=robot)
    assert findings(result)["alerts"] == "✓ alerts: go to the group robot at 127.0.0.1"
    assert wecom.alerts(robot) == []
    assert "✗ settings: ALERT_WEBHOOK must be" in run("check", **registered, ALERT_WEBHOOK="no-url").stdout


def test_of_several_apps_it_is_said_which_one_is_looked_at(registered, tmp_path):
    table = '[apps.{}]\ncorp_id = "{WECOM_CORP_ID}"\nsecret = "{WECOM_CORP_SECRET}"\ntoken = "{WECOM_TOKEN}"\n'
    table += 'encoding_aes_key = "{WECOM_ENCODING_AES_KEY}"\n'
    config = tmp_path / "apps.toml"
    config.write_text("".join(table.format(name, **registered) for name in ("sales", "support")), "utf-8")
    config.chmod(0o600)
    several = {name: value for name, value in registered.items() if not name.startswith("WECOM_C")}
    for name in ("WECOM_TOKEN", "WECOM_ENCODING_AES_KEY", "WECOM_AGENT_ID"):
        several.pop(name, None)
    several |= {"WELCOME_CONFIG": str(config)}
    lines = run("check", **several).stdout.splitlines()
    assert [line for line in lines if line.startswith("app ")] == ["app sales:", "app support:"]
    assert lines[lines.index("app sales:") + 1].startswith(("✓ callback URL", "! callback URL"))
    assert "app support:" not in run("check", "--app", "sales", **several).stdout
    assert "app " not in run("check", **registered).stdout.split("members")[0]


def test_placeholders_of_packages_are_looked_at_here_and_in_every_process(registered, redis_client, tmp_path):
    BookStore(redis_client).save("default", a_template('text: "您好{crm.level|会员}{erp.id|0}"'))
    for role, hooks in (("web", {"crm": "fine", "erp": "fine"}), ("welcome", {"crm": "silent"}), ("upkeep", {})):
        Heartbeat(redis_client, role, hooks=lambda known=hooks: known).beat()
    Heartbeat(redis_client, "beat").beat()
    with installed_here(tmp_path):
        result = run("check", **registered)
    found = [line for line in result.stdout.splitlines() if "placeholders of packages" in line]
    assert [re.sub(r" [^ ]+:\d+", "", line.replace("placeholders of packages: ", "")) for line in found] == [
        "✓ crm.level, crm.consultant (crm-placeholders 1.0)",
        "! the live book uses {erp.id}, which no package here provides",
        "! crm is missing in upkeep",
        "! crm fails or hangs in welcome",
        "! erp is missing in upkeep, welcome",
    ]
