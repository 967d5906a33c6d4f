"""Each alert of the group robot is a rule of Prometheus' too, and has its place in the documents."""

import re

import pytest
import yaml

from tasks.alerts.conditions import Alert
from tests.support.documents import ROOT, Page

NAMES = {str(alert) for alert in Alert}


def test_each_is_a_rule_of_prometheus_too() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text("utf-8"))
    assert {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule} >= NAMES


@pytest.mark.parametrize("document", ["deploy/RUNBOOK.md", "deploy/RUNBOOK.zh-CN.md"])
def test_each_has_a_section_in_the_runbook_that_its_message_names(document: str) -> None:
    assert set(re.findall(r"^### (\w+)$", (ROOT / document).read_text("utf-8"), re.MULTILINE)) >= NAMES


def test_each_has_a_row_that_says_when_it_is_sent() -> None:
    rows = Page(ROOT / "deploy/README.md").section("Alerts to a group robot").rows()
    assert [row[0] for row in rows] == [str(alert) for alert in Alert]
