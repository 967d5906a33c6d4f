"""Prometheus, Alertmanager and Grafana by their own tools: the metrics of a real scrape, the rules, the dashboard."""

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tasks.alerts.conditions import Alert
from tasks.counters import count
from tasks.ledger.delivery import MISSED
from tasks.monitoring.gauges import NAMESPACE
from tasks.monitoring.metrics import FROM_ZERO
from tests.simulator.client import StandIn
from tests.support.documents import ROOT, Page
from tests.support.ledger import a_ledger, settled
from tests.support.processes import RedisServer
from tests.support.prometheus import Prometheus
from tests.support.scrape import scrape
from tests.support.until import until
from tests.support.web import WebProcess

RULES, ALERTMANAGER = ROOT / "deploy/prometheus/rules.yaml", ROOT / "deploy/prometheus/alertmanager.yaml"
CASES = (RULES.with_name("rules_test.yaml"), RULES.with_name("rules_slow_test.yaml"))
RUNBOOKS = (ROOT / "deploy/RUNBOOK.md", ROOT / "deploy/RUNBOOK.zh-CN.md")
ALERTS = [rule for group in yaml.safe_load(RULES.read_text("utf-8"))["groups"] for rule in group["rules"]]
NAMES = {rule["alert"] for rule in ALERTS}
OF_PROMETHEUS = {"instance", "job"}  # labels that it gives to what it scrapes
OF_HOOKS = "placeholder_calls_total"  # `Hooks` begins with zeros, since it alone knows the packages' names
EQUAL = {"20.0": "20"}  # what Prometheus 3 makes of a bucket's limit
DASHBOARD = json.loads((ROOT / "deploy/grafana/dashboards/wecom-welcome.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
PROVISIONING = ROOT / "deploy/grafana/provisioning"


@pytest.fixture(scope="module")
def scraped(redis_server: RedisServer, stand_in: StandIn, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A scrape in which every metric has a value."""
    stand_in.pristine()
    with redis_server.client() as client:
        client.flushall()
    return scrape(redis_server.url, stand_in, tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def families(scraped: str) -> dict[str, Metric]:
    """Name, as queries have it → the metric; a histogram by each of its three."""
    return {sample.name: family for family in text_string_to_metric_families(scraped) for sample in family.samples}


# ------------------------------------------------------------------------------------------------ metrics


def test_promtool_has_nothing_to_say_about_a_scrape(scraped, require_tool):
    checked = subprocess.run(
        [require_tool("promtool"), "check", "metrics"], input=scraped, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_every_metric_has_a_value_in_this_scrape(scraped, families):
    declared = set(re.findall(r"^# TYPE (\w+) (?!histogram)", scraped, re.MULTILINE))
    assert declared <= set(families)


# ------------------------------------------------------------------------------------------------ rules


def of_promtool(require_tool: Callable[[str], str], *words: str | Path) -> str:
    """What promtool prints, in the rules' folder; it must be content."""
    done = subprocess.run(
        [require_tool("promtool"), *words], cwd=RULES.parent, capture_output=True, text=True, check=False
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    return said


def test_prometheus_takes_its_configuration_and_the_rules(require_tool):
    assert f"{len(ALERTS)} rules found" in of_promtool(require_tool, "check", "config", "prometheus.yaml")
    of_promtool(require_tool, "check", "rules", "--lint=all", "--lint-fatal", "rules.yaml")


@pytest.mark.parametrize("cases", CASES, ids=lambda path: path.stem)
def test_every_alert_fires_when_it_should_and_else_stays_quiet(cases, require_tool):
    of_promtool(require_tool, "test", "rules", cases.name)


def rule_of(name: str, labels: Mapping[str, str]) -> int:
    """The number of the rule that makes an alert with these labels: they hold its own, and no other's `kind`."""
    (found,) = (
        number
        for number, rule in enumerate(ALERTS)
        if rule["alert"] == name and rule["labels"] == {k: v for k, v in labels.items() if k in ("severity", "kind")}
    )
    return found


def test_every_rule_has_a_case_in_which_it_fires_and_one_in_which_it_does_not():
    fires, quiet = set(), set()
    for case in (case for path in CASES for test in yaml.safe_load(path.read_text("utf-8"))["tests"]
                 for case in test["alert_rule_test"]):  # fmt: skip
        name = case["alertname"]
        firing = {rule_of(name, alert["exp_labels"]) for alert in case["exp_alerts"]}
        fires |= firing
        quiet |= {number for number, rule in enumerate(ALERTS) if rule["alert"] == name} - firing
    assert fires == set(range(len(ALERTS)))
    assert quiet >= fires


def selectors(expression: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """(metric, label → the values that it may have) of each selector of a PromQL expression."""
    for name, matchers in re.findall(rf"\b({NAMESPACE}\w+)(?:\{{([^}}]*)\}})?", expression):
        pairs = re.findall(r'(\w+)=(~?)"([^"]*)"', matchers)
        yield name, {label: values.split("|") if regular else [values] for label, regular, values in pairs}


def grouped_by(expression: str) -> set[str]:
    """The labels of `by (…)` and `on (…)`."""
    lists = re.findall(r"\b(?:by|on) *\(([\w, ]*)\)", expression)
    return {label for one in lists for label in re.findall(r"\w+", one)}


def unknown_to(families: Mapping[str, Metric], expression: str) -> list[str]:
    """What an expression asks for that is in no scrape: metrics, labels, values of labels."""
    wrong, labels = [], set(OF_PROMETHEUS)
    for name, matchers in selectors(expression):
        if name not in families:
            wrong.append(name)
            continue
        samples = [sample.labels for sample in families[name].samples if sample.name == name]
        labels |= {label for sample in samples for label in sample}
        for label, values in matchers.items():
            known = {sample.get(label) for sample in samples} | EQUAL.keys()
            wrong += [f"{name}{{{label}={value}}}" for value in values if value not in known and "$" not in value]
    return wrong + sorted(grouped_by(expression) - labels)


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_rule_asks_only_for_what_a_scrape_has(rule, families):
    assert not unknown_to(families, rule["expr"])
    words = " ".join(rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", words)) <= grouped_by(rule["expr"]) | OF_PROMETHEUS


def test_what_no_scrape_has_would_be_noticed(families):
    assert unknown_to(families, "sum by (flavour) (wecom_welcome_sweets)") == ["wecom_welcome_sweets", "flavour"]
    sent = 'wecom_welcome_outcomes_total{outcome=~"sent|given"}'
    assert unknown_to(families, sent) == ["wecom_welcome_outcomes_total{outcome=given}"]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_rule_sees_the_first_count_and_counts_what_redis_has_once(rule):
    for name in re.findall(rf"(?:increase|rate)\({NAMESPACE}(\w+)", rule["expr"]):
        assert name in {*FROM_ZERO, OF_HOOKS}, "it is not there before its first count"
    sums = re.findall(r"\bsum(?: by \([\w, ]*\))? *\((.*)", rule["expr"])
    assert all(inner.startswith("max by (") for inner in sums), "each instance exports the same"


def test_the_rules_mean_the_outcomes_that_the_product_calls_missed():
    expected = {outcome.value for outcome in MISSED}
    for rule in ALERTS:
        if rule["alert"] == "GreetingsMissed":
            asked = [set(matchers["outcome"]) for _, matchers in selectors(rule["expr"]) if matchers]
            assert asked
            assert all(outcomes == expected for outcomes in asked)


def test_the_robot_calls_its_alerts_as_the_rules_do_and_the_runbook_names_them():
    sent = {alert.value for alert in Alert}
    assert sent <= NAMES
    for page, heading in zip(RUNBOOKS, ("Alerts", "告警"), strict=True):
        introduction = Page(page).section(heading).text.partition("\n|")[0]
        assert set(re.findall(r"`(\w+)`", introduction)) == sent


def test_a_prometheus_alerts_on_the_first_customer_who_is_missed(redis_url, redis_client, tmp_path, require_tool):
    """Of a new installation, in which nothing was counted before."""
    program = require_tool("prometheus")
    refused = {"app": "default", "outcome": "refused"}
    with WebProcess(tmp_path, redis_url) as web, Prometheus(program, web.port, tmp_path) as prometheus:
        known = 'wecom_welcome_outcomes_total{outcome="refused"}'
        until(lambda: prometheus.scrapes(known) >= 2, what="two scrapes")
        assert prometheus.alerts("GreetingsMissed") == []
        settled(a_ledger(redis_client), counts={count("outcomes_total", **refused): 1})
        until(lambda: prometheus.alerts("GreetingsMissed"), what="the alert")
        assert prometheus.alerts("GreetingsMissed") == [
            refused | {"alertname": "GreetingsMissed", "severity": "ticket"}
        ]


# ------------------------------------------------------------------------------------------------ the runbook


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_rule_says_what_is_wrong_whom_to_tell_and_where_to_read(rule):
    assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}
    assert rule["labels"]["severity"] in ("page", "ticket")
    path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
    assert path == "https://runbook.example/RUNBOOK.md"
    assert anchor == rule["alert"].lower()
    assert all(anchor in Page(page).anchors for page in RUNBOOKS)


@pytest.mark.parametrize(
    ("page", "heading", "parts", "page_word", "ticket_word"),
    [
        (RUNBOOKS[0], "Alerts", ("Customers", "Look", "Do"), "page", "ticket"),
        (RUNBOOKS[1], "告警", ("对客户", "先看", "处理"), "立即", "工单"),
    ],
    ids=["en", "zh"],
)
def test_the_runbook_has_a_section_for_each_alert_and_for_nothing_else(page, heading, parts, page_word, ticket_word):
    alerts = Page(page).section(heading)
    headings = re.findall(r"^### (.+)$", alerts.text, re.MULTILINE)
    assert sorted(headings) == sorted(NAMES)
    for name in headings:
        said = re.findall(r"^\* \*\*(.+?)\*\*", Page(page).section(name).text, re.MULTILINE)
        assert tuple(said[:3]) == parts, name
    rows = {re.sub(r"\[(\w+)\].*", r"\1", cells[0]): cells[2] for cells in alerts.rows() if cells[0].startswith("[")}
    assert list(rows) == headings, "the table has them in the same order"
    for name, how in rows.items():
        severities = {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}
        assert (page_word in how, ticket_word in how) == ("page" in severities, "ticket" in severities), name


# ------------------------------------------------------------------------------------------------ Alertmanager


@pytest.fixture
def amtool(require_tool) -> Callable[..., str]:
    def run(*words: str) -> str:
        done = subprocess.run([require_tool("amtool"), *words], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return run


def test_alertmanager_takes_its_configuration(amtool):
    assert "SUCCESS" in amtool("check-config", str(ALERTMANAGER))


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_page_wakes_somebody_and_a_ticket_does_not(rule, amtool):
    labels = [f"{name}={value}" for name, value in (rule["labels"] | {"alertname": rule["alert"]}).items()]
    receiver = amtool("config", "routes", "test", f"--config.file={ALERTMANAGER}", *labels)
    assert receiver == {"page": "pager", "ticket": "tickets"}[rule["labels"]["severity"]]


def test_inhibitions_name_alerts_that_there_are():
    rules = yaml.safe_load(ALERTMANAGER.read_text("utf-8"))["inhibit_rules"]
    matchers = [one for rule in rules for side in ("source_matchers", "target_matchers") for one in rule[side]]
    named = [re.split(r"!?=~?", one)[1].strip('"') for one in matchers if one.startswith("alertname")]
    assert {name for names in named for name in names.split("|")} <= NAMES


# ------------------------------------------------------------------------------------------------ Grafana


def queries(panel: Mapping[str, Any]) -> list[str]:
    return [target["expr"] for target in panel["targets"]]


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_asks_only_for_what_a_scrape_has(panel, families):
    for query in queries(panel):
        assert not unknown_to(families, query)
        legends = re.findall(r"{{(\w+)}}", " ".join(target["legendFormat"] for target in panel["targets"]))
        assert set(legends) <= set().union(*map(grouped_by, queries(panel)))


def test_prometheus_understands_every_query(require_tool, tmp_path):
    spoken = {"$__rate_interval": "5m", "$app": ".*"}
    rules = []
    for query in [query for panel in PANELS for query in queries(panel)]:
        for variable, value in spoken.items():
            query = query.replace(variable, value)
        rules.append({"record": f"query:{len(rules)}", "expr": query})
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    of_promtool(require_tool, "check", "rules", tmp_path / "queries.yaml")


def test_what_redis_counts_is_shown_once_however_many_instances_there_are():
    for query in [query for panel in PANELS for query in queries(panel)]:
        for function in re.findall(rf"(\w+)(?: by \([\w, ]*\))? *\((?:(?:rate|increase)\()?{NAMESPACE}", query):
            assert function in ("max", "min"), query


def test_panels_have_places_of_their_own_and_say_what_they_show():
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for spot in product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"])):
            assert taken.setdefault(spot, panel["title"]) == panel["title"]
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    assert len({panel["title"] for panel in PANELS}) == len(PANELS)
    assert all(panel["description"] for panel in PANELS)


def test_the_dashboard_names_alerts_that_there_are():
    words = " ".join(panel["description"] for panel in PANELS)
    named = [name for names in re.findall(r"Runbook: ([\w, ]+)\.", words) for name in names.split(", ")]
    assert len(named) > 10
    assert set(named) <= NAMES
    (annotation,) = DASHBOARD["annotations"]["list"]
    assert re.findall(r'alertname=~"([^"]+)"', annotation["expr"])[0].split("|") == sorted(NAMES)


def test_grafana_is_given_the_data_source_and_the_folder_that_the_dashboard_needs():
    (source,) = yaml.safe_load((PROVISIONING / "datasources/prometheus.yaml").read_text("utf-8"))["datasources"]
    chosen, _ = DASHBOARD["templating"]["list"]
    assert (source["uid"], source["name"]) == (chosen["current"]["value"], chosen["current"]["text"])
    assert {panel["datasource"]["uid"] for panel in PANELS} == {"${datasource}"}
    (folder,) = yaml.safe_load((PROVISIONING / "dashboards/wecom-welcome.yaml").read_text("utf-8"))["providers"]
    compose = yaml.safe_load((ROOT / "deploy/compose.yaml").read_text("utf-8"))["services"]
    mounts = dict(volume.split(":")[:2] for volume in compose["grafana"]["volumes"])
    assert mounts["./grafana/dashboards"] == folder["options"]["path"]
    assert mounts["./grafana/provisioning"] == "/etc/grafana/provisioning"
    assert source["url"].startswith("http://prometheus:")
    assert "prometheus" in compose
