"""Prometheus, Alertmanager and Grafana by their own tools: the metrics of a real scrape, the rules, the dashboard."""

import re
import subprocess

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.simulator.client import StandIn
from tests.support.processes import RedisServer
from tests.support.scrape import scrape


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
