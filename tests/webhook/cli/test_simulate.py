"""`wecom-welcome simulate`: a rehearsal through a running system."""

import json
import re

import requests

from tests.support.builders import ENVIRONMENT
from tests.support.cli import run
from tests.support.processes import free_port
from tests.support.until import until
from tests.support.web import WebProcess


def test_a_rehearsal_runs_through_everything_but_the_send(product):
    url = f"{product.url}/callback"
    result = run("simulate", "--url", url, "--count", "3", "--rate", "50", "--state", "douyin-1", **product.environ)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.fullmatch(r"[0-9a-f]{32}  HTTP 200 in \d+ ms  rehearsed in \d+ ms", line)
    rows = {row["id"]: row for row in product.rows()}
    for line in lines:
        row = rows[line[:32]]
        assert (row["outcome"], row["user_id"], row["state"]) == ("rehearsed", "rehearsal", "douyin-1")
        assert row["template"] == "default"
    assert product.wecom.status()["greeted"] == 0
    assert "rehearsed" not in requests.get(f"{product.url}/metrics", timeout=30).text


def test_the_public_url_is_where_a_rehearsal_goes_by_itself(product):
    result = run("simulate", "--member", "lisi", **product.environ, WELCOME_PUBLIC_URL=product.url)
    assert result.exit_code == 0
    assert product.rows()[0]["user_id"] == "lisi"


def test_a_rehearsal_that_is_refused_fails(product):
    environ = product.environ | {"WECOM_TOKEN": "anotherToken"}
    url = f"{product.url}/callback"
    result = run("simulate", "--url", url, **environ)
    assert result.exit_code == 1
    assert re.fullmatch(r"[0-9a-f]{32}  HTTP 403 in \d+ ms\n", result.stdout)
    assert result.stderr.startswith(f"wecom-welcome: 1 of 1 rehearsals failed: is {url} right, and is `up` running")


def test_a_rehearsal_that_nobody_answers_fails(redis_url):
    url = f"http://127.0.0.1:{free_port()}/callback"
    result = run("simulate", "--url", url, "--count", "2", "--rate", "200", **ENVIRONMENT, REDIS_URL=redis_url)
    assert result.exit_code == 1
    assert result.stdout.count("ConnectionError") == 2
    assert result.stderr.startswith("wecom-welcome: 2 of 2 rehearsals failed")


def test_a_rehearsal_that_no_worker_takes_fails(redis_url, tmp_path):
    with WebProcess(tmp_path, redis_url) as web:
        environ = {**ENVIRONMENT, "REDIS_URL": redis_url, "WELCOME_WINDOW_S": "1"}
        result = run("simulate", "--url", f"{web.url}/callback", **environ)
    assert result.exit_code == 1
    assert result.stdout.endswith("no outcome after 1 s\n")


def test_a_real_customer_shows_up_in_the_deliveries(product):
    product.wecom.add(user_id="zhangsan", state="douyin-2")
    product.wecom.wait_until_greeted(1)
    until(lambda: product.rows()[0]["outcome"] == "sent")
    arguments = ["deliveries", "--json", "--member", "zhangsan", "--since", "5m"]
    (line,) = run(*arguments, **product.environ).stdout.splitlines()
    row = json.loads(line)
    assert (row["outcome"], row["state"], row["template"]) == ("sent", "douyin-2", "default")
    assert row["steps"]
